// worker_pool.h: threads for work that may block, so that gRPC's own never do.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"

namespace authurl {

// Safe to use from many threads at once.
class WorkerPool final {
 public:
  // REQUIRES: threads > 0, max_queued > 0.
  WorkerPool(int threads, int max_queued);
  // Joins, as Stop() does.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Runs `task` on a worker, or returns false at once, without keeping it, when as many tasks wait
  // as may, or after Stop(). A task must not throw.
  [[nodiscard]] bool TrySubmit(absl::AnyInvocable<void()> task);

  // Runs what is waiting, then ends the threads. Idempotent.
  void Stop();

 private:
  void Work();

  const size_t max_queued_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<absl::AnyInvocable<void()>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace authurl
