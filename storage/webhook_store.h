// webhook_store.h: the addresses that an organisation's events are delivered to, their secrets, and
// how far each delivery has come. A part of the credential store (storage/credential_store.h),
// whose words on sealing, contexts and errors hold here. Nothing of it is kept in memory.
//
// One holder at a time, of all processes, delivers to a webhook: whoever has its lease. While it is
// held the webhook is due at its end, so that somebody goes on where a holder was killed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "authurl/record/v1/record.pb.h"
#include "core/call_context.h"
#include "core/crypto/crypto.h"
#include "storage/backend.h"
#include "storage/event_store.h"
#include "storage/record_locks.h"
#include "storage/record_store.h"
#include "storage/table.h"

namespace authurl {

inline constexpr int kMaxWebhooks = 16;  // Of one organisation.
inline constexpr int kMaxReplays = 1'000;
// Behind one that can't be delivered, so many others may be.
inline constexpr size_t kMaxDeliveredBeyond = 1'000;
inline constexpr absl::Duration kDeliveryLease = absl::Seconds(60);
// A lease or a pause that ends later than any can was stored while a clock was ahead, and is none.
// Clocks of processes may differ by as much as the margin.
inline constexpr absl::Duration kLongestPause = absl::Hours(24);
inline constexpr absl::Duration kClockMargin = absl::Minutes(1);
// Accounts of which one webhook refuses an event while it takes those of others.
inline constexpr size_t kMaxRefusedLines = 100;
inline constexpr absl::Duration kMaxSecretOverlap = absl::Hours(24 * 7);

// In the due column: nothing to do until there is a new event. One that is disabled is never due.
inline constexpr int64_t kDueWithEvents = kNeverDue - 1;

// Why one is disabled: the caller wanted it, it failed for too long, its receiver said so.
inline constexpr absl::string_view kDisabledByCaller = "DISABLED_BY_CALLER";
inline constexpr absl::string_view kDeliveryFailed = "DELIVERY_FAILED";
inline constexpr absl::string_view kGone = "GONE";

// Keys that sign, the newest first. Wiped at its end.
class WebhookKeys final {
 public:
  WebhookKeys() = default;
  explicit WebhookKeys(std::vector<std::string> keys) : keys_(std::move(keys)) {}
  WebhookKeys(WebhookKeys&& other) noexcept { keys_.swap(other.keys_); }
  WebhookKeys& operator=(WebhookKeys&& other) noexcept {
    keys_.swap(other.keys_);
    return *this;
  }
  WebhookKeys(const WebhookKeys&) = delete;
  WebhookKeys& operator=(const WebhookKeys&) = delete;
  ~WebhookKeys() {
    for (std::string& key : keys_) Wipe(key);
  }

  std::vector<absl::string_view> views() const { return {keys_.begin(), keys_.end()}; }

 private:
  std::vector<std::string> keys_;
};

struct OpenedWebhook {
  record::v1::Webhook webhook;
  WebhookKeys keys;  // Those that are good now.
};

struct DueWebhook {
  std::string org_id;
  std::string id;
  int64_t due;
};

// How far a holder has come. Numbers are those of events.
struct DeliveryProgress {
  int64_t delivered_up_to = 0;
  std::vector<int64_t> delivered_beyond = {};
  std::vector<int64_t> replayed = {};  // No longer to be delivered again.
  std::optional<absl::Time> last_success_at = {};
};

// How a holder leaves a webhook behind.
struct DeliveryEnd {
  struct Failure {
    int32_t in_a_row;
    absl::Time first_at;   // Of the event that has failed for longest,
    int64_t first_number;  // and which one that is.
    absl::Time last_at;
    std::string last;  // One sentence.
    // As in the record (record.proto).
    std::vector<record::v1::Webhook::RefusedLine> refused = {};
    int64_t passed_up_to = 0;
  };
  // Which it was delivered to: whatever failed there says nothing of another one.
  absl::string_view url;
  // Nothing: what failed before no longer does.
  std::optional<Failure> failure = {};
  // Nothing: with the next event.
  std::optional<absl::Time> due_at = {};
  // Not empty: it is disabled, with the event.
  absl::string_view disabled_reason = "";
};

// Nothing is delivered to it now, as it has failed.
bool IsLeftAlone(const record::v1::Webhook& webhook, absl::Time now);
// It can't have failed in times to come: a clock was ahead.
bool HasFailedLater(const record::v1::Webhook& webhook, absl::Time now);
// Whether a stored time is ahead of `now`, by as much as it may be.
bool IsAhead(int64_t stored_ms, absl::Time now, absl::Duration at_most);

// Safe to use from many threads at once. All functions that name a webhook: WEBHOOK_NOT_FOUND where
// there is none of that id in the organisation.
class WebhookStore final {
 public:
  enum class LeaseResult {
    kTaken,
    kHeld,    // By another holder.
    kNotDue,  // It is disabled, or has failed and is left alone for a while.
  };
  struct Lease {
    LeaseResult result;
    OpenedWebhook opened;
  };

  // Both must outlive this.
  WebhookStore(RecordStore& records, const EventStore& events)
      : records_(records), events_(events) {}
  WebhookStore(const WebhookStore&) = delete;
  WebhookStore& operator=(const WebhookStore&) = delete;

  // What happens from now on is to be delivered. Returns it as it is stored. TOO_MANY_WEBHOOKS,
  // ORGANIZATION_NOT_FOUND.
  absl::StatusOr<record::v1::Webhook> Create(const CallContext& context,
                                             record::v1::Webhook webhook, absl::string_view key);
  absl::StatusOr<record::v1::Webhook> Get(const CallContext& context, absl::string_view org_id,
                                          absl::string_view id) const;
  absl::StatusOr<OpenedWebhook> GetWithKeys(const CallContext& context, absl::string_view org_id,
                                            absl::string_view id, absl::Time now) const;
  // All of the organisation's.
  absl::StatusOr<Listed<record::v1::Webhook>> List(const CallContext& context,
                                                   absl::string_view org_id) const;
  // Changes it by `change`, which may be called more than once and whose errors end the update.
  // One that is enabled again, or gets another URL, has not failed. Returns what is stored now.
  using ChangeWebhook = absl::FunctionRef<absl::Status(record::v1::Webhook&)>;
  absl::StatusOr<record::v1::Webhook> Update(const CallContext& context, absl::string_view org_id,
                                             absl::string_view id, absl::Time now,
                                             ChangeWebhook change);
  // Also one that does not open.
  absl::Status Delete(const CallContext& context, absl::string_view org_id, absl::string_view id);
  // From now on `key` signs, and until the overlap is over those that did before.
  absl::StatusOr<record::v1::Webhook> RotateKey(const CallContext& context,
                                                absl::string_view org_id, absl::string_view id,
                                                absl::string_view key, absl::Duration overlap,
                                                absl::Time now);
  // EVENT_NOT_FOUND, WEBHOOK_DISABLED, TOO_MANY_REPLAYS.
  absl::Status AddReplays(const CallContext& context, absl::string_view org_id,
                          absl::string_view id, absl::Span<const int64_t> events, absl::Time now);

  // Takes the right to deliver until `now` + kDeliveryLease. `holder` is unique to the attempt.
  absl::StatusOr<Lease> TakeLease(const CallContext& context, absl::string_view org_id,
                                  absl::string_view id, absl::string_view holder, absl::Time now);
  // Stores how far it has come, and renews the lease or, with `end`, ends it. Returns the webhook
  // as it is now: it may have been changed or disabled meanwhile. ABORTED, without reason, where
  // `holder` has lost the lease.
  absl::StatusOr<record::v1::Webhook> StoreProgress(const CallContext& context,
                                                    absl::string_view org_id, absl::string_view id,
                                                    absl::string_view holder,
                                                    const DeliveryProgress& progress,
                                                    const std::optional<DeliveryEnd>& end,
                                                    absl::Time now);

  // Of all organisations, those that are enabled and due before `before` (kNeverDue: all of them),
  // behind `after`, in the order of DuePosition. Some may be of an organisation that is gone.
  absl::StatusOr<std::vector<DueWebhook>> ListDue(const CallContext& context,
                                                  const DuePosition& after, int64_t before,
                                                  int limit) const;

 private:
  struct Fetched {
    Row row;
    record::v1::Webhook webhook;
    record::v1::WebhookSecrets secrets;

    Fetched() = default;
    Fetched(Fetched&&) = default;
    Fetched(const Fetched&) = delete;
    Fetched& operator=(const Fetched&) = delete;
    Fetched& operator=(Fetched&&) = delete;
    ~Fetched();
  };
  // Reads, changes and writes, again where others came between. `event`: not empty when `change`
  // has disabled it: why.
  using Change = absl::FunctionRef<absl::Status(Fetched&, std::string& disabled_reason)>;
  absl::Status Commit(const CallContext& context, absl::string_view org_id, absl::string_view id,
                      absl::Time now, Change change);
  absl::StatusOr<Fetched> Fetch(const CallContext& context, absl::string_view org_id,
                                absl::string_view id) const;

  RecordStore& records_;
  const EventStore& events_;
  // Lest those who change one webhook at once have to start over.
  RecordLocks locks_;
};

}  // namespace authurl
