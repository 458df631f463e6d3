#include "core/catalog/network_entry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/catalog/endpoint.h"
#include "core/catalog/network_catalog.h"
#include "tests/support/catalog_text.h"
#include "tests/support/status_matchers.h"

namespace authurl {
namespace {

using ::authurl::catalog::v1::Network;
using ::authurl::catalog::v1::Pkce;
using ::authurl::testing::FullEntryWith;
using ::authurl::testing::kFullEntry;
using ::authurl::testing::kInstanceEntry;
using ::authurl::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(NetworkEntryTest, ReadsAnEntryAsItIsWritten) {
  ASSERT_OK_AND_ASSIGN(const NetworkCatalog catalog, NetworkCatalog::Parse(kFullEntry));
  const Network* network = catalog.Find("full");
  ASSERT_NE(network, nullptr);
  EXPECT_EQ(network->client_id_param(), "client_key");
  EXPECT_EQ(network->scopes().separator(), ",");
  EXPECT_EQ(network->pkce().challenge_encoding(), Pkce::CHALLENGE_ENCODING_HEX);
  EXPECT_FALSE(HasInstances(*network));
}

TEST(NetworkEntryTest, FillsInTheDefaultsOfTheSchema) {
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

struct BadField {
  std::string from;
  std::string to;
  std::string field;
  std::string reason;
};

TEST(NetworkEntryTest, NamesEntryFieldAndReasonOfEveryFault) {
  const std::string hint = "login_hint_param: \"login_hint\"";
  const std::string fixed = "name: \"access_type\"";
  const std::string selection = "account_selection_params {\n      name: \"prompt\"";
  const std::string defaults = "defaults: \"read\"";
  const std::string authorize = "https://full.example/{version}/authorize?lang=en";
  const std::string live = "status: STATUS_LIVE";
  const std::vector<BadField> cases = {
      {"\"Full\"", "\"\"", "display_name", "is 0 bytes long"},
      {live, live + " aliases: \"Old Full\"", "aliases", "\"Old Full\" must be 1 to 32 characters"},
      {live, live + " aliases: \"full\"", "aliases", "not the id"},
      {"\"Full\"", R"("a\nb")", "display_name", "control characters"},
      {"\"Full\"", R"("\377")", "text", "must be UTF-8"},
      {live, "", "status", "must be set"},
      {live, "status: 77", "status", "must be set"},
      {live, "status: STATUS_NO_OAUTH", "status_note", "is 0 bytes long"},
      {live, "status: STATUS_NO_OAUTH", "authorization_endpoint", "must be left out"},
      {live, "status: STATUS_NEEDS_CALL_FIRST", "status_note", "is 0 bytes long"},
      {live, "status: STATUS_LEGACY", "status_note", "is 0 bytes long"},
      {"why: \"Asks every time\"", "", "fixed_params \"prompt\" why", "is 0 bytes long"},
      {"why: \"Shows the account chooser\"", "", "account_selection_params \"prompt\" why",
       "is 0 bytes long"},
      {"max_length: 500", "alphabet: 77", "state.alphabet", "one of the schema's values"},
      {"http_localhost: true", "http_localhost: true no_localhost: true",
       "redirect_uri.no_localhost", "must not be set"},
      {"name: \"domain\"", "name: \"resource\"", "configuration_params",
       "\"resource\" is reserved"},
      {"name: \"domain\"", "name: \"prompt\"", "configuration_params",
       "\"prompt\" would be sent twice"},
      {"[a-z.]{1,64}", "[a-z", "configuration_params \"domain\"",
       "pattern is not a valid RE2 expression"},
      {"[a-z.]{1,64}", "[0-9]", "configuration_params \"domain\"", "must match the pattern"},
      {"[a-z.]{1,64}", "", "configuration_params \"domain\"", "it is empty"},
      {"\"The company's domain\"", "\"\"", "configuration_params \"domain\" description",
       "is 0 bytes long"},
      {"default_value: \"full.example\"", "default_value: \"a\" required: true",
       "configuration_params \"domain\"", "must not both be required"},
      {"\"Nothing can be written\"", "\"\"", "warnings[0].text", "is 0 bytes long"},
      {"no_scope: \"write\" redirect_uri: \"\\\\?\"", "", "warnings[0]", "must have a condition"},
      {"redirect_uri: \"\\\\?\"", "redirect_uri: \"(\"", "warnings[0].redirect_uri",
       "not a valid RE2 expression"},
      {"redirect_uri: \"\\\\?\"", "scope: \"[a-\"", "warnings[0].scope",
       "not a valid RE2 expression"},
      {"id: \"desktop\"", "id: \"Desk top\"", "variants \"Desk top\" id", "a-z, 0-9 and _"},
      {"\"Full for desktops\"", "\"\"", "variants \"desktop\" display_name", "is 0 bytes long"},
      {"changes {", "without: \"variables\" without: \"nothing\" changes {",
       "variants \"desktop\" without", "\"nothing\" is not a field that the entry has"},
      {"changes {",
       "without: \"account_selection_params\" without: \"account_selection_params\" "
       "changes {",
       "variants \"desktop\" without", "is not a field that the entry has"},
      {"\"For apps without a server\"", "\"\"", "variants \"desktop\" description",
       "is 0 bytes long"},
      {"fragment: \"bottom\"", "fragment: \"#\"", "variants \"desktop\": fragment", "A-Z"},
      {"fragment: \"bottom\"", "status: STATUS_LEGACY", "variants \"desktop\" changes.status",
       "must be left out"},
      {"fragment: \"bottom\"", "variants { id: \"deeper\" }",
       "variants \"desktop\" changes.variants", "must be left out"},
      {"https://desktop.full.example/", "https://{instance}/",
       "variants \"desktop\" changes.authorization_endpoint", "must have {instance}"},
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
      {authorize, "https://full.example/?", "authorization_endpoint",
       "\"\" is not a valid parameter name"},
      {authorize, "https://full.example/{version}/{region}", "authorization_endpoint",
       "has {region}, which variables does not declare"},
      {"https://api.full.example/me", "https://{instance}/me", "profile.request.url",
       "must not have {instance}"},
      {"https://api.full.example/me", "http://api.full.example/me", "profile.request.url",
       "begin with https://"},
      {"https://api.full.example/revoke", "/revoke", "revocation.request.url", "absolute URI"},
      {"https://api.full.example/{version}/token", "https://1.2.3/", "exchange.request.url",
       "four decimal numbers"},
      {"name: \"version\"", "name: \"Version\"", "variables \"Version\"", "a-z and _"},
      {"name: \"version\"", "name: \"instance\"", "variables \"instance\"", "not \"instance\""},
      {"name: \"version\"", "name: \"unused\"", "variables \"unused\"", "is in no endpoint"},
      {"default_value: \"v1.0\"", "default_value: \"\"", "variables \"version\"",
       "must not be empty"},
      {"default_value: \"v1.0\"", "default_value: \"v1.0x\"", "variables \"version\"",
       "\"v1.0x\" must not be empty and must match the pattern in full"},
      {"v[0-9]\\\\.[0-9]", "v[0-9", "variables \"version\"",
       "pattern is not a valid RE2 expression"},
      {"v[0-9]\\\\.[0-9]", "", "variables \"version\"", "it is empty"},
      {"\"The version of the interface, such as v1.0\"", "\"\"",
       "variables \"version\" description", "is 0 bytes long"},
      {"client_id_param: \"client_key\"", "client_id_param: \"state\"", "client_id_param",
       "\"state\" would be sent twice"},
      {"client_id_param: \"client_key\"", "client_id_param: \"a b\"", "client_id_param",
       "\"a b\" is not a valid parameter name"},
      {"param: \"scope\"", "param: \"client_key\"", "scopes.param",
       "\"client_key\" would be sent twice"},
      {"response_type: \"code\"", "response_type: \"token\"", "response_type", "must be \"code\""},
      {"separator: \",\"", "separator: \", \"", "scopes.separator", "single"},
      {"separator: \",\"", "separator: \"x\"", "scopes.separator", "single"},
      {"separator: \",\"", "separator: \"\\n\"", "scopes.separator", "single"},
      {defaults, "defaults: \"read,write\"", "scopes[0]", "separates scopes by \",\""},
      {defaults, "defaults: \"re ad\"", "scopes[0]", "without spaces"},
      {defaults, "defaults: \"\"", "scopes[0]", "printable ASCII"},
      {defaults, "defaults: \"write\"", "scopes[1]", "repeats \"write\""},
      {"mode: MODE_SUPPORTED", "", "pkce.mode", "must be set"},
      {"mode: MODE_SUPPORTED", "mode: 77", "pkce.mode", "must be set"},
      {"CHALLENGE_ENCODING_HEX", "77", "pkce.challenge_encoding", "one of the schema's values"},
      {"max_length: 500", "max_length: 39", "state.max_length", "0 or at least 40"},
      {"max_length: 511", "max_length: 2049", "redirect_uri.max_length", "at most 2048"},
      {"http_localhost: true", "http_localhost: true no_local_https: true",
       "redirect_uri.no_local_https", "must not be set"},
      {fixed, "name: \"\"", "fixed_params", "\"\" is not a valid parameter name"},
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
       "account_selection_params { name: \"prompt\" value: \"x\" why: \"x\" }\n"
       "account_selection_params { name: \"prompt\"",
       "account_selection_params", "\"prompt\" would be sent twice"},
      {"value: \"select_account\"", "value: \"\\t\"", "account_selection_params \"prompt\" value",
       "control characters"},
      {hint, "login_hint_param: \"scope\"", "login_hint_param", "\"scope\" is reserved"},
      {hint, "login_hint_param: \"lang\"", "login_hint_param", "\"lang\" would be sent twice"},
      {"fragment: \"top\"", "fragment: \"#top\"", "fragment", "A-Z, a-z, 0-9"},
      {"https://full.example/docs", "full.example/docs", "documentation", "absolute URI"},
      {"https://full.example/docs", "http://full.example/docs", "documentation",
       "begin with https://"},
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

TEST(NetworkEntryTest, ReportsAllFaultsOfAnEntryAtOnce) {
  const std::string text = absl::StrReplaceAll(
      kFullEntry, {{"max_length: 500", "max_length: 1"}, {"2026-11-23", "today"}});
  EXPECT_THAT(NetworkCatalog::Parse(text),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("state.max_length: "), HasSubstr("; checked_on: "))));
}

TEST(NetworkEntryTest, TakesNetworksWithoutAUrlOfTheirOwn) {
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

TEST(NetworkEntryTest, WhatHasAUrlSaysWhetherItUsesPkce) {
  const std::string legacy = absl::StrReplaceAll(
      FullEntryWith("status: STATUS_LIVE", "status: STATUS_LEGACY status_note: \"Old\""),
      {{"status_note: \"\"", ""}, {"mode: MODE_SUPPORTED", ""}});
  EXPECT_THAT(NetworkCatalog::Parse(legacy),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("pkce.mode: must be set")));
}

TEST(NetworkEntryTest, AVariantIsTheNetworkWithItsChanges) {
  ASSERT_OK_AND_ASSIGN(const NetworkCatalog catalog, NetworkCatalog::Parse(kFullEntry));
  const Network* desktop = catalog.FindVariant("full", "desktop");
  ASSERT_NE(desktop, nullptr);
  EXPECT_EQ(desktop->id(), "full");
  EXPECT_EQ(desktop->display_name(), "Full for desktops");
  EXPECT_EQ(desktop->authorization_endpoint(), "https://desktop.full.example/authorize");
  EXPECT_THAT(desktop->scopes().defaults(), ElementsAre("desktop"));
  // A message that is changed is replaced as a whole, its defaults filled in.
  EXPECT_EQ(desktop->scopes().param(), "scope");
  EXPECT_EQ(desktop->pkce().challenge_encoding(), Pkce::CHALLENGE_ENCODING_BASE64URL);
  // What is not changed is the network's.
  EXPECT_EQ(desktop->client_id_param(), "client_key");
  EXPECT_EQ(desktop->state().max_length(), 500u);
  EXPECT_EQ(desktop->fixed_params_size(), 2);
  // No endpoint of the variant has {version}.
  EXPECT_TRUE(desktop->variables().empty());
  EXPECT_TRUE(desktop->variants().empty());
}

}  // namespace
}  // namespace authurl
