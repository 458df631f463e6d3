// eventually.h: waiting for what another process or thread will do.
#pragma once

#include <chrono>
#include <thread>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace authurl::testing {

// Long enough for the slowest machine under a sanitizer; a test that passes never waits that long.
inline constexpr absl::Duration kPatience = absl::Seconds(30);

// Asks again and again until `condition()` holds. Whether it came to hold in time.
template <typename Condition>
bool Eventually(Condition condition, absl::Duration timeout = kPatience) {
  const absl::Time deadline = absl::Now() + timeout;
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace authurl::testing
