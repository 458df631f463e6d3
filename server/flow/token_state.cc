#include "server/flow/token_state.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "server/flow/refresh_rules.h"

namespace authurl {
namespace {

using catalog::v1::Network;
using catalog::v1::Refresh;
using record::v1::Grant;

std::optional<absl::Time> EndOf(const Grant& grant) {
  if (grant.access_token_expires_at_ms() == 0) return std::nullopt;
  return absl::FromUnixMillis(grant.access_token_expires_at_ms());
}

}  // namespace

absl::Time FirstRefresh(const Refresh& refresh, const Grant& grant) {
  const bool was_refreshed = !grant.refreshed_by().empty();
  const uint32_t pause_s =
      std::max(refresh.min_age_s(), was_refreshed ? refresh.min_interval_s() : 0);
  // Also where the clock was put back since.
  if (pause_s == 0) return absl::InfinitePast();
  return absl::FromUnixMillis(grant.updated_at_ms()) + absl::Seconds(pause_s);
}

bool TokenHasEnded(const Grant& grant, const WantedToken& wanted, absl::Time now) {
  const std::optional<absl::Time> end = EndOf(grant);
  return wanted.refused_generation == grant.generation() || (end && *end <= now);
}

TokenState StateOf(const Network* network, const Grant& grant, const WantedToken& wanted,
                   absl::Time now) {
  const std::optional<absl::Time> end = EndOf(grant);
  const bool has_ended = TokenHasEnded(grant, wanted, now);
  if (!has_ended) {
    if (!end) return TokenState::kGood;
    const absl::Duration life = *end - absl::FromUnixMillis(grant.updated_at_ms());
    if (*end - now >= std::min(wanted.min_validity, life / 2)) return TokenState::kGood;
  }
  if (network == nullptr || !CanRefresh(*network, grant.has_refresh_token())) {
    return has_ended ? TokenState::kEnded : TokenState::kGood;
  }
  if (now < FirstRefresh(network->refresh(), grant)) {
    return has_ended ? TokenState::kToWait : TokenState::kGood;
  }
  return TokenState::kToRefresh;
}

}  // namespace authurl
