#include "storage/import_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/storage/connections_fixture.h"

namespace authurl::testing {
namespace {

using ::testing::_;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Standing = ImportStore::Standing;

class ImportStoreTest : public ConnectionsTest {
 protected:
  static std::string Id(absl::string_view refresh_token) {
    return ImportId("acme-google", refresh_token);
  }

  absl::StatusOr<ImportStore::Claim> Claim(absl::string_view refresh_token, bool works_once = true,
                                           absl::Time now = kNow) {
    return store_->imports().ClaimRefresh(kNoLimit, "acme", "acme-google", Id(refresh_token),
                                          works_once, now);
  }
  Standing StandingOf(absl::string_view refresh_token, bool works_once = true,
                      absl::Time now = kNow) {
    const absl::StatusOr<ImportStore::Claim> claim = Claim(refresh_token, works_once, now);
    EXPECT_OK(claim);
    return claim.ok() ? claim->standing : Standing::kLost;
  }
  absl::Status StoreRefreshed(absl::string_view refresh_token, absl::string_view label) {
    return store_->imports().StoreRefreshed(kNoLimit, "acme", Id(refresh_token), TestTokens(label),
                                            kNow);
  }
  // A person's consent, which connects a page.
  absl::StatusOr<Connected> ConnectImport(const std::vector<std::string>& ids,
                                          const TokenSet& tokens, bool just_refreshed,
                                          absl::string_view page = "page-1") {
    return store_->imports().Connect(kNoLimit, "acme", ids, {TestGrant("person"), tokens},
                                     std::vector<NewAccount>{{TestAccount(page), ""}},
                                     just_refreshed, kNow);
  }
};

TEST_F(ImportStoreTest, ARefreshTokenIsClaimedOnce) {
  EXPECT_EQ(StandingOf("t"), Standing::kClaimed);
  EXPECT_EQ(StandingOf("t"), Standing::kUnderWay);
  EXPECT_EQ(StandingOf("other"), Standing::kClaimed);
  const absl::Time over = kNow + kImportLease;
  EXPECT_EQ(StandingOf("t", /*works_once=*/true, over), Standing::kLost);
  EXPECT_EQ(StandingOf("t", /*works_once=*/false, over), Standing::kClaimed);
  ASSERT_OK(store_->imports().Release(kNoLimit, "acme", Id("t")));
  EXPECT_EQ(StandingOf("t", /*works_once=*/true, over), Standing::kClaimed);
  EXPECT_THAT(store_->imports().ClaimRefresh(kNoLimit, "none", "sn", Id("t"), true, kNow),
              HasReason("ORGANIZATION_NOT_FOUND"));
}

TEST_F(ImportStoreTest, AClaimOfAClockThatWasAheadDoesNotLastUntilThen) {
  ASSERT_EQ(StandingOf("t", /*works_once=*/false, kNow + absl::Hours(2)), Standing::kClaimed);
  EXPECT_EQ(StandingOf("t", /*works_once=*/false), Standing::kClaimed);
  ASSERT_EQ(StandingOf("once", /*works_once=*/true, kNow + absl::Hours(2)), Standing::kClaimed);
  EXPECT_EQ(StandingOf("once", /*works_once=*/true), Standing::kLost);
}

TEST_F(ImportStoreTest, WhatARefreshGaveFindsRoomOnAFullDisk) {
  DeafBackend& backend = ReopenOverDeafBackend();
  ASSERT_EQ(StandingOf("t"), Standing::kClaimed);
  backend.is_full = true;
  EXPECT_OK(StoreRefreshed("t", "new"));
  EXPECT_THAT(Claim("other"), HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_EQ(StandingOf("t"), Standing::kRefreshed);
}

TEST_F(ImportStoreTest, WhatARefreshGaveIsKeptUntilItIsConnected) {
  ASSERT_EQ(StandingOf("t"), Standing::kClaimed);
  ASSERT_OK(StoreRefreshed("t", "new"));
  ASSERT_OK(store_->imports().Release(kNoLimit, "acme", Id("t")));
  Reopen();
  ASSERT_OK_AND_ASSIGN(const ImportStore::Claim again, Claim("t"));
  EXPECT_EQ(again.standing, Standing::kRefreshed);
  const TokenSet expected = TestTokens("new");
  EXPECT_EQ(again.tokens.access_token, expected.access_token);
  EXPECT_EQ(again.tokens.refresh_token, expected.refresh_token);
  EXPECT_EQ(again.tokens.access_token_expires_at, expected.access_token_expires_at);
  EXPECT_EQ(again.tokens.scopes, expected.scopes);
  EXPECT_EQ(again.tokens.kept, expected.kept);

  // The tokens from before it must not take its place.
  EXPECT_THAT(ConnectImport({Id("t")}, TestTokens("old"), /*just_refreshed=*/false),
              StatusIs(absl::StatusCode::kFailedPrecondition, _));
  ASSERT_OK_AND_ASSIGN(const Connected connected, ConnectImport({Id("t")}, again.tokens, true));
  ASSERT_THAT(connected.accounts, SizeIs(1));
  EXPECT_EQ(AccessTokenOf(connected.grant_id), "access-canary-new");
  ASSERT_OK_AND_ASSIGN(const ImportStore::Claim after, Claim("t"));
  EXPECT_EQ(after.standing, Standing::kConnected);
  EXPECT_EQ(after.grant_id, connected.grant_id);
  EXPECT_EQ(after.tokens.refresh_token, "");

  // Of a consent that was disconnected, the token may be tried again.
  ASSERT_OK(store_->accounts().Delete(kNoLimit, "acme", connected.accounts[0].id(), kNow));
  EXPECT_EQ(StandingOf("t"), Standing::kClaimed);
}

TEST_F(ImportStoreTest, TokensOfALivingConsentGiveWayToNewerOnesOnly) {
  ASSERT_OK_AND_ASSIGN(const Connected flow, Connect("flow", "person", {"page-1"}));
  ASSERT_OK_AND_ASSIGN(const Connected same, ConnectImport({Id("t")}, TestTokens("old"), false));
  EXPECT_EQ(same.grant_id, flow.grant_id);
  EXPECT_EQ(same.accounts[0].id(), flow.accounts[0].id());
  EXPECT_EQ(AccessTokenOf(flow.grant_id), "access-canary-flow");
  ASSERT_OK_AND_ASSIGN(const Connected more, ConnectImport({}, TestTokens("old"), false, "page-2"));
  EXPECT_EQ(more.grant_id, flow.grant_id);
  EXPECT_EQ(AccessTokenOf(flow.grant_id), "access-canary-flow");

  TokenSet without_end = TestTokens("without-end");
  without_end.access_token_expires_at = std::nullopt;
  ASSERT_OK(ConnectImport({}, without_end, false));
  EXPECT_EQ(AccessTokenOf(flow.grant_id), "access-canary-flow");
  TokenSet later = TestTokens("later");
  later.access_token_expires_at = kNow + absl::Hours(2);
  ASSERT_OK(ConnectImport({}, later, false));
  EXPECT_EQ(AccessTokenOf(flow.grant_id), "access-canary-later");
  ASSERT_OK(ConnectImport({}, TestTokens("refreshed"), true));
  EXPECT_EQ(AccessTokenOf(flow.grant_id), "access-canary-refreshed");

  // A dead one gives way to any.
  ASSERT_OK_AND_ASSIGN(const auto grant, store_->grants().Get(kNoLimit, "acme", flow.grant_id));
  ASSERT_OK(store_->grants().MarkDead(kNoLimit, "acme", grant.id(), grant.generation(),
                                      "REFRESH_DEAD", kNow));
  ASSERT_OK(ConnectImport({}, TestTokens("rescue"), false));
  EXPECT_EQ(AccessTokenOf(flow.grant_id), "access-canary-rescue");
  for (const std::string& id : {flow.accounts[0].id(), more.accounts[0].id()}) {
    ASSERT_OK_AND_ASSIGN(const auto account, store_->accounts().Get(kNoLimit, "acme", id));
    EXPECT_EQ(account.status(), record::v1::ACCOUNT_STATUS_ACTIVE);
  }
}

TEST_F(ImportStoreTest, AreForgottenInTimeAndBounded) {
  ASSERT_EQ(StandingOf("t"), Standing::kClaimed);
  ASSERT_OK(StoreRefreshed("t", "new"));
  const absl::Time over = kNow + kImportLifetime;
  EXPECT_EQ(store_->imports().Purge(over, 10).value(), 0);
  EXPECT_EQ(store_->imports().Purge(over + absl::Milliseconds(1), 10).value(), 1);
  EXPECT_EQ(StandingOf("t"), Standing::kClaimed);

  ReopenWith({.accounts = 2});
  EXPECT_EQ(StandingOf("u"), Standing::kClaimed);
  EXPECT_THAT(Claim("v"), HasReason("RATE_LIMITED"));
  EXPECT_EQ(StandingOf("u"), Standing::kUnderWay);
}

TEST_F(ImportStoreTest, TheDatabaseHasNoTokenInTheClear) {
  ASSERT_EQ(StandingOf("refresh-canary-given"), Standing::kClaimed);
  ASSERT_OK(StoreRefreshed("refresh-canary-given", "new"));
  store_.reset();
  const std::string bytes = ReadFile(path_);
  EXPECT_EQ(bytes.find("canary"), bytes.npos);
}

}  // namespace
}  // namespace authurl::testing
