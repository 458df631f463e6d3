#include "storage/record_cache.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <condition_variable>
#include <limits>
#include <list>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/status/status.h"
#include "storage/record_size.h"

namespace authurl {
namespace {

using Key = RecordCache::Key;
using Record = google::protobuf::Message;
using Result = absl::StatusOr<std::shared_ptr<const Record>>;

constexpr size_t kMaxShards = 64;
// A shard keeps only what fits into it, so it should be far larger than the largest record.
constexpr size_t kMinShardBytes = size_t{1} << 20;
// The part of the budget that absent records can't lose to present ones, nor win from them. So
// neither can a flood of lookups for what does not exist push out what does, nor the other way
// round.
constexpr size_t kAbsentShare = 16;

size_t ShardCount(size_t budget) {
  return std::bit_floor(std::clamp(budget / kMinShardBytes, size_t{1}, kMaxShards));
}

size_t HashOf(const Key& key) {
  return absl::HashOf(key.kind, key.id, key.network, key.instance, key.configuration);
}

bool operator==(const Key& a, const Key& b) {
  return a.kind == b.kind && a.id == b.id && a.network == b.network && a.instance == b.instance &&
         a.configuration == b.configuration;
}

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

// A key that owns its texts, in one string.
class OwnedKey final {
 public:
  explicit OwnedKey(const Key& key)
      : kind_(key.kind),
        id_size_(static_cast<uint32_t>(key.id.size())),
        network_size_(static_cast<uint32_t>(key.network.size())),
        instance_size_(static_cast<uint32_t>(key.instance.size())) {
    texts_.reserve(key.id.size() + key.network.size() + key.instance.size() +
                   key.configuration.size());
    for (const absl::string_view text : {key.id, key.network, key.instance, key.configuration}) {
      texts_.append(text.data(), text.size());
    }
  }

  Key view() const {
    const absl::string_view texts = texts_;
    return {kind_, texts.substr(0, id_size_), texts.substr(id_size_, network_size_),
            texts.substr(id_size_ + network_size_, instance_size_),
            texts.substr(id_size_ + network_size_ + instance_size_)};
  }
  size_t allocated() const { return AllocatedBytes(texts_); }

 private:
  RecordKind kind_;
  uint32_t id_size_;
  uint32_t network_size_;
  uint32_t instance_size_;
  std::string texts_;
};

struct Entry {
  Entry(const Key& the_key, size_t the_hash, std::shared_ptr<const Record> the_record);

  const size_t hash;
  const OwnedKey key;
  const std::shared_ptr<const Record> record;  // Null: there is none.
  const size_t bytes;
  // Found since it was last considered for eviction.
  std::atomic<bool> used = false;
};
using Entries = std::list<Entry>;

size_t BytesOf(RecordKind kind, const Record* record) {
  if (record == nullptr) return 0;
  switch (kind) {
    case RecordKind::kApiKey:
      return SharedBytes(static_cast<const record::v1::ApiKey&>(*record));
    case RecordKind::kOrganization:
      return SharedBytes(static_cast<const record::v1::Organization&>(*record));
    case RecordKind::kSocialNetwork:
      return SharedBytes(static_cast<const record::v1::SocialNetworkSettings&>(*record));
  }
  return 0;
}

// An entry's part of the table: a pointer and a byte, in a table that is 7/16 to 7/8 full.
constexpr size_t kSlotBytes = 16;
// A list's node is its value and two pointers.
constexpr size_t kNodeBytes = AllocatedBytes(sizeof(Entry) + 2 * sizeof(void*));

Entry::Entry(const Key& the_key, size_t the_hash, std::shared_ptr<const Record> the_record)
    : hash(the_hash),
      key(the_key),
      record(std::move(the_record)),
      bytes(kNodeBytes + kSlotBytes + key.allocated() + BytesOf(key.view().kind, record.get())) {}

// A key with its hash, as the table is asked for it.
struct Lookup {
  const Key& key;
  size_t hash;
};

struct EntryHash {
  using is_transparent = void;
  size_t operator()(const Lookup& lookup) const { return lookup.hash; }
  size_t operator()(const Entries::iterator& entry) const { return entry->hash; }
};

struct EntryEqual {
  using is_transparent = void;
  bool operator()(const Entries::iterator& entry, const Lookup& lookup) const {
    return entry->hash == lookup.hash && entry->key.view() == lookup.key;
  }
  bool operator()(const Lookup& lookup, const Entries::iterator& entry) const {
    return (*this)(entry, lookup);
  }
  bool operator()(const Entries::iterator& a, const Entries::iterator& b) const {
    return (*this)(a, Lookup{b->key.view(), b->hash});
  }
};

// A load in flight.
class Flight final {
 public:
  Flight(const Key& key, size_t hash) : key_(key), hash_(hash) {}

  bool Is(const Lookup& lookup) const { return hash_ == lookup.hash && key_.view() == lookup.key; }

  Result Wait() {
    std::unique_lock lock(mutex_);
    landed_.wait(lock, [this] { return result_.has_value(); });
    return *result_;
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
  const size_t hash_;
  std::mutex mutex_;
  std::condition_variable landed_;
  std::optional<Result> result_;
};

}  // namespace

// Aligned, so that no two shards share a cache line. What every hit changes comes first.
class alignas(64) RecordCache::Shard final {
 public:
  void set_budget(size_t bytes) { budget_ = bytes; }

  std::optional<std::shared_ptr<const Record>> Find(const Lookup& lookup) {
    const std::shared_lock lock(mutex_);
    return FindLocked(lookup);
  }

  Result Load(const Lookup& lookup, Loader<Record> load) {
    std::shared_ptr<Flight> flight;
    bool joined = false;
    {
      const std::lock_guard lock(mutex_);
      if (auto found = FindLocked(lookup)) return *std::move(found);
      misses_.fetch_add(1, std::memory_order_relaxed);
      const auto other = FlightOf(lookup);
      joined = other != flights_.end();
      flight = joined ? *other : std::make_shared<Flight>(lookup.key, lookup.hash);
      if (!joined) flights_.push_back(flight);
    }
    if (joined) return flight->Wait();
    Landing landing(*this, *flight, lookup);
    return landing.result = load();
  }

  void Invalidate(const Lookup& lookup) {
    Entries dropped;
    const std::lock_guard lock(mutex_);
    if (const auto flight = FlightOf(lookup); flight != flights_.end()) flights_.erase(flight);
    if (const auto found = table_.find(lookup); found != table_.end()) Drop(*found, dropped);
  }

  void InvalidateIf(absl::FunctionRef<bool(const Key&, const Record*)> matches) {
    Entries dropped;
    const std::lock_guard lock(mutex_);
    // What they will bring is not known yet.
    flights_.clear();
    for (Entries* entries : {&present_, &absent_}) {
      for (auto entry = entries->begin(); entry != entries->end();) {
        const auto next = std::next(entry);
        if (matches(entry->key.view(), entry->record.get())) Drop(entry, dropped);
        entry = next;
      }
    }
  }

  void AddTo(Stats& stats) const {
    stats.hits += hits_.load(std::memory_order_relaxed);
    stats.negative_hits += negative_hits_.load(std::memory_order_relaxed);
    stats.misses += misses_.load(std::memory_order_relaxed);
    stats.evictions += evictions_.load(std::memory_order_relaxed);
    stats.bytes += bytes_.load(std::memory_order_relaxed);
    stats.entries += entries_.load(std::memory_order_relaxed);
  }

 private:
  using Flights = std::vector<std::shared_ptr<Flight>>;

  // Ends a flight whatever becomes of the load: those who wait must not wait for ever.
  struct Landing {
    Landing(Shard& the_shard, Flight& the_flight, const Lookup& the_lookup)
        : shard(the_shard), flight(the_flight), lookup(the_lookup) {}
    ~Landing() {
      shard.Land(flight, lookup, result);
      flight.Land(result);
    }
    Landing(const Landing&) = delete;
    Landing& operator=(const Landing&) = delete;

    Shard& shard;
    Flight& flight;
    const Lookup& lookup;
    Result result = absl::InternalError("the load of a record was broken off");
  };

  // The functions below need the lock; shared is enough for FindLocked.

  std::optional<std::shared_ptr<const Record>> FindLocked(const Lookup& lookup) {
    const auto found = table_.find(lookup);
    if (found == table_.end()) return std::nullopt;
    Entry& entry = **found;
    // A store only where it changes something: the line stays shared by all who read it.
    if (!entry.used.load(std::memory_order_relaxed)) {
      entry.used.store(true, std::memory_order_relaxed);
    }
    (entry.record ? hits_ : negative_hits_).fetch_add(1, std::memory_order_relaxed);
    return entry.record;
  }

  // There are no more flights than threads, spread over all shards.
  Flights::iterator FlightOf(const Lookup& lookup) {
    return std::find_if(flights_.begin(), flights_.end(),
                        [&](const auto& flight) { return flight->Is(lookup); });
  }

  void Land(const Flight& flight, const Lookup& lookup, const Result& result) {
    Entries made;
    Entries dropped;
    if (result.ok()) made.emplace_back(lookup.key, lookup.hash, *result);
    const std::lock_guard lock(mutex_);
    const auto landing = std::find_if(flights_.begin(), flights_.end(),
                                      [&](const auto& other) { return other.get() == &flight; });
    // Invalidated since it began: it may have read what was there before the write.
    if (landing == flights_.end()) return;
    flights_.erase(landing);
    if (!made.empty() && made.front().bytes <= budget_) Keep(made, dropped);
  }

  // Takes the one entry out of `made`.
  void Keep(Entries& made, Entries& dropped) {
    const Entry& entry = made.front();
    MakeRoom(entry, dropped);
    bytes_.fetch_add(entry.bytes, std::memory_order_relaxed);
    entries_.fetch_add(1, std::memory_order_relaxed);
    if (entry.record == nullptr) absent_bytes_ += entry.bytes;
    Entries& list = ListOf(entry);
    list.splice(list.end(), made);
    table_.insert(std::prev(list.end()));
  }

  // Evicts those that were not found for the longest time, about: a used one gets a second chance.
  void MakeRoom(const Entry& entry, Entries& dropped) {
    const size_t new_absent_bytes = entry.record == nullptr ? entry.bytes : 0;
    while (bytes_.load(std::memory_order_relaxed) + entry.bytes > budget_) {
      const bool over_share = absent_bytes_ + new_absent_bytes > budget_ / kAbsentShare;
      const bool from_absent = !absent_.empty() && (over_share || present_.empty());
      Entries& list = from_absent ? absent_ : present_;
      const auto oldest = list.begin();
      if (oldest->used.exchange(false, std::memory_order_relaxed)) {
        list.splice(list.end(), list, oldest);
        continue;
      }
      Drop(oldest, dropped);
      evictions_.fetch_add(1, std::memory_order_relaxed);
    }
  }

  // Moves it to `dropped`, which the caller destroys after unlocking.
  void Drop(Entries::iterator entry, Entries& dropped) {
    table_.erase(entry);
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
  size_t budget_ = 0;
  size_t absent_bytes_ = 0;
  absl::flat_hash_set<Entries::iterator, EntryHash, EntryEqual> table_;
  Entries present_;  // Those of records, oldest first.
  Entries absent_;   // Those of keys that have none, likewise.
  Flights flights_;  // Those that no write has overtaken.
};

RecordCache::RecordCache(size_t budget_bytes)
    : shard_count_(ShardCount(budget_bytes)), shards_(new Shard[shard_count_]) {
  for (size_t i = 0; i < shard_count_; ++i) shards_[i].set_budget(budget_bytes / shard_count_);
}

RecordCache::~RecordCache() = default;

// The table within the shard uses the lower bits.
RecordCache::Shard& RecordCache::ShardOf(size_t hash) const {
  return shards_[(hash >> (std::numeric_limits<size_t>::digits - 8)) & (shard_count_ - 1)];
}

std::optional<std::shared_ptr<const Record>> RecordCache::FindAny(const Key& key) {
  const Lookup lookup{key, HashOf(key)};
  return ShardOf(lookup.hash).Find(lookup);
}

Result RecordCache::LoadAny(const Key& key, Loader<Record> load) {
  const Lookup lookup{key, HashOf(key)};
  return ShardOf(lookup.hash).Load(lookup, load);
}

void RecordCache::InvalidateAny(const Key& key) {
  const Lookup lookup{key, HashOf(key)};
  ShardOf(lookup.hash).Invalidate(lookup);
}

void RecordCache::InvalidateIf(absl::FunctionRef<bool(const Key&, const Record*)> matches) {
  for (size_t i = 0; i < shard_count_; ++i) shards_[i].InvalidateIf(matches);
}

RecordCache::Stats RecordCache::Snapshot() const {
  Stats stats;
  for (size_t i = 0; i < shard_count_; ++i) shards_[i].AddTo(stats);
  return stats;
}

}  // namespace authurl
