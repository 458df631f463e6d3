// refresher_child.h: the process that is simulated: the store, GrantRefresher and DueRefreshes as
// the server has them. What its networks answer, and what time it is, it is told by a Wire.
//
//   parent → child  {"now": ms, "clock_error": ms, "use": [[organisation, account], …]}
//   child → parent  {"ask": number, "org_id": …, "request": …}
//   parent → child  {"answer": number, "kind": "answered" | "unsent" | "lost", "status", "body"}
//   child → parent  {"idle_until": ms}
//
// With a new time it does what is due then, gets the tokens that are to be used, and says when
// there is no more to do and when there will be. It may be killed at any time.
#pragma once

#include <cstdint>
#include <string>

namespace authurl::testing {

struct ChildOptions {
  int fd = -1;
  std::string database;
  std::string key_ring_file;
  uint32_t seed = 0;  // Of the jitter.
  // Of one network.
  double refreshes_per_second = 5;
};

// Returns the exit code once the parent hangs up.
int RunRefresherChild(const ChildOptions& options);

}  // namespace authurl::testing
