#include "tests/bench/app_process.h"

#include <signal.h>

#include <cstdio>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/app.h"
#include "server/config.h"
#include "server/observe/log.h"

namespace authurl::bench {
namespace {

Config ConfigFor(const Deployment& deployment, const NetworkProcess& network) {
  Config config;
  config.listen = "127.0.0.1:0";
  config.database = deployment.database();
  config.key_ring_file = deployment.key_ring_file();
  config.drain_delay = absl::ZeroDuration();
  config.outbound_connect_to = network.address();
  config.outbound_ca_file = network.ca_file();
  // There, so that they cost what they cost, and never reached.
  config.rate_limit_key = 10'000'000;
  config.rate_limit_organization = 10'000'000;
  // More than wait at a time. One organisation may have half of the smaller one at one host.
  config.max_outbound_calls = 4096;
  config.max_outbound_calls_per_host = config.max_outbound_calls;
  config.max_outbound_calls_per_organization = config.max_outbound_calls;
  return config;
}

// As the server's main() does.
int Serve(const Config& config, const std::string& log_file, FILE* to_parent) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  signal(SIGPIPE, SIG_IGN);
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigprocmask(SIG_BLOCK, &stop, nullptr);
  if (std::freopen(log_file.c_str(), "a", stderr) == nullptr) return 1;
  StartLog(config.log_level);
  auto app = App::Start(config);
  if (!app.ok()) {
    (void)StopLog();
    fprintf(stderr, "%s\n", app.status().ToString().c_str());
    fflush(stderr);
    return 1;
  }
  fprintf(to_parent, "%s\n", (*app)->address().c_str());
  fflush(to_parent);
  int signal_number = 0;
  sigwait(&stop, &signal_number);
  (*app)->Stop("SIGTERM");
  (void)StopLog();
  return 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<AppProcess>> AppProcess::Start(const Deployment& deployment,
                                                              const NetworkProcess& network) {
  std::unique_ptr<AppProcess> server(new AppProcess);
  const Config config = ConfigFor(deployment, network);
  const std::string log = server->folder_.Write("log", "");
  auto process = ChildProcess::Fork([&](FILE* to_parent) { return Serve(config, log, to_parent); });
  if (!process.ok()) return process.status();
  server->process_ = *std::move(process);
  const std::optional<std::string> address = server->process_->ReadLine();
  if (!address.has_value()) {
    return absl::UnavailableError(
        absl::StrCat("the server does not serve: ", testing::ReadFile(log)));
  }
  server->address_ = *address;
  return server;
}

absl::Status AppProcess::Stop() {
  const int exit_code = process_->Stop();
  if (exit_code == 0) return absl::OkStatus();
  return absl::UnknownError(absl::StrCat("the server ended with ", exit_code));
}

}  // namespace authurl::bench
