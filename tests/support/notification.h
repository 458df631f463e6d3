// notification.h: what happens once, and others wait for.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>

#include "absl/time/time.h"

namespace authurl::testing {

// As absl::Notification; but Abseil comes without the thread sanitizer, which would take all that
// is handed over by its own for races (tests/tsan.supp). Safe to use from many threads at once.
class Notification final {
 public:
  Notification() = default;
  // Waits until whoever notified has let go of it.
  ~Notification() { const std::lock_guard<std::mutex> lock(mutex_); }
  Notification(const Notification&) = delete;
  Notification& operator=(const Notification&) = delete;

  // To be called once: ends the test where it comes twice.
  void Notify() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (has_been_notified_) std::abort();
    has_been_notified_ = true;
    notified_.notify_all();
  }
  bool HasBeenNotified() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return has_been_notified_;
  }
  void WaitForNotification() const {
    std::unique_lock<std::mutex> lock(mutex_);
    notified_.wait(lock, [this] { return has_been_notified_; });
  }
  // Whether it came in time.
  bool WaitForNotificationWithTimeout(absl::Duration timeout) const {
    std::unique_lock<std::mutex> lock(mutex_);
    return notified_.wait_for(lock, absl::ToChronoMilliseconds(timeout),
                              [this] { return has_been_notified_; });
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable notified_;
  bool has_been_notified_ = false;  // Guarded by mutex_.
};

}  // namespace authurl::testing
