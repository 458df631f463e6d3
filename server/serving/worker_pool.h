// worker_pool.h: threads for work that may block, so that gRPC's own never do.
#pragma once

#include <condition_variable>
#include <cstdint>
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

  struct Stats {
    size_t queued = 0;
    size_t queue_capacity = 0;
    size_t threads = 0;
    uint64_t shed = 0;  // Tasks that were not taken since the start.
  };
  Stats stats();

 private:
  void Work();

  const size_t max_queued_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<absl::AnyInvocable<void()>> queue_;
  bool stopping_ = false;
  uint64_t shed_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace authurl
