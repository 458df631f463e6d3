// call_context.h: how long somebody waits for what is being done.
//
// Everything that may take time on a caller's behalf takes one: a wait ends when it ends, and
// nothing is begun for a caller who no longer waits. Work that nobody in particular waits for has
// the Background().
#pragma once

#include <atomic>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace authurl {

// Safe to use from many threads at once.
class CallContext final {
 public:
  // `request_id` is what the log knows the call by; it is fit for the log as it is.
  explicit CallContext(absl::Time deadline, std::string request_id = "")
      : deadline_(deadline), request_id_(std::move(request_id)) {}
  CallContext(const CallContext&) = delete;
  CallContext& operator=(const CallContext&) = delete;

  // Never ends.
  static const CallContext& Background();

  absl::Time deadline() const { return deadline_; }
  const std::string& request_id() const { return request_id_; }

  // The caller has gone away.
  void Cancel() { cancelled_.store(true, std::memory_order_release); }
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }

  // OK while somebody waits; else CANCELLED CALL_CANCELLED or DEADLINE_EXCEEDED DEADLINE_EXCEEDED.
  absl::Status Check() const;
  // Why nobody waits any more. Never OK, whatever the clock says now.
  // REQUIRES: it was found to have ended.
  absl::Status WhyEnded() const;

 private:
  const absl::Time deadline_;
  const std::string request_id_;
  std::atomic<bool> cancelled_ = false;
};

}  // namespace authurl
