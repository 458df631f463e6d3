#include "server/outbound/circuit_breaker.h"

#include <algorithm>

namespace authurl {

CircuitBreaker::Entry CircuitBreaker::Begin(absl::Time now, const BreakerOptions& options) {
  if (is_closed()) return Entry::kOrdinary;
  // A clock that was put back must not keep it open for as long.
  open_until_ = std::min(open_until_, now + options.longest_pause);
  if (is_probed_ || now < open_until_) return Entry::kRefused;
  is_probed_ = true;
  return Entry::kProbe;
}

void CircuitBreaker::End(Entry entry, HostResult result, absl::Time now,
                         const BreakerOptions& options) {
  if (entry == Entry::kProbe) {
    is_probed_ = false;
    if (result == HostResult::kWorks) *this = CircuitBreaker();
    if (result == HostResult::kFails) {
      pause_ = std::min(2 * pause_, options.longest_pause);
      open_until_ = now + pause_;
    }
    return;
  }
  if (!is_closed()) return;
  if (result == HostResult::kWorks) failures_ = 0;
  if (result == HostResult::kFails && ++failures_ >= options.failures_to_open) {
    pause_ = options.first_pause;
    open_until_ = now + pause_;
  }
}

absl::Duration CircuitBreaker::TimeToProbe(absl::Time now) const {
  return std::clamp(open_until_ - now, std::min(absl::Seconds(1), pause_), pause_);
}

CircuitBreakers::Beginning CircuitBreakers::Begin(absl::string_view network, absl::string_view host,
                                                  absl::Time now) {
  const std::lock_guard lock(mutex_);
  const auto found = breakers_.find(Key(network, host));
  if (found == breakers_.end()) return {};
  CircuitBreaker& breaker = found->second;
  return {.entry = breaker.Begin(now, options_), .retry_after = breaker.TimeToProbe(now)};
}

bool CircuitBreakers::End(absl::string_view network, absl::string_view host,
                          CircuitBreaker::Entry entry, HostResult result, absl::Time now) {
  const std::lock_guard lock(mutex_);
  Key key(network, host);
  auto found = breakers_.find(key);
  if (found == breakers_.end()) {
    if (result != HostResult::kFails) return false;
    // Any one has to go. Who fills this with failing hosts makes it forget others that fail.
    if (breakers_.size() >= max_kept_) Forget(breakers_.begin());
    found = breakers_.try_emplace(std::move(key)).first;
  }
  CircuitBreaker& breaker = found->second;
  const bool was_closed = breaker.is_closed();
  breaker.End(entry, result, now, options_);
  if (was_closed && !breaker.is_closed()) {
    listener_(network, +1);
    return true;
  }
  if (!was_closed && breaker.is_closed()) listener_(network, -1);
  if (breaker.has_no_failures()) breakers_.erase(found);
  return false;
}

size_t CircuitBreakers::size() const {
  const std::lock_guard lock(mutex_);
  return breakers_.size();
}

void CircuitBreakers::Forget(Breakers::iterator breaker) {
  if (!breaker->second.is_closed()) listener_(breaker->first.first, -1);
  breakers_.erase(breaker);
}

}  // namespace authurl
