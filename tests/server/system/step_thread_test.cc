#include "server/system/step_thread.h"

#include <gtest/gtest.h>

#include <atomic>

#include "tests/support/eventually.h"

namespace authurl::testing {
namespace {

TEST(StepThreadTest, MakesStepAfterStep) {
  std::atomic<int> steps = 0;
  StepThread thread([&] {
    ++steps;
    return absl::Milliseconds(1);
  });
  EXPECT_TRUE(Eventually([&] { return steps > 3; }));
}

TEST(StepThreadTest, IsWokenInItsPauseAndStopsInIt) {
  std::atomic<int> steps = 0;
  StepThread thread([&] {
    ++steps;
    return absl::InfiniteDuration();
  });
  ASSERT_TRUE(Eventually([&] { return steps == 1; }));
  thread.Wake();
  EXPECT_TRUE(Eventually([&] { return steps == 2; }));
  thread.Stop();
  thread.Join();
  thread.Wake();
  EXPECT_EQ(steps, 2);
}

TEST(StepThreadTest, TheLastStepIsWaitedForNotForEver) {
  std::atomic<bool> may_end = false;
  std::atomic<bool> is_in_step = false;
  StepThread thread([&] {
    is_in_step = true;
    EXPECT_TRUE(Eventually([&] { return may_end.load(); }));
    return absl::InfiniteDuration();
  });
  ASSERT_TRUE(Eventually([&] { return is_in_step.load(); }));
  thread.Stop();
  EXPECT_FALSE(thread.WaitFor(absl::Milliseconds(10)));
  EXPECT_FALSE(thread.WaitFor(-absl::InfiniteDuration()));
  may_end = true;
  EXPECT_TRUE(thread.WaitFor(kPatience));
}

TEST(StepThreadTest, WakingInAStepMakesAnother) {
  std::atomic<int> steps = 0;
  StepThread* made = nullptr;
  std::atomic<bool> is_made = false;
  StepThread thread([&] {
    while (!is_made) {
    }
    if (++steps == 1) made->Wake();
    return absl::InfiniteDuration();
  });
  made = &thread;
  is_made = true;
  EXPECT_TRUE(Eventually([&] { return steps == 2; }));
}

}  // namespace
}  // namespace authurl::testing
