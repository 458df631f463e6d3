// record_cache.h: records that requests need, kept in memory: opened, shared, and bounded by bytes.
//
// It does not know what it keeps: a record is of any type, is looked up by its type and some texts,
// and whoever loads it says how many bytes it takes. That a record does not exist is kept as well.
//
// The contract:
//
// - A write that returned is seen by every lookup that begins later, and while a write is under way
//   nothing in memory contradicts the database. For this, whoever writes does it through
//   RunWrite(), with the keys of all that the write may change. From before the write begins until
//   after it has ended nothing is kept under these keys: every lookup asks its loader. Other keys
//   are not held up.
// - The entries never take more than the budget. Which ones stay is decided by use: those that were
//   not found for the longest time go first, about.
// - A sixteenth of the budget belongs to absent records. They may take more while there is room,
// and
//   lose it again to present ones. So neither a flood of lookups for what does not exist pushes out
//   what does, nor the other way round.
// - A lookup that finds its record takes one shared lock of one shard of many, and allocates
//   nothing. What else is done under a shard's lock is a small, constant amount of work, however
//   large the budget.
// - Of many that miss the same record one loads it and the others wait for it; not while it is
//   being written.
//
// Safe to use from many threads at once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/call_context.h"

namespace authurl {

// What a record is looked up by. Made as a RecordId, and does not own its texts.
struct RecordKey {
  static constexpr size_t kMaxTexts = 5;

  const void* type = nullptr;  // One address for each type of record.
  std::array<absl::string_view, kMaxTexts> texts;

  bool operator==(const RecordKey&) const = default;
};

// The key of a record of type T. What the texts mean is up to those who use it: two ways of looking
// up the same type must differ in them. Adds nothing to RecordKey, so that keys of several types
// can be copied into one list of RecordKeys.
template <typename T>
struct RecordId : RecordKey {
  explicit RecordId(absl::string_view text0, absl::string_view text1 = {},
                    absl::string_view text2 = {}, absl::string_view text3 = {},
                    absl::string_view text4 = {}) {
    type = &kType;
    texts = {text0, text1, text2, text3, text4};
  }

 private:
  static constexpr char kType = 0;
};

// A record, and how many bytes of memory it takes. Null, and 0, if there is none.
template <typename T>
struct LoadedRecord {
  std::shared_ptr<const T> record;
  size_t bytes = 0;
};

class RecordCache final {
 public:
  struct Stats {
    uint64_t hits = 0;           // Lookups that found a record,
    uint64_t negative_hits = 0;  // found that there is none,
    uint64_t misses = 0;         // or had to wait for a load.
    uint64_t evictions = 0;      // Entries that made room for others.
    uint64_t bytes = 0;          // Of all entries now; never more than the budget.
    uint64_t entries = 0;

    // What was done at most while a shard was locked: the entries that were looked at to make room,
    // and, as a growing table moves them all, the entries of the fullest shard now.
    uint64_t most_looked_at = 0;
    uint64_t entries_of_fullest_shard = 0;
  };

  // The entries that are looked at, at most, while a shard is locked.
  static constexpr uint64_t kMaxLookedAt = 64;

  // Null where it is known that there is no such record.
  template <typename T>
  using Found = std::shared_ptr<const T>;
  template <typename T>
  using Loader = absl::FunctionRef<absl::StatusOr<LoadedRecord<T>>()>;

  // With a budget of 0 nothing is kept, but still loaded only once for all who ask at a time.
  explicit RecordCache(size_t budget_bytes);
  ~RecordCache();
  RecordCache(const RecordCache&) = delete;
  RecordCache& operator=(const RecordCache&) = delete;

  // What is kept. Nothing where a load would be needed. Never blocks for long.
  template <typename T>
  std::optional<Found<T>> Find(const RecordId<T>& id) {
    std::optional<Found<void>> found = FindAny(id);
    if (!found) return std::nullopt;
    return std::static_pointer_cast<const T>(*std::move(found));
  }

  // What is kept, or else what `load`, or the call of another one that began before, returns. An
  // error of `load` is passed on to all who wait for it, and not kept; so is an exception, which
  // the others see as INTERNAL. What is larger than the cache can take is not kept. `load` may
  // block; it must not look up what is being loaded.
  //
  // Who waits for another one's load waits no longer than until its own context ends, and is not
  // hurt where the other one's has ended: it loads itself then.
  template <typename T>
  absl::StatusOr<Found<T>> Load(const CallContext& context, const RecordId<T>& id,
                                std::type_identity_t<Loader<T>> load) {
    absl::StatusOr<Found<void>> found =
        LoadAny(context, id, [&]() -> absl::StatusOr<LoadedRecord<void>> {
          absl::StatusOr<LoadedRecord<T>> loaded = load();
          if (!loaded.ok()) return loaded.status();
          return LoadedRecord<void>{std::move(loaded->record), loaded->bytes};
        });
    if (!found.ok()) return found.status();
    return std::static_pointer_cast<const T>(*std::move(found));
  }

  // Calls `write`, which may change what is loaded for `keys`, and returns what it returns. Until
  // it has ended, with whatever status or an exception, nothing is found or kept under these keys,
  // and a load that began before is neither kept nor joined: so what was read before the write took
  // effect is not seen after it. REQUIRES: once `write` has returned it takes no effect any more.
  //
  // `write` may block, and use the cache; no lock is held meanwhile. Several may run at once, for
  // the same keys, too. The keys are copied; what is kept for a write ends with it.
  template <typename Write>
  std::invoke_result_t<Write&> RunWrite(absl::Span<const RecordKey> keys, Write write) {
    const BeingWritten being_written(*this, keys);
    return write();
  }

  // Drops what is kept and what is just being loaded under a key whose record was changed by
  // somebody else. For own writes RunWrite() is better: between the end of a write and this call, a
  // lookup may still find what was there before.
  void Invalidate(const RecordKey& key);
  // Not of one moment while others use the cache; `bytes` is within the budget nonetheless. Looks
  // at every shard: one for each MiB of the budget.
  Stats Snapshot() const;

 private:
  class Shard;
  struct WriteMark;
  using WriteMarks = std::list<WriteMark>;

  // Marks keys as being written for as long as it lives.
  class BeingWritten final {
   public:
    BeingWritten(RecordCache& cache, absl::Span<const RecordKey> keys);
    ~BeingWritten();
    BeingWritten(const BeingWritten&) = delete;
    BeingWritten& operator=(const BeingWritten&) = delete;

   private:
    std::vector<WriteMarks::iterator> marks_;  // Their shards hold them.
  };

  std::optional<Found<void>> FindAny(const RecordKey& key);
  absl::StatusOr<Found<void>> LoadAny(const CallContext& context, const RecordKey& key,
                                      Loader<void> load);
  Shard& ShardOf(size_t hash) const;

  const size_t shard_count_;
  const std::unique_ptr<Shard[]> shards_;
};

}  // namespace authurl
