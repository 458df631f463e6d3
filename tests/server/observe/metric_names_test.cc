// What Prometheus and Grafana are told to ask for is what the server exposes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <re2/re2.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/flow/flow_metrics.h"
#include "server/flow/webhook_metrics.h"
#include "server/observe/metric_sources.h"
#include "server/observe/metrics.h"
#include "server/observe/metrics_exposer.h"
#include "server/observe/process_metrics.h"
#include "server/outbound/outbound_metrics.h"
#include "tests/support/metrics_page.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace authurl::testing {
namespace {

using ::testing::Contains;
using ::testing::IsSupersetOf;
using ::testing::Key;

using nlohmann::json;

constexpr char kAlerts[] = AUTHURL_SOURCE_DIR "/deploy/prometheus/authurl_alerts.yaml";
constexpr char kDashboard[] = AUTHURL_SOURCE_DIR "/deploy/grafana/authurl_dashboard.json";

// Prometheus adds these to every series.
const std::set<std::string> kTargetLabels = {"job", "instance"};

// Every source there is, as a running server has them.
MetricSources AllSources() {
  MetricSources sources;
  sources.version = "1.2.3";
  sources.revision = "abc";
  sources.caches["social_networks"] = [] { return CacheReading(); };
  sources.lanes["reads"] = [] { return LaneReading(); };
  sources.storage = [] { return StorageReading(); };
  sources.purges = [] { return PurgesReading(); };
  sources.key_ring = [] { return KeyRingReading(); };
  sources.connections = [] { return ConnectionsReading(); };
  sources.store = [] { return StoreReading(); };
  sources.log_lines_dropped = [] { return uint64_t{0}; };
  return sources;
}

absl::StatusOr<MetricsPage> ScrapeAll() {
  Metrics metrics;
  metrics.AddMethod("/authurl.v1.AuthUrlService/GetAuthUrl");
  metrics.AddNetwork("x");
  metrics.ErrorSent("RATE_LIMITED");
  OutboundMetrics outbound;
  outbound.AddNetwork("x");
  outbound.CallStarted("x");
  FlowMetrics flows;
  flows.FlowEnded("x", WayBack::kOwn, FlowOutcome::kFailed, "CLIENT_REJECTED");
  for (const auto outcome :
       {RefreshOutcome::kRefreshed, RefreshOutcome::kDead, RefreshOutcome::kFailed}) {
    flows.RefreshEnded("x", RefreshCause::kDue, outcome, "CLIENT_REJECTED");
  }
  flows.SetStored({});
  WebhookMetrics webhooks;
  webhooks.Delivered(DeliveryOutcome::kDelivered);
  const SourceMetrics sources(AllSources());
  const ProcessMetrics process;
  const auto exposer =
      MetricsExposer::Start(BoundSockets::BindTcp("127.0.0.1:0", "metrics_listen").value(),
                            {&metrics, &sources, &process, &outbound, &flows, &webhooks});
  if (!exposer.ok()) return exposer.status();
  return ScrapeMetrics((*exposer)->address());
}

std::string WithoutComments(std::string yaml) {
  RE2::GlobalReplace(&yaml, "(?m)^#.*$", "");
  return yaml;
}

void CollectQueries(const json& node, std::vector<std::string>& queries) {
  for (const auto& [key, value] : node.items()) {
    if (value.is_string() && (key == "expr" || key == "definition")) {
      queries.push_back(value.get<std::string>());
    }
    if (value.is_structured()) CollectQueries(value, queries);
  }
}

// All that is asked for: the rules as one text (their texts name metrics as well), and each query
// of the dashboard.
std::vector<std::string> Queries() {
  std::vector<std::string> queries = {WithoutComments(ReadFile(kAlerts))};
  CollectQueries(json::parse(ReadFile(kDashboard)), queries);
  return queries;
}

// What the one group of the pattern holds, wherever it matches.
std::vector<std::string> FindAll(const std::string& text, const char* pattern) {
  std::vector<std::string> found;
  const RE2 expression(pattern);
  re2::StringPiece rest(text);
  for (std::string group; RE2::FindAndConsume(&rest, expression, &group);) found.push_back(group);
  return found;
}

std::set<std::string> NamesIn(const std::string& query) {
  const std::vector<std::string> names = FindAll(query, R"(\b((?:authurl|process)_[a-z0-9_]+))");
  return {names.begin(), names.end()};
}

std::set<std::string> NamesIn(const std::vector<std::string>& queries) {
  std::set<std::string> names;
  for (const std::string& query : queries) names.merge(NamesIn(query));
  return names;
}

TEST(MetricNamesTest, RulesAndDashboardAskOnlyForWhatIsExposed) {
  ASSERT_OK_AND_ASSIGN(const MetricsPage page, ScrapeAll());
  const auto exposed = page.LabelNames();
  const std::vector<std::string> queries = Queries();
  ASSERT_GT(queries.size(), 50);
  for (const std::string& query : queries) {
    for (const std::string& name : NamesIn(query)) {
      EXPECT_THAT(exposed, Contains(Key(name))) << query;
    }
  }
}

TEST(MetricNamesTest, DashboardShowsEveryMetricOfOurs) {
  ASSERT_OK_AND_ASSIGN(const MetricsPage page, ScrapeAll());
  std::vector<std::string> queries;
  CollectQueries(json::parse(ReadFile(kDashboard)), queries);
  const std::set<std::string> shown = NamesIn(queries);
  for (const auto& [family, type] : page.types) {
    if (!absl::StartsWith(family, "authurl_")) continue;
    EXPECT_THAT(shown, Contains(type == "histogram" ? absl::StrCat(family, "_bucket") : family));
  }
}

TEST(MetricNamesTest, TableInTheReadmeListsWhatIsExposed) {
  ASSERT_OK_AND_ASSIGN(const MetricsPage page, ScrapeAll());
  EXPECT_EQ(DocumentedMetrics(), page.types);
}

// One `label="value"` of one metric.
struct Matcher {
  std::string metric;
  std::string label;
  std::string value;
};

std::vector<Matcher> MatchersIn(const std::string& query) {
  static const RE2 kSelector(R"(\b([a-z_]+)\{([^}]*)\})");
  static const RE2 kMatcher(R"re(([a-z_]+)\s*(?:=~|!=|!~|=)\s*"([^"]*)")re");
  std::vector<Matcher> matchers;
  re2::StringPiece rest(query);
  std::string inside;
  for (Matcher matcher; RE2::FindAndConsume(&rest, kSelector, &matcher.metric, &inside);) {
    re2::StringPiece rest_inside(inside);
    while (RE2::FindAndConsume(&rest_inside, kMatcher, &matcher.label, &matcher.value)) {
      matchers.push_back(matcher);
    }
  }
  return matchers;
}

bool AnySeriesMatches(const MetricsPage& page, const Matcher& matcher, const std::string& pattern) {
  return std::any_of(page.samples.begin(), page.samples.end(), [&](const Sample& sample) {
    if (sample.name != matcher.metric) return false;
    const auto label = sample.labels.find(matcher.label);
    return label != sample.labels.end() && RE2::FullMatch(label->second, pattern);
  });
}

TEST(MetricNamesTest, LabelsAreThoseOfTheMetricAndTheirValuesOccur) {
  ASSERT_OK_AND_ASSIGN(const MetricsPage page, ScrapeAll());
  int checked = 0;
  for (const std::string& query : Queries()) {
    for (const Matcher& matcher : MatchersIn(query)) {
      if (kTargetLabels.contains(matcher.label)) continue;
      // What a variable of the dashboard stands for comes from a query of its own.
      const bool variable = absl::StrContains(matcher.value, "$");
      const std::vector<std::string> alternatives = absl::StrSplit(matcher.value, '|');
      for (const std::string& alternative : alternatives) {
        EXPECT_TRUE(AnySeriesMatches(page, matcher, variable ? ".*" : alternative))
            << matcher.metric << " has no " << matcher.label << " " << alternative << ": " << query;
        ++checked;
      }
    }
  }
  EXPECT_GT(checked, 20);
}

TEST(MetricNamesTest, SumsAreGroupedByLabelsThatExist) {
  ASSERT_OK_AND_ASSIGN(const MetricsPage page, ScrapeAll());
  std::set<std::string> known = kTargetLabels;
  for (auto& [name, labels] : page.LabelNames()) known.merge(std::set<std::string>(labels));
  int checked = 0;
  for (const std::string& query : Queries()) {
    for (const std::string& grouping : FindAll(query, R"(\b(?:by|on) \(([a-z_, ]+)\))")) {
      const std::vector<std::string> labels = absl::StrSplit(grouping, ", ");
      EXPECT_THAT(known, IsSupersetOf(labels)) << query;
      ++checked;
    }
  }
  EXPECT_GT(checked, 20);
}

std::vector<json> Panels() { return json::parse(ReadFile(kDashboard)).at("panels"); }

TEST(DashboardTest, PanelsHaveIdsTitlesAndTextsOfTheirOwn) {
  std::set<int> ids;
  std::set<std::string> titles;
  for (const json& panel : Panels()) {
    const std::string title = panel.at("title");
    EXPECT_TRUE(ids.insert(panel.at("id").get<int>()).second) << title;
    EXPECT_FALSE(title.empty());
    if (panel.at("type") == "row") continue;
    // "Store" is a figure at a glance and a curve.
    EXPECT_TRUE(titles.insert(absl::StrCat(panel.at("type").get<std::string>(), title)).second)
        << title;
    EXPECT_NE(panel.value("description", ""), "") << title;
    EXPECT_FALSE(panel.at("targets").empty()) << title;
  }
  EXPECT_GT(ids.size(), 30);
}

TEST(DashboardTest, PanelsDoNotOverlap) {
  std::map<std::pair<int, int>, std::string> cells;
  for (const json& panel : Panels()) {
    const json& place = panel.at("gridPos");
    const int left = place.at("x");
    const int top = place.at("y");
    const int width = place.at("w");
    const int height = place.at("h");
    const std::string title = panel.at("title");
    EXPECT_LE(left + width, 24) << title;
    for (int x = left; x < left + width; ++x) {
      for (int y = top; y < top + height; ++y) {
        const auto [cell, free] = cells.emplace(std::make_pair(x, y), title);
        ASSERT_TRUE(free) << title << " lies over " << cell->second;
      }
    }
  }
}

TEST(DashboardTest, EveryQueryGoesToTheChosenDataSourceAndServers) {
  for (const json& panel : Panels()) {
    if (panel.at("type") == "row") continue;
    const std::string title = panel.at("title");
    std::set<std::string> refs;
    for (const json& target : panel.at("targets")) {
      EXPECT_EQ(target.at("datasource").at("uid"), "${datasource}") << title;
      EXPECT_TRUE(refs.insert(target.at("refId").get<std::string>()).second) << title;
      const std::string query = target.at("expr");
      for (const std::string& name : NamesIn(query)) {
        EXPECT_TRUE(
            absl::StrContains(query, absl::StrCat(name, "{job=~\"$job\", instance=~\"$instance\"")))
            << title;
      }
    }
  }
}

TEST(DashboardTest, VariablesThatAreUsedAreDefined) {
  const json dashboard = json::parse(ReadFile(kDashboard));
  EXPECT_GE(dashboard.at("schemaVersion"), 36);
  std::set<std::string> defined = {"__rate_interval"};
  for (const json& variable : dashboard.at("templating").at("list")) {
    defined.insert(variable.at("name").get<std::string>());
  }
  int checked = 0;
  for (const std::string& variable : FindAll(dashboard.dump(), R"(\$\{?([a-zA-Z_]+)\}?)")) {
    if (variable == "__all") continue;
    EXPECT_THAT(defined, Contains(variable));
    ++checked;
  }
  EXPECT_GT(checked, 100);
}

}  // namespace
}  // namespace authurl::testing
