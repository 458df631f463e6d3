// purge_organizations.h: ends deleted organisations: takes back at the networks what people
// consented to, then removes what is left of them.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/flow/flow_tools.h"
#include "server/flow/revoke_grant.h"
#include "server/system/step_thread.h"
#include "server/system/under_way.h"
#include "storage/deleted_organizations.h"

namespace authurl {

// One step after the other, on a thread of its own. Each grant is asked for once, a few at a time,
// and goes whatever the network says; those that could not be reached within a day of the deletion
// (DeletedOrganizations::kTimeToRevoke) go unrevoked, and the log has their number.
class OrganizationPurger final {
 public:
  explicit OrganizationPurger(const FlowTools& tools);
  // Waits for what is under way: the HTTP client that stops ends it.
  ~OrganizationPurger();
  OrganizationPurger(const OrganizationPurger&) = delete;
  OrganizationPurger& operator=(const OrganizationPurger&) = delete;

  // Nothing more is begun. Waits for nothing.
  void Stop() { thread_.Stop(); }
  // Waits until nothing is under way. False where that takes longer. REQUIRES: Stop() was called.
  bool WaitUntil(absl::Time end) { return thread_.WaitFor(end - absl::Now()); }

 private:
  // Returns the pause after it.
  absl::Duration Step();
  // Returns whether all of them were removed.
  bool RevokeAll(const std::vector<GrantStore::OwnedGrant>& grants);

  const FlowTools tools_;
  bool has_failed_ = false;  // The last step. Of the thread.
  UnderWay under_way_;
  StepThread thread_;
};

}  // namespace authurl
