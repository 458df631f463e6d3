#include "server/serving/rate_limits.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/errors.h"

namespace authurl {
namespace {

TokenBuckets::Limit LimitOf(int per_second) {
  return {.per_second = static_cast<double>(per_second),
          .capacity = 2 * static_cast<double>(per_second)};
}

absl::Status RateLimited(absl::string_view whose, const TokenBuckets& buckets,
                         absl::Duration retry_after) {
  absl::Status status =
      MakeRetryableError(absl::StatusCode::kResourceExhausted, "RATE_LIMITED",
                         absl::StrCat(whose, " may make ", buckets.limit().per_second,
                                      " calls a second (a batch counts for each of its networks); "
                                      "try again a little later"),
                         retry_after);
  AddErrorMetadata(status, "limit_per_second", absl::StrCat(buckets.limit().per_second));
  return status;
}

}  // namespace

RateLimits::RateLimits(Limits limits)
    : keys_(LimitOf(limits.per_key)), organizations_(LimitOf(limits.per_organization)) {}

absl::Status RateLimits::Admit(const Caller& caller, absl::Time now) {
  const absl::Duration key_waits = keys_.TryTake(caller.key_id, 1, now);
  if (key_waits > absl::ZeroDuration()) return RateLimited("An API key", keys_, key_waits);
  if (caller.org_id.empty()) return absl::OkStatus();
  const absl::Duration organization_waits = organizations_.TryTake(caller.org_id, 1, now);
  if (organization_waits == absl::ZeroDuration()) return absl::OkStatus();
  keys_.Take(caller.key_id, -1, now);
  return RateLimited("All API keys of an organisation together", organizations_,
                     organization_waits);
}

void RateLimits::Charge(const Caller& caller, int further_calls, absl::Time now) {
  keys_.Take(caller.key_id, further_calls, now);
  if (!caller.org_id.empty()) organizations_.Take(caller.org_id, further_calls, now);
}

}  // namespace authurl
