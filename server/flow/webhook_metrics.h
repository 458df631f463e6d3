// webhook_metrics.h: counts how deliveries to webhooks end, for Prometheus. By outcome, and never
// by organisation or address.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/flow/webhook_delivery.h"

namespace authurl {

// Safe to use from many threads at once.
class WebhookMetrics final : public prometheus::Collectable {
 public:
  // An attempt has ended.
  void Delivered(DeliveryOutcome outcome);
  // `reason`: kDeliveryFailed or kGone.
  void Disabled(absl::string_view reason);
  // What the last look at all webhooks found: how many fail, and for how long the one does that has
  // failed for longest.
  void SetFailing(int64_t webhooks, absl::Duration longest);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  std::array<std::atomic<uint64_t>, 4> deliveries_ = {};
  std::atomic<int64_t> failing_ = 0;
  std::atomic<int64_t> longest_seconds_ = 0;
  mutable std::mutex mutex_;
  std::map<std::string, uint64_t> disabled_;  // Guarded by mutex_.
};

}  // namespace authurl
