// backend.h: what the credential store needs from a database: rows with identity columns and opaque
// bytes.
//
// A backend knows no secrets, no protobuf and no rules of the domain. Every backend must pass the
// conformance suite in tests/storage/backend_conformance.h, which holds the obligations below as
// tests.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace authurl {

struct OrganizationRow {
  std::string org_id;
  std::string sealed;
};

struct ApiKeyRow {
  std::string key_id;
  std::string org_id;  // Empty for keys of no organisation.
  uint64_t version = 1;
  std::string sealed;
};

struct SocialNetworkRow {
  std::string id;
  std::string org_id;
  std::string network;
  std::string instance;  // Empty for networks without instances.
  std::string name;
  int64_t default_rank = 0;
  uint64_t version = 1;
  std::string settings;
  // Filled by GetSocialNetworkSecret and ListSocialNetworksUnder only; a write needs it.
  std::string secret;
};

// The most configurations that an organisation may have of one (network, instance), so that looking
// through them takes no time.
inline constexpr int kMaxNamesOfNetwork = 100;

struct AuthStateRow {
  std::string digest;  // Any bytes.
  std::string org_id;
  int64_t expires_at_ms = 0;
  std::string sealed;
};

// A page of the rows that are sealed under one key.
template <typename Row>
struct RowsUnderKey {
  std::vector<Row> rows;
  // Where the next page begins: to be passed on as it is. Empty: this page was the last one.
  std::string next;
};

// Since the backend was opened.
struct BackendStats {
  uint64_t commits = 0;         // Transactions that were committed.
  uint64_t writes = 0;          // Writes in them; many where writers shared one.
  uint64_t largest_commit = 0;  // The most writes in one.
  uint64_t waiting_writes = 0;  // Those that wait for a transaction now.
  uint64_t reads = 0;
  uint64_t errors = 0;  // Failures of the database itself,
  uint64_t busy = 0;    // and those of them that were another's lock.
};

// Obligations:
// - A write that returned OK is durable: it survives the process being killed and, if the disk
//   honours fsync, a power loss. One that returned an error had no effect, or its effect is unknown
//   only after UNAVAILABLE.
// - Reads see every write that returned OK before they began.
// - Ids and names are compared byte for byte.
// - Lists come in ascending byte order of the id, begin after `after` (exclusive; empty: at the
//   start) and hold at most `limit` rows.
// - Errors (codes only, no reasons): NOT_FOUND for an absent row, ALREADY_EXISTS for a taken key,
//   ABORTED where what an update expects to find is not what is stored. UNAVAILABLE
//   (StorageUnavailable in core/errors.h, with the cause) for all that the database itself does
//   wrong.
// - Safe to use from many threads at once.
class Backend {
 public:
  virtual ~Backend() = default;

  // Facts about the database itself, by name. Put replaces.
  virtual absl::StatusOr<std::optional<std::string>> GetMeta(absl::string_view name) = 0;
  virtual absl::Status PutMeta(absl::string_view name, absl::string_view value) = 0;

  virtual absl::Status InsertOrganization(const OrganizationRow& row) = 0;
  virtual absl::StatusOr<OrganizationRow> GetOrganization(absl::string_view org_id) = 0;
  virtual absl::StatusOr<std::vector<OrganizationRow>> ListOrganizations(absl::string_view after,
                                                                         int limit) = 0;
  // Replaces sealed where the stored bytes are `expected_sealed`.
  virtual absl::Status UpdateOrganization(const OrganizationRow& row,
                                          absl::string_view expected_sealed) = 0;
  // Removes the organisation, its keys, its configurations and its auth states in one step.
  virtual absl::Status DeleteOrganization(absl::string_view org_id) = 0;

  // NOT_FOUND when org_id is not empty and names no organisation.
  virtual absl::Status InsertApiKey(const ApiKeyRow& row) = 0;
  virtual absl::StatusOr<ApiKeyRow> GetApiKey(absl::string_view key_id) = 0;
  // With `org_id`: only the keys of that organisation (empty: of none).
  virtual absl::StatusOr<std::vector<ApiKeyRow>> ListApiKeys(
      std::optional<absl::string_view> org_id, absl::string_view after, int limit) = 0;
  // Replaces version and sealed where the stored version is `expected_version`.
  virtual absl::Status UpdateApiKey(const ApiKeyRow& row, uint64_t expected_version) = 0;

  // Returns how many there were of (org_id, network, instance). NOT_FOUND when org_id names no
  // organisation; ALREADY_EXISTS when (org_id, id) or (org_id, network, instance, name) is taken;
  // RESOURCE_EXHAUSTED when there are kMaxNamesOfNetwork of (org_id, network, instance); ABORTED
  // unless its default_rank is below (kFirst) or above (kLast) those of all of them.
  enum class Place { kFirst, kLast };
  virtual absl::StatusOr<int> InsertSocialNetwork(const SocialNetworkRow& row, Place place) = 0;
  // Without the secret.
  virtual absl::StatusOr<SocialNetworkRow> GetSocialNetwork(absl::string_view org_id,
                                                            absl::string_view id) = 0;
  // The one of that name, or the default one: that with the lowest default_rank, and of those with
  // the same the one with the lowest id. Without the secret.
  virtual absl::StatusOr<SocialNetworkRow> FindSocialNetwork(
      absl::string_view org_id, absl::string_view network, absl::string_view instance,
      std::optional<absl::string_view> name) = 0;
  // The highest default_rank of (org_id, network, instance). NOT_FOUND when there is no row.
  virtual absl::StatusOr<int64_t> GetHighestDefaultRank(absl::string_view org_id,
                                                        absl::string_view network,
                                                        absl::string_view instance) = 0;
  // The whole row.
  virtual absl::StatusOr<SocialNetworkRow> GetSocialNetworkSecret(absl::string_view org_id,
                                                                  absl::string_view id) = 0;
  // Without the secrets.
  virtual absl::StatusOr<std::vector<SocialNetworkRow>> ListSocialNetworks(absl::string_view org_id,
                                                                           absl::string_view after,
                                                                           int limit) = 0;
  // Replaces name, default_rank, version, settings and secret where the stored version is
  // `expected_version`. ALREADY_EXISTS when (org_id, network, instance, name) is another's.
  virtual absl::Status UpdateSocialNetwork(const SocialNetworkRow& row,
                                           uint64_t expected_version) = 0;
  virtual absl::Status DeleteSocialNetwork(absl::string_view org_id, absl::string_view id) = 0;

  // NOT_FOUND when org_id names no organisation; ALREADY_EXISTS when the digest is taken.
  virtual absl::Status InsertAuthState(const AuthStateRow& row) = 0;
  // One that has expired as well, until it is deleted.
  virtual absl::StatusOr<AuthStateRow> GetAuthState(absl::string_view digest) = 0;
  // Deletes at most `limit` of those with expires_at_ms < `before_ms`, first those that expired
  // first. Returns how many it deleted. Takes time for `limit` rows, however many there are.
  virtual absl::StatusOr<int> DeleteExpiredAuthStates(int64_t before_ms, int limit) = 0;

  // Which keys the rows are sealed under. A sealed value names its key itself, in its second byte
  // (core/crypto/sealer.h); of a configuration the settings count, and auth states not at all. A
  // value of less than two bytes is under no key.
  //
  // The ids of the keys, each once, in ascending order. Takes time for the number of keys, however
  // many rows there are.
  virtual absl::StatusOr<std::vector<uint8_t>> ListKeysInUse() = 0;
  // At most `limit` rows under a key, whole, in an order of the backend's own, from the position
  // `from` on: empty, or the `next` of the page before. Whatever is inserted, changed or deleted
  // between two pages: a row that was there at the first page, and still is, under the same key,
  // comes in one of them. Takes time for `limit` rows.
  virtual absl::StatusOr<RowsUnderKey<OrganizationRow>> ListOrganizationsUnder(
      uint8_t key_id, absl::string_view from, int limit) = 0;
  virtual absl::StatusOr<RowsUnderKey<ApiKeyRow>> ListApiKeysUnder(uint8_t key_id,
                                                                   absl::string_view from,
                                                                   int limit) = 0;
  virtual absl::StatusOr<RowsUnderKey<SocialNetworkRow>> ListSocialNetworksUnder(
      uint8_t key_id, absl::string_view from, int limit) = 0;

  // OK when the database can be read and written. That it can't be written may come out only by a
  // write that fails; that it can again, by this. Cheap; called every second.
  virtual absl::Status Probe() = 0;
  // OK when the database can be read. Cheap; called every second.
  virtual absl::Status ProbeReads() = 0;

  virtual BackendStats Stats() const = 0;
};

}  // namespace authurl
