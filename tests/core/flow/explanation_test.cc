#include "core/flow/explanation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/catalog/network_entry.h"
#include "core/flow/auth_url.h"
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
      EXPECT_EQ(spelt, BuildAuthUrl({{entry, &request},
                                     settings,
                                     redirect_uri_,
                                     kStatePlaceholder,
                                     uses_pkce ? kCodeChallengePlaceholder : absl::string_view()}));
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

TEST_F(AuthUrlExplanationTest, MintsNothing) {
  const v1::ExplainAuthUrlResponse explained = Explain(Request("x"), Settings("x"));
  EXPECT_EQ(Parameter(explained, "state").value(), "<state>");
  EXPECT_EQ(Parameter(explained, "code_challenge").value(), "<code_challenge>");
  EXPECT_THAT(Parameter(Explain(Request("wechat"), Settings("wechat")), "state").why(),
              HasSubstr("40 letters and digits"));
}

TEST_F(AuthUrlExplanationTest, WarnsOfARefreshTokenThatWillNotCome) {
  v1::GetAuthUrlRequest request = Request("x");
  EXPECT_THAT(Explain(request, Settings("x")).warnings(), IsEmpty());
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
  EXPECT_THAT(ConfigurationWarnings(*catalog_.Find("facebook"), settings), IsEmpty());
}

TEST_F(AuthUrlExplanationTest, WarnsOfAUrlThatIsTooLongWhateverItsState) {
  v1::GetAuthUrlRequest request = Request("google");
  const auto refused = Contains(HasSubstr("GetAuthUrl refuses this URL"));
  EXPECT_THAT(Explain(request, Settings("google")).warnings(), Not(refused));
  for (int i = 0; i < 64; ++i) request.add_scopes(absl::StrCat("s", i, std::string(200, 's')));
  EXPECT_THAT(Explain(request, Settings("google")).warnings(), refused);
}

TEST_F(AuthUrlExplanationTest, SaysThatALegacyNetworkIsOne) {
  EXPECT_THAT(Explain(Request("medium"), Settings("medium")).warnings(),
              ElementsAre(catalog_.Find("medium")->status_note()));
  EXPECT_THAT(ConfigurationWarnings(*catalog_.Find("medium"), Settings("medium")),
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
                           warnings { redirect_uri: "/$" text: "slash" }
                           warnings { all_scopes: "b" redirect_uri: "q=" text: "b with q" }
                         })pb"));
  const Network& network = *catalog.Find("w");
  record::v1::SocialNetworkSettings settings;
  EXPECT_THAT(ConfigurationWarnings(network, settings), ElementsAre("either", "neither"));
  settings.add_scopes("b");
  EXPECT_THAT(ConfigurationWarnings(network, settings), IsEmpty());
  settings.add_scopes("a");
  EXPECT_THAT(ConfigurationWarnings(network, settings), ElementsAre("both", "either"));
  settings.add_allowed_redirect_uris("https://app.example.com/");
  settings.set_default_redirect_uri("https://app.example.com/?q=1");
  EXPECT_THAT(ConfigurationWarnings(network, settings),
              ElementsAre("both", "either", "slash", "b with q"));
}

}  // namespace
}  // namespace authurl
