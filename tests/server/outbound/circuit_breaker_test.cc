#include "server/outbound/circuit_breaker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace authurl::testing {
namespace {

using Entry = CircuitBreaker::Entry;

class CircuitBreakersTest : public ::testing::Test {
 protected:
  CircuitBreakers::Beginning Begin(const std::string& host = "h") {
    return breakers_.Begin("x", host, now_);
  }
  // A whole call.
  Entry Call(HostResult result, const std::string& host = "h") {
    const Entry entry = Begin(host).entry;
    if (entry != Entry::kRefused) breakers_.End("x", host, entry, result, now_);
    return entry;
  }
  void Fail(int times, const std::string& host = "h") {
    for (int i = 0; i < times; ++i) ASSERT_EQ(Call(HostResult::kFails, host), Entry::kOrdinary);
  }

  std::map<std::string, int> open_;  // By network.
  CircuitBreakers breakers_{
      {.failures_to_open = 3, .first_pause = absl::Seconds(5), .longest_pause = absl::Seconds(15)},
      4,
      [this](absl::string_view network, int change) { open_[std::string(network)] += change; }};
  absl::Time now_ = absl::FromUnixSeconds(1'800'000'000);
};

TEST_F(CircuitBreakersTest, OpensAfterSoManyFailuresInARow) {
  Fail(2);
  EXPECT_EQ(Call(HostResult::kWorks), Entry::kOrdinary);
  EXPECT_EQ(breakers_.size(), 0u) << "what has no failures is not kept";
  Fail(2);
  // Says nothing either way.
  EXPECT_EQ(Call(HostResult::kNothing), Entry::kOrdinary);
  EXPECT_FALSE(breakers_.End("x", "other", Entry::kOrdinary, HostResult::kFails, now_));
  EXPECT_TRUE(breakers_.End("x", "h", Begin().entry, HostResult::kFails, now_));
  EXPECT_EQ(Begin().entry, Entry::kRefused);
  EXPECT_EQ(Begin().retry_after, absl::Seconds(5));
  EXPECT_EQ(open_["x"], 1);
  // Others are not touched.
  EXPECT_EQ(Call(HostResult::kWorks, "other"), Entry::kOrdinary);
  EXPECT_EQ(breakers_.Begin("y", "h", now_).entry, Entry::kOrdinary);
}

TEST_F(CircuitBreakersTest, OneCallTriesAndItsSuccessCloses) {
  Fail(3);
  now_ += absl::Milliseconds(4999);
  EXPECT_EQ(Begin().entry, Entry::kRefused);
  now_ += absl::Milliseconds(1);
  ASSERT_EQ(Begin().entry, Entry::kProbe);
  EXPECT_EQ(Begin().entry, Entry::kRefused) << "one at a time";
  EXPECT_EQ(Begin().retry_after, absl::Seconds(1));
  breakers_.End("x", "h", Entry::kProbe, HostResult::kWorks, now_);
  EXPECT_EQ(open_["x"], 0);
  EXPECT_EQ(breakers_.size(), 0u);
  Fail(2);
}

TEST_F(CircuitBreakersTest, FailedTriesMakeThePauseLonger) {
  Fail(3);
  for (const int pause : {5, 10, 15, 15}) {
    EXPECT_EQ(Begin().retry_after, absl::Seconds(pause));
    now_ += absl::Seconds(pause);
    EXPECT_EQ(Call(HostResult::kFails), Entry::kProbe);
    EXPECT_EQ(Begin().entry, Entry::kRefused);
  }
  EXPECT_EQ(open_["x"], 1);
}

TEST_F(CircuitBreakersTest, ATryThatSaysNothingLeavesRoomForTheNext) {
  Fail(3);
  now_ += absl::Seconds(5);
  EXPECT_EQ(Call(HostResult::kNothing), Entry::kProbe);
  EXPECT_EQ(Call(HostResult::kNothing), Entry::kProbe);
  EXPECT_EQ(Call(HostResult::kWorks), Entry::kProbe);
  EXPECT_EQ(Call(HostResult::kWorks), Entry::kOrdinary);
}

TEST_F(CircuitBreakersTest, WhatBeganBeforeItOpenedNoLongerCounts) {
  const Entry early = Begin().entry;
  const Entry earlier = Begin().entry;
  Fail(3);
  breakers_.End("x", "h", early, HostResult::kWorks, now_);
  breakers_.End("x", "h", earlier, HostResult::kFails, now_);
  EXPECT_EQ(Begin().retry_after, absl::Seconds(5));
  EXPECT_EQ(Begin().entry, Entry::kRefused);
}

TEST_F(CircuitBreakersTest, AClockThatIsPutBackKeepsNoneOpenForLong) {
  Fail(3);
  now_ -= absl::Hours(24);
  EXPECT_EQ(Begin().entry, Entry::kRefused);
  EXPECT_LE(Begin().retry_after, absl::Seconds(5));
  now_ += absl::Seconds(15);
  EXPECT_EQ(Begin().entry, Entry::kProbe);
}

TEST_F(CircuitBreakersTest, ManyHostsThatFailTakeNoMoreRoom) {
  for (int i = 0; i < 1000; ++i) Fail(3, absl::StrCat("h", i));
  EXPECT_EQ(breakers_.size(), 4u);
  EXPECT_EQ(open_["x"], 4) << "those that were forgotten are not open";
}

TEST_F(CircuitBreakersTest, ManyThreadsSendOneTryAtATime) {
  Fail(3);
  now_ += absl::Seconds(5);
  std::atomic<int> probes = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { probes += Begin().entry == Entry::kProbe ? 1 : 0; });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(probes, 1);
}

}  // namespace
}  // namespace authurl::testing
