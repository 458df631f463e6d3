// load_client.h: calls a server as fast as it answers, or at a fixed rate, and measures.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/bench/latency_histogram.h"

namespace authurl::bench {

// A call of any unary method, knowing nothing of its types.
struct Call {
  std::string method;   // "/package.Service/Method"
  std::string request;  // serialised
  std::vector<std::pair<std::string, std::string>> metadata;
};

// Makes `call` the call of that number. Numbers go up from LoadOptions::first_number and are used
// once each; calls are made on several threads at once.
using CallSource = std::function<void(uint64_t number, Call& call)>;
CallSource Always(Call call);

struct LoadOptions {
  std::string target;  // host:port, plain text
  CallSource calls;
  uint64_t first_number = 0;

  int channels = 1;  // Each one is a TCP connection of its own.
  int threads = 0;   // One completion queue each; 0: one for each core.
  // Closed loop: each of so many slots on each channel sends its next call when its last one ended.
  int in_flight_per_channel = 1;
  // Open loop: not 0, and calls are sent at this many a second whether or not the server keeps up.
  double calls_per_second = 0;

  absl::Duration warmup = absl::Milliseconds(300);
  absl::Duration duration = absl::Seconds(2);
  // Of a single call. Bounds the run when a server stops answering.
  absl::Duration call_deadline = absl::Seconds(10);

  // Whose consumption is measured; 0 for none.
  pid_t server = 0;
  // Whom the server asks while it serves the calls; 0 for none.
  pid_t network = 0;
};

// What was measured in the window between warm-up and drain.
struct LoadResult {
  // Closed loop: calls that ended in the window. Open loop: calls due in it.
  uint64_t calls = 0;
  double seconds = 0;
  double client_cpu_us = 0;
  double server_cpu_us = 0;
  double server_switches = 0;
  double network_cpu_us = 0;
  double all_cpu_us = 0;  // of every process on the machine
  // From sending to the answer; in an open loop from when the call was due, so that a client that
  // had to wait for the server does not hide it.
  LatencyHistogram latency;

  uint64_t response_bytes = 0;  // of one of the answers
  uint64_t next_number = 0;     // the first number that no call had, warm-up included

  double CallsPerSecond() const { return static_cast<double>(calls) / seconds; }
  double ServerCpuPerCall() const { return server_cpu_us / static_cast<double>(calls); }
  // How much of what was consumed was nobody's of those above, but in their way.
  double ShareOfOthers() const {
    return std::max(0.0, 1 - (client_cpu_us + server_cpu_us + network_cpu_us) / all_cpu_us);
  }
  double LatencyUs(double quantile) const {
    return static_cast<double>(latency.Quantile(quantile)) / 1000;
  }
};
static_assert(std::is_trivially_copyable_v<LoadResult>);  // It goes through a pipe.

// Connects, warms up, measures, drains. Fails when a single call does.
absl::StatusOr<LoadResult> RunLoad(const LoadOptions& options);

}  // namespace authurl::bench
