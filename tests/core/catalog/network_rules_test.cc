#include "core/catalog/network_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/catalog/network_catalog.h"
#include "tests/support/catalog_text.h"
#include "tests/support/violations_said.h"

namespace authurl {
namespace {

using ::authurl::testing::Said;
using ::testing::HasSubstr;

class NetworkRulesTest : public ::testing::Test {
 protected:
  const catalog::v1::Network& Network(absl::string_view id) const { return *catalog_.Find(id); }

  std::string Redirect(absl::string_view uri, absl::string_view network) const {
    return Said(
        [&](FieldViolations& v) { CheckRedirectUri("redirect_uri", uri, &Network(network), v); });
  }

  const NetworkCatalog catalog_ = NetworkCatalog::Parse(BuiltInNetworksText()).value();
};

TEST_F(NetworkRulesTest, RedirectUrisFollowTheNetworksOwnRules) {
  EXPECT_EQ(Redirect("https://app.example.com/cb?a=b", "linkedin"), "");
  EXPECT_THAT(Redirect("http://app.example.com/cb", "youtube"),
              HasSubstr("must begin with https://"));
  EXPECT_EQ(Redirect("http://127.0.0.1:8080/cb", "youtube"), "");
  EXPECT_EQ(Redirect("http://localhost:8080/cb", "youtube"), "");
  EXPECT_EQ(Redirect("http://127.0.0.1:8080/cb", "x"), "");
  EXPECT_THAT(Redirect("http://localhost:8080/cb", "x"), HasSubstr("only 127.0.0.1"));
  EXPECT_THAT(Redirect("http://localhost/cb", "instagram"), HasSubstr("not take http"));
  EXPECT_THAT(Redirect("https://localhost/cb", "instagram"), HasSubstr("not take local addresses"));
  EXPECT_THAT(Redirect("https://8.8.8.8/cb", "youtube"), HasSubstr("not take an IP address"));
  EXPECT_EQ(Redirect("http://127.0.0.1:8080/cb", "spotify"), "");
  EXPECT_THAT(Redirect("http://localhost:8080/cb", "spotify"), HasSubstr("only 127.0.0.1"));
  EXPECT_THAT(Redirect("https://localhost/cb", "spotify"), HasSubstr("the name localhost"));
  EXPECT_THAT(Redirect("com.example.app:/cb", "linkedin"), HasSubstr("must begin with https://"));
  EXPECT_EQ(Redirect("https://app.example.com/cb", "tiktok"), "");
  EXPECT_THAT(Redirect("https://app.example.com/cb?a=b", "tiktok"), HasSubstr("not take a query"));
  EXPECT_THAT(Redirect(absl::StrCat("https://app.example.com/", std::string(500, 'a')), "tiktok"),
              HasSubstr("at most 511"));
}

TEST_F(NetworkRulesTest, ARedirectUriHasNoParameterThatTheNetworkAdds) {
  const auto check = [](const std::string& query) {
    const std::string uri = "https://app.example.com/cb" + query;
    return Said([&](FieldViolations& v) { CheckOwnQuery("redirect_uri", uri, v); });
  };
  for (const char* fine : {"", "?", "?a=code&statement=1", "?x=state", "?promo_code=1", "?scope=a",
                           "?%", "?%5Bstate%5D=1", "?a&b=&=c"}) {
    EXPECT_EQ(check(fine), "") << fine;
  }
  for (const char* doubled :
       {"?code=1", "?a=1&state=2", "?error=x", "?error_description=x", "?error_uri=x", "?iss=x",
        "?state", "?STATE=1", "?st%61te=1", "?error.uri=1", "?error+uri=1", "?+code=1",
        "?%20code=1", "?code%5B%5D=1"}) {
    EXPECT_THAT(check(doubled), HasSubstr("redirect_uri: must not have ")) << doubled;
  }
}

TEST_F(NetworkRulesTest, ScopesAreTokensOfTheirNetwork) {
  const auto check = [&](std::vector<std::string> scopes, absl::string_view network) {
    const ScopeList list(scopes.begin(), scopes.end());
    return Said([&](FieldViolations& v) { CheckScopes(list, &Network(network), v); });
  };
  EXPECT_EQ(check({}, "instagram"), "");
  EXPECT_EQ(check({"a", "https://www.googleapis.com/auth/youtube", "identity[email]"}, "youtube"),
            "");
  EXPECT_THAT(check({"a", "b,c"}, "instagram"), HasSubstr("scopes[1]: must be one scope"));
  EXPECT_EQ(check({"b,c"}, "youtube"), "");
  EXPECT_THAT(check({"a", "a"}, "youtube"), HasSubstr("scopes[1]: repeats"));
  for (const std::string& bad :
       {std::string(), std::string("a b"), std::string("a\"b"), std::string("a\\b"),
        std::string("\xc3\xa9"), std::string(257, 'a')}) {
    EXPECT_THAT(check({bad}, "youtube"), HasSubstr("scopes[0]: must be"));
  }
  EXPECT_THAT(check(std::vector<std::string>(65, "a"), "youtube"), HasSubstr("at most 64"));
}

TEST_F(NetworkRulesTest, ExtraParamsNeverReplaceWhatWeSend) {
  const auto check = [&](const StringMap& params, absl::string_view network) {
    return Said([&](FieldViolations& v) { CheckExtraParams(params, Network(network), v); });
  };
  const auto one = [](const std::string& name, const std::string& value = "1") {
    StringMap params;
    params[name] = value;
    return params;
  };
  EXPECT_EQ(check(one("config_id"), "facebook"), "");
  for (const char* reserved :
       {"client_id", "Client_ID", "client_secret", "redirect_uri", "response_type", "response_mode",
        "SCOPE", "state", "nonce", "code_challenge", "code_challenge_method", "request",
        "request_uri"}) {
    EXPECT_THAT(check(one(reserved), "linkedin"), HasSubstr("authurl sets this parameter itself"));
  }
  // As PHP, which makes "_" of ".", and other lenient readers take them.
  for (const char* lenient : {"redirect.uri", "Client.Id", "code-challenge.method", "user.scope"}) {
    EXPECT_THAT(check(one(lenient), "linkedin"), HasSubstr("authurl sets this parameter itself"));
  }
  EXPECT_THAT(check(one("access.type"), "youtube"), HasSubstr("authurl sets"));
  EXPECT_THAT(check(one("config.id"), "facebook"), HasSubstr("must be spelt config_id"));
  EXPECT_THAT(check(one("client_key"), "tiktok"), HasSubstr("authurl sets"));
  EXPECT_THAT(check(one("access_type"), "youtube"), HasSubstr("authurl sets"));
  EXPECT_THAT(check(one("Auth_Type"), "facebook"), HasSubstr("authurl sets"));
  EXPECT_THAT(check(one("login_hint"), "youtube"), HasSubstr("authurl sets"));
  EXPECT_THAT(check(one("a b"), "facebook"), HasSubstr("is not a valid parameter name"));
  EXPECT_THAT(check(one("a", ""), "facebook"), HasSubstr("extra_params.a: is 0 bytes long"));
  EXPECT_THAT(check(one("a", "x\ny"), "facebook"), HasSubstr("control characters"));
  // What the endpoint itself has in its query.
  const NetworkCatalog made_up = NetworkCatalog::Parse(testing::kFullEntry).value();
  EXPECT_THAT(
      Said([&](FieldViolations& v) { CheckExtraParams(one("Lang"), *made_up.Find("full"), v); }),
      HasSubstr("extra_params.Lang: must be left out"));
  StringMap twins = one("Twin");
  twins["twin"] = "2";
  EXPECT_THAT(check(twins, "facebook"), HasSubstr("differs from another parameter in case"));
  StringMap many;
  for (int i = 0; i < 33; ++i) many[absl::StrCat("p", i)] = "1";
  EXPECT_THAT(check(many, "facebook"), HasSubstr("at most 32"));
}

TEST_F(NetworkRulesTest, ConfigurationParamsHaveTheirFormatAndMayBeRequired) {
  const auto check = [&](const StringMap& params, absl::string_view network) {
    return Said([&](FieldViolations& v) { CheckExtraParams(params, Network(network), v); });
  };
  StringMap params;
  EXPECT_EQ(check(params, "facebook"), "");
  EXPECT_THAT(check(params, "whatsapp"), HasSubstr("extra_params.config_id: Required by WhatsApp"));
  params["config_id"] = "12345";
  EXPECT_EQ(check(params, "facebook"), "");
  EXPECT_EQ(check(params, "whatsapp"), "");
  params["config_id"] = "12345x";
  EXPECT_THAT(check(params, "whatsapp"), HasSubstr("extra_params.config_id: must match "));
  params.clear();
  params["user_scope"] = "chat:write";
  EXPECT_EQ(check(params, "slack"), "");
  EXPECT_THAT(check(params, "facebook"), HasSubstr("authurl sets this parameter itself"));
  params.clear();
  params["Config_Id"] = "1";
  EXPECT_THAT(check(params, "facebook"),
              HasSubstr("extra_params.Config_Id: must be spelt config_id"));
}

TEST_F(NetworkRulesTest, VariablesAreThoseOfTheEndpoint) {
  const auto check = [&](const std::string& name, const std::string& value,
                         absl::string_view network) {
    StringMap variables;
    variables[name] = value;
    return Said([&](FieldViolations& v) { CheckVariables(variables, Network(network), v); });
  };
  EXPECT_EQ(check("version", "v25.0", "facebook"), "");
  for (const char* bad : {"", "25", "v25.0/../..", "v25.0\n", "v25.0?x=y"}) {
    EXPECT_THAT(check("version", bad, "facebook"), HasSubstr("variables: "));
  }
  EXPECT_THAT(check("version", "v25.0", "linkedin"), HasSubstr("variables: "));
}

}  // namespace
}  // namespace authurl
