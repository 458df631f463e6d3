#include "storage/record_cache.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <shared_mutex>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/status/status.h"
#include "storage/context_wait.h"
#include "storage/record_size.h"

namespace authurl {
namespace {

using Record = std::shared_ptr<const void>;
using Result = absl::StatusOr<LoadedRecord<void>>;

// A shard is far larger than the largest record, since it keeps only what fits into it. It is no
// larger however large the budget: growing its table takes time in proportion to its entries, some
// thousands.
constexpr size_t kShardBytes = size_t{1} << 20;
// The part of the budget that absent records can't lose to present ones, nor win from them.
constexpr size_t kAbsentShare = 16;
// Where so many in a row are used, the next one goes although it is used, too. As many lookups find
// their record as without this bound, be they as popular as Zipf's law says or nearly all the same.
constexpr int kSecondChances = 16;
// How often the shard may be locked to make room for one entry: enough to empty it.
constexpr int kMaxRounds = 256;

// A std::shared_mutex whose waiting writer keeps new readers out: else a steady stream of hits
// could hold up the invalidation of what they find without end.
class SharedMutex final {
 public:
  SharedMutex() = default;
  ~SharedMutex() { pthread_rwlock_destroy(&lock_); }
  SharedMutex(const SharedMutex&) = delete;
  SharedMutex& operator=(const SharedMutex&) = delete;

  void lock() { pthread_rwlock_wrlock(&lock_); }
  void unlock() { pthread_rwlock_unlock(&lock_); }
  void lock_shared() { pthread_rwlock_rdlock(&lock_); }
  void unlock_shared() { pthread_rwlock_unlock(&lock_); }

 private:
  pthread_rwlock_t lock_ = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
};

// A key with its hash, as the table is asked for it.
struct CacheLookup {
  explicit CacheLookup(const RecordKey& the_key)
      : key(the_key), hash(absl::HashOf(the_key.type, the_key.texts)) {}

  const RecordKey& key;
  const size_t hash;
};

// The same, with texts of its own, in one string.
class OwnedKey final {
 public:
  explicit OwnedKey(const CacheLookup& lookup) : hash_(lookup.hash), type_(lookup.key.type) {
    const auto& texts = lookup.key.texts;
    size_t size = 0;
    for (const absl::string_view text : texts) size += text.size();
    texts_.reserve(size);
    for (size_t i = 0; i < texts.size(); ++i) {
      texts_.append(texts[i].data(), texts[i].size());
      ends_[i] = static_cast<uint32_t>(texts_.size());
    }
  }

  bool Is(const CacheLookup& lookup) const { return hash_ == lookup.hash && view() == lookup.key; }
  size_t hash() const { return hash_; }
  RecordKey view() const {
    RecordKey key{type_, {}};
    size_t begin = 0;
    for (size_t i = 0; i < ends_.size(); ++i) {
      key.texts[i] = absl::string_view(texts_.data() + begin, ends_[i] - begin);
      begin = ends_[i];
    }
    return key;
  }
  size_t allocated() const { return AllocatedBytes(texts_); }

 private:
  size_t hash_;
  const void* type_;
  std::string texts_;
  std::array<uint32_t, RecordKey::kMaxTexts> ends_ = {};
};

struct Entry {
  Entry(const CacheLookup& lookup, const LoadedRecord<void>& loaded);

  const OwnedKey key;
  const Record record;  // Null: there is none.
  const size_t bytes;
  // Found since it was last considered for eviction.
  std::atomic<bool> used = false;
};
using Entries = std::list<Entry>;

// What the table holds: with the hash, so that it grows without a look at the entries, which are
// all over the memory.
struct Slot {
  size_t hash;
  Entries::iterator entry;
};

struct SlotHash {
  using is_transparent = void;
  size_t operator()(const CacheLookup& lookup) const { return lookup.hash; }
  size_t operator()(const Slot& slot) const { return slot.hash; }
};

struct SlotEqual {
  using is_transparent = void;
  bool operator()(const Slot& slot, const CacheLookup& lookup) const {
    return slot.hash == lookup.hash && slot.entry->key.Is(lookup);
  }
  bool operator()(const CacheLookup& lookup, const Slot& slot) const {
    return (*this)(slot, lookup);
  }
  bool operator()(const Slot& a, const Slot& b) const { return a.entry == b.entry; }
};

// An entry's part of the table: a slot and a byte, in a table that is 7/16 to 7/8 full.
constexpr size_t kSlotBytes = (sizeof(Slot) + 1) * 8 / 5;
// A list's node is its value and two pointers.
constexpr size_t kNodeBytes = AllocatedBytes(sizeof(Entry) + 2 * sizeof(void*));

Entry::Entry(const CacheLookup& lookup, const LoadedRecord<void>& loaded)
    : key(lookup),
      record(loaded.record),
      bytes(kNodeBytes + kSlotBytes + key.allocated() + loaded.bytes) {}

// A load in flight.
class Flight final {
 public:
  explicit Flight(const CacheLookup& lookup) : key_(lookup) {}

  const OwnedKey& key() const { return key_; }

  // Nothing where the context ends before.
  std::optional<Result> Wait(const CallContext& context) {
    std::unique_lock lock(mutex_);
    WaitFor(landed_, lock, context, [this] { return result_.has_value(); });
    return result_;
  }

  void Land(const Result& result) {
    {
      const std::lock_guard lock(mutex_);
      result_ = result;
    }
    landed_.notify_all();
  }

 private:
  const OwnedKey key_;
  std::mutex mutex_;
  std::condition_variable landed_;
  std::optional<Result> result_;
};

}  // namespace

// That a key is being written by one call of RunWrite().
struct RecordCache::WriteMark {
  WriteMark(const CacheLookup& lookup, Shard& the_shard) : key(lookup), shard(the_shard) {}

  const OwnedKey key;
  Shard& shard;
};

// Aligned, so that no two shards share a cache line. What every hit changes comes first.
class alignas(64) RecordCache::Shard final {
 public:
  void set_budget(size_t bytes) { budget_ = bytes; }

  std::optional<Record> Find(const CacheLookup& lookup) {
    const std::shared_lock lock(mutex_);
    return FindLocked(lookup);
  }

  absl::StatusOr<Record> Load(const CallContext& context, const CacheLookup& lookup,
                              Loader<void> load) {
    while (true) {
      std::optional<absl::StatusOr<Record>> loaded = LoadOrJoin(context, lookup, load);
      if (loaded) return *std::move(loaded);
      if (absl::Status status = context.Check(); !status.ok()) return status;
    }
  }

  // Nothing where the load that it joined, or the wait for it, was broken off: a caller had gone.
  std::optional<absl::StatusOr<Record>> LoadOrJoin(const CallContext& context,
                                                   const CacheLookup& lookup, Loader<void> load) {
    std::shared_ptr<Flight> flight;
    bool joined = false;
    {
      const std::lock_guard lock(mutex_);
      if (auto found = FindLocked(lookup)) return *std::move(found);
      misses_.fetch_add(1, std::memory_order_relaxed);
      // While it is being written all ask for themselves: who has just learnt from the database
      // that the write took effect must not be given what another one read before.
      if (!IsBeingWritten(lookup)) {
        const auto other = FlightOf(lookup);
        joined = other != flights_.end();
        flight = joined ? *other : std::make_shared<Flight>(lookup);
        if (!joined) flights_.push_back(flight);
      }
    }
    if (flight == nullptr) return RecordOf(load());
    if (joined) {
      const std::optional<Result> result = flight->Wait(context);
      if (!result || absl::IsCancelled(result->status()) ||
          absl::IsDeadlineExceeded(result->status())) {
        return std::nullopt;
      }
      return RecordOf(*result);
    }
    Landing landing(*this, *flight, lookup);
    landing.result = load();
    return RecordOf(landing.result);
  }

  // Takes the one mark out of `made`. From now on nothing is kept under its key, nor joined what is
  // being loaded.
  void BeginWrite(WriteMarks& made, const CacheLookup& lookup) {
    Entries dropped;
    const std::lock_guard lock(mutex_);
    Forget(lookup, dropped);
    marks_.splice(marks_.end(), made);
  }

  // What was loaded meanwhile was not for keeping, so there is nothing more to drop.
  void EndWrite(WriteMarks::iterator mark) {
    WriteMarks ended;
    const std::lock_guard lock(mutex_);
    ended.splice(ended.end(), marks_, mark);
  }

  void Invalidate(const CacheLookup& lookup) {
    Entries dropped;
    const std::lock_guard lock(mutex_);
    Forget(lookup, dropped);
  }

  void AddTo(Stats& stats) const {
    stats.hits += hits_.load(std::memory_order_relaxed);
    stats.negative_hits += negative_hits_.load(std::memory_order_relaxed);
    stats.misses += misses_.load(std::memory_order_relaxed);
    stats.evictions += evictions_.load(std::memory_order_relaxed);
    stats.bytes += bytes_.load(std::memory_order_relaxed);
    const uint64_t entries = entries_.load(std::memory_order_relaxed);
    stats.entries += entries;
    stats.most_looked_at =
        std::max(stats.most_looked_at, most_looked_at_.load(std::memory_order_relaxed));
    stats.entries_of_fullest_shard = std::max(stats.entries_of_fullest_shard, entries);
  }

 private:
  using Flights = std::vector<std::shared_ptr<Flight>>;

  // Ends a flight whatever becomes of the load: those who wait must not wait for ever.
  struct Landing {
    Landing(Shard& the_shard, Flight& the_flight, const CacheLookup& the_lookup)
        : shard(the_shard), flight(the_flight), lookup(the_lookup) {}
    ~Landing() {
      shard.Land(flight, lookup, result);
      flight.Land(result);
    }
    Landing(const Landing&) = delete;
    Landing& operator=(const Landing&) = delete;

    Shard& shard;
    Flight& flight;
    const CacheLookup& lookup;
    Result result = absl::InternalError("the load of a record was broken off");
  };

  static absl::StatusOr<Record> RecordOf(const Result& result) {
    if (!result.ok()) return result.status();
    return result->record;
  }

  void Land(const Flight& flight, const CacheLookup& lookup, const Result& result) {
    Entries made;
    if (result.ok() && result->bytes <= budget_) {
      made.emplace_back(lookup, *result);
    }
    // A large entry may take the room of hundreds of small ones. The lock is let go now and then.
    for (int rounds = kMaxRounds; !TryLand(flight, made, rounds); --rounds) continue;
  }

  // Keeps the one entry of `made`, unless there is none, or it can't be. False if there is more to
  // do, and so many `rounds` are left for it.
  bool TryLand(const Flight& flight, Entries& made, int rounds) {
    Entries dropped;
    const std::lock_guard lock(mutex_);
    const auto landing = std::find_if(flights_.begin(), flights_.end(),
                                      [&](const auto& other) { return other.get() == &flight; });
    // A write or an invalidation has begun since: it may have read what was there before.
    if (landing == flights_.end()) return true;
    if (!made.empty() && made.front().bytes <= budget_) {
      if (MakeRoom(made.front(), dropped)) {
        Keep(made);
      } else if (rounds > 0) {
        return false;
      }
    }
    flights_.erase(landing);
    return true;
  }

  // The functions below need the lock; shared is enough for FindLocked.

  std::optional<Record> FindLocked(const CacheLookup& lookup) {
    const auto found = table_.find(lookup);
    if (found == table_.end()) return std::nullopt;
    Entry& entry = *found->entry;
    // A store only where it changes something: the line stays shared by all who read it.
    if (!entry.used.load(std::memory_order_relaxed)) {
      entry.used.store(true, std::memory_order_relaxed);
    }
    (entry.record ? hits_ : negative_hits_).fetch_add(1, std::memory_order_relaxed);
    return entry.record;
  }

  // There are no more flights than threads, and no more marks than what these write, spread over
  // all shards.
  Flights::iterator FlightOf(const CacheLookup& lookup) {
    return std::find_if(flights_.begin(), flights_.end(),
                        [&](const auto& flight) { return flight->key().Is(lookup); });
  }
  bool IsBeingWritten(const CacheLookup& lookup) const {
    return std::any_of(marks_.begin(), marks_.end(),
                       [&](const WriteMark& mark) { return mark.key.Is(lookup); });
  }

  // Drops what is kept, and makes sure that what is being loaded will not be kept nor joined.
  void Forget(const CacheLookup& lookup, Entries& dropped) {
    if (const auto flight = FlightOf(lookup); flight != flights_.end()) flights_.erase(flight);
    if (const auto found = table_.find(lookup); found != table_.end()) Drop(found->entry, dropped);
  }

  // Takes the one entry out of `made`, for which there is room.
  void Keep(Entries& made) {
    const Entry& entry = made.front();
    bytes_.fetch_add(entry.bytes, std::memory_order_relaxed);
    entries_.fetch_add(1, std::memory_order_relaxed);
    if (entry.record == nullptr) absent_bytes_ += entry.bytes;
    Entries& list = ListOf(entry);
    list.splice(list.end(), made);
    table_.insert(Slot{entry.key.hash(), std::prev(list.end())});
  }

  // Evicts those that were not found for the longest time, about: a used one gets a second chance.
  // False if there is not enough room yet, and it was enough work for one time.
  bool MakeRoom(const Entry& entry, Entries& dropped) {
    const size_t new_absent_bytes = entry.record == nullptr ? entry.bytes : 0;
    const auto fits = [&] {
      return bytes_.load(std::memory_order_relaxed) + entry.bytes <= budget_;
    };
    int second_chances = kSecondChances;
    uint64_t looked_at = 0;
    while (!fits() && looked_at < kMaxLookedAt) {
      ++looked_at;
      const bool over_share = absent_bytes_ + new_absent_bytes > budget_ / kAbsentShare;
      const bool from_absent = !absent_.empty() && (over_share || present_.empty());
      Entries& list = from_absent ? absent_ : present_;
      const auto oldest = list.begin();
      if (second_chances > 0 && oldest->used.exchange(false, std::memory_order_relaxed)) {
        --second_chances;
        list.splice(list.end(), list, oldest);
        continue;
      }
      Drop(oldest, dropped);
      evictions_.fetch_add(1, std::memory_order_relaxed);
    }
    if (looked_at > most_looked_at_.load(std::memory_order_relaxed)) {
      most_looked_at_.store(looked_at, std::memory_order_relaxed);
    }
    return fits();
  }

  // Moves it to `dropped`, which the caller destroys after unlocking.
  void Drop(Entries::iterator entry, Entries& dropped) {
    table_.erase(Slot{entry->key.hash(), entry});
    bytes_.fetch_sub(entry->bytes, std::memory_order_relaxed);
    entries_.fetch_sub(1, std::memory_order_relaxed);
    if (entry->record == nullptr) absent_bytes_ -= entry->bytes;
    dropped.splice(dropped.end(), ListOf(*entry), entry);
  }

  Entries& ListOf(const Entry& entry) { return entry.record == nullptr ? absent_ : present_; }

  SharedMutex mutex_;
  std::atomic<uint64_t> hits_ = 0;
  std::atomic<uint64_t> negative_hits_ = 0;
  std::atomic<uint64_t> misses_ = 0;
  std::atomic<uint64_t> evictions_ = 0;
  std::atomic<uint64_t> bytes_ = 0;
  std::atomic<uint64_t> entries_ = 0;
  std::atomic<uint64_t> most_looked_at_ = 0;
  size_t budget_ = 0;
  size_t absent_bytes_ = 0;
  absl::flat_hash_set<Slot, SlotHash, SlotEqual> table_;
  Entries present_;   // Those of records, oldest first.
  Entries absent_;    // Those of keys that have none, likewise.
  Flights flights_;   // Those that no write has overtaken.
  WriteMarks marks_;  // A key that has one has no entry and no flight.
};

RecordCache::RecordCache(size_t budget_bytes)
    : shard_count_(std::max(budget_bytes / kShardBytes, size_t{1})),
      shards_(new Shard[shard_count_]) {
  for (size_t i = 0; i < shard_count_; ++i) shards_[i].set_budget(budget_bytes / shard_count_);
}

RecordCache::~RecordCache() = default;

// By the upper half of the hash: the table within the shard uses the lower bits.
RecordCache::Shard& RecordCache::ShardOf(size_t hash) const {
  static_assert(sizeof(size_t) == 8);
  return shards_[((hash >> 32) * shard_count_) >> 32];
}

std::optional<Record> RecordCache::FindAny(const RecordKey& key) {
  const CacheLookup lookup(key);
  return ShardOf(lookup.hash).Find(lookup);
}

absl::StatusOr<Record> RecordCache::LoadAny(const CallContext& context, const RecordKey& key,
                                            Loader<void> load) {
  const CacheLookup lookup(key);
  return ShardOf(lookup.hash).Load(context, lookup, load);
}

void RecordCache::Invalidate(const RecordKey& key) {
  const CacheLookup lookup(key);
  ShardOf(lookup.hash).Invalidate(lookup);
}

// Allocates everything before the first mark is set, so that none is left behind.
RecordCache::BeingWritten::BeingWritten(RecordCache& cache, absl::Span<const RecordKey> keys) {
  std::vector<WriteMarks> made(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    const CacheLookup lookup(keys[i]);
    made[i].emplace_back(lookup, cache.ShardOf(lookup.hash));
    marks_.push_back(made[i].begin());
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    marks_[i]->shard.BeginWrite(made[i], CacheLookup(keys[i]));
  }
}

RecordCache::BeingWritten::~BeingWritten() {
  for (const WriteMarks::iterator mark : marks_) mark->shard.EndWrite(mark);
}

RecordCache::Stats RecordCache::Snapshot() const {
  Stats stats;
  for (size_t i = 0; i < shard_count_; ++i) shards_[i].AddTo(stats);
  return stats;
}

}  // namespace authurl
