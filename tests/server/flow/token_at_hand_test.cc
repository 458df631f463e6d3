// What is found without the database, and when somebody else has to be asked.
#include "server/flow/token_at_hand.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "server/flow/refresh_grant.h"
#include "tests/server/flow/stored_grant_fixture.h"

namespace authurl::testing {
namespace {

class TokenAtHandTest : public StoredGrantTest {
 protected:
  void SetUp() override {
    StoredGrantTest::SetUp();
    refresher_ = std::make_unique<GrantRefresher>(Tools(), clock_);
  }
  void TearDown() override {
    StoredGrantTest::TearDown();
    refresher_.reset();
  }

  // As a call does that memory did not suffice for.
  std::string GetToken() {
    Told<absl::StatusOr<UsableAccount>> told;
    refresher_->GetToken("acme", account_id_, {}, kNoLimit, told.Listener());
    const absl::StatusOr<UsableAccount> usable = told.Take();
    return usable.ok() ? std::string(usable->access_token()) : ReasonOf(usable.status());
  }
  // The token, the reason of an error, or "none at hand". Never reads the database.
  std::string AtHand(const WantedToken& wanted = {}, absl::string_view org_id = "acme") {
    const uint64_t reads = store_->Snapshot().backend.reads;
    const auto found = FindTokenAtHand(*store_, catalog_, org_id, account_id_, wanted, Now());
    std::string told = "none at hand";
    if (found && !found->ok()) told = ReasonOf(found->status());
    if (found && found->ok()) {
      const absl::StatusOr<OpenedAccessToken> token = Open(*store_, **found);
      told = token.ok() ? std::string(token->token()) : ReasonOf(token.status());
      expires_at_ = (*found)->expires_at();
    }
    EXPECT_EQ(store_->Snapshot().backend.reads, reads);
    return told;
  }

  std::unique_ptr<GrantRefresher> refresher_;
  std::optional<absl::Time> expires_at_;
};

constexpr char kNone[] = "none at hand";

TEST_F(TokenAtHandTest, IsFoundOnceItWasGotAndAsLongAsItIsGood) {
  Connect(Tokens("a"));
  EXPECT_EQ(AtHand(), kNone);
  ASSERT_EQ(GetToken(), "access-canary-a");
  EXPECT_EQ(AtHand(), "access-canary-a");
  EXPECT_EQ(expires_at_, kStart + absl::Hours(2));
  Advance(absl::Hours(2) - absl::Seconds(60));
  EXPECT_EQ(AtHand(), "access-canary-a");
  EXPECT_EQ(AtHand({.min_validity = absl::Minutes(5)}), kNone);
  Advance(absl::Seconds(1));
  EXPECT_EQ(AtHand(), kNone);
  // What a refresh gives is found from then on.
  http_.Answer(200, TokensBody("b"));
  ASSERT_EQ(GetToken(), "access-canary-b");
  EXPECT_EQ(AtHand(), kNone);
  ASSERT_EQ(GetToken(), "access-canary-b");
  EXPECT_EQ(AtHand(), "access-canary-b");
}

TEST_F(TokenAtHandTest, AnAccountsOwnTokenIsGivenAndHasNoEnd) {
  Connect(Tokens("a"), {"page"}, "own-canary");
  ASSERT_EQ(GetToken(), "own-canary");
  EXPECT_EQ(AtHand(), "own-canary");
  EXPECT_EQ(expires_at_, std::nullopt);
  Advance(absl::Hours(1'000));
  EXPECT_EQ(AtHand(), "own-canary");
}

TEST_F(TokenAtHandTest, WhoeverLosesTheConnectionLosesTheToken) {
  Connect(Tokens("a"));
  ASSERT_EQ(GetToken(), "access-canary-a");
  ASSERT_OK(store_->accounts().MarkNeedsReconnect(kNoLimit, "acme", account_id_, "R", Now()));
  EXPECT_EQ(AtHand(), kNone);
  EXPECT_EQ(GetToken(), "NEEDS_RECONNECT");
  EXPECT_EQ(AtHand(), kNone);  // Why is told by whoever has the catalog's words for it.
  Connect(Tokens("b"));
  ASSERT_EQ(GetToken(), "access-canary-b");
  EXPECT_EQ(AtHand(), "access-canary-b");
  ASSERT_OK(store_->accounts().Delete(kNoLimit, "acme", account_id_, Now()));
  EXPECT_EQ(AtHand(), kNone);
  EXPECT_EQ(GetToken(), "SOCIAL_ACCOUNT_NOT_FOUND");
  EXPECT_EQ(AtHand(), "SOCIAL_ACCOUNT_NOT_FOUND");
}

TEST_F(TokenAtHandTest, AnotherOrganizationFindsNothingAndADeletedOneNeither) {
  Connect(Tokens("a"));
  ASSERT_EQ(GetToken(), "access-canary-a");
  EXPECT_EQ(AtHand({}, "other"), kNone);
  ASSERT_OK(store_->DeleteOrganization(kNoLimit, "acme", Now()));
  EXPECT_EQ(AtHand(), kNone);
  EXPECT_EQ(GetToken(), "SOCIAL_ACCOUNT_NOT_FOUND");
  EXPECT_EQ(AtHand(), "SOCIAL_ACCOUNT_NOT_FOUND");
}

TEST_F(TokenAtHandTest, OfANetworkThatHasLeftTheCatalogTheTokenIsGoodUntilItsEnd) {
  Connect(Tokens("a"));
  ASSERT_EQ(GetToken(), "access-canary-a");
  catalog_ = NetworkCatalog();
  Advance(absl::Hours(2) - absl::Seconds(1));
  EXPECT_EQ(AtHand(), "access-canary-a");
  Advance(absl::Seconds(1));
  EXPECT_EQ(AtHand(), kNone);
}

}  // namespace
}  // namespace authurl::testing
