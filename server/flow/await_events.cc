#include "server/flow/await_events.h"

#include "absl/hash/hash.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/errors.h"

namespace authurl {
namespace {

// How often it is looked for those whose time is over, where no event comes first.
constexpr absl::Duration kTick = absl::Milliseconds(100);

using Counts = absl::flat_hash_map<std::string, int>;

int CountOf(absl::string_view name, const Counts& counts) {
  const auto found = counts.find(name);
  return found == counts.end() ? 0 : found->second;
}

void CountDown(absl::string_view name, Counts& counts) {
  const auto found = counts.find(name);
  if (--found->second == 0) counts.erase(found);
}

absl::Status TooManyWaiting(int count, absl::string_view of) {
  return MakeRetryableError(
      absl::StatusCode::kResourceExhausted, "TOO_MANY_WAITING",
      absl::StrCat(count, " calls of this ", of,
                   " wait for events already; wait in one place and pass the events on"),
      absl::Seconds(1));
}

}  // namespace

EventWaiters::EventWaiters(EventStore& events, ThreadPool& pool, Limits limits)
    : pool_(pool), limits_(limits), clock_([this] { WatchTime(); }) {
  subscription_ = events.Subscribe([this](absl::string_view org_id) { OnNews(org_id); });
}

EventWaiters::~EventWaiters() {
  subscription_.reset();
  Stop();
  clock_.join();
}

absl::StatusOr<std::shared_ptr<EventWaiters::Place>> EventWaiters::Enter(absl::string_view key_id,
                                                                         absl::string_view org_id) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (CountOf(key_id, of_key_) >= limits_.per_key)
      return TooManyWaiting(limits_.per_key, "API key");
    if (CountOf(org_id, entered_of_organization_) >= limits_.per_organization) {
      return TooManyWaiting(limits_.per_organization, "organization");
    }
    if (all_ >= limits_.all) {
      return MakeRetryableError(absl::StatusCode::kResourceExhausted, "OVERLOADED",
                                "too many calls wait for events; try again later",
                                absl::Seconds(1));
    }
    ++of_key_[key_id];
    ++entered_of_organization_[org_id];
    ++all_;
  }
  return std::make_shared<Place>(*this, key_id, org_id);
}

void EventWaiters::Leave(Place& place) {
  const std::lock_guard<std::mutex> lock(mutex_);
  CountDown(place.key_id_, of_key_);
  CountDown(place.counted_org_id_, entered_of_organization_);
  --all_;
}

uint64_t EventWaiters::NewsOf(absl::string_view org_id) const {
  return const_cast<EventWaiters*>(this)->CounterOf(org_id).load(std::memory_order_acquire);
}

std::atomic<uint64_t>& EventWaiters::CounterOf(absl::string_view org_id) {
  return news_[absl::HashOf(org_id) % kCounters];
}

bool EventWaiters::Wait(Place& place, absl::string_view org_id, uint64_t seen, absl::Time until,
                        Again again) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_ || place.is_woken_) return false;
    // Under the lock, so that OnNews(), which counts first, finds the place where no news is seen.
    if (NewsOf(org_id) == seen) {
      place.again_ = std::move(again);
      place.org_id_ = std::string(org_id);
      place.until_ = until;
      of_organization_[place.org_id_].insert(&place);
      by_time_.emplace(until, &place);
      if (by_time_.size() == 1) wake_.notify_all();
      return true;
    }
  }
  pool_.Run(std::move(again));
  return true;
}

void EventWaiters::WakeUp(Place& place) {
  std::vector<Again> agains;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    place.is_woken_ = true;
    if (place.again_) agains.push_back(TakeOut(place));
  }
  Run(std::move(agains));
}

void EventWaiters::OnNews(absl::string_view org_id) {
  CounterOf(org_id).fetch_add(1, std::memory_order_acq_rel);
  std::vector<Again> agains;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = of_organization_.find(org_id);
    if (found == of_organization_.end()) return;
    const std::set<Place*> places = found->second;
    for (Place* place : places) agains.push_back(TakeOut(*place));
  }
  Run(std::move(agains));
}

EventWaiters::Again EventWaiters::TakeOut(Place& place) {
  const auto found = of_organization_.find(place.org_id_);
  found->second.erase(&place);
  if (found->second.empty()) of_organization_.erase(found);
  by_time_.erase({place.until_, &place});
  return std::exchange(place.again_, nullptr);
}

std::vector<EventWaiters::Again> EventWaiters::TakeOutUntil(absl::Time now) {
  std::vector<Again> agains;
  while (!by_time_.empty() && by_time_.begin()->first <= now) {
    agains.push_back(TakeOut(*by_time_.begin()->second));
  }
  return agains;
}

void EventWaiters::Run(std::vector<Again> agains) {
  for (Again& again : agains) pool_.Run(std::move(again));
}

void EventWaiters::WatchTime() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    if (by_time_.empty()) {
      wake_.wait(lock, [this] { return stopping_ || !by_time_.empty(); });
      continue;
    }
    std::vector<Again> agains = TakeOutUntil(absl::Now());
    lock.unlock();
    Run(std::move(agains));
    lock.lock();
    wake_.wait_for(lock, absl::ToChronoMilliseconds(kTick), [this] { return stopping_; });
  }
}

void EventWaiters::Stop() {
  std::vector<Again> agains;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    agains = TakeOutUntil(absl::InfiniteFuture());
  }
  wake_.notify_all();
  Run(std::move(agains));
}

int EventWaiters::waiting() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return all_;
}

}  // namespace authurl
