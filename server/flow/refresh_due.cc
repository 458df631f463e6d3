#include "server/flow/refresh_due.h"

#include <algorithm>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "core/call_context.h"
#include "core/errors.h"
#include "server/flow/refresh_time.h"
#include "storage/connecting.h"

namespace authurl {
namespace {

constexpr int kDuePage = 256;
constexpr size_t kMaxInQueue = 256;
constexpr size_t kMaxQueued = 50'000;
constexpr size_t kMaxNetworksRemembered = 10'000;
constexpr size_t kMaxFailing = 10'000;
// The shortest time between two rounds, and how many times as long as the round itself it is.
constexpr absl::Duration kRoundPause = absl::Seconds(5);
constexpr int kRestAfterRound = 20;
// After a round that could not be made, and for what could not be refreshed: a lease lasts that
// long, and so does the shortest pause after a failure.
constexpr absl::Duration kLookAgain = absl::Minutes(1);
constexpr absl::Duration kLongestPauseAfterFailure = absl::Hours(1);
// What counts as a jump of the clock.
constexpr absl::Duration kClockStep = absl::Minutes(1);
// A refresh may be two calls of ten seconds, and waiting for the database.
constexpr absl::Duration kDueRefreshTime = absl::Seconds(25);

// What the end of a refresh says about its network.
NetworkPace::Result PaceResultOf(const absl::Status& status, int sent) {
  const std::string reason = ReasonOf(status);
  if (reason == "NETWORK_UNAVAILABLE") return NetworkPace::Result::kFails;
  const bool has_answered = status.ok() || reason == "NEEDS_RECONNECT";
  return has_answered && sent > 0 ? NetworkPace::Result::kWorks : NetworkPace::Result::kNothing;
}

}  // namespace

DueRefreshes::DueRefreshes(const FlowTools& tools, GrantRefresher& refresher, NetworkPace& pace,
                           Options options)
    : tools_(tools),
      refresher_(refresher),
      pace_(pace),
      options_(std::move(options)),
      pages_(kDuePage, "due_grants_not_listed") {}

absl::Duration DueRefreshes::Step() {
  LookAtClock();
  absl::Time next_round;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    next_round = next_round_;
  }
  if (!is_in_round_ && options_.steady() >= next_round) BeginRound();
  if (is_in_round_) ReadPage();
  const absl::Duration wait = BeginWhatMay();
  if (is_in_round_) return absl::ZeroDuration();
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::max(std::min(wait, next_round_ - options_.steady()), absl::ZeroDuration());
}

void DueRefreshes::LookAtClock() {
  const absl::Duration offset = tools_.clock() - options_.steady();
  const bool was_put_back = !clock_offset_ || offset < *clock_offset_ - kClockStep;
  if (was_put_back) {
    is_next_thorough_ = true;
    LookAgainBy(options_.steady());
  }
  // Small steps add up to a large one.
  if (was_put_back || offset > *clock_offset_) clock_offset_ = offset;
}

void DueRefreshes::BeginRound() {
  is_in_round_ = true;
  is_thorough_ = std::exchange(is_next_thorough_, false);
  round_began_ = options_.steady();
  // Behind those that are to be revoked.
  pages_.Begin({.due = kDueToBeRevoked + 1});
  networks_.clear();
  for (auto& [name, queue] : queues_) queue.is_overfull = false;
  const std::lock_guard<std::mutex> lock(mutex_);
  next_round_ = absl::InfiniteFuture();
}

void DueRefreshes::ReadPage() {
  const absl::Time until = is_thorough_ ? absl::FromUnixMillis(kNeverDue - 2) : tools_.clock();
  const auto page =
      pages_.Read([&](const CallContext& context, const DuePosition& after, int limit) {
        return tools_.store.grants().ListDue(context, after, until, limit);
      });
  if (!page.ok()) {
    is_in_round_ = false;
    is_next_thorough_ |= is_thorough_;
    LookAgainBy(options_.steady() + kLookAgain);
    return;
  }
  for (const GrantStore::DueGrant& grant : *page) Enqueue(grant);
  if (pages_.is_over()) EndRound();
}

void DueRefreshes::EndRound() {
  is_in_round_ = false;
  round_ended_ = options_.steady();
  const CallContext context(absl::Now() + kDueLookTime);
  const absl::Time now = tools_.clock();
  const auto next = tools_.store.grants().NextDue(context, now);
  absl::Duration pause = options_.longest_pause;
  if (next.ok() && *next) pause = std::min(pause, **next - now);
  pause = std::max({pause, kRoundPause, kRestAfterRound * (round_ended_ - round_began_)});
  LookAgainBy(round_ended_ + pause);
}

void DueRefreshes::Enqueue(const GrantStore::DueGrant& grant) {
  GrantKey key(grant.position.org_id, grant.position.id);
  const bool is_early = grant.position.due > absl::ToUnixMillis(tools_.clock());
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const bool is_known = known_.contains(key);
    const auto failing = failing_.find(key);
    const bool is_put_off =
        failing != failing_.end() && failing->second.not_before > options_.steady();
    if (is_put_off) next_round_ = std::min(next_round_, failing->second.not_before);
    if (is_known || is_put_off) {
      // It would not be found otherwise.
      if (is_early) is_next_thorough_ = true;
      return;
    }
  }
  if (is_early && !IsDueEarly(grant)) return;
  const std::optional<std::string> network = NetworkOf(grant);
  // It stays due: the metric of what is overdue tells of it.
  if (!network || tools_.catalog.Find(*network) == nullptr) return;
  Queue& queue = queues_[NetworkPace::NameOf(*network, grant.instance)];
  if (queue.grants.size() >= kMaxInQueue || queued_ >= kMaxQueued) {
    queue.is_overfull = true;
    if (is_early) is_next_thorough_ = true;
    return;
  }
  queue.grants.push_back(key);
  ++queued_;
  const std::lock_guard<std::mutex> lock(mutex_);
  known_.insert(std::move(key));
}

bool DueRefreshes::IsDueEarly(const GrantStore::DueGrant& grant) const {
  const CallContext context(absl::Now() + kDueLookTime);
  const auto record = tools_.store.grants().Get(context, grant.position.org_id, grant.position.id);
  return record.ok() && IsDue(tools_.catalog.FindVariant(record->network(), record->variant()),
                              *record, tools_.clock());
}

std::optional<std::string> DueRefreshes::NetworkOf(const GrantStore::DueGrant& grant) {
  const std::string& org_id = grant.position.org_id;
  const GrantKey key(org_id, grant.social_network_id);
  if (const auto known = networks_.find(key); known != networks_.end()) return known->second;
  const CallContext context(absl::Now() + kDueLookTime);
  const auto settings =
      tools_.store.social_networks().Get(context, org_id, grant.social_network_id);
  if (settings.ok()) {
    if (networks_.size() >= kMaxNetworksRemembered) networks_.clear();
    return networks_.emplace(key, settings->network()).first->second;
  }
  // The grant may outlive its configuration.
  const auto record = tools_.store.grants().Get(context, org_id, grant.position.id);
  if (!record.ok()) return std::nullopt;
  return record->network();
}

absl::Duration DueRefreshes::BeginWhatMay() {
  absl::Duration shortest = absl::InfiniteDuration();
  // Round about, so that none is always the last where there is no room for all.
  auto served = queues_.upper_bound(last_served_);
  for (size_t left = queues_.size(); left > 0; --left) {
    if (served == queues_.end()) served = queues_.begin();
    const std::string& name = served->first;
    Queue& queue = served->second;
    while (!queue.grants.empty()) {
      if (under_way() >= options_.max_under_way) return shortest;
      const absl::Duration wait = pace_.TryBegin(name);
      if (wait > absl::ZeroDuration()) {
        shortest = std::min(shortest, wait);
        break;
      }
      last_served_ = name;
      GrantKey key = std::move(queue.grants.front());
      queue.grants.pop_front();
      --queued_;
      Begin(name, std::move(key));
    }
    // More of it is read before it has run dry.
    if (queue.is_overfull && queue.grants.size() < kMaxInQueue / 4) {
      queue.is_overfull = false;
      LookAgainBy(std::max(options_.steady(), round_ended_ + kRoundPause));
    }
    served = queue.grants.empty() && !queue.is_overfull ? queues_.erase(served) : ++served;
  }
  return shortest;
}

void DueRefreshes::Begin(const std::string& name, GrantKey key) {
  under_way_.Begin();
  auto context = std::make_shared<const CallContext>(absl::Now() + kDueRefreshTime);
  const CallContext& work = *context;
  const std::string org_id = key.first;
  const std::string grant_id = key.second;
  refresher_.RefreshDue(
      org_id, grant_id, work,
      [this, name, key = std::move(key), context = std::move(context)](
          const absl::Status& status, int sent) { OnEnd(name, key, status, sent); });
}

void DueRefreshes::OnEnd(const std::string& name, const GrantKey& key, const absl::Status& status,
                         int sent) {
  pace_.End(name, PaceResultOf(status, sent), sent);
  Remember(key, status);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    known_.erase(key);
  }
  under_way_.End(options_.on_end);
}

void DueRefreshes::Remember(const GrantKey& key, const absl::Status& status) {
  const absl::Time now = options_.steady();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (status.ok()) {
    failing_.erase(key);
    return;
  }
  // It may be due as before, or soon.
  next_round_ = std::min(next_round_, now + kLookAgain);
  // Another process refreshes it: this is no failure.
  if (ReasonOf(status) == "REFRESH_IN_PROGRESS") return;
  if (failing_.size() >= kMaxFailing && !failing_.contains(key)) failing_.clear();
  Failing& failing = failing_[key];
  failing.not_before =
      now + std::min(kLookAgain * (1 << std::min(failing.failures, 10)), kLongestPauseAfterFailure);
  ++failing.failures;
}

void DueRefreshes::LookAgainBy(absl::Time time) {
  const std::lock_guard<std::mutex> lock(mutex_);
  next_round_ = std::min(next_round_, time);
}

DueRefresher::DueRefresher(const FlowTools& tools, GrantRefresher& refresher, NetworkPace& pace,
                           Clock steady)
    : refreshes_(tools, refresher, pace,
                 {.steady = std::move(steady), .on_end = [this] { thread_.Wake(); }}),
      thread_([this] { return refreshes_.Step(); }) {}

DueRefresher::~DueRefresher() {
  thread_.Stop();
  thread_.Join();
  refreshes_.Wait();
}

}  // namespace authurl
