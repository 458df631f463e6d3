// token_buckets.h: how much each of many may do, in a burst and in the long run.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace authurl {

// A bucket of tokens for each id. Buckets begin full and fill again at a steady rate. One that is
// full is not kept, so memory goes with the ids that took something lately. Safe to use from many
// threads at once.
class TokenBuckets final {
 public:
  struct Limit {
    double per_second = 0;  // 0: no limit, and nothing is kept.
    double capacity = 0;
  };

  explicit TokenBuckets(Limit limit);
  TokenBuckets(const TokenBuckets&) = delete;
  TokenBuckets& operator=(const TokenBuckets&) = delete;

  const Limit& limit() const { return limit_; }

  // Takes so many, or all that a full bucket has where it has fewer. Zero when it did; else how
  // long until it would, and nothing is taken.
  absl::Duration TryTake(absl::string_view id, double tokens, absl::Time now);
  // Takes so many, whether they are there or not. A debt is never deeper than a full bucket.
  void Take(absl::string_view id, double tokens, absl::Time now);

  // How many are not full, or were not when they were last looked at.
  size_t size() const;

 private:
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    // When each will be full again: that says all of it.
    absl::flat_hash_map<std::string, absl::Time> full_at;
    size_t sweep_at = 64;
  };

  Shard& ShardOf(absl::string_view id);
  absl::Duration TimeFor(double tokens) const;
  // The time of a bucket that is full already where there is none. REQUIRES: the shard's lock.
  absl::Time& FullAt(Shard& shard, absl::string_view id, absl::Time now) const;

  const Limit limit_;
  std::array<Shard, 16> shards_;
};

}  // namespace authurl
