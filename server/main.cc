#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/version.h"
#include "server/app.h"
#include "server/observe/log.h"
#include "server/stop_signals.h"

namespace {

// Ends the process where nobody reads what it writes: a thread of the log then hangs in writing,
// and returning from main() would wait for it.
int End(int exit_code) {
  if (!authurl::StopLog()) _exit(exit_code);
  return exit_code;
}

int Fail(const absl::Status& status, int exit_code) {
  if (!authurl::StopLog()) _exit(exit_code);
  const std::string line = absl::StrCat("authurl-server: ", status.message(), "\n");
  constexpr int kPatienceMs = 1000;
  pollfd error_output = {STDERR_FILENO, POLLOUT, 0};
  if (poll(&error_output, 1, kPatienceMs) > 0) {
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
  }
  return exit_code;
}

// Keys and client secrets are in memory: no dump of it may reach the disk.
void ForbidCoreDumps() {
  const rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
#if !defined(AUTHURL_ASAN)  // Its leak checker reads the process as a debugger does.
  prctl(PR_SET_DUMPABLE, 0);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  // gRPC's locks are Abseil's, which look for deadlocks at each turn unless told otherwise.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  ForbidCoreDumps();
  signal(SIGPIPE, SIG_IGN);
  // A write that a limit forbids shall fail like one to a full disk.
  signal(SIGXFSZ, SIG_IGN);
  authurl::StopSignals signals;

  authurl::Config config =
      authurl::ConfigFromFlags(argc, argv, authurl::VersionLine("authurl-server"));
  const authurl::Version built = authurl::BuiltVersion();
  config.version = built.number;
  config.revision = built.revision;
  if (absl::Status status = authurl::VerifyConfig(config); !status.ok()) return Fail(status, 2);
  authurl::StartLog(config.log_level);
  signals.Watch();
  auto started = authurl::App::Start(config);
  if (!started.ok()) return Fail(started.status(), 1);

  const std::shared_ptr<authurl::App> app = *std::move(started);
  const std::string signal =
      signals.Wait(app->longest_stop(), [waiting = std::weak_ptr<authurl::App>(app)] {
        const std::shared_ptr<authurl::App> still = waiting.lock();
        return still == nullptr ? "" : still->waiting_for();
      });
  app->Stop(signal);
  return End(0);
}
