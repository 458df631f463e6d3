#include "server/flow/watch_grants.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/call_context.h"
#include "core/errors.h"
#include "server/observe/log.h"

namespace authurl {
namespace {

constexpr absl::Duration kCountingPause = absl::Minutes(1);
constexpr absl::Duration kCountingTime = absl::Seconds(15);
// Counting takes time for as many accounts as there are.
constexpr int kRestAfterCounting = 100;

}  // namespace

absl::Duration GrantWatcher::Count() {
  const absl::Time began = absl::Now();
  const CallContext context(began + kCountingTime);
  const absl::Time now = tools_.clock();
  const auto accounts = tools_.store.accounts().CountByStatus(context);
  const auto oldest = tools_.store.grants().OldestDue(context, now);
  const absl::Status status = accounts.ok() ? oldest.status() : accounts.status();
  if (std::exchange(has_failed_, !status.ok()) != has_failed_ && !status.ok()) {
    Log(LogLevel::kWarning, "accounts_not_counted", {{"cause", CauseOf(status)}});
  }
  if (!status.ok()) return kCountingPause;
  tools_.metrics.SetStored({.active_accounts = accounts->active,
                            .accounts_to_reconnect = accounts->needs_reconnect,
                            .oldest_overdue = *oldest ? now - **oldest : absl::ZeroDuration()});
  return std::max(kCountingPause, kRestAfterCounting * (absl::Now() - began));
}

}  // namespace authurl
