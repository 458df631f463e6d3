// metrics_exposer.h: serves metrics to Prometheus, as `GET /metrics` on a port of their own.
//
// prometheus-cpp's exposer is not used for that: the web server under it, civetweb, has a known
// heap overflow that Debian 12 does not mend (CVE-2025-55763), takes up to two seconds to stop, and
// is built without IPv6.
#pragma once

#include <prometheus/collectable.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/observe/http_server.h"
#include "server/system/bound_sockets.h"

namespace authurl {

class MetricsExposer final {
 public:
  // Serves what `sources` collect, from a thread of its own. The sources must outlive it. An error
  // is one sentence for the operator.
  static absl::StatusOr<std::unique_ptr<MetricsExposer>> Start(
      BoundSockets sockets, std::vector<const prometheus::Collectable*> sources);

  // Where it listens, with the real port.
  const std::string& address() const { return server_->address(); }

 private:
  explicit MetricsExposer(std::unique_ptr<HttpServer> server) : server_(std::move(server)) {}

  const std::unique_ptr<HttpServer> server_;
};

}  // namespace authurl
