#include "server/outbound/call_limits.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"

namespace authurl::testing {
namespace {

TEST(CallLimitsTest, EachLimitIsKeptAndRoomIsGivenBack) {
  CallLimits limits(
      {.all = 7, .per_host = 4, .per_organization = 3, .per_host_and_organization = 2});
  EXPECT_EQ(limits.TryEnter("x", "h", "a"), CallLimit::kNone);
  EXPECT_EQ(limits.TryEnter("x", "h", "a"), CallLimit::kNone);
  EXPECT_EQ(limits.TryEnter("x", "h", "a"), CallLimit::kOrganization) << "its share of the host";
  EXPECT_EQ(limits.TryEnter("x", "i", "a"), CallLimit::kNone);
  EXPECT_EQ(limits.TryEnter("x", "j", "a"), CallLimit::kOrganization) << "its share of all";
  // Who is of no organisation has no share that could be used up.
  EXPECT_EQ(limits.TryEnter("x", "h", ""), CallLimit::kNone);
  EXPECT_EQ(limits.TryEnter("x", "h", "b"), CallLimit::kNone);
  EXPECT_EQ(limits.TryEnter("x", "h", "c"), CallLimit::kHost);
  EXPECT_EQ(limits.TryEnter("x", "h", ""), CallLimit::kHost);
  // The same host of another network is another one.
  EXPECT_EQ(limits.TryEnter("y", "h", "c"), CallLimit::kNone);
  EXPECT_EQ(limits.TryEnter("y", "h", "c"), CallLimit::kNone);
  EXPECT_EQ(limits.TryEnter("z", "z", "z"), CallLimit::kAll);
  EXPECT_EQ(limits.under_way(), 7);

  limits.Leave("x", "h", "a");
  EXPECT_EQ(limits.TryEnter("x", "h", "a"), CallLimit::kNone);
  for (const char* host : {"h", "h", "i"}) limits.Leave("x", host, "a");
  limits.Leave("x", "h", "");
  limits.Leave("x", "h", "b");
  limits.Leave("y", "h", "c");
  limits.Leave("y", "h", "c");
  EXPECT_EQ(limits.under_way(), 0);
  EXPECT_EQ(limits.size(), 0u) << "nothing is kept of what has ended";
}

TEST(CallLimitsTest, WhatIsRefusedTakesNoPlace) {
  CallLimits limits({.all = 10, .per_host = 1, .per_organization = 10});
  ASSERT_EQ(limits.TryEnter("x", "h", "a"), CallLimit::kNone);
  const size_t size = limits.size();
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(limits.TryEnter("x", "h", absl::StrCat("org", i)), CallLimit::kHost);
  }
  EXPECT_EQ(limits.size(), size);
  EXPECT_EQ(limits.under_way(), 1);
}

TEST(CallLimitsTest, TextsOfOthersAreNotMixedUp) {
  CallLimits limits({.all = 10, .per_host = 1, .per_organization = 1});
  ASSERT_EQ(limits.TryEnter("x", "ab", "c"), CallLimit::kNone);
  EXPECT_EQ(limits.TryEnter("x", "a", "bc"), CallLimit::kNone);
  EXPECT_EQ(limits.TryEnter("xa", "b", "d"), CallLimit::kNone);
}

TEST(CallLimitsTest, ManyThreadsEnterNoMoreThanThereIsRoomFor) {
  CallLimits limits({.all = 5});
  std::atomic<int> most = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, host = absl::StrCat(i)] {
      for (int j = 0; j < 1000; ++j) {
        if (limits.TryEnter("x", host, "a") != CallLimit::kNone) continue;
        const int now = limits.under_way();
        int before = most;
        while (before < now && !most.compare_exchange_weak(before, now)) {
        }
        limits.Leave("x", host, "a");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most, 5);
  EXPECT_EQ(limits.under_way(), 0);
  EXPECT_EQ(limits.size(), 0u);
}

}  // namespace
}  // namespace authurl::testing
