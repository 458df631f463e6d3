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
using ::authurl::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class AuthRequestTest : public testing::AuthFixture {
 protected:
  absl::StatusOr<std::string> Choose(const v1::GetAuthUrlRequest& request,
                                     const record::v1::SocialNetworkSettings& settings,
                                     absl::string_view public_base_url = "") const {
    const absl::StatusOr<ChosenRedirectUri> chosen =
        ChooseRedirectUri({catalog_.Find(request.network()), &request}, settings, public_base_url);
    if (!chosen.ok()) return chosen.status();
    return std::string(chosen->uri());
  }
};

TEST_F(AuthRequestTest, AcceptsARequestThatSetsEverything) {
  v1::GetAuthUrlRequest request = Request("youtube");
  request.set_redirect_uri("https://app.example.com/cb");
  request.set_tenant_id("customer_42");
  request.add_scopes("https://www.googleapis.com/auth/youtube");
  request.set_force_account_selection(true);
  request.set_login_hint("user@example.com");
  request.set_session_binding("0123456789abcdef");
  ASSERT_OK_AND_ASSIGN(const AuthRequest valid, ValidateAuthRequest(catalog_, request));
  EXPECT_EQ(valid.network->id(), "youtube");
  EXPECT_EQ(valid.request, &request);
}

TEST_F(AuthRequestTest, ReportsEveryFaultAtOnce) {
  v1::GetAuthUrlRequest request = Request("nowhere");
  request.set_redirect_uri("http://user@app.example.com/#x");
  request.set_tenant_id("");
  request.add_scopes("a b");
  request.set_login_hint("");
  request.set_session_binding("short");
  const absl::Status status = ValidateAuthRequest(catalog_, request).status();
  EXPECT_THAT(status, HasReason("INVALID_PAYLOAD"));
  EXPECT_THAT(ViolationsOf(status), SizeIs(6));
  for (const char* field :
       {"network", "redirect_uri", "tenant_id", "scopes[0]", "login_hint", "session_binding"}) {
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
  const absl::Status status = ValidateBatchRequest(request);
  for (const char* field : {"networks[2]", "redirect_uri", "tenant_id", "scopes[0]", "login_hint",
                            "instance", "session_binding"}) {
    EXPECT_THAT(status, HasViolation(field, ::testing::_)) << field;
  }
  EXPECT_THAT(ViolationsOf(status), SizeIs(7));

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
    if (field->is_repeated()) {
      reflection->AddString(&request, field, "a scope");
    } else if (field->cpp_type() == field->CPPTYPE_BOOL) {
      reflection->SetBool(&request, field, true);
    } else {
      reflection->SetString(&request, field, field->name());
    }
  }
  // Same names and numbers, so the same bytes.
  EXPECT_EQ(RequestFor("network", request).SerializeAsString(), request.SerializeAsString());
  EXPECT_EQ(RequestFor("x", v1::ExplainAuthUrlRequest()).SerializeAsString(),
            Request("x").SerializeAsString());
}

}  // namespace
}  // namespace authurl
