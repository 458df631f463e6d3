// under_way.h: how much of somebody's work is under way on other threads, so that it is bounded and
// that who owns what the work uses can wait for its end.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <mutex>

#include "absl/time/time.h"

namespace authurl {

// Safe to use from many threads at once.
class UnderWay final {
 public:
  // As Wait().
  ~UnderWay() { Wait(); }
  UnderWay() = default;
  UnderWay(const UnderWay&) = delete;
  UnderWay& operator=(const UnderWay&) = delete;

  void Begin() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++count_;
  }
  // One has ended. `then`, which must not call this, is run before Wait() can return: what it uses
  // may end once none is under way.
  void End(const std::function<void()>& then = [] {}) {
    const std::lock_guard<std::mutex> lock(mutex_);
    --count_;
    then();
    ended_.notify_all();
  }

  int count() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return count_;
  }
  // Waits until none is.
  void Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    ended_.wait(lock, [this] { return count_ == 0; });
  }
  // The same, for so long at the most. Returns whether none is.
  bool WaitFor(absl::Duration patience) {
    std::unique_lock<std::mutex> lock(mutex_);
    return ended_.wait_for(lock,
                           absl::ToChronoMicroseconds(std::max(patience, absl::ZeroDuration())),
                           [this] { return count_ == 0; });
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable ended_;
  int count_ = 0;  // Guarded by mutex_.
};

}  // namespace authurl
