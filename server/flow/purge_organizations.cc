#include "server/flow/purge_organizations.h"

#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/call_context.h"
#include "core/errors.h"
#include "server/flow/grant_client.h"
#include "server/observe/log.h"

namespace authurl {
namespace {

constexpr absl::Duration kStepTime = absl::Seconds(30);
constexpr absl::Duration kTimeToRevokeOne = absl::Seconds(15);
// Where there was something to do, the next step comes soon.
constexpr absl::Duration kMorePause = absl::Milliseconds(100);
constexpr absl::Duration kLookPause = absl::Seconds(5);

void LogLeft(const GrantStore::OwnedGrant& grant, const absl::Status& status) {
  Log(LogLevel::kWarning, "revocation_failed",
      {{"org_id", grant.org_id}, {"grant", grant.grant_id}, {"cause", CauseOf(status)}});
}

}  // namespace

OrganizationPurger::OrganizationPurger(const FlowTools& tools)
    : tools_(tools), thread_([this] { return Step(); }) {}

OrganizationPurger::~OrganizationPurger() {
  thread_.Stop();
  thread_.Join();
}

absl::Duration OrganizationPurger::Step() {
  const CallContext context(absl::Now() + kStepTime);
  const auto purged = tools_.store.deleted_organizations().Purge(context, tools_.clock(), {});
  if (!purged.ok()) {
    if (!std::exchange(has_failed_, true)) {
      Log(LogLevel::kWarning, "purge_failed",
          {{"of", "deleted_organizations"}, {"cause", CauseOf(purged.status())}});
    }
    return kLookPause;
  }
  has_failed_ = false;
  if (purged->unrevoked > 0) {
    Log(LogLevel::kWarning, "grants_left_unrevoked", {{"grants", purged->unrevoked}});
  }
  const bool went_on = RevokeAll(purged->to_revoke);
  return went_on && (purged->removed > 0 || !purged->to_revoke.empty()) ? kMorePause : kLookPause;
}

bool OrganizationPurger::RevokeAll(const std::vector<GrantStore::OwnedGrant>& grants) {
  const CallContext context(absl::Now() + kTimeToRevokeOne);
  std::vector<const GrantStore::OwnedGrant*> done;
  bool is_all = true;
  for (const GrantStore::OwnedGrant& grant : grants) {
    absl::StatusOr<DeletedOrganizations::OpenedLeftGrant> opened =
        tools_.store.deleted_organizations().OpenGrant(context, grant);
    if (!opened.ok()) {
      LogLeft(grant, opened.status());
      // What does not open never will.
      if (IsForNow(opened.status())) {
        is_all = false;
      } else {
        done.push_back(&grant);
      }
      continue;
    }
    done.push_back(&grant);
    const catalog::v1::Network* const network =
        tools_.catalog.FindVariant(opened->opened.grant.network(), opened->opened.grant.variant());
    GrantClient client;
    client.network = network;
    client.settings = std::move(opened->settings);
    client.client_secret = std::move(opened->client_secret);
    if (network == nullptr) continue;
    under_way_.Begin();
    RevokeGrant(tools_.http, std::move(client), std::move(opened->opened.tokens), context,
                tools_.clock, [this](RevocationResult) { under_way_.End(); });
  }
  // Each ends with the context.
  under_way_.Wait();
  const CallContext removing(absl::Now() + kStepTime);
  for (const GrantStore::OwnedGrant* grant : done) {
    const absl::Status status = tools_.store.deleted_organizations().RemoveGrant(removing, *grant);
    if (status.ok()) continue;
    LogLeft(*grant, status);
    is_all = false;
  }
  return is_all;
}

}  // namespace authurl
