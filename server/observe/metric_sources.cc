#include "server/observe/metric_sources.h"

#include "server/observe/metric_family.h"

namespace authurl {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;
using Families = std::vector<MetricFamily>;

double ToDouble(uint64_t number) { return static_cast<double>(number); }

void CollectBuild(const MetricSources& sources, Families& families) {
  MetricFamily info =
      MakeFamily(MetricType::Gauge, "authurl_build_info", "Always 1; the build is in the labels.");
  MetricLabels labels = {{"version", sources.version}};
  if (!sources.revision.empty()) labels.push_back({"revision", sources.revision});
  AddValue(info, 1, std::move(labels));
  families.push_back(std::move(info));
}

void CollectCaches(const std::map<std::string, std::function<CacheReading()>>& caches,
                   Families& families) {
  MetricFamily lookups = MakeFamily(
      MetricType::Counter, "authurl_cache_lookups_total",
      "Lookups by result: hit, negative_hit (known to be absent) or miss (read from the store).");
  MetricFamily evictions = MakeFamily(MetricType::Counter, "authurl_cache_evictions_total",
                                      "Entries that made room for others.");
  MetricFamily entries =
      MakeFamily(MetricType::Gauge, "authurl_cache_entries", "Entries in the cache.");
  MetricFamily bytes =
      MakeFamily(MetricType::Gauge, "authurl_cache_bytes", "Memory the entries take.");
  MetricFamily budget =
      MakeFamily(MetricType::Gauge, "authurl_cache_budget_bytes", "Memory the entries may take.");
  for (const auto& [name, read] : caches) {
    const CacheReading cache = read();
    AddValue(lookups, ToDouble(cache.hits), {{"cache", name}, {"result", "hit"}});
    AddValue(lookups, ToDouble(cache.negative_hits), {{"cache", name}, {"result", "negative_hit"}});
    AddValue(lookups, ToDouble(cache.misses), {{"cache", name}, {"result", "miss"}});
    AddValue(evictions, ToDouble(cache.evictions), {{"cache", name}});
    AddValue(entries, ToDouble(cache.entries), {{"cache", name}});
    AddValue(bytes, ToDouble(cache.bytes), {{"cache", name}});
    AddValue(budget, ToDouble(cache.budget_bytes), {{"cache", name}});
  }
  for (MetricFamily* family : {&lookups, &evictions, &entries, &bytes, &budget}) {
    families.push_back(std::move(*family));
  }
}

void CollectLanes(const std::map<std::string, std::function<LaneReading()>>& lanes,
                  Families& families) {
  MetricFamily queued = MakeFamily(MetricType::Gauge, "authurl_lane_queue_length",
                                   "Calls that wait in a lane, by lane.");
  MetricFamily capacity = MakeFamily(MetricType::Gauge, "authurl_lane_queue_capacity",
                                     "Calls that may wait in a lane, by lane.");
  MetricFamily threads =
      MakeFamily(MetricType::Gauge, "authurl_lane_threads", "Threads of a lane, by lane.");
  MetricFamily shed = MakeFamily(MetricType::Counter, "authurl_lane_shed_calls_total",
                                 "Calls refused because too many were waiting, by lane.");
  MetricFamily dropped =
      MakeFamily(MetricType::Counter, "authurl_lane_dropped_calls_total",
                 "Calls that were never begun because their caller had gone, by lane.");
  for (const auto& [name, read] : lanes) {
    const LaneReading lane = read();
    const MetricLabels labels = {{"lane", name}};
    AddValue(queued, ToDouble(lane.queued), labels);
    AddValue(capacity, ToDouble(lane.capacity), labels);
    AddValue(threads, ToDouble(lane.threads), labels);
    AddValue(shed, ToDouble(lane.shed), labels);
    AddValue(dropped, ToDouble(lane.dropped), labels);
  }
  for (MetricFamily* family : {&queued, &capacity, &threads, &shed, &dropped}) {
    families.push_back(std::move(*family));
  }
}

void CollectStorage(const StorageReading& storage, Families& families) {
  families.push_back(MakeCounter("authurl_storage_commits_total", "Transactions committed.",
                                 ToDouble(storage.commits)));
  families.push_back(MakeCounter("authurl_storage_writes_total",
                                 "Writes in those transactions; one commit may hold many.",
                                 ToDouble(storage.writes)));
  families.push_back(MakeCounter("authurl_storage_reads_total", "Reads.", ToDouble(storage.reads)));
  families.push_back(MakeCounter("authurl_storage_busy_total",
                                 "Times that the database was found locked by somebody else.",
                                 ToDouble(storage.busy)));
  families.push_back(MakeCounter("authurl_storage_errors_total",
                                 "Reads and writes that failed for a reason of the database's own.",
                                 ToDouble(storage.errors)));
  families.push_back(MakeGauge("authurl_storage_rolled_back",
                               "1 if the server found an older copy of its database, else 0.",
                               storage.rolled_back ? 1 : 0));
}

void CollectPurges(const PurgesReading& purges, Families& families) {
  families.push_back(MakeCounter("authurl_auth_states_purged_total",
                                 "Stored states removed after they expired.",
                                 ToDouble(purges.auth_states)));
  families.push_back(MakeCounter("authurl_organization_records_purged_total",
                                 "Records removed after their organisation was deleted.",
                                 ToDouble(purges.organization_records)));
}

void CollectKeyRing(const KeyRingReading& ring, Families& families) {
  families.push_back(
      MakeGauge("authurl_key_ring_keys", "Keys in the key ring.", ToDouble(ring.keys)));
  families.push_back(MakeGauge("authurl_key_ring_primary_key_id", "Id of the key that seals.",
                               ToDouble(ring.primary_key_id)));
}

void CollectConnections(const ConnectionsReading& connections, Families& families) {
  families.push_back(
      MakeGauge("authurl_connections_open", "Open connections.", ToDouble(connections.open)));
  families.push_back(MakeGauge("authurl_connections_limit", "Connections that may be open.",
                               ToDouble(connections.limit)));
  families.push_back(MakeCounter("authurl_connections_refused_total",
                                 "Connections closed at once because too many were open.",
                                 ToDouble(connections.refused)));
  families.push_back(MakeCounter("authurl_handshakes_dropped_total",
                                 "Connections closed before they had finished their handshake, to "
                                 "make room for others.",
                                 ToDouble(connections.dropped_handshakes)));
}

void CollectStore(const StoreReading& store, Families& families) {
  families.push_back(MakeGauge("authurl_store_readable", "1 if the store can be read, else 0.",
                               store.readable ? 1 : 0));
  families.push_back(MakeGauge("authurl_store_writable", "1 if the store can be written, else 0.",
                               store.writable ? 1 : 0));
}

}  // namespace

Families SourceMetrics::Collect() const {
  Families families;
  CollectBuild(sources_, families);
  if (!sources_.caches.empty()) CollectCaches(sources_.caches, families);
  if (!sources_.lanes.empty()) CollectLanes(sources_.lanes, families);
  if (sources_.storage) CollectStorage(sources_.storage(), families);
  if (sources_.purges) CollectPurges(sources_.purges(), families);
  if (sources_.key_ring) CollectKeyRing(sources_.key_ring(), families);
  if (sources_.connections) CollectConnections(sources_.connections(), families);
  if (sources_.store) CollectStore(sources_.store(), families);
  if (sources_.log_lines_dropped) {
    families.push_back(MakeCounter("authurl_log_lines_dropped_total",
                                   "Log lines lost because the log could not keep up.",
                                   ToDouble(sources_.log_lines_dropped())));
  }
  return families;
}

}  // namespace authurl
