// deliver_events.h: delivers events to webhooks: says when there is something to do for which of
// them, and bounds how much is done at a time. deliver_webhook.h does it.
//
// A webhook is looked at when its organisation has a new event or it was changed; when it is due:
// it failed some time ago, or whoever delivered to it was killed; and once a minute, with all
// others, because other processes have events of their own and a wake-up may be lost.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/call_context.h"
#include "core/catalog/network_catalog.h"
#include "core/crypto/crypto.h"
#include "server/flow/deliver_webhook.h"
#include "server/flow/delivery_slots.h"
#include "server/flow/webhook_delivery.h"
#include "server/flow/webhook_metrics.h"
#include "server/outbound/http_client.h"
#include "server/system/clock.h"
#include "server/system/thread_pool.h"
#include "storage/backend.h"
#include "storage/credential_store.h"
#include "storage/event_store.h"

namespace authurl {

// Safe to use from many threads at once.
class EventDeliverer final {
 public:
  struct Options {
    int max_deliveries = 512;
    int max_deliveries_per_organization = 32;
    absl::Duration poll_interval = absl::Seconds(1);
    absl::Duration walk_interval = absl::Minutes(1);
  };
  // All must outlive this; clock and random are called from many threads at once.
  struct Tools {
    HttpClient& http;
    CredentialStore& store;
    const NetworkCatalog& catalog;
    const Clock& clock;
    const RandomSource& random;
    WebhookMetrics& metrics;
  };

  EventDeliverer(const Tools& tools, const Options& options);
  // Waits for what is under way: the HTTP client that stops ends it.
  ~EventDeliverer();
  EventDeliverer(const EventDeliverer&) = delete;
  EventDeliverer& operator=(const EventDeliverer&) = delete;

  // To be called once, before anything else.
  void Start();

  // The organisation has something to deliver.
  void NoteNews(absl::string_view org_id);
  // The webhook was changed: nothing more is sent to it as it was.
  void NoteChange(absl::string_view org_id, absl::string_view webhook_id);
  // Sends one event that is made for it, and stored nowhere; how it went, on a thread that must not
  // be held up. `context` stays until then. Nothing is sent, and RESOURCE_EXHAUSTED TOO_MANY_TESTS
  // told, where too many are under way.
  using Tested = absl::AnyInvocable<void(absl::StatusOr<DeliveryResult>)>;
  void Test(const OpenedWebhook& opened, const CallContext& context, Tested tested);

  // From now on nothing is begun. Idempotent.
  void BeginStop();

 private:
  using Key = std::pair<std::string, std::string>;  // Organisation and webhook.
  struct Run {
    std::shared_ptr<WebhookRun> run;
    bool is_wanted_again = false;
  };

  void Work();
  // Of one round, on its thread.
  void LookAt(const std::string& org_id);
  void LookAtDue();
  void LookAtAll();
  void ReportFailing();
  void StartWaiting();

  void Want(const Key& key);
  void RunEnded(const Key& key, WebhookRun::End end);

  const Tools tools_;
  const Options options_;
  ThreadPool pool_;
  DeliverySlots slots_;
  DeliverySlots test_slots_;

  std::mutex mutex_;
  std::condition_variable wake_;
  // All that follows, but for the thread and what is its own, is guarded by mutex_.
  bool is_stopping_ = false;
  bool is_urgent_ = false;         // There is more to look at, or to begin.
  std::set<std::string> changed_;  // Organisations that have events, or webhooks that were changed.
  std::map<Key, Run> runs_;
  std::deque<Key> waiting_;               // For a run to end, in their order,
  std::set<Key> is_waiting_;              // and the same to look them up.
  std::map<Key, absl::Time> not_before_;  // By this machine's time: held by others, or damaged.

  // The thread's own.
  std::optional<DuePosition> walk_;  // Where the look at all of them is.
  absl::Time next_walk_at_ = absl::InfinitePast();
  absl::Time next_due_look_at_ = absl::InfinitePast();

  std::unique_ptr<EventStore::Subscription> subscription_;
  std::thread thread_;
};

}  // namespace authurl
