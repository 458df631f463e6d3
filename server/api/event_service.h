// event_service.h: the handlers of authurl.v1.EventService.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "authurl/record/v1/record.pb.h"
#include "authurl/v1/event_service.pb.h"
#include "core/catalog/network_catalog.h"
#include "server/flow/await_events.h"
#include "server/serving/method.h"
#include "server/system/clock.h"
#include "server/system/thread_pool.h"
#include "storage/credential_store.h"

namespace authurl {

// An event as callers see it.
v1::Event ShowEvent(const NetworkCatalog& catalog, const NumberedEvent& event);

// Safe to use from many threads at once. Everything it refers to must outlive it.
class EventService final {
 public:
  EventService(CredentialStore& store, const NetworkCatalog& catalog, EventWaiters& waiters,
               ThreadPool& pool)
      : store_(store), catalog_(catalog), waiters_(waiters), pool_(pool) {}

  void ListEvents(const Caller& caller, const v1::ListEventsRequest& request,
                  ResponseCompletion<v1::ListEventsResponse> completion) const;

  std::vector<Method> Methods() const;

 private:
  struct Call;

  // Answers, or waits and looks again.
  void Look(const std::shared_ptr<Call>& call) const;
  absl::StatusOr<v1::ListEventsResponse> Read(Call& call) const;

  CredentialStore& store_;
  const NetworkCatalog& catalog_;
  EventWaiters& waiters_;
  ThreadPool& pool_;
};

}  // namespace authurl
