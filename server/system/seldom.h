// seldom.h: something that strangers cause, and that the log shall not repeat each time.
#pragma once

#include <chrono>
#include <optional>

namespace authurl {

// For one thread.
class Seldom final {
 public:
  explicit Seldom(std::chrono::steady_clock::duration interval) : interval_(interval) {}

  // Whether the last time that this was true is longer ago than the interval.
  bool IsDue() {
    const auto now = std::chrono::steady_clock::now();
    if (last_.has_value() && now - *last_ < interval_) return false;
    last_ = now;
    return true;
  }

 private:
  const std::chrono::steady_clock::duration interval_;
  std::optional<std::chrono::steady_clock::time_point> last_;
};

}  // namespace authurl
