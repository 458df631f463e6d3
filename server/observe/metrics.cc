#include "server/observe/metrics.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

#include "absl/strings/strip.h"
#include "server/observe/code_name.h"
#include "server/observe/metric_family.h"

namespace authurl {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

using Count = std::atomic<uint64_t>;

// More shards than threads that are busy at a time, mostly; two threads on one shard only slow each
// other down.
constexpr size_t kShards = 16;
constexpr size_t kCacheLine = 64;

// gRPC's codes are 0 (OK) to 16 (UNAUTHENTICATED).
constexpr size_t kCodes = 17;
constexpr auto kUnknown = static_cast<size_t>(grpc::StatusCode::UNKNOWN);

// The upper bounds of the histogram's buckets but the last, which has none: from less than an empty
// call takes to more than any caller waits.
constexpr std::array<int64_t, 18> kBoundsNs = {
    25'000,      50'000,      100'000,       250'000,       500'000,       1'000'000,
    2'500'000,   5'000'000,   10'000'000,    25'000'000,    50'000'000,    100'000'000,
    250'000'000, 500'000'000, 1'000'000'000, 2'500'000'000, 5'000'000'000, 10'000'000'000};
constexpr size_t kBuckets = kBoundsNs.size() + 1;

size_t BucketOf(int64_t nanoseconds) {
  // Most calls are among the first few.
  size_t bucket = 0;
  while (bucket < kBoundsNs.size() && nanoseconds > kBoundsNs[bucket]) ++bucket;
  return bucket;
}

size_t ShardOfThisThread() {
  static std::atomic<size_t> threads = 0;
  thread_local const size_t shard = threads.fetch_add(1, std::memory_order_relaxed) % kShards;
  return shard;
}

void AddTo(Count& count, uint64_t number = 1) {
  count.fetch_add(number, std::memory_order_relaxed);
}

}  // namespace

struct alignas(kCacheLine) Metrics::CallCounts {
  Count started = 0;
  std::array<Count, kCodes> finished = {};
  std::array<Count, kBuckets> durations = {};
  Count nanoseconds = 0;
};

struct alignas(kCacheLine) Metrics::UrlCounts {
  Count sealed = 0;
  Count stored = 0;
};

Metrics::Metrics() = default;
Metrics::~Metrics() = default;

MethodId Metrics::AddMethod(absl::string_view path) {
  methods_.push_back(
      {std::string(absl::StripPrefix(path, "/")), std::make_unique<CallCounts[]>(kShards)});
  return static_cast<MethodId>(methods_.size() - 1);
}

void Metrics::AddNetwork(absl::string_view id) {
  networks_.try_emplace(std::string(id), std::make_unique<UrlCounts[]>(kShards));
}

void Metrics::CallStarted(MethodId method) {
  AddTo(methods_[static_cast<size_t>(method)].shards[ShardOfThisThread()].started);
}

void Metrics::CallFinished(MethodId method, grpc::StatusCode code, absl::Duration duration) {
  CallCounts& counts = methods_[static_cast<size_t>(method)].shards[ShardOfThisThread()];
  // A clock that was set back must not make a sum fall.
  const int64_t nanoseconds = std::max<int64_t>(absl::ToInt64Nanoseconds(duration), 0);
  AddTo(counts.durations[BucketOf(nanoseconds)]);
  AddTo(counts.nanoseconds, static_cast<uint64_t>(nanoseconds));
  const auto index = static_cast<size_t>(code);
  // Release: who sees that the call finished sees that it started, too.
  counts.finished[index < kCodes ? index : kUnknown].fetch_add(1, std::memory_order_release);
}

void Metrics::ErrorSent(absl::string_view reason) {
  const std::lock_guard lock(errors_mutex_);
  ++errors_[reason];
}

Metrics::UrlCounter Metrics::AuthUrlsOf(absl::string_view network, StateKind kind) {
  const auto found = networks_.find(network);
  return {found == networks_.end() ? nullptr : found->second.get(), kind};
}

void Metrics::UrlCounter::Add() const {
  if (shards_ == nullptr) return;
  UrlCounts& counts = shards_[ShardOfThisThread()];
  AddTo(kind_ == StateKind::kSealed ? counts.sealed : counts.stored);
}

void Metrics::CollectCalls(const Method& method, MetricFamily& calls, MetricFamily& in_flight) {
  std::array<uint64_t, kCodes> finished = {};
  uint64_t running = 0;
  for (size_t shard = 0; shard < kShards; ++shard) {
    for (size_t code = 0; code < kCodes; ++code) {
      const uint64_t count = method.shards[shard].finished[code].load(std::memory_order_acquire);
      finished[code] += count;
      running -= count;
    }
  }
  // After the finished ones, or there could be fewer starts than ends.
  for (size_t shard = 0; shard < kShards; ++shard) {
    running += method.shards[shard].started.load(std::memory_order_relaxed);
  }
  AddValue(in_flight, static_cast<double>(running), {{"method", method.name}});
  for (size_t code = 0; code < kCodes; ++code) {
    AddValue(calls, static_cast<double>(finished[code]),
             {{"method", method.name}, {"code", CodeName(static_cast<grpc::StatusCode>(code))}});
  }
}

void Metrics::CollectDurations(const Method& method, MetricFamily& durations) {
  std::array<uint64_t, kBuckets> counts = {};
  uint64_t nanoseconds = 0;
  for (size_t shard = 0; shard < kShards; ++shard) {
    const CallCounts& from = method.shards[shard];
    for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
      counts[bucket] += from.durations[bucket].load(std::memory_order_relaxed);
    }
    nanoseconds += from.nanoseconds.load(std::memory_order_relaxed);
  }
  ClientMetric metric;
  metric.label = {{"method", method.name}};
  uint64_t cumulative = 0;
  for (size_t bucket = 0; bucket < kBoundsNs.size(); ++bucket) {
    cumulative += counts[bucket];
    metric.histogram.bucket.push_back({cumulative, static_cast<double>(kBoundsNs[bucket]) / 1e9});
  }
  // The serialiser writes the bucket without bound from this one.
  metric.histogram.sample_count = cumulative + counts.back();
  metric.histogram.sample_sum = static_cast<double>(nanoseconds) / 1e9;
  durations.metric.push_back(std::move(metric));
}

std::vector<MetricFamily> Metrics::Collect() const {
  MetricFamily calls = MakeFamily(MetricType::Counter, "authurl_rpc_calls_total",
                                  "Calls that were answered, by method and gRPC code.");
  MetricFamily durations =
      MakeFamily(MetricType::Histogram, "authurl_rpc_duration_seconds",
                 "Time from when a call arrived until its answer was handed to gRPC, by method.");
  MetricFamily in_flight =
      MakeFamily(MetricType::Gauge, "authurl_rpc_in_flight", "Calls being served, by method.");
  for (const Method& method : methods_) {
    CollectCalls(method, calls, in_flight);
    CollectDurations(method, durations);
  }

  MetricFamily urls = MakeFamily(
      MetricType::Counter, "authurl_auth_urls_total",
      "URLs handed out, by network and by whether their state is sealed into them or stored.");
  for (const auto& [network, shards] : networks_) {
    uint64_t sealed = 0;
    uint64_t stored = 0;
    for (size_t shard = 0; shard < kShards; ++shard) {
      sealed += shards[shard].sealed.load(std::memory_order_relaxed);
      stored += shards[shard].stored.load(std::memory_order_relaxed);
    }
    AddValue(urls, static_cast<double>(sealed), {{"network", network}, {"state", "sealed"}});
    AddValue(urls, static_cast<double>(stored), {{"network", network}, {"state", "stored"}});
  }

  MetricFamily errors = MakeFamily(MetricType::Counter, "authurl_rpc_errors_total",
                                   "Errors that were sent, by their reason.");
  const std::lock_guard lock(errors_mutex_);
  for (const auto& [reason, count] : errors_) {
    AddValue(errors, static_cast<double>(count), {{"reason", reason}});
  }
  return {std::move(calls), std::move(durations), std::move(in_flight), std::move(urls),
          std::move(errors)};
}

}  // namespace authurl
