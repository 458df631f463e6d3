#include "core/field_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/catalog/network_catalog.h"
#include "tests/support/catalog_text.h"
#include "tests/support/status_matchers.h"

namespace authurl {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class FieldRulesTest : public ::testing::Test {
 protected:
  const catalog::v1::Network& Network(absl::string_view id) const { return *catalog_.Find(id); }

  // "field: description; …" of what a check says.
  template <typename Check>
  static std::string Said(Check check) {
    FieldViolations violations;
    check(violations);
    std::string said;
    for (const FieldViolation& violation : violations.list()) {
      absl::StrAppend(&said, said.empty() ? "" : "; ", violation.field, ": ",
                      violation.description);
    }
    return said;
  }

  std::string Redirect(absl::string_view uri, absl::string_view network) const {
    return Said(
        [&](FieldViolations& v) { CheckRedirectUri("redirect_uri", uri, &Network(network), v); });
  }

  const NetworkCatalog catalog_ = NetworkCatalog::Parse(BuiltInNetworksText()).value();
};

TEST_F(FieldRulesTest, NetworkMustBeKnown) {
  const auto check = [&](absl::string_view id) {
    return Said([&](FieldViolations& v) { CheckNetwork(catalog_, id, v); });
  };
  EXPECT_EQ(check("instagram"), "");
  EXPECT_EQ(check(""), "network: Required");
  EXPECT_THAT(check("instagran"), HasSubstr("did you mean \"instagram\"?"));
  EXPECT_THAT(check("Instagram"), HasSubstr("is no network id"));
  EXPECT_THAT(check(std::string(33, 'a')), HasSubstr("is no network id"));
  EXPECT_THAT(check("zzzzzzzzzz"), HasSubstr("is not a known network"));
}

TEST_F(FieldRulesTest, IdsAreOfTheirAlphabetAndLength) {
  const auto tenant = [](absl::string_view id) {
    return Said([&](FieldViolations& v) { CheckTenantId(id, v); });
  };
  for (const std::string& good : {std::string("a"), std::string(128, 'x'), std::string("A-z_09")}) {
    EXPECT_EQ(tenant(good), "");
  }
  for (const std::string& bad :
       {std::string(), std::string(129, 'x'), std::string("a b"), std::string("caf\xc3\xa9"),
        std::string("a\n"), std::string("a.b")}) {
    EXPECT_THAT(tenant(bad), HasSubstr("tenant_id: must be 1 to 128 characters"));
  }
  const auto org = [](absl::string_view id) {
    return Said([&](FieldViolations& v) { CheckOrgId("org_id", id, v); });
  };
  EXPECT_EQ(org(std::string(64, 'x')), "");
  EXPECT_THAT(org(std::string(65, 'x')), HasSubstr("org_id: must be 1 to 64 characters"));
}

TEST_F(FieldRulesTest, CredentialsArePrintableAndNeverQuoted) {
  const auto check = [](absl::string_view value) {
    return Said([&](FieldViolations& v) { CheckCredential("client_secret", value, v); });
  };
  EXPECT_EQ(check("s3cr3t with space"), "");
  EXPECT_EQ(check(std::string(4096, 'x')), "");
  EXPECT_EQ(check(""), "client_secret: Required");
  EXPECT_THAT(check(std::string(4097, 'x')), HasSubstr("4097 bytes long"));
  for (const char* bad : {" s3cr3t", "s3cr3t ", "s3cr3t\n", "s3\tcr3t", "s3cr3t\xc3\xa9"}) {
    EXPECT_THAT(check(bad), HasSubstr("client_secret: must"));
    EXPECT_EQ(check(bad).find("cr3t"), std::string::npos);
  }
}

TEST_F(FieldRulesTest, RedirectUrisFollowTheNetworksOwnRules) {
  EXPECT_EQ(Redirect("https://app.example.com/cb?a=b", "linkedin"), "");
  EXPECT_THAT(Redirect("http://app.example.com/cb", "youtube"),
              HasSubstr("must begin with https://"));
  EXPECT_EQ(Redirect("http://127.0.0.1:8080/cb", "youtube"), "");
  EXPECT_EQ(Redirect("http://localhost:8080/cb", "youtube"), "");
  EXPECT_EQ(Redirect("http://127.0.0.1:8080/cb", "x"), "");
  EXPECT_THAT(Redirect("http://localhost:8080/cb", "x"), HasSubstr("only 127.0.0.1"));
  EXPECT_THAT(Redirect("http://localhost/cb", "instagram"), HasSubstr("no http"));
  EXPECT_THAT(Redirect("https://localhost/cb", "instagram"), HasSubstr("no local address"));
  EXPECT_THAT(Redirect("https://8.8.8.8/cb", "youtube"), HasSubstr("no IP address"));
  EXPECT_EQ(Redirect("http://127.0.0.1:8080/cb", "spotify"), "");
  EXPECT_THAT(Redirect("http://localhost:8080/cb", "spotify"), HasSubstr("only 127.0.0.1"));
  EXPECT_THAT(Redirect("https://localhost/cb", "spotify"), HasSubstr("the name localhost"));
  EXPECT_THAT(Redirect("com.example.app:/cb", "linkedin"), HasSubstr("must begin with https://"));
  EXPECT_EQ(Redirect("https://app.example.com/cb", "tiktok"), "");
  EXPECT_THAT(Redirect("https://app.example.com/cb?a=b", "tiktok"), HasSubstr("no query"));
  EXPECT_THAT(Redirect(absl::StrCat("https://app.example.com/", std::string(500, 'a')), "tiktok"),
              HasSubstr("at most 511"));
}

TEST_F(FieldRulesTest, ScopesAreTokensOfTheirNetwork) {
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

TEST_F(FieldRulesTest, ExtraParamsNeverReplaceWhatWeSend) {
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
  EXPECT_THAT(check(one("client_key"), "tiktok"), HasSubstr("authurl sets"));
  EXPECT_THAT(check(one("access_type"), "youtube"), HasSubstr("authurl sets"));
  EXPECT_THAT(check(one("Auth_Type"), "facebook"), HasSubstr("authurl sets"));
  EXPECT_THAT(check(one("login_hint"), "youtube"), HasSubstr("authurl sets"));
  EXPECT_THAT(check(one("a b"), "facebook"), HasSubstr("is no parameter name"));
  EXPECT_THAT(check(one("a", ""), "facebook"), HasSubstr("extra_params.a: is 0 bytes long"));
  EXPECT_THAT(check(one("a", "x\ny"), "facebook"), HasSubstr("control characters"));
  // What the endpoint itself has in its query.
  const NetworkCatalog made_up = NetworkCatalog::Parse(testing::kFullEntry).value();
  EXPECT_THAT(
      Said([&](FieldViolations& v) { CheckExtraParams(one("Lang"), *made_up.Find("full"), v); }),
      HasSubstr("extra_params.Lang: must be left out"));
  StringMap twins = one("Twin");
  twins["twin"] = "2";
  EXPECT_THAT(check(twins, "facebook"), HasSubstr("in case only"));
  StringMap many;
  for (int i = 0; i < 33; ++i) many[absl::StrCat("p", i)] = "1";
  EXPECT_THAT(check(many, "facebook"), HasSubstr("at most 32"));
}

TEST_F(FieldRulesTest, VariablesAreThoseOfTheEndpoint) {
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

TEST_F(FieldRulesTest, InstancesAreForNetworksThatHaveThem) {
  const auto check = [&](absl::string_view network, std::optional<absl::string_view> instance) {
    return Said(
        [&](FieldViolations& v) { CheckInstance(catalog_, Network(network), instance, v); });
  };
  EXPECT_EQ(check("x", std::nullopt), "");
  EXPECT_THAT(check("x", "a.example"), HasSubstr("instance: must be left out"));
  EXPECT_EQ(check("mastodon", "mastodon.social"), "");
  EXPECT_EQ(check("mastodon", "xn--bcher-kva.example"), "");
  EXPECT_THAT(check("mastodon", std::nullopt), HasSubstr("instance: Required"));
  for (const char* bad : {"",
                          "a.example:8443",
                          "a.example:443",
                          "a.example/x",
                          "a.example?x",
                          "a.example#x",
                          "u@a.example",
                          "u:p@a.example",
                          "A.example",
                          "a.example.",
                          ".a.example",
                          "a..example",
                          "10.0.0.1",
                          "127.1",
                          "0x7f.1",
                          "[::1]",
                          "localhost",
                          "db",
                          "a.local",
                          "a b.example",
                          "a.example\n",
                          "a%2eexample",
                          "caf\xc3\xa9.example",
                          "https://a.example",
                          "*.example"}) {
    EXPECT_THAT(check("mastodon", bad), HasSubstr("instance: ")) << bad;
  }
}

TEST_F(FieldRulesTest, LocalInstancesAreTakenWhereTheCatalogAllowsThem) {
  NetworkCatalog catalog = NetworkCatalog::Parse(BuiltInNetworksText()).value();
  catalog.set_allow_local_instances(true);
  const auto check = [&](absl::string_view instance) {
    return Said([&](FieldViolations& v) {
      CheckInstance(catalog, *catalog.Find("mastodon"), instance, v);
    });
  };
  for (const char* good : {"mastodon.social", "10.0.0.1", "[::1]", "localhost", "db"}) {
    EXPECT_EQ(check(good), "") << good;
  }
  for (const char* bad : {"", "localhost:8443", "10.0.0.1/x", "::1", "127.1", "u@localhost"}) {
    EXPECT_THAT(check(bad), HasSubstr("instance: ")) << bad;
  }
}

TEST_F(FieldRulesTest, AVariantIsOneOfTheNetworks) {
  const auto check = [&](absl::string_view network, std::optional<absl::string_view> variant) {
    return Said([&](FieldViolations& v) { CheckVariant(catalog_, Network(network), variant, v); });
  };
  EXPECT_EQ(check("tiktok", std::nullopt), "");
  EXPECT_EQ(check("tiktok", "desktop"), "");
  EXPECT_THAT(check("tiktok", ""), HasSubstr("variant: must not be empty"));
  EXPECT_THAT(check("tiktok", "Desktop"), HasSubstr("is no variant of TikTok: it has \"desktop\""));
  EXPECT_THAT(check("x", "desktop"), HasSubstr("it has none"));
  EXPECT_THAT(check("tiktok", std::string(100'000, 'a')), HasSubstr("is no variant"));
}

TEST_F(FieldRulesTest, ConfigurationParamsHaveTheirFormatAndMayBeRequired) {
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

TEST_F(FieldRulesTest, TextHasALengthAndNoControlCharacters) {
  const auto check = [](absl::string_view text) {
    return Said([&](FieldViolations& v) { CheckText("login_hint", text, 1, 8, v); });
  };
  EXPECT_EQ(check("\xc3\xbcser"), "");
  EXPECT_THAT(check(""), HasSubstr("must be 1 to 8"));
  EXPECT_THAT(check("123456789"), HasSubstr("must be 1 to 8"));
  for (const char* bad : {"a\x01", "a\x7f", "a\xc2\x85", "a\r\n"}) {
    EXPECT_THAT(check(bad), HasSubstr("control characters")) << bad;
  }
}

}  // namespace
}  // namespace authurl
