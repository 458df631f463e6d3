// clock.h: the time, passed in so that tests can choose it.
#pragma once

#include <chrono>
#include <functional>

#include "absl/time/time.h"

namespace authurl {

using Clock = std::function<absl::Time()>;

// A time that nobody puts back or forward. It begins anywhere: good for differences only.
inline absl::Time SteadyNow() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace authurl
