#include "core/flow/auth_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/auth_fixture.h"
#include "tests/support/status_matchers.h"

namespace authurl {
namespace {

using ::authurl::testing::HasReason;
using ::authurl::testing::HasViolation;
using ::authurl::testing::IsOkAndHolds;
using ::authurl::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class AuthRequestTest : public testing::AuthFixture {
 protected:
  absl::StatusOr<std::string> Choose(const v1::GetAuthUrlRequest& request,
                                     const record::v1::SocialNetworkSettings& settings,
                                     absl::string_view public_base_url = "") const {
    const absl::StatusOr<ChosenRedirectUri> chosen = ChooseAll(request, settings, public_base_url);
    if (!chosen.ok()) return chosen.status();
    return std::string(chosen->uri());
  }
  absl::StatusOr<ChosenRedirectUri> ChooseAll(const v1::GetAuthUrlRequest& request,
                                              const record::v1::SocialNetworkSettings& settings,
                                              absl::string_view public_base_url = kBase) const {
    return ChooseRedirectUri({catalog_.Find(request.network()), &request}, settings,
                             public_base_url, keys_);
  }

  static constexpr char kBase[] = "https://auth.example.com";
  static constexpr char kHosted[] = "https://auth.example.com/v1/social-networks/linkedin/callback";
  static constexpr char kReturn[] = "https://app.example.com/connected?tab=1";
};

TEST_F(AuthRequestTest, AcceptsARequestThatSetsEverything) {
  v1::GetAuthUrlRequest request = Request("youtube");
  request.set_redirect_uri("https://app.example.com/cb");
  request.set_tenant_id("customer_42");
  request.add_scopes("https://www.googleapis.com/auth/youtube");
  request.set_force_account_selection(true);
  request.set_login_hint("user@example.com");
  request.set_session_binding("0123456789abcdef");
  request.set_return_uri(kReturn);
  request.set_return_state("tab=2 \xc3\xbc");
  request.set_reconnect_account_id("sa_4zjq0v1r8k2m6c3t9xwp");
  ASSERT_OK_AND_ASSIGN(const AuthRequest valid, ValidateAuthRequest(catalog_, request));
  EXPECT_EQ(valid.network->id(), "youtube");
  EXPECT_EQ(valid.request, &request);
}

TEST_F(AuthRequestTest, WhoMayAskForOneTenantOnlyGetsThatOne) {
  v1::GetAuthUrlRequest request = Request("linkedin");
  // LinkedIn has variants, so the request is checked once more with the configuration's.
  ASSERT_OK_AND_ASSIGN(const AuthRequest none, ValidateAuthRequest(catalog_, request));
  EXPECT_EQ(none.tenant_id(), "");
  ASSERT_OK_AND_ASSIGN(const AuthRequest own, ValidateAuthRequest(catalog_, request, "mine"));
  EXPECT_EQ(own.tenant_id(), "mine");
  ASSERT_OK_AND_ASSIGN(const AuthRequest fitting,
                       ForConfiguration(catalog_, own, Settings("linkedin")));
  EXPECT_EQ(fitting.tenant_id(), "mine");

  request.set_tenant_id("mine");
  EXPECT_OK(ValidateAuthRequest(catalog_, request, "mine"));
  for (const char* other : {"yours", "", "Mine", "a b"}) {
    request.set_tenant_id(other);
    for (const char* network : {"linkedin", "x"}) {
      request.set_network(network);
      const absl::Status refused = ValidateAuthRequest(catalog_, request, "mine").status();
      EXPECT_THAT(refused, HasViolation("tenant_id", ::testing::StartsWith("must be the tenant")));
      EXPECT_THAT(ViolationsOf(refused), SizeIs(1));
    }
  }
  request.set_tenant_id("yours");
  ASSERT_OK_AND_ASSIGN(const AuthRequest any, ValidateAuthRequest(catalog_, request));
  EXPECT_EQ(any.tenant_id(), "yours");
}

TEST_F(AuthRequestTest, ReportsEveryFaultAtOnce) {
  v1::GetAuthUrlRequest request = Request("nowhere");
  request.set_redirect_uri("http://user@app.example.com/#x");
  request.set_tenant_id("");
  request.add_scopes("a b");
  request.set_login_hint("");
  request.set_session_binding("short");
  request.set_return_uri("https://app.example.com/?flow_id=1");
  request.set_return_state("");
  request.set_reconnect_account_id("sa_");
  const absl::Status status = ValidateAuthRequest(catalog_, request).status();
  EXPECT_THAT(status, HasReason("INVALID_PAYLOAD"));
  EXPECT_THAT(ViolationsOf(status), SizeIs(9));
  for (const char* field :
       {"network", "redirect_uri", "tenant_id", "scopes[0]", "login_hint", "session_binding",
        "return_uri", "return_state", "reconnect_account_id"}) {
    EXPECT_THAT(status, HasViolation(field, ::testing::_)) << field;
  }
}

TEST_F(AuthRequestTest, ReportsWhatNoVariantTakesWithTheOtherFaults) {
  v1::GetAuthUrlRequest request = Request("tiktok");
  request.set_tenant_id("a b");
  // The desktop variant takes it.
  request.set_redirect_uri("http://localhost:8080/cb");
  EXPECT_THAT(ViolationsOf(ValidateAuthRequest(catalog_, request).status()), SizeIs(1));
  for (const char* network : {"tiktok", "linkedin", "slack", "instagram", "nowhere"}) {
    request.set_network(network);
    request.set_redirect_uri("http://x");
    const absl::Status status = ValidateAuthRequest(catalog_, request).status();
    EXPECT_THAT(status, HasViolation("redirect_uri", HasSubstr("https://"))) << network;
    EXPECT_THAT(status, HasViolation("tenant_id", ::testing::_)) << network;
  }
  // Alone it is left to the variant, whose name the message then has.
  request = Request("tiktok");
  request.set_redirect_uri("https://app.example.com/cb?a=b");
  EXPECT_OK(ValidateAuthRequest(catalog_, request));
  request.set_tenant_id("a b");
  EXPECT_THAT(ViolationsOf(ValidateAuthRequest(catalog_, request).status()), SizeIs(2));
  v1::BatchGetAuthUrlsRequest batch;
  batch.set_tenant_id("a b");
  batch.set_redirect_uri("http://x");
  EXPECT_THAT(ViolationsOf(ValidateBatchRequest(batch)), SizeIs(2));
}

// A stored one that is in use is not looked at again.
TEST_F(AuthRequestTest, ARequestsRedirectUriHasNoParameterThatTheNetworkAdds) {
  v1::GetAuthUrlRequest request = Request("linkedin");
  request.set_redirect_uri("https://app.example.com/cb?state=1");
  EXPECT_THAT(ValidateAuthRequest(catalog_, request),
              HasViolation("redirect_uri", HasSubstr("\"state\"")));
  v1::BatchGetAuthUrlsRequest batch;
  batch.set_redirect_uri(request.redirect_uri());
  EXPECT_THAT(ValidateBatchRequest(batch), HasViolation("redirect_uri", HasSubstr("\"state\"")));
  record::v1::SocialNetworkSettings settings = Settings("linkedin");
  settings.set_default_redirect_uri(request.redirect_uri());
  EXPECT_OK(Choose(Request("linkedin"), settings));
}

TEST_F(AuthRequestTest, ARequestsRedirectUriHasNoParameterThatOneNetworkAdds) {
  v1::GetAuthUrlRequest request = Request("vk");
  request.set_redirect_uri("https://app.example.com/cb?device_id=1");
  ASSERT_OK_AND_ASSIGN(const AuthRequest valid, ValidateAuthRequest(catalog_, request));
  record::v1::SocialNetworkSettings settings = Settings("vk");
  EXPECT_THAT(ForConfiguration(catalog_, valid, settings),
              HasViolation("redirect_uri", HasSubstr("\"device_id\"")));
  // It answers like any other.
  settings.set_variant("classic");
  EXPECT_OK(ForConfiguration(catalog_, valid, settings));
}

TEST_F(AuthRequestTest, ARequestChoosesOnlyWhatTheNetworkLetsItChoose) {
  const auto check = [&](const v1::GetAuthUrlRequest& request) {
    const absl::StatusOr<AuthRequest> valid = ValidateAuthRequest(catalog_, request);
    if (!valid.ok()) return valid.status();
    return ForConfiguration(catalog_, *valid, Settings(request.network())).status();
  };
  const struct {
    const char* network;
    const char* name;
    const char* value;
  } choices[] = {
      // Without variants, and with them.
      {"github", "prompt", "select_account"},
      {"tiktok", "disable_auto_auth", "1"},
  };
  for (const auto& [network, name, value] : choices) {
    SCOPED_TRACE(network);
    v1::GetAuthUrlRequest request = Request(network);
    (*request.mutable_extra_params())[name] = value;
    EXPECT_OK(check(request));
    (*request.mutable_extra_params())[name] = "?";
    EXPECT_THAT(check(request),
                HasViolation(absl::StrCat("extra_params.", name), HasSubstr("must match")));
    for (const char* other : {"foo", "state", "client_id"}) {
      request.clear_extra_params();
      (*request.mutable_extra_params())[other] = "1";
      EXPECT_THAT(check(request),
                  HasViolation("extra_params", HasSubstr("can't be chosen by a request")))
          << other;
    }
  }
  v1::GetAuthUrlRequest request = Request("microsoft");
  (*request.mutable_variables())["tenant"] = "contoso.example";
  EXPECT_OK(check(request));
  (*request.mutable_variables())["tenant"] = "bad/../x";
  EXPECT_THAT(check(request), HasViolation("variables", ::testing::_));
  request.clear_variables();
  (*request.mutable_variables())["version"] = "v2.0";
  EXPECT_THAT(check(request), HasViolation("variables", ::testing::_));
}

TEST_F(AuthRequestTest, AnAppsOwnSchemeIsTakenWhereTheConfigurationListsIt) {
  // Without variants, with them, and with the rule.
  for (const char* network : {"github", "tiktok", "discord"}) {
    SCOPED_TRACE(network);
    v1::GetAuthUrlRequest request = Request(network);
    request.set_redirect_uri("myapp://cb");
    ASSERT_OK_AND_ASSIGN(const AuthRequest valid, ValidateAuthRequest(catalog_, request));
    record::v1::SocialNetworkSettings settings = Settings(network);
    EXPECT_THAT(ForConfiguration(catalog_, valid, settings),
                HasViolation("redirect_uri", HasSubstr("allowed_redirect_uris")));
    settings.add_allowed_redirect_uris("myapp://cb2");
    EXPECT_THAT(ForConfiguration(catalog_, valid, settings),
                HasViolation("redirect_uri", HasSubstr("allowed_redirect_uris")));
    settings.add_allowed_redirect_uris("myapp://cb");
    ASSERT_OK(ForConfiguration(catalog_, valid, settings));
    EXPECT_THAT(Choose(request, settings), IsOkAndHolds("myapp://cb"));

    settings.set_default_redirect_uri("myapp://cb");
    EXPECT_THAT(Choose(Request(network), settings), IsOkAndHolds("myapp://cb"));
    settings.clear_allowed_redirect_uris();
    EXPECT_THAT(Choose(Request(network), settings), HasReason("NO_REDIRECT_URI"));

    request.set_redirect_uri("javascript:alert(1)");
    EXPECT_THAT(ValidateAuthRequest(catalog_, request),
                HasViolation("redirect_uri", HasSubstr("which browsers run")));
  }
  v1::BatchGetAuthUrlsRequest batch;
  batch.set_redirect_uri("myapp://cb");
  EXPECT_OK(ValidateBatchRequest(batch));
  batch.set_redirect_uri("javascript:alert(1)");
  EXPECT_THAT(ValidateBatchRequest(batch),
              HasViolation("redirect_uri", HasSubstr("which browsers run")));
}

TEST_F(AuthRequestTest, AnEmptyOptionalFieldIsAnErrorAndAnUnsetOneIsNot) {
  v1::GetAuthUrlRequest request = Request("linkedin");
  EXPECT_OK(ValidateAuthRequest(catalog_, request));
  request.set_tenant_id("");
  request.set_redirect_uri("");
  request.set_instance("");
  const absl::Status status = ValidateAuthRequest(catalog_, request).status();
  EXPECT_THAT(ViolationsOf(status), SizeIs(3));
}

TEST_F(AuthRequestTest, ANetworkThatNeedsACallFirstSaysWhatToDo) {
  EXPECT_THAT(ValidateAuthRequest(catalog_, Request("bluesky")),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("Bluesky")));
  EXPECT_THAT(ValidateAuthRequest(catalog_, Request("bluesky")),
              HasReason("NETWORK_HAS_NO_AUTH_URL"));
}

TEST_F(AuthRequestTest, RedirectUriIsTheRequestsElseTheDefaultElseTheServers) {
  v1::GetAuthUrlRequest request = Request("linkedin");
  record::v1::SocialNetworkSettings settings = Settings("linkedin");
  EXPECT_THAT(Choose(request, settings), HasReason("NO_REDIRECT_URI"));
  ASSERT_OK_AND_ASSIGN(std::string chosen, Choose(request, settings, "https://auth.example.com"));
  EXPECT_EQ(chosen, "https://auth.example.com/v1/social-networks/linkedin/callback");
  settings.set_default_redirect_uri("https://app.example.com/default");
  ASSERT_OK_AND_ASSIGN(chosen, Choose(request, settings, "https://auth.example.com"));
  EXPECT_EQ(chosen, "https://app.example.com/default");
  request.set_redirect_uri("https://app.example.com/mine");
  ASSERT_OK_AND_ASSIGN(chosen, Choose(request, settings, "https://auth.example.com"));
  EXPECT_EQ(chosen, "https://app.example.com/mine");
}

TEST_F(AuthRequestTest, ReturnUriIsOneOfTheAllowedAndGoesByTheHostedCallback) {
  v1::GetAuthUrlRequest request = Request("linkedin");
  request.set_return_uri(kReturn);
  record::v1::SocialNetworkSettings settings = Settings("linkedin");
  EXPECT_THAT(ChooseAll(request, settings),
              HasViolation("return_uri", HasSubstr("has no allowed_return_uris")));
  // The default is for requests that name none.
  settings.set_default_return_uri(kReturn);
  EXPECT_THAT(ChooseAll(request, settings), HasViolation("return_uri", ::testing::_));
  settings.add_allowed_return_uris("https://app.example.com/connected");
  EXPECT_THAT(ChooseAll(request, settings), HasViolation("return_uri", HasSubstr("byte for byte")));
  settings.add_allowed_return_uris(kReturn);
  // The organisation's own callback is for those that name no return URI.
  settings.set_default_redirect_uri("https://app.example.com/cb");
  ASSERT_OK_AND_ASSIGN(ChosenRedirectUri chosen, ChooseAll(request, settings));
  EXPECT_EQ(chosen.uri(), kHosted);
  EXPECT_TRUE(chosen.is_hosted);
  EXPECT_EQ(chosen.return_uri, kReturn);
  EXPECT_THAT(ChooseAll(request, settings, ""), HasReason("NO_REDIRECT_URI"));
  request.set_redirect_uri("https://app.example.com/own");
  ASSERT_OK_AND_ASSIGN(chosen, ChooseAll(request, settings));
  EXPECT_EQ(chosen.uri(), "https://app.example.com/own");
  EXPECT_FALSE(chosen.is_hosted);
  EXPECT_EQ(chosen.return_uri, "");
}

// What clients of Outstand's API call redirect_uri.
TEST_F(AuthRequestTest, ARedirectUriThatIsAReturnUriGoesByTheHostedCallback) {
  v1::GetAuthUrlRequest request = Request("linkedin");
  request.set_redirect_uri(kReturn);
  record::v1::SocialNetworkSettings settings = Settings("linkedin");
  EXPECT_THAT(Choose(request, settings, kBase), IsOkAndHolds(kReturn));
  settings.add_allowed_return_uris(kReturn);
  settings.add_allowed_redirect_uris("https://app.example.com/cb");
  ASSERT_OK_AND_ASSIGN(const ChosenRedirectUri chosen, ChooseAll(request, settings));
  EXPECT_EQ(chosen.uri(), kHosted);
  EXPECT_TRUE(chosen.is_hosted);
  EXPECT_EQ(chosen.return_uri, kReturn);
  EXPECT_TRUE(RedirectUriIsReturnUri(request, settings));
  EXPECT_THAT(ChooseAll(request, settings, ""), HasReason("NO_REDIRECT_URI"));
  request.set_return_uri(kReturn);
  EXPECT_THAT(ChooseAll(request, settings),
              HasViolation("redirect_uri", HasSubstr("leave one of them out")));
  request.clear_return_uri();

  settings.add_allowed_redirect_uris(kReturn);
  ASSERT_OK_AND_ASSIGN(const ChosenRedirectUri listed, ChooseAll(request, settings));
  EXPECT_EQ(listed.uri(), kReturn);
  EXPECT_FALSE(listed.is_hosted);
  settings.clear_allowed_redirect_uris();
  settings.set_default_redirect_uri(kReturn);
  ASSERT_OK_AND_ASSIGN(const ChosenRedirectUri by_default, ChooseAll(request, settings));
  EXPECT_FALSE(by_default.is_hosted);
}

// The network never sees it, so it need not take it.
TEST_F(AuthRequestTest, AReturnUriInPlaceOfARedirectUriIsNoMatterOfTheNetwork) {
  // Without variants, and with them.
  for (const char* network : {"pinterest", "instagram", "tiktok"}) {
    SCOPED_TRACE(network);
    v1::GetAuthUrlRequest request = Request(network);
    request.set_redirect_uri("http://127.0.0.1:3000/connected?tab=1");
    ASSERT_OK_AND_ASSIGN(const AuthRequest valid, ValidateAuthRequest(catalog_, request));
    record::v1::SocialNetworkSettings settings = Settings(network);
    EXPECT_THAT(ForConfiguration(catalog_, valid, settings),
                HasViolation("redirect_uri", ::testing::_));
    settings.add_allowed_return_uris(request.redirect_uri());
    ASSERT_OK_AND_ASSIGN(const AuthRequest fitting, ForConfiguration(catalog_, valid, settings));
    ASSERT_OK_AND_ASSIGN(const ChosenRedirectUri chosen,
                         ChooseRedirectUri(fitting, settings, kBase, keys_));
    EXPECT_EQ(chosen.return_uri, request.redirect_uri());
    // With another fault it is told as one.
    request.set_tenant_id("");
    EXPECT_THAT(ValidateAuthRequest(catalog_, request), HasViolation("tenant_id", ::testing::_));
  }
}

TEST_F(AuthRequestTest, TheHostedCallbackIsKnownWhoeverNamesIt) {
  v1::GetAuthUrlRequest request = Request("linkedin");
  record::v1::SocialNetworkSettings settings = Settings("linkedin");
  ASSERT_OK_AND_ASSIGN(ChosenRedirectUri chosen, ChooseAll(request, settings));
  EXPECT_TRUE(chosen.is_hosted);
  settings.set_default_redirect_uri(kHosted);
  ASSERT_OK_AND_ASSIGN(chosen, ChooseAll(request, settings));
  EXPECT_TRUE(chosen.is_hosted);
  request.set_redirect_uri(kHosted);
  ASSERT_OK_AND_ASSIGN(chosen, ChooseAll(request, settings));
  EXPECT_TRUE(chosen.is_hosted);
  EXPECT_EQ(chosen.source, v1::PARAMETER_SOURCE_REQUEST);
  request.set_redirect_uri("https://auth.example.com/v1/social-networks/x/callback");
  ASSERT_OK_AND_ASSIGN(chosen, ChooseAll(request, settings));
  EXPECT_FALSE(chosen.is_hosted);
  request.set_redirect_uri(kHosted);
  ASSERT_OK_AND_ASSIGN(chosen, ChooseAll(request, settings, ""));
  EXPECT_FALSE(chosen.is_hosted);
}

TEST_F(AuthRequestTest, ASessionBindingIsRequiredWhereThePolicySaysSo) {
  v1::GetAuthUrlRequest request = Request("linkedin");
  ASSERT_OK_AND_ASSIGN(const AuthRequest valid, ValidateAuthRequest(catalog_, request));
  record::v1::SocialNetworkSettings settings = Settings("linkedin");
  settings.set_session_binding_policy(record::v1::SESSION_BINDING_POLICY_OPTIONAL);
  EXPECT_OK(ForConfiguration(catalog_, valid, settings));
  settings.set_session_binding_policy(record::v1::SESSION_BINDING_POLICY_REQUIRED);
  EXPECT_THAT(ForConfiguration(catalog_, valid, settings),
              HasViolation("session_binding", HasSubstr("session_binding_policy")));
  request.set_session_binding("0123456789abcdef");
  EXPECT_OK(ForConfiguration(catalog_, valid, settings));
}

TEST_F(AuthRequestTest, AllowedRedirectUrisAreComparedByteForByte) {
  v1::GetAuthUrlRequest request = Request("linkedin");
  record::v1::SocialNetworkSettings settings = Settings("linkedin");
  settings.add_allowed_redirect_uris("https://app.example.com/cb");
  request.set_redirect_uri("https://app.example.com/cb");
  EXPECT_OK(Choose(request, settings));
  for (const char* other : {"https://app.example.com/cb/", "https://app.example.com/cb?",
                            "https://app.example.com/CB", "https://app.example.com/cb2"}) {
    request.set_redirect_uri(other);
    EXPECT_THAT(Choose(request, settings),
                HasViolation("redirect_uri", HasSubstr("allowed_redirect_uris")));
  }
  request.clear_redirect_uri();
  EXPECT_THAT(Choose(request, settings, "https://auth.example.com"), HasReason("NO_REDIRECT_URI"));
}

TEST_F(AuthRequestTest, ADefaultThatTheNetworkDoesNotTakeIsNotSent) {
  record::v1::SocialNetworkSettings settings = Settings("instagram");
  settings.set_default_redirect_uri("https://localhost/cb");
  EXPECT_THAT(Choose(Request("instagram"), settings), HasReason("NO_REDIRECT_URI"));
}

TEST_F(AuthRequestTest, TheConfigurationsVariantDecidesWhatIsTaken) {
  v1::GetAuthUrlRequest request = Request("tiktok");
  request.set_redirect_uri("http://localhost:8080/cb");
  ASSERT_OK_AND_ASSIGN(const AuthRequest valid, ValidateAuthRequest(catalog_, request));
  record::v1::SocialNetworkSettings settings = Settings("tiktok");
  EXPECT_THAT(ForConfiguration(catalog_, valid, settings),
              HasViolation("redirect_uri", HasSubstr("must begin with https://")));
  settings.set_variant("desktop");
  ASSERT_OK_AND_ASSIGN(const AuthRequest desktop, ForConfiguration(catalog_, valid, settings));
  EXPECT_EQ(desktop.network, catalog_.FindVariant("tiktok", "desktop"));
  request.set_redirect_uri("http://user@app.example.com/");
  EXPECT_THAT(ValidateAuthRequest(catalog_, request), HasViolation("redirect_uri", ::testing::_));
}

TEST_F(AuthRequestTest, AConfigurationThatTheCatalogOutgrewSaysWhatToUpdate) {
  v1::GetAuthUrlRequest request = Request("whatsapp");
  ASSERT_OK_AND_ASSIGN(const AuthRequest whatsapp, ValidateAuthRequest(catalog_, request));
  const absl::Status lacking = ForConfiguration(catalog_, whatsapp, Settings("whatsapp")).status();
  EXPECT_THAT(lacking, HasReason("CONFIGURATION_OUTDATED"));
  EXPECT_THAT(lacking,
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("extra_params.config_id")));
  request = Request("x");
  ASSERT_OK_AND_ASSIGN(const AuthRequest x, ValidateAuthRequest(catalog_, request));
  record::v1::SocialNetworkSettings settings = Settings("x");
  settings.set_variant("gone");
  EXPECT_THAT(ForConfiguration(catalog_, x, settings), HasReason("CONFIGURATION_OUTDATED"));
}

TEST_F(AuthRequestTest, ABatchReportsEveryFaultThatNoNetworkDecides) {
  v1::BatchGetAuthUrlsRequest request;
  EXPECT_OK(ValidateBatchRequest(request));
  request.add_networks("x");
  request.add_networks("no such network");
  EXPECT_OK(ValidateBatchRequest(request));
  request.add_networks("x");
  request.set_redirect_uri("http://user@app.example.com/");
  request.set_tenant_id("");
  request.add_scopes("a b");
  request.set_login_hint("");
  request.set_instance("a b");
  request.set_session_binding("short");
  request.set_return_uri("http://app.example.com/");
  request.set_return_state(std::string(257, 's'));
  const absl::Status status = ValidateBatchRequest(request);
  for (const char* field : {"networks[2]", "redirect_uri", "tenant_id", "scopes[0]", "login_hint",
                            "instance", "session_binding", "return_uri", "return_state"}) {
    EXPECT_THAT(status, HasViolation(field, ::testing::_)) << field;
  }
  EXPECT_THAT(ViolationsOf(status), SizeIs(9));

  v1::BatchGetAuthUrlsRequest all;
  all.set_instance("mastodon.social");
  EXPECT_THAT(ValidateBatchRequest(all), HasViolation("instance", HasSubstr("must be left out")));
  v1::BatchGetAuthUrlsRequest many;
  for (int i = 0; i <= kMaxBatchNetworks; ++i) many.add_networks(absl::StrCat("n", i));
  EXPECT_THAT(ValidateBatchRequest(many), HasViolation("networks", HasSubstr("100")));
}

// The requests of one network have the same fields: what is set in one is set in the other.
TEST_F(AuthRequestTest, ASingleRequestTakesOverEveryField) {
  v1::ExplainAuthUrlRequest request;
  const auto* reflection = request.GetReflection();
  const auto* descriptor = request.GetDescriptor();
  ASSERT_EQ(descriptor->field_count(), v1::GetAuthUrlRequest::GetDescriptor()->field_count());
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const auto* field = descriptor->field(i);
    if (field->is_map()) continue;
    if (field->is_repeated()) {
      reflection->AddString(&request, field, "a scope");
    } else if (field->cpp_type() == field->CPPTYPE_BOOL) {
      reflection->SetBool(&request, field, true);
    } else {
      reflection->SetString(&request, field, field->name());
    }
  }
  (*request.mutable_extra_params())["a"] = "1";
  (*request.mutable_variables())["b"] = "2";
  // Same names and numbers, so the same bytes.
  EXPECT_EQ(RequestFor("network", request).SerializeAsString(), request.SerializeAsString());
  EXPECT_EQ(RequestFor("x", v1::ExplainAuthUrlRequest()).SerializeAsString(),
            Request("x").SerializeAsString());
}

}  // namespace
}  // namespace authurl
