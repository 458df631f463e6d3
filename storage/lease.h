// lease.h: when a lease that is stored with a time still keeps others away.
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace authurl {

// Whether a lease of `length` that ends at `until_ms` (milliseconds since the Unix epoch) is held
// at `now`. One that ends later than two of its lengths from now was taken by a clock that was
// ahead: whoever took it may be gone, and it would keep all others away for as long as that clock
// was ahead. Clocks of two processes may differ by one length.
inline bool IsLeaseHeld(int64_t until_ms, absl::Duration length, absl::Time now) {
  const absl::Time until = absl::FromUnixMillis(until_ms);
  return now < until && until <= now + 2 * length;
}

}  // namespace authurl
