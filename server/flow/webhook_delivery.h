// webhook_delivery.h: one delivery of an event to a webhook, as values: the request, what came of
// it, and when the next attempt is made. Nothing is sent here.
//
// Pure; safe to call from many threads at once.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"
#include "core/errors.h"
#include "core/http_message.h"
#include "server/outbound/http_client.h"
#include "storage/webhook_store.h"

namespace authurl {

// What metrics and errors of the HTTP client call all receivers.
inline constexpr char kWebhookTarget[] = "webhook";
// The type of an event that is made for TestWebhook alone, and stored nowhere.
inline constexpr absl::string_view kTestEventType = "webhook.test";
// For how long deliveries fail before the webhook is disabled.
inline constexpr absl::Duration kMaxFailingTime = absl::Hours(24 * 3);
inline constexpr absl::Duration kLongestRetryAfter = kLongestPause;
inline constexpr size_t kMaxWebhookUrlBytes = 2048;

// Where receivers may be, as far as a URL shows it.
struct ReceiverRules {
  bool allow_local = false;   // This machine too, by plain http as well.
  bool has_networks = false;  // There are networks of the operator's: any port.
};
// A URL that a webhook may have. What it leads to is judged when it is connected to.
void CheckWebhookUrl(absl::string_view field, const std::string& url, const ReceiverRules& rules,
                     FieldViolations& violations);

// `body`: core/flow/webhook_body.h. `now`: when this attempt is made.
HttpRequest DeliveryRequest(const std::string& url, const WebhookKeys& keys, absl::string_view id,
                            std::string body, absl::Time now);

enum class DeliveryOutcome : uint8_t { kDelivered, kRefused, kGone, kUnreachable };
// For metrics: "delivered".
const char* DeliveryOutcomeName(DeliveryOutcome outcome);

struct DeliveryResult {
  DeliveryOutcome outcome = DeliveryOutcome::kUnreachable;
  int http_status = 0;  // 0: no answer came.
  std::string message;  // Where it was not delivered: one sentence, without the receiver's words.
  std::optional<absl::Duration> retry_after;  // As the receiver asks for, within bounds.

  bool is_delivered() const { return outcome == DeliveryOutcome::kDelivered; }
};
DeliveryResult ReadDelivery(const absl::StatusOr<HttpAnswer>& answer, absl::Time now);

// How long to wait after so many failures in a row, at least 1. `chance`, from 0 to 1, makes it up
// to a tenth shorter or longer, so that many that failed together don't come back together.
absl::Duration PauseAfter(int failures, double chance);
// When the next attempt is made, after `failures` in a row since `first_failed_at`: after the
// pause, no sooner than the receiver asks for, and one last time when kMaxFailingTime is over.
absl::Time NextAttempt(absl::Time now, absl::Time first_failed_at, int failures, double chance,
                       std::optional<absl::Duration> retry_after = {});

}  // namespace authurl
