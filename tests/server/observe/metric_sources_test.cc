#include "server/observe/metric_sources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <cmath>

#include "tests/support/metrics_page.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

absl::StatusOr<MetricsPage> Read(const SourceMetrics& metrics) {
  return ParseMetricsPage(prometheus::TextSerializer().Serialize(metrics.Collect()));
}

TEST(SourceMetricsTest, SourceThatIsNotSetIsLeftOut) {
  MetricSources sources;
  sources.version = "1.2.3";
  ASSERT_OK_AND_ASSIGN(const MetricsPage page, Read(SourceMetrics(sources)));
  EXPECT_THAT(page.types, ElementsAre(Pair("authurl_build_info", "gauge")));
  EXPECT_EQ(page.Value("authurl_build_info", {{"version", "1.2.3"}}), 1);
}

TEST(SourceMetricsTest, RevisionIsALabelOfTheBuild) {
  MetricSources sources;
  sources.version = "1.2.3";
  sources.revision = "abc";
  ASSERT_OK_AND_ASSIGN(const MetricsPage page, Read(SourceMetrics(sources)));
  EXPECT_EQ(page.Value("authurl_build_info", {{"version", "1.2.3"}, {"revision", "abc"}}), 1);
}

TEST(SourceMetricsTest, ValuesAreReadAnewEachTime) {
  uint64_t dropped = 1;
  MetricSources sources;
  sources.log_lines_dropped = [&] { return dropped; };
  const SourceMetrics metrics(sources);
  ASSERT_OK_AND_ASSIGN(const MetricsPage first, Read(metrics));
  dropped = 7;
  ASSERT_OK_AND_ASSIGN(const MetricsPage second, Read(metrics));
  EXPECT_EQ(first.Value("authurl_log_lines_dropped_total"), 1);
  EXPECT_EQ(second.Value("authurl_log_lines_dropped_total"), 7);
}

TEST(SourceMetricsTest, CachesAreToldApartByName) {
  MetricSources sources;
  sources.caches["api_keys"] = [] {
    return CacheReading{.hits = 1,
                        .negative_hits = 2,
                        .misses = 3,
                        .evictions = 4,
                        .entries = 5,
                        .bytes = 6,
                        .budget_bytes = 7};
  };
  sources.caches["social_networks"] = [] { return CacheReading{.hits = 10}; };
  ASSERT_OK_AND_ASSIGN(const MetricsPage page, Read(SourceMetrics(sources)));
  const auto lookups = [&](const std::string& cache, const std::string& result) {
    return page.Value("authurl_cache_lookups_total", {{"cache", cache}, {"result", result}});
  };
  EXPECT_EQ(lookups("api_keys", "hit"), 1);
  EXPECT_EQ(lookups("api_keys", "negative_hit"), 2);
  EXPECT_EQ(lookups("api_keys", "miss"), 3);
  EXPECT_EQ(lookups("social_networks", "hit"), 10);
  EXPECT_EQ(page.Value("authurl_cache_evictions_total", {{"cache", "api_keys"}}), 4);
  EXPECT_EQ(page.Value("authurl_cache_entries", {{"cache", "api_keys"}}), 5);
  EXPECT_EQ(page.Value("authurl_cache_bytes", {{"cache", "api_keys"}}), 6);
  EXPECT_EQ(page.Value("authurl_cache_budget_bytes", {{"cache", "api_keys"}}), 7);
}

TEST(SourceMetricsTest, EveryReadingArrivesUnderItsName) {
  MetricSources sources;
  sources.lanes["reads"] = [] {
    return LaneReading{.queued = 1, .capacity = 2, .threads = 3, .shed = 4, .dropped = 5};
  };
  sources.lanes["writes"] = [] { return LaneReading{.queued = 6}; };
  sources.storage = [] {
    return StorageReading{
        .commits = 5, .writes = 6, .reads = 7, .busy = 8, .errors = 9, .rolled_back = true};
  };
  sources.purges = [] { return PurgesReading{.auth_states = 10, .organization_records = 11}; };
  sources.key_ring = [] { return KeyRingReading{.keys = 12, .primary_key_id = 13}; };
  sources.connections = [] {
    return ConnectionsReading{.open = 14, .limit = 15, .refused = 16, .dropped_handshakes = 17};
  };
  ASSERT_OK_AND_ASSIGN(const MetricsPage page, Read(SourceMetrics(sources)));
  EXPECT_EQ(page.Value("authurl_lane_queue_length", {{"lane", "reads"}}), 1);
  EXPECT_EQ(page.Value("authurl_lane_queue_capacity", {{"lane", "reads"}}), 2);
  EXPECT_EQ(page.Value("authurl_lane_threads", {{"lane", "reads"}}), 3);
  EXPECT_EQ(page.Value("authurl_lane_shed_calls_total", {{"lane", "reads"}}), 4);
  EXPECT_EQ(page.Value("authurl_lane_dropped_calls_total", {{"lane", "reads"}}), 5);
  EXPECT_EQ(page.Value("authurl_lane_queue_length", {{"lane", "writes"}}), 6);
  EXPECT_EQ(page.Value("authurl_storage_commits_total"), 5);
  EXPECT_EQ(page.Value("authurl_storage_writes_total"), 6);
  EXPECT_EQ(page.Value("authurl_storage_reads_total"), 7);
  EXPECT_EQ(page.Value("authurl_storage_busy_total"), 8);
  EXPECT_EQ(page.Value("authurl_storage_errors_total"), 9);
  EXPECT_EQ(page.Value("authurl_auth_states_purged_total"), 10);
  EXPECT_EQ(page.Value("authurl_organization_records_purged_total"), 11);
  EXPECT_EQ(page.Value("authurl_key_ring_keys"), 12);
  EXPECT_EQ(page.Value("authurl_key_ring_primary_key_id"), 13);
  EXPECT_EQ(page.Value("authurl_connections_open"), 14);
  EXPECT_EQ(page.Value("authurl_connections_limit"), 15);
  EXPECT_EQ(page.Value("authurl_connections_refused_total"), 16);
  EXPECT_EQ(page.Value("authurl_handshakes_dropped_total"), 17);
}

TEST(SourceMetricsTest, StoreThatCanOnlyBeReadSaysSo) {
  MetricSources sources;
  sources.store = [] { return StoreReading{.readable = true, .writable = false}; };
  ASSERT_OK_AND_ASSIGN(const MetricsPage page, Read(SourceMetrics(sources)));
  EXPECT_EQ(page.Value("authurl_store_readable"), 1);
  EXPECT_EQ(page.Value("authurl_store_writable"), 0);
}

}  // namespace
}  // namespace authurl::testing
