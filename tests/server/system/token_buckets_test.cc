#include "server/system/token_buckets.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace authurl::testing {
namespace {

constexpr absl::Duration kNone = absl::ZeroDuration();

class TokenBucketsTest : public ::testing::Test {
 protected:
  // 10 a second, 20 at once.
  TokenBuckets buckets_{{.per_second = 10, .capacity = 20}};
  absl::Time now_ = absl::FromUnixSeconds(1'800'000'000);
};

TEST_F(TokenBucketsTest, ABurstThenAtTheRate) {
  for (int i = 0; i < 20; ++i) ASSERT_EQ(buckets_.TryTake("a", 1, now_), kNone) << i;
  EXPECT_EQ(buckets_.TryTake("a", 1, now_), absl::Milliseconds(100));
  // What was refused took nothing.
  EXPECT_EQ(buckets_.TryTake("a", 1, now_), absl::Milliseconds(100));
  EXPECT_EQ(buckets_.TryTake("a", 3, now_), absl::Milliseconds(300));
  EXPECT_EQ(buckets_.TryTake("b", 20, now_), kNone);
  now_ += absl::Milliseconds(100);
  EXPECT_EQ(buckets_.TryTake("a", 1, now_), kNone);
  EXPECT_EQ(buckets_.TryTake("a", 1, now_), absl::Milliseconds(100));
  // However long it stands, it holds no more than it can.
  now_ += absl::Hours(1);
  EXPECT_EQ(buckets_.TryTake("a", 20, now_), kNone);
  EXPECT_EQ(buckets_.TryTake("a", 1, now_), absl::Milliseconds(100));
}

TEST_F(TokenBucketsTest, MoreThanABucketHoldsIsTakenFromAFullOne) {
  EXPECT_EQ(buckets_.TryTake("a", 1000, now_), kNone);
  EXPECT_EQ(buckets_.TryTake("a", 1000, now_), absl::Seconds(2));
}

TEST_F(TokenBucketsTest, ADebtIsPaidBackButNeverDeeperThanABucket) {
  buckets_.Take("a", 30, now_);
  EXPECT_EQ(buckets_.TryTake("a", 1, now_), absl::Milliseconds(1100));
  buckets_.Take("a", 1'000'000, now_);
  EXPECT_EQ(buckets_.TryTake("a", 1, now_), absl::Milliseconds(2100));
  buckets_.Take("a", -40, now_);
  EXPECT_EQ(buckets_.TryTake("a", 20, now_), kNone);
}

TEST_F(TokenBucketsTest, AClockThatIsPutBackLocksNobodyOut) {
  buckets_.Take("a", 20, now_);
  now_ -= absl::Hours(1);
  EXPECT_LE(buckets_.TryTake("a", 1, now_), absl::Seconds(3));
}

TEST_F(TokenBucketsTest, WithoutALimitNothingIsRefusedOrKept) {
  TokenBuckets none({});
  EXPECT_EQ(none.TryTake("a", 1e9, now_), kNone);
  none.Take("a", 1e9, now_);
  EXPECT_EQ(none.TryTake("a", 1, now_), kNone);
  EXPECT_EQ(none.size(), 0u);
}

TEST_F(TokenBucketsTest, FullOnesAreNotKept) {
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_EQ(buckets_.TryTake(absl::StrCat(i), 1, now_), kNone);
    now_ += absl::Milliseconds(1);
  }
  // 100 of them are not full at a time.
  EXPECT_LE(buckets_.size(), 16u * 64u);
}

TEST_F(TokenBucketsTest, ManyThreadsTakeNoMoreThanThereIs) {
  std::atomic<int> taken = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 100; ++j) taken += buckets_.TryTake("a", 1, now_) == kNone ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken, 20);
}

}  // namespace
}  // namespace authurl::testing
