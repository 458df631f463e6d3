// complete_auth.h: ends a flow: from what came back to the redirect URI to the accounts that are
// connected.
//
//   open the response (open_response.h): nothing is written yet
//   spend the state                      one winner, whoever and however many try; what came again
//                                        is told how it went
//   the network's error, if it sent one
//   read the consent (read_consent.h)    the code is sent, once; then who it is, and which accounts
//   store it with the flow's outcome     grant, accounts and outcome, in one commit
//
// From the spending on the work is done though nobody waits for it any more. What can't be stored
// for want of room is kept in memory, and stored once there is.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"
#include "core/call_context.h"
#include "core/crypto/sealer.h"
#include "server/flow/flow_tools.h"
#include "server/flow/open_response.h"
#include "server/system/token_buckets.h"

namespace authurl {

struct CompletedAuth {
  // OK, or why nothing was connected: the errors of ResponseOpener and of read_consent.h, and
  //   STATE_EXPIRED, STATE_ALREADY_USED, COMPLETION_IN_PROGRESS, COMPLETION_UNKNOWN
  //   USER_DENIED, ACCOUNT_MISMATCH, TOO_MANY_ACCOUNTS
  //   RESOURCE_EXHAUSTED OVERLOADED, RATE_LIMITED: too much is under way
  absl::Status status;

  // Connected, in the order of their ids.
  std::vector<record::v1::SocialAccount> accounts;
  // Where somebody has to choose: what to, and the token for it. The token is a secret.
  std::optional<record::v1::PendingConnection> pending;
  std::string session_token;
  // It is how an earlier call with the same response ended.
  bool is_replayed = false;

  // As far as the response could be opened.
  std::string org_id;
  std::string network;
  std::string flow_id;
  std::string return_state;
  // Where a browser goes on to, of what the configuration has now; empty for none.
  std::string return_uri;
  bool return_profile = false;
};

// Safe to use from many threads at once.
class AuthCompleter final {
 public:
  using Done = absl::AnyInvocable<void(CompletedAuth)>;

  struct Options {
    // How many flows may be under way.
    int max_flows = 1024;
    // Of each organisation by the hosted callback, for which nobody shows a key: in the long run,
    // and at once.
    TokenBuckets::Limit hosted_flows = {.per_second = 100, .capacity = 1000};
  };

  // `sealer` must outlive this.
  AuthCompleter(const FlowTools& tools, const Sealer& sealer, Options options);
  // REQUIRES: no flow is under way.
  ~AuthCompleter();
  AuthCompleter(const AuthCompleter&) = delete;
  AuthCompleter& operator=(const AuthCompleter&) = delete;

  // Waits for nothing. `done` is called once, on any thread. `context` is that of the work, not of
  // whoever waits for it; `is_wanted` says, until the state is spent, whether anybody still does.
  void Complete(ReceivedResponse received, std::shared_ptr<const CallContext> context,
                std::function<bool()> is_wanted, Done done);

  // Spends the state of a response whose code somebody else exchanges, in place of Complete():
  // fills `opened`. Errors likewise. May wait for the database.
  absl::Status HandOut(const CallContext& context, const ReceivedResponse& received,
                       OpenedResponse& opened);

  // How many consents wait for room on the disk, and whether that of a flow (by the store's id) is
  // among them.
  size_t kept() const;
  bool IsKept(absl::string_view flow_id) const;

 private:
  class Completing;

  absl::Status TryToHandOut(const CallContext& context, const ReceivedResponse& received,
                            OpenedResponse& opened);
  // Takes what could not be stored; false where there is too much of it.
  bool Keep(std::shared_ptr<Completing> completing);
  void StoreWhatIsKept();

  const FlowTools tools_;
  const Sealer& sealer_;
  const ResponseOpener opener_;
  const Options options_;
  TokenBuckets hosted_flows_;   // By organisation.
  TokenBuckets hosted_states_;  // By flow.
  std::atomic<int> under_way_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::shared_ptr<Completing>> kept_;  // Guarded by mutex_.
  bool stopping_ = false;                          // Guarded by mutex_.
  std::thread keeper_;
};

}  // namespace authurl
