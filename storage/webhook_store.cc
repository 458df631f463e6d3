#include "storage/webhook_store.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/hash/hash.h"
#include "core/errors.h"
#include "storage/store_errors.h"
#include "storage/tables.h"

namespace authurl {
namespace {

using record::v1::Webhook;
using record::v1::WebhookSecrets;

// Whoever replaces it again and again, each time with an overlap.
constexpr int kMaxOldSecrets = 3;
// More than kMaxWebhooks of them take.
constexpr PageLimit kAllOfThem = {.rows = 2 * kMaxWebhooks, .bytes = size_t{16} << 20};

void WipeSecrets(WebhookSecrets& secrets) {
  for (auto& secret : *secrets.mutable_secrets()) Wipe(*secret.mutable_key());
}

void DropExpired(absl::Time now, WebhookSecrets& secrets, Webhook& webhook) {
  const int64_t now_ms = absl::ToUnixMillis(now);
  WebhookSecrets kept;
  int64_t until_ms = 0;
  for (const auto& secret : secrets.secrets()) {
    const bool is_old = secret.valid_until_ms() != 0;
    if (is_old && (secret.valid_until_ms() <= now_ms || kept.secrets_size() > kMaxOldSecrets)) {
      continue;
    }
    *kept.add_secrets() = secret;
    until_ms = std::max(until_ms, secret.valid_until_ms());
  }
  WipeSecrets(secrets);
  secrets.Swap(&kept);
  webhook.set_old_secret_until_ms(until_ms);
}

WebhookKeys KeysOf(const WebhookSecrets& secrets, absl::Time now) {
  std::vector<std::string> keys;
  for (const auto& secret : secrets.secrets()) {
    const int64_t until_ms = secret.valid_until_ms();
    if (until_ms == 0 || absl::ToUnixMillis(now) < until_ms) keys.push_back(secret.key());
  }
  return WebhookKeys(std::move(keys));
}

void ForgetFailures(Webhook& webhook) {
  webhook.clear_failures();
  webhook.clear_first_failed_at_ms();
  webhook.clear_first_failed_number();
  webhook.clear_refused();
  webhook.clear_passed_up_to();
}

bool IsEnabled(const Webhook& webhook) { return webhook.disabled_reason().empty(); }

bool IsLeased(const Webhook& webhook, absl::Time now) {
  return !webhook.lease_holder().empty() && IsAhead(webhook.lease_until_ms(), now, kDeliveryLease);
}

// Due at once, unless somebody is at it or it has failed.
void SetDueNow(absl::Time now, Webhook& webhook) {
  if (!IsEnabled(webhook) || IsLeased(webhook, now) || IsLeftAlone(webhook, now)) return;
  webhook.set_due_at_ms(absl::ToUnixMillis(now));
}

void Apply(const DeliveryProgress& progress, Webhook& webhook) {
  webhook.set_delivered_up_to(progress.delivered_up_to);
  webhook.mutable_delivered_beyond()->Assign(progress.delivered_beyond.begin(),
                                             progress.delivered_beyond.end());
  // Others may have been added meanwhile.
  const std::set<int64_t> replayed(progress.replayed.begin(), progress.replayed.end());
  auto& replays = *webhook.mutable_replays();
  replays.erase(std::remove_if(replays.begin(), replays.end(),
                               [&](int64_t number) { return replayed.contains(number); }),
                replays.end());
  if (progress.last_success_at) {
    webhook.set_last_success_at_ms(absl::ToUnixMillis(*progress.last_success_at));
  }
}

void Apply(const DeliveryEnd& end, absl::Time now, Webhook& webhook) {
  if (end.failure) {
    webhook.set_failures(end.failure->in_a_row);
    webhook.set_first_failed_at_ms(absl::ToUnixMillis(end.failure->first_at));
    webhook.set_first_failed_number(end.failure->first_number);
    webhook.set_last_failure_at_ms(absl::ToUnixMillis(end.failure->last_at));
    webhook.set_last_failure(end.failure->last);
    webhook.mutable_refused()->Assign(end.failure->refused.begin(), end.failure->refused.end());
    webhook.set_passed_up_to(end.failure->passed_up_to);
  } else {
    ForgetFailures(webhook);
  }
  webhook.clear_lease_holder();
  webhook.clear_lease_until_ms();
  // Something to deliver again may have been added since it was looked at.
  const bool is_due_now = !end.failure && webhook.replays_size() > 0;
  const std::optional<absl::Time> due_at = is_due_now ? now : end.due_at;
  webhook.set_due_at_ms(due_at ? absl::ToUnixMillis(*due_at) : kDueWithEvents);
}

}  // namespace

bool IsAhead(int64_t stored_ms, absl::Time now, absl::Duration at_most) {
  const absl::Time stored = absl::FromUnixMillis(stored_ms);
  return now < stored && stored <= now + at_most + kClockMargin;
}

bool IsLeftAlone(const Webhook& webhook, absl::Time now) {
  return webhook.failures() > 0 && webhook.passed_up_to() == 0 && !HasFailedLater(webhook, now) &&
         IsAhead(webhook.due_at_ms(), now, kLongestPause);
}

bool HasFailedLater(const Webhook& webhook, absl::Time now) {
  return absl::FromUnixMillis(webhook.last_failure_at_ms()) > now + kClockMargin;
}

WebhookStore::Fetched::~Fetched() { WipeSecrets(secrets); }

absl::StatusOr<WebhookStore::Fetched> WebhookStore::Fetch(const CallContext& context,
                                                          absl::string_view org_id,
                                                          absl::string_view id) const {
  absl::StatusOr<Row> row =
      records_.FetchOwned(context, kWebhooks, org_id, id, kWebhooks.parts.size());
  if (!row.ok()) return Explain(row.status(), absl::StatusCode::kNotFound, WebhookNotFound(id));
  Fetched fetched;
  absl::StatusOr<Webhook> webhook = records_.sealer().Open<Webhook>(*row);
  if (!webhook.ok()) return webhook.status();
  fetched.webhook = *std::move(webhook);
  absl::StatusOr<std::string> bytes =
      records_.sealer().OpenPart(kWebhooks, WebhookPart::kSecrets, *row);
  if (!bytes.ok()) return bytes.status();
  const bool is_parsed = fetched.secrets.ParseFromString(*bytes);
  Wipe(*bytes);
  if (!is_parsed) return absl::InternalError("the secrets of a webhook are not what was sealed");
  fetched.row = *std::move(row);
  return fetched;
}

absl::Status WebhookStore::Commit(const CallContext& context, absl::string_view org_id,
                                  absl::string_view id, absl::Time now, Change change) {
  const RecordLocks::Lease lock = locks_.Take(context, absl::HashOf(org_id, id));
  if (lock == nullptr) return context.WhyEnded();
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    bool has_event = false;
    const absl::StatusOr<CommitResult> result = records_.CommitFor(
        context, org_id,
        [&](int64_t generation) -> absl::StatusOr<Batch> {
          absl::StatusOr<Fetched> fetched = Fetch(context, org_id, id);
          if (!fetched.ok()) return fetched.status();
          std::string disabled_reason;
          if (absl::Status status = change(*fetched, disabled_reason); !status.ok()) return status;
          Webhook& webhook = fetched->webhook;
          DropExpired(now, fetched->secrets, webhook);
          if (!disabled_reason.empty()) webhook.set_disabled_reason(disabled_reason);
          if (!IsEnabled(webhook)) webhook.set_due_at_ms(kNeverDue);
          const uint64_t version = fetched->row.version;
          std::string bytes = fetched->secrets.SerializeAsString();
          Batch batch;
          batch.emplace_back(authurl::Update{
              &kWebhooks, records_.sealer().Seal(webhook, generation, version + 1, bytes),
              version});
          Wipe(bytes);
          has_event = !disabled_reason.empty();
          if (has_event) {
            record::v1::Event event;
            event.set_org_id(webhook.org_id());
            event.set_type(record::v1::EVENT_TYPE_WEBHOOK_DISABLED);
            event.set_webhook_id(webhook.id());
            event.set_reason(disabled_reason);
            batch.emplace_back(events_.NewEvent(std::move(event), generation, now));
          }
          return batch;
        },
        {});
    if (!result.ok()) {
      const bool is_gone = absl::IsNotFound(result.status()) && ReasonOf(result.status()).empty();
      return is_gone ? WebhookNotFound(id) : result.status();
    }
    if (result->status.ok()) {
      if (has_event) events_.Committed(org_id);
      return absl::OkStatus();
    }
    if (!WasOvertaken(result->status)) return result->status;
  }
  return TooManyAttempts();
}

absl::StatusOr<Webhook> WebhookStore::Create(const CallContext& context, Webhook webhook,
                                             absl::string_view key) {
  const std::string org_id = webhook.org_id();
  const absl::StatusOr<int64_t> last = events_.Last(context, org_id);
  if (!last.ok()) return last.status();
  webhook.set_delivered_up_to(*last);
  webhook.set_due_at_ms(kDueWithEvents);
  WebhookSecrets secrets;
  secrets.add_secrets()->set_key(key.data(), key.size());
  std::string bytes = secrets.SerializeAsString();
  WipeSecrets(secrets);
  const absl::StatusOr<CommitResult> result = records_.CommitFor(
      context, org_id,
      [&](int64_t generation) -> Batch {
        Row row = records_.sealer().Seal(webhook, generation, 1, bytes);
        return {ExpectAtMost{&kWebhooks, RowsOfOrganization(org_id), kMaxWebhooks - 1},
                Insert{&kWebhooks, std::move(row)}};
      },
      {});
  Wipe(bytes);
  if (!result.ok()) {
    const bool is_gone = absl::IsNotFound(result.status()) && ReasonOf(result.status()).empty();
    return is_gone ? OrganizationNotFound(org_id) : result.status();
  }
  if (!result->status.ok()) {
    return Explain(result->status, absl::StatusCode::kResourceExhausted,
                   TooManyWebhooks(org_id, kMaxWebhooks));
  }
  return webhook;
}

absl::StatusOr<Webhook> WebhookStore::Get(const CallContext& context, absl::string_view org_id,
                                          absl::string_view id) const {
  const absl::StatusOr<Row> row = records_.FetchOwned(context, kWebhooks, org_id, id, 1);
  if (!row.ok()) return Explain(row.status(), absl::StatusCode::kNotFound, WebhookNotFound(id));
  return records_.sealer().Open<Webhook>(*row);
}

absl::StatusOr<OpenedWebhook> WebhookStore::GetWithKeys(const CallContext& context,
                                                        absl::string_view org_id,
                                                        absl::string_view id,
                                                        absl::Time now) const {
  absl::StatusOr<Fetched> fetched = Fetch(context, org_id, id);
  if (!fetched.ok()) return fetched.status();
  return OpenedWebhook{std::move(fetched->webhook), KeysOf(fetched->secrets, now)};
}

absl::StatusOr<Listed<Webhook>> WebhookStore::List(const CallContext& context,
                                                   absl::string_view org_id) const {
  return records_.ListFound<Webhook>(context, RowsOfOrganization(org_id), "", kAllOfThem);
}

absl::StatusOr<Webhook> WebhookStore::Update(const CallContext& context, absl::string_view org_id,
                                             absl::string_view id, absl::Time now,
                                             ChangeWebhook change) {
  Webhook stored;
  const absl::Status status =
      Commit(context, org_id, id, now, [&](Fetched& fetched, std::string&) -> absl::Status {
        Webhook& webhook = fetched.webhook;
        const std::string url = webhook.url();
        const bool was_enabled = IsEnabled(webhook);
        if (absl::Status changed = change(webhook); !changed.ok()) return changed;
        webhook.set_updated_at_ms(absl::ToUnixMillis(now));
        if (webhook.url() != url || (!was_enabled && IsEnabled(webhook))) {
          ForgetFailures(webhook);
          // Somebody who still delivers to it as it was ends soon.
          webhook.set_due_at_ms(IsLeased(webhook, now) ? webhook.lease_until_ms()
                                                       : absl::ToUnixMillis(now));
        }
        stored = webhook;
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  return stored;
}

absl::Status WebhookStore::Delete(const CallContext& context, absl::string_view org_id,
                                  absl::string_view id) {
  const absl::StatusOr<Row> row = records_.FetchOwned(context, kWebhooks, org_id, id, 0);
  if (!row.ok()) return Explain(row.status(), absl::StatusCode::kNotFound, WebhookNotFound(id));
  // Whatever became of it meanwhile.
  const Batch batch = {authurl::Delete{&kWebhooks, row->org_id, row->id}};
  return records_.Commit(context, batch, {}).status;
}

absl::StatusOr<Webhook> WebhookStore::RotateKey(const CallContext& context,
                                                absl::string_view org_id, absl::string_view id,
                                                absl::string_view key, absl::Duration overlap,
                                                absl::Time now) {
  Webhook stored;
  const absl::Status status =
      Commit(context, org_id, id, now, [&](Fetched& fetched, std::string&) -> absl::Status {
        WebhookSecrets secrets;
        secrets.add_secrets()->set_key(key.data(), key.size());
        const int64_t until_ms = absl::ToUnixMillis(now + overlap);
        for (const auto& secret : fetched.secrets.secrets()) {
          auto& old = *secrets.add_secrets();
          old = secret;
          old.set_valid_until_ms(secret.valid_until_ms() == 0
                                     ? until_ms
                                     : std::min(until_ms, secret.valid_until_ms()));
        }
        WipeSecrets(fetched.secrets);
        fetched.secrets.Swap(&secrets);
        DropExpired(now, fetched.secrets, fetched.webhook);
        fetched.webhook.set_updated_at_ms(absl::ToUnixMillis(now));
        stored = fetched.webhook;
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  return stored;
}

absl::Status WebhookStore::AddReplays(const CallContext& context, absl::string_view org_id,
                                      absl::string_view id, absl::Span<const int64_t> events,
                                      absl::Time now) {
  for (const int64_t number : events) {
    // One that does not open can't be delivered, and is passed over then.
    const absl::Status found = events_.Get(context, org_id, number).status();
    if (!found.ok() && !absl::IsInternal(found)) return found;
  }
  return Commit(context, org_id, id, now, [&](Fetched& fetched, std::string&) -> absl::Status {
    Webhook& webhook = fetched.webhook;
    if (!IsEnabled(webhook)) return WebhookDisabled(id);
    std::set<int64_t> replays(webhook.replays().begin(), webhook.replays().end());
    replays.insert(events.begin(), events.end());
    if (replays.size() > kMaxReplays) return TooManyReplays(kMaxReplays);
    webhook.mutable_replays()->Assign(replays.begin(), replays.end());
    SetDueNow(now, webhook);
    return absl::OkStatus();
  });
}

absl::StatusOr<WebhookStore::Lease> WebhookStore::TakeLease(const CallContext& context,
                                                            absl::string_view org_id,
                                                            absl::string_view id,
                                                            absl::string_view holder,
                                                            absl::Time now) {
  // What can't be taken is no change, and costs no commit.
  const auto why_not = [&](const Webhook& webhook) -> std::optional<LeaseResult> {
    if (!IsEnabled(webhook)) return LeaseResult::kNotDue;
    if (IsLeased(webhook, now) && webhook.lease_holder() != holder) return LeaseResult::kHeld;
    // While it is leased it is due when that ends.
    if (webhook.lease_holder().empty() && IsLeftAlone(webhook, now)) return LeaseResult::kNotDue;
    return std::nullopt;
  };
  std::optional<LeaseResult> refused;
  Lease lease = {LeaseResult::kTaken, {}};
  const absl::Status status =
      Commit(context, org_id, id, now, [&](Fetched& fetched, std::string&) -> absl::Status {
        Webhook& webhook = fetched.webhook;
        refused = why_not(webhook);
        if (refused) return absl::FailedPreconditionError("the lease can't be taken");
        webhook.set_lease_holder(holder.data(), holder.size());
        webhook.set_lease_until_ms(absl::ToUnixMillis(now + kDeliveryLease));
        webhook.set_due_at_ms(webhook.lease_until_ms());
        lease.opened.webhook = webhook;
        lease.opened.keys = KeysOf(fetched.secrets, now);
        return absl::OkStatus();
      });
  if (refused) return Lease{*refused, {}};
  if (!status.ok()) return status;
  return lease;
}

absl::StatusOr<Webhook> WebhookStore::StoreProgress(const CallContext& context,
                                                    absl::string_view org_id, absl::string_view id,
                                                    absl::string_view holder,
                                                    const DeliveryProgress& progress,
                                                    const std::optional<DeliveryEnd>& end,
                                                    absl::Time now) {
  Webhook stored;
  const absl::Status status =
      Commit(context, org_id, id, now,
             [&](Fetched& fetched, std::string& disabled_reason) -> absl::Status {
               Webhook& webhook = fetched.webhook;
               if (holder.empty() || webhook.lease_holder() != holder) {
                 return absl::AbortedError("the lease of the webhook was lost");
               }
               Apply(progress, webhook);
               if (end) {
                 Apply(*end, now, webhook);
                 if (webhook.url() != end->url) {
                   // What failed was another receiver.
                   ForgetFailures(webhook);
                   webhook.set_due_at_ms(absl::ToUnixMillis(now));
                 } else if (IsEnabled(webhook)) {
                   disabled_reason = std::string(end->disabled_reason);
                 }
               } else {
                 webhook.set_lease_until_ms(absl::ToUnixMillis(now + kDeliveryLease));
                 webhook.set_due_at_ms(webhook.lease_until_ms());
               }
               stored = webhook;
               if (!disabled_reason.empty()) stored.set_disabled_reason(disabled_reason);
               return absl::OkStatus();
             });
  if (!status.ok()) return status;
  return stored;
}

absl::StatusOr<std::vector<DueWebhook>> WebhookStore::ListDue(const CallContext& context,
                                                              const DuePosition& after,
                                                              int64_t before, int limit) const {
  const absl::StatusOr<std::vector<Row>> rows =
      records_.backend().ListDueAfter(context, kWebhooks, after, before, limit);
  if (!rows.ok()) return rows.status();
  std::vector<DueWebhook> due;
  due.reserve(rows->size());
  for (const Row& row : *rows) {
    due.push_back({row.org_id, row.id, row.integer(WebhookColumn::kDueAtMs)});
  }
  return due;
}

}  // namespace authurl
