// poll_loop.h: what a thread that waits for sockets all its life needs besides poll().
#pragma once

#include <poll.h>

#include <chrono>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace authurl {

// Ends a wait from another thread. Safe to use from many threads at once.
class WakeUp final {
 public:
  // UnavailableError with the system's reason: no file descriptor is left, for one.
  static absl::StatusOr<WakeUp> Make();
  ~WakeUp();
  WakeUp(WakeUp&& other) noexcept;
  WakeUp& operator=(WakeUp&&) = delete;
  WakeUp(const WakeUp&) = delete;
  WakeUp& operator=(const WakeUp&) = delete;

  // Readable, for poll(), once Call() was called.
  int fd() const { return fd_; }
  void Call() const;
  // Whether it was called. Asks the system, because poll() may be what fails.
  bool WasCalled() const;
  // As if it had not been called, for whoever is woken up again and again.
  void TakeCalls() const;

 private:
  explicit WakeUp(int fd) : fd_(fd) {}

  int fd_;
};

// poll() that does not fail: out of memory, or with more descriptors than the process may have, it
// pauses, logs that at most once a minute, and returns as if nothing had come. For one thread.
class PatientPoll final {
 public:
  // `what` is what can't be done meanwhile, for the log: "accept connections".
  explicit PatientPoll(absl::string_view what) : what_(what) {}

  // Fills in what came. `timeout_ms` as poll() has it.
  void Wait(std::vector<pollfd>& fds, int timeout_ms);

 private:
  const absl::string_view what_;
  std::optional<std::chrono::steady_clock::time_point> logged_at_;
};

}  // namespace authurl
