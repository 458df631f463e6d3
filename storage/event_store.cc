#include "storage/event_store.h"

#include <array>
#include <charconv>
#include <map>
#include <mutex>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "core/api_key.h"
#include "storage/store_errors.h"
#include "storage/tables.h"

namespace authurl {
namespace {

using record::v1::Event;
using record::v1::EventType;
using record::v1::SocialAccount;

struct NamedType {
  EventType type;
  absl::string_view name;
};
constexpr std::array<NamedType, 6> kEventTypes = {{
    {record::v1::EVENT_TYPE_ACCOUNT_CONNECTED, "account.connected"},
    {record::v1::EVENT_TYPE_ACCOUNT_UPDATED, "account.updated"},
    {record::v1::EVENT_TYPE_ACCOUNT_NEEDS_RECONNECT, "account.needs_reconnect"},
    {record::v1::EVENT_TYPE_ACCOUNT_DISCONNECTED, "account.disconnected"},
    {record::v1::EVENT_TYPE_CONNECTION_FAILED, "connection.failed"},
    {record::v1::EVENT_TYPE_WEBHOOK_DISABLED, "webhook.disabled"},
}};

constexpr absl::string_view kIdPrefix = "ev_";
constexpr size_t kIdDigits = 16;

}  // namespace

absl::string_view EventTypeName(EventType type) {
  for (const NamedType& each : kEventTypes) {
    if (each.type == type) return each.name;
  }
  return "";
}

std::optional<EventType> EventTypeOf(absl::string_view name) {
  for (const NamedType& each : kEventTypes) {
    if (each.name == name) return each.type;
  }
  return std::nullopt;
}

std::string EventIdOf(int64_t number) {
  return absl::StrFormat("%s%0*x", kIdPrefix, kIdDigits, static_cast<uint64_t>(number));
}

std::optional<int64_t> EventNumberOf(absl::string_view id) {
  if (!absl::ConsumePrefix(&id, kIdPrefix) || id.size() != kIdDigits) return std::nullopt;
  int64_t number = 0;
  const char* const end = id.data() + id.size();
  const auto [read_to, error] = std::from_chars(id.data(), end, number, /*base=*/16);
  if (error != std::errc() || read_to != end || number < 0) return std::nullopt;
  return number;
}

Event EventOf(EventType type, const SocialAccount& account) {
  Event event;
  event.set_type(type);
  event.set_account_id(account.id());
  event.set_social_network_id(account.social_network_id());
  event.set_network(account.network());
  event.set_instance(account.instance());
  event.set_variant(account.variant());
  event.set_tenant_id(account.tenant_id());
  event.set_org_id(account.org_id());
  return event;
}

EventStore::Subscription::~Subscription() {
  const std::unique_lock<std::shared_mutex> lock(store_.mutex_);
  store_.listeners_.erase(place_);
}

Insert EventStore::NewEvent(Event event, int64_t generation, absl::Time now, bool must_fit) const {
  event.set_id(NewId("ev_", random_));
  event.set_created_at_ms(absl::ToUnixMillis(now));
  event.set_purge_at_ms(absl::ToUnixMillis(now + kEventLifetime));
  return {&kEvents, records_.sealer().Seal(event, generation, 1), must_fit};
}

void EventStore::Committed(absl::string_view org_id) const {
  const std::shared_lock<std::shared_mutex> lock(mutex_);
  for (const Listener& listener : listeners_) listener(org_id);
}

std::unique_ptr<EventStore::Subscription> EventStore::Subscribe(Listener listener) {
  const std::unique_lock<std::shared_mutex> lock(mutex_);
  return std::make_unique<Subscription>(*this,
                                        listeners_.insert(listeners_.end(), std::move(listener)));
}

absl::StatusOr<EventPage> EventStore::List(const CallContext& context, absl::string_view org_id,
                                           int64_t after, PageLimit limit) const {
  absl::StatusOr<EventPage> page = ListKept(context, org_id, after, limit);
  if (!page.ok() || after == 0 || limit.rows <= 0) return page;
  if (page->last == after) {
    const absl::StatusOr<int64_t> last = Last(context, org_id);
    if (!last.ok()) return last.status();
    if (after > *last) return EventsExpired();
  } else if (page->first != after + 1) {
    // Who has seen the last event in front of a gap has missed nothing that is kept.
    const absl::StatusOr<Event> seen = Get(context, org_id, after);
    if (absl::IsNotFound(seen.status())) return EventsExpired();
    if (!seen.ok() && !absl::IsInternal(seen.status())) return seen.status();
  }
  return page;
}

absl::StatusOr<EventPage> EventStore::ListKept(const CallContext& context, absl::string_view org_id,
                                               int64_t after, PageLimit limit) const {
  EventPage listed;
  listed.last = after;
  if (limit.rows <= 0) return listed;
  const absl::StatusOr<RowPage> page =
      records_.FetchNumbered(context, kEvents, org_id, after, limit, 1);
  if (!page.ok()) return page.status();
  if (!page->rows.empty()) listed.first = page->rows.front().integer(EventColumn::kNumber);
  listed.has_more = !page->next.empty();
  for (const Row& row : page->rows) {
    listed.last = row.integer(EventColumn::kNumber);
    absl::StatusOr<Event> event = records_.sealer().Open<Event>(row);
    if (event.ok()) {
      listed.events.push_back({listed.last, *std::move(event)});
    } else {
      ++listed.unreadable;
    }
  }
  return listed;
}

absl::StatusOr<Event> EventStore::Get(const CallContext& context, absl::string_view org_id,
                                      int64_t number) const {
  const absl::StatusOr<RowPage> page =
      records_.FetchNumbered(context, kEvents, org_id, number - 1, {.rows = 1}, 1);
  if (!page.ok()) return page.status();
  if (page->rows.empty() || page->rows[0].integer(EventColumn::kNumber) != number) {
    return EventNotFound(EventIdOf(number));
  }
  return records_.sealer().Open<Event>(page->rows[0]);
}

absl::StatusOr<int64_t> EventStore::Last(const CallContext& context,
                                         absl::string_view org_id) const {
  const absl::StatusOr<std::optional<int64_t>> highest =
      records_.backend().HighestNumber(context, kEvents, org_id);
  if (!highest.ok()) return highest.status();
  return highest->value_or(0);
}

absl::Status EventStore::SkipLostNumbers(absl::Time now) {
  return records_.backend().RaiseNumbers(kEvents, absl::ToUnixMicros(now));
}

absl::StatusOr<int> EventStore::Purge(absl::Time now, int limit) {
  const CallContext& context = CallContext::Background();
  const absl::StatusOr<std::vector<Row>> due =
      records_.backend().ListDue(context, kEvents, absl::ToUnixMillis(now), limit);
  if (!due.ok()) return due.status();
  // An organisation's last one stays: the number of the next one is made of it.
  std::map<std::string, int64_t> last;
  for (const Row& row : *due) {
    const auto [found, is_new] = last.try_emplace(row.org_id, 0);
    if (!is_new) continue;
    const absl::StatusOr<int64_t> number = Last(context, row.org_id);
    if (!number.ok()) return number.status();
    found->second = *number;
  }
  Batch batch;
  for (const Row& row : *due) {
    if (row.integer(EventColumn::kNumber) != last[row.org_id]) {
      batch.emplace_back(Delete{&kEvents, row.org_id, row.id});
      continue;
    }
    const absl::StatusOr<Row> whole = records_.Fetch(context, kEvents, row.org_id, row.id, 1);
    if (absl::IsNotFound(whole.status())) continue;
    if (!whole.ok()) return whole.status();
    absl::StatusOr<Event> event = records_.sealer().Open<Event>(*whole);
    if (!event.ok()) {
      batch.emplace_back(Delete{&kEvents, row.org_id, row.id});
      continue;
    }
    event->set_purge_at_ms(absl::ToUnixMillis(now + kEventLifetime));
    Row kept = records_.sealer().Seal(*event, whole->generation, whole->version + 1);
    kept.columns[EventColumn::kNumber] = whole->columns[EventColumn::kNumber];
    batch.emplace_back(Update{&kEvents, std::move(kept), whole->version, /*must_fit=*/true});
  }
  if (batch.empty()) return static_cast<int>(due->size());
  const absl::Status status = records_.Commit(context, batch, {}).status;
  if (!status.ok() && !WasOvertaken(status)) return status;
  return static_cast<int>(due->size());
}

}  // namespace authurl
