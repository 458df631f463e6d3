#include "core/flow/webhook_body.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/time/time.h"

namespace authurl {

std::string WebhookBody(absl::string_view id, absl::string_view type, absl::string_view message,
                        const record::v1::Event& event) {
  // In this order, so that people find what they look for.
  nlohmann::ordered_json data;
  const auto put = [&](const char* name, absl::string_view value) {
    if (!value.empty()) data[name] = std::string(value);
  };
  const absl::Time created_at = absl::FromUnixMillis(event.created_at_ms());
  const std::string created =
      absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", created_at, absl::UTCTimeZone());
  put("id", id);
  put("type", type);
  put("createdAt", created);
  put("accountId", event.account_id());
  put("socialNetworkId", event.social_network_id());
  put("network", event.network());
  put("instance", event.instance());
  put("variant", event.variant());
  put("tenantId", event.tenant_id());
  put("flowId", event.flow_id());
  put("reason", event.reason());
  put("webhookId", event.webhook_id());
  for (const std::string& changed : event.changed()) data["changed"].push_back(changed);
  put("message", message);
  nlohmann::ordered_json body;
  body["type"] = std::string(type);
  body["timestamp"] = created;
  body["data"] = std::move(data);
  // What strangers named may be no UTF-8.
  return body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace authurl
