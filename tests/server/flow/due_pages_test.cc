#include "server/flow/due_pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/observe/log_lines.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct DueItem {
  DuePosition position;
};

class DuePagesTest : public ::testing::Test {
 protected:
  // The due times of the next page, of so many items that are due at 1, 2, 3 and so on.
  std::vector<int64_t> Next(int items) {
    const auto page = pages_.Read([&](const CallContext& context, const DuePosition& after,
                                      int limit) -> absl::StatusOr<std::vector<DueItem>> {
      EXPECT_OK(context.Check());
      if (!error_.ok()) return error_;
      std::vector<DueItem> found;
      for (int64_t due = after.due + 1; due <= items && limit > 0; ++due, --limit) {
        found.push_back({.position = {.due = due}});
      }
      return found;
    });
    EXPECT_EQ(page.status(), error_);
    std::vector<int64_t> dues;
    if (page.ok()) {
      for (const DueItem& item : *page) dues.push_back(item.position.due);
    }
    return dues;
  }

  DuePages<DueItem> pages_{2, "items_not_listed"};
  absl::Status error_;
};

TEST_F(DuePagesTest, EachPageIsBehindTheOneBeforeUntilOneIsNotFull) {
  pages_.Begin({.due = 0});
  EXPECT_THAT(Next(5), ElementsAre(1, 2));
  EXPECT_THAT(Next(5), ElementsAre(3, 4));
  EXPECT_FALSE(pages_.is_over());
  EXPECT_THAT(Next(5), ElementsAre(5));
  EXPECT_TRUE(pages_.is_over());
  pages_.Begin({.due = 1});
  EXPECT_FALSE(pages_.is_over());
  EXPECT_THAT(Next(3), ElementsAre(2, 3));
  EXPECT_FALSE(pages_.is_over());
  EXPECT_THAT(Next(3), IsEmpty());
  EXPECT_TRUE(pages_.is_over());
}

TEST_F(DuePagesTest, APageThatCanNotBeReadIsTheNextOneAgainAndLoggedOnce) {
  const auto lines = LoggedLines("info", [&] {
    pages_.Begin({.due = 0});
    EXPECT_THAT(Next(4), ElementsAre(1, 2));
    error_ = StorageUnavailable("the first time");
    Next(4);
    Next(4);
    EXPECT_FALSE(pages_.is_over());
    error_ = absl::OkStatus();
    EXPECT_THAT(Next(4), ElementsAre(3, 4));
    error_ = StorageUnavailable("the second time");
    Next(4);
  });
  EXPECT_THAT(lines, ElementsAre(HasSubstr(R"("items_not_listed","cause":"the first time")"),
                                 HasSubstr(R"("items_not_listed","cause":"the second time")")));
}

}  // namespace
}  // namespace authurl::testing
