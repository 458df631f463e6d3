#include "server/observe/poll_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/observe/log.h"
#include "tests/support/build_kind.h"
#include "tests/support/file_limit.h"
#include "tests/support/status_matchers.h"
#include "tests/support/stderr_pipe.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(WakeUpTest, StaysCalledAndIsSeenByPoll) {
  ASSERT_OK_AND_ASSIGN(const WakeUp wake_up, WakeUp::Make());
  pollfd event = {wake_up.fd(), POLLIN, 0};
  EXPECT_FALSE(wake_up.WasCalled());
  EXPECT_EQ(poll(&event, 1, 0), 0);
  wake_up.Call();
  EXPECT_TRUE(wake_up.WasCalled());
  EXPECT_TRUE(wake_up.WasCalled());
  EXPECT_EQ(poll(&event, 1, 0), 1);
}

TEST(WakeUpTest, CallsThatWereTakenAreOver) {
  ASSERT_OK_AND_ASSIGN(const WakeUp wake_up, WakeUp::Make());
  wake_up.TakeCalls();
  wake_up.Call();
  wake_up.Call();
  wake_up.TakeCalls();
  EXPECT_FALSE(wake_up.WasCalled());
  wake_up.Call();
  EXPECT_TRUE(wake_up.WasCalled());
}

TEST(WakeUpTest, LackOfFileDescriptorsIsAnError) {
  absl::Status status;
  {
    const FileLimit limit(NextDescriptor());
    status = WakeUp::Make().status();
  }
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("Too many open files")));
}

TEST(PatientPollTest, FailureIsLoggedOnceAndNothingCame) {
  if (kNeedsFileDescriptors) GTEST_SKIP() << "the sanitizer needs file descriptors";
  ASSERT_OK_AND_ASSIGN(const WakeUp wake_up, WakeUp::Make());
  wake_up.Call();
  std::vector<pollfd> events(2, pollfd{wake_up.fd(), POLLIN, 0});
  StderrPipe output;
  StartLog("info");
  PatientPoll poll("juggle");
  {
    const FileLimit limit(1);
    for (int i = 0; i < 3; ++i) {
      poll.Wait(events, -1);
      EXPECT_EQ(events[0].revents, 0);
      EXPECT_TRUE(wake_up.WasCalled());
    }
  }
  poll.Wait(events, -1);
  EXPECT_EQ(events[0].revents, POLLIN);
  EXPECT_TRUE(StopLog());
  const std::string text = output.Text();
  EXPECT_THAT(text, AllOf(HasSubstr("poll_failed"), HasSubstr("\"cannot\":\"juggle\"")));
  EXPECT_EQ(text.find("poll_failed"), text.rfind("poll_failed"));
}

}  // namespace
}  // namespace authurl::testing
