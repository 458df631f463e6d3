// record_store.h: records in their tables: sealed, kept in memory where requests need them, and
// each of an organisation that lives. What the credential store is built on.
//
// This is where the cache wraps the backend: whatever is written goes through Commit(), which takes
// what it may change out of memory before it begins and keeps it out until it has ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "authurl/record/v1/record.pb.h"
#include "core/call_context.h"
#include "core/crypto/crypto.h"
#include "core/crypto/sealer.h"
#include "storage/backend.h"
#include "storage/record_cache.h"
#include "storage/record_sealer.h"
#include "storage/record_size.h"
#include "storage/table.h"

namespace authurl {

// A record with what its row says besides.
template <typename Record>
struct Stored {
  Record record;
  int64_t generation;
  uint64_t version;
};

template <typename Record>
using StoredPtr = std::shared_ptr<const Stored<Record>>;

// The same with the second part of the row, which holds secrets, as it is sealed there.
template <typename Record>
struct StoredWithSecret {
  Record record;
  int64_t generation;
  uint64_t version;
  std::string sealed;
};

template <typename Record>
using StoredWithSecretPtr = std::shared_ptr<const StoredWithSecret<Record>>;

// How much memory they take.
template <typename Record>
size_t SharedBytes(const Stored<Record>& stored) {
  return SharedBytes(stored.record) + sizeof(stored) - sizeof(Record);
}
template <typename Record>
size_t SharedBytes(const StoredWithSecret<Record>& stored) {
  return SharedBytes(stored.record) + sizeof(stored) - sizeof(Record) +
         AllocatedBytes(stored.sealed);
}

// What a store answers.
template <typename Record>
using FoundRecord = absl::StatusOr<std::shared_ptr<const Record>>;
// What is known from memory alone; nothing where the database would have to be asked.
template <typename Record>
using RecordInMemory = std::optional<FoundRecord<Record>>;

// The record alone, of what memory has.
template <typename Record>
std::shared_ptr<const Record> RecordOf(const StoredPtr<Record>& stored) {
  return std::shared_ptr<const Record>(stored, &stored->record);
}

// A page of a list.
template <typename Record>
struct Listed {
  std::vector<Record> records;
  // The ids of records that do not open, among them and behind the last of them.
  std::vector<std::string> unreadable;
  // The id behind which the next page begins; empty: there is none.
  std::string next;
};

// Safe to use from many threads at once.
class RecordStore final {
 public:
  // `sealer` must outlive this.
  RecordStore(std::unique_ptr<Backend> backend, const Sealer& sealer, RandomSource random,
              size_t cache_bytes)
      : backend_(std::move(backend)), sealer_(sealer, std::move(random)), cache_(cache_bytes) {}
  RecordStore(const RecordStore&) = delete;
  RecordStore& operator=(const RecordStore&) = delete;

  Backend& backend() { return *backend_; }
  const Backend& backend() const { return *backend_; }
  const RecordSealer& sealer() const { return sealer_; }
  RecordCache& cache() { return cache_; }
  const RecordCache& cache() const { return cache_; }

  // A read through the cache. `load` returns NOT_FOUND where there is none; that is kept, too.
  template <typename Record>
  absl::StatusOr<StoredPtr<Record>> Read(const CallContext& context,
                                         const RecordId<Stored<Record>>& id,
                                         absl::FunctionRef<absl::StatusOr<Stored<Record>>()> load) {
    return ReadThrough<Stored<Record>>(context, id, load);
  }

  // A record with its secret, by its id, through the cache; NOT_FOUND where there is none, or its
  // organisation does not live. What does not open is not kept.
  template <typename Record>
  absl::StatusOr<StoredWithSecretPtr<Record>> ReadWithSecret(const CallContext& context,
                                                             absl::string_view org_id,
                                                             absl::string_view id) {
    using WithSecret = StoredWithSecret<Record>;
    static_assert(IsKeptWithSecret<Record>(), "Commit() must take it out of memory");
    absl::StatusOr<StoredWithSecretPtr<Record>> stored =
        ReadThrough<WithSecret>(context, RecordId<WithSecret>(org_id, id),
                                [&] { return LoadWithSecret<Record>(context, org_id, id); });
    if (!stored.ok()) return stored;
    const absl::Status owner = CheckOwner(context, org_id, (*stored)->generation);
    if (!owner.ok()) return owner;
    return stored;
  }
  // From memory; nothing where the database would have to be asked.
  template <typename Record>
  std::optional<absl::StatusOr<StoredWithSecretPtr<Record>>> WithSecretInMemory(
      absl::string_view org_id, absl::string_view id) {
    auto stored = FindWithSecret<Record>(org_id, id);
    if (!stored) return std::nullopt;
    if (*stored == nullptr) return absl::NotFoundError("no such record");
    const std::optional<bool> lives = HasOwnerInMemory(org_id, (*stored)->generation);
    if (!lives) return std::nullopt;
    if (!*lives) return absl::NotFoundError("of an organisation that is gone");
    return *std::move(stored);
  }
  // The same alone, whether or not its organisation lives; null where there is none.
  template <typename Record>
  std::optional<StoredWithSecretPtr<Record>> FindWithSecret(absl::string_view org_id,
                                                            absl::string_view id) {
    return cache_.Find(RecordId<StoredWithSecret<Record>>(org_id, id));
  }
  // In place of what `plaintext` holds, whose memory is used again. The caller wipes it.
  template <typename Record>
  absl::Status OpenSecret(const StoredWithSecret<Record>& stored, std::string& plaintext) const {
    return sealer_.OpenPart(
        Kept<Record>::table(), kSecretPart,
        {stored.record.org_id(), stored.record.id(), stored.generation, stored.version},
        stored.sealed, plaintext);
  }

  // The organisation, if it lives: else NOT_FOUND.
  absl::StatusOr<StoredPtr<record::v1::Organization>> GetOrganization(const CallContext& context,
                                                                      absl::string_view org_id);
  // From memory; nothing where the database would have to be asked.
  std::optional<StoredPtr<record::v1::Organization>> OrganizationInMemory(
      absl::string_view org_id) {
    return cache_.Find(RecordId<Stored<record::v1::Organization>>(org_id));
  }
  // OK when the organisation lives and is of this generation, or there is none (empty). Else
  // NOT_FOUND.
  absl::Status CheckOwner(const CallContext& context, absl::string_view org_id, int64_t generation);
  // From memory; nothing where the database would have to be asked.
  std::optional<bool> HasOwnerInMemory(absl::string_view org_id, int64_t generation);

  // The row of an id. INTERNAL where the database answers with another one.
  absl::StatusOr<Row> Fetch(const CallContext& context, const Table& table,
                            absl::string_view org_id, absl::string_view id, size_t parts);

  // The same for a row whose organisation lives and is that of the row: else NOT_FOUND, as for one
  // of another organisation than `org_id`, unless that is empty.
  absl::StatusOr<Row> FetchOwned(const CallContext& context, const Table& table,
                                 absl::string_view org_id, absl::string_view id, size_t parts);
  // The first row that a lookup finds, of an organisation that lives; else NOT_FOUND. INTERNAL
  // where the database answers with another one.
  absl::StatusOr<Row> Find(const CallContext& context, const Table& table, const LookupValues& key,
                           size_t parts);
  // A page of the rows that a lookup finds; none where the organisation is gone. INTERNAL likewise.
  absl::StatusOr<RowPage> FetchFound(const CallContext& context, const Table& table,
                                     const LookupValues& key, absl::string_view after,
                                     PageLimit limit, size_t parts);

  // The same for the rows of a numbered table whose numbers are above `after`.
  absl::StatusOr<RowPage> FetchNumbered(const CallContext& context, const Table& table,
                                        absl::string_view org_id, int64_t after, PageLimit limit,
                                        size_t parts);

  template <typename Record>
  absl::StatusOr<Stored<Record>> Open(const Row& row) const {
    absl::StatusOr<Record> record = sealer_.Open<Record>(row);
    if (!record.ok()) return record.status();
    return Stored<Record>{*std::move(record), row.generation, row.version};
  }

  // A page of the records of an organisation that lives, or of all that do.
  template <typename Record>
  absl::StatusOr<Listed<Record>> List(const CallContext& context,
                                      std::optional<absl::string_view> org_id,
                                      absl::string_view after, PageLimit limit) {
    absl::StatusOr<RowPage> page =
        backend_->List(context, Kept<Record>::table(), org_id, after, limit, 1);
    if (!page.ok()) return page.status();
    Listed<Record> listed{.records = {}, .unreadable = {}, .next = std::move(page->next)};
    KnownOwner known;
    for (Row& row : page->rows) {
      if (org_id && row.org_id != *org_id) return AnotherRow(Kept<Record>::table());
      const absl::Status owner = CheckOwnerOfListed(context, Kept<Record>::table(), row, known);
      if (absl::IsNotFound(owner)) continue;
      auto record = owner.ok() ? sealer_.Open<Record>(row) : absl::StatusOr<Record>(owner);
      if (record.ok()) {
        if (!IsGone(*record)) listed.records.push_back(*std::move(record));
      } else if (absl::IsInternal(record.status())) {
        listed.unreadable.push_back(row.id);
      } else {
        return record.status();
      }
      // What is sealed need not be held beside what is open.
      row.parts.clear();
    }
    return listed;
  }

  // The same for what a lookup, or kWholeOrganization, finds.
  template <typename Record>
  absl::StatusOr<Listed<Record>> ListFound(const CallContext& context, const LookupValues& key,
                                           absl::string_view after, PageLimit limit) {
    absl::StatusOr<RowPage> page = FetchFound(context, Kept<Record>::table(), key, after, limit, 1);
    if (!page.ok()) return page.status();
    Listed<Record> listed{.records = {}, .unreadable = {}, .next = std::move(page->next)};
    for (Row& row : page->rows) {
      absl::StatusOr<Record> record = sealer_.Open<Record>(row);
      if (record.ok()) {
        listed.records.push_back(*std::move(record));
      } else {
        listed.unreadable.push_back(row.id);
      }
      row.parts.clear();
    }
    return listed;
  }

  // All or none, in one transaction. `changed`: what requests may find in memory otherwise than
  // after it. The rows that are read with their secrets need not be named: those that the batch
  // writes or deletes are seen in it.
  CommitResult Commit(const CallContext& context, const Batch& batch,
                      absl::Span<const RecordKey> changed);
  // Removes at most `limit` rows of a table that came due before `now`, in one small transaction.
  // Returns how many it did; fewer than `limit` once none is left.
  absl::StatusOr<int> DeleteDue(const Table& table, absl::Time now, int limit);
  // The same as Commit() for an organisation that lives and still does when it is done (empty:
  // none):
  // `make` makes the batch for its generation, maybe more than once. NOT_FOUND where it does not;
  // an error of `make` is passed on, and nothing done.
  using MakeBatch = absl::FunctionRef<absl::StatusOr<Batch>(int64_t generation)>;
  absl::StatusOr<CommitResult> CommitFor(const CallContext& context, absl::string_view org_id,
                                         MakeBatch make, absl::Span<const RecordKey> changed);

 private:
  static constexpr size_t kSecretPart = 1;

  template <typename Record>
  static constexpr bool IsKeptWithSecret() {
    return std::is_same_v<Record, record::v1::Grant> ||
           std::is_same_v<Record, record::v1::SocialAccount>;
  }
  // The keys of all rows of theirs that a batch writes or deletes; they refer to the batch.
  static void AddKeysOf(const Batch& batch, std::vector<RecordKey>& keys);

  template <typename T>
  absl::StatusOr<std::shared_ptr<const T>> ReadThrough(
      const CallContext& context, const RecordId<T>& id,
      absl::FunctionRef<absl::StatusOr<T>()> load) {
    auto found = cache_.Load<T>(context, id, [&]() -> absl::StatusOr<LoadedRecord<T>> {
      absl::StatusOr<T> loaded = load();
      if (absl::IsNotFound(loaded.status())) return LoadedRecord<T>{};
      if (!loaded.ok()) return loaded.status();
      auto kept = std::make_shared<const T>(*std::move(loaded));
      const size_t bytes = SharedBytes(*kept);
      return LoadedRecord<T>{std::move(kept), bytes};
    });
    if (!found.ok()) return found.status();
    if (*found == nullptr) return absl::NotFoundError("no such record");
    return *std::move(found);
  }

  template <typename Record>
  absl::StatusOr<StoredWithSecret<Record>> LoadWithSecret(const CallContext& context,
                                                          absl::string_view org_id,
                                                          absl::string_view id) {
    absl::StatusOr<Row> row = Fetch(context, Kept<Record>::table(), org_id, id, kSecretPart + 1);
    if (!row.ok()) return row.status();
    absl::StatusOr<Record> record = sealer_.Open<Record>(*row);
    if (!record.ok()) return record.status();
    StoredWithSecret<Record> stored{*std::move(record), row->generation, row->version,
                                    std::move(row->parts[kSecretPart])};
    std::string secret;
    absl::Status opened = OpenSecret(stored, secret);
    Wipe(secret);
    if (!opened.ok()) return opened;
    return stored;
  }

  // The last one that a list asked for.
  struct KnownOwner {
    std::string org_id;
    absl::StatusOr<int64_t> generation = absl::UnknownError("not asked for");
  };

  // As CheckOwner() does, but keeps nothing in memory that is not there: a list would push out what
  // requests need.
  absl::Status CheckOwnerOfListed(const CallContext& context, const Table& table, const Row& row,
                                  KnownOwner& known);
  static bool IsGone(const record::v1::Organization& organization) {
    return organization.deleted_at_ms() != 0;
  }
  template <typename Record>
  static bool IsGone(const Record&) {
    return false;
  }
  // The organisation in the database, if it lives: else NOT_FOUND.
  absl::StatusOr<Stored<record::v1::Organization>> LoadOrganization(const CallContext& context,
                                                                    absl::string_view org_id);

  const std::unique_ptr<Backend> backend_;
  const RecordSealer sealer_;
  RecordCache cache_;
};

// Whether a batch was refused because others had come between what it was made of and its commit.
bool WasOvertaken(const absl::Status& refused);
// A damaged index leads to a row that is sound in itself but not the one asked for.
absl::Status AnotherRow(const Table& table);
// That others came between, again and again.
absl::Status TooManyAttempts();
// Only other processes and the sealing anew can make a write start over, and each time they got on.
inline constexpr int kMaxAttempts = 16;

}  // namespace authurl
