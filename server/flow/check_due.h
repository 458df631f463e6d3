// check_due.h: asks now and then whether connections still work that nobody uses, so that who
// removed an app at the network is known before something is to be published.
//
// Each active account is checked about once in an interval: those that were not confirmed for so
// long are gone through, the longest ago first, and begun at an even rate, so that accounts that
// were connected together are not checked together. One whose check fails comes again with a later
// round, which is some time away.
#pragma once

#include <deque>
#include <functional>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/flow/check_account.h"
#include "server/flow/due_pages.h"
#include "server/flow/flow_tools.h"
#include "server/flow/network_pace.h"
#include "server/flow/refresh_grant.h"
#include "server/system/clock.h"
#include "server/system/step_thread.h"
#include "server/system/under_way.h"
#include "storage/account_store.h"
#include "storage/backend.h"

namespace authurl {

// The work, without a thread: whoever has one calls Step() again and again.
class DueChecks final {
 public:
  struct Options {
    absl::Duration interval;
    int max_under_way = 16;
    // Never put back nor forward.
    Clock steady;
    // A check has ended. Called on any thread, and must not call this.
    std::function<void()> on_end = [] {};
  };

  // All must outlive this. REQUIRES: an interval above zero.
  DueChecks(const FlowTools& tools, GrantRefresher& refresher, NetworkPace& pace, Options options);
  // As Wait().
  ~DueChecks() { Wait(); }
  DueChecks(const DueChecks&) = delete;
  DueChecks& operator=(const DueChecks&) = delete;

  // Begins what may be begun. Returns how long until there is more to do, unless something ends
  // before. For one thread.
  absl::Duration Step();

  // For any thread, here and below.
  int under_way() const { return under_way_.count(); }
  // Waits for those that are under way: the HTTP client that stops ends them.
  void Wait() { under_way_.Wait(); }
  // The same, for so long at the most. Returns whether none is left.
  bool WaitFor(absl::Duration patience) { return under_way_.WaitFor(patience); }

 private:
  void BeginRound();
  void SetRate();
  void ReadPage();
  void EndRound(absl::Duration pause);
  // Begins the check, or passes the account over where its network is left alone. Returns how long
  // to wait where it is merely not to be asked so soon.
  absl::Duration BeginOrPass(const AccountStore::UnconfirmedAccount& account);
  void OnEnd(const std::string& name, NetworkPace::Result result);

  const FlowTools tools_;
  const AccountChecker checker_;
  NetworkPace& pace_;
  const Options options_;

  // Of the thread that calls Step().
  bool is_in_round_ = false;
  absl::Time next_round_ = absl::InfinitePast();
  absl::Time next_check_ = absl::InfinitePast();
  absl::Time counted_at_ = absl::InfinitePast();
  absl::Duration between_checks_ = absl::Seconds(1);
  DuePages<AccountStore::UnconfirmedAccount> pages_;
  std::deque<AccountStore::UnconfirmedAccount> page_;

  UnderWay under_way_;
};

// Does it on a thread of its own.
class DueChecker final {
 public:
  DueChecker(const FlowTools& tools, GrantRefresher& refresher, NetworkPace& pace,
             absl::Duration interval, Clock steady);
  // Waits as DueChecks does.
  ~DueChecker();

  // Nothing more is begun. Waits for nothing.
  void Stop() { thread_.Stop(); }
  // Waits until nothing is under way. False where that takes longer. REQUIRES: Stop() was called.
  bool WaitUntil(absl::Time end) {
    return thread_.WaitFor(end - absl::Now()) && checks_.WaitFor(end - absl::Now());
  }

 private:
  DueChecks checks_;
  StepThread thread_;
};

}  // namespace authurl
