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
// What nobody asks for is refreshed by refresh_due.h, when NextRefresh() says.
#pragma once

#include <cstdint>
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
#include "authurl/catalog/v1/network.pb.h"
#include "core/call_context.h"
#include "core/crypto/crypto.h"
#include "core/flow/token_response.h"
#include "server/flow/flow_tools.h"
#include "server/flow/token_state.h"
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

// When a grant with these tokens is to be refreshed though nobody asks for a token, so that it does
// not die of that: at half of its time, or up to a tenth of it sooner or later, by chance, so that
// those that were connected together do not come due together. Nothing where it does not die, or no
// refresh prolongs it.
std::optional<absl::Time> NextRefresh(const catalog::v1::Network& network, const TokenSet& tokens,
                                      absl::Time now, const RandomSource& random);

// Whether a grant is due. So is one whose tokens were got at a time that is yet to come, or that
// was put off until it is dead: the clock was ahead, and how long they are good still nobody knows.
// `network`: the grant's; null where it has left the catalog.
bool IsDue(const catalog::v1::Network* network, const record::v1::Grant& grant, absl::Time now);

// Safe to use from many threads at once. Must outlive what it was asked for.
class GrantRefresher final {
 public:
  // Where a network has said of living grants that they are dead, as some do while they have an
  // outage, it is believed once it says so again, so much later at the soonest, and has refreshed
  // another grant meanwhile; or after what would be a very long outage. Until then it is asked ever
  // more seldom.
  static constexpr absl::Duration kDoubt = absl::Hours(1);
  static constexpr absl::Duration kLongestDoubtPause = absl::Hours(6);
  static constexpr absl::Duration kLongestDoubt = absl::Hours(4 * 24);

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
  // longer due, or gone. `done`, `context` and errors as above. After those of the network, and of
  // what is configured for it, the grant is due later; CONFIGURATION_OUTDATED, REFRESH_IN_PROGRESS
  // and those of the store leave it as it is.
  void RefreshDue(absl::string_view org_id, absl::string_view grant_id, const CallContext& context,
                  DueDone done);

 private:
  // Organisation and id.
  using GrantKey = std::pair<std::string, std::string>;
  using Result = absl::StatusOr<std::shared_ptr<const OpenedGrant>>;
  struct Call;
  class Flight;
  struct Doubted {
    uint64_t generation;
    absl::Time since;  // By the steady clock.
  };

  void LookAt(std::unique_ptr<Call> call);
  void LookAtDue(std::unique_ptr<Call> call);
  // Begins a refresh for it, or has it wait for the one that is under way.
  void Join(std::unique_ptr<Call> call);
  // Answers all who wait for a refresh.
  void Land(const GrantKey& key, const Result& result, int sent);
  // Its token has ended for ever.
  void Bury(std::unique_ptr<Call> call);
  // How long to wait until a network that may err is asked again about a grant that it says is
  // dead; zero where it is to be believed. Remembers that it said so.
  absl::Duration Doubt(const std::string& network, const GrantKey& key, uint64_t generation);
  // It has refreshed a grant.
  void NetworkWorks(const std::string& network);

  const FlowTools tools_;
  const Clock steady_;
  std::mutex mutex_;
  // Who waits for a refresh that is under way, the one that began it first. Guarded by mutex_.
  std::map<GrantKey, std::vector<std::unique_ptr<Call>>> waiting_;
  std::map<GrantKey, Doubted> doubts_;           // Guarded by mutex_.
  std::map<std::string, absl::Time> worked_at_;  // By network. Guarded by mutex_.
};

}  // namespace authurl
