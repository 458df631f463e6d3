#include "server/system/token_buckets.h"

#include <algorithm>

#include "absl/hash/hash.h"

namespace authurl {

TokenBuckets::TokenBuckets(Limit limit) : limit_(limit) {}

absl::Duration TokenBuckets::TryTake(absl::string_view id, double tokens, absl::Time now) {
  if (limit_.per_second == 0) return absl::ZeroDuration();
  const absl::Duration needed = TimeFor(std::min(tokens, limit_.capacity));
  const absl::Duration whole = TimeFor(limit_.capacity);
  Shard& shard = ShardOf(id);
  const std::lock_guard lock(shard.mutex);
  absl::Time& full_at = FullAt(shard, id, now);
  const absl::Time after = full_at + needed;
  if (after > now + whole) return after - (now + whole);
  full_at = after;
  return absl::ZeroDuration();
}

void TokenBuckets::Take(absl::string_view id, double tokens, absl::Time now) {
  if (limit_.per_second == 0) return;
  const absl::Time deepest = now + 2 * TimeFor(limit_.capacity);
  Shard& shard = ShardOf(id);
  const std::lock_guard lock(shard.mutex);
  absl::Time& full_at = FullAt(shard, id, now);
  full_at = std::min(full_at + TimeFor(tokens), std::max(full_at, deepest));
}

size_t TokenBuckets::size() const {
  size_t size = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    size += shard.full_at.size();
  }
  return size;
}

TokenBuckets::Shard& TokenBuckets::ShardOf(absl::string_view id) {
  return shards_[absl::HashOf(id) % shards_.size()];
}

absl::Duration TokenBuckets::TimeFor(double tokens) const {
  return absl::Seconds(tokens / limit_.per_second);
}

absl::Time& TokenBuckets::FullAt(Shard& shard, absl::string_view id, absl::Time now) const {
  const auto found = shard.full_at.find(id);
  if (found != shard.full_at.end()) {
    // A clock that was put back would leave it empty for as long.
    found->second = std::clamp(found->second, now, now + 2 * TimeFor(limit_.capacity));
    return found->second;
  }
  if (shard.full_at.size() >= shard.sweep_at) {
    absl::erase_if(shard.full_at, [now](const auto& bucket) { return bucket.second <= now; });
    // What is left took something lately: at most twice as many are kept until the next time.
    shard.sweep_at = std::max<size_t>(64, 2 * shard.full_at.size());
  }
  return shard.full_at.emplace(id, now).first->second;
}

}  // namespace authurl
