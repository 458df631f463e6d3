// await_events.h: calls that wait until an organisation has new events, without a thread for each.
//
//   place = Enter(key, org)   refused where too many wait
//   seen = NewsOf(org)        before it is looked for events
//   … there are none …
//   place->Wait(org, seen, until, again)
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/system/thread_pool.h"
#include "storage/event_store.h"

namespace authurl {

// Safe to use from many threads at once.
class EventWaiters final {
 public:
  using Again = absl::AnyInvocable<void()>;

  struct Limits {
    int per_key = 4;
    int per_organization = 128;  // It may have many keys.
    int all = 512;
  };

  // One who waits, again and again: counted from Enter() until it is destroyed. Must not outlive
  // the waiters.
  class Place final {
   public:
    Place(EventWaiters& waiters, absl::string_view key_id, absl::string_view org_id)
        : waiters_(waiters), key_id_(key_id), counted_org_id_(org_id) {}
    ~Place() { waiters_.Leave(*this); }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    // Calls `again` once, on a thread of the pool: when the organisation has news that `seen` does
    // not have, which may be so already, at `until`, after WakeUp(), or once the waiters stop.
    // False, and it is not called, where these two have been. REQUIRES: the one before was called.
    [[nodiscard]] bool Wait(absl::string_view org_id, uint64_t seen, absl::Time until,
                            Again again) {
      return waiters_.Wait(*this, org_id, seen, until, std::move(again));
    }
    // Nobody waits for it any more.
    void WakeUp() { waiters_.WakeUp(*this); }

   private:
    friend class EventWaiters;
    EventWaiters& waiters_;
    const std::string key_id_;
    const std::string counted_org_id_;
    // All guarded by the waiters' lock.
    std::string org_id_;
    absl::Time until_;
    Again again_;  // Empty while it does not wait.
    bool is_woken_ = false;
  };

  // Both must outlive this.
  EventWaiters(EventStore& events, ThreadPool& pool, Limits limits);
  // REQUIRES: nobody has a place.
  ~EventWaiters();
  EventWaiters(const EventWaiters&) = delete;
  EventWaiters& operator=(const EventWaiters&) = delete;

  // RESOURCE_EXHAUSTED TOO_MANY_WAITING where as many wait as may of this key, or of this
  // organisation, for which it asks; OVERLOADED where as many as may of all.
  absl::StatusOr<std::shared_ptr<Place>> Enter(absl::string_view key_id, absl::string_view org_id);

  // Grows with news of the organisation, and of some others.
  uint64_t NewsOf(absl::string_view org_id) const;

  // Who waits is called, and nobody waits any more.
  void Stop();

  // How many there are.
  int waiting() const;

 private:
  using OfOrganization = absl::flat_hash_map<std::string, std::set<Place*>>;
  using ByTime = std::set<std::pair<absl::Time, Place*>>;
  static constexpr size_t kCounters = 1024;

  void Leave(Place& place);
  bool Wait(Place& place, absl::string_view org_id, uint64_t seen, absl::Time until, Again again);
  void WakeUp(Place& place);
  void OnNews(absl::string_view org_id);
  void WatchTime();
  std::atomic<uint64_t>& CounterOf(absl::string_view org_id);
  // Takes it out of those who wait. REQUIRES, both: the lock, without which what they return is to
  // be run: on a pool that has stopped that is at once.
  Again TakeOut(Place& place);
  std::vector<Again> TakeOutUntil(absl::Time now);
  void Run(std::vector<Again> agains);

  ThreadPool& pool_;
  const Limits limits_;
  std::array<std::atomic<uint64_t>, kCounters> news_ = {};  // By the hash of the organisation's id.

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  // All guarded by mutex_. The last two have those who wait.
  absl::flat_hash_map<std::string, int> of_key_;
  absl::flat_hash_map<std::string, int> entered_of_organization_;
  int all_ = 0;
  bool stopping_ = false;
  OfOrganization of_organization_;
  ByTime by_time_;

  std::thread clock_;
  std::unique_ptr<EventStore::Subscription> subscription_;
};

}  // namespace authurl
