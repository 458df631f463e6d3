// outbound_metrics.h: counts and times the calls to networks, for Prometheus. By network and never
// by host: strangers name hosts.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/outbound/call_failure.h"

namespace authurl {

// For a network that was not added, everything here counts nothing. Safe to use from many threads
// at once, once all networks are added; takes no lock.
class OutboundMetrics final : public prometheus::Collectable {
 public:
  OutboundMetrics();
  ~OutboundMetrics() override;
  OutboundMetrics(const OutboundMetrics&) = delete;
  OutboundMetrics& operator=(const OutboundMetrics&) = delete;

  // At start. A network has no metrics before the first call to it.
  void AddNetwork(absl::string_view id);

  // Every call that starts must end once, in one of the two ways.
  void CallStarted(absl::string_view network);
  void CallAnswered(absl::string_view network, int status, absl::Duration duration);
  void CallFailed(absl::string_view network, CallFailure failure, absl::Duration duration);
  // See CircuitBreakers::Listener.
  void BreakerChanged(absl::string_view network, int change);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  struct Counts;

  Counts* CountsOf(absl::string_view network) const;
  static void CountEnd(Counts& counts, size_t outcome, absl::Duration duration);

  absl::flat_hash_map<std::string, std::unique_ptr<Counts>> networks_;
};

}  // namespace authurl
