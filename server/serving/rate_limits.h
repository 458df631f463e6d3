// rate_limits.h: how many calls an API key and an organisation may make.
//
// They are for who is authenticated: a stranger who knows a key's id, which stands in logs, must
// not be able to use up what its owner has.
#pragma once

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/serving/api_keys.h"
#include "server/system/token_buckets.h"

namespace authurl {

// Safe to use from many threads at once.
class RateLimits final {
 public:
  // Calls a second, in the long run; twice as many at once. 0: no limit.
  struct Limits {
    int per_key = 0;
    int per_organization = 0;
  };

  explicit RateLimits(Limits limits);

  // One call more. RESOURCE_EXHAUSTED RATE_LIMITED, with when to try again; what was refused is not
  // counted. A key of no organisation has its own limit only.
  absl::Status Admit(const Caller& caller, absl::Time now);
  // That a call was worth so many more. It was served, so later ones pay for it.
  void Charge(const Caller& caller, int further_calls, absl::Time now);

 private:
  TokenBuckets keys_;
  TokenBuckets organizations_;
};

}  // namespace authurl
