// watch_grants.h: counts what is stored of connections, for Prometheus: once in a while, so that
// being asked for metrics costs nothing.
#pragma once

#include "server/flow/flow_tools.h"
#include "server/system/step_thread.h"

namespace authurl {

// Tells FlowMetrics, on a thread of its own.
class GrantWatcher final {
 public:
  explicit GrantWatcher(const FlowTools& tools)
      : tools_(tools), thread_([this] { return Count(); }) {}

  // Nothing more is counted. Waits for nothing.
  void Stop() { thread_.Stop(); }

 private:
  // Returns how long until it is to be called again.
  absl::Duration Count();

  const FlowTools tools_;
  bool has_failed_ = false;
  StepThread thread_;
};

}  // namespace authurl
