// callers.h: many threads that call again and again.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"

namespace authurl::testing {

class Callers final {
 public:
  // How the calls of one code ended.
  struct Ending {
    int64_t calls = 0;
    std::string first_message;
  };
  using Endings = std::map<absl::StatusCode, Ending>;

  // Each of `threads` threads runs `call`, with the thread's number, until Stop().
  Callers(int threads, std::function<absl::Status(int)> call);
  // Stops.
  ~Callers();
  Callers(const Callers&) = delete;
  Callers& operator=(const Callers&) = delete;

  // How many calls have ended by now.
  int64_t ended() const { return ended_.load(); }
  // Lets the calls in flight end and ends the threads. How all calls ended.
  Endings Stop();

 private:
  void Run(int thread);

  const std::function<absl::Status(int)> call_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int64_t> ended_ = 0;
  std::mutex mutex_;
  Endings endings_;  // Guarded by mutex_.
  std::vector<std::thread> threads_;
};

}  // namespace authurl::testing
