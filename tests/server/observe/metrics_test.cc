#include "server/observe/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/metrics_page.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr char kGet[] = "/authurl.v1.AuthUrlService/GetAuthUrl";
constexpr char kGetLabel[] = "authurl.v1.AuthUrlService/GetAuthUrl";

absl::StatusOr<MetricsPage> Read(const Metrics& metrics) {
  return ParseMetricsPage(prometheus::TextSerializer().Serialize(metrics.Collect()));
}

TEST(MetricsTest, CallsAreCountedByMethodAndCode) {
  Metrics metrics;
  const MethodId get = metrics.AddMethod(kGet);
  const MethodId list = metrics.AddMethod("/authurl.v1.AuthUrlService/ListNetworks");
  for (int i = 0; i < 3; ++i) {
    metrics.CallStarted(get);
    metrics.CallFinished(get, grpc::StatusCode::OK, absl::Microseconds(10));
  }
  metrics.CallStarted(list);
  metrics.CallFinished(list, grpc::StatusCode::UNAUTHENTICATED, absl::Microseconds(10));

  ASSERT_OK_AND_ASSIGN(const MetricsPage page, Read(metrics));
  EXPECT_EQ(page.Value("authurl_rpc_calls_total", {{"method", kGetLabel}, {"code", "OK"}}), 3);
  EXPECT_EQ(
      page.Value("authurl_rpc_calls_total", {{"method", "authurl.v1.AuthUrlService/ListNetworks"},
                                             {"code", "UNAUTHENTICATED"}}),
      1);
  EXPECT_EQ(page.Sum("authurl_rpc_calls_total"), 4);
  // What did not happen is there as well: a series that appears with its first error would hide it
  // from rate().
  EXPECT_EQ(page.Value("authurl_rpc_calls_total", {{"method", kGetLabel}, {"code", "INTERNAL"}}),
            0);
}

TEST(MetricsTest, ErrorsAreCountedByReason) {
  Metrics metrics;
  for (int i = 0; i < 2; ++i) metrics.ErrorSent("RATE_LIMITED");
  metrics.ErrorSent("OVERLOADED");
  ASSERT_OK_AND_ASSIGN(const MetricsPage page, Read(metrics));
  EXPECT_EQ(page.Value("authurl_rpc_errors_total", {{"reason", "RATE_LIMITED"}}), 2);
  EXPECT_EQ(page.Value("authurl_rpc_errors_total", {{"reason", "OVERLOADED"}}), 1);
}

TEST(MetricsTest, CodeThatIsNoneOfGrpcsIsUnknown) {
  Metrics metrics;
  const MethodId get = metrics.AddMethod(kGet);
  for (const int code : {-1, 17, 31}) {
    metrics.CallStarted(get);
    metrics.CallFinished(get, static_cast<grpc::StatusCode>(code), absl::ZeroDuration());
  }
  ASSERT_OK_AND_ASSIGN(const MetricsPage page, Read(metrics));
  EXPECT_EQ(page.Value("authurl_rpc_calls_total", {{"method", kGetLabel}, {"code", "UNKNOWN"}}), 3);
  EXPECT_EQ(page.Sum("authurl_rpc_calls_total"), 3);
}

TEST(MetricsTest, CallsInFlightAreThoseThatStartedAndDidNotFinish) {
  Metrics metrics;
  const MethodId get = metrics.AddMethod(kGet);
  for (int i = 0; i < 5; ++i) metrics.CallStarted(get);
  // On another thread than the one they started on, as in the server.
  std::thread([&] {
    for (int i = 0; i < 3; ++i) {
      metrics.CallFinished(get, grpc::StatusCode::OK, absl::ZeroDuration());
    }
  }).join();
  ASSERT_OK_AND_ASSIGN(const MetricsPage page, Read(metrics));
  EXPECT_EQ(page.Value("authurl_rpc_in_flight", {{"method", kGetLabel}}), 2);
}

TEST(MetricsTest, BucketsHoldWhatIsAtMostTheirBound) {
  Metrics metrics;
  const MethodId get = metrics.AddMethod(kGet);
  for (const absl::Duration duration :
       {absl::ZeroDuration(), absl::Microseconds(25), absl::Nanoseconds(25'001),
        absl::Milliseconds(1), absl::Seconds(10), absl::Seconds(11)}) {
    metrics.CallStarted(get);
    metrics.CallFinished(get, grpc::StatusCode::OK, duration);
  }
  ASSERT_OK_AND_ASSIGN(const MetricsPage page, Read(metrics));
  const auto bucket = [&](const std::string& bound) {
    return page.Value("authurl_rpc_duration_seconds_bucket",
                      {{"method", kGetLabel}, {"le", bound}});
  };
  EXPECT_EQ(bucket("2.5e-05"), 2);
  EXPECT_EQ(bucket("5e-05"), 3);
  EXPECT_EQ(bucket("0.0005"), 3);
  EXPECT_EQ(bucket("0.001"), 4);
  EXPECT_EQ(bucket("5"), 4);
  EXPECT_EQ(bucket("10"), 5);
  EXPECT_EQ(bucket("+Inf"), 6);
  EXPECT_EQ(page.Value("authurl_rpc_duration_seconds_count", {{"method", kGetLabel}}), 6);
  EXPECT_DOUBLE_EQ(page.Value("authurl_rpc_duration_seconds_sum", {{"method", kGetLabel}}),
                   21.001050001);
}

TEST(MetricsTest, ClockThatWasSetBackMakesNoSumFall) {
  Metrics metrics;
  const MethodId get = metrics.AddMethod(kGet);
  metrics.CallStarted(get);
  metrics.CallFinished(get, grpc::StatusCode::OK, absl::Seconds(1));
  metrics.CallStarted(get);
  metrics.CallFinished(get, grpc::StatusCode::OK, absl::Seconds(-5));
  ASSERT_OK_AND_ASSIGN(const MetricsPage page, Read(metrics));
  EXPECT_EQ(page.Value("authurl_rpc_duration_seconds_sum", {{"method", kGetLabel}}), 1);
}

TEST(MetricsTest, UrlsAreCountedByNetworkAndStateAndOnlyForKnownNetworks) {
  Metrics metrics;
  metrics.AddNetwork("x");
  metrics.AddNetwork("wechat");
  metrics.AuthUrlsOf("x", StateKind::kSealed).Add();
  metrics.AuthUrlsOf("x", StateKind::kSealed).Add();
  metrics.AuthUrlsOf("wechat", StateKind::kStored).Add();
  metrics.AuthUrlsOf("a caller's own words", StateKind::kSealed).Add();
  ASSERT_OK_AND_ASSIGN(const MetricsPage page, Read(metrics));
  EXPECT_EQ(page.Value("authurl_auth_urls_total", {{"network", "x"}, {"state", "sealed"}}), 2);
  EXPECT_EQ(page.Value("authurl_auth_urls_total", {{"network", "wechat"}, {"state", "stored"}}), 1);
  EXPECT_EQ(page.Value("authurl_auth_urls_total", {{"network", "wechat"}, {"state", "sealed"}}), 0);
  EXPECT_EQ(page.Sum("authurl_auth_urls_total"), 3);
}

TEST(MetricsTest, NothingAddedIsNothingToTell) {
  ASSERT_OK_AND_ASSIGN(const MetricsPage page, Read(Metrics()));
  EXPECT_THAT(page.samples, IsEmpty());
  EXPECT_THAT(page.types, ElementsAre(Pair("authurl_auth_urls_total", "counter"),
                                      Pair("authurl_rpc_calls_total", "counter"),
                                      Pair("authurl_rpc_duration_seconds", "histogram"),
                                      Pair("authurl_rpc_errors_total", "counter"),
                                      Pair("authurl_rpc_in_flight", "gauge")));
}

TEST(MetricsTest, BigNumbersKeepEveryDigit) {
  Metrics metrics;
  const MethodId get = metrics.AddMethod(kGet);
  constexpr int kCalls = 1'234'567;
  for (int i = 0; i < kCalls; ++i) {
    metrics.CallStarted(get);
    metrics.CallFinished(get, grpc::StatusCode::OK, absl::Nanoseconds(1));
  }
  ASSERT_OK_AND_ASSIGN(const MetricsPage page, Read(metrics));
  EXPECT_EQ(page.Value("authurl_rpc_calls_total", {{"method", kGetLabel}, {"code", "OK"}}), kCalls);
}

constexpr int kThreads = 16;
constexpr int kCallsOfAThread = 20'000;
constexpr int kMethods = 5;

// What one thread counts, and how much of it is of which method and code.
struct Counted {
  uint64_t calls[kMethods][17] = {};
  uint64_t microseconds = 0;
};

Counted CountManyCalls(Metrics& metrics, const std::vector<MethodId>& methods, unsigned seed) {
  std::mt19937 random(seed);
  Counted counted;
  for (int i = 0; i < kCallsOfAThread; ++i) {
    const unsigned method = random() % kMethods;
    const unsigned code = random() % 17;
    const unsigned microseconds = random() % 2'000'000;
    metrics.CallStarted(methods[method]);
    metrics.CallFinished(methods[method], static_cast<grpc::StatusCode>(code),
                         absl::Microseconds(microseconds));
    metrics.AuthUrlsOf("x", random() % 2 == 0 ? StateKind::kSealed : StateKind::kStored).Add();
    ++counted.calls[method][code];
    counted.microseconds += microseconds;
  }
  return counted;
}

std::vector<double> BucketsOf(const MetricsPage& page, const std::string& method) {
  std::vector<double> buckets;
  for (const Sample& sample : page.samples) {
    if (sample.name == "authurl_rpc_duration_seconds_bucket" &&
        sample.labels.at("method") == method) {
      buckets.push_back(sample.value);
    }
  }
  return buckets;
}

TEST(MetricsTest, CountsOfManyThreadsAreExactAndReadingMeanwhileIsSound) {
  Metrics metrics;
  metrics.AddNetwork("x");
  std::vector<MethodId> methods;
  methods.reserve(kMethods);
  for (int i = 0; i < kMethods; ++i) methods.push_back(metrics.AddMethod(absl::StrCat("/s/m", i)));

  std::atomic<bool> done = false;
  std::thread reader([&] {
    while (!done) {
      const auto page = Read(metrics);
      ASSERT_OK(page);
      for (const Sample& sample : page->samples) {
        // A call is seen to start before it is seen to finish, so this is never below 0.
        if (sample.name != "authurl_rpc_in_flight") continue;
        EXPECT_GE(sample.value, 0);
        EXPECT_LE(sample.value, kThreads * kCallsOfAThread);
      }
    }
  });
  std::vector<Counted> counted(kThreads);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] { counted[i] = CountManyCalls(metrics, methods, i); });
  }
  for (std::thread& thread : threads) thread.join();
  done = true;
  reader.join();

  ASSERT_OK_AND_ASSIGN(const MetricsPage page, Read(metrics));
  uint64_t microseconds = 0;
  for (const Counted& each : counted) microseconds += each.microseconds;
  EXPECT_NEAR(page.Sum("authurl_rpc_duration_seconds_sum"), static_cast<double>(microseconds) / 1e6,
              1e-6);
  EXPECT_EQ(page.Sum("authurl_auth_urls_total"), kThreads * kCallsOfAThread);
  EXPECT_EQ(page.Sum("authurl_rpc_in_flight"), 0);
  for (int method = 0; method < kMethods; ++method) {
    const std::string name = absl::StrCat("s/m", method);
    std::vector<double> codes;
    for (const Sample& sample : page.samples) {
      if (sample.name == "authurl_rpc_calls_total" && sample.labels.at("method") == name) {
        codes.push_back(sample.value);
      }
    }
    ASSERT_EQ(codes.size(), 17);
    for (size_t code = 0; code < codes.size(); ++code) {
      uint64_t expected = 0;
      for (const Counted& each : counted) expected += each.calls[method][code];
      EXPECT_EQ(codes[code], expected) << name << " code " << code;
    }
    const std::vector<double> buckets = BucketsOf(page, name);
    ASSERT_EQ(buckets.size(), 19);
    EXPECT_TRUE(std::is_sorted(buckets.begin(), buckets.end()));
    EXPECT_EQ(buckets.back(), page.Sum("authurl_rpc_calls_total", {{"method", name}}));
    EXPECT_EQ(buckets.back(), page.Value("authurl_rpc_duration_seconds_count", {{"method", name}}));
  }
}

}  // namespace
}  // namespace authurl::testing
