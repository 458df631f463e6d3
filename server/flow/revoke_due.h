// revoke_due.h: revokes what was left behind: grants that lost their last account where nobody
// waited for their end, or whose revoking was cut off.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "server/flow/flow_tools.h"
#include "server/flow/revoke_grant.h"

namespace authurl {

// Looks for them again and again on a thread of its own; few are under way at a time.
class DueRevoker final {
 public:
  explicit DueRevoker(const FlowTools& tools);
  // Waits for those that are under way: the HTTP client that stops ends them.
  ~DueRevoker();
  DueRevoker(const DueRevoker&) = delete;
  DueRevoker& operator=(const DueRevoker&) = delete;

 private:
  void Run();
  // Returns how many were found.
  int RevokeSome();

  const FlowTools tools_;
  const GrantRevoker revoker_;
  std::mutex mutex_;
  std::condition_variable wake_;
  int under_way_ = 0;      // Guarded by mutex_.
  bool stopping_ = false;  // Guarded by mutex_.
  std::thread thread_;
};

}  // namespace authurl
