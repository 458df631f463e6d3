#include "core/auth_url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/auth_state.h"
#include "core/pkce.h"
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

constexpr char kRedirectUri[] = "https://app.example.com/cb";

class AuthUrlTest : public testing::AuthFixture {
 protected:
  absl::StatusOr<AuthUrl> Mint(const v1::GetAuthUrlRequest& request,
                               const record::v1::SocialNetworkSettings& settings,
                               absl::string_view redirect_uri = kRedirectUri) const {
    return MintAuthUrl(sealer_, {catalog_.Find(request.network()), &request}, settings,
                       redirect_uri, nonce_, now_, absl::Minutes(10));
  }

  std::string Url(const v1::GetAuthUrlRequest& request,
                  const record::v1::SocialNetworkSettings& settings) const {
    const absl::StatusOr<AuthUrl> minted = Mint(request, settings);
    return minted.ok() ? minted->url : minted.status().ToString();
  }

  std::vector<std::string> Names(const AuthUrlParts& parts) const {
    std::vector<std::string> names;
    for (const auto& parameter : AuthUrlParameters(parts)) names.push_back(parameter.name);
    return names;
  }
};

// The golden file holds one line for each network: its id and the URL of a fixed configuration,
// key, nonce and time, reviewed by hand against the network's documentation. To write it anew:
// AUTHURL_UPDATE_GOLDEN=1.
TEST_F(AuthUrlTest, EveryNetworkHasItsGoldenUrl) {
  const std::string path = absl::StrCat(AUTHURL_SOURCE_DIR, "/tests/golden/auth_urls.txt");
  std::string actual;
  for (const catalog::v1::Network* network : catalog_.networks()) {
    if (network->status() != catalog::v1::STATUS_LIVE) continue;
    absl::StrAppend(&actual, network->id(), " ",
                    Url(Request(network->id()), Settings(network->id())), "\n");
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
      Names({auth_request, settings, kRedirectUri, "STATE", "CHALLENGE"}),
      ElementsAre("client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge",
                  "code_challenge_method", "access_type", "prompt", "login_hint", "hd", "z_last"));
}

TEST_F(AuthUrlTest, AccountSelectionTakesThePlaceOfAFixedParameter) {
  v1::GetAuthUrlRequest request = Request("youtube");
  EXPECT_THAT(Url(request, Settings("youtube")), HasSubstr("&prompt=consent"));
  request.set_force_account_selection(true);
  EXPECT_THAT(
      Url(request, Settings("youtube")),
      AllOf(HasSubstr("&prompt=select_account%20consent"), Not(HasSubstr("prompt=consent"))));
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

TEST_F(AuthUrlTest, TheStateOpensAndYieldsTheVerifierOfTheChallenge) {
  v1::GetAuthUrlRequest request = Request("x");
  request.set_tenant_id("customer_42");
  request.set_session_binding("0123456789abcdef");
  const std::string url = Url(request, Settings("x"));
  std::map<std::string, std::string> query;
  const std::string query_text = url.substr(url.find('?') + 1);
  for (absl::string_view pair : absl::StrSplit(query_text, '&')) {
    query.insert(absl::StrSplit(pair, absl::MaxSplits('=', 1)));
  }
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

TEST_F(AuthUrlTest, AStateThatTheNetworkDoesNotTakeIsRefusedWithTheLimit) {
  const std::string redirect_uri = absl::StrCat("https://app.example.com/", std::string(400, 'a'));
  EXPECT_THAT(Mint(Request("x"), Settings("x"), redirect_uri),
              HasViolation("redirect_uri", HasSubstr("at most 500")));
  EXPECT_OK(Mint(Request("linkedin"), Settings("linkedin"), redirect_uri));
}

TEST_F(AuthUrlTest, ExpiryIsInWholeSecondsAsTheStateKeepsIt) {
  const v1::GetAuthUrlRequest request = Request("linkedin");
  ASSERT_OK_AND_ASSIGN(
      const AuthUrl minted,
      MintAuthUrl(sealer_, {catalog_.Find("linkedin"), &request}, Settings("linkedin"),
                  kRedirectUri, nonce_, now_ + absl::Milliseconds(999), absl::Minutes(10)));
  EXPECT_EQ(minted.expires_at, now_ + absl::Minutes(10));
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
          token_endpoint { url: "https://{instance}/token" auth_method: AUTH_METHOD_POST }
          documentation: "https://odd.example/docs"
          checked_on: "2026-11-23"
        })pb"));
  record::v1::SocialNetworkSettings settings = Settings("odd");
  settings.set_instance("odd.example");
  const v1::GetAuthUrlRequest request = Request("odd");
  const AuthRequest auth_request = {catalog.Find("odd"), &request};
  EXPECT_EQ(BuildAuthUrl({auth_request, settings, kRedirectUri, "STATE", "CHALLENGE"}),
            "https://odd.example/authorize?tenant=1&appid=client-key-1"
            "&redirect_uri=https%3A%2F%2Fapp.example.com%2Fcb&response_type=code"
            "&permissions=a%2Cb&state=STATE&code_challenge=CHALLENGE&code_challenge_method=S256"
            "#odd_redirect");
}

}  // namespace
}  // namespace authurl
