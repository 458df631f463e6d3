#include "core/catalog/social_network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/auth_fixture.h"
#include "tests/support/signing_key.h"
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

  absl::Status Apply(const v1::UpdateSocialNetworkRequest& request,
                     record::v1::SocialNetworkSettings& settings,
                     absl::string_view client_secret = "client-secret-1") const {
    return ApplyUpdate(catalog_, request, client_secret, settings);
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

TEST_F(SocialNetworkTest, ListedIsWhatIsAllowedToTheLetter) {
  record::v1::SocialNetworkSettings settings;
  settings.set_default_redirect_uri("https://app.example.com/cb");
  EXPECT_FALSE(ListsRedirectUri(settings, "https://app.example.com/cb"));
  EXPECT_FALSE(ListsRedirectUri(settings, ""));
  settings.add_allowed_redirect_uris("fb123://authorize");
  settings.add_allowed_redirect_uris("https://app.example.com/cb");
  EXPECT_TRUE(ListsRedirectUri(settings, "fb123://authorize"));
  EXPECT_TRUE(ListsRedirectUri(settings, "https://app.example.com/cb"));
  for (const char* other : {"", "https://app.example.com/c", "https://app.example.com/cb/",
                            "https://app.example.com/CB"}) {
    EXPECT_FALSE(ListsRedirectUri(settings, other)) << other;
  }
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
  ASSERT_OK(Apply(request, settings));
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
  ASSERT_OK(Apply(request, settings));
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
  record::v1::SocialNetworkSettings settings = Created();
  EXPECT_THAT(Apply(request, settings), HasViolation("client_secret", "Required"));
  request.mutable_update_mask()->clear_paths();
  request.mutable_update_mask()->add_paths("client_key");
  EXPECT_THAT(Apply(request, settings), HasViolation("client_key", "Required"));
}

TEST_F(SocialNetworkTest, AnUpdateIsCheckedAgainstTheNetwork) {
  v1::UpdateSocialNetworkRequest request;
  request.set_id("sn_1");
  request.add_scopes("a,b");
  request.set_default_redirect_uri("");
  record::v1::SocialNetworkSettings settings = Created();
  const absl::Status status = Apply(request, settings);
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
  EXPECT_THAT(Apply(update, settings),
              HasViolation("allowed_redirect_uris[0]", HasSubstr("\"code\"")));
  // What is stored already stays, and everything else can be changed.
  settings = Created();
  settings.set_default_redirect_uri(create.default_redirect_uri());
  settings.set_allowed_redirect_uris(0, create.default_redirect_uri());
  v1::UpdateSocialNetworkRequest other;
  other.set_id("sn_1");
  other.set_client_key("client-key-2");
  EXPECT_OK(Apply(other, settings));
}

TEST_F(SocialNetworkTest, NewRedirectUrisHaveNoParameterThatOneNetworkAdds) {
  v1::CreateSocialNetworkRequest create;
  create.set_network("vk");
  create.set_client_key("51234567");
  create.set_client_secret("client-secret-1");
  create.add_allowed_redirect_uris("https://app.example.com/cb");
  ASSERT_OK_AND_ASSIGN(record::v1::SocialNetworkSettings settings,
                       NewSocialNetwork(catalog_, create));
  v1::UpdateSocialNetworkRequest update;
  update.set_id("sn_1");
  update.add_allowed_redirect_uris("https://app.example.com/cb?device_id=1");
  EXPECT_THAT(Apply(update, settings),
              HasViolation("allowed_redirect_uris[0]", HasSubstr("\"device_id\"")));
  *create.mutable_allowed_redirect_uris() = update.allowed_redirect_uris();
  EXPECT_THAT(NewSocialNetwork(catalog_, create),
              HasViolation("allowed_redirect_uris[0]", HasSubstr("\"device_id\"")));
}

TEST_F(SocialNetworkTest, AnAppsOwnSchemeIsTakenAmongTheAllowed) {
  v1::CreateSocialNetworkRequest create = Create();
  create.add_allowed_redirect_uris("fb123://authorize");
  EXPECT_OK(NewSocialNetwork(catalog_, create));
  create.set_default_redirect_uri("fb123://authorize");
  ASSERT_OK_AND_ASSIGN(record::v1::SocialNetworkSettings settings,
                       NewSocialNetwork(catalog_, create));
  v1::UpdateSocialNetworkRequest update;
  update.set_id("sn_1");
  update.mutable_update_mask()->add_paths("allowed_redirect_uris");
  EXPECT_THAT(Apply(update, settings),
              HasViolation("default_redirect_uri", HasSubstr("allowed_redirect_uris")));
  create.add_allowed_redirect_uris("intent:/a");
  EXPECT_THAT(NewSocialNetwork(catalog_, create),
              HasViolation("allowed_redirect_uris[2]", HasSubstr("which browsers run")));
}

TEST_F(SocialNetworkTest, StoredScopesThatAreRefusedByNowHinderNoOtherUpdate) {
  record::v1::SocialNetworkSettings stored = Created();
  stored.set_network("linkedin");
  stored.clear_extra_params();
  stored.clear_variables();
  stored.set_scopes(0, "openid,profile");
  v1::UpdateSocialNetworkRequest update;
  update.set_id("sn_1");
  update.set_client_secret("client-secret-2");
  record::v1::SocialNetworkSettings settings = stored;
  EXPECT_OK(Apply(update, settings));
  // Another variant may join them by another separator.
  update.set_variant("page");
  settings = stored;
  EXPECT_THAT(Apply(update, settings), HasViolation("scopes[0]", _));
  update.clear_variant();
  update.add_scopes("openid,profile");
  settings = stored;
  EXPECT_THAT(Apply(update, settings), HasViolation("scopes[0]", _));
}

TEST_F(SocialNetworkTest, ASecretThatStaysKeepsWhatItNeeds) {
  const std::string key = testing::NewSigningKey("P-256").pem;
  record::v1::SocialNetworkSettings stored = Settings("apple");
  (*stored.mutable_extra_params())["team_id"] = "ABCDE12345";
  (*stored.mutable_extra_params())["key_id"] = "KEY1234567";
  v1::UpdateSocialNetworkRequest update;
  update.set_id("sn_1");
  update.mutable_update_mask()->add_paths("extra_params");
  update.mutable_update_mask()->add_paths("client_key");
  record::v1::SocialNetworkSettings settings = stored;
  const absl::Status status = Apply(update, settings, key);
  for (const char* field : {"extra_params.team_id", "extra_params.key_id", "client_key"}) {
    EXPECT_THAT(status, HasViolation(field, HasSubstr("Required"))) << field;
  }
  // A JWT that the organisation signed itself needs none.
  update.set_client_key("client-key-2");
  settings = stored;
  EXPECT_OK(Apply(update, settings, "e30.e30.c2ln"));
  // One that lacks them already is none of the update's faults.
  settings = stored;
  settings.clear_extra_params();
  EXPECT_OK(Apply(update, settings, key));
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
  EXPECT_THAT(Apply(update, settings), HasViolation("default_redirect_uri", _));
  update.mutable_update_mask()->add_paths("default_redirect_uri");
  update.set_default_redirect_uri("https://app.example.com/cb");
  EXPECT_OK(Apply(update, settings));
  EXPECT_EQ(settings.variant(), "");
  update.set_variant("desktop");
  EXPECT_OK(Apply(update, settings));
  EXPECT_EQ(settings.variant(), "desktop");
}

TEST_F(SocialNetworkTest, TakesHowFlowsEnd) {
  v1::CreateSocialNetworkRequest create = Create();
  ASSERT_OK_AND_ASSIGN(record::v1::SocialNetworkSettings settings,
                       NewSocialNetwork(catalog_, create));
  EXPECT_FALSE(RequiresSessionBinding(settings));
  EXPECT_FALSE(settings.return_profile());
  create.add_allowed_return_uris("https://app.example.com/connected");
  create.add_allowed_return_uris("myapp://connected");
  // Need not be among the allowed, which are for requests.
  create.set_default_return_uri("http://localhost:3000/");
  create.set_session_binding_policy(v1::SESSION_BINDING_POLICY_REQUIRED);
  create.set_return_profile(true);
  ASSERT_OK_AND_ASSIGN(settings, NewSocialNetwork(catalog_, create));
  EXPECT_THAT(settings.allowed_return_uris(),
              ElementsAre("https://app.example.com/connected", "myapp://connected"));
  EXPECT_EQ(settings.default_return_uri(), "http://localhost:3000/");
  EXPECT_TRUE(RequiresSessionBinding(settings));
  EXPECT_TRUE(settings.return_profile());

  create.set_default_return_uri("");
  create.set_allowed_return_uris(1, "https://app.example.com/?session=1");
  create.set_session_binding_policy(v1::SESSION_BINDING_POLICY_UNSPECIFIED);
  const absl::Status status = NewSocialNetwork(catalog_, create).status();
  EXPECT_THAT(status, HasViolation("default_return_uri", HasSubstr("leave it out")));
  EXPECT_THAT(status, HasViolation("allowed_return_uris[1]", HasSubstr("\"session\"")));
  EXPECT_THAT(status, HasViolation("session_binding_policy", HasSubstr("OPTIONAL")));
  for (int i = 0; i < 63; ++i) create.add_allowed_return_uris("https://app.example.com/");
  EXPECT_THAT(NewSocialNetwork(catalog_, create),
              HasViolation("allowed_return_uris", "has 65 entries; at most 64 are taken"));
}

TEST_F(SocialNetworkTest, AnUpdateChangesHowFlowsEnd) {
  record::v1::SocialNetworkSettings settings = Created();
  v1::UpdateSocialNetworkRequest update;
  update.set_id("sn_1");
  update.add_allowed_return_uris("https://app.example.com/connected");
  update.set_default_return_uri("https://app.example.com/");
  update.set_session_binding_policy(v1::SESSION_BINDING_POLICY_REQUIRED);
  update.set_return_profile(true);
  ASSERT_OK(Apply(update, settings));
  EXPECT_THAT(settings.allowed_return_uris(), ElementsAre("https://app.example.com/connected"));
  EXPECT_EQ(settings.default_return_uri(), "https://app.example.com/");
  EXPECT_TRUE(RequiresSessionBinding(settings));
  EXPECT_TRUE(settings.return_profile());

  v1::UpdateSocialNetworkRequest other;
  other.set_id("sn_1");
  other.set_client_key("client-key-2");
  ASSERT_OK(Apply(other, settings));
  EXPECT_TRUE(RequiresSessionBinding(settings));
  EXPECT_TRUE(settings.return_profile());

  v1::UpdateSocialNetworkRequest faulty;
  faulty.set_id("sn_1");
  faulty.set_default_return_uri("");
  faulty.add_allowed_return_uris("ftp://a");
  faulty.set_session_binding_policy(v1::SESSION_BINDING_POLICY_UNSPECIFIED);
  record::v1::SocialNetworkSettings unused = settings;
  const absl::Status status = Apply(faulty, unused);
  EXPECT_THAT(status, HasViolation("default_return_uri", HasSubstr("update_mask")));
  EXPECT_THAT(status, HasViolation("allowed_return_uris[0]", _));
  EXPECT_THAT(status, HasViolation("session_binding_policy", _));

  v1::UpdateSocialNetworkRequest emptied;
  emptied.set_id("sn_1");
  for (const char* field :
       {"allowed_return_uris", "default_return_uri", "session_binding_policy", "return_profile"}) {
    emptied.mutable_update_mask()->add_paths(field);
  }
  ASSERT_OK(Apply(emptied, settings));
  EXPECT_THAT(settings.allowed_return_uris(), IsEmpty());
  EXPECT_EQ(settings.default_return_uri(), "");
  EXPECT_FALSE(RequiresSessionBinding(settings));
  EXPECT_FALSE(settings.return_profile());
}

}  // namespace
}  // namespace authurl
