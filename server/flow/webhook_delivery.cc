#include "server/flow/webhook_delivery.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/crypto/webhook_signature.h"
#include "core/uri.h"
#include "server/outbound/address_guard.h"

namespace authurl {
namespace {

constexpr std::array<absl::Duration, 7> kPauses = {
    absl::Seconds(5),  absl::Seconds(30), absl::Minutes(2), absl::Minutes(10),
    absl::Minutes(30), absl::Hours(1),    absl::Hours(2)};

// RFC 9110 section 10.2.3: seconds, or a date.
std::optional<absl::Duration> ReadRetryAfter(absl::string_view text, absl::Time now) {
  if (text.empty()) return std::nullopt;
  absl::Duration after;
  int64_t seconds = 0;
  absl::Time date;
  if (absl::SimpleAtoi(text, &seconds)) {
    after = absl::Seconds(seconds);
  } else if (absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", text, &date, nullptr)) {
    after = date - now;
  } else {
    return std::nullopt;
  }
  return std::clamp(after, absl::ZeroDuration(), kLongestRetryAfter);
}

}  // namespace

void CheckWebhookUrl(absl::string_view field, const std::string& url, const ReceiverRules& rules,
                     FieldViolations& violations) {
  if (url.empty()) return violations.Add(field, "Required");
  const absl::StatusOr<RedirectUri> uri = ParseRedirectUri(url);
  if (!uri.ok()) return violations.Add(field, uri.status().message());
  const bool is_here =
      uri->host_kind == HostKind::kLoopbackIp || uri->host_kind == HostKind::kLocalhost;
  if (uri->scheme != "https" && !(uri->scheme == "http" && is_here && rules.allow_local)) {
    return violations.Add(field, "must begin with https://");
  }
  const bool any_port = rules.allow_local || rules.has_networks;
  if (uri->port && !any_port) {
    return violations.Add(field, "must not have a port: receivers are called on port 443");
  }
  // Where the operator has networks of their own, it is the operator's guard that tells.
  if (any_port) return;
  const std::optional<AddressKind> kind = JudgeAddressText(uri->host);
  if (uri->host_kind == HostKind::kLocalhost || (kind && *kind != AddressKind::kPublic)) {
    violations.Add(field, "must lead to a public address");
  }
}

HttpRequest DeliveryRequest(const std::string& url, const WebhookKeys& keys, absl::string_view id,
                            std::string body, absl::Time now) {
  const int64_t timestamp = absl::ToUnixSeconds(now);
  HttpRequest request;
  request.method = "POST";
  request.url = url;
  request.headers.push_back({"Content-Type", "application/json"});
  request.headers.push_back({"webhook-id", std::string(id)});
  request.headers.push_back({"webhook-timestamp", absl::StrCat(timestamp)});
  request.headers.push_back(
      {"webhook-signature", WebhookSignatures(keys.views(), id, timestamp, body)});
  request.body = std::move(body);
  return request;
}

const char* DeliveryOutcomeName(DeliveryOutcome outcome) {
  switch (outcome) {
    case DeliveryOutcome::kDelivered:
      return "delivered";
    case DeliveryOutcome::kRefused:
      return "refused";
    case DeliveryOutcome::kGone:
      return "gone";
    case DeliveryOutcome::kUnreachable:
      return "unreachable";
  }
  return "";
}

DeliveryResult ReadDelivery(const absl::StatusOr<HttpAnswer>& answer, absl::Time now) {
  DeliveryResult result;
  if (!answer.ok()) {
    // Only what is meant for callers; the rest is our own fault.
    result.message = ReasonOf(answer.status()).empty() ? "the delivery could not be made"
                                                       : std::string(answer.status().message());
    return result;
  }
  const int status = answer->status;
  result.http_status = status;
  if (status >= 200 && status < 300) {
    result.outcome = DeliveryOutcome::kDelivered;
    return result;
  }
  result.outcome = status == 410 ? DeliveryOutcome::kGone : DeliveryOutcome::kRefused;
  const bool is_redirect = status >= 300 && status < 400;
  result.message = absl::StrCat("the receiver answered with the status ", status,
                                is_redirect ? "; redirects are not followed" : "");
  result.retry_after = ReadRetryAfter(answer->Header("Retry-After"), now);
  return result;
}

absl::Duration PauseAfter(int failures, double chance) {
  const auto step =
      std::clamp<size_t>(static_cast<size_t>(std::max(failures, 1)), 1, kPauses.size());
  return kPauses[step - 1] * (0.9 + 0.2 * std::clamp(chance, 0.0, 1.0));
}

absl::Time NextAttempt(absl::Time now, absl::Time first_failed_at, int failures, double chance,
                       std::optional<absl::Duration> retry_after) {
  const absl::Duration pause =
      std::max(PauseAfter(failures, chance), retry_after.value_or(absl::ZeroDuration()));
  return std::min(now + pause, std::max(first_failed_at + kMaxFailingTime, now + PauseAfter(1, 0)));
}

}  // namespace authurl
