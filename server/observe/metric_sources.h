// metric_sources.h: metrics of numbers that other parts of the server keep. They are read when
// Prometheus asks and not before.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace authurl {

struct CacheReading {
  uint64_t hits = 0;
  uint64_t negative_hits = 0;  // Answered "there is none" from memory; not among the hits.
  uint64_t misses = 0;
  uint64_t evictions = 0;
  uint64_t entries = 0;
  uint64_t bytes = 0;
  uint64_t budget_bytes = 0;
};

struct LaneReading {
  uint64_t queued = 0;
  uint64_t capacity = 0;
  uint64_t threads = 0;
  uint64_t shed = 0;
  uint64_t dropped = 0;
};

struct StorageReading {
  uint64_t commits = 0;
  uint64_t writes = 0;  // Rows' worth of work: one commit holds many where they are grouped.
  uint64_t reads = 0;
  uint64_t busy = 0;
  uint64_t errors = 0;
  bool rolled_back = false;
};

struct PurgesReading {
  uint64_t auth_states = 0;
  uint64_t organization_records = 0;
};

struct KeyRingReading {
  uint64_t keys = 0;
  uint64_t primary_key_id = 0;
};

struct ConnectionsReading {
  uint64_t open = 0;
  uint64_t limit = 0;
  uint64_t refused = 0;
  uint64_t dropped_handshakes = 0;
};

struct StoreReading {
  bool readable = false;
  bool writable = false;
};

// Each function must be safe to call from another thread at any time and must not wait long. One
// that is not set leaves its metrics out. What is a count since the start of the process must never
// fall.
struct MetricSources {
  std::string version;
  std::string revision;  // Of the source; may be empty.
  // By name, which becomes the label `cache`.
  std::map<std::string, std::function<CacheReading()>> caches;
  // By name, which becomes the label `lane`.
  std::map<std::string, std::function<LaneReading()>> lanes;
  std::function<StorageReading()> storage;
  std::function<PurgesReading()> purges;
  std::function<KeyRingReading()> key_ring;
  std::function<ConnectionsReading()> connections;
  std::function<StoreReading()> store;
  std::function<uint64_t()> log_lines_dropped;
};

class SourceMetrics final : public prometheus::Collectable {
 public:
  // What the functions refer to must outlive this.
  explicit SourceMetrics(MetricSources sources) : sources_(std::move(sources)) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const MetricSources sources_;
};

}  // namespace authurl
