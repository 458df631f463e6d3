#include "server/outbound/outbound_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <cmath>

#include "tests/support/metrics_page.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

class OutboundMetricsTest : public ::testing::Test {
 protected:
  OutboundMetricsTest() {
    metrics_.AddNetwork("x");
    metrics_.AddNetwork("mastodon");
  }
  MetricsPage Page() const {
    const auto page = ParseMetricsPage(prometheus::TextSerializer().Serialize(metrics_.Collect()));
    EXPECT_OK(page);
    return page.value_or(MetricsPage());
  }
  double Calls(const std::string& network, const std::string& outcome) const {
    return Page().Value("authurl_outbound_calls_total",
                        {{"network", network}, {"outcome", outcome}});
  }

  OutboundMetrics metrics_;
};

TEST_F(OutboundMetricsTest, CallsAreCountedByHowTheyEnd) {
  for (int i = 0; i < 7; ++i) metrics_.CallStarted("x");
  for (const int status : {200, 204, 302, 404, 503}) {
    metrics_.CallAnswered("x", status, absl::Milliseconds(30));
  }
  metrics_.CallFailed("x", CallFailure::kTls, absl::Seconds(20));
  EXPECT_EQ(Calls("x", "2xx"), 2);
  EXPECT_EQ(Calls("x", "3xx"), 1);
  EXPECT_EQ(Calls("x", "4xx"), 1);
  EXPECT_EQ(Calls("x", "5xx"), 1);
  EXPECT_EQ(Calls("x", "tls"), 1);
  EXPECT_EQ(Calls("x", "timeout"), 0);
  EXPECT_EQ(Page().Value("authurl_outbound_in_flight", {{"network", "x"}}), 1);
}

TEST_F(OutboundMetricsTest, TimesAreInBuckets) {
  for (const absl::Duration duration :
       {absl::Milliseconds(10), absl::Milliseconds(11), absl::Seconds(11), -absl::Seconds(1)}) {
    metrics_.CallStarted("x");
    metrics_.CallAnswered("x", 200, duration);
  }
  const MetricsPage page = Page();
  const auto bucket = [&](const char* bound) {
    return page.Value("authurl_outbound_duration_seconds_bucket",
                      {{"network", "x"}, {"le", bound}});
  };
  EXPECT_EQ(bucket("0.01"), 2);
  EXPECT_EQ(bucket("0.025"), 3);
  EXPECT_EQ(bucket("10"), 3);
  EXPECT_EQ(bucket("+Inf"), 4);
  EXPECT_DOUBLE_EQ(page.Value("authurl_outbound_duration_seconds_sum", {{"network", "x"}}), 11.021);
}

TEST_F(OutboundMetricsTest, NetworksThatNobodyCalledOrAddedAreNotThere) {
  metrics_.CallStarted("evil");
  metrics_.CallFailed("evil", CallFailure::kConnect, absl::ZeroDuration());
  metrics_.BreakerChanged("evil", 1);
  EXPECT_TRUE(Page().samples.empty());
  metrics_.CallStarted("mastodon");
  metrics_.BreakerChanged("mastodon", 1);
  metrics_.BreakerChanged("mastodon", 1);
  metrics_.BreakerChanged("mastodon", -1);
  EXPECT_EQ(Page().Value("authurl_outbound_open_breakers", {{"network", "mastodon"}}), 1);
  EXPECT_TRUE(std::isnan(Page().Value("authurl_outbound_open_breakers", {{"network", "x"}})));
}

}  // namespace
}  // namespace authurl::testing
