// heap.h: memory that was freed goes back to the system.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace authurl {

// glibc keeps what was freed, unless it is at the very end of a heap, and it has a heap for nearly
// each thread. After a burst (of handshakes, of large messages) that is many times what the server
// needs. So it is asked to give back what it can, again and again, on a thread of its own.
class HeapTrimmer final {
 public:
  explicit HeapTrimmer(std::chrono::milliseconds interval);
  ~HeapTrimmer();
  HeapTrimmer(const HeapTrimmer&) = delete;
  HeapTrimmer& operator=(const HeapTrimmer&) = delete;

 private:
  void Run();

  const std::chrono::milliseconds interval_;
  std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;  // Guarded by mutex_.
  std::thread thread_;
};

}  // namespace authurl
