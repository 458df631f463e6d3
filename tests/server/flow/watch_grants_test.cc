#include "server/flow/watch_grants.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/server/flow/stored_grant_fixture.h"

namespace authurl::testing {
namespace {

class WatchGrantsTest : public StoredGrantTest {
 protected:
  // "status=value"; -1 where it is not exposed.
  double Value(const std::string& name, const std::string& status = "") const {
    for (const auto& family : metrics_.Collect()) {
      if (family.name != name) continue;
      for (const auto& metric : family.metric) {
        if (status.empty() || metric.label.at(0).value == status) return metric.gauge.value;
      }
    }
    return -1;
  }
};

TEST_F(WatchGrantsTest, CountsAccountsByStatusAndWhatIsOverdue) {
  subject_ = "a";
  Connect(Tokens("a"), {"a", "b"});
  subject_ = "c";
  Connect(Tokens("c"), {"c"});
  ASSERT_OK(store_->accounts().MarkNeedsReconnect(kNoLimit, "acme", account_id_, "DEAD", Now()));
  Advance(absl::Hours(101));
  const GrantWatcher watcher(Tools());
  EXPECT_TRUE(Eventually([&] { return Value("authurl_refresh_oldest_overdue_seconds") >= 0; }));
  EXPECT_EQ(Value("authurl_refresh_oldest_overdue_seconds"), 3600);
  EXPECT_EQ(Value("authurl_social_accounts", "active"), 2);
  EXPECT_EQ(Value("authurl_social_accounts", "needs_reconnect"), 1);
}

TEST_F(WatchGrantsTest, NothingIsOverdueThatIsNotDueOrIsToBeRevoked) {
  Connect(Tokens("a"));
  ASSERT_OK(store_->accounts().Delete(kNoLimit, "acme", account_id_, Now()));
  subject_ = "b";
  Connect(Tokens("b"));
  const GrantWatcher watcher(Tools());
  EXPECT_TRUE(Eventually([&] { return Value("authurl_refresh_oldest_overdue_seconds") >= 0; }));
  EXPECT_EQ(Value("authurl_refresh_oldest_overdue_seconds"), 0);
  EXPECT_EQ(Value("authurl_social_accounts", "active"), 1);
}

}  // namespace
}  // namespace authurl::testing
