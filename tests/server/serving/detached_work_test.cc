#include "server/serving/detached_work.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "core/errors.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

class DetachedWorkTest : public ::testing::Test {
 protected:
  // As a call that was let in would.
  void SetUp() override { ASSERT_TRUE(admission_.TryEnter()); }

  DetachedWork::Waiter Waiter() {
    return [this](absl::Status status) { told_.push_back(std::move(status)); };
  }

  Admission admission_;
  std::vector<absl::Status> told_;
};

TEST_F(DetachedWorkTest, TellsItsWaiterHowItEnded) {
  DetachedWork work(admission_, "request-7", Waiter());
  EXPECT_EQ(work.context().request_id(), "request-7");
  work.End(absl::NotFoundError("no such code"));
  EXPECT_THAT(told_, ::testing::ElementsAre(absl::NotFoundError("no such code")));
  // Only the first end counts.
  work.End(absl::OkStatus());
  work.StopWaiting(absl::CancelledError("gone"));
  EXPECT_THAT(told_, ::testing::SizeIs(1));
}

TEST_F(DetachedWorkTest, EndOfTheWaitingIsNotTheEndOfTheWork) {
  DetachedWork work(admission_, "", Waiter());
  admission_.Leave();  // The call that began it.
  admission_.Close();
  work.StopWaiting(absl::CancelledError("gone"));
  EXPECT_THAT(told_, ::testing::ElementsAre(absl::CancelledError("gone")));
  EXPECT_OK(work.context().Check());
  EXPECT_FALSE(admission_.WaitUntilEmpty(absl::ZeroDuration()));
  work.End(absl::OkStatus());
  EXPECT_THAT(told_, ::testing::SizeIs(1));
  EXPECT_TRUE(admission_.WaitUntilEmpty(kPatience));
}

TEST_F(DetachedWorkTest, MayBeBegunByACallThatIsInsideThoughTheDoorIsClosed) {
  admission_.Close();
  DetachedWork work(admission_, "", Waiter());
  admission_.Leave();
  EXPECT_FALSE(admission_.WaitUntilEmpty(absl::ZeroDuration()));
  work.End(absl::OkStatus());
  EXPECT_TRUE(admission_.WaitUntilEmpty(kPatience));
}

TEST_F(DetachedWorkTest, HasTwentySecondsOfItsOwn) {
  const absl::Time before = absl::Now();
  DetachedWork work(admission_, "", Waiter());
  EXPECT_GE(work.context().deadline(), before + absl::Seconds(20));
  EXPECT_LE(work.context().deadline(), absl::Now() + absl::Seconds(20));
  DetachedWork none(admission_, "", Waiter(), absl::ZeroDuration() - absl::Seconds(1));
  EXPECT_THAT(none.context().Check(), HasReason("DEADLINE_EXCEEDED"));
}

TEST_F(DetachedWorkTest, WorkThatIsGivenUpEndsAsAnInternalFault) {
  auto work = std::make_unique<DetachedWork>(admission_, "", Waiter());
  admission_.Leave();
  admission_.Close();
  work.reset();
  EXPECT_THAT(told_, ::testing::ElementsAre(StatusIs(absl::StatusCode::kInternal, ::testing::_)));
  EXPECT_TRUE(admission_.WaitUntilEmpty(kPatience));
}

TEST_F(DetachedWorkTest, WaiterIsToldOnceWhoeverComesFirst) {
  for (int i = 0; i < 200; ++i) {
    told_.clear();
    DetachedWork work(admission_, "", Waiter());
    std::thread stopper([&work] { work.StopWaiting(absl::CancelledError("gone")); });
    work.End(absl::OkStatus());
    stopper.join();
    EXPECT_THAT(told_, ::testing::SizeIs(1));
  }
}

}  // namespace
}  // namespace authurl::testing
