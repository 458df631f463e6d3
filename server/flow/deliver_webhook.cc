#include "server/flow/deliver_webhook.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "core/api_key.h"
#include "core/errors.h"
#include "core/flow/webhook_body.h"
#include "server/flow/event_message.h"
#include "server/observe/log.h"
#include "storage/event_store.h"
#include "storage/webhook_store.h"

namespace authurl {
namespace {

using record::v1::Event;
using record::v1::Webhook;

constexpr int kMaxInFlight = 16;
constexpr PageLimit kEventsAtATime = {.rows = 64};
constexpr size_t kReplaysAtATime = 64;
// A receiver that fails so often in a row, without a success, is down.
constexpr int kFailuresOfOneThatIsDown = 3;
// Between two looks at events that are not wanted, so that no commit is made for each of them.
constexpr int64_t kPassedOverAtATime = 64;
// Longer than one delivery takes.
constexpr absl::Duration kSaveInterval = absl::Seconds(15);
// What is sent must have ended when the lease does, also where clocks differ a little.
constexpr absl::Duration kLeaseMargin = absl::Seconds(15);
// Then others come first.
constexpr absl::Duration kLongestRun = absl::Seconds(60);
// The database answers by then; deliveries have their own deadline.
constexpr absl::Duration kRunDeadline = absl::Minutes(10);

bool IsWanted(const Webhook& webhook, const Event& event) {
  const absl::string_view type = EventTypeName(event.type());
  if (type.empty()) return false;
  const auto& types = webhook.event_types();
  return types.empty() || std::find(types.begin(), types.end(), type) != types.end();
}

double Chance(const RandomSource& random) {
  std::array<uint8_t, 2> bytes = {};
  random(bytes);
  return (bytes[0] * 256 + bytes[1]) / 65535.0;
}

template <typename Item>
void Shuffle(const RandomSource& random, std::deque<Item>& items) {
  for (size_t left = items.size(); left > 1; --left) {
    const auto other = static_cast<size_t>(Chance(random) * static_cast<double>(left));
    std::swap(items[left - 1], items[std::min(other, left - 1)]);
  }
}

}  // namespace

WebhookRun::WebhookRun(const DeliveryTools& tools, std::string org_id, std::string webhook_id,
                       Done done)
    : tools_(tools),
      org_id_(std::move(org_id)),
      webhook_id_(std::move(webhook_id)),
      holder_(NewId("wl_", tools.random)),
      context_(absl::Now() + kRunDeadline),
      done_(std::move(done)) {}

void WebhookRun::Start() {
  tools_.pool.Run([self = shared_from_this()] { self->Begin(); });
}

void WebhookRun::NoteChange() {
  const std::lock_guard<std::mutex> lock(mutex_);
  is_stopping_ = true;
}

void WebhookRun::Stop() {
  const std::lock_guard<std::mutex> lock(mutex_);
  is_stopping_ = true;
  is_cut_off_ = true;
}

void WebhookRun::EndWith(End end) {
  Done done = std::move(done_);
  done(end);
}

bool WebhookRun::HasNothingToDo() {
  const absl::StatusOr<Webhook> webhook =
      tools_.store.webhooks().Get(context_, org_id_, webhook_id_);
  if (!webhook.ok()) return absl::IsNotFound(webhook.status());
  if (!webhook->disabled_reason().empty()) return true;
  if (webhook->replays_size() > 0) return false;
  const EventStore& events = tools_.store.events();
  if (webhook->due_at_ms() != kDueWithEvents) {
    const absl::Time now = tools_.clock();
    const bool is_due = !webhook->lease_holder().empty() || HasFailedLater(*webhook, now) ||
                        !IsAhead(webhook->due_at_ms(), now, kLongestPause);
    if (is_due || webhook->passed_up_to() == 0) return false;
    const absl::StatusOr<int64_t> last = events.Last(context_, org_id_);
    return last.ok() && *last == webhook->passed_up_to();
  }
  const int64_t after = webhook->delivered_up_to();
  const absl::StatusOr<EventPage> page = events.ListKept(context_, org_id_, after, kEventsAtATime);
  if (!page.ok() || page->has_more || page->unreadable > 0) return false;
  return page->last - after < kPassedOverAtATime &&
         std::none_of(page->events.begin(), page->events.end(), [&](const NumberedEvent& numbered) {
           return IsWanted(*webhook, numbered.event);
         });
}

void WebhookRun::Begin() {
  if (HasNothingToDo()) return EndWith(End::kNothingLeft);
  WebhookStore& webhooks = tools_.store.webhooks();
  const absl::Time now = tools_.clock();
  const absl::StatusOr<WebhookStore::Lease> lease = [&] {
    absl::StatusOr<WebhookStore::Lease> taken =
        webhooks.TakeLease(context_, org_id_, webhook_id_, holder_, now);
    if (taken.ok() && taken->result == WebhookStore::LeaseResult::kTaken) {
      const std::lock_guard<std::mutex> lock(mutex_);
      webhook_ = std::move(taken->opened.webhook);
      keys_ = std::move(taken->opened.keys);
      started_at_ = saved_at_ = now;
      lease_until_ = now + kDeliveryLease;
      read_up_to_ = webhook_.delivered_up_to();
      delivered_.insert(webhook_.delivered_beyond().begin(), webhook_.delivered_beyond().end());
      refused_ = RefusedLines(webhook_, now);
    }
    return taken;
  }();
  // Deleted meanwhile, or its organisation was.
  if (absl::IsNotFound(lease.status())) return EndWith(End::kNothingLeft);
  if (!lease.ok()) {
    Log(LogLevel::kWarning, "webhook_not_delivered",
        {{"webhook", webhook_id_}, {"org_id", org_id_}, {"cause", CauseOf(lease.status())}});
    return EndWith(End::kFailed);
  }
  switch (lease->result) {
    case WebhookStore::LeaseResult::kHeld:
      return EndWith(End::kHeld);
    case WebhookStore::LeaseResult::kNotDue:
      return EndWith(End::kNothingLeft);
    case WebhookStore::LeaseResult::kTaken:
      break;
  }
  NextBatch();
}

void WebhookRun::Add(int64_t number, Event event) {
  const std::string id = event.account_id().empty() ? EventIdOf(number) : event.account_id();
  if (refused_.HoldsBack(id)) return;
  std::shared_ptr<Line>& line = lines_[id];
  if (line == nullptr) {
    line = std::make_shared<Line>();
    line->id = id;
    ready_.push_back(line);
  }
  line->items.push_back({number, std::move(event)});
}

bool WebhookRun::ComesAnyway(int64_t number, const Event& event) const {
  return number > webhook_.delivered_up_to() && !delivered_.contains(number) &&
         IsWanted(webhook_, event);
}

bool WebhookRun::ReadReplays() {
  std::vector<int64_t> numbers;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    are_replays_read_ = true;
    numbers.assign(webhook_.replays().begin(), webhook_.replays().end());
  }
  if (numbers.size() > kReplaysAtATime) numbers.resize(kReplaysAtATime);
  for (const int64_t number : numbers) {
    absl::StatusOr<Event> event = tools_.store.events().Get(context_, org_id_, number);
    const std::lock_guard<std::mutex> lock(mutex_);
    // One that comes anyway would come in front of those before it now.
    if (event.ok() && !ComesAnyway(number, *event)) {
      replays_open_.insert(number);
      Add(number, *std::move(event));
    } else if (event.ok() || absl::IsNotFound(event.status()) || absl::IsInternal(event.status())) {
      // Nor is one sent that is no longer kept, or can't be read: that will not change.
      replayed_.push_back(number);
    } else {
      is_stopping_ = true;
    }
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  is_replay_ = true;
  return !ready_.empty();
}

bool WebhookRun::ReadPage(bool& is_last) {
  int64_t after = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    after = read_up_to_;
  }
  const EventStore& events = tools_.store.events();
  // Where it stood still for so long that some are no longer kept: on with those that are.
  absl::StatusOr<EventPage> page = events.ListKept(context_, org_id_, after, kEventsAtATime);
  const std::lock_guard<std::mutex> lock(mutex_);
  is_replay_ = false;
  if (!page.ok()) {
    Log(LogLevel::kWarning, "events_not_listed",
        {{"webhook", webhook_id_}, {"org_id", org_id_}, {"cause", CauseOf(page.status())}});
    is_stopping_ = true;
    is_last = true;
    return false;
  }
  if (page->unreadable > 0) {
    Log(LogLevel::kError, "events_not_readable",
        {{"webhook", webhook_id_}, {"org_id", org_id_}, {"events", int64_t{page->unreadable}}});
  }
  for (NumberedEvent& numbered : page->events) {
    if (!IsWanted(webhook_, numbered.event) || delivered_.contains(numbered.number)) continue;
    open_.insert(numbered.number);
    Add(numbered.number, std::move(numbered.event));
  }
  read_up_to_ = page->last;
  is_last = !page->has_more;
  return !ready_.empty();
}

void WebhookRun::NextBatch() {
  while (true) {
    bool reads_replays = false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      is_full_ = delivered_.size() >= kMaxDeliveredBeyond && read_up_to_ >= *delivered_.rbegin();
      const bool is_read = is_last_page_ || is_full_;
      const bool is_done = is_read || !MaySend();
      is_cut_ = is_done && (!is_read || !ready_.empty());
      lines_.clear();
      ready_.clear();
      if (is_done) break;
      reads_replays = !are_replays_read_ && webhook_.replays_size() > 0;
    }
    bool is_last = false;
    const bool has_some = reads_replays ? ReadReplays() : ReadPage(is_last);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (is_last) is_last_page_ = true;
      // Lest the same few that it does not take come first each time.
      if (webhook_.failures() > 0) Shuffle(tools_.random, ready_);
      std::stable_partition(ready_.begin(), ready_.end(),
                            [this](const auto& line) { return !refused_.WasRefused(line->id); });
      if (has_some) is_going_on_ = false;
    }
    if (has_some) return Pump();
  }
  Finish();
}

bool WebhookRun::MaySend() const {
  const absl::Time now = tools_.clock();
  const int too_many = has_delivered_ ? kMaxInFlight : kFailuresOfOneThatIsDown;
  return !is_stopping_ && !is_lease_lost_ && failed_in_a_row_ < too_many &&
         !(failed_ && failed_->is_gone) && now - started_at_ <= kLongestRun &&
         now < lease_until_ - kLeaseMargin;
}

int WebhookRun::WantedSlots() const {
  if (!MaySend()) return 0;
  const bool may_be_down =
      refused_.were_some() ? refused_.has_new() : webhook_.failures() > 0 || failed_.has_value();
  const bool is_tried_out = !has_delivered_ && may_be_down;
  const int more = (is_tried_out ? 1 : kMaxInFlight) - in_flight_ - asked_slots_;
  return std::clamp(static_cast<int>(ready_.size()) - asked_slots_, 0, std::max(more, 0));
}

bool WebhookRun::IsBatchOver() const {
  return in_flight_ == 0 && asked_slots_ == 0 && (ready_.empty() || !MaySend());
}

void WebhookRun::Pump() {
  int wanted = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    wanted = WantedSlots();
    asked_slots_ += wanted;
  }
  for (int i = 0; i < wanted; ++i) {
    tools_.slots.Take(org_id_, [self = shared_from_this()] { self->OnSlot(); });
  }
  GoOn();
}

void WebhookRun::OnSlot() {
  std::shared_ptr<Line> line;
  HttpRequest request;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    --asked_slots_;
    if (MaySend() && !ready_.empty()) {
      line = std::move(ready_.front());
      ready_.pop_front();
      ++in_flight_;
      const Item& item = line->items.front();
      const std::string id = EventIdOf(item.number);
      request = DeliveryRequest(webhook_.url(), keys_, id,
                                WebhookBody(id, EventTypeName(item.event.type()),
                                            EventMessage(tools_.catalog, item.event), item.event),
                                tools_.clock());
    }
  }
  if (line == nullptr) {
    tools_.slots.Release(org_id_);
    return GoOn();
  }
  CallTarget target = {.network = kWebhookTarget, .org_id = org_id_, .trust = HostTrust::kReceiver};
  tools_.http.Send(std::move(request), std::move(target), context_,
                   [self = shared_from_this(), line](const absl::StatusOr<HttpAnswer>& answer) {
                     self->OnAnswer(line, answer);
                   });
}

void WebhookRun::OnAnswer(const std::shared_ptr<Line>& line,
                          const absl::StatusOr<HttpAnswer>& answer) {
  const absl::Time now = tools_.clock();
  DeliveryResult result = ReadDelivery(answer, now);
  tools_.slots.Release(org_id_);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    --in_flight_;
    const int64_t number = line->items.front().number;
    if (result.is_delivered()) {
      tools_.metrics.Delivered(result.outcome);
      has_delivered_ = true;
      failed_in_a_row_ = 0;
      last_success_at_ = now;
      if (is_replay_) {
        replays_open_.erase(number);
        replayed_.push_back(number);
      } else {
        open_.erase(number);
        delivered_.insert(number);
      }
      refused_.Delivered(line->id);
      line->items.pop_front();
      if (!line->items.empty()) ready_.push_back(line);
    } else if (!is_cut_off_) {
      tools_.metrics.Delivered(result.outcome);
      if (!refused_.WasRefused(line->id)) ++failed_in_a_row_;
      refused_.Failed(line->id, number, now);
      if (!failed_) failed_.emplace().first_at = now;
      failed_->last_at = now;
      failed_->last = std::move(result.message);
      failed_->is_gone |= result.outcome == DeliveryOutcome::kGone;
      failed_->is_unreachable |= result.outcome == DeliveryOutcome::kUnreachable;
      if (result.retry_after) {
        failed_->retry_after =
            std::max(failed_->retry_after.value_or(absl::ZeroDuration()), *result.retry_after);
      }
    }
  }
  Pump();
}

void WebhookRun::GoOn() {
  bool is_over = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (is_saving_ || is_going_on_) return;
    is_over = IsBatchOver();
    const bool is_save_due = tools_.clock() - saved_at_ >= kSaveInterval && !is_lease_lost_;
    if (!is_over && !is_save_due) return;
    is_saving_ = !is_over;
    is_going_on_ = is_over;
  }
  tools_.pool.Run([self = shared_from_this(), is_over] {
    if (!is_over) {
      self->Save();
      return self->Pump();
    }
    self->Save();
    self->NextBatch();
  });
}

DeliveryProgress WebhookRun::Progress() const {
  DeliveryProgress progress;
  // Numbers follow each other without a gap.
  progress.delivered_up_to = open_.empty() ? read_up_to_ : *open_.begin() - 1;
  progress.delivered_up_to = std::max(progress.delivered_up_to, webhook_.delivered_up_to());
  progress.delivered_beyond.assign(delivered_.upper_bound(progress.delivered_up_to),
                                   delivered_.end());
  progress.replayed = replayed_;
  progress.last_success_at = last_success_at_;
  return progress;
}

void WebhookRun::Save() {
  DeliveryProgress progress;
  absl::Time now;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    now = tools_.clock();
    progress = Progress();
    delivered_.erase(delivered_.begin(), delivered_.upper_bound(progress.delivered_up_to));
    // What ends now is stored with the end.
    if (is_going_on_ && (is_last_page_ || !MaySend())) return;
  }
  const absl::StatusOr<Webhook> stored = tools_.store.webhooks().StoreProgress(
      context_, org_id_, webhook_id_, holder_, progress, std::nullopt, now);
  const std::lock_guard<std::mutex> lock(mutex_);
  is_saving_ = false;
  if (stored.ok()) {
    saved_at_ = now;
    lease_until_ = now + kDeliveryLease;
    if (!stored->disabled_reason().empty() || stored->url() != webhook_.url()) is_stopping_ = true;
  } else if (absl::IsNotFound(stored.status()) || absl::IsAborted(stored.status())) {
    is_lease_lost_ = true;
  } else {
    // Tried again after the next delivery, until the lease is nearly over.
    Log(LogLevel::kWarning, "webhook_progress_not_stored",
        {{"webhook", webhook_id_}, {"org_id", org_id_}, {"cause", CauseOf(stored.status())}});
  }
}

bool WebhookRun::TakesOthers(const std::vector<RefusedLines::Line>& refused) const {
  if (refused.size() > kMaxRefusedLines) return false;
  if (!failed_) return !refused.empty();
  if (failed_->is_gone || failed_->retry_after) return false;
  if (has_delivered_) return failed_in_a_row_ < kMaxInFlight;
  // Only what it refused before was tried.
  if (!refused_.has_new()) return true;
  if (failed_->is_unreachable) return false;
  const auto is_since_last_success = [this](const RefusedLines::Line& line) {
    return line.first_failed_at_ms() > webhook_.last_success_at_ms();
  };
  return std::count_if(refused.begin(), refused.end(), is_since_last_success) <
         kFailuresOfOneThatIsDown;
}

DeliveryEnd WebhookRun::HowItEndsWithoutFailure() const {
  DeliveryEnd end;
  end.url = webhook_.url();
  const int64_t failing = webhook_.first_failed_number();
  // Cut off before it could be tried again: it goes on where it stood.
  const bool is_still_failing =
      webhook_.failures() > 0 &&
      (open_.contains(failing) || failing > read_up_to_ || !is_last_page_);
  if (is_still_failing && !has_delivered_) {
    end.failure =
        DeliveryEnd::Failure{.in_a_row = webhook_.failures(),
                             .first_at = absl::FromUnixMillis(webhook_.first_failed_at_ms()),
                             .first_number = failing,
                             .last_at = absl::FromUnixMillis(webhook_.last_failure_at_ms()),
                             .last = webhook_.last_failure()};
  }
  if (!is_last_page_ || !open_.empty()) end.due_at = tools_.clock();
  return end;
}

DeliveryEnd::Failure WebhookRun::FailureOfLines(std::vector<RefusedLines::Line> refused) const {
  DeliveryEnd::Failure failure;
  if (failed_) {
    failure.last_at = failed_->last_at;
    failure.last = failed_->last;
  } else {
    failure.last_at = absl::FromUnixMillis(webhook_.last_failure_at_ms());
    failure.last = webhook_.last_failure();
  }
  failure.in_a_row = 0;
  failure.first_at = absl::InfiniteFuture();
  failure.first_number = 0;
  for (const RefusedLines::Line& line : refused) {
    failure.in_a_row = std::max(failure.in_a_row, line.failures());
    const absl::Time first_at = absl::FromUnixMillis(line.first_failed_at_ms());
    if (first_at >= failure.first_at) continue;
    failure.first_at = first_at;
    failure.first_number = line.number();
  }
  failure.refused = std::move(refused);
  // Where it is cut off, it is known of no event that all up to it were.
  if (!is_full_) failure.passed_up_to = is_cut_ ? 1 : read_up_to_;
  return failure;
}

DeliveryEnd::Failure WebhookRun::FailureOfAll() const {
  const int64_t failing = webhook_.first_failed_number();
  const bool is_same =
      webhook_.failures() > 0 && (open_.contains(failing) || replays_open_.contains(failing));
  const int64_t first_open = !open_.empty()           ? *open_.begin()
                             : !replays_open_.empty() ? *replays_open_.begin()
                                                      : 0;
  DeliveryEnd::Failure failure;
  failure.in_a_row = has_delivered_ || refused_.were_some() ? 1 : webhook_.failures() + 1;
  failure.first_at = failed_->first_at;
  // A clock may have been ahead.
  if (is_same) {
    failure.first_at =
        std::min(failure.first_at, absl::FromUnixMillis(webhook_.first_failed_at_ms()));
  }
  failure.first_number = is_same ? failing : first_open;
  failure.last_at = failed_->last_at;
  failure.last = failed_->last;
  return failure;
}

DeliveryEnd WebhookRun::HowItEnds() {
  const absl::Time now = tools_.clock();
  const auto chance = [this] { return Chance(tools_.random); };
  std::vector<RefusedLines::Line> refused = refused_.Now(now, is_last_page_, chance);
  if (!failed_ && refused.empty()) return HowItEndsWithoutFailure();
  DeliveryEnd end;
  end.url = webhook_.url();
  bool is_over = refused_.has_given_up();
  if (TakesOthers(refused)) {
    int64_t next_ms = refused.front().next_attempt_at_ms();
    for (const RefusedLines::Line& line : refused) {
      next_ms = std::min(next_ms, line.next_attempt_at_ms());
    }
    end.failure = FailureOfLines(std::move(refused));
    end.due_at = is_cut_ ? now : absl::FromUnixMillis(next_ms);
  } else {
    end.failure = FailureOfAll();
    end.due_at = NextAttempt(now, end.failure->first_at, end.failure->in_a_row, chance(),
                             failed_->retry_after);
    is_over |= failed_->last_at >= end.failure->first_at + kMaxFailingTime;
  }
  if (failed_ && failed_->is_gone) {
    end.disabled_reason = kGone;
  } else if (is_over) {
    end.disabled_reason = kDeliveryFailed;
  }
  return end;
}

void WebhookRun::Finish() {
  DeliveryProgress progress;
  DeliveryEnd end;
  bool has_more = false;
  bool is_lost = false;
  absl::Time now;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_lost = is_lease_lost_;
    now = tools_.clock();
    progress = Progress();
    end = HowItEnds();
    has_more = end.due_at.has_value() && !end.failure;
  }
  // Others deliver what was not stored once more.
  if (is_lost) return EndWith(End::kHeld);
  const absl::StatusOr<Webhook> stored = tools_.store.webhooks().StoreProgress(
      context_, org_id_, webhook_id_, holder_, progress, end, now);
  if (!stored.ok()) {
    if (absl::IsNotFound(stored.status())) return EndWith(End::kNothingLeft);
    Log(LogLevel::kWarning, "webhook_progress_not_stored",
        {{"webhook", webhook_id_}, {"org_id", org_id_}, {"cause", CauseOf(stored.status())}});
    return EndWith(End::kHeld);
  }
  if (!end.disabled_reason.empty() && stored->disabled_reason() == end.disabled_reason) {
    tools_.metrics.Disabled(end.disabled_reason);
    Log(LogLevel::kWarning, "webhook_disabled",
        {{"webhook", webhook_id_}, {"org_id", org_id_}, {"reason", end.disabled_reason}});
  }
  const bool has_replays = stored->replays_size() > 0 && !end.failure;
  EndWith(has_more || has_replays ? End::kMoreLeft : End::kNothingLeft);
}

}  // namespace authurl
