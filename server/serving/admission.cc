#include "server/serving/admission.h"

#include <chrono>

namespace authurl {
namespace {

constexpr int64_t kClosed = 1;
constexpr int64_t kOneInside = 2;

bool IsClosed(int64_t state) { return (state & kClosed) != 0; }

}  // namespace

bool Admission::TryEnter() {
  if (!IsClosed(state_.fetch_add(kOneInside))) return true;
  Leave();
  return false;
}

void Admission::EnterBesideAnother() { state_.fetch_add(kOneInside); }

void Admission::Leave() {
  const int64_t state = state_.fetch_sub(kOneInside) - kOneInside;
  if (state != kClosed) return;
  // The lock makes sure that who is about to wait has not yet looked, or waits already.
  const std::lock_guard<std::mutex> lock(mutex_);
  empty_.notify_all();
}

void Admission::Close() { state_.fetch_or(kClosed); }

bool Admission::WaitUntilEmpty(absl::Duration timeout) {
  std::unique_lock<std::mutex> lock(mutex_);
  return empty_.wait_for(lock, absl::ToChronoNanoseconds(timeout),
                         [this] { return state_.load() < kOneInside; });
}

}  // namespace authurl
