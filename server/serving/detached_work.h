// detached_work.h: work that, once begun, is done though whoever asked for it goes away. What a
// network gives only once (it takes a code, a refresh token) must not be lost with a closed tab.
//
//   auto work = std::make_shared<DetachedWork>(admission, request_id, [done](absl::Status status) {
//     done(status);                                    // the waiter: called once
//   });
//   completion.WhenCallerGoes([weak = std::weak_ptr(work)] {
//     if (const auto work = weak.lock()) work->StopWaiting(…);
//   });
//   Exchange(code, work->context(), [work](absl::Status status) { work->End(status); });
//
// Only the work itself holds on to the DetachedWork until its end: then one that is given up
// without an end is noticed.
#pragma once

#include <mutex>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/call_context.h"
#include "server/serving/admission.h"

namespace authurl {

// Safe to use from many threads at once. The server that stops waits for it: `admission` counts it,
// from its making to End(), or to its destruction where End() is never called.
class DetachedWork final {
 public:
  // The whole of a flow: three calls to a network at the most, each of which is given up earlier.
  static constexpr absl::Duration kTimeLimit = absl::Seconds(20);

  // Called once, on the thread that ends the work or the waiting: with how the work ended, or why
  // nobody waits for it.
  using Waiter = absl::AnyInvocable<void(absl::Status)>;

  // REQUIRES: a call that `admission` has let in has not left yet. `admission` outlives this.
  DetachedWork(Admission& admission, std::string request_id, Waiter waiter,
               absl::Duration time_limit = kTimeLimit);
  // Where the work was given up without an end: INTERNAL.
  ~DetachedWork();
  DetachedWork(const DetachedWork&) = delete;
  DetachedWork& operator=(const DetachedWork&) = delete;

  // The work's own: nobody's going away cancels it; it ends with the time limit.
  const CallContext& context() const { return context_; }

  // The work has ended. Only the first call counts.
  void End(absl::Status status);
  // The waiter gets `why`, and the work goes on. Nothing where the work has ended.
  void StopWaiting(absl::Status why);

 private:
  // The waiter, for whoever comes first.
  Waiter TakeWaiter();

  Admission& admission_;
  const CallContext context_;
  std::mutex mutex_;
  Waiter waiter_;       // Guarded by mutex_; empty once it was taken.
  bool ended_ = false;  // Guarded by mutex_.
};

}  // namespace authurl
