// insist.h: what must not be lost is tried again while the store can't be reached.
#pragma once

#include <algorithm>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/call_context.h"

namespace authurl {

// How long it is tried to store what a network gave and gives once only.
inline constexpr absl::Duration kStoring = absl::Seconds(10);

// What `act` gives, which is called again while that is UNAVAILABLE, for kStoring at most. That
// holds a thread up; of what the others wait for nothing can be done either, as long as it lasts.
template <typename Value>
absl::StatusOr<Value> Insist(const CallContext& context,
                             absl::FunctionRef<absl::StatusOr<Value>()> act) {
  constexpr absl::Duration kLongestPause = absl::Seconds(1);
  absl::Duration pause = absl::Milliseconds(50);
  absl::Duration paused;
  while (true) {
    absl::StatusOr<Value> result = act();
    const bool is_for_now = absl::IsUnavailable(result.status());
    if (!is_for_now || paused >= kStoring || !context.Check().ok()) return result;
    absl::SleepFor(pause);
    paused += pause;
    pause = std::min(2 * pause, kLongestPause);
  }
}

}  // namespace authurl
