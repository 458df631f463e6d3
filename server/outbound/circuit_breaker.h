// circuit_breaker.h: leaves a host alone that fails again and again, so that calls to it don't wait
// for nothing and it has peace to recover.
//
// Closed, calls go through. After so many failures in a row it opens: calls are refused for a
// while. Then one call may try; its success closes the breaker, its failure opens it again for
// twice as long.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace authurl {

struct BreakerOptions {
  // In a row, without a success in between.
  int failures_to_open = 10;
  absl::Duration first_pause = absl::Seconds(5);
  absl::Duration longest_pause = absl::Minutes(1);
};

// What a call says about its host. kNothing: the caller gave up, or we did for a reason of ours.
enum class HostResult : uint8_t { kWorks, kFails, kNothing };

// One host's. Not safe to use without a lock.
class CircuitBreaker final {
 public:
  // Whether a call may begin, and as what.
  enum class Entry : uint8_t { kOrdinary, kProbe, kRefused };

  // Each entry but kRefused is answered by one End().
  Entry Begin(absl::Time now, const BreakerOptions& options);
  // What began before the breaker opened no longer counts.
  void End(Entry entry, HostResult result, absl::Time now, const BreakerOptions& options);

  bool is_closed() const { return pause_ == absl::ZeroDuration(); }
  // It is as good as new.
  bool has_no_failures() const { return is_closed() && failures_ == 0; }
  // When a refused call makes sense again; never more than the pause, wherever the clock was put.
  absl::Duration TimeToProbe(absl::Time now) const;

 private:
  int failures_ = 0;
  absl::Duration pause_ = absl::ZeroDuration();  // Not zero while open or being probed.
  absl::Time open_until_ = absl::InfinitePast();
  bool is_probed_ = false;
};

// A breaker for each host of each network. Only those that have failures are kept, and at most so
// many: strangers can't make it grow, only forget. Safe to use from many threads at once.
class CircuitBreakers final {
 public:
  // A breaker of this network has opened (+1) or is gone or closed (-1). Called under the lock.
  using Listener = std::function<void(absl::string_view network, int change)>;

  struct Beginning {
    CircuitBreaker::Entry entry = CircuitBreaker::Entry::kOrdinary;
    absl::Duration retry_after;  // Where refused.
  };

  CircuitBreakers(BreakerOptions options, size_t max_kept, Listener listener)
      : options_(options), max_kept_(max_kept), listener_(std::move(listener)) {}
  CircuitBreakers(const CircuitBreakers&) = delete;
  CircuitBreakers& operator=(const CircuitBreakers&) = delete;

  // Each but a refused one is answered by one End().
  Beginning Begin(absl::string_view network, absl::string_view host, absl::Time now);
  // Whether the breaker opened by this.
  bool End(absl::string_view network, absl::string_view host, CircuitBreaker::Entry entry,
           HostResult result, absl::Time now);

  size_t size() const;

 private:
  using Key = std::pair<std::string, std::string>;
  using Breakers = absl::flat_hash_map<Key, CircuitBreaker>;

  void Forget(Breakers::iterator breaker);

  const BreakerOptions options_;
  const size_t max_kept_;
  const Listener listener_;
  mutable std::mutex mutex_;
  Breakers breakers_;  // Guarded by mutex_.
};

}  // namespace authurl
