#include "server/flow/network_pace.h"

#include <gtest/gtest.h>

#include <string>

namespace authurl::testing {
namespace {

using Result = NetworkPace::Result;

class NetworkPaceTest : public ::testing::Test {
 protected:
  bool Begins(const std::string& name = "x") {
    return pace_.TryBegin(name) == absl::ZeroDuration();
  }
  void Fail(int times) {
    for (int i = 0; i < times; ++i) {
      now_ += absl::Seconds(1);
      ASSERT_TRUE(Begins());
      pace_.End("x", Result::kFails, 1);
    }
  }

  absl::Time now_ = absl::FromUnixSeconds(1000);
  NetworkPace pace_{{.per_second = 5, .max_under_way = 3}, [this] { return now_; }};
};

TEST_F(NetworkPaceTest, CallsBeginAtASteadyRateWithoutABurst) {
  now_ += absl::Hours(1);
  int begun = 0;
  for (int i = 0; i < 100; ++i, now_ += absl::Milliseconds(10)) {
    if (!Begins()) continue;
    ++begun;
    pace_.End("x", Result::kWorks, 1);
  }
  EXPECT_EQ(begun, 5);
  EXPECT_TRUE(Begins("y"));
}

TEST_F(NetworkPaceTest, ASecondRequestCountsAsWell) {
  ASSERT_TRUE(Begins());
  pace_.End("x", Result::kWorks, 2);
  EXPECT_EQ(pace_.TryBegin("x"), absl::Milliseconds(400));
}

TEST_F(NetworkPaceTest, NotTooManyAreUnderWay) {
  for (int i = 0; i < 3; ++i, now_ += absl::Seconds(1)) ASSERT_TRUE(Begins());
  EXPECT_FALSE(Begins());
  pace_.End("x", Result::kNothing, 1);
  EXPECT_TRUE(Begins());
}

TEST_F(NetworkPaceTest, AfterFailuresInARowItIsTriedOnceAfterAPauseThatGrows) {
  Fail(NetworkPace::kFailuresToPause);
  EXPECT_TRUE(pace_.IsPaused("x"));
  EXPECT_TRUE(Begins("y"));
  absl::Duration pause = NetworkPace::kFirstPause;
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(pace_.TryBegin("x"), pause);
    now_ += pause;
    EXPECT_TRUE(Begins());
    now_ += absl::Seconds(1);
    EXPECT_FALSE(Begins());
    pace_.End("x", Result::kFails, 1);
    pause = std::min(2 * pause, NetworkPace::kLongestPause);
  }
  now_ += pause;
  ASSERT_TRUE(Begins());
  pace_.End("x", Result::kWorks, 1);
  EXPECT_FALSE(pace_.IsPaused("x"));
  now_ += absl::Seconds(1);
  EXPECT_TRUE(Begins());
}

TEST_F(NetworkPaceTest, ASuccessInBetweenIsNoOutage) {
  for (int i = 0; i < 5; ++i) {
    Fail(NetworkPace::kFailuresToPause - 1);
    now_ += absl::Seconds(1);
    ASSERT_TRUE(Begins());
    pace_.End("x", Result::kWorks, 1);
  }
  EXPECT_FALSE(pace_.IsPaused("x"));
}

TEST_F(NetworkPaceTest, ThoseUnderWayWhenItWasPausedDoNotLengthenThePause) {
  for (int i = 0; i < 3; ++i, now_ += absl::Seconds(1)) ASSERT_TRUE(Begins());
  for (int i = 0; i < 3; ++i) pace_.End("x", Result::kFails, 1);
  EXPECT_EQ(pace_.TryBegin("x"), NetworkPace::kFirstPause);
}

TEST_F(NetworkPaceTest, InstancesAreByThemselves) {
  EXPECT_EQ(NetworkPace::NameOf("x", ""), "x");
  EXPECT_NE(NetworkPace::NameOf("mastodon", "a.example"), NetworkPace::NameOf("mastodon", "b"));
}

}  // namespace
}  // namespace authurl::testing
