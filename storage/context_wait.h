// context_wait.h: waiting on a condition variable for no longer than somebody waits for the result.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/call_context.h"

namespace authurl {

// Waits until `ready` or until the context has ended. Returns whether it is ready. That a caller
// has gone away is noticed within a tenth of a second: a context wakes nobody.
template <typename Ready>
bool WaitFor(std::condition_variable& woken, std::unique_lock<std::mutex>& lock,
             const CallContext& context, Ready ready) {
  constexpr absl::Duration kLook = absl::Milliseconds(100);
  while (!ready()) {
    if (&context == &CallContext::Background()) {
      woken.wait(lock, ready);
      return true;
    }
    if (!context.Check().ok()) return false;
    const absl::Duration left = context.deadline() - absl::Now();
    woken.wait_for(lock, absl::ToChronoNanoseconds(std::min(kLook, left)));
  }
  return true;
}

}  // namespace authurl
