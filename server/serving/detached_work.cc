#include "server/serving/detached_work.h"

namespace authurl {

DetachedWork::DetachedWork(Admission& admission, std::string request_id, Waiter waiter,
                           absl::Duration time_limit)
    : admission_(admission),
      context_(absl::Now() + time_limit, std::move(request_id)),
      waiter_(std::move(waiter)) {
  admission_.EnterBesideAnother();
}

DetachedWork::~DetachedWork() { End(absl::InternalError("the work was given up without an end")); }

void DetachedWork::End(absl::Status status) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (std::exchange(ended_, true)) return;
  }
  if (Waiter waiter = TakeWaiter()) waiter(std::move(status));
  admission_.Leave();
}

void DetachedWork::StopWaiting(absl::Status why) {
  if (Waiter waiter = TakeWaiter()) waiter(std::move(why));
}

DetachedWork::Waiter DetachedWork::TakeWaiter() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(waiter_, nullptr);
}

}  // namespace authurl
