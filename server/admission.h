// admission.h: counts the calls that are being served, and closes the door when the server stops.
#pragma once

#include <condition_variable>
#include <mutex>

#include "absl/time/time.h"

namespace authurl {

// Safe to use from many threads at once.
class Admission final {
 public:
  Admission() = default;
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

  // Whether a call may be served; each true is answered by one Leave() once its reply is on the
  // wire.
  [[nodiscard]] bool TryEnter();
  void Leave();

  // From now on TryEnter() is false.
  void Close();
  // Waits until nobody is inside, but not longer than `timeout`. Whether nobody is.
  bool WaitUntilEmpty(absl::Duration timeout);

 private:
  std::mutex mutex_;
  std::condition_variable empty_;
  bool closed_ = false;
  int inside_ = 0;
};

}  // namespace authurl
