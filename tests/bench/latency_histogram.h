#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace authurl::bench {

// Log-linear histogram of nanoseconds: 64 buckets for each power of two, so a reported value is
// within 1.6 % of the true one at any scale, and memory does not grow with the length of a run.
class LatencyHistogram {
 public:
  void Record(uint64_t nanoseconds) {
    ++buckets_[BucketOf(nanoseconds)];
    ++count_;
  }

  void Merge(const LatencyHistogram& other) {
    for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
  }

  uint64_t count() const { return count_; }

  // The smallest recorded value (to bucket precision) that at least `fraction` of all values do
  // not exceed; 0 when nothing was recorded.
  uint64_t Quantile(double fraction) const {
    if (count_ == 0) return 0;
    const auto rank = std::max<uint64_t>(
        1, static_cast<uint64_t>(std::ceil(fraction * static_cast<double>(count_))));
    uint64_t seen = 0;
    for (size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen >= rank) return MiddleOf(i);
    }
    return MiddleOf(buckets_.size() - 1);
  }

 private:
  static constexpr int kLinearBits = 6;
  static constexpr size_t kSubBuckets = size_t{1} << kLinearBits;

  // Values below 2 * kSubBuckets have a bucket each; above, the top 7 bits select the bucket.
  static size_t BucketOf(uint64_t value) {
    const int shift = std::max(0, static_cast<int>(std::bit_width(value)) - kLinearBits - 1);
    return static_cast<size_t>(shift) * kSubBuckets + static_cast<size_t>(value >> shift);
  }

  static uint64_t MiddleOf(size_t bucket) {
    if (bucket < 2 * kSubBuckets) return bucket;
    const size_t shift = bucket / kSubBuckets - 1;
    const uint64_t low = static_cast<uint64_t>(bucket - shift * kSubBuckets) << shift;
    return low + (uint64_t{1} << shift) / 2;
  }

  std::array<uint64_t, (64 - kLinearBits + 1) * kSubBuckets> buckets_{};
  uint64_t count_ = 0;
};

}  // namespace authurl::bench
