// metrics.h: counts and times the calls that are served, for Prometheus.
//
//   const MethodId method = metrics.AddMethod("/authurl.v1.AuthUrlService/GetAuthUrl");
//   metrics.CallStarted(method);
//   metrics.CallFinished(method, grpc::StatusCode::OK, elapsed);
//
// Counting takes no lock and allocates nothing, but for errors: each thread adds to numbers that
// few others write, and they are summed up when Prometheus asks. No label comes from a caller:
// methods and networks are named at start, reasons in the code.
#pragma once

#include <grpcpp/support/status.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace authurl {

enum class MethodId : uint16_t {};

// How the state inside a URL is kept (core/flow/auth_state.h).
enum class StateKind { kSealed, kStored };

// Safe to use from many threads at once, once all methods and networks are added.
class Metrics final : public prometheus::Collectable {
 public:
  Metrics();
  ~Metrics() override;
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // At start, before anything is counted or collected. `path` as gRPC has it,
  // "/package.Service/Rpc".
  MethodId AddMethod(absl::string_view path);
  void AddNetwork(absl::string_view id);

  // Every call that starts must finish once, on any thread.
  void CallStarted(MethodId method);
  void CallFinished(MethodId method, grpc::StatusCode code, absl::Duration duration);
  // Counts an error by its reason (core/errors.h). Takes a lock, which none but errors wait for.
  void ErrorSent(absl::string_view reason);

  // Counts URLs of one network and kind that were handed out. A small value; good as long as the
  // Metrics.
  class UrlCounter;
  // For a network that was not added, it counts nothing.
  UrlCounter AuthUrlsOf(absl::string_view network, StateKind kind);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  struct CallCounts;
  struct UrlCounts;
  struct Method {
    std::string name;
    std::unique_ptr<CallCounts[]> shards;
  };

  static void CollectCalls(const Method& method, prometheus::MetricFamily& calls,
                           prometheus::MetricFamily& in_flight);
  static void CollectDurations(const Method& method, prometheus::MetricFamily& durations);

  std::vector<Method> methods_;  // By MethodId.
  absl::flat_hash_map<std::string, std::unique_ptr<UrlCounts[]>> networks_;
  mutable std::mutex errors_mutex_;
  absl::flat_hash_map<std::string, uint64_t> errors_;  // By reason. Guarded by errors_mutex_.
};

class Metrics::UrlCounter final {
 public:
  void Add() const;

 private:
  friend class Metrics;
  UrlCounter(UrlCounts* shards, StateKind kind) : shards_(shards), kind_(kind) {}

  UrlCounts* shards_;  // Null where nothing is counted.
  StateKind kind_;
};

}  // namespace authurl
