// contender.h: the servers that rpc_floor compares.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tests/bench/child_process.h"
#include "tests/bench/deployment.h"
#include "tests/bench/load_client.h"
#include "tests/bench/server_under_test.h"

namespace authurl::bench {

// Whether it names the real server: "authurl", or that and flags, "authurl --log_level=error".
// Everything else is the frame of an echo server (tests/bench/echo_server.h).
bool IsAuthUrl(absl::string_view contender);

// A contender that serves, in a process of its own.
class RunningContender final {
 public:
  static absl::StatusOr<RunningContender> Start(const std::string& contender,
                                                const Deployment& deployment);

  std::string address() const;
  pid_t pid() const;
  absl::Status Stop();

 private:
  RunningContender() = default;

  // One of the two.
  std::unique_ptr<ServerUnderTest> server_;
  std::unique_ptr<ChildProcess> echo_;
  int echo_port_ = 0;
};

// An Echo as large as a GetAuthUrl: `call` with its request replaced by one of the same size that
// asks for an answer of `response_bytes`. The metadata stay.
Call EchoOfTheSize(Call call, uint64_t response_bytes);

}  // namespace authurl::bench
