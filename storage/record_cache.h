// record_cache.h: the records that requests need, kept in memory: opened, shared, and bounded by
// bytes.
//
// A lookup that finds its record takes one shared lock of one shard of many, and allocates nothing.
// Of many that miss the same record one loads it and the others wait. That a record does not exist
// is kept as well.
//
// What was read before a write is never kept after it: whoever has written a record calls
// Invalidate() before it says so. Then a lookup that begins later finds neither what was kept nor
// what is just being loaded; only those that were already waiting for that load still get it.
#pragma once

#include <google/protobuf/message.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "authurl/record/v1/record.pb.h"

namespace authurl {

enum class RecordKind : uint8_t { kApiKey, kOrganization, kSocialNetwork };

template <typename T>
struct RecordKindOf;  // Only the types below can be kept.
template <>
struct RecordKindOf<record::v1::ApiKey> : std::integral_constant<RecordKind, RecordKind::kApiKey> {
};
template <>
struct RecordKindOf<record::v1::Organization>
    : std::integral_constant<RecordKind, RecordKind::kOrganization> {};
template <>
struct RecordKindOf<record::v1::SocialNetworkSettings>
    : std::integral_constant<RecordKind, RecordKind::kSocialNetwork> {};

// What a record of type T is looked up by.
template <typename T>
struct RecordId {
  absl::string_view id;  // Of the API key, or of the organisation.
  absl::string_view network = {};
  absl::string_view instance = {};
  // Which of several configurations (CredentialStore).
  absl::string_view configuration = {};
};

// Safe to use from many threads at once.
class RecordCache final {
 public:
  struct Key {
    RecordKind kind;
    absl::string_view id;
    absl::string_view network;
    absl::string_view instance;
    absl::string_view configuration;
  };

  struct Stats {
    uint64_t hits = 0;           // Lookups that found a record,
    uint64_t negative_hits = 0;  // found that there is none,
    uint64_t misses = 0;         // or had to wait for a load.
    uint64_t evictions = 0;      // Entries that made room for others.
    uint64_t bytes = 0;          // Of all entries now; never more than the budget.
    uint64_t entries = 0;
  };

  // Null where it is known that there is no such record.
  template <typename T>
  using Found = std::shared_ptr<const T>;
  template <typename T>
  using Loader = absl::FunctionRef<absl::StatusOr<Found<T>>()>;

  // With a budget of 0 nothing is kept, but still loaded only once for all who ask at a time.
  explicit RecordCache(size_t budget_bytes);
  ~RecordCache();
  RecordCache(const RecordCache&) = delete;
  RecordCache& operator=(const RecordCache&) = delete;

  // What is kept. Nothing where a load would be needed.
  template <typename T>
  std::optional<Found<T>> Find(const RecordId<T>& id) {
    std::optional<Found<google::protobuf::Message>> found = FindAny(KeyOf(id));
    if (!found) return std::nullopt;
    return std::static_pointer_cast<const T>(*std::move(found));
  }

  // What is kept, or else what `load`, or the call of another one that began before, returns. An
  // error is not kept. `load` may block, and must not use this cache.
  template <typename T>
  absl::StatusOr<Found<T>> Load(const RecordId<T>& id, std::type_identity_t<Loader<T>> load) {
    absl::StatusOr<Found<google::protobuf::Message>> found =
        LoadAny(KeyOf(id), [&]() -> absl::StatusOr<Found<google::protobuf::Message>> {
          absl::StatusOr<Found<T>> loaded = load();
          if (!loaded.ok()) return loaded.status();
          return *std::move(loaded);
        });
    if (!found.ok()) return found.status();
    return std::static_pointer_cast<const T>(*std::move(found));
  }

  template <typename T>
  void Invalidate(const RecordId<T>& id) {
    InvalidateAny(KeyOf(id));
  }
  // The same for all that match, whose record is null if there is none. Looks at every entry, and
  // holds back the lookups in one shard after the other meanwhile: for rare events.
  void InvalidateIf(absl::FunctionRef<bool(const Key&, const google::protobuf::Message*)> matches);

  // Not of one moment while others use the cache; `bytes` is within the budget nonetheless.
  Stats Snapshot() const;

 private:
  class Shard;

  template <typename T>
  static Key KeyOf(const RecordId<T>& id) {
    return {RecordKindOf<T>::value, id.id, id.network, id.instance, id.configuration};
  }
  std::optional<Found<google::protobuf::Message>> FindAny(const Key& key);
  absl::StatusOr<Found<google::protobuf::Message>> LoadAny(const Key& key,
                                                           Loader<google::protobuf::Message> load);
  void InvalidateAny(const Key& key);
  Shard& ShardOf(size_t hash) const;

  const size_t shard_count_;  // A power of two.
  const std::unique_ptr<Shard[]> shards_;
};

}  // namespace authurl
