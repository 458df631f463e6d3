// random_numbers.h: numbers that are the same in every run, quickly made from an index.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

namespace authurl::bench {

// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
class SplitMix final {
 public:
  explicit SplitMix(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  // In [0, 1).
  double NextFraction() { return static_cast<double>(Next() >> 11) * 0x1p-53; }

  // For functions that take a core/crypto/crypto.h RandomSource. Not for secrets that matter.
  void Fill(std::span<uint8_t> out) {
    for (uint8_t& byte : out) byte = static_cast<uint8_t>(Next() >> 56);
  }

 private:
  uint64_t state_;
};

// Ranks 1 to `count` with a probability proportional to 1 / rank: Zipf's law with exponent 1. By
// rejection inversion (Hörmann, Derflinger: "Rejection-inversion to generate variates from monotone
// discrete distributions", 1996), without a table.
class Zipf final {
 public:
  // REQUIRES: count > 0.
  explicit Zipf(uint64_t count)
      : count_(static_cast<double>(count)),
        low_(std::log(1.5) - 1),
        high_(std::log(count_ + 0.5)),
        accepted_(2 - std::exp(std::log(2.5) - 0.5)) {}

  uint64_t Rank(SplitMix& random) const {
    while (true) {
      const double u = high_ + random.NextFraction() * (low_ - high_);
      const double x = std::exp(u);
      const double rank = std::clamp(std::round(x), 1.0, count_);
      if (rank - x <= accepted_ || u >= std::log(rank + 0.5) - 1 / rank) {
        return static_cast<uint64_t>(rank);
      }
    }
  }

 private:
  double count_;
  double low_;
  double high_;
  double accepted_;
};

}  // namespace authurl::bench
