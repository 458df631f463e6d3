#include "server/outbound/call_limits.h"

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"

namespace authurl {
namespace {

constexpr absl::string_view kZero("\0", 1);

// Of a call to the host, of the organisation, and of both.
std::array<std::string, 3> KeysOf(absl::string_view network, absl::string_view host,
                                  absl::string_view org_id) {
  std::string to_host = absl::StrCat(network, kZero, host);
  if (org_id.empty()) return {std::move(to_host), "", ""};
  std::string of_both = absl::StrCat(to_host, kZero, org_id);
  return {std::move(to_host), absl::StrCat(kZero, org_id), std::move(of_both)};
}

}  // namespace

CallLimit CallLimits::TryEnter(absl::string_view network, absl::string_view host,
                               absl::string_view org_id) {
  const std::array<std::string, 3> keys = KeysOf(network, host, org_id);
  const std::pair<int, CallLimit> limits[] = {
      {limits_.per_host, CallLimit::kHost},
      {limits_.per_organization, CallLimit::kOrganization},
      {limits_.per_host_and_organization, CallLimit::kOrganization}};
  const std::lock_guard lock(mutex_);
  if (all_ >= limits_.all) return CallLimit::kAll;
  for (size_t i = 0; i < keys.size(); ++i) {
    const auto found = calls_.find(keys[i]);
    if (found != calls_.end() && found->second >= limits[i].first) return limits[i].second;
  }
  ++all_;
  for (const std::string& key : keys) {
    if (!key.empty()) ++calls_[key];
  }
  return CallLimit::kNone;
}

void CallLimits::Leave(absl::string_view network, absl::string_view host,
                       absl::string_view org_id) {
  const std::lock_guard lock(mutex_);
  --all_;
  for (const std::string& key : KeysOf(network, host, org_id)) {
    const auto found = calls_.find(key);
    if (found != calls_.end() && --found->second == 0) calls_.erase(found);
  }
}

int CallLimits::under_way() const {
  const std::lock_guard lock(mutex_);
  return all_;
}

size_t CallLimits::size() const {
  const std::lock_guard lock(mutex_);
  return calls_.size();
}

}  // namespace authurl
