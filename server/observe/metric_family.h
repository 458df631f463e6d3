// metric_family.h: Prometheus metric families from plain numbers.
#pragma once

#include <prometheus/metric_family.h>

#include <string>
#include <utility>
#include <vector>

namespace authurl {

using MetricLabels = std::vector<prometheus::ClientMetric::Label>;

// Empty; `type` is kCounter or kGauge for those that AddValue() fills.
inline prometheus::MetricFamily MakeFamily(prometheus::MetricType type, std::string name,
                                           std::string help) {
  return {std::move(name), std::move(help), type, {}};
}

inline void AddValue(prometheus::MetricFamily& family, double value, MetricLabels labels = {}) {
  prometheus::ClientMetric metric;
  metric.label = std::move(labels);
  metric.counter.value = value;
  metric.gauge.value = value;
  family.metric.push_back(std::move(metric));
}

// Families of one value without labels.
inline prometheus::MetricFamily MakeCounter(std::string name, std::string help, double value) {
  prometheus::MetricFamily family =
      MakeFamily(prometheus::MetricType::Counter, std::move(name), std::move(help));
  AddValue(family, value);
  return family;
}
inline prometheus::MetricFamily MakeGauge(std::string name, std::string help, double value) {
  prometheus::MetricFamily family =
      MakeFamily(prometheus::MetricType::Gauge, std::move(name), std::move(help));
  AddValue(family, value);
  return family;
}

}  // namespace authurl
