#include "core/flow/explanation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/catalog/network_entry.h"
#include "core/crypto/crypto.h"
#include "core/flow/auth_url.h"
#include "core/flow/id_token.h"
#include "core/uri.h"
#include "tests/support/auth_fixture.h"
#include "tests/support/status_matchers.h"

namespace authurl {
namespace {

using ::authurl::catalog::v1::Network;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class AuthUrlExplanationTest : public testing::AuthFixture {
 protected:
  v1::ExplainAuthUrlResponse Explain(const v1::GetAuthUrlRequest& request,
                                     const record::v1::SocialNetworkSettings& settings) const {
    const Network* network = catalog_.FindVariant(request.network(), settings.variant());
    return ExplainAuthUrl({network, &request}, settings, redirect_uri_);
  }

  // What is told of a request with this redirect URI.
  std::vector<std::string> WarningsOf(absl::string_view network,
                                      const std::string& redirect_uri) const {
    const v1::GetAuthUrlRequest request = Request(network);
    const v1::ExplainAuthUrlResponse explained =
        ExplainAuthUrl({catalog_.Find(network), &request}, Settings(network),
                       {v1::PARAMETER_SOURCE_REQUEST, redirect_uri});
    return {explained.warnings().begin(), explained.warnings().end()};
  }

  static v1::AuthUrlParameter Parameter(const v1::ExplainAuthUrlResponse& explained,
                                        absl::string_view name) {
    for (const auto& parameter : explained.parameters()) {
      if (parameter.name() == name) return parameter;
    }
    return {};
  }

  const ChosenRedirectUri redirect_uri_ = {v1::PARAMETER_SOURCE_REQUEST,
                                           "https://app.example.com/cb"};
};

// With the placeholders put in, the explanation spells the very URL that is handed out.
TEST_F(AuthUrlExplanationTest, AgreesWithTheUrlOfEveryNetworkAndVariant) {
  int compared = 0;
  for (const Network* network : catalog_.networks()) {
    std::vector<std::string> variants = {""};
    for (const auto& variant : network->variants()) variants.push_back(variant.id());
    for (const std::string& variant : variants) {
      const Network* entry = catalog_.FindVariant(network->id(), variant);
      if (!HasAuthUrl(*entry)) continue;
      SCOPED_TRACE(absl::StrCat(network->id(), "/", variant));
      v1::GetAuthUrlRequest request = Request(network->id());
      request.set_force_account_selection(true);
      request.set_login_hint("J\xc3\xbcrgen & Co");
      record::v1::SocialNetworkSettings settings = CompleteSettings(network->id(), variant);
      (*settings.mutable_extra_params())["zz_extra"] = "a b";
      const v1::ExplainAuthUrlResponse explained = Explain(request, settings);
      std::string spelt = explained.authorization_endpoint();
      char separator = absl::StrContains(spelt, '?') ? '&' : '?';
      for (const auto& parameter : explained.parameters()) {
        absl::StrAppend(&spelt, std::string(1, separator), PercentEncode(parameter.name()), "=",
                        PercentEncode(parameter.value()));
        separator = '&';
        EXPECT_NE(parameter.source(), v1::PARAMETER_SOURCE_UNSPECIFIED) << parameter.name();
        EXPECT_FALSE(parameter.why().empty()) << parameter.name();
      }
      if (!explained.fragment().empty()) absl::StrAppend(&spelt, "#", explained.fragment());
      const bool uses_pkce = entry->pkce().mode() != catalog::v1::Pkce::MODE_NONE;
      const bool takes_nonce = TakesNonce(*entry, ChooseScopes({entry, &request}, settings));
      EXPECT_EQ(spelt, BuildAuthUrl({{entry, &request},
                                     settings,
                                     redirect_uri_,
                                     kStatePlaceholder,
                                     uses_pkce ? kCodeChallengePlaceholder : absl::string_view(),
                                     takes_nonce ? kNoncePlaceholder : absl::string_view()}));
      ++compared;
    }
  }
  EXPECT_GT(compared, 30);
}

TEST_F(AuthUrlExplanationTest, SaysWhoDecidedEachValue) {
  v1::GetAuthUrlRequest request = Request("youtube");
  request.set_force_account_selection(true);
  request.set_login_hint("user@example.com");
  record::v1::SocialNetworkSettings settings = Settings("youtube");
  (*settings.mutable_extra_params())["hd"] = "example.com";
  const v1::ExplainAuthUrlResponse explained = Explain(request, settings);
  const auto source = [&](absl::string_view name) { return Parameter(explained, name).source(); };
  EXPECT_EQ(source("client_id"), v1::PARAMETER_SOURCE_CONFIG);
  EXPECT_EQ(source("redirect_uri"), v1::PARAMETER_SOURCE_REQUEST);
  EXPECT_EQ(source("response_type"), v1::PARAMETER_SOURCE_CATALOG);
  EXPECT_EQ(source("scope"), v1::PARAMETER_SOURCE_CATALOG);
  EXPECT_EQ(source("state"), v1::PARAMETER_SOURCE_GENERATED);
  EXPECT_EQ(source("code_challenge"), v1::PARAMETER_SOURCE_GENERATED);
  EXPECT_EQ(source("access_type"), v1::PARAMETER_SOURCE_CATALOG);
  EXPECT_EQ(source("prompt"), v1::PARAMETER_SOURCE_REQUEST);
  EXPECT_EQ(source("login_hint"), v1::PARAMETER_SOURCE_REQUEST);
  EXPECT_EQ(source("hd"), v1::PARAMETER_SOURCE_CONFIG);
  settings.add_scopes("a");
  EXPECT_EQ(Parameter(Explain(request, settings), "scope").source(), v1::PARAMETER_SOURCE_CONFIG);
  request.add_scopes("b");
  EXPECT_EQ(Parameter(Explain(request, settings), "scope").source(), v1::PARAMETER_SOURCE_REQUEST);
}

TEST_F(AuthUrlExplanationTest, SaysWhereTheFlowEnds) {
  const Network* network = catalog_.Find("linkedin");
  v1::GetAuthUrlRequest request = Request("linkedin");
  record::v1::SocialNetworkSettings settings = Settings("linkedin");
  const auto explain = [&](const ChosenRedirectUri& redirect_uri) {
    return ExplainAuthUrl({network, &request}, settings, redirect_uri);
  };
  ChosenRedirectUri hosted = {
      .source = v1::PARAMETER_SOURCE_CONFIG, .given = "https://a.example/cb", .is_hosted = true};
  v1::ExplainAuthUrlResponse explained = explain(hosted);
  EXPECT_TRUE(explained.hosted_callback());
  EXPECT_EQ(explained.return_uri(), "");
  EXPECT_THAT(explained.warnings(),
              ElementsAre(HasSubstr("login CSRF"), HasSubstr("no default_return_uri")));
  request.set_session_binding("0123456789abcdef");
  EXPECT_THAT(explain(hosted).warnings(),
              ElementsAre(HasSubstr("FinalizePendingConnection needs")));
  settings.set_default_return_uri("https://app.example.com/default");
  explained = explain(hosted);
  EXPECT_EQ(explained.return_uri(), "https://app.example.com/default");
  EXPECT_EQ(explained.return_uri_source(), v1::PARAMETER_SOURCE_CONFIG);
  EXPECT_THAT(explained.warnings(), IsEmpty());
  hosted.return_uri = "https://app.example.com/connected";
  explained = explain(hosted);
  EXPECT_EQ(explained.return_uri(), "https://app.example.com/connected");
  EXPECT_EQ(explained.return_uri_source(), v1::PARAMETER_SOURCE_REQUEST);
  EXPECT_EQ(Parameter(explained, "redirect_uri").why(),
            "Where the network sends the end-user back to");
  request.set_redirect_uri("https://app.example.com/connected");
  settings.add_allowed_return_uris("https://app.example.com/connected");
  EXPECT_THAT(Parameter(explain(hosted), "redirect_uri").why(),
              HasSubstr("because the request's redirect_uri is one of the configuration's"));
  // A callback of one's own goes on to nowhere.
  request.clear_redirect_uri();
  request.set_return_uri("https://app.example.com/connected");
  explained = explain(redirect_uri_);
  EXPECT_FALSE(explained.hosted_callback());
  EXPECT_EQ(explained.return_uri(), "");
  EXPECT_THAT(explained.warnings(), ElementsAre(HasSubstr("return_uri has no effect")));
}

TEST_F(AuthUrlExplanationTest, MintsNothing) {
  const v1::ExplainAuthUrlResponse explained = Explain(Request("x"), Settings("x"));
  EXPECT_EQ(Parameter(explained, "state").value(), "<state>");
  EXPECT_EQ(Parameter(explained, "code_challenge").value(), "<code_challenge>");
  EXPECT_THAT(Parameter(Explain(Request("wechat"), Settings("wechat")), "state").why(),
              HasSubstr("40 letters and digits"));
}

TEST_F(AuthUrlExplanationTest, WarnsOfARefreshTokenThatWillNotCome) {
  v1::GetAuthUrlRequest request = Request("x");
  EXPECT_THAT(Explain(request, Settings("x")).warnings(),
              ElementsAre(HasSubstr("keeps one connection for each person and app")));
  request.add_scopes("tweet.read");
  EXPECT_THAT(Explain(request, Settings("x")).warnings(), Contains(HasSubstr("offline.access")));
}

TEST_F(AuthUrlExplanationTest, WarnsOfConfiguredRedirectUrisThatTheNetworkRefusesByNow) {
  record::v1::SocialNetworkSettings settings = Settings("tiktok");
  settings.set_default_redirect_uri("https://app.example.com/cb?x=1");
  settings.add_allowed_redirect_uris("https://app.example.com/cb");
  settings.add_allowed_redirect_uris("https://app.example.com/?y=1");
  settings.add_allowed_redirect_uris("https://app.example.com/?iss=1");
  EXPECT_THAT(
      Explain(Request("tiktok"), settings).warnings(),
      ElementsAre(HasSubstr("default_redirect_uri \"https://app.example.com/cb?x=1\": "),
                  HasSubstr("allowed_redirect_uris[1] \"https://app.example.com/?y=1\": "),
                  HasSubstr("allowed_redirect_uris[2] \"https://app.example.com/?iss=1\": TikTok"),
                  HasSubstr("must not have \"iss\" in its query")));
  // What one network alone adds.
  settings = Settings("vk");
  settings.add_allowed_redirect_uris("https://app.example.com/cb?device_id=1");
  EXPECT_THAT(Explain(Request("vk"), settings).warnings(),
              Contains(HasSubstr("must not have \"device_id\" in its query")));
}

TEST_F(AuthUrlExplanationTest, WarnsOfConfiguredScopesThatAreRefusedByNow) {
  const auto refused =
      Contains(HasSubstr("The configuration's scopes[0]: must be one scope: X "
                         "separates scopes by blanks"));
  const Network& x = *catalog_.Find("x");
  record::v1::SocialNetworkSettings settings = Settings("x");
  settings.add_scopes("tweet.read,tweet.write");
  v1::GetAuthUrlRequest request = Request("x");
  EXPECT_THAT(Explain(request, settings).warnings(), refused);
  EXPECT_THAT(ConfigurationWarnings(x, settings, now_), refused);
  // The request's take their place.
  request.add_scopes("tweet.read");
  EXPECT_THAT(Explain(request, settings).warnings(),
              Not(Contains(HasSubstr("The configuration's scopes"))));
  request.clear_scopes();
  settings.set_scopes(0, "tweet.read");
  settings.add_scopes("tweet.write");
  EXPECT_THAT(Explain(request, settings).warnings(),
              Not(Contains(HasSubstr("The configuration's scopes"))));
  EXPECT_THAT(ConfigurationWarnings(x, settings, now_),
              Not(Contains(HasSubstr("The configuration's scopes"))));
}

TEST_F(AuthUrlExplanationTest, ScopesThatAreNotSentAreNotWarnedOf) {
  v1::GetAuthUrlRequest request = Request("facebook");
  request.add_scopes("manage_pages");
  record::v1::SocialNetworkSettings settings = Settings("facebook");
  EXPECT_THAT(Explain(request, settings).warnings(), Contains(HasSubstr("manage_pages")));
  (*settings.mutable_extra_params())["config_id"] = "42";
  EXPECT_THAT(Explain(request, settings).warnings(),
              ElementsAre(HasSubstr("scopes are not sent, because the configuration's "
                                    "extra_params.config_id")));
  settings.add_scopes("manage_pages");
  settings.set_client_key("1234567890123456");
  EXPECT_THAT(ConfigurationWarnings(*catalog_.Find("facebook"), settings, now_), IsEmpty());
}

TEST_F(AuthUrlExplanationTest, SaysWhatWillHaveNoEffect) {
  v1::GetAuthUrlRequest request = Request("linkedin");
  EXPECT_THAT(Explain(request, Settings("linkedin")).warnings(), IsEmpty());
  request.set_force_account_selection(true);
  request.set_login_hint("jo@example.com");
  EXPECT_THAT(Explain(request, Settings("linkedin")).warnings(),
              ElementsAre(HasSubstr("LinkedIn has no account chooser"),
                          HasSubstr("LinkedIn takes no login_hint")));
}

TEST_F(AuthUrlExplanationTest, WarnsOfCredentialsThatLookLikeOthers) {
  record::v1::SocialNetworkSettings settings = Settings("microsoft");
  settings.set_client_key("3f2504e0-4f89-11d3-9a0c-0305e82c3301");
  const Network& microsoft = *catalog_.Find("microsoft");
  EXPECT_THAT(ConfigurationWarnings(microsoft, settings, now_), IsEmpty());
  // A secret's id in place of the secret.
  EXPECT_THAT(
      ConfigurationWarnings(microsoft, settings, now_, "3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
      ElementsAre(HasSubstr("The client_secret does not look like")));
  settings.set_client_key("my-app");
  EXPECT_THAT(
      ConfigurationWarnings(microsoft, settings, now_),
      ElementsAre(AllOf(HasSubstr("The client_key does not look like"), Not(HasSubstr("my-app")))));
}

// The patterns of the networks whose credentials people confuse most.
TEST_F(AuthUrlExplanationTest, KnowsTheCredentialsOfTheLargeNetworks) {
  struct Credentials {
    std::string network;
    std::string key;
    std::string secret;
    std::string wrong_key;
    std::string wrong_secret;
  };
  const std::string hex(32, 'a');
  const std::vector<Credentials> all = {
      {"google", "1234-abcd.apps.googleusercontent.com", "GOCSPX-0123456789abcdefghij", "abc",
       "abc"},
      {"x", std::string(34, 'a'), "", std::string(25, 'a'), ""},
      {"vk", "51234567", "", "my-app", ""},
      {"facebook", "1234567890123456", hex, "my-app", "hush"},
      {"instagram", "1234567890123456", "", "my-app", ""},
      {"threads", "1234567890123456", "", "my-app", ""},
  };
  const auto doubts = Contains(HasSubstr("does not look like"));
  for (const Credentials& each : all) {
    SCOPED_TRACE(each.network);
    const Network& network = *catalog_.Find(each.network);
    record::v1::SocialNetworkSettings settings = Settings(each.network);
    settings.set_client_key(each.key);
    EXPECT_THAT(ConfigurationWarnings(network, settings, now_, each.secret), Not(doubts));
    if (!each.wrong_secret.empty()) {
      EXPECT_THAT(ConfigurationWarnings(network, settings, now_, each.wrong_secret), doubts);
    }
    settings.set_client_key(each.wrong_key);
    EXPECT_THAT(ConfigurationWarnings(network, settings, now_, each.secret), doubts);
  }
}

TEST_F(AuthUrlExplanationTest, WarnsOfASecretThatEnds) {
  const Network& apple = *catalog_.Find("apple");
  const auto jwt = [](const std::string& claims) {
    return absl::StrCat("e30.", Base64UrlEncode(claims), ".c2ln");
  };
  const auto ending = [&](absl::Duration after) {
    return ConfigurationWarnings(
        apple, Settings("apple"), now_,
        jwt(absl::StrCat("{\"exp\":", absl::ToUnixSeconds(now_ + after), "}")));
  };
  constexpr absl::Duration kDay = absl::Hours(24);
  const std::string cure = ": make another one, or give the private key itself, which does not end";
  EXPECT_THAT(ending(-kDay), ElementsAre("Apple's client_secret ended on 2026-11-22" + cure));
  EXPECT_THAT(ending(absl::ZeroDuration()),
              ElementsAre("Apple's client_secret ended on 2026-11-23" + cure));
  EXPECT_THAT(ending(29 * kDay), ElementsAre("Apple's client_secret ends on 2026-12-22" + cure));
  EXPECT_THAT(ending(30 * kDay), IsEmpty());
  EXPECT_THAT(ending(60 * kDay), IsEmpty());
  EXPECT_THAT(ending(182 * kDay), IsEmpty());
  EXPECT_THAT(ending(300 * kDay),
              ElementsAre("Apple takes no client_secret that lives for more than 182 days"));
  // In milliseconds.
  EXPECT_THAT(ConfigurationWarnings(apple, Settings("apple"), now_, jwt("{\"exp\":1796000000000}")),
              ElementsAre(HasSubstr("lives for more than 182 days")));
  EXPECT_THAT(ConfigurationWarnings(apple, Settings("apple"), now_, jwt("{}")),
              ElementsAre("Apple's client_secret has no exp: Apple will refuse it"));
  // A key does not end, and at other networks a text of that form is no JWT of ours.
  EXPECT_THAT(
      ConfigurationWarnings(apple, Settings("apple"), now_, "-----BEGIN PRIVATE KEY-----\nMIG\n"),
      IsEmpty());
  EXPECT_THAT(ConfigurationWarnings(*catalog_.Find("linkedin"), Settings("linkedin"), now_,
                                    jwt("{\"exp\":1}")),
              Not(Contains(HasSubstr("client_secret ended"))));
}

TEST_F(AuthUrlExplanationTest, WarnsOfLocalAddressesThatANetworkMayRefuse) {
  const auto advises = Contains(HasSubstr("advises http://127.0.0.1"));
  EXPECT_THAT(WarningsOf("x", "http://localhost:8080/cb"), advises);
  EXPECT_THAT(WarningsOf("x", "http://127.0.0.1:8080/cb"), Not(advises));
  // RFC 6761 section 6.3 makes the name local, and Google takes localhost itself only.
  const auto refuses = Contains(HasSubstr("public top-level domains"));
  for (const char* network : {"google", "youtube", "google_business", "blogger"}) {
    EXPECT_THAT(WarningsOf(network, "http://tenant.localhost/cb"), refuses) << network;
    EXPECT_THAT(WarningsOf(network, "http://localhost/cb"), Not(refuses)) << network;
  }
}

TEST_F(AuthUrlExplanationTest, WarnsOfAHostWithoutADot) {
  const auto no_dot = Contains(
      "The redirect URI's host \"intranet\" has no dot: most networks take public host names only");
  EXPECT_THAT(WarningsOf("github", "https://intranet/cb"), no_dot);
  for (const char* fine :
       {"https://app.example.com/cb", "http://localhost/cb", "http://tenant.localhost/cb",
        "http://127.0.0.1/cb", "https://[::1]/cb", "com.example.app:/cb"}) {
    EXPECT_THAT(WarningsOf("github", fine), Not(Contains(HasSubstr("has no dot")))) << fine;
  }
  record::v1::SocialNetworkSettings settings = Settings("github");
  settings.set_default_redirect_uri("https://intranet/cb");
  EXPECT_THAT(ConfigurationWarnings(*catalog_.Find("github"), settings, now_), no_dot);
  settings.clear_default_redirect_uri();
  settings.add_allowed_redirect_uris("https://intranet/cb");
  EXPECT_THAT(ConfigurationWarnings(*catalog_.Find("github"), settings, now_), no_dot);
  // Refused where the network takes public names only.
  EXPECT_THAT(ConfigurationWarnings(*catalog_.Find("apple"), settings, now_), Not(no_dot));
}

TEST_F(AuthUrlExplanationTest, WarnsOfAsterisksInConfiguredRedirectUris) {
  const Network& github = *catalog_.Find("github");
  const std::string name_each =
      " has a \"*\": networks compare redirect URIs exactly, so name each one";
  record::v1::SocialNetworkSettings settings = Settings("github");
  settings.add_allowed_redirect_uris("https://app.example.com/cb");
  settings.set_default_redirect_uri("https://app.example.com/cb");
  EXPECT_THAT(ConfigurationWarnings(github, settings, now_), Not(Contains(HasSubstr("\"*\""))));
  settings.add_allowed_redirect_uris("https://app.example.com/*");
  settings.set_default_redirect_uri("https://app.example.com/*");
  const std::vector<std::string> warnings = ConfigurationWarnings(github, settings, now_);
  EXPECT_THAT(warnings, Contains("The allowed_redirect_uris[1]" + name_each));
  EXPECT_THAT(warnings, Contains("The default_redirect_uri" + name_each));
}

TEST_F(AuthUrlExplanationTest, WarnsOfGooglesScopesWithoutTheirAddress) {
  const auto addresses = Contains(HasSubstr("Google's scopes but openid, email and profile are"));
  for (const char* network : {"google", "youtube", "google_business", "blogger"}) {
    for (const std::string scope :
         {"youtube", "youtube.upload", "youtubepartner", "yt-analytics.readonly", "blogger",
          "business.manage", "calendar.events", "drive.file", "gmail.send", "userinfo.email"}) {
      SCOPED_TRACE(absl::StrCat(network, " ", scope));
      v1::GetAuthUrlRequest request = Request(network);
      request.add_scopes("openid");
      request.add_scopes(scope);
      EXPECT_THAT(Explain(request, Settings(network)).warnings(), addresses);
      request.set_scopes(1, "https://www.googleapis.com/auth/" + scope);
      EXPECT_THAT(Explain(request, Settings(network)).warnings(), Not(addresses));
    }
    v1::GetAuthUrlRequest request = Request(network);
    EXPECT_THAT(Explain(request, Settings(network)).warnings(), Not(addresses)) << network;
    for (const char* scope : {"openid", "email", "profile"}) request.add_scopes(scope);
    EXPECT_THAT(Explain(request, Settings(network)).warnings(), Not(addresses)) << network;
  }
}

TEST_F(AuthUrlExplanationTest, WarnsOfAUrlThatIsTooLongWhateverItsState) {
  v1::GetAuthUrlRequest request = Request("google");
  const auto refused = Contains(HasSubstr("GetAuthUrl refuses this URL"));
  EXPECT_THAT(Explain(request, Settings("google")).warnings(), Not(refused));
  for (int i = 0; i < 64; ++i) request.add_scopes(absl::StrCat("s", i, std::string(200, 's')));
  EXPECT_THAT(Explain(request, Settings("google")).warnings(), refused);
}

// LINE takes letters and digits only, so its states are stored.
TEST_F(AuthUrlExplanationTest, WarnsOfAStateThatIsTooLongToBeStored) {
  v1::GetAuthUrlRequest request = Request("line");
  const auto refused = Contains(HasSubstr("GetAuthUrl refuses this: The OAuth state would be"));
  EXPECT_THAT(Explain(request, Settings("line")).warnings(), Not(refused));
  for (int i = 0; i < 16; ++i) request.add_scopes(absl::StrCat("s", i, std::string(200, 's')));
  EXPECT_THAT(Explain(request, Settings("line")).warnings(), refused);
}

TEST_F(AuthUrlExplanationTest, SaysThatALegacyNetworkIsOne) {
  EXPECT_THAT(Explain(Request("medium"), Settings("medium")).warnings(),
              ElementsAre(catalog_.Find("medium")->status_note()));
  EXPECT_THAT(ConfigurationWarnings(*catalog_.Find("medium"), Settings("medium"), now_),
              ElementsAre(catalog_.Find("medium")->status_note()));
}

// Every condition of a warning must hold, for the scopes and for one of the redirect URIs.
TEST(ConfigurationWarningsTest, AWarningNeedsAllOfItsConditions) {
  ASSERT_OK_AND_ASSIGN(const NetworkCatalog catalog, NetworkCatalog::Parse(R"pb(
                         networks {
                           id: "w"
                           display_name: "W"
                           status: STATUS_LIVE
                           authorization_endpoint: "https://w.example/a"
                           pkce { mode: MODE_NONE }
                           scopes { defaults: "a" }
                           warnings {
                             all_scopes: [ "a", "b" ]
                             text: "both"
                           }
                           warnings {
                             any_scope: [ "a", "c" ]
                             text: "either"
                           }
                           warnings {
                             no_scope: [ "b", "d" ]
                             text: "neither"
                           }
                           warnings { scope: "[cd].*" no_scope: "c" text: "of d" }
                           warnings { redirect_uri: "/$" text: "slash" }
                           warnings { all_scopes: "b" redirect_uri: "q=" text: "b with q" }
                         })pb"));
  const Network& network = *catalog.Find("w");
  const absl::Time now = absl::UnixEpoch();
  record::v1::SocialNetworkSettings settings;
  EXPECT_THAT(ConfigurationWarnings(network, settings, now), ElementsAre("either", "neither"));
  settings.add_scopes("b");
  EXPECT_THAT(ConfigurationWarnings(network, settings, now), IsEmpty());
  settings.add_scopes("a");
  EXPECT_THAT(ConfigurationWarnings(network, settings, now), ElementsAre("both", "either"));
  settings.add_allowed_redirect_uris("https://app.example.com/");
  settings.set_default_redirect_uri("https://app.example.com/?q=1");
  EXPECT_THAT(ConfigurationWarnings(network, settings, now),
              ElementsAre("both", "either", "slash", "b with q"));
  settings.clear_allowed_redirect_uris();
  settings.clear_default_redirect_uri();
  // One scope is enough, and it must match in full.
  settings.add_scopes("xd");
  EXPECT_THAT(ConfigurationWarnings(network, settings, now), ElementsAre("both", "either"));
  settings.add_scopes("dx");
  EXPECT_THAT(ConfigurationWarnings(network, settings, now), ElementsAre("both", "either", "of d"));
  settings.add_scopes("c");
  EXPECT_THAT(ConfigurationWarnings(network, settings, now), ElementsAre("both", "either"));
}

}  // namespace
}  // namespace authurl
