// detached_call.h: calls whose work is done though their callers go away
// (server/serving/detached_work.h), as handlers begin them.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/call_context.h"
#include "server/serving/admission.h"
#include "server/serving/api_keys.h"
#include "server/serving/detached_work.h"
#include "server/serving/method.h"

namespace authurl {

// Work that is done though its caller goes away. `begin` is called once, and told whether anybody
// waits still; what it hands over is the answer.
template <typename Response>
void DoDetached(
    Admission& admission, const Caller& caller, ResponseCompletion<Response> completion,
    absl::AnyInvocable<void(std::shared_ptr<const CallContext>, std::function<bool()> is_wanted,
                            absl::AnyInvocable<void(absl::StatusOr<Response>)> done)>
        begin) {
  auto answer = std::make_shared<absl::StatusOr<Response>>(absl::InternalError("no answer"));
  auto waiting = std::make_shared<ResponseCompletion<Response>>(std::move(completion));
  auto work = std::make_shared<DetachedWork>(admission, caller.context->request_id(),
                                             [answer, waiting](const absl::Status& status) {
                                               (*waiting)(status.ok() ? *answer : status);
                                             });
  auto is_wanted = std::make_shared<std::atomic<bool>>(true);
  waiting->WhenCallerGoes([is_wanted, weak = std::weak_ptr(work)] {
    is_wanted->store(false);
    if (const auto going_on = weak.lock()) going_on->StopWaiting(absl::CancelledError());
  });
  begin(
      std::shared_ptr<const CallContext>(work, &work->context()),
      [is_wanted] { return is_wanted->load(); },
      [work, answer](absl::StatusOr<Response> response) {
        *answer = std::move(response);
        work->End(absl::OkStatus());
      });
}

}  // namespace authurl
