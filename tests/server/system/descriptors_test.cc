#include "server/system/descriptors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr ConnectionBudget kWanted = {.connections = 400, .handshakes = 36};
constexpr rlim_t kNeeded = 128 + 400 + 2 * 36;

// A hard limit can't be raised again, so a process of its own has it.
bool HoldsUnder(rlim_t soft, rlim_t hard, const std::function<bool()>& check) {
  const pid_t pid = fork();
  if (pid == 0) {
    const rlimit limit = {soft, hard};
    _exit(setrlimit(RLIMIT_NOFILE, &limit) == 0 && check() ? 0 : 1);
  }
  int status = 0;
  return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool GetsAll() {
  const auto fitting = FitToDescriptors(kWanted);
  return fitting.ok() && *fitting == kWanted;
}

rlim_t SoftLimit() {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

TEST(DescriptorsTest, SoftLimitIsRaisedAsFarAsNeeded) {
  EXPECT_TRUE(HoldsUnder(64, 2000, [] { return GetsAll() && SoftLimit() == kNeeded; }));
  EXPECT_TRUE(HoldsUnder(kNeeded, kNeeded, [] { return GetsAll() && SoftLimit() == kNeeded; }));
  EXPECT_TRUE(HoldsUnder(1000, 2000, [] { return GetsAll() && SoftLimit() == 1000; }));
}

TEST(DescriptorsTest, ConnectionsToOthersGetWhatTheHardLimitLeavesThem) {
  const auto fits = [](rlim_t soft) {
    const auto fitting = FitToDescriptors(kWanted, 1000);
    return fitting.ok() && *fitting == kWanted && SoftLimit() == soft;
  };
  EXPECT_TRUE(HoldsUnder(64, 2000, [&] { return fits(kNeeded + 1000); }));
  EXPECT_TRUE(HoldsUnder(64, 700, [&] { return fits(700); }));
  EXPECT_TRUE(HoldsUnder(1000, 1200, [&] { return fits(1200); }));
  EXPECT_TRUE(HoldsUnder(64, kNeeded, [&] { return fits(kNeeded); }));
}

TEST(DescriptorsTest, UnderALowHardLimitThereAreFewerConnections) {
  EXPECT_TRUE(HoldsUnder(64, 256, [] {
    const auto fitting = FitToDescriptors(kWanted);
    return fitting.ok() && SoftLimit() == 256 &&
           *fitting == ConnectionBudget{.connections = 96, .handshakes = 16};
  }));
  EXPECT_TRUE(HoldsUnder(64, 144, [] {
    const auto fitting = FitToDescriptors(kWanted);
    return fitting.ok() && *fitting == ConnectionBudget{.connections = 12, .handshakes = 2};
  }));
}

TEST(DescriptorsTest, LimitWithoutRoomIsRefusedWithAWayOut) {
  EXPECT_TRUE(HoldsUnder(64, 143, [] {
    const absl::Status status = FitToDescriptors(kWanted).status();
    return ::testing::Matches(StatusIs(absl::StatusCode::kUnavailable,
                                       AllOf(HasSubstr("143"), HasSubstr("600"), HasSubstr("144"),
                                             HasSubstr("LimitNOFILE"))))(status);
  }));
}

}  // namespace
}  // namespace authurl::testing
