#include "server/flow/deliver_events.h"

#include <algorithm>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "core/api_key.h"
#include "core/errors.h"
#include "core/flow/webhook_body.h"
#include "server/flow/event_message.h"
#include "server/observe/log.h"
#include "storage/webhook_store.h"

namespace authurl {
namespace {

// Commits of theirs are shared.
constexpr int kDeliveryThreads = 8;
// Each has a page of events in memory.
constexpr size_t kMaxRuns = 1024;
constexpr int kDueAtATime = 256;
constexpr int kFailingLookedAt = 1000;
// One that another process delivers to is looked at again: it may have missed our news.
constexpr absl::Duration kPauseOfHeld = absl::Seconds(1);
constexpr absl::Duration kPauseOfDamaged = absl::Seconds(30);
constexpr size_t kMaxNotBefore = 10'000;
constexpr absl::Duration kLookTime = absl::Seconds(15);
constexpr DeliverySlots::Limits kTestLimits = {.all = 64, .per_organization = 4};

absl::Status TooManyTests() {
  return MakeRetryableError(absl::StatusCode::kResourceExhausted, "TOO_MANY_TESTS",
                            "other tests of webhooks are under way; try again when they have ended",
                            absl::Seconds(5));
}

}  // namespace

EventDeliverer::EventDeliverer(const Tools& tools, const Options& options)
    : tools_(tools),
      options_(options),
      pool_(kDeliveryThreads),
      slots_({.all = options.max_deliveries,
              .per_organization = options.max_deliveries_per_organization}),
      test_slots_(kTestLimits) {}

void EventDeliverer::Start() {
  subscription_ =
      tools_.store.events().Subscribe([this](absl::string_view org_id) { NoteNews(org_id); });
  thread_ = std::thread([this] { Work(); });
}

EventDeliverer::~EventDeliverer() {
  BeginStop();
  subscription_.reset();
  if (thread_.joinable()) thread_.join();
  {
    std::unique_lock<std::mutex> lock(mutex_);
    wake_.wait(lock, [this] { return runs_.empty(); });
  }
  pool_.Stop();
}

void EventDeliverer::BeginStop() {
  std::vector<std::shared_ptr<WebhookRun>> runs;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_stopping_ = true;
    for (const auto& [key, run] : runs_) runs.push_back(run.run);
  }
  for (const auto& run : runs) run->Stop();
  wake_.notify_all();
}

void EventDeliverer::NoteNews(absl::string_view org_id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  changed_.emplace(org_id);
  wake_.notify_all();
}

void EventDeliverer::NoteChange(absl::string_view org_id, absl::string_view webhook_id) {
  std::shared_ptr<WebhookRun> run;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Key key(org_id, webhook_id);
    not_before_.erase(key);
    changed_.emplace(org_id);
    const auto found = runs_.find(key);
    if (found != runs_.end()) run = found->second.run;
  }
  if (run != nullptr) run->NoteChange();
  wake_.notify_all();
}

void EventDeliverer::Test(const OpenedWebhook& opened, const CallContext& context, Tested tested) {
  const record::v1::Webhook& webhook = opened.webhook;
  const std::string org_id = webhook.org_id();
  if (!test_slots_.TryTake(org_id)) return tested(TooManyTests());
  const absl::Time now = tools_.clock();
  // As ids of events are; none of the organisation's has it, as these are made of its commits.
  const std::string id = NewId("ev_test_", tools_.random);
  record::v1::Event event;
  event.set_created_at_ms(absl::ToUnixMillis(now));
  event.set_webhook_id(webhook.id());
  HttpRequest request =
      DeliveryRequest(webhook.url(), opened.keys, id,
                      WebhookBody(id, kTestEventType, kTestEventMessage, event), now);
  CallTarget target = {.network = kWebhookTarget, .org_id = org_id, .trust = HostTrust::kReceiver};
  tools_.http.Send(std::move(request), std::move(target), context,
                   [this, org_id, &context,
                    tested = std::move(tested)](const absl::StatusOr<HttpAnswer>& answer) mutable {
                     test_slots_.Release(org_id);
                     // That nobody waited long enough says nothing about the receiver.
                     if (absl::Status ended = context.Check(); !answer.ok() && !ended.ok())
                       return tested(ended);
                     tested(ReadDelivery(answer, tools_.clock()));
                   });
}

void EventDeliverer::Work() {
  while (true) {
    std::set<std::string> changed;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait_for(lock, absl::ToChronoMilliseconds(options_.poll_interval),
                     [this] { return is_stopping_ || is_urgent_ || !changed_.empty(); });
      if (is_stopping_) return;
      is_urgent_ = false;
      changed.swap(changed_);
    }
    for (const std::string& org_id : changed) LookAt(org_id);
    LookAtDue();
    LookAtAll();
    StartWaiting();
  }
}

void EventDeliverer::LookAt(const std::string& org_id) {
  const CallContext context(absl::Now() + kLookTime);
  const auto webhooks = tools_.store.webhooks().List(context, org_id);
  if (!webhooks.ok()) {
    Log(LogLevel::kWarning, "webhooks_not_listed",
        {{"org_id", org_id}, {"cause", CauseOf(webhooks.status())}});
    return;  // The look at all of them finds it.
  }
  for (const record::v1::Webhook& webhook : webhooks->records) {
    if (webhook.disabled_reason().empty()) Want({org_id, webhook.id()});
  }
}

void EventDeliverer::LookAtDue() {
  if (absl::Now() < next_due_look_at_) return;
  next_due_look_at_ = absl::Now() + options_.poll_interval;
  const CallContext context(absl::Now() + kLookTime);
  const int64_t before = absl::ToUnixMillis(tools_.clock()) + 1;
  DuePosition after;
  while (true) {
    const auto due = tools_.store.webhooks().ListDue(context, after, before, kDueAtATime);
    if (!due.ok()) {
      Log(LogLevel::kWarning, "due_webhooks_not_listed", {{"cause", CauseOf(due.status())}});
      return;
    }
    for (const DueWebhook& webhook : *due) Want({webhook.org_id, webhook.id});
    if (due->size() < kDueAtATime) return;
    const DueWebhook& last = due->back();
    after = {.due = last.due, .org_id = last.org_id, .id = last.id};
  }
}

void EventDeliverer::LookAtAll() {
  if (!walk_) {
    if (absl::Now() < next_walk_at_) return;
    next_walk_at_ = absl::Now() + options_.walk_interval;
    // Those that are due by themselves are found without it, but for those that were left alone by
    // a clock that was ahead.
    walk_ = DuePosition{.due = absl::ToUnixMillis(tools_.clock() + kDeliveryLease + kClockMargin)};
    ReportFailing();
  }
  {
    // Goes on as those before come to their end.
    const std::lock_guard<std::mutex> lock(mutex_);
    if (runs_.size() + waiting_.size() > kMaxRuns / 2) return;
  }
  const CallContext context(absl::Now() + kLookTime);
  const auto page = tools_.store.webhooks().ListDue(context, *walk_, kNeverDue, kDueAtATime);
  if (!page.ok()) {
    Log(LogLevel::kWarning, "webhooks_not_listed", {{"cause", CauseOf(page.status())}});
    return;
  }
  for (const DueWebhook& webhook : *page) Want({webhook.org_id, webhook.id});
  if (page->size() < kDueAtATime) {
    walk_.reset();
    return;
  }
  const DueWebhook& last = page->back();
  walk_ = {.due = last.due, .org_id = last.org_id, .id = last.id};
  const std::lock_guard<std::mutex> lock(mutex_);
  is_urgent_ = true;
}

void EventDeliverer::ReportFailing() {
  const CallContext context(absl::Now() + kLookTime);
  WebhookStore& webhooks = tools_.store.webhooks();
  const auto due = webhooks.ListDue(context, {}, kDueWithEvents, kFailingLookedAt);
  if (!due.ok()) return;
  const absl::Time now = tools_.clock();
  int64_t failing = 0;
  absl::Time first = now;
  for (const DueWebhook& each : *due) {
    const auto webhook = webhooks.Get(context, each.org_id, each.id);
    if (!webhook.ok() || webhook->failures() == 0) continue;
    ++failing;
    first = std::min(first, absl::FromUnixMillis(webhook->first_failed_at_ms()));
  }
  tools_.metrics.SetFailing(failing, now - first);
}

void EventDeliverer::Want(const Key& key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = runs_.find(key);
  if (found != runs_.end()) {
    found->second.is_wanted_again = true;
  } else if (is_waiting_.insert(key).second) {
    waiting_.push_back(key);
  }
}

void EventDeliverer::StartWaiting() {
  const absl::Time now = absl::Now();
  std::vector<std::shared_ptr<WebhookRun>> begun;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (is_stopping_) return;
    std::deque<Key> later;
    while (!waiting_.empty() && runs_.size() < kMaxRuns) {
      Key key = std::move(waiting_.front());
      waiting_.pop_front();
      is_waiting_.erase(key);
      const auto pause = not_before_.find(key);
      if (pause != not_before_.end()) {
        if (now < pause->second) {
          later.push_back(std::move(key));
          continue;
        }
        not_before_.erase(pause);
      }
      auto run = std::make_shared<WebhookRun>(
          DeliveryTools{.http = tools_.http,
                        .store = tools_.store,
                        .catalog = tools_.catalog,
                        .pool = pool_,
                        .slots = slots_,
                        .metrics = tools_.metrics,
                        .clock = tools_.clock,
                        .random = tools_.random},
          key.first, key.second, [this, key](WebhookRun::End end) { RunEnded(key, end); });
      runs_.emplace(std::move(key), Run{run});
      begun.push_back(std::move(run));
    }
    for (Key& key : later) {
      if (is_waiting_.insert(key).second) waiting_.push_back(std::move(key));
    }
  }
  for (const auto& run : begun) run->Start();
}

void EventDeliverer::RunEnded(const Key& key, WebhookRun::End end) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto run = runs_.find(key);
  const bool is_wanted = run->second.is_wanted_again || end == WebhookRun::End::kMoreLeft ||
                         end == WebhookRun::End::kHeld;
  runs_.erase(run);
  absl::Duration pause = absl::ZeroDuration();
  if (end == WebhookRun::End::kHeld) pause = kPauseOfHeld;
  if (end == WebhookRun::End::kFailed) pause = kPauseOfDamaged;
  if (pause > absl::ZeroDuration()) {
    if (not_before_.size() >= kMaxNotBefore) not_before_.clear();
    not_before_.insert_or_assign(key, absl::Now() + pause);
  }
  if (!is_stopping_ && is_wanted && is_waiting_.insert(key).second) {
    waiting_.push_back(key);
    is_urgent_ = true;
  }
  wake_.notify_all();
}

}  // namespace authurl
