#include "server/flow/refresh_time.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "core/errors.h"
#include "server/flow/refresh_rules.h"
#include "storage/table.h"

namespace authurl {
namespace {

using catalog::v1::Network;
using catalog::v1::Refresh;
using record::v1::Grant;

constexpr absl::Duration kClocksDiffer = absl::Minutes(10);

// The part of a grant's time after which it is refreshed: around the half.
double PartToRefreshAt(const RandomSource& random) {
  std::array<uint8_t, 2> bytes = {};
  random(bytes);
  return 0.4 + 0.2 * (256 * bytes[0] + bytes[1]) / 65536;
}

// More than clocks of several servers differ.
bool IsFromTheFuture(const Grant& grant, absl::Time now) {
  return absl::FromUnixMillis(grant.updated_at_ms()) > now + kClocksDiffer;
}

// When a grant whose tokens are of the time `since` dies if nobody refreshes it, and a refresh
// prolongs it.
absl::Time EndUnused(const Refresh& refresh, std::optional<absl::Time> access_end,
                     std::optional<absl::Time> refresh_end, absl::Time since) {
  absl::Time end = absl::InfiniteFuture();
  if (refresh.rotation() == Refresh::ROTATION_NO_REFRESH_TOKEN) {
    end = access_end.value_or(end);
  } else if (!refresh.lifetime_from_consent()) {
    if (refresh_end) {
      end = *refresh_end;
    } else if (refresh.refresh_token_lifetime_s() != 0) {
      end = since + absl::Seconds(refresh.refresh_token_lifetime_s());
    }
  }
  if (refresh.idle_lifetime_s() != 0) {
    end = std::min(end, since + absl::Seconds(refresh.idle_lifetime_s()));
  }
  return end;
}

// Where the refresh before did not prolong it, halves of what is left would never come to an end.
absl::Duration ShortestPause(const Refresh& refresh) {
  return std::max({kLongRefreshPause, absl::Seconds(refresh.min_age_s()),
                   absl::Seconds(refresh.min_interval_s())});
}

std::optional<absl::Time> TimeOf(int64_t unix_ms) {
  if (unix_ms == 0) return std::nullopt;
  return absl::FromUnixMillis(unix_ms);
}

absl::Time EndUnused(const Refresh& refresh, const Grant& grant) {
  return EndUnused(refresh, TimeOf(grant.access_token_expires_at_ms()),
                   TimeOf(grant.refresh_token_expires_at_ms()),
                   absl::FromUnixMillis(grant.updated_at_ms()));
}

// Whether it was refreshed, or put off, by a clock that was ahead: it is to be refreshed now.
// `network` may be null.
bool HasWrongTimes(const Network* network, const Grant& grant, absl::Time now) {
  if (IsFromTheFuture(grant, now)) return true;
  if (network == nullptr || grant.due_at_ms() == kNeverDue) return false;
  const Refresh& refresh = network->refresh();
  const absl::Time since = absl::FromUnixMillis(grant.updated_at_ms());
  const absl::Time end = EndUnused(refresh, grant);
  // Nothing is ever put off until it is dead.
  return absl::FromUnixMillis(grant.due_at_ms()) > std::max(end, since + ShortestPause(refresh));
}

absl::Duration PauseForMending(const Refresh& refresh, const Grant& grant, int failures,
                               absl::Time now) {
  const absl::Duration longer =
      std::min(kLongRefreshPause * (1 << std::clamp(failures, 0, 10)), kLongestRefreshPause);
  return std::max(kLongRefreshPause, std::min(longer, (EndUnused(refresh, grant) - now) / 2));
}

}  // namespace

std::optional<absl::Time> NextRefresh(const Network& network, const TokenSet& tokens,
                                      absl::Time now, const RandomSource& random) {
  if (!CanRefresh(network, tokens)) return std::nullopt;
  const absl::Time end = EndUnused(network.refresh(), tokens.access_token_expires_at,
                                   tokens.refresh_token_expires_at, now);
  if (end == absl::InfiniteFuture()) return std::nullopt;
  return now + std::max((end - now) * PartToRefreshAt(random), ShortestPause(network.refresh()));
}

bool IsDue(const Network* network, const Grant& grant, absl::Time now) {
  const std::optional<absl::Time> due_at = DueAtOf(grant);
  if (grant.disconnected_at_ms() != 0 || !due_at) return false;
  return *due_at <= now || HasWrongTimes(network, grant, now);
}

std::optional<absl::Time> DueAtOf(const Grant& grant) {
  if (grant.due_at_ms() == kNeverDue) return std::nullopt;
  return absl::FromUnixMillis(grant.due_at_ms());
}

std::optional<absl::Time> DueAfterFailure(const Network& network, const Grant& grant,
                                          const absl::Status& error, int failures, absl::Time now) {
  const std::optional<absl::Time> due_at = DueAtOf(grant);
  if (!due_at) return std::nullopt;
  const bool is_wrong = HasWrongTimes(&network, grant, now);
  const absl::Duration pause =
      absl::IsFailedPrecondition(error)
          ? PauseForMending(network.refresh(), grant, failures, now)
          : std::max(kShortRefreshPause, RetryAfterOf(error).value_or(absl::ZeroDuration()));
  return is_wrong ? now + pause : std::max(*due_at, now + pause);
}

bool HasEnded(const Network& network, const Grant& grant, absl::Time now) {
  const std::optional<absl::Time> access_end = TimeOf(grant.access_token_expires_at_ms());
  return access_end && *access_end <= now && EndUnused(network.refresh(), grant) <= now;
}

void AssumeRefreshEnd(const Refresh& refresh, const OpenedGrant& before, absl::Time now,
                      TokenSet& tokens) {
  if (refresh.rotation() != Refresh::ROTATION_SOMETIMES ||
      refresh.refresh_token_lifetime_s() == 0 || refresh.lifetime_from_consent()) {
    return;
  }
  const absl::Duration life = absl::Seconds(refresh.refresh_token_lifetime_s());
  const TokenSet& old = before.tokens;
  const bool is_same = tokens.refresh_token == old.refresh_token;
  const bool is_told = tokens.refresh_token_expires_at &&
                       tokens.refresh_token_expires_at != old.refresh_token_expires_at;
  if (is_same && !is_told && IsFromTheFuture(before.grant, now)) {
    // It came while the clock was ahead: when that was, nobody knows.
    tokens.refresh_token_expires_at = now + life / 2;
  } else if (!tokens.refresh_token_expires_at) {
    const absl::Time since = is_same ? absl::FromUnixMillis(before.grant.updated_at_ms()) : now;
    tokens.refresh_token_expires_at = since + life;
  }
}

}  // namespace authurl
