#include "server/api/event_service.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/errors.h"
#include "core/field_rules.h"
#include "server/api/paging.h"
#include "server/api/timestamps.h"
#include "server/flow/event_message.h"
#include "server/observe/log.h"

namespace authurl {
namespace {

using record::v1::Event;

constexpr absl::Duration kMaxWait = absl::Seconds(15);
// What is left of a call's time when its waiting ends, for the answer's way.
constexpr absl::Duration kTimeToAnswer = absl::Milliseconds(200);
constexpr int kDefaultEvents = 100;
constexpr int kMaxEvents = 1000;
// That a call looks at, however few of them pass its filters.
constexpr int kMaxLookedAt = 1000;
constexpr size_t kMaxAccountIdBytes = 64;

struct Filter {
  std::vector<record::v1::EventType> types;
  std::string account_id;
  std::string tenant_id;

  bool Passes(const Event& event) const {
    if (!types.empty() && std::find(types.begin(), types.end(), event.type()) == types.end()) {
      return false;
    }
    return (account_id.empty() || event.account_id() == account_id) &&
           (tenant_id.empty() || event.tenant_id() == tenant_id);
  }
};

}  // namespace

v1::Event ShowEvent(const NetworkCatalog& catalog, const NumberedEvent& event) {
  const Event& from = event.event;
  v1::Event shown;
  shown.set_id(EventIdOf(event.number));
  const absl::string_view type = EventTypeName(from.type());
  shown.set_type(type.data(), type.size());
  SetTimestamp(from.created_at_ms(), *shown.mutable_created_at());
  shown.set_account_id(from.account_id());
  shown.set_social_network_id(from.social_network_id());
  shown.set_network(from.network());
  shown.set_instance(from.instance());
  shown.set_variant(from.variant());
  shown.set_tenant_id(from.tenant_id());
  shown.set_flow_id(from.flow_id());
  shown.set_reason(from.reason());
  shown.set_webhook_id(from.webhook_id());
  *shown.mutable_changed() = from.changed();
  shown.set_message(EventMessage(catalog, from));
  return shown;
}

// One ListEvents.
struct EventService::Call {
  explicit Call(ResponseCompletion<v1::ListEventsResponse> to_tell)
      : completion(std::move(to_tell)) {}

  std::string org_id;
  const CallContext* context = nullptr;  // The call's own.
  Filter filter;
  int64_t after = 0;
  int page_size = 0;
  absl::Time until;
  std::shared_ptr<EventWaiters::Place> place;  // Null: it does not wait.
  ResponseCompletion<v1::ListEventsResponse> completion;
};

void EventService::ListEvents(const Caller& caller, const v1::ListEventsRequest& request,
                              ResponseCompletion<v1::ListEventsResponse> completion) const {
  auto call = std::make_shared<Call>(std::move(completion));
  FieldViolations violations;
  if (!request.after().empty()) {
    const std::optional<int64_t> number = EventNumberOf(request.after());
    if (!number) {
      violations.Add("after", absl::StrCat(Quoted(request.after()),
                                           " is not the id of an event, nor a next_after"));
    }
    call->after = number.value_or(0);
  }
  if (request.page_size() < 0) violations.Add("page_size", "must not be negative");
  call->page_size =
      request.page_size() == 0 ? kDefaultEvents : std::min(request.page_size(), kMaxEvents);
  for (int i = 0; i < request.types_size(); ++i) {
    const std::optional<record::v1::EventType> type = EventTypeOf(request.types(i));
    if (type) {
      call->filter.types.push_back(*type);
    } else {
      violations.Add(absl::StrCat("types[", i, "]"),
                     absl::StrCat(Quoted(request.types(i)), " is not a type of events"));
    }
  }
  const absl::Duration wait =
      absl::Seconds(request.wait().seconds()) + absl::Nanoseconds(request.wait().nanos());
  if (wait < absl::ZeroDuration() || wait > kMaxWait) {
    violations.Add("wait", "must be from 0 to 15 s");
  }
  if (request.has_account_id()) {
    CheckText("account_id", request.account_id(), 1, kMaxAccountIdBytes, violations);
  }
  if (request.has_tenant_id()) CheckTenantId(request.tenant_id(), violations);
  if (!violations.empty()) return call->completion(violations.ToStatus());
  // Empty where they are not set, which lets all through.
  call->filter.account_id = request.account_id();
  call->filter.tenant_id = request.tenant_id();
  call->org_id = caller.org_id;
  call->context = caller.context;
  if (wait > absl::ZeroDuration()) {
    call->until = std::min(absl::Now() + wait, caller.context->deadline() - kTimeToAnswer);
    auto place = waiters_.Enter(caller.key_id, caller.org_id);
    if (!place.ok()) return call->completion(place.status());
    call->place = *std::move(place);
    call->completion.WhenCallerGoes([weak = std::weak_ptr<EventWaiters::Place>(call->place)] {
      if (const auto place = weak.lock()) place->WakeUp();
    });
  }
  pool_.Run([this, call] { Look(call); });
}

void EventService::Look(const std::shared_ptr<Call>& call) const {
  const uint64_t seen = waiters_.NewsOf(call->org_id);
  absl::StatusOr<v1::ListEventsResponse> found = Read(*call);
  const bool is_answer = !found.ok() || found->events_size() > 0 || found->unreadable() > 0 ||
                         found->has_more() || call->place == nullptr || call->until <= absl::Now();
  if (!is_answer) {
    if (call->place->Wait(call->org_id, seen, call->until, [this, call] { Look(call); })) return;
  }
  call->place.reset();
  call->completion(found);
}

absl::StatusOr<v1::ListEventsResponse> EventService::Read(Call& call) const {
  if (absl::Status ended = call.context->Check(); !ended.ok()) return ended;
  v1::ListEventsResponse response;
  size_t bytes = 0;
  bool is_full = false;
  for (int looked_at = 0; looked_at < kMaxLookedAt && !is_full;) {
    const PageLimit limit = {.rows = std::min(kMaxLookedAt - looked_at, call.page_size),
                             .bytes = kMaxPageBytes};
    const absl::StatusOr<EventPage> page =
        store_.events().List(*call.context, call.org_id, call.after, limit);
    if (!page.ok()) return page.status();
    response.set_unreadable(response.unreadable() + page->unreadable);
    response.set_has_more(page->has_more);
    int64_t last = page->last;
    for (size_t i = 0; i < page->events.size() && !is_full; ++i) {
      const NumberedEvent& event = page->events[i];
      if (!call.filter.Passes(event.event)) continue;
      v1::Event shown = ShowEvent(catalog_, event);
      bytes += shown.ByteSizeLong();
      *response.add_events() = std::move(shown);
      is_full = response.events_size() >= call.page_size || bytes >= kMaxPageBytes;
      if (!is_full || i + 1 == page->events.size()) continue;
      last = event.number;
      response.set_has_more(true);
    }
    call.after = last;
    looked_at += std::max(static_cast<int>(page->events.size()) + page->unreadable, 1);
    if (!page->has_more) break;
  }
  if (call.after != 0) response.set_next_after(EventIdOf(call.after));
  if (response.unreadable() > 0) {
    Log(LogLevel::kError, "unreadable_events",
        {{"org_id", call.org_id}, {"count", int64_t{response.unreadable()}}});
  }
  return response;
}

std::vector<Method> EventService::Methods() const {
  return {MakeOutboundMethod("/authurl.v1.EventService/ListEvents", Access::kConfigure, this,
                             &EventService::ListEvents)};
}

}  // namespace authurl
