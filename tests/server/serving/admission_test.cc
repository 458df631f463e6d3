#include "server/serving/admission.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/support/eventually.h"

namespace authurl::testing {
namespace {

TEST(AdmissionTest, NobodyEntersOnceItIsClosed) {
  Admission admission;
  EXPECT_TRUE(admission.TryEnter());
  admission.Close();
  EXPECT_FALSE(admission.TryEnter());
  admission.Leave();
  EXPECT_FALSE(admission.TryEnter());
}

TEST(AdmissionTest, EmptyPlaceNeedsNoWaiting) {
  Admission admission;
  EXPECT_TRUE(admission.WaitUntilEmpty(absl::ZeroDuration()));
  admission.Close();
  EXPECT_TRUE(admission.WaitUntilEmpty(absl::ZeroDuration()));
}

TEST(AdmissionTest, WaitingGivesUpWhileSomebodyStaysInside) {
  Admission admission;
  ASSERT_TRUE(admission.TryEnter());
  admission.Close();
  EXPECT_FALSE(admission.WaitUntilEmpty(absl::Milliseconds(1)));
}

TEST(AdmissionTest, WaitingEndsWhenTheLastOneLeaves) {
  Admission admission;
  constexpr int kCalls = 64;
  for (int i = 0; i < kCalls; ++i) ASSERT_TRUE(admission.TryEnter());
  admission.Close();
  std::vector<std::thread> threads;
  for (int i = 0; i < kCalls; ++i) threads.emplace_back([&admission] { admission.Leave(); });
  EXPECT_TRUE(admission.WaitUntilEmpty(kPatience));
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace authurl::testing
