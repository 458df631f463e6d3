// deliver_webhook.h: one go at delivering to one webhook what is behind its cursor, as far as that
// is possible now. deliver_events.h says when there is one.
//
// The events of one account, a line, are delivered one after the other; where one fails, the later
// ones of its line wait for the next go, and others are delivered. A receiver that takes others, or
// has refused few lines so far, gets what is new at once, and what it refused is tried again line
// by line (refused_lines.h). One that fails several times in a row, can't be reached, or asks for
// time, is left alone as a whole; then only one delivery is under way at a time until it takes one.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"
#include "core/call_context.h"
#include "core/catalog/network_catalog.h"
#include "core/crypto/crypto.h"
#include "server/flow/delivery_slots.h"
#include "server/flow/refused_lines.h"
#include "server/flow/webhook_delivery.h"
#include "server/flow/webhook_metrics.h"
#include "server/outbound/http_client.h"
#include "server/system/clock.h"
#include "server/system/thread_pool.h"
#include "storage/credential_store.h"

namespace authurl {

// What deliveries work with; all must outlive them.
struct DeliveryTools {
  HttpClient& http;
  CredentialStore& store;
  const NetworkCatalog& catalog;
  ThreadPool& pool;  // Its threads wait for the database.
  DeliverySlots& slots;
  WebhookMetrics& metrics;
  const Clock& clock;
  const RandomSource& random;
};

// Of one go.
struct FailedAttempts {
  absl::Time first_at;
  absl::Time last_at;
  std::string last;
  std::optional<absl::Duration> retry_after;
  bool is_gone = false;
  bool is_unreachable = false;  // No answer came, once at least.
};

// Lives until it has ended, by itself. Safe to use from many threads at once.
class WebhookRun final : public std::enable_shared_from_this<WebhookRun> {
 public:
  enum class End {
    kNothingLeft,  // All is delivered, or will be tried again when it is due.
    kMoreLeft,     // It took long enough: others come first.
    kHeld,         // Another holder delivers.
    kFailed,       // The database, or the record, is not as it should be.
  };
  // Called once, on a thread of the pool.
  using Done = absl::AnyInvocable<void(End)>;

  WebhookRun(const DeliveryTools& tools, std::string org_id, std::string webhook_id, Done done);
  WebhookRun(const WebhookRun&) = delete;
  WebhookRun& operator=(const WebhookRun&) = delete;

  // To be called once.
  void Start();
  // The webhook was changed: nothing more is sent to it as it was.
  void NoteChange();
  // The server stops: nothing more is sent, and what is cut off is no failure of the receiver's.
  void Stop();

 private:
  struct Item {
    int64_t number;
    record::v1::Event event;
  };
  // Events of one account, in their order; each without an account stands by itself.
  struct Line {
    std::string id;  // As in the record's RefusedLine.
    std::deque<Item> items;
  };

  // On a thread of the pool.
  void Begin();
  // As a look without the lease shows, which costs no commit.
  bool HasNothingToDo();
  void NextBatch();
  bool ReadReplays();
  // Whether an event is sent anyway, in its place behind the cursor.
  bool ComesAnyway(int64_t number, const record::v1::Event& event) const;
  // Whether there is something to send; `is_last` where no page is left.
  bool ReadPage(bool& is_last);
  void Save();
  void Finish();
  void EndWith(End end);

  // What follows is called with mutex_ held.
  void Add(int64_t number, record::v1::Event event);
  bool MaySend() const;
  int WantedSlots() const;
  bool IsBatchOver() const;
  DeliveryProgress Progress() const;
  DeliveryEnd HowItEnds();
  DeliveryEnd HowItEndsWithoutFailure() const;
  // What is refused is tried again by itself: nothing says that the receiver is down.
  bool TakesOthers(const std::vector<RefusedLines::Line>& refused) const;
  DeliveryEnd::Failure FailureOfLines(std::vector<RefusedLines::Line> refused) const;
  DeliveryEnd::Failure FailureOfAll() const;

  // Asks for as many slots as may be used now.
  void Pump();
  void OnSlot();
  void OnAnswer(const std::shared_ptr<Line>& line, const absl::StatusOr<HttpAnswer>& answer);
  // After what may have been the last of the batch.
  void GoOn();

  const DeliveryTools tools_;
  const std::string org_id_;
  const std::string webhook_id_;
  const std::string holder_;
  const CallContext context_;
  Done done_;

  std::mutex mutex_;
  // All that follows is guarded by mutex_.
  record::v1::Webhook webhook_;  // As it was when the lease was taken.
  WebhookKeys keys_;
  absl::Time started_at_;
  absl::Time lease_until_;
  absl::Time saved_at_;
  bool is_stopping_ = false;  // Nothing more is sent,
  bool is_cut_off_ = false;   // and what is under way says nothing about the receiver.
  bool is_lease_lost_ = false;

  // The batch. Lines whose first event may be sent; those of which one is under way are not here.
  std::deque<std::shared_ptr<Line>> ready_;
  std::map<std::string, std::shared_ptr<Line>> lines_;  // By id.
  bool is_replay_ = false;
  bool is_last_page_ = false;
  bool are_replays_read_ = false;
  int in_flight_ = 0;
  int asked_slots_ = 0;
  bool is_saving_ = false;
  // From when a batch is over until the next one is there, and for good where there is none: who
  // comes late from the one before finds nothing to do.
  bool is_going_on_ = true;

  // How far it has come.
  int64_t read_up_to_ = 0;
  std::set<int64_t> open_;       // Read, and not delivered.
  std::set<int64_t> delivered_;  // Behind the first that is open.
  std::set<int64_t> replays_open_;
  std::vector<int64_t> replayed_;
  RefusedLines refused_;

  bool has_delivered_ = false;
  bool is_cut_ = false;      // There is something that was not tried,
  bool is_full_ = false;     // or was not looked at: too much is delivered behind what is not.
  int failed_in_a_row_ = 0;  // Of lines that were not refused before.
  std::optional<absl::Time> last_success_at_;
  std::optional<FailedAttempts> failed_;
};

}  // namespace authurl
