// What is sent to take a consent back, and what becomes of the grant that is stored.
#include "server/flow/revoke_grant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/core/flow/vectors.h"
#include "tests/server/flow/stored_grant_fixture.h"

namespace authurl::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

RevocationResult RevokeTokensOf(const VectorFlow& flow, const Json& step, ScriptedClient& http) {
  GrantClient client;
  client.network = &flow.network();
  client.settings = flow.settings();
  client.settings.set_org_id("acme");
  client.client_secret = std::string(flow.client().secret);
  TokenSet tokens;
  tokens.access_token = std::string(kAccessToken);
  tokens.refresh_token = std::string(kRefreshToken);
  tokens.kept = flow.Kept();
  tokens.subject = flow.LaterValues(step).Find("subject").value_or("");
  Told<RevocationResult> told;
  RevokeGrant(
      http, std::move(client), std::move(tokens), kNoLimit, [] { return kNow; }, told.Listener());
  return told.Take();
}

class RevokeAtNetworkTest : public ::testing::TestWithParam<Vector> {};

TEST_P(RevokeAtNetworkTest, SendsTheRequestWhereItEndsThisGrantAlone) {
  const VectorFlow flow(GetParam());
  const Json& step = ObjectOf(flow.json(), "revocation");
  ScriptedClient http;
  if (!OffersRevocation(flow.network())) {
    EXPECT_EQ(RevokeTokensOf(flow, step, http), RevocationResult::kNotOffered);
    EXPECT_THAT(http.sent(), IsEmpty());
    return;
  }
  const Json& success = step.at("success")[0];
  http.Answer(success.value("status", 200), flow.BodyOf(success));
  EXPECT_EQ(RevokeTokensOf(flow, step, http), RevocationResult::kRevoked);
  const std::vector<SentRequest> sent = http.sent();
  ASSERT_THAT(sent, SizeIs(1));
  EXPECT_EQ(sent[0].method, step.at("request").at("method").get<std::string>());
  EXPECT_EQ(sent[0].url, step.at("request").at("url").get<std::string>());
  EXPECT_EQ(sent[0].body, step.at("request").value("body", ""));
  EXPECT_EQ(sent[0].target.network, flow.network().id());
  EXPECT_EQ(sent[0].target.org_id, "acme");

  ScriptedClient refuses;
  refuses.Answer(500, "");
  EXPECT_EQ(RevokeTokensOf(flow, step, refuses), RevocationResult::kFailed);
  ScriptedClient is_away;
  is_away.Fail(absl::UnavailableError("away"));
  EXPECT_EQ(RevokeTokensOf(flow, step, is_away), RevocationResult::kFailed);
  EXPECT_THAT(is_away.sent(), SizeIs(1));
}

INSTANTIATE_TEST_SUITE_P(Networks, RevokeAtNetworkTest, ::testing::ValuesIn(AllVectors()),
                         [](const ::testing::TestParamInfo<Vector>& vector) {
                           return absl::StrReplaceAll(vector.param.title, {{"/", "_"}});
                         });

class GrantRevokerTest : public StoredGrantTest {
 protected:
  void SetUp() override {
    StoredGrantTest::SetUp();
    UseEntry(kRevocationPart);
    Connect(Tokens("a"));
  }

  void Disconnect() { ASSERT_OK(store_->accounts().Delete(kNoLimit, "acme", account_id_, Now())); }
  RevocationResult Revoke(absl::string_view org_id = "acme") {
    Told<RevocationResult> told;
    const GrantRevoker revoker(Tools());
    revoker.Revoke(org_id, grant_id_, kNoLimit, told.Listener());
    return told.Take();
  }
  bool IsGone() {
    return absl::IsNotFound(store_->grants().Get(kNoLimit, "acme", grant_id_).status());
  }
};

TEST_F(GrantRevokerTest, RevokesADisconnectedGrantAndDeletesIt) {
  Disconnect();
  http_.Answer(200, "");
  EXPECT_EQ(Revoke(), RevocationResult::kRevoked);
  const std::vector<SentRequest> sent = http_.sent();
  ASSERT_THAT(sent, SizeIs(1));
  EXPECT_EQ(sent[0].url, "https://api.net.example/revoke");
  EXPECT_EQ(sent[0].body,
            absl::StrCat("token=refresh-canary-a&client_id=client-1&client_secret=", kOldSecret));
  EXPECT_TRUE(IsGone());
  // Somebody else has done it.
  EXPECT_EQ(Revoke(), RevocationResult::kFailed);
  EXPECT_THAT(http_.sent(), SizeIs(1));
}

TEST_F(GrantRevokerTest, TheGrantGoesThoughTheNetworkCantBeReached) {
  Disconnect();
  http_.Fail(NotSent());
  EXPECT_EQ(Revoke(), RevocationResult::kFailed);
  EXPECT_TRUE(IsGone());
}

TEST_F(GrantRevokerTest, WhereItWouldEndOtherConnectionsNothingIsSent) {
  UseEntry(absl::StrReplaceAll(kRevocationPart, {{"ENDS_GRANT", "ENDS_ALL_OF_PERSON"}}));
  Disconnect();
  EXPECT_EQ(Revoke(), RevocationResult::kNotOffered);
  EXPECT_TRUE(IsGone());
  UseEntry("");
  Connect(Tokens("b"));
  Disconnect();
  EXPECT_EQ(Revoke(), RevocationResult::kNotOffered);
  EXPECT_TRUE(IsGone());
  EXPECT_THAT(http_.sent(), IsEmpty());
}

TEST_F(GrantRevokerTest, AConnectedGrantStays) {
  EXPECT_EQ(Revoke(), RevocationResult::kStillInUse);
  EXPECT_FALSE(IsGone());
  // Connected again while the tokens from before are revoked.
  Disconnect();
  http_.Answer(200, "");
  http_.Meanwhile([this] { Connect(Tokens("b")); });
  EXPECT_EQ(Revoke(), RevocationResult::kRevoked);
  EXPECT_THAT(http_.sent()[0].body, HasSubstr("refresh-canary-a"));
  EXPECT_EQ(StoredAccessToken(), "access-canary-b");
}

TEST_F(GrantRevokerTest, NoOtherClientShowsTheTokens) {
  Disconnect();
  ASSERT_OK(store_->social_networks().Delete(kNoLimit, "acme", "sn_1",
                                             SocialNetworkStore::Accounts::kKeep, Now()));
  EXPECT_EQ(Revoke(), RevocationResult::kFailed);
  EXPECT_THAT(http_.sent(), IsEmpty());
  EXPECT_TRUE(IsGone());
}

TEST_F(GrantRevokerTest, WhatTheStoreCantDeleteNowIsStillDue) {
  Disconnect();
  http_.Answer(200, "");
  http_.Meanwhile([this] { backend_->FailCommits(1, StorageUnavailable("a test")); });
  EXPECT_EQ(Revoke(), RevocationResult::kRevoked);
  EXPECT_FALSE(IsGone());
  EXPECT_THAT(store_->grants().ListDue(kNoLimit, Now(), 10), IsOkAndHolds(SizeIs(1)));
}

TEST_F(GrantRevokerTest, AGrantOfAnotherOrganizationIsNotTouched) {
  Disconnect();
  EXPECT_EQ(Revoke("other"), RevocationResult::kFailed);
  EXPECT_FALSE(IsGone());
  EXPECT_THAT(http_.sent(), IsEmpty());
}

}  // namespace
}  // namespace authurl::testing
