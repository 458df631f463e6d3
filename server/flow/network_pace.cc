#include "server/flow/network_pace.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace authurl {
namespace {

// For what waits for another call to end, which tells it so.
constexpr absl::Duration kUntilOneEnds = absl::Minutes(1);
// Instances that failed and are gone are forgotten at last.
constexpr size_t kMaxPacedNetworks = 10'000;

}  // namespace

// One at a time, without a burst: so many a second are as many in any second.
NetworkPace::NetworkPace(const Options& options, Clock clock)
    : options_(options),
      clock_(std::move(clock)),
      rate_({.per_second = options.per_second, .capacity = 1}) {}

std::string NetworkPace::NameOf(absl::string_view network, absl::string_view instance) {
  return instance.empty() ? std::string(network) : absl::StrCat(network, " ", instance);
}

absl::Duration NetworkPace::TryBegin(const std::string& name) {
  const absl::Time now = clock_();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (networks_.size() >= kMaxPacedNetworks && !networks_.contains(name)) {
    std::erase_if(networks_, [](const auto& entry) { return entry.second.under_way == 0; });
  }
  Network& network = networks_[name];
  if (now < network.paused_until) return network.paused_until - now;
  const bool is_tried = network.failures >= kFailuresToPause;
  if (network.under_way >= (is_tried ? 1 : options_.max_under_way)) return kUntilOneEnds;
  const absl::Duration wait = rate_.TryTake(name, 1, now);
  if (wait == absl::ZeroDuration()) {
    ++network.under_way;
  } else if (network.under_way == 0 && network.failures == 0) {
    networks_.erase(name);
  }
  return wait;
}

void NetworkPace::End(const std::string& name, Result result, int requests) {
  const absl::Time now = clock_();
  if (requests > 1) rate_.Take(name, requests - 1, now);
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = networks_.find(name);
  if (found == networks_.end()) return;
  Network& network = found->second;
  network.under_way = std::max(network.under_way - 1, 0);
  if (result == Result::kWorks) {
    network.failures = 0;
    network.pause = absl::ZeroDuration();
    network.paused_until = absl::InfinitePast();
  } else if (result == Result::kFails) {
    ++network.failures;
    // Those that were under way when it was paused are no news.
    if (network.failures >= kFailuresToPause && now >= network.paused_until) {
      network.pause = std::clamp(2 * network.pause, kFirstPause, kLongestPause);
      network.paused_until = now + network.pause;
    }
  }
  if (network.under_way == 0 && network.failures == 0) networks_.erase(found);
}

bool NetworkPace::IsPaused(const std::string& name) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = networks_.find(name);
  return found != networks_.end() && found->second.failures >= kFailuresToPause;
}

}  // namespace authurl
