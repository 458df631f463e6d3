#include "storage/account_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/errors.h"
#include "tests/storage/connections_fixture.h"
#include "tests/support/build_kind.h"

namespace authurl::testing {
namespace {

using ::testing::_;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using record::v1::SocialAccount;

class AccountStoreTest : public ConnectionsTest {
 protected:
  AccountStore& accounts() { return store_->accounts(); }

  // The network_unique_ids of all that fit, in the order of their ids at the network.
  std::string Listed(const AccountFilter& filter, const std::string& org = "acme",
                     int page_rows = 2) {
    std::vector<std::string> found;
    std::string after;
    do {
      const auto page = accounts().List(kNoLimit, org, filter, after, {.rows = page_rows});
      EXPECT_OK(page);
      if (!page.ok()) return "error";
      EXPECT_LE(page->records.size(), static_cast<size_t>(page_rows));
      for (const auto& account : page->records) found.push_back(account.network_unique_id());
      after = page->next;
    } while (!after.empty());
    std::sort(found.begin(), found.end());
    return absl::StrJoin(found, " ");
  }

  int64_t Counted(const AccountFilter& filter, int64_t at_most = 100) {
    return accounts().Count(kNoLimit, "acme", filter, at_most).value_or(-1);
  }
};

TEST_F(AccountStoreTest, AccountsAreListedAndCountedByAllThatTheFilterNames) {
  ASSERT_OK(Connect("a", "person", {"p1", "p2", "p3"}, "t1"));
  ASSERT_OK(Connect("b", "person", {"p1", "p4"}, "t2"));
  ASSERT_OK(Connect("c", "person", {"p5"}, ""));
  ASSERT_OK(Connect("d", "person", {"p1", "p6"}, "t1", "other"));
  EXPECT_EQ(Listed({}), "p1 p1 p2 p3 p4 p5");
  EXPECT_EQ(Listed({.tenant_id = "t1"}), "p1 p2 p3");
  EXPECT_EQ(Listed({.tenant_id = ""}), "p5");
  EXPECT_EQ(Listed({.tenant_id = "T1"}), "");
  EXPECT_EQ(Listed({.network = "google"}), "p1 p1 p2 p3 p4 p5");
  EXPECT_EQ(Listed({.network = "tiktok"}), "");
  EXPECT_EQ(Listed({.network_unique_id = "p1"}), "p1 p1");
  EXPECT_EQ(Listed({.social_network_id = "acme-google"}, "acme", 1), "p1 p1 p2 p3 p4 p5");
  EXPECT_EQ(Listed({.tenant_id = "t1", .network_unique_id = "p1"}), "p1");
  EXPECT_EQ(Listed({.tenant_id = "t1", .network = "tiktok"}), "");
  EXPECT_EQ(Listed({.tenant_id = "t1", .network = "google"}, "acme", 1), "p1 p2 p3");
  EXPECT_EQ(Listed({.tenant_id = "t1"}, "other"), "p1 p6");
  EXPECT_EQ(Listed({.social_network_id = "acme-google"}, "other"), "");
  EXPECT_EQ(Listed({}, "nobody"), "");
  EXPECT_EQ(Counted({}), 6);
  EXPECT_EQ(Counted({}, 4), 4);
  EXPECT_EQ(Counted({.tenant_id = "t1"}), 3);
  EXPECT_EQ(Counted({.tenant_id = "t1", .network = "google"}), 3);
  EXPECT_EQ(Counted({.tenant_id = "t1", .network = "google"}, 2), 2);
  EXPECT_EQ(Counted({.tenant_id = "t1", .network = "tiktok"}), 0);
  ASSERT_OK_AND_ASSIGN(const auto none, accounts().List(kNoLimit, "acme", {}, "", {.rows = 0}));
  EXPECT_THAT(none.records, IsEmpty());
  EXPECT_EQ(none.next, "");
}

TEST_F(AccountStoreTest, PagesOfManyAccountsStayBounded) {
  constexpr int kGrants = kSanitized ? 2 : 10;
  constexpr int kEach = kMaxAccountsOfGrant;
  for (int g = 0; g < kGrants; ++g) {
    std::vector<std::string> pages;
    for (int i = 0; i < kEach; ++i) pages.push_back(absl::StrCat("page-", g, "-", i));
    ASSERT_OK(Connect(absl::StrCat(g), absl::StrCat("person-", g), pages,
                      absl::StrCat("tenant-", g % 2)));
  }
  constexpr int64_t kAll = int64_t{kGrants} * kEach;
  EXPECT_EQ(Counted({}, 1'000'000), kAll);
  EXPECT_EQ(Counted({.tenant_id = "tenant-1"}, 1'000'000), kAll / 2);
  const auto walk = [&](const AccountFilter& filter) {
    std::set<std::string> ids;
    std::string after;
    do {
      const auto page = accounts().List(kNoLimit, "acme", filter, after, {.rows = 700});
      EXPECT_OK(page);
      if (!page.ok()) break;
      EXPECT_LE(page->records.size(), 700u);
      for (const auto& account : page->records) EXPECT_TRUE(ids.insert(account.id()).second);
      after = page->next;
    } while (!after.empty());
    return static_cast<int64_t>(ids.size());
  };
  EXPECT_EQ(walk({}), kAll);
  EXPECT_EQ(walk({.tenant_id = "tenant-0"}), kAll / 2);
  EXPECT_EQ(walk({.network = "google"}), kAll);
  // Of which none fits: each call comes back, with where to go on.
  ASSERT_OK_AND_ASSIGN(
      const auto page,
      accounts().List(kNoLimit, "acme", {.network = "tiktok", .social_network_id = "acme-google"},
                      "", {.rows = 10}));
  EXPECT_THAT(page.records, IsEmpty());
  EXPECT_NE(page.next, "");
  ASSERT_OK_AND_ASSIGN(const auto bytes,
                       accounts().List(kNoLimit, "acme", {}, "", {.rows = 500, .bytes = 2'000}));
  EXPECT_LT(bytes.records.size(), 20u);
  EXPECT_NE(bytes.next, "");

  // They go in steps, and their grants with them.
  int removed = 0;
  std::set<std::string> grants;
  bool is_done = false;
  for (int steps = 0; !is_done; ++steps) {
    ASSERT_LE(steps, kAll / 500 + 1);
    ASSERT_OK_AND_ASSIGN(const auto step,
                         accounts().DeleteOfTenant(kNoLimit, "acme", "tenant-0", kNow, 500));
    removed += step.accounts;
    grants.insert(step.disconnected_grants.begin(), step.disconnected_grants.end());
    is_done = step.is_done;
  }
  EXPECT_EQ(removed, kAll / 2);
  EXPECT_EQ(grants.size(), size_t{kGrants} / 2);
  EXPECT_EQ(walk({}), kAll / 2);
}

TEST_F(AccountStoreTest, AGrantFeedsABoundedNumberOfAccounts) {
  std::vector<std::string> pages;
  for (int i = 0; i < kMaxAccountsOfGrant; ++i) pages.push_back(absl::StrCat(i));
  ASSERT_OK(Connect("a", "person", pages));
  EXPECT_OK(Connect("b", "person", {"7"}));
  EXPECT_THAT(Connect("c", "person", {"one more"}), HasReason("TOO_MANY_ACCOUNTS"));
  EXPECT_OK(Connect("d", "somebody", {"one more"}));
}

TEST_F(AccountStoreTest, AnOrganizationHasABoundedNumberOfAccounts) {
  ReopenWith({.accounts = 5});
  ASSERT_OK(Connect("a", "person", {"p1", "p2", "p3"}));
  EXPECT_THAT(Connect("b", "person", {"p4", "p5", "p6"}),
              AllOf(HasReason("TOO_MANY_ACCOUNTS"),
                    StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("5"))));
  EXPECT_EQ(Listed({}), "p1 p2 p3");
  EXPECT_EQ(FlowNamed("b").outcome_case(), record::v1::Flow::OUTCOME_NOT_SET);
  ASSERT_OK_AND_ASSIGN(const Connected full, Connect("c", "person", {"p3", "p4", "p5"}));
  EXPECT_THAT(Connect("d", "person", {"p6"}), HasReason("TOO_MANY_ACCOUNTS"));
  EXPECT_OK(Connect("e", "person", {"p1"}));
  EXPECT_OK(Connect("f", "person", {"p6"}, "tenant", "other"));
  ASSERT_OK(accounts().Delete(kNoLimit, "acme", full.accounts[0].id(), kNow));
  EXPECT_OK(Connect("g", "person", {"p6"}));
}

TEST_F(AccountStoreTest, TheLastAccountOfAGrantDisconnectsIt) {
  ASSERT_OK_AND_ASSIGN(const Connected connected, Connect("a", "person", {"p1", "p2"}));
  const std::string& first = connected.accounts[0].id();
  ASSERT_OK_AND_ASSIGN(auto removed, accounts().Delete(kNoLimit, "acme", first, kNow));
  EXPECT_EQ(removed.accounts, 1);
  EXPECT_THAT(removed.disconnected_grants, IsEmpty());
  EXPECT_THAT(accounts().Delete(kNoLimit, "acme", first, kNow).status(),
              HasReason("SOCIAL_ACCOUNT_NOT_FOUND"));
  EXPECT_THAT(accounts().Get(kNoLimit, "acme", first), HasReason("SOCIAL_ACCOUNT_NOT_FOUND"));
  ASSERT_OK_AND_ASSIGN(removed,
                       accounts().Delete(kNoLimit, "acme", connected.accounts[1].id(), kNow));
  EXPECT_THAT(removed.disconnected_grants, ElementsAre(connected.grant_id));
  // The tokens are there until it is revoked.
  EXPECT_EQ(AccessTokenOf(connected.grant_id), "access-canary-a");
}

TEST_F(AccountStoreTest, OfTheLastAccountsThatGoAtOnceOneIsTheLast) {
  constexpr int kThreads = 8;
  constexpr int kRounds = kSanitized ? 4 : 20;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::string> pages;
    for (int t = 0; t < kThreads; ++t) pages.push_back(absl::StrCat("page-", t));
    ASSERT_OK_AND_ASSIGN(const Connected connected,
                         Connect(absl::StrCat(round), absl::StrCat("person-", round), pages));
    std::atomic<int> wrong = 0;
    std::atomic<int> last = 0;
    std::vector<std::thread> threads;
    for (const SocialAccount& account : connected.accounts) {
      threads.emplace_back([&] {
        const auto removed = accounts().Delete(kNoLimit, "acme", account.id(), kNow);
        if (!removed.ok()) ++wrong;
        if (removed.ok() && !removed->disconnected_grants.empty()) ++last;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(last, 1);
  }
}

TEST_F(AccountStoreTest, AnUpdateLeavesWhatTheAccountIsFoundByAndItsToken) {
  ASSERT_OK(Spend("a"));
  ASSERT_OK_AND_ASSIGN(const Connected connected,
                       Complete("a", TestGrant("person"), {{TestAccount("p1"), "own"}}));
  const SocialAccount& before = connected.accounts[0];
  const auto change = [](SocialAccount& account) {
    account.set_username("new name");
    account.set_checked_at_ms(5);
    account.set_tenant_id("x");
    account.set_network_unique_id("x");
    account.set_grant_id("x");
    account.set_org_id("x");
    account.set_has_own_token(false);
    return absl::OkStatus();
  };
  const absl::Time later = kNow + absl::Seconds(1);
  ASSERT_OK_AND_ASSIGN(const SocialAccount after,
                       accounts().Update(kNoLimit, "acme", before.id(), change, later));
  SocialAccount expected = before;
  expected.set_username("new name");
  expected.set_checked_at_ms(5);
  expected.set_updated_at_ms(absl::ToUnixMillis(later));
  EXPECT_THAT(after, EqualsProto(expected));
  ASSERT_OK_AND_ASSIGN(const AccountWithToken found,
                       accounts().GetWithToken(kNoLimit, "acme", before.id()));
  EXPECT_THAT(found.account, EqualsProto(expected));
  EXPECT_EQ(found.access_token, "own");
  EXPECT_THAT(accounts().Update(
                  kNoLimit, "acme", before.id(),
                  [](SocialAccount&) { return absl::InternalError("refused"); }, later),
              StatusIs(absl::StatusCode::kInternal, "refused"));
}

TEST_F(AccountStoreTest, AnAccountIsNotAnotherOrganizations) {
  ASSERT_OK_AND_ASSIGN(const Connected connected, Connect("a", "person", {"p1"}));
  const std::string& id = connected.accounts[0].id();
  const auto not_found = HasReason("SOCIAL_ACCOUNT_NOT_FOUND");
  EXPECT_THAT(accounts().Get(kNoLimit, "other", id), not_found);
  EXPECT_THAT(accounts().GetWithToken(kNoLimit, "other", id).status(), not_found);
  EXPECT_THAT(accounts().MarkNeedsReconnect(kNoLimit, "other", id, "R", kNow), not_found);
  EXPECT_THAT(accounts().Delete(kNoLimit, "other", id, kNow).status(), not_found);
  EXPECT_THAT(accounts().Delete(kNoLimit, "nobody", id, kNow).status(), not_found);
  ASSERT_OK_AND_ASSIGN(auto removed,
                       accounts().DeleteOfTenant(kNoLimit, "other", "tenant", kNow, 10));
  EXPECT_EQ(removed.accounts, 0);
  ASSERT_OK_AND_ASSIGN(
      removed, accounts().DeleteOfConfiguration(kNoLimit, "other", "acme-google", kNow, 10));
  EXPECT_EQ(removed.accounts, 0);
  EXPECT_THAT(removed.disconnected_grants, IsEmpty());
  EXPECT_OK(accounts().Get(kNoLimit, "acme", id));
}

TEST_F(AccountStoreTest, OneThatIsDamagedIsNamedAndCanBeRemovedOrConnectedAnew) {
  ASSERT_OK_AND_ASSIGN(const Connected connected, Connect("a", "person", {"p1", "p2"}));
  const std::string id = connected.accounts[0].id();
  for (const char* edit :
       {"tenant_id = 'x'", "network_unique_id = 'x'", "account_type = 1", "network = 'x'",
        "version = 7", "whole = token", "social_network_id = 'x'"}) {
    store_.reset();
    const std::string saved = ReadFile(path_);
    Edit(absl::StrCat("UPDATE social_accounts SET ", edit, " WHERE id = '", id, "'"));
    EXPECT_THAT(accounts().Get(kNoLimit, "acme", id), StatusIs(absl::StatusCode::kInternal, _))
        << edit;
    ASSERT_OK_AND_ASSIGN(const auto list, accounts().List(kNoLimit, "acme", {}, "", {.rows = 10}));
    EXPECT_THAT(list.unreadable, ElementsAre(id));
    EXPECT_THAT(list.records, SizeIs(1));
    store_.reset();
    folder_.Write("test.db", saved);
    Reopen();
  }
  Edit("UPDATE social_accounts SET token = whole");
  EXPECT_OK(accounts().Get(kNoLimit, "acme", id));
  EXPECT_THAT(accounts().GetWithToken(kNoLimit, "acme", id).status(),
              StatusIs(absl::StatusCode::kInternal, _));
  ASSERT_OK_AND_ASSIGN(const Connected again, Connect("b", "person", {"p1"}));
  EXPECT_EQ(again.accounts[0].id(), id);
  EXPECT_OK(accounts().GetWithToken(kNoLimit, "acme", id).status());
  Edit("UPDATE social_accounts SET whole = token");
  Edit("UPDATE grants SET whole = tokens");
  EXPECT_OK(accounts().Delete(kNoLimit, "acme", id, kNow).status());
  EXPECT_OK(accounts().Delete(kNoLimit, "acme", connected.accounts[1].id(), kNow).status());
  EXPECT_EQ(Rows(), "2 flows, 0 grants, 0 social_accounts, 0 pending_connections");
}

TEST_F(AccountStoreTest, AnIndexThatLeadsElsewhereServesNothing) {
  ASSERT_OK(Connect("a", "person", {"p1"}, "tenant-1"));
  ASSERT_OK(Connect("b", "person", {"p1"}, "tenant-2"));
  store_.reset();
  // The entry by tenant of the second account: now it leads to the first.
  std::string bytes = ReadFile(path_);
  const size_t found = bytes.find("acmetenant-2sa_");
  ASSERT_NE(found, std::string::npos);
  const size_t row = found + std::string("acmetenant-2").size() + 23;
  ASSERT_EQ(bytes[row], 2);
  bytes[row] = 1;
  folder_.Write("test.db", bytes);
  Reopen();
  const auto list = accounts().List(kNoLimit, "acme", {.tenant_id = "tenant-2"}, "", {.rows = 10});
  if (list.ok()) {
    EXPECT_THAT(list->records, IsEmpty());
    EXPECT_THAT(list->unreadable, SizeIs(1));
  } else {
    EXPECT_THAT(list, StatusIs(absl::StatusCode::kInternal, HasSubstr("social_accounts")));
  }
}

TEST_F(AccountStoreTest, ThoseThatNoNetworkConfirmedAreGoneThroughByPosition) {
  ASSERT_OK(Connect("a", "a", {"a"}));
  ASSERT_OK_AND_ASSIGN(const Connected b, Connect("b", "b", {"b"}));
  ASSERT_OK_AND_ASSIGN(const Connected c, Connect("c", "c", {"c"}, "t", "other"));
  ASSERT_OK_AND_ASSIGN(const Connected dead, Connect("d", "d", {"d"}));
  ASSERT_OK(
      store_->accounts().MarkNeedsReconnect(kNoLimit, "acme", dead.accounts[0].id(), "DEAD", kNow));
  // Confirmed later than the others.
  const auto confirm = [](record::v1::SocialAccount& account) {
    account.set_confirmed_at_ms(absl::ToUnixMillis(kNow + absl::Hours(1)));
    return absl::OkStatus();
  };
  ASSERT_OK(store_->accounts().Update(kNoLimit, "acme", b.accounts[0].id(), confirm, kNow));

  const auto list = [this](absl::Time before) {
    std::vector<std::string> ids;
    for (DuePosition after;;) {
      const auto page = store_->accounts().ListUnconfirmed(kNoLimit, after, before, 1);
      EXPECT_OK(page);
      if (!page.ok() || page->empty()) return ids;
      EXPECT_NE(page->front().network, "");
      ids.push_back(page->front().position.id);
      after = page->back().position;
    }
  };
  EXPECT_THAT(list(kNow), IsEmpty());
  const std::vector<std::string> first = list(kNow + absl::Minutes(1));
  EXPECT_THAT(first, SizeIs(2));
  EXPECT_EQ(first[1], c.accounts[0].id());
  EXPECT_THAT(list(kNow + absl::Hours(2)), SizeIs(3));
  ASSERT_OK_AND_ASSIGN(const auto counts, store_->accounts().CountByStatus(kNoLimit));
  EXPECT_EQ(counts.active, 3);
  EXPECT_EQ(counts.needs_reconnect, 1);
}

}  // namespace
}  // namespace authurl::testing
