#include "server/flow/revoke_due.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "core/call_context.h"
#include "core/errors.h"
#include "server/observe/log.h"
#include "storage/grant_store.h"

namespace authurl {
namespace {

constexpr int kRevokedAtATime = 16;
constexpr absl::Duration kRevocationTime = absl::Seconds(15);
constexpr absl::Duration kDuePause = absl::Seconds(5);
constexpr absl::Duration kBusyPause = absl::Milliseconds(200);

}  // namespace

DueRevoker::DueRevoker(const FlowTools& tools)
    : tools_(tools), revoker_(tools), thread_([this] { return Step(); }) {}

absl::Duration DueRevoker::Step() {
  const CallContext looking(absl::Now() + kRevocationTime);
  const absl::StatusOr<std::vector<GrantStore::OwnedGrant>> due =
      tools_.store.grants().ListDisconnected(looking, kRevokedAtATime);
  if (!due.ok()) {
    Log(LogLevel::kWarning, "due_grants_not_listed", {{"cause", CauseOf(due.status())}});
    return kDuePause;
  }
  for (const GrantStore::OwnedGrant& grant : *due) {
    under_way_.Begin();
    auto context = std::make_shared<const CallContext>(absl::Now() + kRevocationTime);
    const CallContext& work = *context;
    // One that is connected is left as it is.
    revoker_.Revoke(grant.org_id, grant.grant_id, work,
                    [this, context = std::move(context)](RevocationResult) { under_way_.End(); });
  }
  under_way_.Wait();
  // Never without a pause: what can't be deleted is found again.
  return due->size() == kRevokedAtATime ? kBusyPause : kDuePause;
}

}  // namespace authurl
