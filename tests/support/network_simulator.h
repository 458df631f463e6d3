// network_simulator.h: a server on this machine, under any host's name, that behaves as the
// vectors' networks do (simulated_network.h). The catalog's entries run against it as they are:
//
//   NetworkSimulator simulator(authority_);
//   SimulatedNetwork& network = simulator.Add(vector);
//   options_.connect_to = simulator.address();  // CurlClient's
//   … network.Consent(auth_url) …
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/core/flow/vectors.h"
#include "tests/support/hostile_server.h"
#include "tests/support/simulated_network.h"
#include "tests/support/test_certificates.h"

namespace authurl::testing {

// Several networks may share hosts, and even requests: what shows a code or a token is for the one
// that made it. Safe to use from many threads at once.
class NetworkSimulator final {
 public:
  // `authority` outlives it. Of the kinds: kTls, with a certificate for whichever host is asked
  // for, or kPlain.
  explicit NetworkSimulator(const CertificateAuthority& authority,
                            HostileServer::Kind kind = HostileServer::Kind::kTls);
  // Hangs up on all.
  ~NetworkSimulator();
  NetworkSimulator(const NetworkSimulator&) = delete;
  NetworkSimulator& operator=(const NetworkSimulator&) = delete;

  // `vector` outlives it. The network lives as long as the simulator.
  SimulatedNetwork& Add(const Vector& vector, SimulatedNetwork::Options options = {});

  // "127.0.0.1:port".
  std::string address() const { return server_.address(); }
  int connections() const { return server_.connections(); }
  int requests() const { return server_.requests(); }
  // Of all networks, and of requests that are for none.
  std::vector<std::string> complaints() const;

 private:
  bool Serve(HostileServer::Peer& peer);
  // Null where no network has such a request.
  SimulatedNetwork* NetworkFor(const ServedRequest& request) const;
  bool Refuses(const std::string& host) const;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::vector<std::unique_ptr<SimulatedNetwork>> networks_;
  std::vector<std::string> strays_;
  HostileServer server_;  // Ends before what it serves.
};

}  // namespace authurl::testing
