#include "server/system/heap.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/build_kind.h"
#include "tests/support/eventually.h"

namespace authurl::testing {
namespace {

constexpr int64_t kMiB = 1024 * 1024;

int64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t size = 0;
  int64_t resident = 0;
  statm >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

TEST(HeapTest, WhatWasFreedGoesBackToTheSystem) {
  if (kSanitized) GTEST_SKIP() << "the sanitizer has a heap of its own";
  const int64_t before = ResidentBytes();
  // Small pieces, of which the last stays: nothing before it can go back by itself.
  std::vector<std::string> pieces;
  for (int i = 0; i < 100'000; ++i) pieces.emplace_back(1000, 'x');
  const std::string last(1000, 'x');
  pieces.clear();
  ASSERT_GT(ResidentBytes() - before, 64 * kMiB);
  const HeapTrimmer trimmer(std::chrono::milliseconds(10));
  EXPECT_TRUE(Eventually([&] { return ResidentBytes() - before < 32 * kMiB; }));
}

}  // namespace
}  // namespace authurl::testing
