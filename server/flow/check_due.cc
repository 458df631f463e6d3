#include "server/flow/check_due.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "core/call_context.h"
#include "core/catalog/endpoint.h"
#include "core/errors.h"
#include "server/flow/refusal_doubts.h"

namespace authurl {
namespace {

// Few, as others may check them before their turn comes.
constexpr int kUnconfirmedPage = 16;
constexpr absl::Duration kCheckTime = absl::Seconds(40);
// A little faster than once in an interval, so that those that failed have their turn as well.
constexpr double kHaste = 1.25;
// The rounds in an interval, and how far they are apart.
constexpr int kCheckRounds = 20;
constexpr absl::Duration kShortestCheckPause = absl::Minutes(1);
constexpr absl::Duration kLongestCheckPause = absl::Hours(1);
// How many accounts there are, which is what the rate depends on.
constexpr absl::Duration kCountAgain = absl::Minutes(10);
// A check may be a refresh as well, and the pace is told beforehand.
constexpr int kRequestsOfCheck = 2;

// What a check that was begun then says about its network.
NetworkPace::Result PaceResultOf(const absl::StatusOr<CheckedAccount>& checked, absl::Time begun) {
  if (IsDoubted(checked.status())) return NetworkPace::Result::kNothing;
  if (ReasonOf(checked.status()) == "NETWORK_UNAVAILABLE") return NetworkPace::Result::kFails;
  const bool is_confirmed =
      checked.ok() && checked->account.checked_at_ms() >= absl::ToUnixMillis(begun);
  return is_confirmed ? NetworkPace::Result::kWorks : NetworkPace::Result::kNothing;
}

}  // namespace

DueChecks::DueChecks(const FlowTools& tools, GrantRefresher& refresher, NetworkPace& pace,
                     Options options)
    : tools_(tools),
      checker_(tools, refresher),
      pace_(pace),
      options_(std::move(options)),
      pages_(kUnconfirmedPage, "unconfirmed_accounts_not_listed") {}

absl::Duration DueChecks::Step() {
  const absl::Time now = options_.steady();
  if (!is_in_round_ && now < next_round_) return next_round_ - now;
  if (!is_in_round_) BeginRound();
  if (is_in_round_ && page_.empty()) ReadPage();
  if (!is_in_round_) return std::max(next_round_ - now, absl::ZeroDuration());
  if (now < next_check_) return next_check_ - now;
  if (under_way() >= options_.max_under_way) return kLongestCheckPause;
  if (!page_.empty()) {
    const absl::Duration wait = BeginOrPass(page_.front());
    if (wait > absl::ZeroDuration()) return wait;
    page_.pop_front();
  }
  return absl::ZeroDuration();
}

void DueChecks::BeginRound() {
  pages_.Begin(DuePosition());
  is_in_round_ = true;
}

void DueChecks::SetRate() {
  const absl::Time now = options_.steady();
  if (now < counted_at_ + kCountAgain) return;
  const CallContext context(absl::Now() + kDueLookTime);
  const auto counts = tools_.store.accounts().CountByStatus(context);
  if (!counts.ok()) return;
  const auto accounts = static_cast<double>(std::max<int64_t>(counts->active, 1));
  between_checks_ = options_.interval / (kHaste * accounts);
  counted_at_ = now;
}

void DueChecks::ReadPage() {
  const absl::Duration pause =
      std::clamp(options_.interval / kCheckRounds, kShortestCheckPause, kLongestCheckPause);
  if (pages_.is_over()) return EndRound(pause);
  SetRate();
  const absl::Time before = tools_.clock() - options_.interval;
  auto page = pages_.Read([&](const CallContext& context, const DuePosition& after, int limit) {
    return tools_.store.accounts().ListUnconfirmed(context, after, before, limit);
  });
  if (!page.ok() || page->empty()) return EndRound(pause);
  page_.assign(std::make_move_iterator(page->begin()), std::make_move_iterator(page->end()));
}

void DueChecks::EndRound(absl::Duration pause) {
  is_in_round_ = false;
  next_round_ = options_.steady() + pause;
}

absl::Duration DueChecks::BeginOrPass(const AccountStore::UnconfirmedAccount& account) {
  const std::string& org_id = account.position.org_id;
  const catalog::v1::Network* const network = tools_.catalog.Find(account.network);
  if (network == nullptr) return absl::ZeroDuration();
  std::string instance;
  auto context = std::make_shared<const CallContext>(absl::Now() + kCheckTime);
  if (HasInstances(*network)) {
    const auto record = tools_.store.accounts().Get(*context, org_id, account.position.id);
    if (!record.ok()) return absl::ZeroDuration();
    instance = record->instance();
  }
  const std::string name = NetworkPace::NameOf(account.network, instance);
  const absl::Duration wait = pace_.TryBegin(name);
  if (wait > absl::ZeroDuration()) return pace_.IsPaused(name) ? absl::ZeroDuration() : wait;
  next_check_ = options_.steady() + between_checks_;
  under_way_.Begin();
  const CallContext& work = *context;
  checker_.Check(org_id, account.position.id, work,
                 [this, name, begun = tools_.clock(),
                  context = std::move(context)](const absl::StatusOr<CheckedAccount>& checked) {
                   OnEnd(name, PaceResultOf(checked, begun));
                 });
  return absl::ZeroDuration();
}

void DueChecks::OnEnd(const std::string& name, NetworkPace::Result result) {
  pace_.End(name, result, kRequestsOfCheck);
  under_way_.End(options_.on_end);
}

DueChecker::DueChecker(const FlowTools& tools, GrantRefresher& refresher, NetworkPace& pace,
                       absl::Duration interval, Clock steady)
    : checks_(tools, refresher, pace,
              {.interval = interval,
               .steady = std::move(steady),
               .on_end = [this] { thread_.Wake(); }}),
      thread_([this] { return checks_.Step(); }) {}

DueChecker::~DueChecker() {
  thread_.Stop();
  thread_.Join();
  checks_.Wait();
}

}  // namespace authurl
