#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "latency_histogram.h"

namespace authurl::bench {

// A closed-loop load: every in-flight slot sends its next call as soon as the previous one ends.
struct LoadOptions {
  std::string target;  // host:port, plain text
  // Full method name ("/package.Service/Method") and serialized requests. The slots go round the
  // list, each starting at a different place. Any unary method can be driven this way.
  std::string method;
  std::vector<std::string> serialized_requests;

  int channels = 1;  // each one is a TCP connection of its own
  int in_flight_per_channel = 1;
  int threads = 1;  // one completion queue each; never more than channels

  absl::Duration warmup = absl::Milliseconds(300);
  absl::Duration duration = absl::Seconds(2);
  // Deadline of a single call. Bounds the run when a server stops answering.
  absl::Duration call_deadline = absl::Seconds(10);

  // Called on the calling thread when the measured window opens and closes, to sample a server.
  std::function<void()> on_window_begin = [] {};
  std::function<void()> on_window_end = [] {};
};

struct LoadResult {
  uint64_t succeeded = 0;  // calls completed with OK inside the measured window
  uint64_t failed = 0;     // calls completed with another status, warm-up and drain included
  std::string first_failure;
  double seconds = 0;        // length of the measured window
  double client_cpu_us = 0;  // of the whole client process, inside the window
  LatencyHistogram latency;  // of the succeeded calls

  double CallsPerSecond() const {
    return seconds > 0 ? static_cast<double>(succeeded) / seconds : 0;
  }
};

// Connects, warms up, measures, drains. Fails only when the load could not be started; failed
// calls are counted in the result.
absl::StatusOr<LoadResult> RunLoad(const LoadOptions& options);

}  // namespace authurl::bench
