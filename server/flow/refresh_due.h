// refresh_due.h: keeps grants alive that would die unused: refreshes those that are due.
//
//   the grants that are due → a queue for each network → at its pace → GrantRefresher
//
// They are gone through from the one that is longest due to the last, page by page, again and
// again. Each network has a queue of its own, of which only the front is held in memory: what is
// found while it is full comes with a later round. So a network with an outage, one that left the
// catalog, or a record that is damaged holds up none of the others, and takes no memory. In a queue
// the organisations take turns, so that one with many grants holds up none of the others either.
//
// What fails for its organisation's configuration waits long; once that is another, it is tried
// again at once (within a minute), by the process that saw it fail, or that was started since.
//
// Due times are by the clock, which may jump: forward, and many grants are due at once; or back,
// and those that were refreshed meanwhile are due too late. So after that, and after a start, all
// grants are looked at, whether their tokens are of a time that is yet to come (IsDue()). All else
// (rounds, rate, pauses) is by a clock that does not jump.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/flow/due_pages.h"
#include "server/flow/fair_queue.h"
#include "server/flow/flow_tools.h"
#include "server/flow/network_pace.h"
#include "server/flow/refresh_grant.h"
#include "server/system/clock.h"
#include "server/system/step_thread.h"
#include "server/system/under_way.h"
#include "storage/backend.h"
#include "storage/grant_store.h"

namespace authurl {

// The work, without a thread: whoever has one calls Step() again and again.
class DueRefreshes final {
 public:
  struct Options {
    int max_under_way = 64;
    // How long the database is not looked at where nothing is due: others may have connected
    // something meanwhile.
    absl::Duration longest_pause = absl::Minutes(1);
    // Never put back nor forward.
    Clock steady;
    // A refresh has ended: a step may have something to do. Called on any thread, and must not call
    // this.
    std::function<void()> on_end = [] {};
  };

  // All must outlive this.
  DueRefreshes(const FlowTools& tools, GrantRefresher& refresher, NetworkPace& pace,
               Options options);
  // As Wait().
  ~DueRefreshes() { Wait(); }
  DueRefreshes(const DueRefreshes&) = delete;
  DueRefreshes& operator=(const DueRefreshes&) = delete;

  // Reads a page of what is due, if it is time to, and begins what may be begun. Returns how long
  // until there is more to do, unless something ends before. For one thread.
  absl::Duration Step();

  // For any thread, here and below.
  int under_way() const { return under_way_.count(); }
  // Waits for those that are under way: the HTTP client that stops ends them.
  void Wait() { under_way_.Wait(); }
  // The same, for so long at the most. Returns whether none is left.
  bool WaitFor(absl::Duration patience) { return under_way_.WaitFor(patience); }

 private:
  using GrantKey = std::pair<std::string, std::string>;  // Organisation and id.
  // Where the grant of a refresh belongs.
  struct Origin {
    std::string queue;
    std::string social_network_id;
    // Of the configuration before it was begun; 0: not known.
    uint64_t version = 0;
  };
  // One whose refreshes fail is tried ever more seldom.
  struct Failing {
    int failures = 0;
    absl::Time not_before;
    // Where its configuration is to blame; else without a version.
    Origin origin;
  };
  struct Queue {
    explicit Queue(size_t capacity) : grants(capacity) {}
    FairQueue grants;
    bool is_overfull = false;  // There was more than it takes.
  };

  void LookAtClock();
  void BeginRound();
  void ReadPage();
  void EndRound();
  void Enqueue(const GrantStore::DueGrant& grant);
  // False where something found no room by that.
  bool Put(const std::string& queue, FairQueue::Item item);
  // Whether nothing that the rest of the round may find has room, but for networks of which nothing
  // was found yet, which a whole round finds now and then.
  bool IsRestOfNoUse() const;
  // Tries those again whose configuration was mended.
  void LookAtConfigurations();
  uint64_t VersionOf(const std::string& org_id, const std::string& social_network_id) const;
  bool IsDueEarly(const GrantStore::DueGrant& grant) const;
  // The network of the grant's configuration. Nothing where the record of it does not open.
  std::optional<std::string> NetworkOf(const GrantStore::DueGrant& grant);
  absl::Duration BeginWhatMay();
  void Begin(const std::string& name, const FairQueue::Item& grant);
  void Remember(const GrantKey& key, const Origin& origin, const absl::Status& status);
  void OnEnd(const GrantKey& key, const Origin& origin, const absl::Status& status, int sent);
  void LookAgainBy(absl::Time time);

  const FlowTools tools_;
  GrantRefresher& refresher_;
  NetworkPace& pace_;
  const Options options_;

  // Of the thread that calls Step().
  std::optional<absl::Duration> clock_offset_;  // Of the clock to the steady one.
  bool is_next_thorough_ = false;
  bool is_thorough_ = false;  // This round is one over all grants that are ever due.
  bool is_in_round_ = false;
  absl::Time round_began_;
  absl::Time round_ended_ = absl::InfinitePast();
  absl::Time whole_round_ended_ = absl::InfinitePast();
  DuePages<GrantStore::DueGrant> pages_;
  std::map<GrantKey, std::string> networks_;  // By organisation and configuration.
  std::map<std::string, Queue> queues_;       // By NetworkPace::NameOf().
  std::string last_served_;
  size_t queued_ = 0;

  std::mutex mutex_;
  // Guarded by mutex_.
  absl::Time next_round_ = absl::InfinitePast();
  // Never, while no configuration is to blame for anything.
  absl::Time next_look_at_configurations_ = absl::InfiniteFuture();
  std::set<GrantKey> known_;  // Those in a queue or under way.
  std::map<GrantKey, Failing> failing_;

  UnderWay under_way_;
};

// Does it on a thread of its own.
class DueRefresher final {
 public:
  DueRefresher(const FlowTools& tools, GrantRefresher& refresher, NetworkPace& pace, Clock steady);
  // Waits as DueRefreshes does.
  ~DueRefresher();

  // Nothing more is begun. Waits for nothing.
  void Stop() { thread_.Stop(); }
  // Waits until nothing is under way. False where that takes longer. REQUIRES: Stop() was called.
  bool WaitUntil(absl::Time end) {
    return thread_.WaitFor(end - absl::Now()) && refreshes_.WaitFor(end - absl::Now());
  }

 private:
  DueRefreshes refreshes_;
  StepThread thread_;
};

}  // namespace authurl
