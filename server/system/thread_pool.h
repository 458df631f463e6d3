// thread_pool.h: threads for work that may have to wait, whose amount somebody else has bounded.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"

namespace authurl {

// Unlike a lane of the pipeline it refuses nothing: it is for the parts of work that has begun, and
// must come to its end. Whoever begins such work bounds how much of it there is. Safe to use from
// many threads at once.
class ThreadPool final {
 public:
  using Task = absl::AnyInvocable<void()>;

  // REQUIRES: threads > 0.
  explicit ThreadPool(int threads);
  // Stops.
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Runs the task on one of the threads, in the order of the calls; after Stop(), before this
  // returns. It must not throw.
  void Run(Task task);
  // Runs what waits, and what that adds, then ends the threads. Idempotent.
  void Stop();

  // How many tasks wait for a thread.
  size_t waiting() const;

 private:
  void Work();

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> tasks_;  // Guarded by mutex_.
  size_t running_ = 0;      // Guarded by mutex_.
  bool stopping_ = false;   // Guarded by mutex_.
  bool stopped_ = false;    // Guarded by mutex_.
  std::vector<std::thread> threads_;
};

}  // namespace authurl
