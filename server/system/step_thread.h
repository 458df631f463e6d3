// step_thread.h: a thread for work that is done step by step, with a pause after each.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "absl/time/time.h"

namespace authurl {

// Safe to use from many threads at once.
class StepThread final {
 public:
  // Returns how long to wait until the next step.
  using Step = std::function<absl::Duration()>;

  explicit StepThread(Step step);
  // Stops, and waits.
  ~StepThread();
  StepThread(const StepThread&) = delete;
  StepThread& operator=(const StepThread&) = delete;

  // The next step is to be made now. May be called by a step.
  void Wake();
  // No other step is begun. Waits for nothing.
  void Stop();
  // Waits for the last step, for so long at the most. Returns whether it has ended. REQUIRES:
  // Stop() was called; not by a step.
  bool WaitFor(absl::Duration patience);
  // Waits for the last step. REQUIRES: Stop() was called; one thread calls it, and no step.
  void Join();

 private:
  void Run();

  const Step step_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable ended_;
  bool is_woken_ = false;   // Guarded by mutex_.
  bool stopping_ = false;   // Guarded by mutex_.
  bool has_ended_ = false;  // Guarded by mutex_.
  std::thread thread_;
};

}  // namespace authurl
