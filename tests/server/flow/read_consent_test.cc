// What is sent after a person consented, in order, and what comes of it: for every network, by the
// vectors of tests/core/flow/vectors.
#include "server/flow/read_consent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/errors.h"
#include "server/flow/list_accounts.h"
#include "tests/core/flow/vectors.h"
#include "tests/support/scripted_client.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::SizeIs;

CodeToExchange CodeOf(const VectorFlow& flow) {
  CodeToExchange code;
  code.network = &flow.network();
  code.settings = flow.settings();
  code.settings.set_org_id("acme");
  code.client_secret = std::string(flow.client().secret);
  code.response.parameters = {{"code", std::string(kCode)}, {"state", std::string(kState)}};
  for (const auto& [name, value] : ObjectOf(flow.json(), "callback").items()) {
    code.response.parameters[name] = value.is_string() ? value.get<std::string>() : value.dump();
  }
  code.redirect_uri = std::string(kRedirectUri);
  if (flow.network().pkce().mode() != catalog::v1::Pkce::MODE_NONE) {
    code.code_verifier = std::string(kCodeVerifier);
  }
  return code;
}

ConsentResult Read(ScriptedClient& http, CodeToExchange code) {
  std::optional<ConsentResult> result;
  ReadConsent(
      http, std::move(code), CallContext::Background(), [] { return kNow; },
      [&](ConsentResult got) {
        EXPECT_FALSE(result.has_value()) << "called twice";
        result.emplace(std::move(got));
      });
  if (!result.has_value()) {
    ADD_FAILURE() << "never called";
    return {.consent = absl::InternalError("never called"), .unused = std::nullopt};
  }
  return *std::move(result);
}

class ReadConsentTest : public ::testing::TestWithParam<Vector> {};

// The body of the first success of a step, in which the token is the one that later requests show.
std::string SuccessOf(const VectorFlow& flow, const Json& step) {
  const Json& answer = step.at("success")[0];
  const std::string token = ObjectOf(answer, "tokens").value("access_token", "");
  std::string body = flow.BodyOf(answer);
  return token.empty() ? body : absl::StrReplaceAll(body, {{token, kAccessToken}});
}

TEST_P(ReadConsentTest, SendsTheStepsOfTheNetworkInOrder) {
  const VectorFlow flow(GetParam());
  const catalog::v1::Network& network = flow.network();
  ScriptedClient http;
  std::vector<std::string> urls;
  const auto script = [&](const Json& step) {
    urls.push_back(step.at("request").at("url").get<std::string>());
    http.Answer(step.at("success")[0].value("status", 200), SuccessOf(flow, step));
  };
  script(flow.json().at("exchange"));
  if (network.has_long_lived()) script(flow.json().at("long_lived"));
  const Json& profile = ObjectOf(flow.json(), "profile");
  if (profile.contains("request")) script(profile);
  const bool lists = network.accounts().when() == catalog::v1::Accounts::WHEN_CONNECTING;
  if (lists && network.accounts().has_parents()) script(flow.json().at("accounts").at("parents"));
  if (lists) script(flow.json().at("accounts"));
  // Further parents, and further pages, have nothing.
  http.AnswerAlways([](int) { return "{}"; });

  CodeToExchange code = CodeOf(flow);
  if (network.has_open_id() && network.open_id().nonce()) code.id_token_nonce = "nonce-1";
  const ConsentResult result = Read(http, std::move(code));
  ASSERT_OK(result.consent);
  EXPECT_FALSE(result.unused.has_value());
  EXPECT_TRUE(http.is_done());
  ASSERT_GE(http.sent().size(), urls.size());
  for (size_t i = 0; i < urls.size(); ++i) EXPECT_EQ(http.sent()[i].url, urls[i]);
  for (const SentRequest& sent : http.sent()) {
    EXPECT_EQ(sent.target.network, network.id());
    EXPECT_EQ(sent.target.org_id, "acme");
  }
  EXPECT_EQ(result.consent->tokens.access_token, kAccessToken);
  EXPECT_FALSE(result.consent->person.id.empty());
  EXPECT_EQ(!result.consent->accounts.empty(), lists);
}

// The code is sent once, and what was granted before a fault is handed back.
TEST_P(ReadConsentTest, WhateverFailsEndsTheConsent) {
  const VectorFlow flow(GetParam());
  ScriptedClient refused;
  refused.Answer(500, "");
  const ConsentResult nothing = Read(refused, CodeOf(flow));
  EXPECT_THAT(nothing.consent, HasReason("NETWORK_UNAVAILABLE"));
  EXPECT_FALSE(nothing.unused.has_value());
  EXPECT_THAT(refused.sent(), SizeIs(1));

  ScriptedClient broken;
  broken.Answer(200, SuccessOf(flow, flow.json().at("exchange")));
  for (int i = 0; i < 25; ++i) {
    broken.Fail(MakeError(absl::StatusCode::kUnavailable, "NETWORK_UNAVAILABLE", "gone"));
  }
  const ConsentResult half = Read(broken, CodeOf(flow));
  if (half.consent.ok()) return;  // Nothing is asked after the exchange.
  ASSERT_TRUE(half.unused.has_value());
  EXPECT_EQ(half.unused->access_token, kAccessToken);
  // A revocation may need it, as that of a webhook.
  EXPECT_EQ(half.unused->kept, flow.Kept());
  EXPECT_LE(broken.sent().size(), 2u);
}

INSTANTIATE_TEST_SUITE_P(Networks, ReadConsentTest, ::testing::ValuesIn(AllVectors()),
                         [](const ::testing::TestParamInfo<Vector>& vector) {
                           return absl::StrReplaceAll(vector.param.title, {{"/", "_"}});
                         });

const Vector& Find(absl::string_view name) {
  for (const Vector& vector : AllVectors()) {
    if (vector.name == name) return vector;
  }
  ADD_FAILURE() << "no vector of " << name;
  return AllVectors().front();
}

std::string Pages(int from, int count, bool has_next) {
  Json list = Json::array();
  for (int i = from; i < from + count; ++i) {
    list.push_back({{"id", absl::StrCat(i)},
                    {"name", absl::StrCat("Page ", i)},
                    {"access_token", absl::StrCat("page-token-", i)},
                    {"tasks", {"CREATE_CONTENT"}}});
  }
  Json body = {{"data", list}};
  if (has_next) {
    body["paging"] = {{"next", "https://graph.facebook.com/v24.0/me/accounts?after=x"},
                      {"cursors", {{"after", absl::StrCat("c", from)}}}};
  }
  return body.dump();
}

TEST(ReadConsentListsTest, EndAtFiveHundredAccounts) {
  const VectorFlow flow(Find("facebook"));
  ScriptedClient http;
  http.Answer(200, SuccessOf(flow, flow.json().at("exchange")));
  http.Answer(200, SuccessOf(flow, flow.json().at("long_lived")));
  http.Answer(200, SuccessOf(flow, flow.json().at("profile")));
  int from = 0;
  http.AnswerAlways([&](int) { return Pages(from += 100, 100, true); });
  const ConsentResult result = Read(http, CodeOf(flow));
  ASSERT_OK(result.consent);
  EXPECT_THAT(result.consent->accounts, SizeIs(kMaxListedAccounts));
  EXPECT_TRUE(result.consent->has_more_accounts);
}

TEST(ReadConsentListsTest, EndThoughTheNetworkHasAlwaysANextPage) {
  const VectorFlow flow(Find("facebook"));
  ScriptedClient http;
  http.Answer(200, SuccessOf(flow, flow.json().at("exchange")));
  http.Answer(200, SuccessOf(flow, flow.json().at("long_lived")));
  http.Answer(200, SuccessOf(flow, flow.json().at("profile")));
  // The same page again and again: its accounts are there once.
  http.AnswerAlways([](int) { return Pages(7, 2, true); });
  const ConsentResult result = Read(http, CodeOf(flow));
  ASSERT_OK(result.consent);
  EXPECT_THAT(result.consent->accounts, SizeIs(2));
  EXPECT_TRUE(result.consent->has_more_accounts);
  EXPECT_THAT(http.sent(), SizeIs(3 + kMaxListRequests));
}

TEST(ReadConsentListsTest, WithoutAnAccountThePersonIsToldWhatToDo) {
  const VectorFlow flow(Find("facebook"));
  ScriptedClient http;
  http.Answer(200, SuccessOf(flow, flow.json().at("exchange")));
  http.Answer(200, SuccessOf(flow, flow.json().at("long_lived")));
  http.Answer(200, SuccessOf(flow, flow.json().at("profile")));
  http.Answer(200, R"({"data":[]})");
  const ConsentResult result = Read(http, CodeOf(flow));
  EXPECT_THAT(result.consent, HasReason("NO_ACCOUNT"));
  EXPECT_EQ(result.consent.status().message(), flow.network().accounts().if_none());
  // The consent is of no use: it is to be revoked.
  EXPECT_TRUE(result.unused.has_value());
}

// RFC 9700 section 4.5.3.2: until the nonce is known to be right, no token is used.
TEST(ReadConsentIdTokenTest, OfAnotherFlowEndsTheConsentBeforeItsTokensAreUsed) {
  const VectorFlow flow(Find("google"));
  for (const std::string& body : {SuccessOf(flow, flow.json().at("exchange")),
                                  std::string(R"({"access_token":"at/+1","scope":"openid"})")}) {
    ScriptedClient http;
    http.Answer(200, body);
    CodeToExchange code = CodeOf(flow);
    code.id_token_nonce = "nonce-2";  // The token has another one, or is not there.
    const ConsentResult result = Read(http, std::move(code));
    EXPECT_THAT(result.consent, HasReason("NETWORK_ANSWER_INVALID"));
    EXPECT_THAT(http.sent(), SizeIs(1));
    ASSERT_TRUE(result.unused.has_value());
    EXPECT_EQ(result.unused->access_token, kAccessToken);
  }
}

}  // namespace
}  // namespace authurl::testing
