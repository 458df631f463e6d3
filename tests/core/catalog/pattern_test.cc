#include "core/catalog/pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"

namespace authurl {
namespace {

using ::testing::HasSubstr;

TEST(PatternTest, TellsWhatIsNoExpression) {
  EXPECT_TRUE(CheckPattern("[a-z]+").ok());
  EXPECT_THAT(std::string(CheckPattern("").message()), HasSubstr("it is empty"));
  EXPECT_THAT(std::string(CheckPattern("[a-z").message()), HasSubstr("missing ]"));
  EXPECT_FALSE(CheckPattern("(?=a)").ok()) << "takes more than linear time";
}

TEST(PatternTest, MatchesInFullOrSomewhere) {
  EXPECT_TRUE(MatchesInFull("abc", "[a-z]+"));
  EXPECT_FALSE(MatchesInFull("abc1", "[a-z]+"));
  EXPECT_FALSE(MatchesInFull("abc\n", "[a-z]+"));
  EXPECT_TRUE(MatchesSomewhere("1abc1", "[a-z]+"));
  EXPECT_FALSE(MatchesSomewhere("123", "[a-z]+"));
}

TEST(PatternTest, SaysTheSameAgain) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(MatchesInFull("abc", "a.c"));
    EXPECT_FALSE(MatchesInFull("ab", "a.c"));
  }
}

// More patterns than are kept, from several threads at once.
TEST(PatternTest, TellsPatternsApart) {
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int i = 0; i < 3000; ++i) {
        const std::string pattern = absl::StrCat("x", i, "y*");
        if (!MatchesInFull(absl::StrCat("x", i, "yy"), pattern)) ++wrong;
        if (MatchesInFull(absl::StrCat("x", i + 1), pattern)) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace authurl
