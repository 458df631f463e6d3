// Flows, grants, accounts and choices together: what holds for all of their tables.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/errors.h"
#include "tests/storage/child_process.h"
#include "tests/storage/connections_fixture.h"
#include "tests/support/build_kind.h"
#include "tests/support/purge.h"

namespace authurl::testing {
namespace {

using ::testing::_;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using record::v1::SocialNetworkSettings;
using Accounts = SocialNetworkStore::Accounts;

class AllConnectionsTest : public ConnectionsTest {
 protected:
  // A row of each table, and more.
  void FillConnections(absl::string_view org = "acme") {
    ASSERT_OK(Spend("alone", org));
    ASSERT_OK(Spend("a", org));
    const std::vector<NewAccount> accounts = {{TestAccount("p1", "tenant", org), "own-canary"},
                                              {TestAccount("p2", "tenant", org), ""}};
    ASSERT_OK_AND_ASSIGN(connected_, Complete("a", TestGrant("person", org), accounts));
    ASSERT_OK(Spend("b", org));
    const TokenSet tokens = TestTokens("b");
    record::v1::PendingConnection pending;
    pending.set_tenant_id("tenant");
    ASSERT_OK(store_->pending_connections().Offer(
        kNoLimit, org, FlowId("b"), "session-canary", pending, {TestGrant("somebody", org), tokens},
        {{TestAccount("p3", "", org), "choice-canary"}}, kNow));
  }

  void ExpectAllReadable() {
    EXPECT_EQ(FlowNamed("a").completed().account_ids_size(), 2);
    EXPECT_EQ(FlowNamed("alone").outcome_case(), record::v1::Flow::OUTCOME_NOT_SET);
    EXPECT_EQ(AccessTokenOf(connected_.grant_id), "access-canary-a");
    const auto found =
        store_->accounts().GetWithToken(kNoLimit, "acme", connected_.accounts[0].id());
    ASSERT_OK(found.status());
    EXPECT_EQ(found->access_token, "own-canary");
  }

  Connected connected_;
};

TEST_F(AllConnectionsTest, NoTokenAndNothingPrivateIsReadableInTheFiles) {
  store_.reset();
  ASSERT_EQ(RunInChild([&] {
              Reopen();
              FillConnections();
              store_->pending_connections()
                  .Finalize(kNoLimit, "acme", "session-canary", "", {"p3"}, kNow)
                  .status()
                  .IgnoreError();
              _exit(HasFailure() ? 1 : 0);  // The write-ahead log stays.
              return 1;
            }),
            0);
  const std::string log = ReadFile(path_ + "-wal");
  Reopen();
  store_.reset();
  const std::string file = ReadFile(path_);
  for (const std::string& bytes : {log, file}) {
    ASSERT_THAT(bytes, HasSubstr("acme-google"));
    EXPECT_EQ(bytes.find("canary"), std::string::npos);
    EXPECT_EQ(bytes.find("A page of"), std::string::npos);
    EXPECT_EQ(bytes.find("client-key-of"), std::string::npos);
  }
}

TEST_F(AllConnectionsTest, ADeletedOrganizationTakesAllOfThemAndALaterOneMeetsNone) {
  FillConnections("other");
  store_->flows().Spend(kNoLimit, TestFlow("acme's"), kNow).status().IgnoreError();
  ASSERT_OK(store_->DeleteOrganization(kNoLimit, "other", kNow));
  const std::string id = connected_.accounts[0].id();
  const auto expect_gone = [&] {
    EXPECT_EQ(FlowNamed("a", "other").id(), "");
    EXPECT_THAT(store_->grants().Get(kNoLimit, "other", connected_.grant_id),
                HasReason("GRANT_NOT_FOUND"));
    EXPECT_THAT(store_->accounts().Get(kNoLimit, "other", id),
                HasReason("SOCIAL_ACCOUNT_NOT_FOUND"));
    EXPECT_THAT(
        store_->pending_connections().Get(kNoLimit, PendingConnectionId("session-canary"), kNow),
        HasReason("SESSION_NOT_FOUND"));
    ASSERT_OK_AND_ASSIGN(const auto listed,
                         store_->accounts().List(kNoLimit, "other", {}, "", {.rows = 10}));
    EXPECT_THAT(listed.records, IsEmpty());
    EXPECT_THAT(store_->accounts().Count(kNoLimit, "other", {}, 10).value_or(-1), 0);
  };
  expect_gone();
  // Key, two configurations, three flows, two grants, two accounts with an event for each, a
  // choice, the organisation.
  for (int left = 14; left > 0; --left) {
    EXPECT_EQ(PurgeOrganizations(*store_, 1).value_or(-1), 1);
    expect_gone();
  }
  EXPECT_EQ(PurgeOrganizations(*store_, 1).value_or(-1), 0);
  ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("other")));
  expect_gone();
  EXPECT_EQ(Rows(), "1 flows, 0 grants, 0 social_accounts, 0 pending_connections");
}

TEST_F(AllConnectionsTest, AfterAKeyRotationAllIsSealedAnewButWhatExpiresSoon) {
  FillConnections();
  store_.reset();
  ASSERT_OK_AND_ASSIGN(const std::string rotated, RotatedKeyRingText(key_text_, random_));
  const Keys both(rotated);
  std::vector<std::string> lines;
  for (const absl::string_view line : absl::StrSplit(rotated, '\n', absl::SkipEmpty())) {
    if (line.front() != '#') lines.emplace_back(line);
  }
  ASSERT_OK_AND_ASSIGN(store_, OpenStore(both));
  bool is_done = false;
  for (int steps = 0; !is_done; ++steps) {
    ASSERT_LE(steps, 100);
    ASSERT_OK_AND_ASSIGN(const ResealStep step, store_->ResealNext(2));
    is_done = step.done;
  }
  store_.reset();
  const Keys new_only(lines[0] + "\n");
  ASSERT_OK_AND_ASSIGN(store_, OpenStore(new_only));
  ExpectAllReadable();
  EXPECT_THAT(
      store_->pending_connections().Get(kNoLimit, PendingConnectionId("session-canary"), kNow),
      StatusIs(absl::StatusCode::kInternal, HasSubstr("key")));
}

TEST_F(AllConnectionsTest, TheClientOfAConfigurationCantBeChangedWhileItIsInUse) {
  const auto change_client = [](SocialNetworkSettings& settings, absl::string_view) {
    settings.set_client_key("another");
    return absl::OkStatus();
  };
  const auto change_variant = [](SocialNetworkSettings& settings, absl::string_view) {
    settings.set_variant("another");
    return absl::OkStatus();
  };
  const auto update = [&](const SocialNetworkStore::Change& change, bool make_default = false) {
    return store_->social_networks()
        .Update(kNoLimit, "acme", "acme-google", kNow, change, std::nullopt, make_default)
        .status();
  };
  const auto is_in_use =
      AllOf(HasReason("CONFIGURATION_IN_USE"), StatusIs(absl::StatusCode::kFailedPrecondition, _));
  ASSERT_OK(Spend("a"));
  EXPECT_THAT(update(change_client), is_in_use);
  EXPECT_THAT(update(change_variant, true), is_in_use);
  EXPECT_OK(update(SomeChange));
  EXPECT_OK(store_->social_networks().Update(kNoLimit, "acme", "acme-google", kNow, NoChange,
                                             "new secret"));
  ASSERT_OK_AND_ASSIGN(const Connected connected,
                       Complete("a", TestGrant("person"), {{TestAccount("p1"), ""}}));
  EXPECT_THAT(update(change_client), is_in_use);
  ASSERT_OK(store_->accounts().Delete(kNoLimit, "acme", connected.accounts[0].id(), kNow).status());
  // What failed is no use, nor what is only to be revoked.
  ASSERT_OK(Spend("b"));
  ASSERT_OK(store_->flows().Fail(kNoLimit, "acme", FlowId("b"), absl::InternalError("x"), kNow));
  EXPECT_OK(update(change_variant));
  EXPECT_OK(update(change_client));
}

TEST_F(AllConnectionsTest, WhatBecomesOfAConfigurationsAccountsIsSaidWhenItIsDeleted) {
  SocialNetworkStore& networks = store_->social_networks();
  FillConnections();
  EXPECT_THAT(networks.Delete(kNoLimit, "acme", "acme-google"), HasReason("CONFIGURATION_IN_USE"));
  EXPECT_OK(networks.Get(kNoLimit, "acme", "acme-google"));
  EXPECT_THAT(networks.Delete(kNoLimit, "other", "acme-google", Accounts::kDisconnect, kNow),
              HasReason("SOCIAL_NETWORK_NOT_FOUND"));
  const auto disconnect = [&] {
    return networks.Delete(kNoLimit, "acme", "acme-google", Accounts::kDisconnect, kNow);
  };
  EXPECT_THAT(disconnect(), HasReason("REVOCATION_IN_PROGRESS"));
  ASSERT_OK_AND_ASSIGN(const auto due, store_->grants().ListDisconnected(kNoLimit, 10));
  EXPECT_THAT(due, SizeIs(2));
  EXPECT_THAT(disconnect(), HasReason("REVOCATION_IN_PROGRESS"));
  for (const auto& grant : due) {
    ASSERT_OK(store_->grants().Delete(kNoLimit, grant.org_id, grant.grant_id));
  }
  ASSERT_OK(disconnect());
  EXPECT_THAT(networks.Get(kNoLimit, "acme", "acme-google"), HasReason("SOCIAL_NETWORK_NOT_FOUND"));
  ASSERT_OK_AND_ASSIGN(const Connected kept, Connect("x", "person", {"p1"}, "tenant", "other"));
  ASSERT_OK(store_->social_networks().Delete(kNoLimit, "other", "other-google", Accounts::kKeep));
  EXPECT_OK(store_->accounts().Get(kNoLimit, "other", kept.accounts[0].id()));
  EXPECT_EQ(AccessTokenOf(kept.grant_id, "other"), "access-canary-x");
  EXPECT_EQ(Rows(), "4 flows, 1 grants, 1 social_accounts, 1 pending_connections");
}

TEST_F(AllConnectionsTest, StatesAreRefusedFromATimeOnThatNeverGoesBack) {
  EXPECT_THAT(store_->GetStatesNotBefore(), IsOkAndHolds(absl::InfinitePast()));
  ASSERT_OK(store_->SetStatesNotBefore(kNow + absl::Microseconds(1)));
  EXPECT_THAT(store_->GetStatesNotBefore(), IsOkAndHolds(kNow + absl::Milliseconds(1)));
  ASSERT_OK(store_->SetStatesNotBefore(kNow));
  Reopen();
  EXPECT_THAT(store_->GetStatesNotBefore(), IsOkAndHolds(kNow + absl::Milliseconds(1)));
  Edit(
      "UPDATE meta SET value = CAST('9' || substr(CAST(value AS TEXT), 2) AS BLOB)"
      " WHERE name = 'states_not_before'");
  EXPECT_THAT(store_->GetStatesNotBefore(), StatusIs(absl::StatusCode::kInternal, _));
  ASSERT_OK(store_->SetStatesNotBefore(kNow + absl::Hours(1)));
  EXPECT_THAT(store_->GetStatesNotBefore(), IsOkAndHolds(kNow + absl::Hours(1)));
}

// What is read of a damaged file is an error or the truth.
TEST_F(AllConnectionsTest, ADamagedFileYieldsErrorsOrTheTruth) {
  constexpr int kFlips = kSanitized ? 100 : 2'000;
  FillConnections();
  const record::v1::Flow flow = FlowNamed("a");
  store_.reset();
  const std::string sound = ReadFile(path_);
  std::mt19937_64 random(20260902);
  std::uniform_int_distribution<size_t> any_bit(0, sound.size() * 8 - 1);
  int right = 0;
  for (int i = 0; i < kFlips && !HasFailure(); ++i) {
    const size_t bit = any_bit(random);
    SCOPED_TRACE(absl::StrCat("flip ", i, ": bit ", bit % 8, " of byte ", bit / 8));
    std::string damaged = sound;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    store_.reset();
    for (const char* suffix : {"-wal", "-shm"}) unlink((path_ + suffix).c_str());
    folder_.Write("test.db", damaged);
    auto store = OpenStore(keys_);
    if (!store.ok()) continue;
    const auto found = (*store)->flows().Find(kNoLimit, "acme", FlowId("a"));
    if (found.ok() && found->has_value()) {
      ++right;
      EXPECT_THAT(**found, EqualsProto(flow));
    }
    const auto opened = (*store)->grants().GetWithTokens(kNoLimit, "acme", connected_.grant_id);
    if (opened.ok()) {
      ++right;
      EXPECT_EQ(opened->tokens.access_token, "access-canary-a");
      EXPECT_EQ(opened->grant.subject(), "person");
    }
    const auto page =
        (*store)->accounts().List(kNoLimit, "acme", {.tenant_id = "tenant"}, "", {.rows = 10});
    if (page.ok()) {
      for (const auto& account : page->records) {
        ++right;
        const auto& all = connected_.accounts;
        EXPECT_TRUE(std::any_of(all.begin(), all.end(), [&](const auto& each) {
          return google::protobuf::util::MessageDifferencer::Equals(each, account);
        })) << account.ShortDebugString();
      }
    }
    const auto pending =
        (*store)->pending_connections().Get(kNoLimit, PendingConnectionId("session-canary"), kNow);
    if (pending.ok()) {
      ++right;
      EXPECT_EQ(pending->choices(0).network_unique_id(), "p3");
    }
  }
  EXPECT_GT(right, kFlips);
}

}  // namespace
}  // namespace authurl::testing
