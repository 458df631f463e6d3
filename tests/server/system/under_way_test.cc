#include "server/system/under_way.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

namespace authurl::testing {
namespace {

TEST(UnderWayTest, WhoWaitsGoesOnOnceTheLastHasEndedAndWasSeenToEnd) {
  auto work = std::make_unique<UnderWay>();
  EXPECT_EQ(work->count(), 0);
  work->Wait();
  work->Begin();
  work->Begin();
  EXPECT_EQ(work->count(), 2);
  std::atomic<int> seen = 0;
  work->End([&] { ++seen; });
  EXPECT_EQ(work->count(), 1);
  EXPECT_EQ(seen, 1);
  std::thread last([&work] { work->End(); });
  work->Wait();
  EXPECT_EQ(work->count(), 0);
  last.join();

  // Who lets go of it waits as well.
  work->Begin();
  last = std::thread([end = work.get(), &seen] { end->End([&] { ++seen; }); });
  work.reset();
  EXPECT_EQ(seen, 2);
  last.join();
}

}  // namespace
}  // namespace authurl::testing
