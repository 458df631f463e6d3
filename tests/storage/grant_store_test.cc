#include "storage/grant_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/storage/connections_fixture.h"

namespace authurl::testing {
namespace {

using ::testing::_;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class GrantStoreTest : public ConnectionsTest {
 protected:
  void SetUp() override {
    ConnectionsTest::SetUp();
    ASSERT_OK_AND_ASSIGN(const Connected connected, Connect("a", "person", {"page-1", "page-2"}));
    grant_id_ = connected.grant_id;
    account_id_ = connected.accounts[0].id();
  }

  GrantStore& grants() { return store_->grants(); }

  absl::StatusOr<GrantStore::Lease> TakeLease(absl::string_view holder, absl::Time now = kNow) {
    return grants().TakeLease(kNoLimit, "acme", grant_id_, holder, now);
  }

  absl::StatusOr<record::v1::Grant> StoreRefreshed(absl::string_view holder,
                                                   absl::string_view label) {
    const TokenSet tokens = TestTokens(label);
    return grants().StoreRefreshed(kNoLimit, "acme", grant_id_, holder, tokens,
                                   kNow + absl::Hours(2), kNow);
  }

  std::string grant_id_;
  std::string account_id_;
};

TEST_F(GrantStoreTest, OneHolderAtATimeRefreshes) {
  ASSERT_OK_AND_ASSIGN(const GrantStore::Lease first, TakeLease("h1"));
  EXPECT_TRUE(first.is_taken);
  EXPECT_EQ(first.opened.tokens.refresh_token, "refresh-canary-a");
  EXPECT_EQ(first.opened.grant.lease_until_ms(), absl::ToUnixMillis(kNow + kRefreshLease));
  ASSERT_OK_AND_ASSIGN(const GrantStore::Lease second, TakeLease("h2", kNow + absl::Seconds(59)));
  EXPECT_FALSE(second.is_taken);
  EXPECT_EQ(second.opened.grant.lease_holder(), "h1");
  EXPECT_THAT(StoreRefreshed("h2", "b"), StatusIs(absl::StatusCode::kAborted, _));

  ASSERT_OK_AND_ASSIGN(const auto refreshed, StoreRefreshed("h1", "b"));
  EXPECT_EQ(refreshed.generation(), 2u);
  EXPECT_EQ(refreshed.consents(), 1u);
  EXPECT_EQ(refreshed.lease_holder(), "");
  EXPECT_EQ(refreshed.due_at_ms(), absl::ToUnixMillis(kNow + absl::Hours(2)));
  EXPECT_EQ(AccessTokenOf(grant_id_), "access-canary-b");
  // Who did not hear of it may ask again, and changes nothing.
  ASSERT_OK_AND_ASSIGN(const auto again, StoreRefreshed("h1", "c"));
  EXPECT_THAT(again, EqualsProto(refreshed));
  EXPECT_EQ(AccessTokenOf(grant_id_), "access-canary-b");
  ASSERT_OK_AND_ASSIGN(const GrantStore::Lease third, TakeLease("h2"));
  EXPECT_TRUE(third.is_taken);
}

// Whoever took it may be gone: it would keep all others away until the clock gets there.
TEST_F(GrantStoreTest, ALeaseOfAClockThatWasAheadKeepsNobodyAway) {
  ASSERT_OK_AND_ASSIGN(const auto ahead, TakeLease("ahead", kNow + absl::Hours(2)));
  EXPECT_TRUE(ahead.is_taken);
  ASSERT_OK_AND_ASSIGN(const auto right, TakeLease("right", kNow));
  EXPECT_TRUE(right.is_taken);
  EXPECT_THAT(StoreRefreshed("ahead", "b"), StatusIs(absl::StatusCode::kAborted, _));
  // Two clocks may differ a little.
  ASSERT_OK_AND_ASSIGN(const auto other, TakeLease("other", kNow - kRefreshLease));
  EXPECT_FALSE(other.is_taken);
  EXPECT_OK(StoreRefreshed("right", "b"));
}

// Nothing is sent then, but what was sent before is answered.
TEST_F(GrantStoreTest, OnAFullDiskNoRefreshBeginsAndNoneIsLost) {
  DeafBackend& backend = ReopenOverDeafBackend();
  ASSERT_OK(TakeLease("h1"));
  backend.is_full = true;
  ASSERT_OK(StoreRefreshed("h1", "b"));
  EXPECT_EQ(AccessTokenOf(grant_id_), "access-canary-b");
  EXPECT_THAT(TakeLease("h2"), HasReason("STORAGE_UNAVAILABLE"));
  backend.is_full = false;
  ASSERT_OK(TakeLease("h2"));
  backend.is_full = true;
  EXPECT_OK(grants().EndLease(kNoLimit, "acme", grant_id_, "h2", kNow));
  // Nor does that hinder whoever has to say what is to be mended, or that it was.
  backend.is_full = false;
  ASSERT_OK(TakeLease("h3"));
  backend.is_full = true;
  EXPECT_THAT(
      grants().EndFailed(kNoLimit, "acme", grant_id_, "h3", {.trouble = "CLIENT_REJECTED"}, kNow),
      IsOkAndHolds(true));
  backend.is_full = false;
  ASSERT_OK(TakeLease("h4"));
  backend.is_full = true;
  EXPECT_OK(StoreRefreshed("h4", "c"));
}

TEST_F(GrantStoreTest, OwnTokensAreThoseOfTheGrantsTokensOfNow) {
  const auto own_token = [this] {
    const auto found = store_->accounts().GetWithToken(kNoLimit, "acme", account_id_);
    return found.ok() ? found->access_token : std::string(found.status().message());
  };
  const auto renew = [this](uint64_t generation, absl::string_view token) {
    return grants().RenewOwnTokens(kNoLimit, "acme", grant_id_, generation,
                                   {{TestAccount("page-1"), token}, {TestAccount("page-9"), "x"}},
                                   kNow);
  };
  ASSERT_OK(renew(1, "own of a"));
  EXPECT_EQ(own_token(), "own of a");
  // What the list does not name has lost nothing.
  ASSERT_OK(renew(1, ""));
  EXPECT_EQ(own_token(), "own of a");
  ASSERT_OK(TakeLease("h1"));
  ASSERT_OK(StoreRefreshed("h1", "b"));
  ASSERT_OK(renew(1, "of tokens before"));
  EXPECT_EQ(own_token(), "own of a");
  ASSERT_OK(renew(2, "own of b"));
  EXPECT_EQ(own_token(), "own of b");
  ASSERT_OK_AND_ASSIGN(const auto accounts,
                       grants().ListAccounts(kNoLimit, "acme", grant_id_, "", {.rows = 10}));
  ASSERT_THAT(accounts.records, SizeIs(2));
  EXPECT_TRUE(accounts.records[0].has_own_token() != accounts.records[1].has_own_token());
}

TEST_F(GrantStoreTest, ALeaseEndsByItselfOrByItsHolder) {
  ASSERT_OK(TakeLease("h1"));
  ASSERT_OK_AND_ASSIGN(const GrantStore::Lease second, TakeLease("h2", kNow + kRefreshLease));
  EXPECT_TRUE(second.is_taken);
  EXPECT_THAT(StoreRefreshed("h1", "b"), StatusIs(absl::StatusCode::kAborted, _));
  EXPECT_THAT(grants().EndLease(kNoLimit, "acme", grant_id_, "h1", std::nullopt),
              StatusIs(absl::StatusCode::kAborted, _));
  ASSERT_OK(grants().EndLease(kNoLimit, "acme", grant_id_, "h2", std::nullopt));
  ASSERT_OK_AND_ASSIGN(const auto grant, grants().Get(kNoLimit, "acme", grant_id_));
  EXPECT_EQ(grant.due_at_ms(), kNeverDue);
  EXPECT_EQ(AccessTokenOf(grant_id_), "access-canary-a");
  ASSERT_OK_AND_ASSIGN(const GrantStore::Lease third, TakeLease("h3"));
  EXPECT_TRUE(third.is_taken);
}

TEST_F(GrantStoreTest, OfManyAtOnceOneTakesTheLease) {
  constexpr int kThreads = 32;
  std::atomic<int> wrong = 0;
  std::atomic<int> taken = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const auto lease = TakeLease(absl::StrCat("holder-", t));
      if (!lease.ok()) ++wrong;
      if (lease.ok() && lease->is_taken) ++taken;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(taken, 1);
}

TEST_F(GrantStoreTest, TroubleIsToldOnceWithTheChangeAndEndsWithARefreshOrAConsent) {
  const auto fail = [this](const std::string& trouble) {
    EXPECT_OK(TakeLease("h1"));
    return grants().EndFailed(kNoLimit, "acme", grant_id_, "h1",
                              {.due_at = kNow + absl::Hours(1),
                               .failures = 2,
                               .trouble = trouble,
                               .trouble_version = trouble.empty() ? 0u : 3u},
                              kNow);
  };
  const auto told = [this] {
    const auto page = store_->events().List(kNoLimit, "acme", 0, {.rows = 100});
    EXPECT_OK(page);
    std::vector<std::string> reasons;
    for (const auto& event : page->events) {
      if (event.event.type() == record::v1::EVENT_TYPE_ACCOUNT_UPDATED) {
        reasons.push_back(event.event.reason());
      }
    }
    return reasons;
  };
  EXPECT_THAT(fail("CLIENT_REJECTED"), IsOkAndHolds(true));
  EXPECT_THAT(fail("CLIENT_REJECTED"), IsOkAndHolds(false));
  EXPECT_THAT(fail(""), IsOkAndHolds(false));
  EXPECT_THAT(told(), ElementsAre("CLIENT_REJECTED", "CLIENT_REJECTED"));  // Of two accounts.
  ASSERT_OK_AND_ASSIGN(auto grant, grants().Get(kNoLimit, "acme", grant_id_));
  EXPECT_EQ(grant.trouble(), "CLIENT_REJECTED");
  EXPECT_EQ(grant.trouble_version(), 3u);
  EXPECT_EQ(grant.failures(), 2);
  EXPECT_EQ(grant.lease_holder(), "");
  EXPECT_EQ(grant.due_at_ms(), absl::ToUnixMillis(kNow + absl::Hours(1)));
  const auto account = [this] { return *store_->accounts().Get(kNoLimit, "acme", account_id_); };
  EXPECT_EQ(account().status(), record::v1::ACCOUNT_STATUS_ACTIVE);
  EXPECT_EQ(account().status_reason(), "CLIENT_REJECTED");

  ASSERT_OK(TakeLease("h2"));
  ASSERT_OK(StoreRefreshed("h2", "b"));
  EXPECT_EQ(account().status_reason(), "");
  EXPECT_THAT(told(), ElementsAre("CLIENT_REJECTED", "CLIENT_REJECTED", "", ""));
  EXPECT_THAT(fail("CLIENT_SECRET_UNUSABLE"), IsOkAndHolds(true));
  // Also those that the consent does not name.
  ASSERT_OK(Connect("c", "person", {"page-2"}));
  EXPECT_EQ(account().status_reason(), "");
  ASSERT_OK_AND_ASSIGN(grant, grants().Get(kNoLimit, "acme", grant_id_));
  EXPECT_EQ(grant.trouble(), "");
  EXPECT_EQ(grant.failures(), 0);
}

TEST_F(GrantStoreTest, ANewConsentTakesTheLeaseAway) {
  ASSERT_OK(TakeLease("h1"));
  ASSERT_OK(Connect("b", "person", {"page-1"}));
  EXPECT_THAT(StoreRefreshed("h1", "stale"), StatusIs(absl::StatusCode::kAborted, _));
  EXPECT_EQ(AccessTokenOf(grant_id_), "access-canary-b");
  EXPECT_THAT(grants().MarkDead(kNoLimit, "acme", grant_id_, 1, "GRANT_REJECTED", kNow),
              IsOkAndHolds(false));
  ASSERT_OK_AND_ASSIGN(const auto account, store_->accounts().Get(kNoLimit, "acme", account_id_));
  EXPECT_EQ(account.status(), record::v1::ACCOUNT_STATUS_ACTIVE);
}

TEST_F(GrantStoreTest, AllAccountsOfADeadGrantNeedToBeReconnected) {
  ASSERT_OK(TakeLease("h1"));
  EXPECT_THAT(grants().MarkDead(kNoLimit, "acme", grant_id_, 1, "GRANT_REJECTED", kNow),
              IsOkAndHolds(true));
  ASSERT_OK_AND_ASSIGN(const auto accounts,
                       grants().ListAccounts(kNoLimit, "acme", grant_id_, "", {.rows = 10}));
  ASSERT_THAT(accounts.records, SizeIs(2));
  for (const auto& account : accounts.records) {
    EXPECT_EQ(account.status(), record::v1::ACCOUNT_STATUS_NEEDS_RECONNECT);
    EXPECT_EQ(account.status_reason(), "GRANT_REJECTED");
  }
  ASSERT_OK_AND_ASSIGN(const auto due, grants().ListDue(kNoLimit, absl::InfiniteFuture(), 10));
  EXPECT_THAT(due, IsEmpty());
}

// Else those that nobody refreshes would hold up the revoking of others for ever.
TEST_F(GrantStoreTest, WhatIsToBeRevokedComesBeforeWhatIsToBeRefreshed) {
  for (int i = 0; i < 5; ++i) {
    const std::string name = absl::StrCat("p", i);
    ASSERT_OK_AND_ASSIGN(const Connected connected, Connect(name, name, {name}));
    ASSERT_OK(grants().TakeLease(kNoLimit, "acme", connected.grant_id, "h", kNow));
    ASSERT_OK(grants().EndLease(kNoLimit, "acme", connected.grant_id, "h", kNow - absl::Hours(1)));
  }
  EXPECT_THAT(grants().ListDisconnected(kNoLimit, 10), IsOkAndHolds(IsEmpty()));
  ASSERT_OK_AND_ASSIGN(const Connected gone, Connect("gone", "gone", {"gone"}));
  ASSERT_OK(store_->accounts().Delete(kNoLimit, "acme", gone.accounts[0].id(), kNow));
  ASSERT_OK_AND_ASSIGN(const auto due, grants().ListDue(kNoLimit, kNow, 1));
  ASSERT_THAT(due, SizeIs(1));
  EXPECT_EQ(due[0].grant_id, gone.grant_id);
  ASSERT_OK_AND_ASSIGN(const auto disconnected, grants().ListDisconnected(kNoLimit, 10));
  ASSERT_THAT(disconnected, SizeIs(1));
  EXPECT_EQ(disconnected[0].grant_id, gone.grant_id);
}

TEST_F(GrantStoreTest, WhatIsDueIsGoneThroughByPosition) {
  const auto set_due = [&](const std::string& org_id, const std::string& id, absl::Time at) {
    ASSERT_OK(grants().TakeLease(kNoLimit, org_id, id, "h", kNow));
    ASSERT_OK(grants().EndLease(kNoLimit, org_id, id, "h", at));
  };
  std::vector<std::string> expected = {grant_id_};
  set_due("acme", grant_id_, kNow - absl::Hours(2));
  for (int i = 0; i < 4; ++i) {
    const std::string name = absl::StrCat("p", i);
    ASSERT_OK_AND_ASSIGN(const Connected connected,
                         Connect(name, name, {name}, "t", i < 2 ? "acme" : "other"));
    set_due(i < 2 ? "acme" : "other", connected.grant_id, kNow + absl::Seconds(i - 3));
    expected.push_back(connected.grant_id);
  }
  ASSERT_OK_AND_ASSIGN(const Connected gone, Connect("gone", "gone", {"gone"}));
  ASSERT_OK(store_->accounts().Delete(kNoLimit, "acme", gone.accounts[0].id(), kNow));

  std::vector<std::string> listed;
  for (DuePosition after = {.due = kDueToBeRevoked + 1}; listed.size() < 10;) {
    ASSERT_OK_AND_ASSIGN(const auto page, grants().ListDue(kNoLimit, after, kNow, 2));
    for (const GrantStore::DueGrant& grant : page) {
      listed.push_back(grant.position.id);
      EXPECT_NE(grant.social_network_id, "");
      EXPECT_EQ(grant.instance, "");
    }
    if (page.empty()) break;
    after = page.back().position;
  }
  EXPECT_EQ(listed, expected);
  EXPECT_THAT(grants().OldestDue(kNoLimit, kNow), IsOkAndHolds(kNow - absl::Hours(2)));
  EXPECT_THAT(grants().OldestDue(kNoLimit, kNow - absl::Hours(3)), IsOkAndHolds(std::nullopt));
  EXPECT_THAT(grants().NextDue(kNoLimit, kNow - absl::Seconds(2)),
              IsOkAndHolds(kNow - absl::Seconds(1)));
  EXPECT_THAT(grants().NextDue(kNoLimit, kNow + absl::Hours(2)), IsOkAndHolds(std::nullopt));
}

TEST_F(GrantStoreTest, WhatIsDueIsListedAndWhatIsDisconnectedIsDueAtOnce) {
  ASSERT_OK_AND_ASSIGN(const Connected other, Connect("b", "somebody", {"page-9"}, "t", "other"));
  ASSERT_OK_AND_ASSIGN(auto due, grants().ListDue(kNoLimit, kNow, 10));
  EXPECT_THAT(due, IsEmpty());
  ASSERT_OK_AND_ASSIGN(const auto removed,
                       store_->accounts().Delete(kNoLimit, "other", other.accounts[0].id(), kNow));
  EXPECT_THAT(removed.disconnected_grants, ElementsAre(other.grant_id));
  ASSERT_OK_AND_ASSIGN(due, grants().ListDue(kNoLimit, kNow, 10));
  ASSERT_THAT(due, SizeIs(1));
  EXPECT_EQ(due[0].org_id, "other");
  EXPECT_EQ(due[0].grant_id, other.grant_id);
  EXPECT_THAT(grants().TakeLease(kNoLimit, "other", other.grant_id, "h", kNow),
              HasReason("GRANT_NOT_FOUND"));
  ASSERT_OK_AND_ASSIGN(due, grants().ListDue(kNoLimit, kNow + absl::Minutes(50), 10));
  EXPECT_THAT(due, SizeIs(2));
  EXPECT_THAT(grants().Delete(kNoLimit, "acme", grant_id_),
              StatusIs(absl::StatusCode::kFailedPrecondition, _));
  ASSERT_OK(grants().Delete(kNoLimit, "other", other.grant_id));
  ASSERT_OK(grants().Delete(kNoLimit, "other", other.grant_id));
  EXPECT_THAT(grants().Get(kNoLimit, "other", other.grant_id), HasReason("GRANT_NOT_FOUND"));
}

TEST_F(GrantStoreTest, AGrantIsNotAnotherOrganizations) {
  const auto not_found = HasReason("GRANT_NOT_FOUND");
  const TokenSet tokens = TestTokens("x");
  EXPECT_THAT(grants().Get(kNoLimit, "other", grant_id_), not_found);
  EXPECT_THAT(grants().GetWithTokens(kNoLimit, "other", grant_id_).status(), not_found);
  EXPECT_THAT(grants().TakeLease(kNoLimit, "other", grant_id_, "h", kNow).status(), not_found);
  EXPECT_THAT(
      grants().StoreRefreshed(kNoLimit, "other", grant_id_, "h", tokens, kNow, kNow).status(),
      not_found);
  EXPECT_THAT(grants().EndLease(kNoLimit, "other", grant_id_, "h", kNow), not_found);
  EXPECT_THAT(grants().MarkDead(kNoLimit, "other", grant_id_, 1, "R", kNow), not_found);
  EXPECT_THAT(grants().RenewOwnTokens(kNoLimit, "other", grant_id_, 1,
                                      {{TestAccount("page-1"), "own"}}, kNow),
              not_found);
  EXPECT_OK(grants().Delete(kNoLimit, "other", grant_id_));
  ASSERT_OK_AND_ASSIGN(const auto accounts,
                       grants().ListAccounts(kNoLimit, "other", grant_id_, "", {.rows = 10}));
  EXPECT_THAT(accounts.records, IsEmpty());
  EXPECT_EQ(AccessTokenOf(grant_id_), "access-canary-a");
}

TEST_F(GrantStoreTest, AGrantWhoseRowWasEditedDoesNotOpenAndCanBeReplacedOrDeleted) {
  for (const char* edit :
       {"subject = 'x'", "instance = 'x'", "is_connected = 0", "client_digest = ''", "version = 9",
        "due_at_ms = 5", "generation = generation + 1", "tokens = whole", "whole = tokens"}) {
    store_.reset();
    const std::string saved = ReadFile(path_);
    Edit(absl::StrCat("UPDATE grants SET ", edit));
    EXPECT_FALSE(grants().GetWithTokens(kNoLimit, "acme", grant_id_).ok()) << edit;
    EXPECT_FALSE(TakeLease("h").ok()) << edit;
    store_.reset();
    folder_.Write("test.db", saved);
    Reopen();
  }
  Edit("UPDATE grants SET whole = tokens");
  ASSERT_OK_AND_ASSIGN(const Connected connected, Connect("b", "person", {"page-1"}));
  EXPECT_EQ(connected.grant_id, grant_id_);
  EXPECT_EQ(AccessTokenOf(grant_id_), "access-canary-b");
  Edit("UPDATE grants SET whole = tokens");
  EXPECT_OK(grants().Delete(kNoLimit, "acme", grant_id_));
}

}  // namespace
}  // namespace authurl::testing
