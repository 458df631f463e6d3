#include "server/flow/refusal_doubts.h"

#include <algorithm>
#include <cstddef>

namespace authurl {
namespace {

// Beyond it all doubts are forgotten: an outage that large makes them all new anyway.
constexpr size_t kMaxDoubts = 10'000;

}  // namespace

absl::Duration RefusalDoubts::Refused(const std::string& network, const GrantKey& key,
                                      uint64_t generation) {
  const absl::Time now = steady_();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (doubts_.size() >= kMaxDoubts && !doubts_.contains(key)) doubts_.clear();
  const auto [found, is_new] = doubts_.try_emplace(key, Doubted{generation, now});
  Doubted& doubted = found->second;
  if (doubted.generation != generation) doubted = {generation, now};
  const absl::Duration age = now - doubted.since;
  const auto worked_at = worked_at_.find(network);
  const bool works = worked_at != worked_at_.end() && worked_at->second > doubted.since;
  if (age < (works ? kDoubt : kLongestDoubt)) return std::clamp(age, kDoubt, kLongestDoubtPause);
  doubts_.erase(found);
  return absl::ZeroDuration();
}

void RefusalDoubts::NetworkWorks(const std::string& network) {
  const absl::Time now = steady_();
  const std::lock_guard<std::mutex> lock(mutex_);
  worked_at_[network] = now;
}

void RefusalDoubts::Forget(const GrantKey& key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  doubts_.erase(key);
}

}  // namespace authurl
