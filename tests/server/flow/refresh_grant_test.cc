// What is given for a token that ends, and that no refresh token is used twice or lost.
#include "server/flow/refresh_grant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/server/flow/stored_grant_fixture.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Lt;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kDeadBody[] =
    R"({"error":"invalid_grant","error_description":"refresh-canary-a of client-secret-canary-1"})";

class RefreshGrantTest : public StoredGrantTest {
 protected:
  void SetUp() override {
    StoredGrantTest::SetUp();
    refresher_ = std::make_unique<GrantRefresher>(Tools(), steady_);
  }
  void TearDown() override {
    StoredGrantTest::TearDown();
    refresher_.reset();
  }

  absl::StatusOr<UsableAccount> GetToken(const WantedToken& wanted = {},
                                         absl::string_view org_id = "acme") {
    return GetTokenBy(*refresher_, wanted, org_id);
  }
  absl::StatusOr<UsableAccount> GetTokenBy(GrantRefresher& refresher,
                                           const WantedToken& wanted = {},
                                           absl::string_view org_id = "acme") {
    Told<absl::StatusOr<UsableAccount>> told;
    refresher.GetToken(org_id, account_id_, wanted, kNoLimit, told.Listener());
    absl::StatusOr<UsableAccount> usable = told.Take();
    if (!usable.ok()) {
      EXPECT_THAT(usable.status().ToString(), Not(HasSubstr("canary")));
    }
    return usable;
  }
  // The access token, or the reason of the error.
  std::string TokenOrReason(const WantedToken& wanted = {}) {
    const absl::StatusOr<UsableAccount> usable = GetToken(wanted);
    return usable.ok() ? std::string(usable->access_token()) : ReasonOf(usable.status());
  }

  // Connected, and its token ends soon.
  void ConnectAndWait(const std::string& refresh) {
    UseEntry(refresh);
    Connect(Tokens("a"));
    Advance(absl::Hours(2) - absl::Seconds(30));
  }

  // By how much the clock was put forward.
  absl::Duration jumped_;
  const Clock steady_ = [this] { return Now() - jumped_; };
  std::unique_ptr<GrantRefresher> refresher_;
};

TEST_F(RefreshGrantTest, GivesTheTokenAtHandWhileItIsGoodEnough) {
  Connect(Tokens("a"));
  ASSERT_OK_AND_ASSIGN(const UsableAccount usable, GetToken());
  EXPECT_EQ(usable.access_token(), "access-canary-a");
  EXPECT_EQ(usable.expires_at(), kStart + absl::Hours(2));
  EXPECT_EQ(usable.account.account.id(), account_id_);
  EXPECT_EQ(usable.grant->grant.id(), grant_id_);
  Advance(absl::Hours(2) - absl::Seconds(60));
  EXPECT_EQ(TokenOrReason(), "access-canary-a");
  EXPECT_THAT(http_.sent(), IsEmpty());
}

TEST_F(RefreshGrantTest, RefreshesATokenThatEndsSoonAndStoresWhatCame) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS refresh_token_lifetime_s: 864000 }");
  http_.Answer(200, TokensBody("b"));
  ASSERT_OK_AND_ASSIGN(const UsableAccount usable, GetToken());
  EXPECT_EQ(usable.access_token(), "access-canary-b");
  EXPECT_EQ(usable.expires_at(), Now() + absl::Hours(2));
  EXPECT_EQ(usable.grant->tokens.refresh_token, "refresh-canary-b");
  EXPECT_EQ(usable.grant->grant.generation(), 2u);
  const std::vector<SentRequest> sent = http_.sent();
  ASSERT_THAT(sent, SizeIs(1));
  EXPECT_EQ(sent[0].url, "https://api.net.example/token");
  EXPECT_EQ(sent[0].body, absl::StrCat("grant_type=refresh_token&refresh_token=refresh-canary-a&",
                                       "client_id=client-1&client_secret=", kOldSecret));
  EXPECT_EQ(sent[0].target.network, "net");
  EXPECT_EQ(sent[0].target.org_id, "acme");
  EXPECT_EQ(sent[0].target.trust, HostTrust::kCatalog);

  EXPECT_EQ(StoredAccessToken(), "access-canary-b");
  EXPECT_EQ(StoredGrant().lease_holder(), "");
  EXPECT_THAT(StoredGrant().due_at_ms(), AllOf(Ge(absl::ToUnixMillis(Now() + absl::Hours(96))),
                                               Lt(absl::ToUnixMillis(Now() + absl::Hours(144)))));
  EXPECT_EQ(TokenOrReason(), "access-canary-b");
  EXPECT_THAT(http_.sent(), SizeIs(1));
}

TEST_F(RefreshGrantTest, ALongerValidityThanTheNetworkGivesIsNotWaitedFor) {
  Connect(Tokens("a", absl::Hours(1)));
  const WantedToken hour = {.min_validity = absl::Hours(1)};
  Advance(absl::Minutes(29));
  EXPECT_EQ(TokenOrReason(hour), "access-canary-a");
  Advance(absl::Minutes(2));
  http_.Answer(200, TokensBody("b", absl::Hours(1)));
  EXPECT_EQ(TokenOrReason(hour), "access-canary-b");
  EXPECT_EQ(TokenOrReason(hour), "access-canary-b");
}

TEST_F(RefreshGrantTest, ATokenWithoutAnEndIsGood) {
  Connect(Tokens("a", absl::InfiniteDuration()));
  Advance(absl::Hours(10'000));
  ASSERT_OK_AND_ASSIGN(const UsableAccount usable, GetToken());
  EXPECT_EQ(usable.access_token(), "access-canary-a");
  EXPECT_EQ(usable.expires_at(), std::nullopt);
}

TEST_F(RefreshGrantTest, WhatCantBeRefreshedIsGivenAsLongAsItLasts) {
  for (const char* const entry : {"", "refresh { rotation: ROTATION_ALWAYS }"}) {
    UseEntry(entry);
    TokenSet tokens = Tokens("a");
    tokens.refresh_token.clear();
    Connect(tokens);
    Advance(absl::Hours(2) - absl::Seconds(1));
    EXPECT_EQ(TokenOrReason(), "access-canary-a");
    EXPECT_EQ(AccountStatus(), "ACTIVE");
    Advance(absl::Seconds(1));
    EXPECT_THAT(GetToken(), AllOf(HasReason("NEEDS_RECONNECT"),
                                  StatusIs(absl::StatusCode::kFailedPrecondition,
                                           HasSubstr("gave nothing that could be used"))));
    EXPECT_EQ(AccountStatus(), "ACCESS_TOKEN_EXPIRED");
    EXPECT_EQ(TokenOrReason(), "NEEDS_RECONNECT");
  }
  EXPECT_THAT(http_.sent(), IsEmpty());
}

TEST_F(RefreshGrantTest, NoRefreshIsSentBeforeTheNetworkTakesIt) {
  UseEntry("refresh { rotation: ROTATION_NO_REFRESH_TOKEN min_age_s: 10800 }");
  TokenSet tokens = Tokens("a");
  tokens.refresh_token.clear();
  Connect(tokens);
  Advance(absl::Hours(2) - absl::Seconds(30));
  EXPECT_EQ(TokenOrReason(), "access-canary-a");
  Advance(absl::Seconds(30));
  const absl::StatusOr<UsableAccount> too_early = GetToken();
  EXPECT_THAT(too_early, HasReason("NETWORK_UNAVAILABLE"));
  EXPECT_EQ(RetryAfterOf(too_early.status()), absl::Hours(1));
  EXPECT_EQ(AccountStatus(), "ACTIVE");
  Advance(absl::Hours(1));
  http_.Answer(200, TokensBody("b"));
  EXPECT_EQ(TokenOrReason(), "access-canary-b");
  EXPECT_THAT(http_.sent()[0].body, Not(HasSubstr("refresh-canary")));
}

TEST_F(RefreshGrantTest, TimePassesBetweenTwoRefreshes) {
  ConnectAndWait("refresh { rotation: ROTATION_NEVER min_interval_s: 10800 }");
  http_.Answer(200, TokensBody("b"));
  EXPECT_EQ(TokenOrReason(), "access-canary-b");
  Advance(absl::Hours(2) - absl::Seconds(30));
  EXPECT_EQ(TokenOrReason(), "access-canary-b");
  Advance(absl::Seconds(30));
  EXPECT_EQ(TokenOrReason(), "NETWORK_UNAVAILABLE");
  Advance(absl::Hours(1));
  http_.Answer(200, TokensBody("c"));
  EXPECT_EQ(TokenOrReason(), "access-canary-c");
}

TEST_F(RefreshGrantTest, ManyCallersShareOneRefresh) {
  UseEntry("refresh { rotation: ROTATION_ALWAYS single_use: true }");
  Connect(Tokens("a"), {"page-1", "page-2"});
  Advance(absl::Hours(2));
  http_.Hold();
  http_.Answer(200, TokensBody("b"));
  std::vector<Told<absl::StatusOr<UsableAccount>>> told(64);
  for (size_t i = 0; i < told.size(); ++i) {
    refresher_->GetToken("acme", account_ids_[i % 2], {}, kNoLimit, told[i].Listener());
  }
  ASSERT_TRUE(Eventually([this] { return !http_.sent().empty() && pool_.waiting() == 0; }));
  http_.Release();
  for (size_t i = 0; i < told.size(); ++i) {
    ASSERT_OK_AND_ASSIGN(const UsableAccount usable, told[i].Take());
    EXPECT_EQ(usable.access_token(), "access-canary-b");
    EXPECT_EQ(usable.account.account.id(), account_ids_[i % 2]);
  }
  EXPECT_THAT(http_.sent(), SizeIs(1));
  EXPECT_EQ(StoredGrant().generation(), 2u);
}

TEST_F(RefreshGrantTest, TheEndOfOneCallersTimeIsNotThatOfTheOthers) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS }");
  http_.Hold();
  http_.Fail(absl::CancelledError("the first one's time is over"));
  http_.Fail(absl::CancelledError("the first one's time is over"));
  Told<absl::StatusOr<UsableAccount>> first;
  refresher_->GetToken("acme", account_id_, {}, kNoLimit, first.Listener());
  ASSERT_TRUE(Eventually([this] { return !http_.sent().empty(); }));
  std::vector<Told<absl::StatusOr<UsableAccount>>> others(8);
  for (auto& other : others) {
    refresher_->GetToken("acme", account_id_, {}, kNoLimit, other.Listener());
  }
  ASSERT_TRUE(Eventually([this] { return pool_.waiting() == 0; }));
  // For one who is so slow that it comes after that.
  http_.AnswerAlways([](int) { return TokensBody("b"); });
  http_.Release();
  EXPECT_THAT(first.Take(), StatusIs(absl::StatusCode::kCancelled, HasSubstr("is over")));
  for (auto& other : others) {
    const absl::StatusOr<UsableAccount> usable = other.Take();
    if (!usable.ok()) {
      EXPECT_THAT(usable, HasReason("REFRESH_IN_PROGRESS"));
    }
  }
}

TEST_F(RefreshGrantTest, WhatIsFoundDeadMeanwhileIsNotSent) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS single_use: true }");
  backend_->BeforeNext([this] {
    ASSERT_OK(store_->accounts().MarkNeedsReconnect(kNoLimit, "acme", account_id_,
                                                    "REFRESH_ANSWER_LOST", Now()));
  });
  EXPECT_EQ(TokenOrReason(), "NEEDS_RECONNECT");
  EXPECT_EQ(StoredGrant().lease_holder(), "");
  EXPECT_THAT(http_.sent(), IsEmpty());
}

TEST_F(RefreshGrantTest, OfTwoProcessesOneRefreshes) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS single_use: true }");
  GrantRefresher other(Tools(), steady_);
  http_.Hold();
  http_.Answer(200, TokensBody("b"));
  Told<absl::StatusOr<UsableAccount>> told;
  refresher_->GetToken("acme", account_id_, {}, kNoLimit, told.Listener());
  ASSERT_TRUE(Eventually([this] { return !http_.sent().empty(); }));
  const absl::StatusOr<UsableAccount> refused = GetTokenBy(other);
  EXPECT_THAT(refused, AllOf(HasReason("REFRESH_IN_PROGRESS"),
                             StatusIs(absl::StatusCode::kAborted, HasSubstr("try again"))));
  EXPECT_EQ(RetryAfterOf(refused.status()), absl::Seconds(1));
  http_.Release();
  ASSERT_OK(told.Take());
  ASSERT_OK_AND_ASSIGN(const UsableAccount usable, GetTokenBy(other));
  EXPECT_EQ(usable.access_token(), "access-canary-b");
  EXPECT_THAT(http_.sent(), SizeIs(1));
}

// As after kill -9: nobody knows whether the refresh token was sent.
TEST_F(RefreshGrantTest, AfterAnAbandonedLeaseTheNextOneRefreshes) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS single_use: true }");
  ASSERT_TRUE(AnotherTakesTheLease());
  Advance(absl::Seconds(59));
  EXPECT_EQ(TokenOrReason(), "REFRESH_IN_PROGRESS");
  EXPECT_THAT(http_.sent(), IsEmpty());
  Advance(absl::Seconds(1));
  http_.Answer(200, TokensBody("b"));
  EXPECT_EQ(TokenOrReason(), "access-canary-b");
}

TEST_F(RefreshGrantTest, AfterAnAbandonedLeaseNoneIsRiskedWhereReuseEndsTheGrant) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS single_use: true reuse_ends_grant: true }");
  ASSERT_TRUE(AnotherTakesTheLease());
  Advance(absl::Seconds(60));
  EXPECT_EQ(TokenOrReason(), "NEEDS_RECONNECT");
  EXPECT_EQ(AccountStatus(), "REFRESH_ANSWER_LOST");
  EXPECT_THAT(http_.sent(), IsEmpty());
}

TEST_F(RefreshGrantTest, NothingIsSentWithTooLittleOfTheLeaseLeft) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS }");
  backend_->BeforeNext([this] { Advance(absl::Seconds(45)); });
  EXPECT_EQ(TokenOrReason(), "REFRESH_IN_PROGRESS");
  EXPECT_THAT(http_.sent(), IsEmpty());
  EXPECT_EQ(StoredGrant().lease_holder(), "");
}

TEST_F(RefreshGrantTest, ANewConsentMeanwhileWins) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS }");
  http_.Answer(200, TokensBody("b"));
  http_.Meanwhile([this] { Connect(Tokens("c")); });
  EXPECT_EQ(TokenOrReason(), "REFRESH_IN_PROGRESS");
  EXPECT_EQ(TokenOrReason(), "access-canary-c");
  EXPECT_EQ(StoredAccessToken(), "access-canary-c");
}

TEST_F(RefreshGrantTest, ANewConsentMeanwhileIsNotDead) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS }");
  http_.Answer(400, kDeadBody);
  http_.Meanwhile([this] { Connect(Tokens("c")); });
  EXPECT_EQ(TokenOrReason(), "REFRESH_IN_PROGRESS");
  EXPECT_EQ(AccountStatus(), "ACTIVE");
  EXPECT_EQ(TokenOrReason(), "access-canary-c");
}

TEST_F(RefreshGrantTest, AnAccountThatIsRemovedMeanwhileGetsNoToken) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS }");
  http_.Answer(200, TokensBody("b"));
  http_.Meanwhile(
      [this] { ASSERT_OK(store_->accounts().Delete(kNoLimit, "acme", account_id_, Now())); });
  EXPECT_EQ(TokenOrReason(), "REFRESH_IN_PROGRESS");
  EXPECT_EQ(TokenOrReason(), "SOCIAL_ACCOUNT_NOT_FOUND");
}

// What is revoked of a grant that is disconnected are the tokens that it had.
TEST_F(RefreshGrantTest, TokensThatComeAfterTheLastAccountWasRemovedAreRevoked) {
  ConnectAndWait(absl::StrCat("refresh { rotation: ROTATION_ALWAYS }", kRevocationPart));
  http_.Answer(200, TokensBody("b"));
  http_.Answer(200, "");
  http_.Meanwhile(
      [this] { ASSERT_OK(store_->accounts().Delete(kNoLimit, "acme", account_id_, Now())); });
  EXPECT_EQ(TokenOrReason(), "REFRESH_IN_PROGRESS");
  ASSERT_TRUE(Eventually([this] { return http_.sent().size() == 2; }));
  EXPECT_EQ(http_.sent()[1].url, "https://api.net.example/revoke");
  EXPECT_THAT(http_.sent()[1].body, HasSubstr("refresh-canary-b"));
}

TEST_F(RefreshGrantTest, ADeadRefreshTokenEndsTheConnectionOfAllAccounts) {
  UseEntry("refresh { rotation: ROTATION_ALWAYS }");
  Connect(Tokens("a"), {"page-1", "page-2"});
  Advance(absl::Hours(2));
  http_.Answer(400, kDeadBody);
  EXPECT_THAT(GetToken(),
              AllOf(HasReason("NEEDS_RECONNECT"),
                    StatusIs(absl::StatusCode::kFailedPrecondition,
                             AllOf(HasSubstr("Net no longer takes"), HasSubstr("invalid_grant")))));
  for (const std::string& id : account_ids_) {
    ASSERT_OK_AND_ASSIGN(const auto account, store_->accounts().Get(kNoLimit, "acme", id));
    EXPECT_EQ(account.status_reason(), "REFRESH_DEAD");
  }
  EXPECT_EQ(StoredGrant().lease_holder(), "");
  // The stored reason has its sentence, too, and nothing is sent any more.
  EXPECT_THAT(GetToken(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                   HasSubstr("Net no longer takes the refresh token")));
  EXPECT_THAT(http_.sent(), SizeIs(1));
}

TEST_F(RefreshGrantTest, ANetworkThatMayErrIsBelievedTheSecondTimeIfItWorksForOthers) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS may_err: true }");
  http_.Answer(400, kDeadBody);
  const absl::StatusOr<UsableAccount> doubted = GetToken();
  EXPECT_THAT(doubted, HasReason("NETWORK_UNAVAILABLE"));
  EXPECT_TRUE(RetryAfterOf(doubted.status()).has_value());
  EXPECT_EQ(StoredGrant().lease_holder(), "");
  EXPECT_EQ(StoredGrant().due_at_ms(), absl::ToUnixMillis(Now() + RefusalDoubts::kDoubt));
  Advance(RefusalDoubts::kDoubt - absl::Seconds(1));
  http_.Answer(400, kDeadBody);
  EXPECT_EQ(TokenOrReason(), "NETWORK_UNAVAILABLE");
  EXPECT_EQ(AccountStatus(), "ACTIVE");
  Advance(absl::Seconds(1));
  // As yet it may have an outage.
  http_.Answer(400, kDeadBody);
  EXPECT_EQ(TokenOrReason(), "NETWORK_UNAVAILABLE");
  const std::string doubted_id = account_id_;
  subject_ = "other";
  Connect(Tokens("c", absl::Seconds(1)), {"other"});
  Advance(absl::Seconds(1));
  http_.Answer(200, TokensBody("d"));
  EXPECT_EQ(TokenOrReason(), "access-canary-d");
  account_id_ = doubted_id;
  http_.Answer(400, kDeadBody);
  EXPECT_EQ(TokenOrReason(), "NEEDS_RECONNECT");
  EXPECT_EQ(AccountStatus(), "REFRESH_DEAD");
}

TEST_F(RefreshGrantTest, ANetworkThatMayErrIsAskedEverMoreSeldomAndBelievedAtLast) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS may_err: true }");
  const absl::Time began = Now();
  int asked = 0;
  while (Now() - began < RefusalDoubts::kLongestDoubt) {
    http_.Answer(400, kDeadBody);
    ASSERT_EQ(TokenOrReason(), "NETWORK_UNAVAILABLE");
    ++asked;
    now_ms_ = StoredGrant().due_at_ms();
  }
  EXPECT_LT(asked, 24);
  http_.Answer(400, kDeadBody);
  EXPECT_EQ(TokenOrReason(), "NEEDS_RECONNECT");
}

TEST_F(RefreshGrantTest, AClockThatIsPutForwardMakesNoDoubtOld) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS may_err: true }");
  http_.Answer(400, kDeadBody);
  EXPECT_EQ(TokenOrReason(), "NETWORK_UNAVAILABLE");
  jumped_ = 10 * RefusalDoubts::kLongestDoubt;
  Advance(jumped_);
  http_.Answer(400, kDeadBody);
  EXPECT_EQ(TokenOrReason(), "NETWORK_UNAVAILABLE");
  EXPECT_EQ(AccountStatus(), "ACTIVE");
}

TEST_F(RefreshGrantTest, ARefreshThatWorksEndsTheDoubt) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS may_err: true }");
  http_.Answer(400, kDeadBody);
  EXPECT_EQ(TokenOrReason(), "NETWORK_UNAVAILABLE");
  Advance(RefusalDoubts::kDoubt / 2);
  http_.Answer(200, TokensBody("b"));
  EXPECT_EQ(TokenOrReason(), "access-canary-b");
  Advance(absl::Hours(2));
  http_.Answer(400, kDeadBody);
  EXPECT_EQ(TokenOrReason(), "NETWORK_UNAVAILABLE");
  EXPECT_EQ(AccountStatus(), "ACTIVE");
}

TEST_F(RefreshGrantTest, NoneIsSentAgainWhereItsAnswerWasLostAndReuseEndsTheGrant) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS single_use: true reuse_ends_grant: true }");
  http_.Fail(Lost());
  EXPECT_THAT(GetToken(), AllOf(HasReason("NEEDS_RECONNECT"),
                                StatusIs(absl::StatusCode::kFailedPrecondition,
                                         HasSubstr("The answer of Net to a refresh was lost"))));
  EXPECT_EQ(AccountStatus(), "REFRESH_ANSWER_LOST");
  EXPECT_EQ(TokenOrReason(), "NEEDS_RECONNECT");
  EXPECT_THAT(http_.sent(), SizeIs(1));
}

// Where the first was used, the connection was dead before the second was sent.
TEST_F(RefreshGrantTest, WhatWorksOnceIsDeadWhereTheFirstOfTwoWasUsed) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS single_use: true }");
  http_.Fail(Lost());
  http_.Answer(400, kDeadBody);
  EXPECT_EQ(TokenOrReason(), "NEEDS_RECONNECT");
  EXPECT_EQ(AccountStatus(), "REFRESH_DEAD");
  EXPECT_THAT(http_.sent(), SizeIs(2));
}

TEST_F(RefreshGrantTest, OthersAreSentOnceMore) {
  for (const char* const entry :
       {"refresh { rotation: ROTATION_ALWAYS }", "refresh { rotation: ROTATION_SOMETIMES }",
        "refresh { rotation: ROTATION_ALWAYS single_use: true }",
        "refresh { rotation: ROTATION_NEVER single_use: true reuse_ends_grant: true }",
        "refresh { rotation: ROTATION_NO_REFRESH_TOKEN }"}) {
    ConnectAndWait(entry);
    const size_t sent_before = http_.sent().size();
    http_.Fail(Lost());
    http_.Answer(200, TokensBody("b"));
    EXPECT_EQ(TokenOrReason(), "access-canary-b") << entry;
    EXPECT_THAT(http_.sent(), SizeIs(sent_before + 2)) << entry;

    ConnectAndWait(entry);
    http_.Fail(Lost());
    http_.Fail(Lost());
    EXPECT_EQ(TokenOrReason(), "NETWORK_UNAVAILABLE") << entry;
    EXPECT_THAT(http_.sent(), SizeIs(sent_before + 4)) << entry;
    EXPECT_EQ(AccountStatus(), "ACTIVE") << entry;
    EXPECT_EQ(StoredGrant().lease_holder(), "") << entry;
  }
}

TEST_F(RefreshGrantTest, WhatWasNotSentIsAsGoodAsBefore) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS single_use: true }");
  http_.Fail(NotSent());
  EXPECT_EQ(TokenOrReason(), "NETWORK_UNAVAILABLE");
  EXPECT_EQ(AccountStatus(), "ACTIVE");
  http_.Answer(200, TokensBody("b"));
  EXPECT_EQ(TokenOrReason(), "access-canary-b");
}

TEST_F(RefreshGrantTest, OtherErrorsArePassedOnAndLeaveTheGrantAsItWas) {
  struct Case {
    int status;
    std::string body;
    std::string reason;
  };
  const std::vector<Case> cases = {
      {401, R"({"error":"invalid_client","error_description":"client-secret-canary-1"})",
       "CLIENT_REJECTED"},
      {503, "", "NETWORK_UNAVAILABLE"},
      {400, R"({"error":"what","error_description":"no refresh-canary-a, access-canary-a"})",
       "NETWORK_REFUSED"},
      {200, "<html><body>Sign in</body></html>", "NETWORK_ANSWER_INVALID"},
  };
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS single_use: true }");
  for (const Case& one : cases) {
    http_.Answer(one.status, one.body);
    EXPECT_EQ(TokenOrReason(), one.reason);
    EXPECT_EQ(AccountStatus(), "ACTIVE") << one.reason;
    EXPECT_EQ(StoredGrant().lease_holder(), "") << one.reason;
    EXPECT_EQ(StoredAccessToken(), "access-canary-a") << one.reason;
  }
  EXPECT_THAT(http_.sent(), SizeIs(cases.size()));
}

TEST_F(RefreshGrantTest, WhatIsDueIsNotDueAtOnceAfterAFailure) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS }");
  Advance(absl::Hours(100));
  http_.Answer(503, "");
  EXPECT_EQ(TokenOrReason(), "NETWORK_UNAVAILABLE");
  EXPECT_EQ(StoredGrant().due_at_ms(), absl::ToUnixMillis(Now() + absl::Minutes(1)));
  http_.Answer(401, R"({"error":"invalid_client"})");
  EXPECT_EQ(TokenOrReason(), "CLIENT_REJECTED");
  EXPECT_EQ(StoredGrant().due_at_ms(), absl::ToUnixMillis(Now() + absl::Hours(1)));
}

TEST_F(RefreshGrantTest, TheNewTokensAreStoredThoughTheStoreWasAwayForAMoment) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS single_use: true }");
  http_.Answer(200, TokensBody("b"));
  http_.Meanwhile([this] { backend_->FailCommits(2, StorageUnavailable("a test")); });
  EXPECT_EQ(TokenOrReason(), "access-canary-b");
  EXPECT_EQ(StoredAccessToken(), "access-canary-b");
}

TEST_F(RefreshGrantTest, WhatIsNotStoredIsGivenToNobody) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS }");
  http_.Answer(200, TokensBody("b"));
  http_.Meanwhile([this] { backend_->FailCommits(1, absl::DataLossError("a test")); });
  EXPECT_FALSE(GetToken().ok());
  EXPECT_EQ(StoredAccessToken(), "access-canary-a");
}

TEST_F(RefreshGrantTest, TheConfiguredSecretIsShownAlsoWhereItReplacedTheGrants) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS }");
  ASSERT_OK(store_->social_networks().Update(
      kNoLimit, "acme", "sn_1", Now(),
      [](record::v1::SocialNetworkSettings&, absl::string_view) { return absl::OkStatus(); },
      "client-secret-canary-2"));
  http_.Answer(200, TokensBody("b"));
  EXPECT_EQ(TokenOrReason(), "access-canary-b");
  EXPECT_TRUE(absl::EndsWith(http_.sent()[0].body, "client_secret=client-secret-canary-2"));
}

TEST_F(RefreshGrantTest, WithoutItsConfigurationATokenLastsUntilItsEnd) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS }");
  ASSERT_OK(store_->social_networks().Delete(kNoLimit, "acme", "sn_1",
                                             SocialNetworkStore::Accounts::kKeep, Now()));
  EXPECT_EQ(TokenOrReason(), "access-canary-a");
  EXPECT_EQ(StoredGrant().lease_holder(), "");
  Advance(absl::Seconds(30));
  EXPECT_EQ(TokenOrReason(), "NEEDS_RECONNECT");
  EXPECT_EQ(AccountStatus(), "CONFIGURATION_GONE");
  EXPECT_THAT(http_.sent(), IsEmpty());
}

TEST_F(RefreshGrantTest, OfANetworkThatLeftTheCatalogTheTokenLastsUntilItsEnd) {
  ConnectAndWait("refresh { rotation: ROTATION_ALWAYS }");
  catalog_ = NetworkCatalog();
  EXPECT_EQ(TokenOrReason(), "access-canary-a");
  Advance(absl::Seconds(30));
  EXPECT_EQ(TokenOrReason(), "CONFIGURATION_OUTDATED");
  EXPECT_EQ(AccountStatus(), "ACTIVE");
}

TEST_F(RefreshGrantTest, AnAccountsOwnTokenIsGivenAsItIs) {
  Connect(Tokens("a"), {"page-1"}, "own-canary");
  Advance(absl::Hours(100));
  ASSERT_OK_AND_ASSIGN(const UsableAccount usable, GetToken());
  EXPECT_EQ(usable.access_token(), "own-canary");
  EXPECT_EQ(usable.expires_at(), std::nullopt);
  EXPECT_THAT(http_.sent(), IsEmpty());
}

TEST_F(RefreshGrantTest, OwnTokensAreReadAnewAfterARefresh) {
  UseEntry(absl::StrCat("refresh { rotation: ROTATION_ALWAYS }", kListPart));
  Connect(Tokens("a"), {"page-1", "page-2"}, "own-canary-a");
  const std::vector<std::string> pages = account_ids_;
  Connect(Tokens("a"), {"blog"});
  const auto own_token = [this](const std::string& id) {
    const auto account = store_->accounts().GetWithToken(kNoLimit, "acme", id);
    return account.ok() ? account->access_token : account.status().ToString();
  };
  Advance(absl::Hours(2));
  http_.Answer(200, TokensBody("b"));
  http_.Answer(200, R"({"data":[{"id":"page-1","access_token":"own-canary-b"},
                                {"id":"page-3","access_token":"own-canary-c"}]})");
  EXPECT_EQ(TokenOrReason(), "access-canary-b");
  EXPECT_EQ(own_token(pages[0]), "own-canary-b");
  EXPECT_EQ(own_token(pages[1]), "own-canary-a");

  // Where the list can't be read, the refresh has been made all the same.
  Advance(absl::Hours(2));
  http_.Answer(200, TokensBody("c"));
  http_.Answer(500, "own-canary-d");
  EXPECT_EQ(TokenOrReason(), "access-canary-c");
  EXPECT_EQ(own_token(pages[0]), "own-canary-b");
}

TEST_F(RefreshGrantTest, ARefusedTokenIsRefreshedThoughItHasNotEnded) {
  Connect(Tokens("a"));
  http_.Answer(200, TokensBody("b"));
  EXPECT_EQ(TokenOrReason({.refused_generation = 1}), "access-canary-b");
  // It is another one by now.
  EXPECT_EQ(TokenOrReason({.refused_generation = 1}), "access-canary-b");
  EXPECT_THAT(http_.sent(), SizeIs(1));

  UseEntry("");
  EXPECT_EQ(TokenOrReason({.refused_generation = 2}), "NEEDS_RECONNECT");
  EXPECT_EQ(AccountStatus(), "ACCESS_TOKEN_DEAD");
}

class RefreshDueGrantTest : public RefreshGrantTest {
 protected:
  // Connected, and due.
  void ConnectDue(const std::string& refresh) {
    UseEntry(refresh);
    Connect(Tokens("a"));
    Advance(absl::Hours(100));
  }
  struct Ended {
    std::string reason;  // Empty: OK.
    int sent;
  };
  Ended RefreshDue() {
    Notification ended;
    Ended result;
    refresher_->RefreshDue("acme", grant_id_, kNoLimit, [&](const absl::Status& status, int sent) {
      result = {status.ok() ? "" : ReasonOf(status), sent};
      ended.Notify();
    });
    EXPECT_TRUE(ended.WaitForNotificationWithTimeout(kPatience));
    return result;
  }
  absl::Duration DueIn() const {
    if (StoredGrant().due_at_ms() == kNeverDue) return absl::InfiniteDuration();
    return absl::FromUnixMillis(StoredGrant().due_at_ms()) - Now();
  }
};

constexpr char kTenDays[] = "refresh { rotation: ROTATION_ALWAYS refresh_token_lifetime_s: 864000 ";

TEST_F(RefreshDueGrantTest, IsRefreshedAndDueLater) {
  ConnectDue(absl::StrCat(kTenDays, "}"));
  http_.Answer(200, TokensBody("b"));
  const Ended ended = RefreshDue();
  EXPECT_EQ(ended.reason, "");
  EXPECT_EQ(ended.sent, 1);
  EXPECT_EQ(StoredAccessToken(), "access-canary-b");
  EXPECT_EQ(StoredGrant().lease_holder(), "");
  EXPECT_GE(DueIn(), absl::Hours(96));
  // Once.
  EXPECT_EQ(RefreshDue().sent, 0);
  EXPECT_THAT(http_.sent(), SizeIs(1));
}

TEST_F(RefreshDueGrantTest, IsLeftAloneBeforeItIsDueAndOnceItIsGoneOrDead) {
  ConnectDue(absl::StrCat(kTenDays, "}"));
  Advance(-absl::Hours(1));
  EXPECT_EQ(RefreshDue().reason, "");
  Advance(absl::Hours(1));
  ASSERT_OK(store_->grants().MarkDead(kNoLimit, "acme", grant_id_, 1, "REFRESH_DEAD", Now()));
  EXPECT_EQ(RefreshDue().reason, "");
  ASSERT_OK(store_->accounts().Delete(kNoLimit, "acme", account_id_, Now()));
  EXPECT_EQ(RefreshDue().reason, "");
  grant_id_ = "gr_no";
  EXPECT_EQ(RefreshDue().reason, "");
  EXPECT_THAT(http_.sent(), IsEmpty());
}

TEST_F(RefreshDueGrantTest, SharesARefreshWithCallers) {
  ConnectDue(absl::StrCat(kTenDays, "single_use: true }"));
  http_.Hold();
  http_.Answer(200, TokensBody("b"));
  Notification ended;
  refresher_->RefreshDue("acme", grant_id_, kNoLimit, [&](const absl::Status& status, int sent) {
    EXPECT_OK(status);
    EXPECT_EQ(sent, 1);
    ended.Notify();
  });
  ASSERT_TRUE(Eventually([this] { return !http_.sent().empty(); }));
  std::vector<Told<absl::StatusOr<UsableAccount>>> told(64);
  for (auto& one : told) {
    refresher_->GetToken("acme", account_id_, {}, kNoLimit, one.Listener());
  }
  ASSERT_TRUE(Eventually([this] { return pool_.waiting() == 0; }));
  http_.Release();
  for (auto& one : told) {
    ASSERT_OK_AND_ASSIGN(const UsableAccount usable, one.Take());
    EXPECT_EQ(usable.access_token(), "access-canary-b");
  }
  ASSERT_TRUE(ended.WaitForNotificationWithTimeout(kPatience));
  EXPECT_THAT(http_.sent(), SizeIs(1));
}

TEST_F(RefreshDueGrantTest, IsDueLaterAfterAFailure) {
  ConnectDue(absl::StrCat(kTenDays, "}"));
  http_.Answer(503, "");
  EXPECT_EQ(RefreshDue().reason, "NETWORK_UNAVAILABLE");
  EXPECT_EQ(DueIn(), absl::Minutes(1));
  Advance(absl::Minutes(1));
  http_.Answer(401, R"({"error":"invalid_client"})");
  EXPECT_EQ(RefreshDue().reason, "CLIENT_REJECTED");
  EXPECT_EQ(DueIn(), absl::Hours(1));
}

TEST_F(RefreshDueGrantTest, ThatItsConfigurationIsToBlameIsToldOnceAndThatItIsMended) {
  ConnectDue(absl::StrCat(kTenDays, "}"));
  const int64_t changed_at = Account().updated_at_ms();
  std::vector<absl::Duration> pauses;
  for (int i = 0; i < 4; ++i) {
    http_.Answer(401, R"({"error":"invalid_client"})");
    EXPECT_EQ(RefreshDue().reason, "CLIENT_REJECTED");
    EXPECT_EQ(Account().status(), record::v1::ACCOUNT_STATUS_ACTIVE);
    EXPECT_EQ(Account().status_reason(), "CLIENT_REJECTED");
    pauses.push_back(DueIn());
    Advance(DueIn());
  }
  EXPECT_GT(Account().updated_at_ms(), changed_at);
  EXPECT_THAT(pauses, ElementsAre(absl::Hours(1), absl::Hours(2), absl::Hours(4), absl::Hours(8)));
  EXPECT_THAT(EventsOf(record::v1::EVENT_TYPE_ACCOUNT_UPDATED), ElementsAre("CLIENT_REJECTED"));
  // An outage changes nothing of it.
  http_.Answer(503, "");
  EXPECT_EQ(RefreshDue().reason, "NETWORK_UNAVAILABLE");
  EXPECT_EQ(Account().status_reason(), "CLIENT_REJECTED");
  Advance(DueIn());
  http_.Answer(200, TokensBody("b"));
  EXPECT_EQ(RefreshDue().reason, "");
  EXPECT_EQ(Account().status_reason(), "");
  EXPECT_EQ(StoredGrant().failures(), 0);
  EXPECT_THAT(EventsOf(record::v1::EVENT_TYPE_ACCOUNT_UPDATED), ElementsAre("CLIENT_REJECTED", ""));
}

TEST_F(RefreshDueGrantTest, CallersWhoseRefreshIsRefusedAreNotTheOnlyOnesToKnow) {
  UseEntry(absl::StrCat(kTenDays, "}"));
  Connect(Tokens("a"), {"page-1", "page-2"});
  Advance(absl::Hours(2));
  for (int i = 0; i < 3; ++i) {
    http_.Answer(401, R"({"error":"invalid_client"})");
    EXPECT_EQ(TokenOrReason(), "CLIENT_REJECTED");
  }
  EXPECT_THAT(EventsOf(record::v1::EVENT_TYPE_ACCOUNT_UPDATED),
              ElementsAre("CLIENT_REJECTED", "CLIENT_REJECTED"));  // One for each account.
  EXPECT_EQ(DueIn(), absl::Hours(98));
  EXPECT_EQ(StoredGrant().failures(), 0);
}

TEST_F(RefreshDueGrantTest, OneWhoseConfigurationIsAnotherByNowIsDue) {
  ConnectDue(absl::StrCat(kTenDays, "}"));
  http_.Answer(401, R"({"error":"invalid_client"})");
  EXPECT_EQ(RefreshDue().reason, "CLIENT_REJECTED");
  EXPECT_EQ(RefreshDue().sent, 0);
  ASSERT_OK(store_->social_networks().Update(
      kNoLimit, "acme", "sn_1", Now(),
      [](record::v1::SocialNetworkSettings&, absl::string_view) { return absl::OkStatus(); },
      "client-secret-canary-2"));
  http_.Answer(401, R"({"error":"invalid_client"})");
  EXPECT_EQ(RefreshDue().sent, 1);
  EXPECT_EQ(RefreshDue().sent, 0);
  EXPECT_EQ(DueIn(), absl::Hours(1));
}

// Else nobody would ever be told.
TEST_F(RefreshDueGrantTest, DiesWhenItHasEndedAndNoRefreshComesThrough) {
  for (const int status : {401, 500}) {
    subject_ = absl::StrCat("person of ", status);
    ConnectDue("refresh { rotation: ROTATION_ALWAYS refresh_token_lifetime_s: 86400 }");
    const std::string body = status == 401 ? R"({"error":"invalid_client"})" : "";
    absl::Duration lived;
    while (AccountStatus() == "ACTIVE" && lived < absl::Hours(12)) {
      http_.Answer(status, body);
      RefreshDue();
      if (DueIn() == absl::InfiniteDuration()) break;
      lived += DueIn();
      Advance(DueIn());
    }
    EXPECT_EQ(AccountStatus(), "REFRESH_EXPIRED");
    // The clock might be ahead.
    EXPECT_EQ(lived, RefusalDoubts::kDoubtOfEnd);
    EXPECT_EQ(DueIn(), absl::InfiniteDuration());
    EXPECT_EQ(StoredGrant().trouble(), "");
  }
  EXPECT_THAT(EventsOf(record::v1::EVENT_TYPE_ACCOUNT_NEEDS_RECONNECT),
              ElementsAre("REFRESH_EXPIRED", "REFRESH_EXPIRED"));
}

TEST_F(RefreshDueGrantTest, AClockThatIsAheadForAWhileEndsNothing) {
  UseEntry("refresh { rotation: ROTATION_ALWAYS refresh_token_lifetime_s: 864000 }");
  Connect(Tokens("a"));
  jumped_ = absl::Hours(24 * 40);
  Advance(jumped_);
  for (int i = 0; i < 24; ++i, Advance(absl::Minutes(10))) {
    http_.Answer(503, "");
    EXPECT_EQ(RefreshDue().reason, "NETWORK_UNAVAILABLE");
  }
  EXPECT_EQ(AccountStatus(), "ACTIVE");
  Advance(-jumped_);
  jumped_ = absl::ZeroDuration();
  http_.Answer(200, TokensBody("b"));
  RefreshDue();
  EXPECT_EQ(AccountStatus(), "ACTIVE");
}

// Of what it can still be used for nothing is taken away.
TEST_F(RefreshDueGrantTest, LivesAsLongAsItsAccessTokenIsGood) {
  UseEntry("refresh { rotation: ROTATION_ALWAYS refresh_token_lifetime_s: 86400 }");
  for (const absl::Duration life : {absl::Hours(200), absl::InfiniteDuration()}) {
    subject_ = absl::FormatDuration(life);
    Connect(Tokens(subject_, life));
    Advance(absl::Hours(100));
    for (int i = 0; i < 8; ++i, Advance(absl::Hours(1))) {
      http_.Answer(500, "");
      EXPECT_EQ(RefreshDue().reason, "NETWORK_UNAVAILABLE");
    }
    EXPECT_EQ(AccountStatus(), "ACTIVE");
  }
}

TEST_F(RefreshDueGrantTest, IsDueWhenTheNetworkTakesARefresh) {
  ConnectDue(absl::StrCat(kTenDays, "min_age_s: 432000 }"));  // 120 hours.
  EXPECT_EQ(RefreshDue().reason, "");
  EXPECT_EQ(DueIn(), absl::Hours(20));
  EXPECT_THAT(http_.sent(), IsEmpty());
}

TEST_F(RefreshDueGrantTest, IsNeverDueWhereNothingCanBeRefreshed) {
  ConnectDue("");
  EXPECT_EQ(RefreshDue().reason, "");
  EXPECT_EQ(DueIn(), absl::InfiniteDuration());
  EXPECT_EQ(StoredGrant().lease_holder(), "");
}

TEST_F(RefreshDueGrantTest, WithoutItsConfigurationItIsFoundDeadWhenItsTokenEnds) {
  UseEntry(absl::StrCat(kTenDays, "}"));
  Connect(Tokens("a", absl::Hours(150)));
  Advance(absl::Hours(100));
  ASSERT_OK(store_->social_networks().Delete(kNoLimit, "acme", "sn_1",
                                             SocialNetworkStore::Accounts::kKeep, Now()));
  EXPECT_EQ(RefreshDue().reason, "");
  EXPECT_EQ(DueIn(), absl::Hours(50));
  Advance(absl::Hours(50));
  EXPECT_EQ(RefreshDue().reason, "NEEDS_RECONNECT");
  EXPECT_EQ(AccountStatus(), "CONFIGURATION_GONE");
}

TEST_F(RefreshDueGrantTest, StaysDueWhileItsNetworkIsNotInTheCatalog) {
  ConnectDue(absl::StrCat(kTenDays, "}"));
  catalog_ = NetworkCatalog();
  EXPECT_EQ(RefreshDue().reason, "CONFIGURATION_OUTDATED");
  EXPECT_EQ(DueIn(), absl::ZeroDuration());
}

// The clock was ahead when they were got, and was put back.
TEST_F(RefreshDueGrantTest, TokensOfATimeToComeAreRefreshed) {
  Advance(absl::Hours(24 * 40));
  ConnectDue(absl::StrCat(kTenDays, "}"));
  Advance(-absl::Hours(24 * 40 + 99));
  EXPECT_GT(DueIn(), absl::Hours(24 * 40));
  http_.Answer(503, "");
  EXPECT_EQ(RefreshDue().sent, 1);
  EXPECT_EQ(DueIn(), absl::Minutes(1));
  http_.Answer(200, TokensBody("b"));
  EXPECT_EQ(RefreshDue().sent, 1);
  EXPECT_LT(DueIn(), absl::Hours(144));
  EXPECT_EQ(RefreshDue().sent, 0);
}

// What may stay the same, as LINE's, does not live anew with each refresh.
TEST_F(RefreshDueGrantTest, ARefreshTokenThatStaysHasNoNewLife) {
  ConnectDue("refresh { rotation: ROTATION_SOMETIMES refresh_token_lifetime_s: 864000 }");
  http_.Answer(200, R"({"access_token":"access-canary-b","expires_in":7200})");
  EXPECT_EQ(RefreshDue().sent, 1);
  EXPECT_LT(DueIn(), absl::Hours(0.6 * 140));
}

TEST_F(RefreshGrantTest, AnAccountIsNotAnotherOrganizations) {
  Connect(Tokens("a"));
  EXPECT_THAT(GetToken({}, "other"), HasReason("SOCIAL_ACCOUNT_NOT_FOUND"));
  account_id_ = "sa_no";
  EXPECT_THAT(GetToken(), HasReason("SOCIAL_ACCOUNT_NOT_FOUND"));
}

}  // namespace
}  // namespace authurl::testing
