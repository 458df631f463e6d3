// lanes.h: where calls wait for what takes time. Each kind of waiting has a lane of its own, so
// that a disk that is slow to write never holds up reads, nor a network anything of ours.
//
//   kMemory    gRPC's own threads: no I/O at all, and no queue.
//   kReads     threads that may wait for the database to answer.
//   kWrites    threads that may wait for it to commit; as many as shall share a commit.
//   kOutbound  calls to others. No thread waits with them, so there is room for many.
//
// Every lane is bounded: what does not fit is refused at once. A call whose caller has gone away,
// or whose deadline has passed, gives its place in the queue free and is never begun.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/call_context.h"

namespace authurl {

enum class Lane : uint8_t { kMemory, kReads, kWrites, kOutbound };

// As metrics show it: "memory", "reads", "writes", "outbound".
absl::string_view LaneName(Lane lane);

class ThreadLane;

// What waits in a lane for a thread. It must stay where it is until it is run or dropped, and until
// a Withdraw() of it has returned.
class LaneTask {
 public:
  LaneTask() = default;
  virtual ~LaneTask() = default;
  LaneTask(const LaneTask&) = delete;
  LaneTask& operator=(const LaneTask&) = delete;

  virtual const CallContext& context() const = 0;
  // One of the two is called, once, for each time that a lane took the task: on a thread of the
  // lane, or, where the context ended first, on any thread. Neither may throw.
  virtual void Run() = 0;
  virtual void Drop() = 0;

 private:
  friend class ThreadLane;
  // The lane that it waits in; null while in none. Changed under that lane's lock only.
  std::atomic<const ThreadLane*> waits_in_ = nullptr;
  // Its neighbours in the queue; guarded by that lane's lock.
  LaneTask* before_ = nullptr;
  LaneTask* after_ = nullptr;
};

struct LaneStats {
  size_t queued = 0;  // kOutbound: under way.
  size_t capacity = 0;
  size_t threads = 0;
  uint64_t shed = 0;     // Not taken, for want of room, since the start.
  uint64_t dropped = 0;  // Taken and never begun, since the start.
};

// A queue and its threads. Safe to use from many threads at once.
class ThreadLane final {
 public:
  // REQUIRES: threads > 0, max_queued > 0.
  ThreadLane(int threads, int max_queued);
  // Joins, as Stop() does.
  ~ThreadLane();
  ThreadLane(const ThreadLane&) = delete;
  ThreadLane& operator=(const ThreadLane&) = delete;

  // Takes the task, or returns false at once when as many wait as may, or after Stop(). Tasks whose
  // context has ended make room first; looking for them costs a walk along the queue, which only
  // happens when it is full and a deadline in it may have passed.
  [[nodiscard]] bool TrySubmit(LaneTask& task);
  // Drops the task if it waits here. To be called once its context was cancelled: then it is never
  // taken by this lane afterwards.
  void Withdraw(LaneTask& task);

  // Runs what waits, then ends the threads. Idempotent.
  void Stop();

  LaneStats stats() const;

 private:
  // Tasks in a row. Not safe to use without a lock.
  class Queue {
   public:
    size_t size() const { return size_; }
    LaneTask* front() const { return front_; }
    static LaneTask* After(const LaneTask& task) { return task.after_; }
    void PushBack(LaneTask& task);
    void Remove(LaneTask& task);

   private:
    LaneTask* front_ = nullptr;
    LaneTask* back_ = nullptr;
    size_t size_ = 0;
  };

  void Work();
  // REQUIRES, both: the lock. Takes what has ended out of the queue into `ended`.
  void TakeEnded(Queue& ended);
  void TakeOut(LaneTask& task);
  static void DropAll(Queue& tasks);

  const size_t max_queued_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  // All guarded by mutex_.
  Queue queue_;
  // No deadline in the queue is earlier.
  absl::Time earliest_deadline_ = absl::InfiniteFuture();
  bool stopping_ = false;
  uint64_t shed_ = 0;
  uint64_t dropped_ = 0;
  std::vector<std::thread> threads_;
};

// Counts what is under way without a thread. Safe to use from many threads at once; takes no lock.
class OutboundLane final {
 public:
  // REQUIRES: max_calls > 0.
  explicit OutboundLane(int max_calls) : max_calls_(max_calls) {}

  // Whether there is room for one more; each true is answered by one Leave().
  [[nodiscard]] bool TryEnter();
  void Leave() { calls_.fetch_sub(1, std::memory_order_relaxed); }

  LaneStats stats() const;

 private:
  const int64_t max_calls_;
  std::atomic<int64_t> calls_ = 0;
  std::atomic<uint64_t> shed_ = 0;
};

struct LaneLimits {
  // Reads are short, and mostly of pages that are in memory. A few more threads than the database
  // has connections for them: they open and seal meanwhile.
  int read_workers = 12;
  int max_queued_reads = 1024;
  // As many writes as there are threads can share a commit.
  int write_workers = 64;
  int max_queued_writes = 1024;
  int max_outbound_calls = 1024;
};

class Lanes final {
 public:
  explicit Lanes(const LaneLimits& limits)
      : reads(limits.read_workers, limits.max_queued_reads),
        writes(limits.write_workers, limits.max_queued_writes),
        outbound(limits.max_outbound_calls) {}

  // Drops the task wherever it waits. To be called once its context was cancelled.
  void Withdraw(LaneTask& task) {
    reads.Withdraw(task);
    writes.Withdraw(task);
  }
  // Runs what waits for a thread, then ends the threads. Reads go on to writes, so they go first.
  void Stop() {
    reads.Stop();
    writes.Stop();
  }
  // Of a lane that has a queue.
  LaneStats stats(Lane lane) const;

  ThreadLane reads;
  ThreadLane writes;
  OutboundLane outbound;
};

}  // namespace authurl
