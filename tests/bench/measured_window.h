// measured_window.h: the time in which a load is measured, and what is used up meanwhile.
#pragma once

#include <unistd.h>

#include <chrono>

#include "tests/bench/load_client.h"
#include "tests/bench/process_usage.h"

namespace authurl::bench {

// For the process that makes the load. What it fills in of `result` is not the calls.
class MeasuredWindow final {
 public:
  // Of a process that is 0, nothing is measured. `result` outlives this.
  MeasuredWindow(pid_t server, pid_t network, LoadResult& result)
      : server_(server), network_(network), result_(result) {}

  // Just before calls begin to count, and just after they no longer do.
  void Open() {
    Add(-1);
    begin_ = std::chrono::steady_clock::now();
  }
  void Close() {
    result_.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    Add(1);
  }

 private:
  void Add(int sign) {
    result_.all_cpu_us += sign * CpuOfAllUs();
    result_.client_cpu_us += sign * CpuUsOf(getpid());
    if (network_ != 0) result_.network_cpu_us += sign * CpuUsOf(network_);
    if (server_ == 0) return;
    result_.server_cpu_us += sign * CpuUsOf(server_);
    result_.server_switches += static_cast<double>(sign * ContextSwitchesOf(server_));
  }

  const pid_t server_;
  const pid_t network_;
  LoadResult& result_;
  std::chrono::steady_clock::time_point begin_;
};

}  // namespace authurl::bench
