#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "server/app.h"
#include "server/log.h"

namespace {

int Fail(const absl::Status& status, int exit_code) {
  authurl::StopLog();
  fprintf(stderr, "authurl-server: %s\n", std::string(status.message()).c_str());
  return exit_code;
}

// Keys and client secrets are in memory: no dump of it may reach the disk.
void ForbidCoreDumps() {
  const rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
#if !defined(__SANITIZE_ADDRESS__)  // Its leak checker reads the process as a debugger does.
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
  // Before any thread starts, so that all inherit it and the signals wait for sigwait().
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  const authurl::Config config = authurl::ConfigFromFlags(argc, argv);
  if (absl::Status status = authurl::VerifyConfig(config); !status.ok()) return Fail(status, 2);
  authurl::StartLog(config.log_level);
  auto app = authurl::App::Start(config);
  if (!app.ok()) return Fail(app.status(), 1);

  int signal_number = 0;
  sigwait(&signals, &signal_number);
  // Whoever asks twice does not want to wait.
  std::thread([signals] {
    int again = 0;
    sigwait(&signals, &again);
    _exit(128 + again);
  }).detach();
  (*app)->Stop();
  authurl::StopLog();
  return 0;
}
