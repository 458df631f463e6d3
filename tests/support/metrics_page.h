// metrics_page.h: asks a server for its metrics, as Prometheus does, and reads the answer strictly.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace authurl::testing {

using Labels = std::map<std::string, std::string>;

struct Sample {
  std::string name;
  Labels labels;
  double value = 0;
};

struct MetricsPage {
  // By family.
  std::map<std::string, std::string> types;
  std::map<std::string, std::string> helps;
  std::vector<Sample> samples;

  // Of the one series with these labels; NaN where there is none.
  double Value(absl::string_view name, const Labels& labels = {}) const;
  // Of all series that have these labels among theirs.
  double Sum(absl::string_view name, const Labels& labels = {}) const;
  // The names of all series, with the label names that each has in any of them.
  std::map<std::string, std::set<std::string>> LabelNames() const;
};

// The text exposition format, version 0.0.4: every family with one help text and one type before
// its samples, no series twice. InvalidArgumentError with the line otherwise.
absl::StatusOr<MetricsPage> ParseMetricsPage(absl::string_view text);

// Sends `request` to "host:port" as it is. All that the server sends until it hangs up.
absl::StatusOr<std::string> ExchangeHttp(const std::string& address, absl::string_view request);

// GET /metrics.
absl::StatusOr<MetricsPage> ScrapeMetrics(const std::string& address);

// The types of the metrics that deploy/prometheus/README.md lists, by name.
std::map<std::string, std::string> DocumentedMetrics();

}  // namespace authurl::testing
