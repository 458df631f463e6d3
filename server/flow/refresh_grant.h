// refresh_grant.h: an access token that is good, refreshed where the one at hand ends too soon.
//
//   account and grant → good enough? → lease → refresh → stored → own tokens → answered
//
// A grant is refreshed once at a time: callers in this process share a refresh, and of several
// processes one has the lease (GrantStore::TakeLease). The new tokens are stored before anybody
// gets them. Where an answer was lost the same is sent once more: had the refresh token been used
// up by the first, nothing is left to lose. But where a second use ends the whole grant, none is
// risked.
//
// An account's own token, as that of a page, is made from the grant's: after a refresh it is read
// anew, from the list that the account was chosen from. It is given as it is, and the grant is not
// refreshed for it, as none of the catalog has an end of its own.
//
// Where the organisation's configuration is to blame that no refresh comes through, the grant's
// accounts say so at once, with an event (account.updated), and again once one does. They die when
// what could be refreshed has ended, so that nobody is told for ever that they live.
//
// What nobody asks for is refreshed by refresh_due.h, when refresh_time.h says.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/call_context.h"
#include "server/flow/flow_tools.h"
#include "server/flow/refusal_doubts.h"
#include "server/flow/token_state.h"
#include "server/system/clock.h"
#include "storage/account_store.h"
#include "storage/grant_store.h"

namespace authurl {

// An account with a token that is good. Wiped at its end.
struct UsableAccount {
  AccountWithToken account;
  // The account's. Shared by all who waited for the same refresh.
  std::shared_ptr<const OpenedGrant> grant;

  // The account's own, or the grant's. A view.
  absl::string_view access_token() const;
  // Nothing: it has no end that is known.
  std::optional<absl::Time> expires_at() const;
};

// Safe to use from many threads at once. Must outlive what it was asked for.
class GrantRefresher final {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<UsableAccount>)>;
  // `sent`: how many requests were sent for it.
  using DueDone = absl::AnyInvocable<void(const absl::Status& status, int sent)>;

  // `steady` is never put back nor forward: a clock that jumps must not make a doubt old.
  GrantRefresher(const FlowTools& tools, Clock steady);
  ~GrantRefresher();
  GrantRefresher(const GrantRefresher&) = delete;
  GrantRefresher& operator=(const GrantRefresher&) = delete;

  // A token of the account. `done` is called once, on a thread of the pool, which it must not hold
  // up; until then `context` must stay: the context of detached work, as no caller's going away may
  // end a refresh that was sent. Storing what came of it may take ten seconds longer than that.
  // Errors:
  //   SOCIAL_ACCOUNT_NOT_FOUND
  //   FAILED_PRECONDITION NEEDS_RECONNECT   the connection is dead, as the account says from now on
  //   ABORTED REFRESH_IN_PROGRESS           another process refreshes it, or the person connected
  //                                         anew meanwhile: ask again, with RetryInfo
  //   FAILED_PRECONDITION CONFIGURATION_OUTDATED  its network has left the catalog
  //   those of core/flow/network_error.h, of the HTTP client and of the store; none has a secret
  void GetToken(absl::string_view org_id, absl::string_view account_id, const WantedToken& wanted,
                const CallContext& context, Done done);

  // Refreshes a grant that is due (GrantStore::ListDue), or moves the time at which it is: to when
  // the network takes a refresh, or away where there is nothing to refresh. OK where it is no
  // longer due, or gone. One is due, too, whose refreshes failed for a configuration that is
  // another by now. `done`, `context` and errors as above. After those of the network, and of what
  // is configured for it, the grant is due later; CONFIGURATION_OUTDATED, REFRESH_IN_PROGRESS and
  // those of the store leave it as it is.
  void RefreshDue(absl::string_view org_id, absl::string_view grant_id, const CallContext& context,
                  DueDone done);

  // Whether it is due for that.
  bool IsToBeTriedAgain(const CallContext& context, const record::v1::Grant& grant) const;

 private:
  using GrantKey = RefusalDoubts::GrantKey;
  using Result = absl::StatusOr<std::shared_ptr<const OpenedGrant>>;
  struct Call;
  class Flight;

  void LookAt(std::unique_ptr<Call> call);
  void LookAtDue(std::unique_ptr<Call> call);
  // Begins a refresh for it, or has it wait for the one that is under way.
  void Join(std::unique_ptr<Call> call);
  // Answers all who wait for a refresh.
  void Land(const GrantKey& key, const Result& result, int sent);
  // Its token has ended for ever.
  void Bury(std::unique_ptr<Call> call);

  const FlowTools tools_;
  RefusalDoubts doubts_;
  std::mutex mutex_;
  // Who waits for a refresh that is under way, the one that began it first. Guarded by mutex_.
  std::map<GrantKey, std::vector<std::unique_ptr<Call>>> waiting_;
};

}  // namespace authurl
