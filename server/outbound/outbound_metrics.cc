#include "server/outbound/outbound_metrics.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <utility>

#include "server/observe/metric_family.h"

namespace authurl {
namespace {

// What an answer counts as, by the first digit of its status; then the failures.
constexpr std::array<absl::string_view, 4> kAnswers = {"2xx", "3xx", "4xx", "5xx"};
constexpr size_t kOutcomes = kAnswers.size() + static_cast<size_t>(CallFailure::kNumberOfValues);

// From what a near network takes on an open connection to the time-out.
constexpr std::array<int64_t, 12> kBoundsMs = {10,  25,   50,   100,  250,  500,
                                               750, 1000, 2500, 5000, 7500, 10'000};

std::string OutcomeName(size_t outcome) {
  return std::string(outcome < kAnswers.size()
                         ? kAnswers[outcome]
                         : FailureName(static_cast<CallFailure>(outcome - kAnswers.size())));
}

}  // namespace

// Only the threads of the client write these.
struct OutboundMetrics::Counts {
  std::atomic<uint64_t> started = 0;
  std::array<std::atomic<uint64_t>, kOutcomes> ended = {};
  std::array<std::atomic<uint64_t>, kBoundsMs.size() + 1> durations = {};
  std::atomic<uint64_t> microseconds = 0;
  std::atomic<int64_t> open_breakers = 0;
};

OutboundMetrics::OutboundMetrics() = default;
OutboundMetrics::~OutboundMetrics() = default;

void OutboundMetrics::AddNetwork(absl::string_view id) {
  networks_.try_emplace(std::string(id), std::make_unique<Counts>());
}

OutboundMetrics::Counts* OutboundMetrics::CountsOf(absl::string_view network) const {
  const auto found = networks_.find(network);
  return found == networks_.end() ? nullptr : found->second.get();
}

void OutboundMetrics::CallStarted(absl::string_view network) {
  if (Counts* counts = CountsOf(network)) counts->started.fetch_add(1, std::memory_order_relaxed);
}

void OutboundMetrics::CountEnd(Counts& counts, size_t outcome, absl::Duration duration) {
  // A clock that was set back must not make a sum fall.
  const int64_t microseconds = std::max<int64_t>(absl::ToInt64Microseconds(duration), 0);
  size_t bucket = 0;
  while (bucket < kBoundsMs.size() && microseconds > 1000 * kBoundsMs[bucket]) ++bucket;
  counts.durations[bucket].fetch_add(1, std::memory_order_relaxed);
  counts.microseconds.fetch_add(static_cast<uint64_t>(microseconds), std::memory_order_relaxed);
  // Release: who sees that the call ended sees that it started, too.
  counts.ended[outcome].fetch_add(1, std::memory_order_release);
}

void OutboundMetrics::CallAnswered(absl::string_view network, int status, absl::Duration duration) {
  const size_t answer = static_cast<size_t>(std::clamp(status / 100, 2, 5)) - 2;
  if (Counts* counts = CountsOf(network)) CountEnd(*counts, answer, duration);
}

void OutboundMetrics::CallFailed(absl::string_view network, CallFailure failure,
                                 absl::Duration duration) {
  const size_t outcome = kAnswers.size() + static_cast<size_t>(failure);
  if (Counts* counts = CountsOf(network)) CountEnd(*counts, outcome, duration);
}

void OutboundMetrics::BreakerChanged(absl::string_view network, int change) {
  if (Counts* counts = CountsOf(network)) {
    counts->open_breakers.fetch_add(change, std::memory_order_relaxed);
  }
}

std::vector<prometheus::MetricFamily> OutboundMetrics::Collect() const {
  using prometheus::MetricType;
  prometheus::MetricFamily calls = MakeFamily(
      MetricType::Counter, "authurl_outbound_calls_total",
      "Calls to networks that have ended, by network and by what the answer was or what failed.");
  prometheus::MetricFamily durations =
      MakeFamily(MetricType::Histogram, "authurl_outbound_duration_seconds",
                 "Time that calls to networks took, from the looking up of the name to the end.");
  prometheus::MetricFamily in_flight = MakeFamily(MetricType::Gauge, "authurl_outbound_in_flight",
                                                  "Calls to networks that are under way.");
  prometheus::MetricFamily breakers =
      MakeFamily(MetricType::Gauge, "authurl_outbound_open_breakers",
                 "Hosts that are left alone because they failed again and again, by network.");
  for (const auto& [network, counts] : networks_) {
    uint64_t all_ended = 0;
    std::array<uint64_t, kOutcomes> ended = {};
    for (size_t outcome = 0; outcome < kOutcomes; ++outcome) {
      ended[outcome] = counts->ended[outcome].load(std::memory_order_acquire);
      all_ended += ended[outcome];
    }
    // After the ended ones, or there could be fewer starts than ends.
    const uint64_t started = counts->started.load(std::memory_order_relaxed);
    if (started == 0) continue;
    for (size_t outcome = 0; outcome < kOutcomes; ++outcome) {
      AddValue(calls, static_cast<double>(ended[outcome]),
               {{"network", network}, {"outcome", OutcomeName(outcome)}});
    }
    AddValue(in_flight, static_cast<double>(started - all_ended), {{"network", network}});
    const int64_t open = counts->open_breakers.load(std::memory_order_relaxed);
    AddValue(breakers, static_cast<double>(open), {{"network", network}});

    prometheus::ClientMetric metric;
    metric.label = {{"network", network}};
    uint64_t cumulative = 0;
    for (size_t bucket = 0; bucket < kBoundsMs.size(); ++bucket) {
      cumulative += counts->durations[bucket].load(std::memory_order_relaxed);
      metric.histogram.bucket.push_back({cumulative, static_cast<double>(kBoundsMs[bucket]) / 1e3});
    }
    // The serialiser writes the bucket without bound from this one.
    metric.histogram.sample_count =
        cumulative + counts->durations.back().load(std::memory_order_relaxed);
    metric.histogram.sample_sum =
        static_cast<double>(counts->microseconds.load(std::memory_order_relaxed)) / 1e6;
    durations.metric.push_back(std::move(metric));
  }
  return {std::move(calls), std::move(durations), std::move(in_flight), std::move(breakers)};
}

}  // namespace authurl
