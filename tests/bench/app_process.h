// app_process.h: the server with what no flag of the binary sets, because it is for tests alone: it
// asks a network on this machine. In a process of its own, as the binary is.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/bench/child_process.h"
#include "tests/bench/deployment.h"
#include "tests/bench/network_process.h"
#include "tests/support/temp_dir.h"

namespace authurl::bench {

class AppProcess final {
 public:
  // Waits until it serves. REQUIRES: what ChildProcess::Fork() does.
  static absl::StatusOr<std::unique_ptr<AppProcess>> Start(const Deployment& deployment,
                                                           const NetworkProcess& network);

  const std::string& address() const { return address_; }
  pid_t pid() const { return process_->pid(); }

  // SIGTERM; an error unless it then exits with 0.
  absl::Status Stop();

 private:
  AppProcess() = default;

  // Holds its log. Goes after the process.
  testing::TempDir folder_;
  std::unique_ptr<ChildProcess> process_;
  std::string address_;
};

}  // namespace authurl::bench
