#include "core/catalog/social_network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/auth_fixture.h"
#include "tests/support/status_matchers.h"

namespace authurl {
namespace {

using ::authurl::testing::HasReason;
using ::authurl::testing::HasViolation;
using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class SocialNetworkTest : public testing::AuthFixture {
 protected:
  static v1::CreateSocialNetworkRequest Create() {
    v1::CreateSocialNetworkRequest request;
    request.set_network("facebook");
    request.set_client_key("client-key-1");
    request.set_client_secret("client-secret-1");
    request.set_default_redirect_uri("https://app.example.com/cb");
    request.add_allowed_redirect_uris("https://app.example.com/cb");
    request.add_scopes("public_profile");
    (*request.mutable_extra_params())["config_id"] = "7";
    (*request.mutable_variables())["version"] = "v25.0";
    return request;
  }

  record::v1::SocialNetworkSettings Created() const {
    return NewSocialNetwork(catalog_, Create()).value();
  }
};

TEST_F(SocialNetworkTest, TakesEverySettingAndNoSecret) {
  const record::v1::SocialNetworkSettings settings = Created();
  EXPECT_EQ(settings.client_key(), "client-key-1");
  EXPECT_THAT(settings.scopes(), ElementsAre("public_profile"));
  EXPECT_EQ(settings.variables().at("version"), "v25.0");
  EXPECT_EQ(settings.SerializeAsString().find("client-secret-1"), std::string::npos);
}

TEST_F(SocialNetworkTest, ReportsEveryFaultAtOnce) {
  v1::CreateSocialNetworkRequest request = Create();
  request.set_client_key("");
  request.set_client_secret(" s");
  request.set_default_redirect_uri("ftp://x");
  request.set_allowed_redirect_uris(0, "https://App.example.com/");
  request.add_scopes("a b");
  (*request.mutable_extra_params())["state"] = "x";
  (*request.mutable_variables())["version"] = "latest";
  const absl::Status status = NewSocialNetwork(catalog_, request).status();
  for (const char* field :
       {"client_key", "client_secret", "default_redirect_uri", "allowed_redirect_uris[0]",
        "scopes[1]", "extra_params.state", "variables"}) {
    EXPECT_THAT(status, HasViolation(field, _)) << field;
  }
}

TEST_F(SocialNetworkTest, TheDefaultMustBeAmongTheAllowed) {
  v1::CreateSocialNetworkRequest request = Create();
  request.set_default_redirect_uri("https://app.example.com/other");
  EXPECT_THAT(NewSocialNetwork(catalog_, request),
              HasViolation("default_redirect_uri", HasSubstr("not among")));
}

TEST_F(SocialNetworkTest, ANetworkWithoutAUrlNeedsNoApp) {
  v1::CreateSocialNetworkRequest request;
  request.set_network("bluesky");
  request.set_client_key("k");
  request.set_client_secret("s");
  EXPECT_THAT(NewSocialNetwork(catalog_, request), HasReason("NETWORK_HAS_NO_AUTH_URL"));
}

TEST_F(SocialNetworkTest, WithoutAMaskAnUpdateChangesWhatIsSet) {
  v1::UpdateSocialNetworkRequest request;
  request.set_id("sn_1");
  request.set_client_key("client-key-2");
  request.add_scopes("pages_show_list");
  EXPECT_OK(ValidateUpdate(request));
  EXPECT_FALSE(UpdatesSecret(request));
  record::v1::SocialNetworkSettings settings = Created();
  ASSERT_OK(ApplyUpdate(catalog_, request, settings));
  EXPECT_EQ(settings.client_key(), "client-key-2");
  EXPECT_THAT(settings.scopes(), ElementsAre("pages_show_list"));
  EXPECT_EQ(settings.default_redirect_uri(), "https://app.example.com/cb");
  EXPECT_THAT(settings.extra_params(), SizeIs(1));
}

TEST_F(SocialNetworkTest, WithAMaskAnUpdateChangesWhatIsNamedAndEmptiesWhatIsUnset) {
  v1::UpdateSocialNetworkRequest request;
  request.set_id("sn_1");
  request.mutable_update_mask()->add_paths("scopes");
  request.mutable_update_mask()->add_paths("default_redirect_uri");
  request.set_client_key("not named");
  request.set_client_secret("not named");
  EXPECT_OK(ValidateUpdate(request));
  EXPECT_FALSE(UpdatesSecret(request));
  record::v1::SocialNetworkSettings settings = Created();
  ASSERT_OK(ApplyUpdate(catalog_, request, settings));
  EXPECT_EQ(settings.client_key(), "client-key-1");
  EXPECT_THAT(settings.scopes(), IsEmpty());
  EXPECT_EQ(settings.default_redirect_uri(), "");
}

TEST_F(SocialNetworkTest, AnUpdateCanNeitherEmptyTheCredentialNorNameOtherFields) {
  v1::UpdateSocialNetworkRequest request;
  EXPECT_THAT(ValidateUpdate(request), HasViolation("id", "Required"));
  request.set_id("sn_1");
  for (const char* path : {"network", "id", "org_id", "", "scopes.x", "*"}) {
    request.mutable_update_mask()->clear_paths();
    request.mutable_update_mask()->add_paths(path);
    EXPECT_THAT(ValidateUpdate(request), HasViolation("update_mask", _)) << path;
  }
  request.mutable_update_mask()->clear_paths();
  request.mutable_update_mask()->add_paths("client_secret");
  EXPECT_THAT(ValidateUpdate(request), HasViolation("client_secret", "Required"));
  request.mutable_update_mask()->clear_paths();
  request.mutable_update_mask()->add_paths("client_key");
  record::v1::SocialNetworkSettings settings = Created();
  EXPECT_THAT(ApplyUpdate(catalog_, request, settings), HasViolation("client_key", "Required"));
}

TEST_F(SocialNetworkTest, AnUpdateIsCheckedAgainstTheNetwork) {
  v1::UpdateSocialNetworkRequest request;
  request.set_id("sn_1");
  request.add_scopes("a,b");
  request.set_default_redirect_uri("");
  record::v1::SocialNetworkSettings settings = Created();
  const absl::Status status = ApplyUpdate(catalog_, request, settings);
  EXPECT_THAT(status, HasViolation("scopes[0]", _));
  EXPECT_THAT(status, HasViolation("default_redirect_uri", HasSubstr("update_mask")));
}

TEST_F(SocialNetworkTest, NewRedirectUrisHaveNoParameterThatTheNetworkAdds) {
  v1::CreateSocialNetworkRequest create = Create();
  create.set_default_redirect_uri("https://app.example.com/cb?code=1");
  create.add_allowed_redirect_uris(create.default_redirect_uri());
  const absl::Status created = NewSocialNetwork(catalog_, create).status();
  EXPECT_THAT(created, HasViolation("default_redirect_uri", HasSubstr("\"code\"")));
  EXPECT_THAT(created, HasViolation("allowed_redirect_uris[1]", HasSubstr("\"code\"")));
  v1::UpdateSocialNetworkRequest update;
  update.set_id("sn_1");
  update.add_allowed_redirect_uris(create.default_redirect_uri());
  record::v1::SocialNetworkSettings settings = Created();
  EXPECT_THAT(ApplyUpdate(catalog_, update, settings),
              HasViolation("allowed_redirect_uris[0]", HasSubstr("\"code\"")));
  // What is stored already stays, and everything else can be changed.
  settings = Created();
  settings.set_default_redirect_uri(create.default_redirect_uri());
  settings.set_allowed_redirect_uris(0, create.default_redirect_uri());
  v1::UpdateSocialNetworkRequest other;
  other.set_id("sn_1");
  other.set_client_key("client-key-2");
  EXPECT_OK(ApplyUpdate(catalog_, other, settings));
}

TEST_F(SocialNetworkTest, AVariantBringsItsOwnRules) {
  v1::CreateSocialNetworkRequest request;
  request.set_network("tiktok");
  request.set_client_key("client-key-1");
  request.set_client_secret("client-secret-1");
  request.set_default_redirect_uri("http://localhost:8080/cb");
  EXPECT_THAT(NewSocialNetwork(catalog_, request), HasViolation("default_redirect_uri", _));
  request.set_variant("desktop");
  ASSERT_OK_AND_ASSIGN(record::v1::SocialNetworkSettings settings,
                       NewSocialNetwork(catalog_, request));
  EXPECT_EQ(settings.variant(), "desktop");
  request.set_variant("tablet");
  EXPECT_THAT(NewSocialNetwork(catalog_, request), HasViolation("variant", HasSubstr("desktop")));
  request.set_variant("");
  EXPECT_THAT(NewSocialNetwork(catalog_, request), HasViolation("variant", _));

  // Without the variant its redirect URI is none any more.
  v1::UpdateSocialNetworkRequest update;
  update.set_id("sn_1");
  update.mutable_update_mask()->add_paths("variant");
  EXPECT_THAT(ApplyUpdate(catalog_, update, settings), HasViolation("default_redirect_uri", _));
  update.mutable_update_mask()->add_paths("default_redirect_uri");
  update.set_default_redirect_uri("https://app.example.com/cb");
  EXPECT_OK(ApplyUpdate(catalog_, update, settings));
  EXPECT_EQ(settings.variant(), "");
  update.set_variant("desktop");
  EXPECT_OK(ApplyUpdate(catalog_, update, settings));
  EXPECT_EQ(settings.variant(), "desktop");
}

}  // namespace
}  // namespace authurl
