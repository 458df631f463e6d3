#include "core/network_catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/support/status_matchers.h"

namespace authurl {
namespace {

using ::authurl::catalog::v1::Network;
using ::authurl::catalog::v1::Pkce;
using ::authurl::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// One entry that sets nearly every field.
constexpr char kFullEntry[] = R"pb(
  networks {
    id: "full"
    display_name: "Full"
    status: STATUS_LIVE
    status_note: ""
    authorization_endpoint: "https://full.example/{version}/authorize?lang=en"
    variables {
      name: "version"
      default_value: "v1.0"
      pattern: "v[0-9]\\.[0-9]"
      description: "The version of the interface, such as v1.0"
    }
    client_id_param: "client_key"
    client_key_label: "Key"
    response_type: "code"
    scopes { param: "scope" separator: "," defaults: "read" defaults: "write" }
    pkce { mode: MODE_SUPPORTED challenge_encoding: CHALLENGE_ENCODING_HEX }
    state { max_length: 500 }
    redirect_uri { http_localhost: true no_query: true max_length: 511 }
    fixed_params { name: "access_type" value: "offline" }
    fixed_params { name: "prompt" value: "consent" }
    account_selection_params { name: "prompt" value: "select_account" }
    login_hint_param: "login_hint"
    fragment: "top"
    token_endpoint {
      url: "https://api.full.example/{version}/token"
      auth_method: AUTH_METHOD_BASIC
    }
    userinfo_endpoint: "https://api.full.example/me"
    revocation_endpoint: "https://api.full.example/revoke"
    documentation: "https://full.example/docs"
    checked_on: "2026-11-23"
  }
)pb";

constexpr char kInstanceEntry[] = R"pb(
  networks {
    id: "fediverse"
    display_name: "Fediverse"
    status: STATUS_LIVE
    authorization_endpoint: "https://{instance}/oauth/authorize"
    pkce { mode: MODE_SUPPORTED }
    documentation: "https://docs.example/oauth"
    checked_on: "2026-11-23"
  }
)pb";

std::string FullEntryWith(const std::string& from, const std::string& to) {
  EXPECT_TRUE(absl::StrContains(kFullEntry, from)) << from;
  return absl::StrReplaceAll(kFullEntry, {{from, to}});
}

TEST(NetworkCatalogTest, ReadsAnEntryAsItIsWritten) {
  ASSERT_OK_AND_ASSIGN(const NetworkCatalog catalog, NetworkCatalog::Parse(kFullEntry));
  const Network* network = catalog.Find("full");
  ASSERT_NE(network, nullptr);
  EXPECT_EQ(network->client_id_param(), "client_key");
  EXPECT_EQ(network->scopes().separator(), ",");
  EXPECT_EQ(network->pkce().challenge_encoding(), Pkce::CHALLENGE_ENCODING_HEX);
  EXPECT_FALSE(HasInstances(*network));
}

TEST(NetworkCatalogTest, FillsInTheDefaultsOfTheSchema) {
  ASSERT_OK_AND_ASSIGN(const NetworkCatalog catalog, NetworkCatalog::Parse(kInstanceEntry));
  const Network* network = catalog.Find("fediverse");
  ASSERT_NE(network, nullptr);
  EXPECT_EQ(network->client_id_param(), "client_id");
  EXPECT_EQ(network->response_type(), "code");
  EXPECT_EQ(network->scopes().param(), "scope");
  EXPECT_EQ(network->scopes().separator(), " ");
  EXPECT_EQ(network->pkce().challenge_encoding(), Pkce::CHALLENGE_ENCODING_BASE64URL);
  EXPECT_TRUE(HasInstances(*network));
}

TEST(NetworkCatalogTest, KeepsTheOrderAndSurvivesAMove) {
  ASSERT_OK_AND_ASSIGN(NetworkCatalog first,
                       NetworkCatalog::Parse(absl::StrCat(kInstanceEntry, kFullEntry)));
  const NetworkCatalog catalog = std::move(first);
  ASSERT_EQ(catalog.networks().size(), 2u);
  EXPECT_EQ(catalog.networks()[0]->id(), "fediverse");
  EXPECT_EQ(catalog.networks()[1], catalog.Find("full"));
  EXPECT_EQ(catalog.Find("unknown"), nullptr);
  EXPECT_EQ(catalog.Find(""), nullptr);
}

TEST(NetworkCatalogTest, TellsWhereTextIsNoCatalog) {
  EXPECT_THAT(NetworkCatalog::Parse("networks {\n  id: 7\n}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(StartsWith("the network catalog: line 2, column "),
                             HasSubstr("Expected string"))));
  EXPECT_THAT(NetworkCatalog::Parse("networks { colour: \"red\" }"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("line 1, column "), HasSubstr("\"colour\""))));
  EXPECT_THAT(NetworkCatalog::Parse("networks { status: STATUS_SLEEPING }"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("STATUS_SLEEPING")));
}

struct BadField {
  std::string from;
  std::string to;
  std::string field;
  std::string reason;
};

TEST(NetworkCatalogTest, NamesEntryFieldAndReasonOfEveryFault) {
  const std::string hint = "login_hint_param: \"login_hint\"";
  const std::string fixed = "name: \"access_type\"";
  const std::string selection = "account_selection_params { name: \"prompt\"";
  const std::string defaults = "defaults: \"read\"";
  const std::string authorize = "https://full.example/{version}/authorize?lang=en";
  const std::string live = "status: STATUS_LIVE";
  const std::vector<BadField> cases = {
      {"\"Full\"", "\"\"", "display_name", "is 0 bytes long"},
      {"\"Full\"", R"("a\nb")", "display_name", "control characters"},
      {"\"Full\"", R"("\377")", "text", "must be UTF-8"},
      {live, "", "status", "must be set"},
      {live, "status: 77", "status", "must be set"},
      {live, "status: STATUS_NO_OAUTH", "status_note", "is 0 bytes long"},
      {live, "status: STATUS_NO_OAUTH", "authorization_endpoint", "must be left out"},
      {live, "status: STATUS_NEEDS_CALL_FIRST", "status_note", "is 0 bytes long"},
      {authorize, "", "authorization_endpoint", "must be set where the status is STATUS_LIVE"},
      {authorize, "http://full.example/{version}", "authorization_endpoint", "begin with https://"},
      {authorize, "com.full:/{version}", "authorization_endpoint", "begin with https://"},
      {authorize, "https://full.example/{version}#x", "authorization_endpoint", "fragment"},
      {authorize, "https://u@full.example/{version}", "authorization_endpoint", "user name"},
      {authorize, "https://Full.example/{version}", "authorization_endpoint", "lower case"},
      {authorize, "https://full.example/{region}", "authorization_endpoint",
       "has {region}, which variables does not declare"},
      {authorize, "https://full.example/{version", "authorization_endpoint",
       "has {version}, which variables does not declare"},
      {authorize, "https://full.example/version}", "authorization_endpoint", "write %7D"},
      {authorize, "https://full.example/{instance}", "authorization_endpoint",
       "must not have {instance}"},
      {authorize, "https://full.example/?state=1", "authorization_endpoint",
       "\"state\" would be sent twice"},
      {authorize, "https://full.example/?a=1&A=2", "authorization_endpoint",
       "\"A\" would be sent twice"},
      {authorize, "https://full.example/?Client_Key=1", "client_id_param",
       "\"client_key\" would be sent twice"},
      {authorize, "https://full.example/?", "authorization_endpoint", "\"\" is no parameter name"},
      {"https://api.full.example/me", "https://{instance}/me", "userinfo_endpoint",
       "must not have {instance}"},
      {"https://api.full.example/me", "http://api.full.example/me", "userinfo_endpoint",
       "begin with https://"},
      {"https://api.full.example/revoke", "/revoke", "revocation_endpoint", "absolute URI"},
      {"https://api.full.example/{version}/token", "https://1.2.3/", "token_endpoint.url",
       "four decimal numbers"},
      {"https://api.full.example/{version}/token", "", "token_endpoint.auth_method",
       "not without it"},
      {"AUTH_METHOD_BASIC", "AUTH_METHOD_UNSPECIFIED", "token_endpoint.auth_method",
       "with the url"},
      {"AUTH_METHOD_BASIC", "77", "token_endpoint.auth_method", "with the url"},
      {"name: \"version\"", "name: \"Version\"", "variables \"Version\"", "a-z and _"},
      {"name: \"version\"", "name: \"instance\"", "variables \"instance\"", "not \"instance\""},
      {"name: \"version\"", "name: \"unused\"", "variables \"unused\"", "is in no endpoint"},
      {"default_value: \"v1.0\"", "default_value: \"\"", "variables \"version\"",
       "must not be empty"},
      {"default_value: \"v1.0\"", "default_value: \"v1.0x\"", "variables \"version\"",
       "\"v1.0x\" must not be empty and must match the pattern in full"},
      {"v[0-9]\\\\.[0-9]", "v[0-9", "variables \"version\"", "pattern is no RE2 expression"},
      {"v[0-9]\\\\.[0-9]", "", "variables \"version\"", "must match the pattern"},
      {"\"The version of the interface, such as v1.0\"", "\"\"",
       "variables \"version\" description", "is 0 bytes long"},
      {"client_id_param: \"client_key\"", "client_id_param: \"state\"", "client_id_param",
       "\"state\" would be sent twice"},
      {"client_id_param: \"client_key\"", "client_id_param: \"a b\"", "client_id_param",
       "\"a b\" is no parameter name"},
      {"param: \"scope\"", "param: \"client_key\"", "scopes.param",
       "\"client_key\" would be sent twice"},
      {"response_type: \"code\"", "response_type: \"token\"", "response_type", "must be \"code\""},
      {"separator: \",\"", "separator: \", \"", "scopes.separator", "single"},
      {"separator: \",\"", "separator: \"x\"", "scopes.separator", "single"},
      {"separator: \",\"", "separator: \"\\n\"", "scopes.separator", "single"},
      {defaults, "defaults: \"read,write\"", "scopes[0]", "separates scopes by \",\""},
      {defaults, "defaults: \"re ad\"", "scopes[0]", "printable ASCII"},
      {defaults, "defaults: \"\"", "scopes[0]", "printable ASCII"},
      {defaults, "defaults: \"write\"", "scopes[1]", "repeats \"write\""},
      {"mode: MODE_SUPPORTED", "", "pkce.mode", "must be set"},
      {"mode: MODE_SUPPORTED", "mode: 77", "pkce.mode", "must be set"},
      {"CHALLENGE_ENCODING_HEX", "77", "pkce.challenge_encoding", "one of the schema's values"},
      {"max_length: 500", "max_length: 63", "state.max_length", "0 or at least 64"},
      {"max_length: 511", "max_length: 2049", "redirect_uri.max_length", "at most 2048"},
      {"http_localhost: true", "http_localhost: true no_local_https: true",
       "redirect_uri.no_local_https", "must not be set"},
      {fixed, "name: \"\"", "fixed_params", "\"\" is no parameter name"},
      {fixed, "name: \"Nonce\"", "fixed_params", "\"Nonce\" is reserved"},
      {fixed, "name: \"client_id\"", "fixed_params", "\"client_id\" is reserved"},
      {fixed, "name: \"Client_Key\"", "fixed_params", "\"Client_Key\" would be sent twice"},
      {fixed, "name: \"prompt\"", "fixed_params", "\"prompt\" would be sent twice"},
      {fixed, "name: \"lang\"", "fixed_params", "\"lang\" would be sent twice"},
      {fixed, "name: \"login_hint\"", "fixed_params", "\"login_hint\" would be sent twice"},
      {"value: \"offline\"", "value: \"\"", "fixed_params \"access_type\" value",
       "is 0 bytes long"},
      {selection, "account_selection_params { name: \"code_challenge\"", "account_selection_params",
       "\"code_challenge\" is reserved"},
      {selection, "account_selection_params { name: \"Prompt\"", "account_selection_params",
       "\"Prompt\" would be sent twice"},
      {selection,
       "account_selection_params { name: \"prompt\" value: \"x\" }\n"
       "account_selection_params { name: \"prompt\"",
       "account_selection_params", "\"prompt\" would be sent twice"},
      {"value: \"select_account\"", "value: \"\\t\"", "account_selection_params \"prompt\" value",
       "control characters"},
      {hint, "login_hint_param: \"scope\"", "login_hint_param", "\"scope\" is reserved"},
      {hint, "login_hint_param: \"lang\"", "login_hint_param", "\"lang\" would be sent twice"},
      {"fragment: \"top\"", "fragment: \"#top\"", "fragment", "A-Z, a-z, 0-9"},
      {"documentation: \"https://full.example/docs\"", "", "documentation", "at least one page"},
      {"https://full.example/docs", "full.example/docs", "documentation", "absolute URI"},
      {"https://full.example/docs", "http://full.example/docs", "documentation",
       "begin with https://"},
      {"2026-11-23", "", "checked_on", "YYYY-MM-DD"},
      {"2026-11-23", "2026-02-30", "checked_on", "YYYY-MM-DD"},
      {"2026-11-23", "2026-2-3", "checked_on", "YYYY-MM-DD"},
      {"2026-11-23", "23.11.2026", "checked_on", "YYYY-MM-DD"},
  };
  for (const BadField& bad : cases) {
    SCOPED_TRACE(absl::StrCat(bad.from, " -> ", bad.to));
    EXPECT_THAT(NetworkCatalog::Parse(FullEntryWith(bad.from, bad.to)),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(StartsWith("network \"full\": "),
                               HasSubstr(absl::StrCat(bad.field, ": ")), HasSubstr(bad.reason))));
  }
}

TEST(NetworkCatalogTest, RefusesBadAndRepeatedIds) {
  for (const std::string& id :
       std::vector<std::string>{"", "Full", "full-2", "full.example", std::string(33, 'a')}) {
    EXPECT_THAT(NetworkCatalog::Parse(FullEntryWith("\"full\"", absl::StrCat("\"", id, "\""))),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         StartsWith(absl::StrCat("network \"", id, "\": id: "))));
  }
  EXPECT_THAT(
      NetworkCatalog::Parse(absl::StrCat(kFullEntry, kFullEntry)),
      StatusIs(absl::StatusCode::kInvalidArgument, "network \"full\": id: must not occur twice"));
}

TEST(NetworkCatalogTest, ReportsAllFaultsOfAnEntryAtOnce) {
  const std::string text = absl::StrReplaceAll(
      kFullEntry, {{"max_length: 500", "max_length: 1"}, {"2026-11-23", "today"}});
  EXPECT_THAT(NetworkCatalog::Parse(text),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("state.max_length: "), HasSubstr("; checked_on: "))));
}

TEST(NetworkCatalogTest, TakesNetworksWithoutAUrlOfTheirOwn) {
  EXPECT_OK(NetworkCatalog::Parse(R"pb(
    networks {
      id: "bots"
      display_name: "Bots"
      status: STATUS_NO_OAUTH
      status_note: "Bots has no OAuth; make a bot token in its app"
      documentation: "https://bots.example/docs"
      checked_on: "2026-11-23"
    })pb"));
  EXPECT_OK(NetworkCatalog::Parse(""));
}

TEST(NetworkCatalogTest, FindsTheNearestIdInSpelling) {
  ASSERT_OK_AND_ASSIGN(const NetworkCatalog catalog, NetworkCatalog::Parse(BuiltInNetworksText()));
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"facebok", "facebook"},
      {"Facebook", "facebook"},
      {"FACEBOOK", "facebook"},
      {"linkedln", "linkedin"},
      {"linked_in", "linkedin"},
      {"tik_tok", "tiktok"},
      {"google-business", "google_business"},
      {"instagarm", "instagram"},
      {"thread", "threads"},
      {"youtub", "youtube"},
      {"redit", "reddit"},
      {"x.com", ""},
      {"twitter", ""},
      {"", ""},
      {"y", ""},
      {"mastodon", ""},
      {std::string(10000, 'x'), ""},
  };
  for (const auto& [id, nearest] : cases)
    EXPECT_EQ(catalog.Nearest(id), nearest) << id.substr(0, 64);
}

TEST(NetworkCatalogTest, PrefersTheFirstOfTwoEquallyNearIds) {
  const std::string second = FullEntryWith("\"full\"", "\"fall\"");
  ASSERT_OK_AND_ASSIGN(const NetworkCatalog catalog,
                       NetworkCatalog::Parse(absl::StrCat(kFullEntry, second)));
  EXPECT_EQ(catalog.Nearest("fell"), "full");
}

TEST(CheckEndpointVariableTest, TakesValuesOfTheVariablesFormatOnly) {
  ASSERT_OK_AND_ASSIGN(const NetworkCatalog catalog, NetworkCatalog::Parse(kFullEntry));
  const Network& network = *catalog.Find("full");
  EXPECT_OK(CheckEndpointVariable(network, "version", "v2.1"));
  for (const char* value : {"", "v2", "v2.1x", "xv2.1", "v2.1\n", "v2/1", "v2.1/../x"}) {
    EXPECT_THAT(CheckEndpointVariable(network, "version", value),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("\"version\" must match v[0-9]\\.[0-9] (The version of the")))
        << value;
  }
  EXPECT_THAT(CheckEndpointVariable(network, "region", "eu"),
              StatusIs(absl::StatusCode::kInvalidArgument, "Full has no variable \"region\""));
  EXPECT_THAT(CheckEndpointVariable(network, "instance", "a.example"),
              StatusIs(absl::StatusCode::kInvalidArgument, "Full has no variable \"instance\""));
}

// Even a pattern that takes everything does not let a value change the endpoint's host or path.
TEST(CheckEndpointVariableTest, RefusesValuesThatMoveTheEndpoint) {
  const std::string text = absl::StrReplaceAll(
      kFullEntry, {{"v[0-9]\\\\.[0-9]", ".*"},
                   {"default_value: \"v1.0\"", "default_value: \"shop\""},
                   {"https://full.example/{version}/", "https://{version}.full.example/"}});
  ASSERT_OK_AND_ASSIGN(const NetworkCatalog catalog, NetworkCatalog::Parse(text));
  const Network& network = *catalog.Find("full");
  EXPECT_OK(CheckEndpointVariable(network, "version", "my-shop"));
  for (const char* value :
       {"evil.example/", "evil.example?", "evil.example#", "u@evil.example", "", "..", ".", "My",
        "evil.example\\", "a b", "\xc3\xa9", "a_b", "evil.example:1"}) {
    EXPECT_THAT(CheckEndpointVariable(network, "version", value),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("authorization_endpoint")))
        << value;
  }
}

class BuiltInNetworksTest : public ::testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<NetworkCatalog> catalog = NetworkCatalog::Parse(BuiltInNetworksText());
    ASSERT_OK(catalog);
    networks_ = std::make_unique<NetworkCatalog>(*std::move(catalog));
  }
  std::unique_ptr<NetworkCatalog> networks_;
};

TEST_F(BuiltInNetworksTest, HoldTheLaunchSet) {
  std::vector<std::string> ids;
  for (const Network* network : networks_->networks()) ids.push_back(network->id());
  EXPECT_THAT(ids,
              ElementsAre("x", "linkedin", "facebook", "instagram", "threads", "tiktok", "youtube",
                          "google_business", "pinterest", "vimeo", "reddit", "bluesky"));
}

// What the schema leaves open and a well-kept entry still has.
TEST_F(BuiltInNetworksTest, AreWellKept) {
  for (const Network* network : networks_->networks()) {
    SCOPED_TRACE(network->id());
    EXPECT_FALSE(network->client_key_label().empty());
    EXPECT_FALSE(network->scopes().defaults().empty());
    EXPECT_NE(network->pkce().mode(), Pkce::MODE_UNSPECIFIED);
    std::set<std::string> pages(network->documentation().begin(), network->documentation().end());
    EXPECT_EQ(pages.size(), static_cast<size_t>(network->documentation().size()));
    for (const auto& variable : network->variables()) {
      EXPECT_OK(CheckEndpointVariable(*network, variable.name(), variable.default_value()));
    }
    if (network->status() != catalog::v1::STATUS_LIVE) continue;
    EXPECT_TRUE(network->status_note().empty());
    EXPECT_FALSE(network->client_secret_label().empty());
    EXPECT_FALSE(network->token_endpoint().url().empty());
    EXPECT_FALSE(network->userinfo_endpoint().empty());
  }
}

TEST_F(BuiltInNetworksTest, KnowThePeculiaritiesOfTheirNetworks) {
  const auto& find = [&](absl::string_view id) -> const Network& { return *networks_->Find(id); };
  EXPECT_EQ(find("x").pkce().mode(), Pkce::MODE_REQUIRED);
  EXPECT_EQ(find("x").state().max_length(), 500u);
  EXPECT_FALSE(find("x").redirect_uri().http_localhost());
  EXPECT_EQ(find("tiktok").client_id_param(), "client_key");
  EXPECT_EQ(find("tiktok").redirect_uri().max_length(), 511u);
  EXPECT_EQ(find("threads").authorization_endpoint(), "https://threads.com/oauth/authorize");
  EXPECT_EQ(find("facebook").variables(0).default_value(), "v24.0");
  EXPECT_EQ(find("bluesky").status(), catalog::v1::STATUS_NEEDS_CALL_FIRST);
  for (const char* id : {"facebook", "instagram", "threads", "tiktok", "pinterest"}) {
    EXPECT_EQ(find(id).scopes().separator(), ",") << id;
  }
}

TEST_F(BuiltInNetworksTest, TakeOnlyRealVersionsOfFacebooksApi) {
  const Network& facebook = *networks_->Find("facebook");
  for (const char* version : {"v24.0", "v3.2"}) {
    EXPECT_OK(CheckEndpointVariable(facebook, "version", version));
  }
  for (const char* version : {"24.0", "v0.0", "v24", "v24.0/x", "v240.0", "latest"}) {
    EXPECT_FALSE(CheckEndpointVariable(facebook, "version", version).ok()) << version;
  }
}

}  // namespace
}  // namespace authurl
