// check_account.h: whether a connection still works, as the network tells when it is asked for the
// profile with the account's token; what it tells of the account is kept.
//
// Left out: an account that was chosen from a list (a page without a token of its own, a blog) is
// not looked for in the list again. That the person's token works is all that is asked.
#pragma once

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "authurl/record/v1/record.pb.h"
#include "core/call_context.h"
#include "server/flow/flow_tools.h"
#include "server/flow/refresh_grant.h"

namespace authurl {

struct CheckedAccount {
  // As it is stored now.
  record::v1::SocialAccount account;
  // False: it needs to be reconnected, or the network refuses for another reason, such as a client
  // secret that is wrong.
  bool is_healthy = false;
};

// Safe to use from many threads at once.
class AccountChecker final {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<CheckedAccount>)>;

  // `refresher` must outlive what this is asked for, as the tools.
  AccountChecker(const FlowTools& tools, GrantRefresher& refresher)
      : tools_(tools), refresher_(refresher) {}

  // Refreshes the token where it would end soon, and where the network no longer takes it. Networks
  // that are not asked for profiles, or not with the scopes that were granted, are not asked: then
  // what is stored is the answer. `done` is called once, on a thread of the pool; `context` is as
  // in GrantRefresher::GetToken(). Errors: SOCIAL_ACCOUNT_NOT_FOUND, REFRESH_IN_PROGRESS,
  // CONFIGURATION_OUTDATED, the store's, and of networks NETWORK_UNAVAILABLE only.
  void Check(absl::string_view org_id, absl::string_view account_id, const CallContext& context,
             Done done) const;

 private:
  const FlowTools tools_;
  GrantRefresher& refresher_;
};

}  // namespace authurl
