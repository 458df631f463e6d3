// record_sealer.h: turns records into rows that hold nothing but identity in the clear, and back.
//
// Each part of a row is sealed as a whole. Its table, organisation, generation, id, part and
// version are associated data, so a sealed value opens only in the place it was made for; and what
// comes out must name the same identity as its row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "authurl/record/v1/record.pb.h"
#include "core/crypto/crypto.h"
#include "core/crypto/sealer.h"
#include "storage/client_secrets.h"
#include "storage/table.h"

namespace authurl {

// Where a record of each type is kept, and what of it stands in the clear: everything of the row
// but generation and parts, and its version unless the record knows its own.
template <typename Record>
struct Kept;
template <>
struct Kept<record::v1::Organization> {
  static const Table& table();
  static Row RowOf(const record::v1::Organization& organization);
};
template <>
struct Kept<record::v1::ApiKey> {
  static const Table& table();
  static Row RowOf(const record::v1::ApiKey& key);
};
template <>
struct Kept<record::v1::SocialNetworkSettings> {
  static const Table& table();
  static Row RowOf(const record::v1::SocialNetworkSettings& settings);
};
template <>
struct Kept<record::v1::Flow> {
  static const Table& table();
  static Row RowOf(const record::v1::Flow& flow);
};
template <>
struct Kept<record::v1::Grant> {
  static const Table& table();
  static Row RowOf(const record::v1::Grant& grant);
};
template <>
struct Kept<record::v1::SocialAccount> {
  static const Table& table();
  static Row RowOf(const record::v1::SocialAccount& account);
};
template <>
struct Kept<record::v1::PendingConnection> {
  static const Table& table();
  static Row RowOf(const record::v1::PendingConnection& pending);
};
template <>
struct Kept<record::v1::Event> {
  static const Table& table();
  // The database gives it its number; where there is no other event it is `created_at_ms`, in
  // microseconds.
  static Row RowOf(const record::v1::Event& event);
};
template <>
struct Kept<record::v1::Webhook> {
  static const Table& table();
  static Row RowOf(const record::v1::Webhook& webhook);
};

template <>
struct Kept<record::v1::Import> {
  static const Table& table();
  static Row RowOf(const record::v1::Import& import);
};

// Safe to use from many threads at once. What does not open is an InternalError that names table
// and id.
class RecordSealer final {
 public:
  // `sealer` must outlive this. `random` is called from many threads at once.
  RecordSealer(const Sealer& sealer, RandomSource random)
      : sealer_(sealer), random_(std::move(random)) {}

  // The row of a record, with its first part sealed.
  template <typename Record>
  Row Seal(const Record& record, int64_t generation, uint64_t version) const {
    Row row = Kept<Record>::RowOf(record);
    row.generation = generation;
    row.version = version;
    std::string plaintext = record.SerializeAsString();
    SealPart(Kept<Record>::table(), 0, plaintext, row);
    Wipe(plaintext);
    return row;
  }
  // Both parts, under the version in the settings.
  Row Seal(const record::v1::SocialNetworkSettings& settings, int64_t generation,
           const ClientSecrets& secrets) const;
  // The row of a record with its second part, which holds secrets: the caller wipes them.
  template <typename Record>
  Row Seal(const Record& record, int64_t generation, uint64_t version,
           absl::string_view secrets) const {
    Row row = Seal(record, generation, version);
    SealPart(Kept<Record>::table(), 1, secrets, row);
    return row;
  }

  template <typename Record>
  absl::StatusOr<Record> Open(const Row& row) const {
    const Table& table = Kept<Record>::table();
    absl::StatusOr<std::string> plaintext = OpenPart(table, 0, row);
    if (!plaintext.ok()) return plaintext.status();
    Record record;
    const bool parsed = record.ParseFromString(*plaintext);
    Wipe(*plaintext);
    if (!parsed || !IsOf(table, Kept<Record>::RowOf(record), row))
      return DoesNotOpen(table, 0, row);
    return record;
  }
  // Of a row of kSocialNetworks with all its parts.
  absl::StatusOr<ClientSecrets> OpenSecrets(const Row& row) const;

  // For any table. The caller wipes the plaintext, here and below.
  void SealPart(const Table& table, size_t part, absl::string_view plaintext, Row& row) const;
  absl::StatusOr<std::string> OpenPart(const Table& table, size_t part, const Row& row) const;

  // What a sealed part is bound to, besides its table.
  struct Place {
    absl::string_view org_id;
    absl::string_view id;
    int64_t generation;
    uint64_t version;
  };
  // For a part that is kept without its row. In place of what `plaintext` holds, whose memory is
  // used again; empty on an error.
  absl::Status OpenPart(const Table& table, size_t part, const Place& place,
                        absl::string_view sealed, std::string& plaintext) const;

 private:
  static Place PlaceOf(const Row& row) { return {row.org_id, row.id, row.generation, row.version}; }
  // Whether a record that names the identity in `named` belongs into `row`. What number the row has
  // is the database's.
  static bool IsOf(const Table& table, Row named, const Row& row);
  absl::Status DoesNotOpen(const Table& table, size_t part, const Row& row) const {
    return DoesNotOpen(table, part, PlaceOf(row), row.parts[part]);
  }
  absl::Status DoesNotOpen(const Table& table, size_t part, const Place& place,
                           absl::string_view sealed) const;

  const Sealer& sealer_;
  RandomSource random_;
};

}  // namespace authurl
