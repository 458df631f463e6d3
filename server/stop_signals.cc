#include "server/stop_signals.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/observe/log.h"

namespace authurl {

using std::chrono::steady_clock;

struct StopSignals::State {
  std::mutex mutex;
  std::condition_variable came;
  // All guarded by the mutex.
  std::string first;  // Its name; empty until it came.
  // When the process ends by itself; none before the first signal.
  std::optional<steady_clock::time_point> deadline;
  std::function<std::string()> waiting_for = [] { return "the start of the server"; };
};

namespace {

constexpr std::chrono::seconds kEcho(1);
constexpr std::chrono::seconds kStartPatience(2);
constexpr int kExitCode = 1;

sigset_t TheSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

absl::string_view NameOf(int signal) { return signal == SIGINT ? "SIGINT" : "SIGTERM"; }

// The next signal, or 0 when there is none until `deadline`.
int NextSignal(const std::optional<steady_clock::time_point>& deadline) {
  const sigset_t signals = TheSignals();
  int signal = 0;
  if (!deadline.has_value()) return sigwait(&signals, &signal) == 0 ? signal : 0;
  const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::max(*deadline - steady_clock::now(), steady_clock::duration::zero()));
  constexpr int64_t kBillion = 1'000'000'000;
  const timespec timeout = {left.count() / kBillion, left.count() % kBillion};
  signal = sigtimedwait(&signals, nullptr, &timeout);
  return std::max(signal, 0);
}

[[noreturn]] void EndAtOnce(LogLevel level, absl::string_view why, const std::string& waiting_for,
                            int exit_code) {
  Log(level, "ended_at_once", {{"why", why}, {"waiting_for", waiting_for}});
  StopLog();
  _exit(exit_code);
}

}  // namespace

StopSignals::StopSignals() : state_(std::make_shared<State>()) {
  const sigset_t signals = TheSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

void StopSignals::Watch() {
  std::thread([state = state_] {
    int first = 0;
    while (first == 0) first = NextSignal(std::nullopt);
    const auto first_at = steady_clock::now();
    {
      const std::lock_guard<std::mutex> lock(state->mutex);
      state->first = std::string(NameOf(first));
      state->deadline = first_at + kStartPatience;
    }
    state->came.notify_all();
    while (true) {
      std::unique_lock<std::mutex> lock(state->mutex);
      const auto deadline = *state->deadline;
      lock.unlock();
      const int again = NextSignal(deadline);
      const auto now = steady_clock::now();
      if (again != 0 && now - first_at < kEcho) {
        Log(LogLevel::kInfo, "signal_ignored",
            {{"signal", NameOf(again)},
             {"why", "it came within a second of the first one, so it is taken for its echo"}});
        continue;
      }
      lock.lock();
      const std::string waiting_for = state->waiting_for();
      if (again != 0) {
        EndAtOnce(LogLevel::kWarning, absl::StrCat("a second signal, ", NameOf(again)), waiting_for,
                  128 + again);
      }
      // Wait() may have put it off.
      if (now < *state->deadline) continue;
      EndAtOnce(LogLevel::kError,
                absl::StrCat("the end that ", state->first,
                             " asked for took too long; something hangs, a disk for one"),
                waiting_for, kExitCode);
    }
  }).detach();
}

std::string StopSignals::Wait(absl::Duration patience, std::function<std::string()> waiting_for) {
  std::unique_lock<std::mutex> lock(state_->mutex);
  state_->came.wait(lock, [this] { return !state_->first.empty(); });
  state_->deadline = steady_clock::now() + absl::ToChronoNanoseconds(patience);
  state_->waiting_for = std::move(waiting_for);
  return state_->first;
}

}  // namespace authurl
