#include "server/flow/flow_metrics.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace authurl::testing {
namespace {

// "name{value,value}" of every label, and the count.
std::map<std::string, double> Counts(const FlowMetrics& metrics) {
  std::map<std::string, double> counts;
  for (const prometheus::MetricFamily& family : metrics.Collect()) {
    for (const prometheus::ClientMetric& metric : family.metric) {
      std::string name = family.name + "{";
      for (const auto& label : metric.label) name += label.name + "=" + label.value + ",";
      counts[name + "}"] = metric.counter.value;
    }
  }
  return counts;
}

TEST(FlowMetricsTest, EachEndIsCountedUnderItsLabels) {
  FlowMetrics metrics;
  EXPECT_TRUE(Counts(metrics).empty());
  metrics.FlowEnded("x", WayBack::kOwn, FlowOutcome::kConnected);
  metrics.FlowEnded("x", WayBack::kOwn, FlowOutcome::kConnected);
  metrics.FlowEnded("x", WayBack::kHostedUnbound, FlowOutcome::kFailed, "USER_DENIED");
  metrics.FlowEnded("", WayBack::kHosted, FlowOutcome::kFailed, "STATE_INVALID");
  metrics.RefreshEnded("x", RefreshCause::kDue, RefreshOutcome::kRefreshed);
  metrics.RefreshEnded("x", RefreshCause::kCaller, RefreshOutcome::kDead, "REFRESH_DEAD");
  metrics.SetStored({.active_accounts = 7,
                     .accounts_to_reconnect = 2,
                     .oldest_overdue = absl::Milliseconds(1500)});
  const std::map<std::string, double> expected = {
      {"authurl_flows_total{network=x,callback=own,outcome=connected,reason=,}", 2},
      {"authurl_flows_total{network=x,callback=hosted_unbound,outcome=failed,reason=USER_DENIED,}",
       1},
      {"authurl_flows_total{network=,callback=hosted,outcome=failed,reason=STATE_INVALID,}", 1},
      {"authurl_refreshes_total{network=x,cause=due,outcome=refreshed,reason=,}", 1},
      {"authurl_refreshes_total{network=x,cause=caller,outcome=dead,reason=REFRESH_DEAD,}", 1},
      {"authurl_social_accounts{status=active,}", 7},
      {"authurl_social_accounts{status=needs_reconnect,}", 2},
      {"authurl_refresh_oldest_overdue_seconds{}", 1.5}};
  EXPECT_EQ(Counts(metrics), expected);
}

}  // namespace
}  // namespace authurl::testing
