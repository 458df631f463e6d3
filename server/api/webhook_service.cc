#include "server/api/webhook_service.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/api_key.h"
#include "core/crypto/webhook_signature.h"
#include "core/errors.h"
#include "core/field_rules.h"
#include "server/api/paging.h"
#include "server/api/timestamps.h"
#include "storage/event_store.h"
#include "storage/webhook_store.h"

namespace authurl {
namespace {

using record::v1::Webhook;

constexpr absl::string_view kWebhookIdPrefix = "wh_";
constexpr size_t kMaxDescriptionBytes = 256;
constexpr int kMaxReplayedAtATime = 100;
constexpr absl::Duration kDefaultOverlap = absl::Hours(24);
constexpr std::array<absl::string_view, 4> kWebhookMaskPaths = {"url", "event_types", "description",
                                                                "enabled"};

void Copy(const Webhook& webhook, v1::Webhook& shown) {
  shown.set_id(webhook.id());
  shown.set_url(webhook.url());
  *shown.mutable_event_types() = webhook.event_types();
  shown.set_description(webhook.description());
  shown.set_enabled(webhook.disabled_reason().empty());
  shown.set_disabled_reason(webhook.disabled_reason());
  SetTimestamp(webhook.created_at_ms(), *shown.mutable_created_at());
  SetTimestamp(webhook.updated_at_ms(), *shown.mutable_updated_at());
  if (webhook.delivered_up_to() != 0) {
    shown.set_delivered_up_to(EventIdOf(webhook.delivered_up_to()));
  }
  if (webhook.last_success_at_ms() != 0) {
    SetTimestamp(webhook.last_success_at_ms(), *shown.mutable_last_success_at());
  }
  if (webhook.last_failure_at_ms() != 0) {
    SetTimestamp(webhook.last_failure_at_ms(), *shown.mutable_last_failure_at());
  }
  shown.set_last_failure(webhook.last_failure());
  shown.set_failures(webhook.failures());
  if (webhook.failures() > 0 && shown.enabled()) {
    SetTimestamp(webhook.due_at_ms(), *shown.mutable_next_attempt_at());
  }
  if (webhook.old_secret_until_ms() != 0) {
    SetTimestamp(webhook.old_secret_until_ms(), *shown.mutable_old_secret_expires_at());
  }
}

void CheckWebhookId(absl::string_view id, FieldViolations& violations) {
  if (id.empty()) violations.Add("id", "Required");
}

template <typename Types>
void CheckEventTypes(const Types& types, FieldViolations& violations) {
  std::set<absl::string_view> seen;
  for (int i = 0; i < types.size(); ++i) {
    const std::string field = absl::StrCat("event_types[", i, "]");
    if (!EventTypeOf(types[i])) {
      violations.Add(field, absl::StrCat(Quoted(types[i]), " is not a type of event"));
    } else if (!seen.insert(types[i]).second) {
      violations.Add(field, absl::StrCat(Quoted(types[i]), " is named twice"));
    }
  }
}

// Whether the request changes the field, which it sets or not.
bool Changes(const v1::UpdateWebhookRequest& request, absl::string_view field, bool is_set) {
  const auto& paths = request.update_mask().paths();
  // A mask without paths is no mask (AIP-134).
  return paths.empty() ? is_set : std::find(paths.begin(), paths.end(), field) != paths.end();
}

absl::Status CheckUpdate(const v1::UpdateWebhookRequest& request, const ReceiverRules& rules) {
  FieldViolations violations;
  CheckWebhookId(request.id(), violations);
  for (const std::string& path : request.update_mask().paths()) {
    if (std::find(kWebhookMaskPaths.begin(), kWebhookMaskPaths.end(), path) ==
        kWebhookMaskPaths.end()) {
      violations.Add("update_mask",
                     absl::StrCat(Quoted(path), " is not a field that can be changed"));
    }
  }
  if (Changes(request, "url", request.has_url())) {
    CheckWebhookUrl("url", request.url(), rules, violations);
  }
  CheckEventTypes(request.event_types(), violations);
  CheckText("description", request.description(), 0, kMaxDescriptionBytes, violations);
  return violations.ToStatus();
}

void ApplyUpdate(const v1::UpdateWebhookRequest& request, Webhook& webhook) {
  if (Changes(request, "url", request.has_url())) webhook.set_url(request.url());
  if (Changes(request, "event_types", !request.event_types().empty())) {
    *webhook.mutable_event_types() = request.event_types();
  }
  if (Changes(request, "description", request.has_description())) {
    webhook.set_description(request.description());
  }
  if (!Changes(request, "enabled", request.has_enabled())) return;
  if (request.enabled()) {
    webhook.clear_disabled_reason();
  } else if (webhook.disabled_reason().empty()) {
    webhook.set_disabled_reason(std::string(kDisabledByCaller));
  }
}

// A new key and what callers are shown of it; both are wiped at its end.
struct NewSecret {
  explicit NewSecret(const RandomSource& random)
      : key(NewWebhookKey(random)), text(WebhookSecretText(key)) {}
  NewSecret(const NewSecret&) = delete;
  NewSecret& operator=(const NewSecret&) = delete;
  ~NewSecret() {
    Wipe(key);
    Wipe(text);
  }

  std::string key;
  std::string text;
};

v1::TestWebhookResponse Told(const DeliveryResult& result, absl::Duration took) {
  v1::TestWebhookResponse response;
  response.set_delivered(result.is_delivered());
  response.set_http_status(result.http_status);
  response.set_message(result.message);
  const int64_t seconds = absl::ToInt64Seconds(took);
  response.mutable_took()->set_seconds(seconds);
  response.mutable_took()->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(took - absl::Seconds(seconds))));
  return response;
}

}  // namespace

WebhookService::WebhookService(CredentialStore& store, EventDeliverer& deliverer, ThreadPool& pool,
                               Clock clock, RandomSource random, ReceiverRules rules)
    : store_(store),
      deliverer_(deliverer),
      pool_(pool),
      clock_(std::move(clock)),
      random_(std::move(random)),
      rules_(rules) {}

absl::Status WebhookService::CreateWebhook(const Caller& caller,
                                           const v1::CreateWebhookRequest& request,
                                           v1::CreateWebhookResponse& response) const {
  FieldViolations violations;
  CheckWebhookUrl("url", request.url(), rules_, violations);
  CheckEventTypes(request.event_types(), violations);
  CheckText("description", request.description(), 0, kMaxDescriptionBytes, violations);
  if (!violations.empty()) return violations.ToStatus();
  Webhook webhook;
  webhook.set_id(NewId(kWebhookIdPrefix, random_));
  webhook.set_org_id(caller.org_id);
  webhook.set_url(request.url());
  *webhook.mutable_event_types() = request.event_types();
  webhook.set_description(request.description());
  webhook.set_created_at_ms(absl::ToUnixMillis(clock_()));
  webhook.set_updated_at_ms(webhook.created_at_ms());
  const NewSecret secret(random_);
  const absl::StatusOr<Webhook> created =
      store_.webhooks().Create(*caller.context, std::move(webhook), secret.key);
  if (!created.ok()) return created.status();
  Copy(*created, *response.mutable_webhook());
  response.set_secret(secret.text);
  return absl::OkStatus();
}

absl::Status WebhookService::GetWebhook(const Caller& caller, const v1::GetWebhookRequest& request,
                                        v1::GetWebhookResponse& response) const {
  FieldViolations violations;
  CheckWebhookId(request.id(), violations);
  if (!violations.empty()) return violations.ToStatus();
  const auto webhook = store_.webhooks().Get(*caller.context, caller.org_id, request.id());
  if (!webhook.ok()) return webhook.status();
  Copy(*webhook, *response.mutable_webhook());
  return absl::OkStatus();
}

absl::Status WebhookService::ListWebhooks(const Caller& caller, const v1::ListWebhooksRequest&,
                                          v1::ListWebhooksResponse& response) const {
  const auto webhooks = store_.webhooks().List(*caller.context, caller.org_id);
  if (!webhooks.ok()) return webhooks.status();
  for (const Webhook& webhook : webhooks->records) Copy(webhook, *response.add_webhooks());
  for (const std::string& id : webhooks->unreadable) response.add_unreadable_ids(id);
  LogUnreadable(absl::StrCat("webhooks/", caller.org_id), webhooks->unreadable);
  return absl::OkStatus();
}

absl::Status WebhookService::UpdateWebhook(const Caller& caller,
                                           const v1::UpdateWebhookRequest& request,
                                           v1::UpdateWebhookResponse& response) const {
  if (absl::Status status = CheckUpdate(request, rules_); !status.ok()) return status;
  const absl::StatusOr<Webhook> updated =
      store_.webhooks().Update(*caller.context, caller.org_id, request.id(), clock_(),
                               [&](Webhook& webhook) -> absl::Status {
                                 ApplyUpdate(request, webhook);
                                 return absl::OkStatus();
                               });
  if (!updated.ok()) return updated.status();
  deliverer_.NoteChange(caller.org_id, request.id());
  Copy(*updated, *response.mutable_webhook());
  return absl::OkStatus();
}

absl::Status WebhookService::DeleteWebhook(const Caller& caller,
                                           const v1::DeleteWebhookRequest& request,
                                           v1::DeleteWebhookResponse&) const {
  FieldViolations violations;
  CheckWebhookId(request.id(), violations);
  if (!violations.empty()) return violations.ToStatus();
  absl::Status status = store_.webhooks().Delete(*caller.context, caller.org_id, request.id());
  if (status.ok()) deliverer_.NoteChange(caller.org_id, request.id());
  return status;
}

absl::Status WebhookService::RotateWebhookSecret(const Caller& caller,
                                                 const v1::RotateWebhookSecretRequest& request,
                                                 v1::RotateWebhookSecretResponse& response) const {
  FieldViolations violations;
  CheckWebhookId(request.id(), violations);
  absl::Duration overlap = kDefaultOverlap;
  if (request.has_overlap()) {
    overlap =
        absl::Seconds(request.overlap().seconds()) + absl::Nanoseconds(request.overlap().nanos());
    if (overlap < absl::ZeroDuration() || overlap > kMaxSecretOverlap) {
      violations.Add("overlap",
                     absl::StrCat("is ", absl::FormatDuration(overlap), "; make it 0 to ",
                                  absl::FormatDuration(kMaxSecretOverlap)));
    }
  }
  if (!violations.empty()) return violations.ToStatus();
  const NewSecret secret(random_);
  const absl::StatusOr<Webhook> rotated = store_.webhooks().RotateKey(
      *caller.context, caller.org_id, request.id(), secret.key, overlap, clock_());
  if (!rotated.ok()) return rotated.status();
  // What is sent from now on is signed with it.
  deliverer_.NoteChange(caller.org_id, request.id());
  Copy(*rotated, *response.mutable_webhook());
  response.set_secret(secret.text);
  return absl::OkStatus();
}

void WebhookService::TestWebhook(const Caller& caller, const v1::TestWebhookRequest& request,
                                 ResponseCompletion<v1::TestWebhookResponse> completion) const {
  FieldViolations violations;
  CheckWebhookId(request.id(), violations);
  if (!violations.empty()) return completion(violations.ToStatus());
  pool_.Run([this, &caller, id = request.id(), completion = std::move(completion)]() mutable {
    const absl::StatusOr<OpenedWebhook> opened =
        store_.webhooks().GetWithKeys(*caller.context, caller.org_id, id, clock_());
    if (!opened.ok()) return completion(opened.status());
    const absl::Time begun = absl::Now();
    deliverer_.Test(
        *opened, *caller.context,
        [begun,
         completion = std::move(completion)](const absl::StatusOr<DeliveryResult>& result) mutable {
          if (!result.ok()) return completion(result.status());
          completion(Told(*result, std::max(absl::Now() - begun, absl::ZeroDuration())));
        });
  });
}

absl::Status WebhookService::ReplayEvents(const Caller& caller,
                                          const v1::ReplayEventsRequest& request,
                                          v1::ReplayEventsResponse&) const {
  FieldViolations violations;
  CheckWebhookId(request.id(), violations);
  const int count = request.event_ids_size();
  if (count == 0 || count > kMaxReplayedAtATime) {
    violations.Add("event_ids", absl::StrCat("must have 1 to ", kMaxReplayedAtATime, " ids"));
  }
  std::vector<int64_t> numbers;
  for (int i = 0; i < std::min(count, kMaxReplayedAtATime); ++i) {
    const std::optional<int64_t> number = EventNumberOf(request.event_ids(i));
    if (number) {
      numbers.push_back(*number);
    } else {
      violations.Add(absl::StrCat("event_ids[", i, "]"),
                     absl::StrCat(Quoted(request.event_ids(i)), " is not an event's id"));
    }
  }
  if (!violations.empty()) return violations.ToStatus();
  absl::Status status =
      store_.webhooks().AddReplays(*caller.context, caller.org_id, request.id(), numbers, clock_());
  if (status.ok()) deliverer_.NoteNews(caller.org_id);
  return status;
}

std::vector<Method> WebhookService::Methods() const {
  const std::string service = "/authurl.v1.WebhookService/";
  const Access access = Access::kConfigure;
  return {
      MakeWriteMethod(service + "CreateWebhook", access, this, &WebhookService::CreateWebhook),
      MakeReadMethod(service + "GetWebhook", access, this, &WebhookService::GetWebhook),
      MakeReadMethod(service + "ListWebhooks", access, this, &WebhookService::ListWebhooks),
      MakeWriteMethod(service + "UpdateWebhook", access, this, &WebhookService::UpdateWebhook),
      MakeWriteMethod(service + "DeleteWebhook", access, this, &WebhookService::DeleteWebhook),
      MakeWriteMethod(service + "RotateWebhookSecret", access, this,
                      &WebhookService::RotateWebhookSecret),
      MakeOutboundMethod(service + "TestWebhook", access, this, &WebhookService::TestWebhook),
      MakeWriteMethod(service + "ReplayEvents", access, this, &WebhookService::ReplayEvents),
  };
}

}  // namespace authurl
