// stop_signals.h: how the process is told to end, and that it does end.
//
// SIGINT or SIGTERM asks for a polite end. Another one within a second is its echo: a terminal and
// a supervisor may both deliver one. A later one asks to end at once. The process ends at once as
// well when a polite end takes longer than it may: a thread that hangs in the kernel, on a disk
// that does not answer, can neither be ended nor waited for.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"

namespace authurl {

// For the main thread.
class StopSignals final {
 public:
  // Keeps the signals from ending the process: they wait for Watch(). REQUIRES: no other thread
  // has started.
  StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // Waits for the signals from now on, on a thread of its own that lasts as long as the process. A
  // start that has not come to Wait() two seconds after the first signal is given up: the process
  // ends with exit code 1.
  void Watch();

  // Waits for the first signal and returns its name, "SIGTERM". From then on the process ends by
  // itself: after `patience` with exit code 1, and at a later signal, when that is not an echo,
  // with 128 and the signal's number. The log says why, and what `waiting_for` returns; that is
  // called on another thread, until the process has ended. REQUIRES: Watch() was called.
  std::string Wait(absl::Duration patience, std::function<std::string()> waiting_for);

 private:
  struct State;

  const std::shared_ptr<State> state_;
};

}  // namespace authurl
