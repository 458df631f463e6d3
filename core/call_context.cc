#include "core/call_context.h"

#include "absl/time/clock.h"
#include "core/errors.h"

namespace authurl {

const CallContext& CallContext::Background() {
  static const CallContext& background = *new CallContext(absl::InfiniteFuture());
  return background;
}

namespace {

absl::Status Cancelled() {
  return MakeError(absl::StatusCode::kCancelled, "CALL_CANCELLED", "The caller has gone away");
}

absl::Status DeadlineExceeded() {
  return MakeError(absl::StatusCode::kDeadlineExceeded, "DEADLINE_EXCEEDED",
                   "The deadline passed while the call was waiting");
}

}  // namespace

absl::Status CallContext::Check() const {
  if (cancelled()) return Cancelled();
  if (deadline_ != absl::InfiniteFuture() && absl::Now() > deadline_) {
    return DeadlineExceeded();
  }
  return absl::OkStatus();
}

absl::Status CallContext::WhyEnded() const {
  // A caller whose deadline has passed is gone because of it. One who has not gone: the clock was
  // put back meanwhile.
  const bool in_time = absl::Now() <= deadline_;
  return cancelled() && in_time ? Cancelled() : DeadlineExceeded();
}

}  // namespace authurl
