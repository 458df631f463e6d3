#include "server/flow/refusal_doubts.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"

namespace authurl {
namespace {

// Beyond it all doubts are forgotten: an outage that large makes them all new anyway.
constexpr size_t kMaxDoubts = 10'000;
// Never leaves the process: callers get google.rpc's details only.
constexpr absl::string_view kDoubtedUrl = "authurl/doubted";

}  // namespace

std::map<RefusalDoubts::GrantKey, RefusalDoubts::Doubted>::iterator RefusalDoubts::Remember(
    const GrantKey& key, uint64_t generation, absl::Time now, std::map<GrantKey, Doubted>& all) {
  if (all.size() >= kMaxDoubts && !all.contains(key)) all.clear();
  const auto found = all.try_emplace(key, Doubted{generation, now}).first;
  if (found->second.generation != generation) found->second = {generation, now};
  return found;
}

absl::Duration RefusalDoubts::Refused(const std::string& network, const GrantKey& key,
                                      uint64_t generation) {
  const absl::Time now = steady_();
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = Remember(key, generation, now, doubts_);
  const absl::Time since = found->second.since;
  const absl::Duration age = now - since;
  const auto worked_at = worked_at_.find(network);
  const bool works = worked_at != worked_at_.end() && worked_at->second > since;
  if (age < (works ? kDoubt : kLongestDoubt)) return std::clamp(age, kDoubt, kLongestDoubtPause);
  doubts_.erase(found);
  return absl::ZeroDuration();
}

bool RefusalDoubts::IsOver(const GrantKey& key, uint64_t generation) {
  const absl::Time now = steady_();
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = Remember(key, generation, now, ended_);
  if (now - found->second.since < kDoubtOfEnd) return false;
  ended_.erase(found);
  return true;
}

void RefusalDoubts::NetworkWorks(const std::string& network) {
  const absl::Time now = steady_();
  const std::lock_guard<std::mutex> lock(mutex_);
  worked_at_[network] = now;
}

void RefusalDoubts::Forget(const GrantKey& key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  doubts_.erase(key);
  ended_.erase(key);
}

absl::Status AsDoubted(absl::Status status) {
  status.SetPayload(kDoubtedUrl, absl::Cord());
  return status;
}

bool IsDoubted(const absl::Status& status) { return status.GetPayload(kDoubtedUrl).has_value(); }

}  // namespace authurl
