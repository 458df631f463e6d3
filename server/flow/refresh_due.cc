#include "server/flow/refresh_due.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "core/call_context.h"
#include "core/errors.h"
#include "server/flow/needs_reconnect.h"
#include "server/flow/refresh_time.h"
#include "server/flow/refusal_doubts.h"
#include "storage/connecting.h"

namespace authurl {
namespace {

constexpr int kDuePage = 256;
// What a network takes in that time is held in memory, so that its queue does not run dry before
// more of it is read.
constexpr absl::Duration kQueuedAhead = absl::Minutes(1);
constexpr double kMinInQueue = 256;
constexpr double kMaxInQueue = 10'000;
constexpr size_t kMaxQueued = 50'000;
// How often all that is due is gone through though each queue is full.
constexpr absl::Duration kWholeRoundPause = absl::Minutes(1);
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
  if (IsDoubted(status)) return NetworkPace::Result::kNothing;
  const std::string reason = ReasonOf(status);
  if (reason == "NETWORK_UNAVAILABLE") return NetworkPace::Result::kFails;
  const bool has_answered = status.ok() || reason == "NEEDS_RECONNECT";
  return has_answered && sent > 0 ? NetworkPace::Result::kWorks : NetworkPace::Result::kNothing;
}

size_t QueueCapacity(double per_second) {
  return static_cast<size_t>(
      std::clamp(per_second * absl::ToDoubleSeconds(kQueuedAhead), kMinInQueue, kMaxInQueue));
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
  LookAtConfigurations();
  const absl::Duration wait = BeginWhatMay();
  if (is_in_round_) return absl::ZeroDuration();
  const std::lock_guard<std::mutex> lock(mutex_);
  const absl::Time next = std::min(next_round_, next_look_at_configurations_);
  return std::max(std::min(wait, next - options_.steady()), absl::ZeroDuration());
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
  if (pages_.is_over()) {
    whole_round_ended_ = options_.steady();
    EndRound();
  } else if (IsRestOfNoUse()) {
    is_next_thorough_ |= is_thorough_;
    EndRound();
  }
}

bool DueRefreshes::IsRestOfNoUse() const {
  if (queued_ >= kMaxQueued) return true;
  if (options_.steady() < whole_round_ended_ + kWholeRoundPause) {
    return !queues_.empty() && std::all_of(queues_.begin(), queues_.end(), [](const auto& queue) {
      return queue.second.is_overfull;
    });
  }
  return false;
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
  const bool has_room =
      Put(NetworkPace::NameOf(*network, grant.instance),
          {.org_id = key.first, .id = key.second, .social_network_id = grant.social_network_id});
  // One that is not due is found by a thorough round only.
  if (!has_room && is_thorough_) is_next_thorough_ = true;
}

bool DueRefreshes::Put(const std::string& queue_name, FairQueue::Item item) {
  Queue& queue = queues_.try_emplace(queue_name, QueueCapacity(pace_.per_second())).first->second;
  GrantKey key(item.org_id, item.id);
  std::optional<FairQueue::Item> left;
  const size_t before = queue.grants.size();
  if (queued_ < kMaxQueued) {
    left = queue.grants.Push(std::move(item));
  } else {
    left = std::move(item);
  }
  queued_ += queue.grants.size() - before;
  queue.is_overfull |= left.has_value();
  const std::lock_guard<std::mutex> lock(mutex_);
  known_.insert(std::move(key));
  if (left) known_.erase(GrantKey(left->org_id, left->id));
  return !left;
}

bool DueRefreshes::IsDueEarly(const GrantStore::DueGrant& grant) const {
  const CallContext context(absl::Now() + kDueLookTime);
  const auto record = tools_.store.grants().Get(context, grant.position.org_id, grant.position.id);
  return record.ok() && (IsDue(tools_.catalog.FindVariant(record->network(), record->variant()),
                               *record, tools_.clock()) ||
                         refresher_.IsToBeTriedAgain(context, *record));
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

uint64_t DueRefreshes::VersionOf(const std::string& org_id,
                                 const std::string& social_network_id) const {
  const CallContext context(absl::Now() + kDueLookTime);
  const auto settings = tools_.store.social_networks().Get(context, org_id, social_network_id);
  return settings.ok() ? settings->version() : 0;
}

void DueRefreshes::LookAtConfigurations() {
  const absl::Time time = options_.steady();
  std::map<GrantKey, uint64_t> versions;  // By organisation and configuration.
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (time < next_look_at_configurations_) return;
    for (const auto& [key, failing] : failing_) {
      if (failing.origin.version == 0) continue;
      versions.try_emplace({key.first, failing.origin.social_network_id}, 0);
    }
    next_look_at_configurations_ = versions.empty() ? absl::InfiniteFuture() : time + kLookAgain;
  }
  for (auto& [key, version] : versions) version = VersionOf(key.first, key.second);
  std::vector<std::pair<GrantKey, Origin>> mended;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (auto it = failing_.begin(); it != failing_.end();) {
      const auto& [key, failing] = *it;
      const auto now = versions.find({key.first, failing.origin.social_network_id});
      const bool is_mended = failing.origin.version != 0 && now != versions.end() &&
                             now->second != 0 && now->second != failing.origin.version &&
                             !known_.contains(key);
      if (is_mended) mended.emplace_back(key, failing.origin);
      it = is_mended ? failing_.erase(it) : std::next(it);
    }
  }
  for (const auto& [key, origin] : mended) {
    const bool has_room =
        Put(origin.queue,
            {.org_id = key.first, .id = key.second, .social_network_id = origin.social_network_id});
    if (!has_room) is_next_thorough_ = true;
  }
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
      const FairQueue::Item grant = queue.grants.Pop();
      --queued_;
      Begin(name, grant);
    }
    // More of it is read before it has run dry.
    if (queue.is_overfull && queue.grants.size() < queue.grants.capacity() / 4) {
      queue.is_overfull = false;
      LookAgainBy(std::max(options_.steady(), round_ended_ + kRoundPause));
    }
    served = queue.grants.empty() && !queue.is_overfull ? queues_.erase(served) : ++served;
  }
  return shortest;
}

void DueRefreshes::Begin(const std::string& name, const FairQueue::Item& grant) {
  Origin origin = {.queue = name,
                   .social_network_id = grant.social_network_id,
                   .version = VersionOf(grant.org_id, grant.social_network_id)};
  under_way_.Begin();
  auto context = std::make_shared<const CallContext>(absl::Now() + kDueRefreshTime);
  const CallContext& work = *context;
  refresher_.RefreshDue(grant.org_id, grant.id, work,
                        [this, key = GrantKey(grant.org_id, grant.id), origin = std::move(origin),
                         context = std::move(context)](const absl::Status& status, int sent) {
                          OnEnd(key, origin, status, sent);
                        });
}

void DueRefreshes::OnEnd(const GrantKey& key, const Origin& origin, const absl::Status& status,
                         int sent) {
  pace_.End(origin.queue, PaceResultOf(status, sent), sent);
  Remember(key, origin, status);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    known_.erase(key);
  }
  under_way_.End(options_.on_end);
}

void DueRefreshes::Remember(const GrantKey& key, const Origin& origin, const absl::Status& status) {
  const absl::Time now = options_.steady();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (status.ok()) {
    failing_.erase(key);
    return;
  }
  // It may be due as before, or soon.
  next_round_ = std::min(next_round_, now + kLookAgain);
  // Another process refreshes it: this is no failure.
  const std::string reason = ReasonOf(status);
  if (reason == "REFRESH_IN_PROGRESS") return;
  if (failing_.size() >= kMaxFailing && !failing_.contains(key)) failing_.clear();
  Failing& failing = failing_[key];
  failing.not_before =
      now + std::min(kLookAgain * (1 << std::min(failing.failures, 10)), kLongestPauseAfterFailure);
  ++failing.failures;
  failing.origin = Origin();
  if (reason != kClientRejected && reason != kClientSecretUnusable) return;
  failing.origin = origin;
  next_look_at_configurations_ = std::min(next_look_at_configurations_, now + kLookAgain);
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
