// test_time.h: when tests take place.
#pragma once

#include "absl/time/time.h"

namespace authurl::testing {

inline constexpr absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

}  // namespace authurl::testing
