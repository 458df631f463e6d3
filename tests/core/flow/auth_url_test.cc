#include "core/flow/auth_url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/catalog/network_entry.h"
#include "core/crypto/pkce.h"
#include "core/errors.h"
#include "core/flow/auth_state.h"
#include "core/flow/flow_id.h"
#include "tests/support/auth_fixture.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace authurl {
namespace {

using ::authurl::testing::HasViolation;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

using ::authurl::catalog::v1::Network;

constexpr char kRedirectUri[] = "https://app.example.com/cb";

class AuthUrlTest : public testing::AuthFixture {
 protected:
  AuthUrl Mint(const v1::GetAuthUrlRequest& request,
               const record::v1::SocialNetworkSettings& settings,
               const std::string& redirect_uri = kRedirectUri) const {
    return TryMint(request, settings, redirect_uri).value();
  }

  absl::StatusOr<AuthUrl> TryMint(const v1::GetAuthUrlRequest& request,
                                  const record::v1::SocialNetworkSettings& settings,
                                  const std::string& redirect_uri = kRedirectUri) const {
    const Network* network = catalog_.FindVariant(request.network(), settings.variant());
    return MintAuthUrl(sealer_, {network, &request}, settings,
                       {v1::PARAMETER_SOURCE_REQUEST, redirect_uri}, testing::CountingRandom(),
                       now_, absl::Minutes(10));
  }

  std::string Url(const v1::GetAuthUrlRequest& request,
                  const record::v1::SocialNetworkSettings& settings) const {
    return Mint(request, settings).url;
  }

  // The values of the query, still encoded.
  static std::map<std::string, std::string> Query(absl::string_view url) {
    const absl::string_view query = url.substr(url.find('?') + 1);
    std::map<std::string, std::string> values;
    for (absl::string_view pair : absl::StrSplit(query.substr(0, query.find('#')), '&')) {
      values.insert(absl::StrSplit(pair, absl::MaxSplits('=', 1)));
    }
    return values;
  }

  std::vector<std::string> Names(const AuthUrlParts& parts) const {
    std::vector<std::string> names;
    ForEachParameter(
        parts, [&](const AuthUrlParameter& parameter) { names.emplace_back(parameter.name); });
    return names;
  }

  const ChosenRedirectUri redirect_uri_ = {v1::PARAMETER_SOURCE_REQUEST, kRedirectUri};
};

// The golden file holds one line for each network and each of its variants: "network" or
// "network/variant" and the URL of a fixed configuration, key, nonce and time, reviewed by hand
// against the network's documentation. To write it anew: AUTHURL_UPDATE_GOLDEN=1.
TEST_F(AuthUrlTest, EveryNetworkAndVariantHasItsGoldenUrl) {
  const std::string path = absl::StrCat(AUTHURL_SOURCE_DIR, "/tests/golden/auth_urls.txt");
  std::string actual;
  for (const Network* network : catalog_.networks()) {
    std::vector<std::string> variants = {""};
    for (const auto& variant : network->variants()) variants.push_back(variant.id());
    for (const std::string& variant : variants) {
      if (!HasAuthUrl(*catalog_.FindVariant(network->id(), variant))) continue;
      absl::StrAppend(&actual, network->id(), variant.empty() ? "" : "/", variant, " ",
                      Url(Request(network->id()), CompleteSettings(network->id(), variant)), "\n");
    }
  }
  if (std::getenv("AUTHURL_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << actual;
  EXPECT_EQ(actual, testing::ReadFile(path));
}

TEST_F(AuthUrlTest, SendsParametersInTheOrderOfTheContract) {
  v1::GetAuthUrlRequest request = Request("youtube");
  request.set_force_account_selection(true);
  request.set_login_hint("user@example.com");
  record::v1::SocialNetworkSettings settings = Settings("youtube");
  (*settings.mutable_extra_params())["z_last"] = "1";
  (*settings.mutable_extra_params())["hd"] = "example.com";
  const AuthRequest auth_request = {catalog_.Find("youtube"), &request};
  EXPECT_THAT(
      Names({auth_request, settings, redirect_uri_, "STATE", "CHALLENGE"}),
      ElementsAre("client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge",
                  "code_challenge_method", "prompt", "login_hint", "access_type", "hd", "z_last"));
}

TEST_F(AuthUrlTest, AccountSelectionTakesThePlaceOfAFixedParameter) {
  v1::GetAuthUrlRequest request = Request("youtube");
  EXPECT_THAT(Url(request, Settings("youtube")), HasSubstr("&prompt=consent"));
  request.set_force_account_selection(true);
  EXPECT_THAT(
      Url(request, Settings("youtube")),
      AllOf(HasSubstr("&prompt=select_account%20consent"), Not(HasSubstr("prompt=consent"))));
}

TEST_F(AuthUrlTest, AccountSelectionWinsOverAChosenValue) {
  struct Choice {
    std::string network;
    std::string name;
    std::string chosen;
    std::string selecting;
  };
  const std::vector<Choice> choices = {
      {"facebook", "auth_type", "rerequest", "reauthenticate"},
      {"google", "prompt", "consent", "select_account%20consent"},
      {"microsoft", "prompt", "consent", "select_account"},
      {"discord", "prompt", "none", "consent"},
  };
  for (const Choice& choice : choices) {
    SCOPED_TRACE(choice.network);
    v1::GetAuthUrlRequest request = Request(choice.network);
    record::v1::SocialNetworkSettings configured = Settings(choice.network);
    (*configured.mutable_extra_params())[choice.name] = choice.chosen;
    EXPECT_EQ(Query(Url(request, configured))[choice.name], choice.chosen);
    v1::GetAuthUrlRequest choosing = request;
    (*choosing.mutable_extra_params())[choice.name] = choice.chosen;
    const record::v1::SocialNetworkSettings chosen =
        WithChoices(choosing, Settings(choice.network));
    EXPECT_EQ(Query(Url(choosing, chosen))[choice.name], choice.chosen);

    request.set_force_account_selection(true);
    choosing.set_force_account_selection(true);
    EXPECT_EQ(Query(Url(request, configured))[choice.name], choice.selecting);
    EXPECT_EQ(Query(Url(choosing, chosen))[choice.name], choice.selecting);
  }
}

TEST_F(AuthUrlTest, WhatARequestChoosesTakesThePlaceOfTheConfigurationsValue) {
  v1::GetAuthUrlRequest request = Request("microsoft");
  (*request.mutable_extra_params())["prompt"] = "none";
  (*request.mutable_variables())["tenant"] = "contoso.example";
  record::v1::SocialNetworkSettings settings = Settings("microsoft");
  (*settings.mutable_extra_params())["prompt"] = "login";
  (*settings.mutable_extra_params())["domain_hint"] = "example.com";
  (*settings.mutable_variables())["tenant"] = "common";
  EXPECT_THAT(Url(request, WithChoices(request, settings)),
              AllOf(HasSubstr("https://login.microsoftonline.com/contoso.example/"),
                    HasSubstr("&domain_hint=example.com"), HasSubstr("&prompt=none"),
                    Not(HasSubstr("prompt=login")), Not(HasSubstr("/common/"))));
}

TEST_F(AuthUrlTest, AccountSelectionAndHintDoNothingWhereTheNetworkHasNone) {
  v1::GetAuthUrlRequest request = Request("linkedin");
  const std::string plain = Url(request, Settings("linkedin"));
  request.set_force_account_selection(true);
  request.set_login_hint("user@example.com");
  EXPECT_EQ(Url(request, Settings("linkedin")), plain);
}

TEST_F(AuthUrlTest, ScopesComeFromTheRequestElseTheConfigurationElseTheCatalog) {
  v1::GetAuthUrlRequest request = Request("instagram");
  record::v1::SocialNetworkSettings settings = Settings("instagram");
  EXPECT_THAT(Url(request, settings), HasSubstr("&scope=instagram_business_basic%2C"));
  settings.add_scopes("a");
  settings.add_scopes("b");
  EXPECT_THAT(Url(request, settings), HasSubstr("&scope=a%2Cb&"));
  request.add_scopes("c");
  EXPECT_THAT(Url(request, settings), HasSubstr("&scope=c&"));
}

TEST_F(AuthUrlTest, EndpointVariablesComeFromTheConfiguration) {
  record::v1::SocialNetworkSettings settings = Settings("facebook");
  (*settings.mutable_variables())["version"] = "v99.0";
  EXPECT_THAT(Url(Request("facebook"), settings),
              StartsWith("https://www.facebook.com/v99.0/dialog/oauth?"));
}

TEST_F(AuthUrlTest, EverythingButUnreservedCharactersIsEncoded) {
  record::v1::SocialNetworkSettings settings = Settings("linkedin");
  settings.set_client_key("a b&c=d#e%f+g~h");
  EXPECT_THAT(Url(Request("linkedin"), settings),
              HasSubstr("?client_id=a%20b%26c%3Dd%23e%25f%2Bg~h&"));
}

TEST_F(AuthUrlTest, TheStateIsOfTheTenantThatTheCallerIsBoundTo) {
  const v1::GetAuthUrlRequest request = Request("x");
  ASSERT_OK_AND_ASSIGN(const AuthRequest valid, ValidateAuthRequest(catalog_, request, "mine"));
  const record::v1::SocialNetworkSettings settings = Settings("x");
  ASSERT_OK_AND_ASSIGN(const AuthRequest fitting, ForConfiguration(catalog_, valid, settings));
  ASSERT_OK_AND_ASSIGN(const AuthUrl minted,
                       MintAuthUrl(sealer_, fitting, settings, redirect_uri_,
                                   testing::CountingRandom(), now_, absl::Minutes(10)));
  ASSERT_OK_AND_ASSIGN(const OpenedState opened,
                       OpenAuthState(sealer_, Query(minted.url)["state"], now_, "acme", "x"));
  EXPECT_EQ(opened.state.tenant_id(), "mine");
}

TEST_F(AuthUrlTest, TheStateOpensAndYieldsTheVerifierOfTheChallenge) {
  v1::GetAuthUrlRequest request = Request("x");
  request.set_tenant_id("customer_42");
  request.set_session_binding("0123456789abcdef");
  std::map<std::string, std::string> query = Query(Url(request, Settings("x")));
  ASSERT_OK_AND_ASSIGN(const OpenedState opened,
                       OpenAuthState(sealer_, query["state"], now_, "acme", "x"));
  EXPECT_EQ(opened.state.tenant_id(), "customer_42");
  EXPECT_EQ(opened.state.redirect_uri(), kRedirectUri);
  EXPECT_EQ(opened.state.social_network_id(), Settings("x").id());
  EXPECT_EQ(opened.state.session_binding_hash(), AsChars(Sha256("0123456789abcdef")));
  EXPECT_EQ(opened.state.expires_at() - opened.state.issued_at(), 600);
  const std::string verifier =
      DeriveCodeVerifier(*keys_.Find(opened.key_id, Purpose::kCodeVerifier), opened.nonce);
  EXPECT_EQ(query["code_challenge"],
            CodeChallenge(verifier, catalog::v1::Pkce::CHALLENGE_ENCODING_BASE64URL));
  EXPECT_EQ(query["code_challenge_method"], "S256");
}

TEST_F(AuthUrlTest, AStateThatTheNetworkDoesNotTakeIsForTheStore) {
  const std::string redirect_uri = absl::StrCat("https://app.example.com/", std::string(400, 'a'));
  EXPECT_FALSE(Mint(Request("x"), Settings("x")).to_store.has_value());
  EXPECT_FALSE(Mint(Request("linkedin"), Settings("linkedin"), redirect_uri).to_store.has_value());
  const AuthUrl minted = Mint(Request("x"), Settings("x"), redirect_uri);
  ASSERT_TRUE(minted.to_store.has_value());
  EXPECT_EQ(minted.to_store->org_id, "acme");
  EXPECT_EQ(minted.to_store->expires_at, minted.expires_at);
  std::map<std::string, std::string> query = Query(minted.url);
  EXPECT_EQ(query["state"], minted.to_store->reference);
  ASSERT_OK_AND_ASSIGN(
      const OpenedState opened,
      OpenStoredAuthState(sealer_, query["state"], minted.to_store->sealed, now_, "acme", "x"));
  EXPECT_EQ(opened.state.redirect_uri(), redirect_uri);
  const std::string verifier =
      DeriveCodeVerifier(*keys_.Find(opened.key_id, Purpose::kCodeVerifier), opened.nonce);
  EXPECT_EQ(query["code_challenge"],
            CodeChallenge(verifier, catalog::v1::Pkce::CHALLENGE_ENCODING_BASE64URL));
}

TEST_F(AuthUrlTest, ANetworkThatTakesLettersAndDigitsOnlyGetsAReference) {
  const AuthUrl minted = Mint(Request("wechat"), Settings("wechat"));
  ASSERT_TRUE(minted.to_store.has_value());
  EXPECT_THAT(Query(minted.url)["state"], ::testing::MatchesRegex("[0-9a-f]{40}"));
}

TEST_F(AuthUrlTest, NoStateIsLongerThanUrlsBear) {
  v1::GetAuthUrlRequest request = Request("linkedin");
  for (int i = 0; i < 64; ++i) request.add_scopes(absl::StrCat("scope_", i, std::string(15, 's')));
  EXPECT_TRUE(Mint(request, Settings("linkedin")).to_store.has_value());
}

TEST_F(AuthUrlTest, ExpiryIsInWholeSecondsAsTheStateKeepsIt) {
  const v1::GetAuthUrlRequest request = Request("linkedin");
  const absl::StatusOr<AuthUrl> minted = MintAuthUrl(
      sealer_, {catalog_.Find("linkedin"), &request}, Settings("linkedin"), redirect_uri_,
      testing::CountingRandom(), now_ + absl::Milliseconds(999), absl::Minutes(10));
  ASSERT_TRUE(minted.ok());
  EXPECT_EQ(minted->expires_at, now_ + absl::Minutes(10));
}

TEST_F(AuthUrlTest, UrlOfMoreThan8192BytesIsRefusedAndItsLongestPartNamed) {
  v1::GetAuthUrlRequest request = Request("google");
  // Each byte of the hint is one of the URL.
  request.set_login_hint("h");
  const size_t shortest = Mint(request, Settings("google")).url.size();
  ASSERT_LT(shortest, kMaxAuthUrlBytes);
  request.set_login_hint(std::string(kMaxAuthUrlBytes - shortest + 1, 'h'));
  EXPECT_EQ(Mint(request, Settings("google")).url.size(), kMaxAuthUrlBytes);
  request.set_login_hint(request.login_hint() + "h");
  const absl::Status status = TryMint(request, Settings("google")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(status), "AUTH_URL_TOO_LONG");
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("8193 bytes"), HasSubstr("parameter login_hint"),
                    HasSubstr("from the request")));
}

TEST_F(AuthUrlTest, StateOfMoreThan2048BytesIsNotStored) {
  // Each byte of the last scope is one of the state.
  v1::GetAuthUrlRequest request = Request("google");
  for (int i = 0; i < 8; ++i) request.add_scopes(std::string(200, 's'));
  const size_t shortest = Mint(request, Settings("google")).to_store->sealed.size();
  ASSERT_LT(shortest, kMaxStoredStateBytes);
  request.mutable_scopes(0)->append(kMaxStoredStateBytes - shortest, 's');
  EXPECT_EQ(Mint(request, Settings("google")).to_store->sealed.size(), kMaxStoredStateBytes);
  request.mutable_scopes(0)->push_back('s');
  const absl::Status status = TryMint(request, Settings("google")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(status), "AUTH_STATE_TOO_LONG");
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("would be 2049 bytes"), HasSubstr("the request's scopes with")));
}

TEST_F(AuthUrlTest, TheLongestPartOfAStateIsNamedWhicheverItIs) {
  struct Part {
    const char* name;
    size_t redirect, scope, return_uri;
  };
  for (const Part& part :
       {Part{"redirect URI", 1500, 200, 1200}, Part{"request's scopes", 900, 1000, 900},
        Part{"return URI", 1100, 200, 1300}}) {
    v1::GetAuthUrlRequest request = Request("google");
    request.add_scopes(std::string(part.scope, 's'));
    const std::string redirect_uri(part.redirect, 'r');
    const std::string return_uri(part.return_uri, 'u');
    const absl::Status status =
        CheckStateFits({catalog_.Find("google"), &request}, Settings("google"),
                       {.given = redirect_uri, .is_hosted = true, .return_uri = return_uri}, now_);
    EXPECT_EQ(ReasonOf(status), "AUTH_STATE_TOO_LONG");
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(absl::StrCat("longest part is the ", part.name, " with ")));
  }
}

TEST_F(AuthUrlTest, TheStateCarriesHowTheFlowEnds) {
  v1::GetAuthUrlRequest request = Request("linkedin");
  request.set_return_state("tab=2");
  request.set_reconnect_account_id("sa_4zjq0v1r8k2m6c3t9xwp");
  const ChosenRedirectUri redirect_uri = {.source = v1::PARAMETER_SOURCE_CONFIG,
                                          .given = kRedirectUri,
                                          .is_hosted = true,
                                          .return_uri = "https://app.example.com/connected"};
  ASSERT_OK_AND_ASSIGN(
      const AuthUrl minted,
      MintAuthUrl(sealer_, {catalog_.Find("linkedin"), &request}, Settings("linkedin"),
                  redirect_uri, testing::CountingRandom(), now_, absl::Minutes(10)));
  ASSERT_OK_AND_ASSIGN(OpenedState opened,
                       OpenAuthState(sealer_, Query(minted.url)["state"], {.now = now_}));
  EXPECT_TRUE(opened.state.is_hosted());
  EXPECT_EQ(opened.state.return_uri(), "https://app.example.com/connected");
  EXPECT_EQ(opened.state.return_state(), "tab=2");
  EXPECT_EQ(opened.state.reconnect_account_id(), "sa_4zjq0v1r8k2m6c3t9xwp");
  // Nothing of it is the network's to read.
  EXPECT_EQ(minted.url.find("connected"), std::string::npos);
  ASSERT_OK_AND_ASSIGN(
      opened, OpenAuthState(sealer_, Query(Url(Request("linkedin"), Settings("linkedin")))["state"],
                            {.now = now_}));
  EXPECT_FALSE(opened.state.is_hosted());
  EXPECT_EQ(
      opened.state.return_uri() + opened.state.return_state() + opened.state.reconnect_account_id(),
      "");
}

// Of a stored state too.
TEST_F(AuthUrlTest, TheFlowIdIsThatOfTheState) {
  for (const char* network : {"linkedin", "wechat"}) {
    SCOPED_TRACE(network);
    const AuthUrl minted = Mint(Request(network), Settings(network));
    const std::string text = Query(minted.url)["state"];
    ASSERT_OK_AND_ASSIGN(
        const OpenedState opened,
        minted.to_store.has_value()
            ? OpenStoredAuthState(sealer_, text, minted.to_store->sealed, {.now = now_})
            : OpenAuthState(sealer_, text, {.now = now_}));
    EXPECT_EQ(minted.flow_id, MakeFlowId(sealer_, opened.key_id, opened.nonce, "acme",
                                         absl::FromUnixSeconds(opened.state.expires_at())));
    ASSERT_OK_AND_ASSIGN(const OpenedFlowId flow, OpenFlowId(sealer_, minted.flow_id, "acme"));
    EXPECT_EQ(flow.nonce_digest, NonceDigest(opened.nonce));
    EXPECT_EQ(flow.expires_at, minted.expires_at);
  }
}

TEST_F(AuthUrlTest, AParameterBoundToScopesIsSentWithThemOnly) {
  v1::GetAuthUrlRequest request = Request("apple");
  EXPECT_THAT(Url(request, Settings("apple")), HasSubstr("&response_mode=form_post"));
  request.add_scopes("openid");
  EXPECT_THAT(Url(request, Settings("apple")), Not(HasSubstr("response_mode")));
  EXPECT_THAT(Url(Request("discord"), Settings("discord")), HasSubstr("&permissions="));
  request = Request("discord");
  request.add_scopes("identify");
  EXPECT_THAT(Url(request, Settings("discord")), Not(HasSubstr("permissions")));
}

TEST_F(AuthUrlTest, AConfigurationParameterHasTheConfigurationsValueElseItsDefault) {
  record::v1::SocialNetworkSettings settings = Settings("discord");
  EXPECT_THAT(Url(Request("discord"), settings), HasSubstr("&permissions=274878024704"));
  (*settings.mutable_extra_params())["permissions"] = "8";
  const std::string url = Url(Request("discord"), settings);
  EXPECT_THAT(url, HasSubstr("&permissions=8"));
  EXPECT_THAT(url, Not(HasSubstr("274878024704")));
}

TEST_F(AuthUrlTest, AParameterThatReplacesScopesLeavesThemOut) {
  record::v1::SocialNetworkSettings settings = Settings("facebook");
  (*settings.mutable_extra_params())["config_id"] = "42";
  EXPECT_THAT(Url(Request("facebook"), settings),
              AllOf(HasSubstr("&config_id=42"), Not(HasSubstr("scope="))));
}

TEST_F(AuthUrlTest, AVariantHasItsOwnEndpointScopesAndChallenge) {
  EXPECT_THAT(Url(Request("tiktok"), Settings("tiktok")), Not(HasSubstr("code_challenge")));
  record::v1::SocialNetworkSettings settings = Settings("tiktok");
  settings.set_variant("desktop");
  EXPECT_THAT(Query(Url(Request("tiktok"), settings))["code_challenge"],
              ::testing::MatchesRegex("[0-9a-f]{64}"));
  settings = Settings("slack");
  settings.set_variant("user");
  EXPECT_THAT(Url(Request("slack"), settings), HasSubstr("&user_scope="));
}

TEST_F(AuthUrlTest, SlackTakesScopesOfBotAndUserAtOnce) {
  record::v1::SocialNetworkSettings settings = Settings("slack");
  (*settings.mutable_extra_params())["user_scope"] = "chat:write,users:read";
  EXPECT_THAT(Url(Request("slack"), settings),
              AllOf(HasSubstr("&scope=channels%3Aread"),
                    HasSubstr("&user_scope=chat%3Awrite%2Cusers%3Aread")));
}

// A catalog of one made-up network with everything that the built-in ones do not have (yet).
TEST_F(AuthUrlTest, FollowsEveryQuirkThatTheSchemaKnows) {
  ASSERT_OK_AND_ASSIGN(
      const NetworkCatalog catalog, NetworkCatalog::Parse(R"pb(
        networks {
          id: "odd"
          display_name: "Odd"
          status: STATUS_LIVE
          authorization_endpoint: "https://{instance}/authorize?tenant=1"
          client_id_param: "appid"
          client_key_label: "App ID"
          client_secret_label: "App secret"
          scopes { param: "permissions" separator: "," defaults: "a" defaults: "b" }
          pkce { mode: MODE_REQUIRED challenge_encoding: CHALLENGE_ENCODING_HEX }
          fragment: "odd_redirect"
          exchange {
            request { url: "https://{instance}/token" client_auth: CLIENT_AUTH_SECRET_POST }
          }
          documentation: "https://odd.example/docs"
          checked_on: "2026-11-23"
        })pb"));
  record::v1::SocialNetworkSettings settings = Settings("odd");
  settings.set_instance("odd.example");
  const v1::GetAuthUrlRequest request = Request("odd");
  const AuthRequest auth_request = {catalog.Find("odd"), &request};
  EXPECT_EQ(BuildAuthUrl({auth_request, settings, redirect_uri_, "STATE", "CHALLENGE"}),
            "https://odd.example/authorize?tenant=1&appid=client-key-1"
            "&redirect_uri=https%3A%2F%2Fapp.example.com%2Fcb&response_type=code"
            "&permissions=a%2Cb&state=STATE&code_challenge=CHALLENGE&code_challenge_method=S256"
            "#odd_redirect");
}

}  // namespace
}  // namespace authurl
