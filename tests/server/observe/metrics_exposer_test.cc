#include "server/observe/metrics_exposer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/observe/metric_sources.h"
#include "server/observe/metrics.h"
#include "server/observe/process_metrics.h"
#include "tests/support/metrics_page.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(MetricsExposerTest, ScrapeHasWhatAllSourcesTell) {
  Metrics metrics;
  const MethodId method = metrics.AddMethod("/s/m");
  metrics.CallStarted(method);
  metrics.CallFinished(method, grpc::StatusCode::OK, absl::Milliseconds(3));
  MetricSources readings;
  readings.version = "1.2.3";
  const SourceMetrics sources(readings);
  const ProcessMetrics process;
  ASSERT_OK_AND_ASSIGN(
      const auto exposer,
      MetricsExposer::Start(BoundSockets::BindTcp("127.0.0.1:0", "metrics_listen").value(),
                            {&metrics, &sources, &process}));
  ASSERT_OK_AND_ASSIGN(const MetricsPage page, ScrapeMetrics(exposer->address()));
  EXPECT_EQ(page.Value("authurl_rpc_calls_total", {{"method", "s/m"}, {"code", "OK"}}), 1);
  EXPECT_EQ(page.Value("authurl_rpc_duration_seconds_bucket", {{"method", "s/m"}, {"le", "0.005"}}),
            1);
  EXPECT_EQ(page.Value("authurl_build_info", {{"version", "1.2.3"}}), 1);
  EXPECT_GT(page.Value("process_resident_memory_bytes"), 0);
}

TEST(MetricsExposerTest, ReplyNamesTheFormatThatPrometheusAsksFor) {
  const SourceMetrics sources({});
  ASSERT_OK_AND_ASSIGN(
      const auto exposer,
      MetricsExposer::Start(BoundSockets::BindTcp("127.0.0.1:0", "metrics_listen").value(),
                            {&sources}));
  // As Prometheus asks.
  EXPECT_THAT(
      ExchangeHttp(
          exposer->address(),
          "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9464\r\nUser-Agent: Prometheus/2.42.0\r\n"
          "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;"
          "q=0.5,*/*;q=0.1\r\nAccept-Encoding: gzip\r\n"
          "X-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n")
          .value_or(""),
      AllOf(StartsWith("HTTP/1.1 200 OK\r\n"),
            HasSubstr("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n")));
}

TEST(MetricsExposerTest, OtherPathsSayWhereTheMetricsAre) {
  const SourceMetrics sources({});
  ASSERT_OK_AND_ASSIGN(
      const auto exposer,
      MetricsExposer::Start(BoundSockets::BindTcp("127.0.0.1:0", "metrics_listen").value(),
                            {&sources}));
  for (const char* path : {"/", "/metric", "/metrics/", "/../metrics", "/%6detrics", "metrics"}) {
    EXPECT_THAT(ExchangeHttp(exposer->address(), absl::StrCat("GET ", path, " HTTP/1.1\r\n\r\n"))
                    .value_or(""),
                AllOf(StartsWith("HTTP/1.1 404 Not Found\r\n"), HasSubstr("/metrics")))
        << path;
  }
}

TEST(MetricsExposerTest, AddressInUseIsOneSentenceWithTheFlag) {
  const SourceMetrics sources({});
  ASSERT_OK_AND_ASSIGN(
      const auto first,
      MetricsExposer::Start(BoundSockets::BindTcp("127.0.0.1:0", "metrics_listen").value(),
                            {&sources}));
  EXPECT_THAT(BoundSockets::BindTcp(first->address(), "metrics_listen"),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr(first->address()), HasSubstr("is in use"),
                             HasSubstr("--metrics_listen"))));
}

TEST(MetricsExposerTest, ScrapesFromManyClientsAtOnceAllSucceed) {
  Metrics metrics;
  const MethodId method = metrics.AddMethod("/s/m");
  ASSERT_OK_AND_ASSIGN(
      const auto exposer,
      MetricsExposer::Start(BoundSockets::BindTcp("127.0.0.1:0", "metrics_listen").value(),
                            {&metrics}));
  std::atomic<bool> done = false;
  std::thread caller([&] {
    while (!done) {
      metrics.CallStarted(method);
      metrics.CallFinished(method, grpc::StatusCode::OK, absl::Microseconds(20));
    }
  });
  std::vector<std::thread> clients;
  clients.reserve(8);
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&] {
      double last = 0;
      for (int scrape = 0; scrape < 20; ++scrape) {
        const auto page = ScrapeMetrics(exposer->address());
        ASSERT_OK(page);
        const double now = page->Sum("authurl_rpc_calls_total");
        EXPECT_GE(now, last);
        last = now;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  done = true;
  caller.join();
}

}  // namespace
}  // namespace authurl::testing
