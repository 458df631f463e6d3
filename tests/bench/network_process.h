// network_process.h: the part of X's API that a flow asks, in a process of its own: HTTPS, a thread
// for each connection, which stays open. It answers as fast as it can, or lets exchanges wait.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/bench/child_process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_certificates.h"

namespace authurl::bench {

class NetworkProcess final {
 public:
  // Each exchange is answered after `exchange_takes`. REQUIRES: what ChildProcess::Fork() does.
  static absl::StatusOr<std::unique_ptr<NetworkProcess>> Start(
      absl::Duration exchange_takes = absl::ZeroDuration());
  // Ends it.
  ~NetworkProcess();
  NetworkProcess(const NetworkProcess&) = delete;
  NetworkProcess& operator=(const NetworkProcess&) = delete;

  // "127.0.0.1:port".
  const std::string& address() const { return address_; }
  // PEM file with the authority that its certificate for api.x.com is of.
  std::string ca_file() const { return folder_.File("ca.pem"); }
  pid_t pid() const { return process_->pid(); }

  // So far.
  int64_t connections() const { return counters_->connections; }
  int64_t profiles() const { return counters_->profiles; }
  // Exchanges that have not been answered yet.
  int64_t waiting() const { return counters_->waiting; }

  // In memory that parent and child share.
  struct Counters {
    std::atomic<int64_t> connections = 0;
    std::atomic<int64_t> exchanges = 0;
    std::atomic<int64_t> profiles = 0;
    std::atomic<int64_t> waiting = 0;
  };
  static_assert(std::atomic<int64_t>::is_always_lock_free);

 private:
  explicit NetworkProcess(Counters* counters) : counters_(counters) {}

  const testing::TempDir folder_;
  const testing::CertificateAuthority authority_{"Benchmark CA"};
  Counters* const counters_;
  std::unique_ptr<ChildProcess> process_;
  std::string address_;
};

}  // namespace authurl::bench
