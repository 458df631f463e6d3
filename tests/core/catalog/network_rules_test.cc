#include "core/catalog/network_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/catalog/network_catalog.h"
#include "tests/support/catalog_text.h"
#include "tests/support/signing_key.h"
#include "tests/support/violations_said.h"

namespace authurl {
namespace {

using ::authurl::testing::Said;
using ::testing::AllOf;
using ::testing::HasSubstr;

class NetworkRulesTest : public ::testing::Test {
 protected:
  const catalog::v1::Network& Network(absl::string_view id) const { return *catalog_.Find(id); }

  std::string Redirect(absl::string_view uri, absl::string_view network,
                       bool is_listed = false) const {
    return Said([&](FieldViolations& v) {
      CheckRedirectUri("redirect_uri", uri, is_listed, &Network(network), v);
    });
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
  EXPECT_EQ(Redirect("http://localhost:8080/cb", "x"), "");
  // RFC 6761 section 6.3.
  EXPECT_EQ(Redirect("http://tenant.localhost:5173/cb", "github"), "");
  EXPECT_EQ(Redirect("http://tenant.localhost/cb", "microsoft"), "");
  EXPECT_THAT(Redirect("http://tenant.localhost/cb", "instagram"), HasSubstr("not take http"));
  EXPECT_THAT(Redirect("http://tenant.localhost/cb", "apple"), HasSubstr("not take http"));
  EXPECT_THAT(Redirect("https://tenant.localhost/cb", "apple"), HasSubstr("local addresses"));
  // What only looks like it.
  for (const char* uri : {"http://localhost.evil.com/cb", "http://evillocalhost/cb"}) {
    EXPECT_THAT(Redirect(uri, "github"), HasSubstr("http is for the local machine only")) << uri;
  }
  EXPECT_THAT(Redirect("https://undefined/cb", "github"), HasSubstr("was not set"));
  EXPECT_THAT(Redirect("https://null/cb", "apple"), HasSubstr("was not set"));
  EXPECT_THAT(Redirect("https://intranet/cb", "apple"), HasSubstr("public host names only"));
  EXPECT_THAT(Redirect("https://intranet/cb", "wechat"), HasSubstr("public host names only"));
  EXPECT_EQ(Redirect("https://intranet/cb", "github"), "");
  EXPECT_THAT(Redirect("http://localhost/cb", "instagram"), HasSubstr("not take http"));
  EXPECT_THAT(Redirect("https://localhost/cb", "instagram"), HasSubstr("not take local addresses"));
  EXPECT_THAT(Redirect("https://8.8.8.8/cb", "youtube"), HasSubstr("not take an IP address"));
  EXPECT_EQ(Redirect("http://127.0.0.1:8080/cb", "spotify"), "");
  EXPECT_THAT(Redirect("http://localhost:8080/cb", "spotify"), HasSubstr("only 127.0.0.1"));
  EXPECT_THAT(Redirect("https://localhost/cb", "spotify"), HasSubstr("the name localhost"));
  EXPECT_THAT(Redirect("com.example.app:/cb", "linkedin"), HasSubstr("must begin with https://"));
  EXPECT_EQ(Redirect("com.example.app:/cb", "discord"), "");
  EXPECT_EQ(Redirect("com.example.app:/cb", "mastodon"), "");
  EXPECT_EQ(Redirect("https://app.example.com/cb", "tiktok"), "");
  EXPECT_THAT(Redirect("https://app.example.com/cb?a=b", "tiktok"), HasSubstr("not take a query"));
  EXPECT_THAT(Redirect(absl::StrCat("https://app.example.com/", std::string(500, 'a')), "tiktok"),
              HasSubstr("at most 511"));
}

TEST_F(NetworkRulesTest, AnAppsOwnSchemeIsTakenWhereItIsListed) {
  for (const char* network : {"github", "x", "facebook", "discord", "mastodon"}) {
    SCOPED_TRACE(network);
    for (const char* uri : {"discord-123456789012345678:/authorize/callback", "fb123:/authorize",
                            "fb123://authorize", "myapp://cb", "com.example.app:/cb"}) {
      EXPECT_EQ(Redirect(uri, network, /*is_listed=*/true), "") << uri;
    }
    for (const char* uri : {"javascript:alert(1)", "javascript://a.example/%0Aalert(1)",
                            "data:text/html,x", "intent:/a", "file:///etc/passwd"}) {
      for (const bool is_listed : {false, true}) {
        EXPECT_THAT(Redirect(uri, network, is_listed), HasSubstr("it is never taken")) << uri;
      }
    }
    EXPECT_THAT(Redirect("http://app.example.com/cb", network, true), HasSubstr("https://"));
  }
  // A network's other rules hold all the same.
  EXPECT_THAT(Redirect("https://localhost/cb", "instagram", true), HasSubstr("local addresses"));
  EXPECT_EQ(Redirect("myapp://cb", "github"),
            "redirect_uri: must begin with https://: for GitHub, authurl takes an app's own scheme "
            "only from the configuration's allowed_redirect_uris");
  EXPECT_EQ(Redirect("myapp://cb", "discord"),
            "redirect_uri: has the scheme \"myapp\": write it as com.example.app:/, or name this "
            "redirect URI in the configuration's allowed_redirect_uris");
  EXPECT_THAT(Redirect("com.example.app://cb", "discord"),
              HasSubstr("one slash after the scheme: write com.example.app:/"));
}

TEST_F(NetworkRulesTest, ARedirectUriHasNoParameterThatTheNetworkAdds) {
  const auto check = [&](const std::string& query, absl::string_view network = "") {
    const std::string uri = "https://app.example.com/cb" + query;
    return Said([&](FieldViolations& v) {
      CheckOwnQuery("redirect_uri", uri, network.empty() ? nullptr : &Network(network), v);
    });
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
    EXPECT_THAT(check(doubled, "vk"), HasSubstr("redirect_uri: must not have ")) << doubled;
  }
  // What one network answers with.
  for (const char* of_vk : {"?device_id=1", "?a=1&Device.Id=1", "?payload=x"}) {
    EXPECT_THAT(check(of_vk, "vk"), HasSubstr("redirect_uri: must not have ")) << of_vk;
    EXPECT_EQ(check(of_vk, "github"), "") << of_vk;
    EXPECT_EQ(check(of_vk), "") << of_vk;
  }
}

TEST_F(NetworkRulesTest, AReturnUriIsWhatABrowserMayBeSentTo) {
  const auto check = [](absl::string_view uri) {
    return Said([&](FieldViolations& v) { CheckReturnUri("return_uri", uri, v); });
  };
  for (const char* fine :
       {"https://app.example.com/connected", "https://app.example.com/?tab=1&accounts=2",
        "http://localhost:3000/connected", "http://127.0.0.1/", "http://[::1]:8080/",
        "com.example.app:/connected", "myapp://connected"}) {
    EXPECT_EQ(check(fine), "") << fine;
  }
  for (const char* bad :
       {"", "/connected", "http://app.example.com/", "https://app.example.com/#connected",
        "https://user@app.example.com/", "https://App.example.com/", "https://*.example.com/",
        "javascript:alert(1)", "intent://a", "https://undefined/"}) {
    EXPECT_THAT(check(bad), HasSubstr("return_uri: ")) << bad;
  }
  for (const char* name :
       {"success", "account_id", "session", "error", "error_description", "return_state", "flow_id",
        "code", "state", "username", "network_unique_id", "iss", "Account-Id", "session%5B%5D"}) {
    EXPECT_THAT(check(absl::StrCat("https://app.example.com/?a=1&", name, "=1")),
                HasSubstr("return_uri: must not have "))
        << name;
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
  EXPECT_EQ(check({"b,c"}, "instagram"),
            "scopes[0]: must be one scope: Instagram separates scopes by \",\"; give each scope as "
            "an entry of its own");
  for (const char* joined : {"tweet.read,tweet.write", "a+b", "a%20b"}) {
    EXPECT_EQ(check({joined}, "x"),
              "scopes[0]: must be one scope: X separates scopes by blanks; give each scope as an "
              "entry of its own")
        << joined;
    EXPECT_THAT(check({"a", joined}, "youtube"), HasSubstr("scopes[1]: must be one scope"))
        << joined;
  }
  for (const char* joined : {"a b", "a\tb", "a\nb", "read:user "}) {
    EXPECT_EQ(check({joined}, "github"),
              "scopes[0]: must be one scope without spaces: give each scope as an entry of its own")
        << joined;
  }
  EXPECT_THAT(check({"a", "a"}, "youtube"), HasSubstr("scopes[1]: repeats"));
  for (const std::string& bad :
       {std::string(), std::string("a b"), std::string("a\"b"), std::string("a\\b"),
        std::string("\xc3\xa9"), std::string(257, 'a')}) {
    EXPECT_THAT(check({bad}, "youtube"), HasSubstr("scopes[0]: must be"));
  }
  EXPECT_THAT(check(std::vector<std::string>(65, "a"), "youtube"), HasSubstr("at most 64"));
}

// A network of one's own may have scopes that no built-in one has.
TEST_F(NetworkRulesTest, AScopeWithAnotherNetworksSeparatorIsTakenWhereItIsADefault) {
  catalog::v1::Network network = Network("github");
  network.mutable_scopes()->add_defaults("urn:acme:read,write");
  const auto check = [&](std::vector<std::string> scopes) {
    const ScopeList list(scopes.begin(), scopes.end());
    return Said([&](FieldViolations& v) { CheckScopes(list, &network, v); });
  };
  EXPECT_EQ(check({"urn:acme:read,write"}), "");
  EXPECT_THAT(check({"urn:acme:read,delete"}), HasSubstr("must be one scope"));
  network.mutable_scopes()->set_separator(",");
  EXPECT_THAT(check({"urn:acme:read,write"}), HasSubstr("must be one scope"));
}

TEST_F(NetworkRulesTest, NoScopeOfTheCatalogLooksLikeSeveral) {
  const auto check = [](const catalog::v1::Network& network) {
    ScopeList scopes = network.scopes().defaults();
    const auto add = [&](const ScopeList& more) { scopes.MergeFrom(more); };
    for (const auto& warning : network.warnings()) {
      add(warning.all_scopes());
      add(warning.any_scope());
      add(warning.no_scope());
    }
    for (const auto& param : network.fixed_params()) add(param.only_with_scopes());
    for (const auto& param : network.configuration_params()) add(param.only_with_scopes());
    for (const std::string& scope : scopes) {
      EXPECT_EQ(scope.find_first_of(",+% "), scope.npos) << network.id() << " " << scope;
    }
  };
  for (const catalog::v1::Network* network : catalog_.networks()) {
    check(*network);
    for (const auto& variant : network->variants()) {
      check(*catalog_.FindVariant(network->id(), variant.id()));
    }
  }
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
        "request_uri", "iss", "resource", "dpop_jkt"}) {
    EXPECT_THAT(check(one(reserved), "linkedin"), HasSubstr("must be left out: ")) << reserved;
  }
  // What is never sent is not said to be.
  EXPECT_THAT(check(one("response_mode"), "linkedin"),
              HasSubstr("for LinkedIn it can't be chosen"));
  EXPECT_EQ(check(one("response_mode", "form_post"), "microsoft"), "");
  EXPECT_EQ(check(one("response_mode", "query"), "microsoft"), "");
  EXPECT_THAT(check(one("response_mode", "fragment"), "microsoft"),
              HasSubstr("must match query|form_post"));
  // As PHP, which makes "_" of ".", and other lenient readers take them.
  for (const char* lenient : {"redirect.uri", "Client.Id", "code-challenge.method", "user.scope"}) {
    EXPECT_THAT(check(one(lenient), "linkedin"), HasSubstr("must be left out: ")) << lenient;
  }
  EXPECT_THAT(check(one("access.type"), "youtube"), HasSubstr("must be spelt access_type"));
  EXPECT_THAT(check(one("config.id"), "facebook"), HasSubstr("must be spelt config_id"));
  EXPECT_THAT(check(one("client_key"), "tiktok"), HasSubstr("authurl sets"));
  EXPECT_EQ(check(one("access_type", "online"), "youtube"), "");
  EXPECT_THAT(check(one("access_type"), "youtube"), HasSubstr("must match offline|online"));
  // Account selection has a value of its own for it, where it is asked for.
  EXPECT_EQ(check(one("auth_type", "rerequest"), "facebook"), "");
  EXPECT_THAT(check(one("Auth_Type"), "facebook"), HasSubstr("must be spelt auth_type"));
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
  EXPECT_THAT(check(params, "facebook"), HasSubstr("must be left out: "));
  params.clear();
  params["Config_Id"] = "1";
  EXPECT_THAT(check(params, "facebook"),
              HasSubstr("extra_params.Config_Id: must be spelt config_id"));
}

TEST_F(NetworkRulesTest, ARequestChoosesWhatTheNetworkLetsItChoose) {
  const auto check = [&](absl::string_view network, const std::string& name,
                         const std::string& value) {
    StringMap params;
    params[name] = value;
    return Said([&](FieldViolations& v) { CheckChoices(params, {}, Network(network), v); });
  };
  // What a request may choose, a configuration may choose as well.
  const auto configure = [&](absl::string_view network, const std::string& name,
                             const std::string& value) {
    StringMap params;
    params[name] = value;
    return Said([&](FieldViolations& v) { CheckExtraParams(params, Network(network), v); });
  };
  struct Choice {
    std::string network;
    std::string name;
    std::string value;
  };
  const std::vector<Choice> choices = {
      {"facebook", "auth_type", "rerequest"},
      {"instagram", "force_reauth", "true"},
      {"microsoft", "prompt", "consent"},
      {"google", "prompt", "select_account"},
      {"google", "access_type", "online"},
      {"discord", "prompt", "none"},
      {"spotify", "show_dialog", "true"},
      {"reddit", "duration", "temporary"},
      {"twitch", "force_verify", "true"},
      {"tiktok", "disable_auto_auth", "1"},
      {"slack", "team", "T02ABCDEF"},
      {"wordpress", "blog", "example.com"},
      {"discord", "guild_id", "123456789012345678"},
      {"google", "hd", "example.com"},
      {"microsoft", "domain_hint", "example.com"},
  };
  for (const Choice& choice : choices) {
    SCOPED_TRACE(absl::StrCat(choice.network, " ", choice.name));
    EXPECT_EQ(check(choice.network, choice.name, choice.value), "");
    EXPECT_THAT(check(choice.network, choice.name, "\x01"), HasSubstr("must match "));
    EXPECT_EQ(configure(choice.network, choice.name, choice.value), "");
    EXPECT_THAT(configure(choice.network, choice.name, "\x01"), HasSubstr("must match "));
    EXPECT_THAT(check(choice.network, "foo", "1"),
                AllOf(HasSubstr("extra_params: \"foo\" can't be chosen by a request for "),
                      HasSubstr("it takes "), HasSubstr(choice.name)));
  }
  EXPECT_THAT(check("slack", "team", "t02abcdef"), HasSubstr("extra_params.team: must match "));
  // A configuration's own, and what nobody chooses.
  EXPECT_THAT(check("facebook", "display", "popup"), HasSubstr("can't be chosen by a request"));
  for (const char* ours : {"state", "client_id", "redirect_uri", "scope"}) {
    EXPECT_THAT(check("google", ours, "1"), HasSubstr("can't be chosen by a request")) << ours;
  }

  const auto check_variable = [&](absl::string_view network, const std::string& name,
                                  const std::string& value) {
    StringMap variables;
    variables[name] = value;
    return Said([&](FieldViolations& v) { CheckChoices({}, variables, Network(network), v); });
  };
  EXPECT_EQ(check_variable("microsoft", "tenant", "contoso.example"), "");
  EXPECT_THAT(check_variable("microsoft", "tenant", "bad/../x"), HasSubstr("variables: "));
  EXPECT_THAT(check_variable("microsoft", "version", "v2.0"),
              HasSubstr("\"version\" can't be chosen by a request for Microsoft; it takes tenant"));
  EXPECT_THAT(check_variable("facebook", "version", "v25.0"), HasSubstr("it takes none"));
}

TEST_F(NetworkRulesTest, ClientSecretsAreWhatTheNetworkTakes) {
  StringMap ids;
  ids["team_id"] = "ABCDE12345";
  ids["key_id"] = "ABCDE12345";
  const auto check = [&](absl::string_view network, const std::string& secret,
                         const StringMap& params) {
    return Said(
        [&](FieldViolations& v) { CheckClientSecret(secret, params, Network(network), v); });
  };
  const std::string pem = testing::NewSigningKey("P-256").pem;
  EXPECT_EQ(check("apple", pem, ids), "");
  EXPECT_THAT(check("apple", pem, {}), AllOf(HasSubstr("extra_params.team_id: Required with a"),
                                             HasSubstr("extra_params.key_id: Required with a")));
  EXPECT_THAT(check("apple", testing::NewSigningKey("P-384").pem, ids), HasSubstr("P-256"));
  EXPECT_THAT(check("apple", absl::StrReplaceAll(pem, {{"\n", "\\n"}}), ids),
              HasSubstr("with its line breaks"));
  EXPECT_THAT(check("apple", "abcdef", {}),
              HasSubstr("must be the private key that Apple's portal gave"));
  EXPECT_THAT(check("apple", "", {}), HasSubstr("client_secret: Required"));
  // The organisation signs it itself and needs no ids here.
  EXPECT_EQ(check("apple", "e30.e30.c2ln", {}), "");
  for (const char* network : {"github", "google"}) {
    EXPECT_THAT(check(network, pem, {}), HasSubstr("is a key or a certificate; ")) << network;
  }
  EXPECT_EQ(check("x", "", {}), "");
  EXPECT_THAT(check("github", "", {}), HasSubstr("client_secret: Required"));
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

// Apple's .p8.
TEST_F(NetworkRulesTest, APrivateKeyIsTheWholeFileAndNothingElse) {
  StringMap params;
  params["team_id"] = "ABCDE12345";
  params["key_id"] = "FGHIJ67890";
  const auto check = [&](const std::string& secret) {
    return Said(
        [&](FieldViolations& v) { CheckClientSecret(secret, params, Network("apple"), v); });
  };
  const std::string pem = testing::NewSigningKey("P-256").pem;
  EXPECT_EQ(check(pem), "");
  EXPECT_THAT(check(absl::StrCat(pem, std::string(4096, ' '))), HasSubstr("at most 4096"));
  EXPECT_THAT(check(absl::StrCat(pem, "\x01")), HasSubstr("printable ASCII"));
  EXPECT_THAT(check(pem.substr(0, pem.size() / 2)), HasSubstr("client_secret: "));
  params.erase("key_id");
  EXPECT_THAT(check(pem), HasSubstr("extra_params.key_id: Required with a private key"));
}

}  // namespace
}  // namespace authurl
