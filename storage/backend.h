// backend.h: what the credential store needs from a database: a few operations over tables that
// are described by data (storage/table.h).
//
// A backend knows no secrets, no protobuf and no rules of the domain. Every backend must pass the
// conformance suite in tests/storage/backend_conformance.h, which holds the obligations below as
// tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/call_context.h"
#include "storage/table.h"

namespace authurl {

// Values of the columns of one of a table's lookups, in one organisation.
struct LookupValues {
  size_t lookup;  // Position in Table::lookups.
  std::string org_id;
  std::vector<Value> values;
};

// In place of a lookup: all rows of the organisation.
inline constexpr size_t kWholeOrganization = std::numeric_limits<size_t>::max();
inline LookupValues RowsOfOrganization(absl::string_view org_id) {
  return {.lookup = kWholeOrganization, .org_id = std::string(org_id), .values = {}};
}

// One part of a Batch.

struct Insert {
  const Table* table;
  Row row;
  // It must not be refused because the disk is full, as deletions are not. For what takes hardly
  // any room and comes with a change that is like that.
  bool must_fit = false;
};
// Replaces version, columns and parts.
struct Update {
  const Table* table;
  Row row;
  uint64_t expected_version;
  // Likewise: something is marked as revoked or deleted.
  bool must_fit = false;
};
struct Delete {
  const Table* table;
  std::string org_id;
  std::string id;
  // Where set: the row must be there, in this version. Where not, it may be absent.
  std::optional<uint64_t> expected_version = {};
};
// Changes nothing.
struct ExpectVersion {
  const Table* table;
  std::string org_id;
  std::string id;
  uint64_t version;
};
// A lookup, or kWholeOrganization, finds at most so many rows; of these, at most so many have a
// value within bounds in the lookup's order column. Takes time for as many rows. Changes nothing.
struct ExpectAtMost {
  const Table* table;
  LookupValues key;
  int64_t rows;

  struct Within {
    int64_t from = std::numeric_limits<int64_t>::min();
    int64_t to = std::numeric_limits<int64_t>::max();
    int64_t rows;
  };
  std::optional<Within> within = {};
};

// Done in order, each seeing what those before it did. Best with what expects in front: what is
// refused before it has changed anything leaves nothing to undo.
using Batch = std::vector<std::variant<Insert, Update, Delete, ExpectVersion, ExpectAtMost>>;

struct CommitResult {
  // OK: all is done. UNAVAILABLE: nothing is, or it is unknown. CANCELLED, DEADLINE_EXCEEDED: the
  // context ended before it began. Else nothing is done, and the part at `refused` says why:
  // ALREADY_EXISTS (Insert, Update: an id or unique values are taken), NOT_FOUND (no such row),
  // ABORTED (another version than expected), RESOURCE_EXHAUSTED (ExpectAtMost: there are more).
  absl::Status status;
  size_t refused = 0;
  // Of each ExpectAtMost, in order, how many rows it found, and how many within its bounds; not
  // more than one too many.
  struct Count {
    int64_t rows = 0;
    int64_t within = 0;
  };
  std::vector<Count> counts = {};
};

// How much of a list one call reads.
struct PageLimit {
  int rows;
  // The page ends with the row that makes it as large or larger; its parts and columns count.
  size_t bytes = size_t{1} << 20;
};

struct RowPage {
  std::vector<Row> rows;
  // Where the next page begins: to be passed on as it is. Empty: this page was the last one.
  std::string next;
};

// A place among the rows that are due, in the order of the due column, the organisation and the id.
struct DuePosition {
  int64_t due = std::numeric_limits<int64_t>::min();
  std::string org_id = {};
  std::string id = {};
};

// Since the backend was opened.
struct BackendStats {
  uint64_t commits = 0;         // Transactions that were committed.
  uint64_t writes = 0;          // Batches in them; many where writers shared one.
  uint64_t largest_commit = 0;  // The most batches in one.
  uint64_t waiting_writes = 0;  // Those that wait for a transaction now.
  uint64_t reads = 0;
  uint64_t errors = 0;  // Failures of the database itself,
  uint64_t busy = 0;    // and those of them that were another's lock.
};

// Obligations:
// - A write that returned OK is durable: it survives the process being killed and, if the disk
//   honours fsync, a power loss. One that returned an error had no effect, or its effect is unknown
//   only after UNAVAILABLE.
// - A batch that only deletes, or whose updates and insertions must fit, succeeds on a disk that is
//   full, as far as room could be kept for it. Once a disk was found full others are refused,
//   UNAVAILABLE, until Probe() finds room again.
// - Reads see every write that returned OK before they began.
// - Ids and texts are compared byte for byte.
// - Lists hold at most as many rows as the limit says, and at least one where there is one and the
//   limit allows any.
// - `parts`: how many of a table's parts are read, the first ones; the others are left out.
// - Nothing is begun for a context that has ended, and reads that are under way stop: CANCELLED or
//   DEADLINE_EXCEEDED. A write that has begun is waited for.
// - Errors (codes only, no reasons): NOT_FOUND for an absent row, and those of CommitResult.
//   UNAVAILABLE (StorageUnavailable in core/errors.h, with the cause) for all that the database
//   itself does wrong.
// - Safe to use from many threads at once.
class Backend {
 public:
  virtual ~Backend() = default;

  // Facts about the database itself, by name. Put replaces.
  virtual absl::StatusOr<std::optional<std::string>> GetMeta(absl::string_view name) = 0;
  virtual absl::Status PutMeta(absl::string_view name, absl::string_view value) = 0;

  // `org_id` matters for ids that are unique in one organisation only.
  virtual absl::StatusOr<Row> Get(const CallContext& context, const Table& table,
                                  absl::string_view org_id, absl::string_view id, size_t parts) = 0;
  // The first row that a lookup finds, in its order.
  virtual absl::StatusOr<Row> Find(const CallContext& context, const Table& table,
                                   const LookupValues& key, size_t parts) = 0;
  // The highest value in the order column of the rows that a lookup finds. REQUIRES: it has one.
  virtual absl::StatusOr<int64_t> FindHighest(const CallContext& context, const Table& table,
                                              const LookupValues& key) = 0;
  // The rows of an organisation (empty: of none), or all, in ascending byte order of the id, after
  // the id `after` (empty: from the start). `next` is the id of the last row.
  // REQUIRES: an organisation, where ids are unique in one only.
  virtual absl::StatusOr<RowPage> List(const CallContext& context, const Table& table,
                                       std::optional<absl::string_view> org_id,
                                       absl::string_view after, PageLimit limit, size_t parts) = 0;
  // The rows that a lookup, or kWholeOrganization, finds, in ascending byte order of the id, after
  // the id `after` (empty: from the start). `next` is the id of the last row. Takes time for the
  // rows of the page, however many others there are. REQUIRES: an indexed lookup.
  virtual absl::StatusOr<RowPage> ListFound(const CallContext& context, const Table& table,
                                            const LookupValues& key, absl::string_view after,
                                            PageLimit limit, size_t parts) = 0;
  // How many rows a lookup, or kWholeOrganization, finds, counted up to `at_most`. Takes time for
  // as many.
  virtual absl::StatusOr<int64_t> Count(const CallContext& context, const Table& table,
                                        const LookupValues& key, int64_t at_most) = 0;
  // Those whose due column is below `before`, those that are due first first. Without parts.
  virtual absl::StatusOr<std::vector<Row>> ListDue(const CallContext& context, const Table& table,
                                                   int64_t before, int limit) = 0;
  // The same, behind `after`, for whoever goes through all of them: takes time for the rows that it
  // lists, however many are in front of them. REQUIRES: ids that are unique in one organisation
  // only.
  virtual absl::StatusOr<std::vector<Row>> ListDueAfter(const CallContext& context,
                                                        const Table& table,
                                                        const DuePosition& after, int64_t before,
                                                        int limit) = 0;
  // How many rows have a value from `from` to `to` in the due column. Takes time for as many.
  virtual absl::StatusOr<int64_t> CountDue(const CallContext& context, const Table& table,
                                           int64_t from, int64_t to) = 0;
  // The rows of an organisation whose numbers are above `after`, in the order of the numbers.
  // `next` is the number of the last row. REQUIRES: a numbered table, here and below.
  virtual absl::StatusOr<RowPage> ListNumbered(const CallContext& context, const Table& table,
                                               absl::string_view org_id, int64_t after,
                                               PageLimit limit, size_t parts) = 0;
  // Of the organisation's rows; nothing where it has none.
  virtual absl::StatusOr<std::optional<int64_t>> HighestNumber(const CallContext& context,
                                                               const Table& table,
                                                               absl::string_view org_id) = 0;
  // No row that is inserted from now on, in whichever process, gets a number below `from`. Durable;
  // it never goes back.
  virtual absl::Status RaiseNumbers(const Table& table, int64_t from) = 0;
  // The values that the rows of an organisation have in the first column of a lookup, each once, in
  // ascending order. REQUIRES: a text. Takes time for the number of values, however many rows there
  // are.
  virtual absl::StatusOr<std::vector<std::string>> ListValues(const CallContext& context,
                                                              const Table& table, size_t lookup,
                                                              absl::string_view org_id) = 0;

  // The ids of the keys that rows of a resealed table are under, each once, in ascending order. A
  // value of less than two bytes is under no key. Takes time for the number of keys, however many
  // rows there are.
  virtual absl::StatusOr<std::vector<uint8_t>> ListKeysInUse(const Table& table) = 0;
  // Rows under a key, whole, in an order of the backend's own, from the position `from` on: empty,
  // or the `next` of the page before. Whatever is inserted, changed or deleted between two pages: a
  // row that was there at the first page, and still is, under the same key, comes in one of them.
  virtual absl::StatusOr<RowPage> ListUnderKey(const Table& table, uint8_t key_id,
                                               absl::string_view from, PageLimit limit) = 0;

  // All parts or none, in one transaction.
  virtual CommitResult Commit(const CallContext& context, const Batch& batch) = 0;

  // OK when the database can be read and written. That it can't be written may come out only by a
  // write that fails; that it can again, by this. Cheap; called every second.
  virtual absl::Status Probe() = 0;
  // OK when the database can be read. Cheap; called every second.
  virtual absl::Status ProbeReads() = 0;

  virtual BackendStats Stats() const = 0;
};

}  // namespace authurl
