#include "storage/flow_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/errors.h"
#include "tests/storage/child_process.h"
#include "tests/storage/connections_fixture.h"
#include "tests/support/build_kind.h"

namespace authurl::testing {
namespace {

using ::testing::_;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

using record::v1::Flow;

const absl::Time kLeaseIsOver = kNow + kFlowLease;

using FlowStoreTest = ConnectionsTest;

TEST_F(FlowStoreTest, AStateIsSpentOnceAndWhoComesLaterSeesWhatIsThere) {
  ASSERT_OK_AND_ASSIGN(const auto first, Spend("a"));
  EXPECT_TRUE(first.is_won);
  EXPECT_EQ(first.flow.spent_at_ms(), absl::ToUnixMillis(kNow));
  EXPECT_EQ(first.flow.lease_until_ms(), absl::ToUnixMillis(kLeaseIsOver));
  Flow other = TestFlow("a");
  other.set_tenant_id("another");
  for (int i = 0; i < 2; ++i) {
    ASSERT_OK_AND_ASSIGN(const auto later,
                         store_->flows().Spend(kNoLimit, other, kNow + absl::Seconds(1)));
    EXPECT_FALSE(later.is_won);
    EXPECT_THAT(later.flow, EqualsProto(first.flow));
    Reopen();
  }
  ASSERT_OK_AND_ASSIGN(const auto second, Spend("b"));
  EXPECT_TRUE(second.is_won);
  EXPECT_THAT(FlowNamed("a"), EqualsProto(first.flow));
  EXPECT_THAT(store_->flows().Find(kNoLimit, "acme", FlowId("c")), IsOkAndHolds(Eq(std::nullopt)));
}

TEST_F(FlowStoreTest, OfManyAtOnceOneWins) {
  constexpr int kThreads = 64;
  constexpr int kStates = kSanitized ? 5 : 40;
  std::atomic<int> wrong = 0;
  std::vector<std::atomic<int>> winners(kStates);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kStates; ++i) {
        const auto spent = Spend(absl::StrCat("state-", i));
        if (!spent.ok()) ++wrong;
        if (spent.ok() && spent->is_won) ++winners[static_cast<size_t>(i)];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  for (const std::atomic<int>& count : winners) EXPECT_EQ(count, 1);
}

TEST_F(FlowStoreTest, ASpentStateStaysSpentThoughTheProcessIsKilled) {
  store_.reset();
  int acknowledged = 0;
  for (int round = 0; round < 4; ++round) {
    ChildProcess spender([&](ChildProcess& self) {
      const auto store = OpenStore(keys_);
      if (!store.ok()) return 1;
      for (int i = acknowledged;; ++i) {
        const Flow flow = TestFlow(absl::StrCat(i));
        if (!(*store)->flows().Spend(kNoLimit, flow, kNow).ok()) return 2;
        if (!self.Tell()) return 0;
      }
    });
    for (int i = 0; i < 7; ++i) {
      ASSERT_TRUE(spender.Await());
      ++acknowledged;
    }
    spender.Kill();
    Reopen();
    for (int i = 0; i < acknowledged; ++i) {
      ASSERT_OK_AND_ASSIGN(const auto spent, Spend(absl::StrCat(i)));
      EXPECT_FALSE(spent.is_won) << i;
    }
    store_.reset();
  }
}

TEST_F(FlowStoreTest, OnlyWhoBringsTheSameAgainIsToldTheOutcome) {
  Flow flow = TestFlow("a");
  flow.set_session_binding_hash("binding");
  flow.set_lease_until_ms(absl::ToUnixMillis(kLeaseIsOver));
  EXPECT_TRUE(IsUnderWay(flow, kNow));
  EXPECT_FALSE(IsUnderWay(flow, kLeaseIsOver));
  const absl::Status in_progress = CheckReplay(flow, flow, kNow);
  EXPECT_THAT(in_progress,
              AllOf(HasReason("COMPLETION_IN_PROGRESS"), StatusIs(absl::StatusCode::kAborted, _)));
  EXPECT_TRUE(RetryAfterOf(in_progress).has_value());
  EXPECT_THAT(CheckReplay(flow, flow, kLeaseIsOver), HasReason("COMPLETION_UNKNOWN"));
  for (const bool has_outcome : {false, true}) {
    if (has_outcome) flow.mutable_failed()->set_reason("USER_DENIED");
    std::vector<Flow> others(4, flow);
    others[0].set_code_digest("another");
    others[1].set_session_binding_hash("");
    others[2].set_role(record::v1::ROLE_UNSPECIFIED);
    others[3].set_org_id("other");
    for (const Flow& other : others) {
      EXPECT_THAT(CheckReplay(flow, other, kNow), HasReason("STATE_ALREADY_USED"));
    }
  }
  EXPECT_OK(CheckReplay(flow, flow, kNow));
  EXPECT_OK(CheckReplay(flow, flow, kLeaseIsOver));
}

TEST_F(FlowStoreTest, CompletingStoresGrantAccountsAndOutcome) {
  ASSERT_OK_AND_ASSIGN(const Connected connected, Connect("a", "person", {"page-1", "page-2"}));
  EXPECT_THAT(connected.disconnected_grants, IsEmpty());
  ASSERT_EQ(connected.accounts.size(), 2u);
  Reopen();
  const Flow flow = FlowNamed("a");
  EXPECT_EQ(flow.completed().grant_id(), connected.grant_id);
  EXPECT_THAT(flow.completed().account_ids(),
              ElementsAre(connected.accounts[0].id(), connected.accounts[1].id()));
  EXPECT_EQ(flow.purge_at_ms(), absl::ToUnixMillis(kNow + absl::Hours(24)));

  EXPECT_THAT(connected.grant_id, StartsWith("gr_"));
  ASSERT_OK_AND_ASSIGN(const OpenedGrant opened,
                       store_->grants().GetWithTokens(kNoLimit, "acme", connected.grant_id));
  EXPECT_EQ(opened.tokens.access_token, "access-canary-a");
  EXPECT_EQ(opened.tokens.refresh_token, "refresh-canary-a");
  EXPECT_EQ(opened.tokens.id_token, "id-canary-a");
  EXPECT_EQ(opened.tokens.kept.at("device_id"), "kept-canary-a");
  EXPECT_EQ(opened.tokens.access_token_expires_at, kNow + absl::Hours(1));
  EXPECT_EQ(opened.tokens.refresh_token_expires_at, std::nullopt);
  EXPECT_THAT(opened.tokens.scopes.value(), ElementsAre("profile", "email"));
  EXPECT_EQ(opened.tokens.subject, "person");
  EXPECT_TRUE(opened.grant.has_refresh_token());
  EXPECT_THAT(opened.grant.kept_names(), ElementsAre("device_id"));
  EXPECT_EQ(opened.grant.generation(), 1u);

  ASSERT_OK_AND_ASSIGN(const auto account,
                       store_->accounts().Get(kNoLimit, "acme", connected.accounts[0].id()));
  EXPECT_THAT(account.id(), StartsWith("sa_"));
  EXPECT_EQ(account.network_unique_id(), "page-1");
  EXPECT_EQ(account.grant_id(), connected.grant_id);
  EXPECT_EQ(account.status(), record::v1::ACCOUNT_STATUS_ACTIVE);
  EXPECT_EQ(account.username(), "user-canary-page-1");
  EXPECT_THAT(account, EqualsProto(connected.accounts[0]));
}

TEST_F(FlowStoreTest, ANewConsentOfThePersonTakesThePlaceOfTheOneBefore) {
  ASSERT_OK_AND_ASSIGN(const Connected first, Connect("a", "person", {"page-1"}, "tenant-1"));
  ASSERT_OK_AND_ASSIGN(const Connected second, Connect("b", "person", {"page-2"}, "tenant-2"));
  EXPECT_EQ(second.grant_id, first.grant_id);
  ASSERT_OK(store_->accounts().MarkNeedsReconnect(kNoLimit, "acme", first.accounts[0].id(),
                                                  "GRANT_REJECTED", kNow));
  // The same account stays the same, and those of other tenants live again.
  ASSERT_OK_AND_ASSIGN(const Connected third, Connect("c", "person", {"page-2"}, "tenant-2"));
  EXPECT_EQ(third.accounts[0].id(), second.accounts[0].id());
  EXPECT_EQ(AccessTokenOf(first.grant_id), "access-canary-c");
  ASSERT_OK_AND_ASSIGN(const auto account,
                       store_->accounts().Get(kNoLimit, "acme", first.accounts[0].id()));
  EXPECT_EQ(account.status(), record::v1::ACCOUNT_STATUS_ACTIVE);
  EXPECT_EQ(account.status_reason(), "");
  EXPECT_EQ(account.tenant_id(), "tenant-1");
  // In another tenant it is another account; and another person's grant is another one.
  ASSERT_OK_AND_ASSIGN(const Connected fourth, Connect("d", "person", {"page-2"}, "tenant-1"));
  EXPECT_NE(fourth.accounts[0].id(), second.accounts[0].id());
  ASSERT_OK_AND_ASSIGN(const Connected other, Connect("e", "somebody", {"page-3"}));
  EXPECT_NE(other.grant_id, first.grant_id);
  EXPECT_EQ(Rows(), "5 flows, 2 grants, 4 social_accounts, 0 pending_connections");
}

TEST_F(FlowStoreTest, WhereTheNetworkLetsGrantsStandBesideEachOtherOneIsAdded) {
  const auto connect = [&](absl::string_view name, const std::string& page) {
    return Connect(name, "person", {page}, "tenant", "acme", true);
  };
  ASSERT_OK_AND_ASSIGN(const Connected first, connect("a", "page-1"));
  ASSERT_OK_AND_ASSIGN(const Connected second, connect("b", "page-2"));
  EXPECT_NE(second.grant_id, first.grant_id);
  EXPECT_THAT(second.disconnected_grants, IsEmpty());
  EXPECT_EQ(AccessTokenOf(first.grant_id), "access-canary-a");
  ASSERT_OK_AND_ASSIGN(const Connected third, connect("c", "page-1"));
  EXPECT_EQ(third.accounts[0].id(), first.accounts[0].id());
  EXPECT_THAT(third.disconnected_grants, ElementsAre(first.grant_id));
}

TEST_F(FlowStoreTest, AnAccountThatAnotherPersonConnectsLeavesItsGrantAndTheLastOneDisconnectsIt) {
  ASSERT_OK_AND_ASSIGN(const Connected first, Connect("a", "person", {"page-1", "page-2"}));
  ASSERT_OK_AND_ASSIGN(const Connected second, Connect("b", "somebody", {"page-1"}));
  EXPECT_EQ(second.accounts[0].id(), first.accounts[0].id());
  EXPECT_THAT(second.disconnected_grants, IsEmpty());
  ASSERT_OK_AND_ASSIGN(const Connected third, Connect("c", "somebody", {"page-2"}));
  EXPECT_THAT(third.disconnected_grants, ElementsAre(first.grant_id));
  ASSERT_OK_AND_ASSIGN(const auto grant, store_->grants().Get(kNoLimit, "acme", first.grant_id));
  EXPECT_EQ(grant.disconnected_at_ms(), absl::ToUnixMillis(kNow));
  // It can be revoked: its tokens are still there. A new consent brings it back to life.
  EXPECT_EQ(AccessTokenOf(first.grant_id), "access-canary-a");
  ASSERT_OK_AND_ASSIGN(const Connected fourth, Connect("d", "person", {"page-1"}));
  EXPECT_EQ(fourth.grant_id, first.grant_id);
  EXPECT_THAT(store_->grants().Delete(kNoLimit, "acme", first.grant_id),
              StatusIs(absl::StatusCode::kFailedPrecondition, _));
}

TEST_F(FlowStoreTest, TokensOfTheAccountsOwnAreRenewedForAllTenantsThatHaveIt) {
  const auto connect = [&](absl::string_view name, absl::string_view tenant,
                           absl::string_view token) {
    EXPECT_OK(Spend(name));
    return Complete(name, TestGrant("person"), {{TestAccount("page", tenant), token}});
  };
  ASSERT_OK_AND_ASSIGN(const Connected first, connect("a", "tenant-1", "own-1"));
  ASSERT_OK_AND_ASSIGN(const Connected second, connect("b", "tenant-2", "own-2"));
  for (const Connected* connected : {&first, &second}) {
    ASSERT_OK_AND_ASSIGN(
        const AccountWithToken found,
        store_->accounts().GetWithToken(kNoLimit, "acme", connected->accounts[0].id()));
    EXPECT_EQ(found.access_token, "own-2");
    EXPECT_TRUE(found.account.has_own_token());
  }
}

TEST_F(FlowStoreTest, ConsentsOfOnePersonAtOnceMakeOneGrant) {
  constexpr int kThreads = 16;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const std::string own = absl::StrCat("page-", t);
      if (!Connect(absl::StrCat(t), "person", {own, "shared"}).ok()) ++wrong;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(Rows(), "16 flows, 1 grants, 17 social_accounts, 0 pending_connections");
}

TEST_F(FlowStoreTest, ACompletedFlowIsCompletedOnceHoweverOftenItsEndIsNotHeard) {
  DeafBackend& deaf = ReopenOverDeafBackend();
  ASSERT_OK(Spend("a"));
  const std::vector<NewAccount> accounts = {{TestAccount("page"), ""}};
  deaf.deaf_commits = 1;
  EXPECT_THAT(Complete("a", TestGrant("person"), accounts), HasReason("STORAGE_UNAVAILABLE"));
  ASSERT_OK_AND_ASSIGN(const Connected connected, Complete("a", TestGrant("person"), accounts));
  EXPECT_THAT(connected.accounts, SizeIs(1));
  EXPECT_EQ(FlowNamed("a").completed().account_ids(0), connected.accounts[0].id());
  EXPECT_EQ(Rows(), "1 flows, 1 grants, 1 social_accounts, 0 pending_connections");
}

TEST_F(FlowStoreTest, NothingIsStoredWhereTheConfigurationOrOrganizationWentMeanwhile) {
  const std::vector<NewAccount> accounts = {{TestAccount("page"), ""}};
  ASSERT_OK(Spend("a"));
  record::v1::Grant of_old_client = TestGrant("person");
  of_old_client.set_client_id("old");
  EXPECT_THAT(Complete("a", of_old_client, accounts), HasReason("CONFIGURATION_CHANGED"));
  // Also between what the commit was made of and the commit.
  DeafBackend& backend = ReopenOverDeafBackend();
  backend.before_next = [&] {
    ASSERT_OK(store_->social_networks().Delete(kNoLimit, "acme", "acme-google"));
  };
  EXPECT_THAT(Complete("a", TestGrant("person"), accounts), HasReason("SOCIAL_NETWORK_NOT_FOUND"));
  ASSERT_OK(Spend("b", "other"));
  backend.before_next = [&] { ASSERT_OK(store_->DeleteOrganization(kNoLimit, "other", kNow)); };
  EXPECT_THAT(Complete("b", TestGrant("person", "other"), accounts),
              HasReason("ORGANIZATION_NOT_FOUND"));
  EXPECT_THAT(Spend("c", "other"), HasReason("ORGANIZATION_NOT_FOUND"));
  EXPECT_EQ(Rows(), "2 flows, 0 grants, 0 social_accounts, 0 pending_connections");
}

TEST_F(FlowStoreTest, AnUpdateOfTheConfigurationThatLeavesItsClientIsNoHindrance) {
  DeafBackend& backend = ReopenOverDeafBackend();
  ASSERT_OK(Spend("a"));
  backend.before_next = [&] {
    ASSERT_OK(store_->social_networks().Update(kNoLimit, "acme", "acme-google", kNow, SomeChange,
                                               std::nullopt));
  };
  EXPECT_OK(Complete("a", TestGrant("person"), {{TestAccount("page"), ""}}));
}

TEST_F(FlowStoreTest, TheWinnerOfAFlowWhoseLeaseIsOverMayStillBringItsOutcome) {
  const std::vector<NewAccount> accounts = {{TestAccount("page"), ""}};
  ASSERT_OK(Spend("late"));
  EXPECT_OK(Complete("late", TestGrant("person"), accounts, false, kLeaseIsOver));
  EXPECT_TRUE(FlowNamed("late").has_completed());
}

TEST_F(FlowStoreTest, AFlowComesToOneOutcomeOnly) {
  ASSERT_OK(Spend("a"));
  const std::vector<NewAccount> accounts = {{TestAccount("page"), ""}};
  EXPECT_THAT(Complete("never spent", TestGrant("person"), accounts),
              HasReason("COMPLETION_UNKNOWN"));
  const absl::Status denied = MakeError(absl::StatusCode::kPermissionDenied, "USER_DENIED", "no");
  ASSERT_OK(store_->flows().Fail(kNoLimit, "acme", FlowId("a"), denied, kLeaseIsOver));
  EXPECT_THAT(Complete("a", TestGrant("person"), accounts), HasReason("STATE_ALREADY_USED"));
  EXPECT_EQ(Rows(), "1 flows, 0 grants, 0 social_accounts, 0 pending_connections");
}

TEST_F(FlowStoreTest, ACodeThatWasHandedOutConnectsNothing) {
  ASSERT_OK(Spend("a"));
  ASSERT_OK(store_->flows().HandOut(kNoLimit, "acme", FlowId("a"), kNow));
  EXPECT_TRUE(FlowNamed("a").has_completed());
  EXPECT_THAT(FlowNamed("a").completed().account_ids(), IsEmpty());
  EXPECT_THAT(store_->flows().HandOut(kNoLimit, "acme", FlowId("b"), kNow),
              HasReason("COMPLETION_UNKNOWN"));
}

TEST_F(FlowStoreTest, AFailureIsKeptWithItsReasonAndCutToTheBound) {
  Flow flow = TestFlow("a");
  flow.set_instance(std::string(253, 'i'));
  flow.set_tenant_id(std::string(128, 't'));
  ASSERT_OK(store_->flows().Spend(kNoLimit, flow, kNow));
  std::string message;
  while (message.size() < 3000) absl::StrAppend(&message, "\xC3\xA9");
  const absl::Status error =
      MakeError(absl::StatusCode::kUnavailable, "NETWORK_UNAVAILABLE", message);
  ASSERT_OK(store_->flows().Fail(kNoLimit, "acme", flow.id(), error, kNow));
  const Flow failed = FlowNamed("a");
  EXPECT_EQ(failed.failed().code(), 14);
  EXPECT_EQ(failed.failed().reason(), "NETWORK_UNAVAILABLE");
  EXPECT_EQ(failed.failed().message(), message.substr(0, failed.failed().message().size()));
  EXPECT_GT(failed.failed().message().size(), 200u);
  EXPECT_EQ(failed.failed().message().size() % 2, 0u);
  EXPECT_LE(failed.ByteSizeLong() + kSealedOverhead, kMaxUnfinishedFlowBytes);
  EXPECT_EQ(failed.purge_at_ms(), flow.state_expires_at_ms() + 600'000);
  // Once only.
  ASSERT_OK(store_->flows().Fail(kNoLimit, "acme", flow.id(), absl::InternalError("x"), kNow));
  EXPECT_THAT(FlowNamed("a"), EqualsProto(failed));
}

TEST_F(FlowStoreTest, AnOrganizationHasABoundedNumberOfFlowsThatAreNotCompleted) {
  ReopenWith({.unfinished_flows = 6});
  for (int i = 0; i < 6; ++i) ASSERT_OK(Spend(absl::StrCat(i))) << i;
  const auto refused = Spend("one more");
  EXPECT_THAT(refused, AllOf(HasReason("RATE_LIMITED"),
                             StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("6"))));
  EXPECT_TRUE(RetryAfterOf(refused.status()).has_value());
  EXPECT_EQ(FlowNamed("one more").id(), "");
  // Whoever was spent before is answered, and others are not held up.
  ASSERT_OK_AND_ASSIGN(const auto again, Spend("3"));
  EXPECT_FALSE(again.is_won);
  EXPECT_OK(Spend("x", "other"));
  // Failed ones count, completed ones don't.
  ASSERT_OK(store_->flows().Fail(kNoLimit, "acme", FlowId("0"), absl::InternalError("x"), kNow));
  const absl::Time later = kNow + absl::Seconds(2);
  EXPECT_THAT(Spend("one more", "acme", later), HasReason("RATE_LIMITED"));
  ASSERT_OK(Complete("1", TestGrant("person"), {{TestAccount("page"), ""}}));
  EXPECT_OK(Spend("one more", "acme", later + absl::Seconds(2)));
}

TEST_F(FlowStoreTest, APurgeRemovesWhatWasKeptLongEnoughInSteps) {
  for (int i = 0; i < 5; ++i) ASSERT_OK(Spend(absl::StrCat(i)));
  ASSERT_OK(Connect("done", "person", {"page"}));
  const absl::Time state_expires = kNow + absl::Minutes(20);
  EXPECT_THAT(store_->flows().Purge(state_expires + kFlowGrace, 100), IsOkAndHolds(0));
  const absl::Time due = state_expires + kFlowGrace + absl::Milliseconds(1);
  EXPECT_THAT(store_->flows().Purge(due, 3), IsOkAndHolds(3));
  EXPECT_THAT(store_->flows().Purge(due, 3), IsOkAndHolds(2));
  EXPECT_THAT(store_->flows().Purge(due, 3), IsOkAndHolds(0));
  EXPECT_TRUE(FlowNamed("done").has_completed());
  EXPECT_THAT(store_->flows().Purge(kNow + absl::Hours(25), 3), IsOkAndHolds(1));
  EXPECT_EQ(Rows(), "0 flows, 1 grants, 1 social_accounts, 0 pending_connections");
}

TEST_F(FlowStoreTest, AFlowIsNotAnotherOrganizations) {
  ASSERT_OK(Spend("a"));
  Flow same_id = TestFlow("a", "other");
  EXPECT_THAT(store_->flows().Spend(kNoLimit, same_id, kNow), HasReason("STATE_ALREADY_USED"));
  EXPECT_THAT(store_->flows().Find(kNoLimit, "other", FlowId("a")), IsOkAndHolds(Eq(std::nullopt)));
  EXPECT_THAT(store_->flows().Fail(kNoLimit, "other", FlowId("a"), absl::InternalError("x"), kNow),
              HasReason("COMPLETION_UNKNOWN"));
  EXPECT_THAT(Complete("a", TestGrant("person", "other"), {{TestAccount("page"), ""}}),
              HasReason("COMPLETION_UNKNOWN"));
  EXPECT_EQ(FlowNamed("a").outcome_case(), Flow::OUTCOME_NOT_SET);
}

// Whenever the process is killed: of each flow all is there or nothing.
TEST_F(FlowStoreTest, AllOfACompletedFlowIsThereOrNothingThoughTheProcessIsKilled) {
  store_.reset();
  std::mt19937 random(20260901);
  int acknowledged = 0;
  for (int round = 0; round < 8; ++round) {
    ChildProcess worker([&](ChildProcess& self) {
      Reopen();
      for (int i = acknowledged;; ++i) {
        const std::string name = absl::StrCat(round, "-", i);
        const auto connected =
            Connect(name, absl::StrCat("person-", i % 3), {"page-" + name, "shared"});
        if (!connected.ok()) return 1;
        if (!self.Tell()) return 0;
      }
    });
    const int flows = std::uniform_int_distribution(1, 12)(random);
    for (int i = 0; i < flows; ++i) {
      ASSERT_TRUE(worker.Await());
      ++acknowledged;
    }
    usleep(std::uniform_int_distribution(0, 3000)(random));
    worker.Kill();
    Reopen();
    ASSERT_OK_AND_ASSIGN(const auto accounts,
                         store_->accounts().List(kNoLimit, "acme", {}, "", {.rows = 1000}));
    std::set<std::string> ids;
    for (const auto& account : accounts.records) {
      ids.insert(account.id());
      EXPECT_OK(store_->grants().GetWithTokens(kNoLimit, "acme", account.grant_id()));
    }
    store_.reset();
    const RawDatabase db(path_);
    EXPECT_EQ(db.Value("PRAGMA integrity_check"), "ok");
    // Each completed flow made one account, beside the one that they share.
    EXPECT_EQ(db.Value("SELECT count(*) FROM flows WHERE is_unfinished = 0"),
              absl::StrCat(ids.size() - 1));
    EXPECT_GE(static_cast<int>(ids.size()) - 1, acknowledged);
    EXPECT_EQ(db.Value("SELECT count(*) FROM grants WHERE is_connected = 1 AND id NOT IN"
                       " (SELECT grant_id FROM social_accounts)"),
              "0");
  }
}

}  // namespace
}  // namespace authurl::testing
