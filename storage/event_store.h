// event_store.h: what happened to an organisation's connections, in the order in which it was
// committed. A part of the credential store (storage/credential_store.h), whose words on sealing,
// contexts and errors hold here. Nothing of it is kept in memory.
//
// An event is a part of the commit of the change that it tells of: whoever makes that commit adds
// NewEvent() to it, and calls Committed() once it was done. Its number comes from the database:
// those of an organisation follow each other without a gap, so whoever reads them on can tell that
// some are no longer kept, or that an older copy of the database was put back: then there is a gap.
// Therefore the last one of each organisation is kept, however old it is. An organisation's first
// number is the time in microseconds: those of one that is made anew are above those of before.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"
#include "core/call_context.h"
#include "core/crypto/crypto.h"
#include "storage/backend.h"
#include "storage/record_store.h"

namespace authurl {

inline constexpr absl::Duration kEventLifetime = absl::Hours(24 * 30);

// "account.connected" and the like; empty for a type that this version does not know.
absl::string_view EventTypeName(record::v1::EventType type);
// Nothing where there is no such type.
std::optional<record::v1::EventType> EventTypeOf(absl::string_view name);

// What callers know an event by: "ev_" and its number in 16 hexadecimal digits.
std::string EventIdOf(int64_t number);
// Nothing where it is no such id.
std::optional<int64_t> EventNumberOf(absl::string_view id);

// An event of a type about an account, without a reason.
record::v1::Event EventOf(record::v1::EventType type, const record::v1::SocialAccount& account);

struct NumberedEvent {
  int64_t number;
  record::v1::Event event;
};

struct EventPage {
  // In ascending order.
  std::vector<NumberedEvent> events;
  // Those among them that do not open.
  int unreadable = 0;
  // Of the first one, readable or not; 0 of an empty page.
  int64_t first = 0;
  // Of the last one, readable or not; of an empty page, where it began.
  int64_t last = 0;
  bool has_more = false;
};

// Safe to use from many threads at once.
class EventStore final {
 public:
  // Called for an organisation that has new events, on any thread, which it must not hold up. It
  // may be called without there being any, and must not add or end a subscription.
  using Listener = std::function<void(absl::string_view org_id)>;

  // Ends its subscription when it is destroyed: once that has returned the listener is not called
  // any more.
  class Subscription final {
   public:
    Subscription(EventStore& store, std::list<Listener>::iterator place)
        : store_(store), place_(place) {}
    ~Subscription();
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;

   private:
    EventStore& store_;
    const std::list<Listener>::iterator place_;
  };

  // Both must outlive this; `random` is called from many threads at once.
  EventStore(RecordStore& records, const RandomSource& random)
      : records_(records), random_(random) {}
  EventStore(const EventStore&) = delete;
  EventStore& operator=(const EventStore&) = delete;

  // The part of a commit for the organisation that adds an event. Id and times are the store's.
  // `must_fit`: as the change that it tells of must, on a disk that is full.
  Insert NewEvent(record::v1::Event event, int64_t generation, absl::Time now,
                  bool must_fit = false) const;
  // Tells the listeners. To be called after a commit with events.
  void Committed(absl::string_view org_id) const;
  std::unique_ptr<Subscription> Subscribe(Listener listener);

  // Those whose numbers are above `after`; none where the organisation is gone.
  // OUT_OF_RANGE EVENTS_EXPIRED: `after`, which is not 0, is not there any more, nor is the one
  // behind it; or it is above all that there are: this database does not know it.
  absl::StatusOr<EventPage> List(const CallContext& context, absl::string_view org_id,
                                 int64_t after, PageLimit limit) const;
  // The same, passing over those that are no longer kept.
  absl::StatusOr<EventPage> ListKept(const CallContext& context, absl::string_view org_id,
                                     int64_t after, PageLimit limit) const;
  // EVENT_NOT_FOUND.
  absl::StatusOr<record::v1::Event> Get(const CallContext& context, absl::string_view org_id,
                                        int64_t number) const;
  // The number of the last one; 0 where there is none.
  absl::StatusOr<int64_t> Last(const CallContext& context, absl::string_view org_id) const;

  // For a database that is an older copy of itself: no new event gets a number that was given since
  // to one that is lost, as long as no clock was ahead of `now` then.
  absl::Status SkipLostNumbers(absl::Time now);

  // Removes events that were kept long enough, looking at `limit` of them at most, in one small
  // transaction. Returns how many it looked at; fewer than `limit` once none is left.
  absl::StatusOr<int> Purge(absl::Time now, int limit);

 private:
  RecordStore& records_;
  const RandomSource& random_;
  mutable std::shared_mutex mutex_;
  std::list<Listener> listeners_;  // Guarded by mutex_.
};

}  // namespace authurl
