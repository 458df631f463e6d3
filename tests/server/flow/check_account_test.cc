// What a check finds, and what it keeps of it.
#include "server/flow/check_account.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/flow/stored_grant_fixture.h"

namespace authurl::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kRefreshPart[] = "refresh { rotation: ROTATION_ALWAYS }";
constexpr char kPersonBody[] =
    R"({"id":"person","login":"new-name","name":"A Person","picture":"https://net.example/p.png"})";
// An access token that is no longer good (RFC 6750 section 3.1).
constexpr char kDeadTokenBody[] =
    R"({"error":"invalid_token","error_description":"access-canary-a, access-canary-b"})";

class CheckAccountTest : public StoredGrantTest {
 protected:
  void SetUp() override {
    StoredGrantTest::SetUp();
    UseEntry(absl::StrCat(kRefreshPart, kProfilePart));
    refresher_ = std::make_unique<GrantRefresher>(Tools(), clock_);
  }
  void TearDown() override {
    StoredGrantTest::TearDown();
    refresher_.reset();
  }

  absl::StatusOr<CheckedAccount> Check(absl::string_view org_id = "acme") {
    Told<absl::StatusOr<CheckedAccount>> told;
    const AccountChecker checker(Tools(), *refresher_);
    checker.Check(org_id, account_id_, kNoLimit, told.Listener());
    absl::StatusOr<CheckedAccount> checked = told.Take();
    if (!checked.ok()) {
      EXPECT_THAT(checked.status().ToString(), Not(HasSubstr("canary")));
    }
    return checked;
  }
  // "healthy", "not healthy", or the reason of the error.
  std::string Health() {
    const absl::StatusOr<CheckedAccount> checked = Check();
    if (!checked.ok()) return ReasonOf(checked.status());
    return checked->is_healthy ? "healthy" : "not healthy";
  }

  std::unique_ptr<GrantRefresher> refresher_;
};

TEST_F(CheckAccountTest, KeepsWhatTheNetworkTells) {
  Connect(Tokens("a"));
  Advance(absl::Minutes(5));
  http_.Answer(200, kPersonBody);
  ASSERT_OK_AND_ASSIGN(const CheckedAccount checked, Check());
  EXPECT_TRUE(checked.is_healthy);
  EXPECT_EQ(checked.account.username(), "new-name");
  EXPECT_EQ(checked.account.display_name(), "A Person");
  EXPECT_EQ(checked.account.avatar_url(), "https://net.example/p.png");
  EXPECT_EQ(checked.account.checked_at_ms(), absl::ToUnixMillis(Now()));
  EXPECT_EQ(checked.account.confirmed_at_ms(), absl::ToUnixMillis(Now()));
  EXPECT_EQ(Account().username(), "new-name");
  const std::vector<SentRequest> sent = http_.sent();
  ASSERT_THAT(sent, SizeIs(1));
  EXPECT_EQ(sent[0].method, "GET");
  EXPECT_EQ(sent[0].url, "https://api.net.example/me");
}

// A person may take scopes back without ending the connection.
TEST_F(CheckAccountTest, ScopesThatARefreshNoLongerGivesAreMissing) {
  TokenSet tokens = Tokens("a");
  tokens.scopes = {"read", "write"};
  Connect(tokens);
  ASSERT_OK(store_->accounts().Update(
      kNoLimit, "acme", account_id_,
      [](record::v1::SocialAccount& account) {
        account.add_granted_scopes("read");
        account.add_granted_scopes("write");
        account.add_missing_scopes("delete");
        return absl::OkStatus();
      },
      Now()));
  Advance(absl::Hours(3));
  http_.Answer(200, R"({"access_token":"access-canary-b","expires_in":7200,"scope":"read"})");
  http_.Answer(200, kPersonBody);
  ASSERT_OK_AND_ASSIGN(const CheckedAccount checked, Check());
  EXPECT_THAT(checked.account.granted_scopes(), ElementsAre("read"));
  EXPECT_THAT(checked.account.missing_scopes(), ElementsAre("write", "delete"));
}

TEST_F(CheckAccountTest, RefreshesATokenThatHasEnded) {
  Connect(Tokens("a"));
  Advance(absl::Hours(3));
  http_.Answer(200, TokensBody("b"));
  http_.Answer(200, kPersonBody);
  EXPECT_EQ(Health(), "healthy");
  EXPECT_EQ(StoredAccessToken(), "access-canary-b");
}

TEST_F(CheckAccountTest, ATokenThatIsRefusedBeforeItsEndIsRefreshed) {
  Connect(Tokens("a"));
  http_.Answer(401, kDeadTokenBody);
  http_.Answer(200, TokensBody("b"));
  http_.Answer(200, kPersonBody);
  EXPECT_EQ(Health(), "healthy");
  EXPECT_EQ(AccountStatus(), "ACTIVE");
  EXPECT_THAT(http_.sent(), SizeIs(3));
}

TEST_F(CheckAccountTest, WhereANewTokenIsRefusedTooTheConnectionIsDead) {
  Connect(Tokens("a"), {"person", "another"});
  http_.Answer(401, kDeadTokenBody);
  http_.Answer(200, TokensBody("b"));
  http_.Answer(401, kDeadTokenBody);
  ASSERT_OK_AND_ASSIGN(const CheckedAccount checked, Check());
  EXPECT_FALSE(checked.is_healthy);
  EXPECT_EQ(checked.account.status_reason(), "ACCESS_TOKEN_DEAD");
  account_id_ = account_ids_[1];
  EXPECT_EQ(AccountStatus(), "ACCESS_TOKEN_DEAD");
  // It is known by now.
  EXPECT_EQ(Health(), "not healthy");
  EXPECT_THAT(http_.sent(), SizeIs(3));
}

TEST_F(CheckAccountTest, ADeadTokenThatCantBeRefreshedEndsTheConnection) {
  UseEntry(kProfilePart);
  Connect(Tokens("a"));
  http_.Answer(401, kDeadTokenBody);
  EXPECT_EQ(Health(), "not healthy");
  EXPECT_EQ(AccountStatus(), "ACCESS_TOKEN_DEAD");
}

TEST_F(CheckAccountTest, ADeadRefreshTokenIsAnAnswerToo) {
  Connect(Tokens("a"));
  Advance(absl::Hours(3));
  http_.Answer(400, R"({"error":"invalid_grant"})");
  EXPECT_EQ(Health(), "not healthy");
  EXPECT_EQ(AccountStatus(), "REFRESH_DEAD");
}

TEST_F(CheckAccountTest, ANetworkThatCantBeAskedSaysNothing) {
  Connect(Tokens("a"));
  http_.Fail(Lost());
  EXPECT_EQ(Health(), "NETWORK_UNAVAILABLE");
  http_.Answer(503, "");
  EXPECT_EQ(Health(), "NETWORK_UNAVAILABLE");
  http_.Answer(200, "<html>");
  EXPECT_EQ(Health(), "NETWORK_UNAVAILABLE");
  // Nor does one that tells of somebody else.
  http_.Answer(200, R"({"id":"another","login":"access-canary-a"})");
  EXPECT_EQ(Health(), "NETWORK_UNAVAILABLE");
  EXPECT_EQ(AccountStatus(), "ACTIVE");
  EXPECT_EQ(Account().checked_at_ms(), 0);
  EXPECT_EQ(Account().username(), "old-name");
}

TEST_F(CheckAccountTest, AnotherRefusalIsNotHealthyAndNotDead) {
  Connect(Tokens("a"));
  http_.Answer(403, R"({"error":"what","error_description":"access-canary-a"})");
  EXPECT_EQ(Health(), "not healthy");
  Advance(absl::Hours(3));
  http_.Answer(401, R"({"error":"invalid_client"})");
  EXPECT_EQ(Health(), "not healthy");
  EXPECT_EQ(AccountStatus(), "ACTIVE");
}

TEST_F(CheckAccountTest, WithoutTheScopeForTheProfileTheTokenIsGoodAllTheSame) {
  Connect(Tokens("a"));
  http_.Answer(403, R"({"error":"insufficient_scope"})");
  EXPECT_EQ(Health(), "healthy");
  EXPECT_EQ(Account().username(), "old-name");
  EXPECT_EQ(Account().checked_at_ms(), absl::ToUnixMillis(Now()));
}

TEST_F(CheckAccountTest, WhoeverIsNotAskedIsAnsweredOfWhatIsStored) {
  // There is no profile to ask for.
  UseEntry("");
  Connect(Tokens("a"));
  EXPECT_EQ(Health(), "healthy");
  EXPECT_EQ(Account().checked_at_ms(), 0);
  // It would be refused.
  UseEntry(R"pb(profile {
                  request { url: "https://api.net.example/me" }
                  needs_any_scope: "profile"
                })pb");
  TokenSet tokens = Tokens("b");
  tokens.scopes = std::vector<std::string>{"write"};
  Connect(tokens);
  EXPECT_EQ(Health(), "healthy");
  EXPECT_THAT(http_.sent(), IsEmpty());
  tokens.scopes = std::vector<std::string>{"write", "profile"};
  Connect(tokens);
  http_.Answer(200, "{}");
  EXPECT_EQ(Health(), "healthy");
  EXPECT_THAT(http_.sent(), SizeIs(1));
}

TEST_F(CheckAccountTest, WhatWasChosenFromAListKeepsItsNames) {
  UseEntry(absl::StrCat(kProfilePart, kListPart));
  Connect(Tokens("a"), {"page-1"});
  http_.Answer(200, kPersonBody);
  EXPECT_EQ(Health(), "healthy");
  EXPECT_EQ(Account().username(), "old-name");
  EXPECT_EQ(Account().checked_at_ms(), absl::ToUnixMillis(Now()));
}

TEST_F(CheckAccountTest, AnOwnTokenThatIsDeadEndsItsAccountAlone) {
  UseEntry(absl::StrCat(kRefreshPart, kProfilePart, kListPart));
  Connect(Tokens("a"), {"page-1", "page-2"}, "own-canary");
  http_.Answer(401, R"({"error":"invalid_token","error_description":"own-canary"})");
  EXPECT_EQ(Health(), "not healthy");
  EXPECT_EQ(AccountStatus(), "ACCESS_TOKEN_DEAD");
  account_id_ = account_ids_[1];
  EXPECT_EQ(AccountStatus(), "ACTIVE");
  EXPECT_THAT(http_.sent(), SizeIs(1));
}

TEST_F(CheckAccountTest, AnAccountThatWasConnectedAnewMeanwhileIsNotDead) {
  UseEntry(absl::StrCat(kProfilePart, kListPart));
  Connect(Tokens("a"), {"page-1"}, "own-canary");
  http_.Answer(401, kDeadTokenBody);
  http_.Meanwhile([this] {
    Advance(absl::Seconds(1));
    Connect(Tokens("b"), {"page-1"}, "own-canary-2");
  });
  EXPECT_EQ(Health(), "healthy");
  EXPECT_EQ(AccountStatus(), "ACTIVE");
}

TEST_F(CheckAccountTest, AnAccountIsNotAnotherOrganizations) {
  Connect(Tokens("a"));
  EXPECT_THAT(Check("other"), HasReason("SOCIAL_ACCOUNT_NOT_FOUND"));
}

}  // namespace
}  // namespace authurl::testing
