#include "server/stop_signals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "absl/strings/string_view.h"
#include "server/observe/log.h"
#include "tests/support/eventually.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::ExitedWithCode;
using ::testing::HasSubstr;

[[noreturn]] void Hang() {
  while (true) std::this_thread::sleep_for(std::chrono::hours(1));
}

bool IsPending(int signal) {
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, signal) == 1;
}

// Each in a process of its own, from its first thread on.
class StopSignalsDeathTest : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  // Begins as main() does.
  static void Watch(StopSignals& signals) {
    StartLog("info");
    signals.Watch();
  }
  static std::string Wait(StopSignals& signals, absl::Duration patience) {
    return signals.Wait(patience, [] { return "a disk that hangs"; });
  }
};

TEST_F(StopSignalsDeathTest, PoliteEndIsLeftAlone) {
  EXPECT_EXIT(
      {
        StopSignals signals;
        Watch(signals);
        kill(getpid(), SIGTERM);
        _exit(Wait(signals, absl::Hours(1)) == "SIGTERM" ? 0 : 3);
      },
      ExitedWithCode(0), "");
}

TEST_F(StopSignalsDeathTest, EndThatHangsIsCutOffAndTheLogSaysWhy) {
  EXPECT_EXIT(
      {
        StopSignals signals;
        Watch(signals);
        kill(getpid(), SIGINT);
        Wait(signals, absl::Milliseconds(100));
        Hang();
      },
      ExitedWithCode(1),
      AllOf(HasSubstr("\"level\":\"error\",\"event\":\"ended_at_once\""), HasSubstr("SIGINT"),
            HasSubstr("took too long"), HasSubstr("a disk that hangs")));
}

TEST_F(StopSignalsDeathTest, StartThatHangsIsCutOff) {
  EXPECT_EXIT(
      {
        StopSignals signals;
        Watch(signals);
        kill(getpid(), SIGTERM);
        Hang();
      },
      ExitedWithCode(1), AllOf(HasSubstr("ended_at_once"), HasSubstr("the start of the server")));
}

TEST_F(StopSignalsDeathTest, LaterSignalEndsItAtOnce) {
  EXPECT_EXIT(
      {
        StopSignals signals;
        Watch(signals);
        kill(getpid(), SIGTERM);
        Wait(signals, absl::Hours(1));
        Eventually([] { return kill(getpid(), SIGINT) != 0; });
        Hang();
      },
      ExitedWithCode(128 + SIGINT),
      AllOf(HasSubstr("ended_at_once"), HasSubstr("a second signal, SIGINT")));
}

TEST_F(StopSignalsDeathTest, SecondSignalAtTheSameTimeIsAnEcho) {
  EXPECT_EXIT(
      {
        StopSignals signals;
        // Both wait, so that the second one comes right after the first.
        kill(getpid(), SIGTERM);
        kill(getpid(), SIGINT);
        Watch(signals);
        Wait(signals, absl::Hours(1));
        Eventually([] { return !IsPending(SIGTERM) && !IsPending(SIGINT); });
        // What followed from the second one is in the log, or has ended the process.
        StopLog();
        _exit(0);
      },
      ExitedWithCode(0), "");
}

}  // namespace
}  // namespace authurl::testing
