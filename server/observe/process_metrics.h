// process_metrics.h: memory, CPU, file descriptors and start time of this process, under the names
// that Prometheus client libraries give them.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <vector>

namespace authurl {

// Safe to use from many threads at once. What the system does not tell is left out.
class ProcessMetrics final : public prometheus::Collectable {
 public:
  ProcessMetrics();

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  // Seconds since 1970; 0 if unknown. Read once, so that it stays the same.
  const double start_time_;
};

}  // namespace authurl
