#include "server/flow/webhook_metrics.h"

#include <cstddef>
#include <utility>

#include "server/observe/metric_family.h"
#include "storage/webhook_store.h"

namespace authurl {

void WebhookMetrics::Delivered(DeliveryOutcome outcome) {
  deliveries_[static_cast<size_t>(outcome)].fetch_add(1, std::memory_order_relaxed);
}

void WebhookMetrics::Disabled(absl::string_view reason) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++disabled_[std::string(reason)];
}

void WebhookMetrics::SetFailing(int64_t webhooks, absl::Duration longest) {
  failing_.store(webhooks, std::memory_order_relaxed);
  longest_seconds_.store(absl::ToInt64Seconds(longest), std::memory_order_relaxed);
}

std::vector<prometheus::MetricFamily> WebhookMetrics::Collect() const {
  using prometheus::MetricType;
  prometheus::MetricFamily deliveries =
      MakeFamily(MetricType::Counter, "authurl_webhook_deliveries_total",
                 "Attempts to deliver an event to a webhook, by outcome.");
  for (const DeliveryOutcome outcome : {DeliveryOutcome::kDelivered, DeliveryOutcome::kRefused,
                                        DeliveryOutcome::kGone, DeliveryOutcome::kUnreachable}) {
    const uint64_t count =
        deliveries_[static_cast<size_t>(outcome)].load(std::memory_order_relaxed);
    AddValue(deliveries, static_cast<double>(count), {{"outcome", DeliveryOutcomeName(outcome)}});
  }
  prometheus::MetricFamily disabled =
      MakeFamily(MetricType::Counter, "authurl_webhooks_disabled_total",
                 "Webhooks that were disabled because they could not be delivered to, by reason.");
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const absl::string_view reason : {kDeliveryFailed, kGone}) {
      const auto found = disabled_.find(std::string(reason));
      AddValue(disabled, found == disabled_.end() ? 0.0 : static_cast<double>(found->second),
               {{"reason", std::string(reason)}});
    }
  }
  prometheus::MetricFamily failing =
      MakeFamily(MetricType::Gauge, "authurl_webhooks_failing",
                 "Webhooks whose last attempt failed, at the last look at all of them.");
  AddValue(failing, static_cast<double>(failing_.load(std::memory_order_relaxed)), {});
  prometheus::MetricFamily longest =
      MakeFamily(MetricType::Gauge, "authurl_webhook_longest_failing_seconds",
                 "For how long the webhook fails that has failed for longest; 0 where none does.");
  AddValue(longest, static_cast<double>(longest_seconds_.load(std::memory_order_relaxed)), {});
  return {std::move(deliveries), std::move(disabled), std::move(failing), std::move(longest)};
}

}  // namespace authurl
