// server_under_test.h: the real authurl-server on a deployment, listening on loopback.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/bench/child_process.h"
#include "tests/bench/deployment.h"
#include "tests/support/temp_dir.h"

namespace authurl::bench {

class ServerUnderTest final {
 public:
  // Waits until it serves. `flags` are added to those that it needs. REQUIRES: what
  // ChildProcess::Fork() does.
  static absl::StatusOr<std::unique_ptr<ServerUnderTest>> Start(
      const Deployment& deployment, const std::vector<std::string>& flags = {});

  const std::string& address() const { return address_; }
  pid_t pid() const { return process_->pid(); }
  // From its start until it answered a connection.
  absl::Duration start_time() const { return start_time_; }

  // SIGTERM; an error unless it then exits with 0.
  absl::Status Stop();

 private:
  ServerUnderTest() = default;

  // Holds its log. Goes after the process.
  testing::TempDir folder_;
  std::unique_ptr<ChildProcess> process_;
  std::string address_;
  absl::Duration start_time_;
};

}  // namespace authurl::bench
