#include "server/admission.h"

#include <chrono>

namespace authurl {

bool Admission::TryEnter() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) return false;
  ++inside_;
  return true;
}

void Admission::Leave() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (--inside_ == 0 && closed_) empty_.notify_all();
}

void Admission::Close() {
  const std::lock_guard<std::mutex> lock(mutex_);
  closed_ = true;
}

bool Admission::WaitUntilEmpty(absl::Duration timeout) {
  std::unique_lock<std::mutex> lock(mutex_);
  return empty_.wait_for(lock, absl::ToChronoNanoseconds(timeout), [this] { return inside_ == 0; });
}

}  // namespace authurl
