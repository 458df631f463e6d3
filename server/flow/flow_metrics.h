// flow_metrics.h: counts how flows and refreshes end, for Prometheus.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace authurl {

enum class WayBack : uint8_t {
  kOwn,     // The customer's own callback.
  kHosted,  // authurl's, and somebody with the session binding has to finish it.
  // authurl's, without a session binding: whoever made the URL may have had somebody else consent
  // (login CSRF, RFC 9700 section 4.7).
  kHostedUnbound,
};

enum class FlowOutcome : uint8_t {
  kConnected,
  kNeedsChoice,
  kHandedOut,  // The code, to somebody who exchanges it.
  kFailed,
};

enum class RefreshOutcome : uint8_t {
  kRefreshed,
  kDead,  // The accounts need to be reconnected.
  kFailed,
};

// What began a refresh.
enum class RefreshCause : uint8_t {
  kCaller,  // Somebody asked for a token, or for a check.
  kDue,     // It was due: the grant would have died unused.
};

// Networks are the catalog's and reasons those of our errors, so memory is bounded. Safe to use
// from many threads at once.
class FlowMetrics final : public prometheus::Collectable {
 public:
  // A response led to something for the first time. `network`: empty where the response did not
  // tell. `reason`: why it failed, else empty.
  void FlowEnded(absl::string_view network, WayBack way, FlowOutcome outcome,
                 absl::string_view reason = "");
  // A refresh was sent to the network. `reason`: why it is dead or failed, else empty.
  void RefreshEnded(absl::string_view network, RefreshCause cause, RefreshOutcome outcome,
                    absl::string_view reason = "");

  // What was counted in the store, now and then. Not exposed before the first time.
  struct Stored {
    int64_t active_accounts = 0;
    int64_t accounts_to_reconnect = 0;
    // How long ago the refresh that is most overdue was to be made; zero where none is.
    absl::Duration oldest_overdue;
  };
  void SetStored(const Stored& stored);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  // Network, way, outcome, reason; network, cause, outcome, reason.
  using FlowLabels = std::array<std::string, 4>;
  using RefreshLabels = std::array<std::string, 4>;

  mutable std::mutex mutex_;
  std::map<FlowLabels, uint64_t> flows_;         // Guarded by mutex_.
  std::map<RefreshLabels, uint64_t> refreshes_;  // Guarded by mutex_.
  std::optional<Stored> stored_;                 // Guarded by mutex_.
};

}  // namespace authurl
