// ending.h: how calls end. Whoever has to end one holds an Unanswered, so that none is forgotten
// and none ends twice.
#pragma once

#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "server/observe/access_log.h"
#include "server/serving/lanes.h"

namespace authurl {

struct Ending {
  absl::Status status;
  // Called after the reply was sent to a caller that was still there, and not otherwise: counts
  // what was handed out. Must not throw.
  absl::AnyInvocable<void()> when_sent = {};
  // How many calls more the call was worth (rate_limits.h).
  int further_calls = 0;
  // What the call was about, where a handler got to see it.
  CallSubject subject = {};
};

// What Unanswered and Completion stand for. Both functions are safe to call from any thread.
class Answerable {
 public:
  Answerable() = default;
  Answerable(const Answerable&) = delete;
  Answerable& operator=(const Answerable&) = delete;

  // Called once. Afterwards this may be gone.
  virtual void End(Ending ending) = 0;
  // Keeps `react` until the call ends. It is called once when the caller goes away before, at once
  // if it has gone already.
  virtual void WhenCallerGoes(absl::AnyInvocable<void()> react) = 0;

 protected:
  ~Answerable() = default;
};

// The duty to end a call. It moves; who is left with it ends the call, and where it is lost, by a
// throw for one, the call ends with INTERNAL.
class Unanswered final {
 public:
  explicit Unanswered(Answerable& call) : call_(&call) {}
  ~Unanswered() {
    if (call_ != nullptr) call_->End({absl::InternalError("the call was left without an answer")});
  }
  Unanswered(Unanswered&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
  Unanswered& operator=(Unanswered&&) = delete;

  // Nothing where the duty has gone elsewhere.
  void End(Ending ending) {
    if (call_ == nullptr) return;
    call_->End(std::move(ending));
    call_ = nullptr;
  }
  // Leaves the duty to the caller.
  void Release() { call_ = nullptr; }
  Answerable& call() const { return *call_; }

 private:
  Answerable* call_;
};

// Ends a call that is under way in the outbound lane. To be called once, on any thread; where it is
// destroyed instead, the call ends with INTERNAL. Until then the call, its Caller and its context
// stay; the context tells when nobody waits any more.
class Completion final {
 public:
  // Takes over the place in the lane that was entered for the call.
  Completion(Unanswered call, OutboundLane& lane) : call_(std::move(call)), place_(&lane) {}

  void End(Ending ending) {
    place_.reset();
    call_.End(std::move(ending));
  }
  // For work that goes on without its caller (detached_work.h): `react` is called once when the
  // caller goes away before the end, on any thread, at once if it has gone already.
  // REQUIRES: End() was not called.
  void WhenCallerGoes(absl::AnyInvocable<void()> react) {
    call_.call().WhenCallerGoes(std::move(react));
  }

 private:
  struct LeaveLane {
    void operator()(OutboundLane* lane) const { lane->Leave(); }
  };
  Unanswered call_;
  // Given free first.
  std::unique_ptr<OutboundLane, LeaveLane> place_;
};

}  // namespace authurl
