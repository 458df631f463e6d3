// import_account.h: takes over consents that were given to another product: from its tokens to the
// accounts that are connected.
//
//   configuration, and what its network takes
//   refresh, where there is no access token that is good    claimed first, so that none is sent
//                                                           twice; stored before anything else
//   whose they are (read_person.h), and which accounts      what the network says is believed
//   stored                                                  grant, accounts and what became of the
//                                                           refresh token, in one commit
//
// From the sending of a refresh on the work is done though nobody waits for it. What a refresh gave
// and could not be connected is kept (ImportStore), and taken up by whoever imports the same again.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "authurl/record/v1/record.pb.h"
#include "core/call_context.h"
#include "core/flow/token_response.h"
#include "server/flow/flow_tools.h"
#include "server/flow/refresh_grant.h"

namespace authurl {

// Its fields are well formed.
struct AccountToImport {
  std::string network;
  std::string instance;
  // What a request calls it by; empty for the default one.
  std::string configuration;
  std::string tenant_id;
  // Of the two, an access token or a refresh token at least.
  TokenSet tokens;
  // Which ones of the accounts that the network lists; else the person, or empty for whoever it is.
  std::vector<std::string> network_unique_ids;
};

struct ImportOutcome {
  // OK, or why nothing was connected: the errors of ImportStore, of read_person.h, of the HTTP
  // client, and
  //   NETWORK_NOT_CONFIGURED, CONFIGURATION_OUTDATED, INVALID_PAYLOAD
  //   ACCESS_TOKEN_EXPIRED, REFRESH_DEAD, REFRESH_ANSWER_LOST, NEEDS_RECONNECT
  //   ACCOUNT_MISMATCH, NOT_CHECKABLE
  //   IMPORT_IN_PROGRESS, REFRESH_IN_PROGRESS, DEADLINE_EXCEEDED
  // None has a secret.
  absl::Status status;
  // Whether the same is worth trying again as it is.
  bool is_retriable = true;
  // Connected, in the order of their ids.
  std::vector<record::v1::SocialAccount> accounts;
};

// Safe to use from many threads at once.
class AccountImporter final {
 public:
  // One for each that was to be imported, in their order.
  using Done = absl::AnyInvocable<void(std::vector<ImportOutcome>)>;

  // How many of one call are under way at a time: a few, so that one that is slow holds up few
  // others and one call does not take the organisation's whole share.
  static constexpr int kAtOnce = 8;

  // `refresher` must outlive what this is asked for, as the tools.
  AccountImporter(const FlowTools& tools, GrantRefresher& refresher)
      : tools_(tools), refresher_(refresher) {}

  // Waits for nothing. `done` is called once, on a thread of the pool. `context` is that of the
  // work, not of whoever waits for it; `is_wanted` says whether anybody still does: nothing is
  // begun else. Those that have the same refresh token are imported one after the other.
  void Import(const std::string& org_id, std::vector<AccountToImport> accounts,
              std::shared_ptr<const CallContext> context, std::function<bool()> is_wanted,
              Done done) const;

 private:
  const FlowTools tools_;
  GrantRefresher& refresher_;
};

}  // namespace authurl
