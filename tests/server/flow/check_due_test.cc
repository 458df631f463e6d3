// That accounts that nobody uses are checked now and then, evenly, and no network is hurried.
#include "server/flow/check_due.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/server/flow/stored_grant_fixture.h"

namespace authurl::testing {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class CheckDueTest : public StoredGrantTest {
 protected:
  void SetUp() override {
    StoredGrantTest::SetUp();
    UseEntry(kProfilePart);
    refresher_ = std::make_unique<GrantRefresher>(Tools(), clock_);
    checks_ = std::make_unique<DueChecks>(
        Tools(), *refresher_, pace_,
        DueChecks::Options{.interval = absl::Hours(24), .steady = steady_clock_});
  }
  void TearDown() override {
    checks_.reset();
    StoredGrantTest::TearDown();
  }
  void ConnectMany(int count) {
    for (int i = 0; i < count; ++i) {
      subject_ = absl::StrCat("person-", ++people_);
      Connect(Tokens(subject_, absl::InfiniteDuration()), {subject_});
      Advance(absl::Milliseconds(1));
    }
  }
  // Each is told the profile that it asks for by its token.
  void AnswerAll() {
    http_.AnswerAlways(
        [](int n) { return absl::StrCat(R"({"id":"person-)", n, R"(","login":"new-name"})"); });
  }
  void WorkFor(absl::Duration time) {
    const int64_t until = steady_ms_ + absl::ToInt64Milliseconds(time);
    while (steady_ms_ < until) {
      const absl::Duration wait = checks_->Step();
      ASSERT_TRUE(Eventually([this] { return checks_->under_way() == 0; }));
      const int64_t by = std::clamp<int64_t>(
          absl::ToInt64Milliseconds(std::min(wait, absl::Hours(1))), 0, until - steady_ms_);
      steady_ms_ += by;
      Advance(absl::Milliseconds(by));
    }
  }

  std::atomic<int64_t> steady_ms_ = 1'000'000;
  const Clock steady_clock_ = [this] { return absl::FromUnixMillis(steady_ms_); };
  NetworkPace pace_{{.per_second = 5}, steady_clock_};
  std::unique_ptr<GrantRefresher> refresher_;
  std::unique_ptr<DueChecks> checks_;
  int people_ = 0;
};

TEST_F(CheckDueTest, EachIsCheckedOnceInAnInterval) {
  ConnectMany(10);
  AnswerAll();
  WorkFor(absl::Hours(23));
  EXPECT_THAT(http_.sent(), IsEmpty());
  // In the order in which they were connected, or the answers would not fit.
  WorkFor(absl::Hours(24));
  EXPECT_THAT(http_.sent(), SizeIs(10));
  EXPECT_EQ(AccountStatus(), "ACTIVE");
  EXPECT_EQ(Account().username(), "new-name");
  EXPECT_EQ(Account().confirmed_at_ms(), Account().checked_at_ms());
}

TEST_F(CheckDueTest, TheyAreSpreadOverTheInterval) {
  ConnectMany(24);
  AnswerAll();
  WorkFor(absl::Hours(24) + absl::Minutes(90));
  EXPECT_LE(http_.sent().size(), 4u);
  WorkFor(absl::Hours(10));
  EXPECT_LE(http_.sent().size(), 16u);
  EXPECT_GE(http_.sent().size(), 10u);
}

// Where more are to be checked than the network is asked, it is asked as often as it may be.
TEST_F(CheckDueTest, ManyAreCheckedAtTheRateOfTheirNetwork) {
  ConnectMany(80);
  AnswerAll();
  NetworkPace slow({.per_second = 1}, steady_clock_);
  checks_ = std::make_unique<DueChecks>(
      Tools(), *refresher_, slow,
      DueChecks::Options{.interval = absl::Minutes(1), .steady = steady_clock_});
  Advance(absl::Minutes(2));
  WorkFor(absl::Seconds(100));
  // A check is counted as two requests.
  EXPECT_GE(http_.sent().size(), 45u);
  EXPECT_LE(http_.sent().size(), 52u);
  checks_.reset();
}

TEST_F(CheckDueTest, WhoIsDeadIsFoundAndNotAskedForAgain) {
  ConnectMany(1);
  Advance(absl::Hours(25));
  http_.Answer(401, R"({"error":"invalid_token"})");
  WorkFor(absl::Hours(3));
  EXPECT_EQ(AccountStatus(), "ACCESS_TOKEN_DEAD");
  WorkFor(absl::Hours(100));
  EXPECT_THAT(http_.sent(), SizeIs(1));
}

TEST_F(CheckDueTest, AFailureIsNotRepeatedAtOnce) {
  ConnectMany(1);
  Advance(absl::Hours(25));
  http_.AnswerAlways([](int) { return "<html>not a profile</html>"; });
  WorkFor(absl::Hours(24));
  EXPECT_GE(http_.sent().size(), 1u);
  EXPECT_LE(http_.sent().size(), 25u);
  EXPECT_EQ(AccountStatus(), "ACTIVE");
}

TEST_F(CheckDueTest, TheThreadStopsAtOnce) {
  ConnectMany(1);
  Advance(absl::Hours(25));
  AnswerAll();
  DueChecker checker(Tools(), *refresher_, pace_, absl::Hours(24), SteadyNow);
  EXPECT_TRUE(Eventually([this] { return http_.sent().size() == 1; }));
  checker.Stop();
}

}  // namespace
}  // namespace authurl::testing
