// admission.h: counts the calls that are being served, and closes the door when the server stops.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "absl/time/time.h"

namespace authurl {

// Safe to use from many threads at once. Coming and going takes no lock.
class Admission final {
 public:
  Admission() = default;
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

  // Whether a call may be served; each true is answered by one Leave() once its reply is on the
  // wire.
  [[nodiscard]] bool TryEnter();
  // For work that may outlive the call it is begun for: counted as calls are, so that who waits for
  // emptiness waits for it too, and let in though the door is closed. Answered by one Leave().
  // REQUIRES: somebody is inside, and stays until this returns.
  void EnterBesideAnother();
  void Leave();

  // From now on TryEnter() is false.
  void Close();
  // Waits until nobody is inside, but not longer than `timeout`. Whether nobody is.
  bool WaitUntilEmpty(absl::Duration timeout);

 private:
  // How many are inside, times two, plus one once the door is closed: one number, so that nobody
  // slips in between.
  std::atomic<int64_t> state_ = 0;
  std::mutex mutex_;
  std::condition_variable empty_;
};

}  // namespace authurl
