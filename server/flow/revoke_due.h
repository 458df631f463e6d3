// revoke_due.h: revokes what was left behind: grants that lost their last account where nobody
// waited for their end, or whose revoking was cut off.
#pragma once

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/flow/flow_tools.h"
#include "server/flow/revoke_grant.h"
#include "server/system/step_thread.h"
#include "server/system/under_way.h"

namespace authurl {

// Looks for them again and again on a thread of its own; few are under way at a time.
class DueRevoker final {
 public:
  explicit DueRevoker(const FlowTools& tools);
  // Waits for those that are under way: the HTTP client that stops ends them.
  ~DueRevoker() = default;
  DueRevoker(const DueRevoker&) = delete;
  DueRevoker& operator=(const DueRevoker&) = delete;

  // Nothing more is begun. Waits for nothing.
  void Stop() { thread_.Stop(); }
  // Waits until nothing is under way. False where that takes longer. REQUIRES: Stop() was called.
  bool WaitUntil(absl::Time end) { return thread_.WaitFor(end - absl::Now()); }

 private:
  // Revokes some, and returns how long to wait until the next ones.
  absl::Duration Step();

  const FlowTools tools_;
  const GrantRevoker revoker_;
  UnderWay under_way_;
  StepThread thread_;
};

}  // namespace authurl
