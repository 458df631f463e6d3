// An organisation with several OAuth apps of one network: which of them a request gets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/api/service_fixture.h"

namespace authurl::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class SeveralConfigurationsTest : public ServiceTest {
 protected:
  // Client keys tell the apps apart.
  absl::StatusOr<v1::SocialNetwork> ConfigureNamed(const std::string& network,
                                                   const std::string& name,
                                                   const std::string& more = "") const {
    const auto created = Call<v1::CreateSocialNetworkResponse>(
        "CreateSocialNetwork",
        absl::StrCat("network: '", network, "' client_key: 'key-of-", name, "' client_secret: 's' ",
                     "default_redirect_uri: 'https://app.example.com/cb' ",
                     name.empty() ? "" : absl::StrCat("name: '", name, "' "), more));
    if (!created.ok()) return created.status();
    return created->social_network();
  }
  absl::StatusOr<v1::SocialNetwork> Update(const std::string& id,
                                           const std::string& changes) const {
    const auto updated = Call<v1::UpdateSocialNetworkResponse>(
        "UpdateSocialNetwork", absl::StrCat("id: '", id, "' ", changes));
    if (!updated.ok()) return updated.status();
    return updated->social_network();
  }
  // The client key of the app that a request gets, or the reason why it gets none.
  std::string AppOf(const std::string& request) const {
    const auto url = GetAuthUrl(request);
    if (!url.ok()) return ReasonOf(url.status());
    const std::string& text = url->auth_url();
    const size_t begin = text.find("client_id=") + 10;
    return text.substr(begin, text.find('&', begin) - begin);
  }
  // "name*" for the default one.
  std::vector<std::string> Listed() const {
    std::vector<std::string> listed;
    const auto list = Org().ListSocialNetworks();
    EXPECT_OK(list);
    for (const v1::SocialNetwork& each : list->social_networks()) {
      listed.push_back(
          absl::StrCat(each.network(), "/", each.name(), each.is_default() ? "*" : ""));
    }
    return listed;
  }
};

TEST_F(SeveralConfigurationsTest, ARequestGetsTheOneThatItNamesByNameOrIdOrTheDefault) {
  ASSERT_OK_AND_ASSIGN(const auto first, ConfigureNamed("x", ""));
  ASSERT_OK_AND_ASSIGN(const auto page, ConfigureNamed("x", "page"));
  EXPECT_EQ(first.name(), "");
  EXPECT_TRUE(first.is_default());
  EXPECT_EQ(page.name(), "page");
  EXPECT_FALSE(page.is_default());
  EXPECT_EQ(AppOf("network: 'x'"), "key-of-");
  EXPECT_EQ(AppOf("network: 'x' configuration: 'page'"), "key-of-page");
  EXPECT_EQ(AppOf("network: 'x' configuration: '" + page.id() + "'"), "key-of-page");
  EXPECT_EQ(AppOf("network: 'x' configuration: '" + first.id() + "'"), "key-of-");
  EXPECT_EQ(AppOf("network: 'x' configuration: 'pag'"), "NETWORK_NOT_CONFIGURED");
  EXPECT_EQ(AppOf("network: 'instagram' configuration: '" + page.id() + "'"),
            "NETWORK_NOT_CONFIGURED");
  for (const std::string bad : {"", "Page", "a b", "seventeen-letters-and-some-more-of-them"}) {
    EXPECT_EQ(AppOf("network: 'x' configuration: '" + bad + "'"), "INVALID_PAYLOAD") << bad;
  }
  EXPECT_THAT(Listed(), UnorderedElementsAre("x/*", "x/page"));
}

TEST_F(SeveralConfigurationsTest, AnotherOneCanBeMadeTheDefault) {
  ASSERT_OK_AND_ASSIGN(const auto first, ConfigureNamed("x", ""));
  ASSERT_OK_AND_ASSIGN(const auto second, ConfigureNamed("x", "second"));
  ASSERT_OK_AND_ASSIGN(const auto updated, Update(second.id(), "is_default: true"));
  EXPECT_TRUE(updated.is_default());
  EXPECT_EQ(AppOf("network: 'x'"), "key-of-second");
  EXPECT_FALSE(Org().GetSocialNetwork(first.id())->social_network().is_default());
  EXPECT_THAT(Update(second.id(), "is_default: false"),
              HasViolation("is_default", HasSubstr("make another configuration the default")));
  EXPECT_THAT(Update(second.id(), "update_mask { paths: 'is_default' }"),
              HasViolation("is_default", HasSubstr("must be true")));
  ASSERT_OK_AND_ASSIGN(const auto third, ConfigureNamed("x", "third", "is_default: true"));
  EXPECT_TRUE(third.is_default());
  EXPECT_EQ(AppOf("network: 'x'"), "key-of-third");
  ASSERT_OK(Org().DeleteSocialNetwork(third.id()));
  EXPECT_EQ(AppOf("network: 'x'"), "key-of-second");
  ASSERT_OK(Org().DeleteSocialNetwork(second.id()));
  EXPECT_EQ(AppOf("network: 'x'"), "key-of-");
  EXPECT_THAT(Listed(), ElementsAre("x/*"));
}

TEST_F(SeveralConfigurationsTest, EachInstanceHasNamesAndADefaultOfItsOwn) {
  ASSERT_OK(ConfigureNamed("mastodon", "a", "instance: 'one.example'"));
  ASSERT_OK(ConfigureNamed("mastodon", "b", "instance: 'one.example'"));
  ASSERT_OK(ConfigureNamed("mastodon", "c", "instance: 'two.example'"));
  const std::string one = "network: 'mastodon' instance: 'one.example' ";
  const std::string two = "network: 'mastodon' instance: 'two.example' ";
  EXPECT_EQ(AppOf(one), "key-of-a");
  EXPECT_EQ(AppOf(one + "configuration: 'b'"), "key-of-b");
  EXPECT_EQ(AppOf(one + "configuration: 'c'"), "NETWORK_NOT_CONFIGURED");
  EXPECT_EQ(AppOf(two), "key-of-c");
  EXPECT_EQ(AppOf(two + "configuration: 'c'"), "key-of-c");
}

TEST_F(SeveralConfigurationsTest, NamesHaveAFormatAreUniqueAndCanBeChanged) {
  ASSERT_OK_AND_ASSIGN(const auto first, ConfigureNamed("x", ""));
  ASSERT_OK_AND_ASSIGN(const auto page, ConfigureNamed("x", "page"));
  for (const std::string taken : {"", "page"}) {
    const auto again = ConfigureNamed("x", taken);
    EXPECT_THAT(again, HasReason("SOCIAL_NETWORK_EXISTS"));
    EXPECT_EQ(again.status().message().find("update"), std::string::npos);
  }
  ASSERT_OK(ConfigureNamed("instagram", "page"));
  for (const std::string& bad :
       std::vector<std::string>{"Page", "a b", "a.b", "\xc3\xa9", std::string(33, 'a')}) {
    EXPECT_THAT(ConfigureNamed("x", bad), HasViolation("name", HasSubstr("is not a valid name")));
  }
  EXPECT_THAT(ConfigureNamed("x", "sn_page"), HasViolation("name", HasSubstr("sn_")));
  EXPECT_OK(ConfigureNamed("x", std::string(32, '-')));

  EXPECT_THAT(ConfigureNamed("x", "other", "is_default: false"),
              HasViolation("is_default", HasSubstr("left out")));
  EXPECT_THAT(Update(page.id(), "name: 'Page'"), HasViolation("name", HasSubstr("valid name")));
  EXPECT_THAT(Update(page.id(), "update_mask { paths: 'name' }"),
              HasReason("SOCIAL_NETWORK_EXISTS"));
  ASSERT_OK(Update(page.id(), "name: 'brand_b'"));
  EXPECT_EQ(AppOf("network: 'x' configuration: 'page'"), "NETWORK_NOT_CONFIGURED");
  EXPECT_EQ(AppOf("network: 'x' configuration: 'brand_b'"), "key-of-page");
  ASSERT_OK(Update(first.id(), "name: 'page'"));
  EXPECT_EQ(AppOf("network: 'x' configuration: 'page'"), "key-of-");
  ASSERT_OK_AND_ASSIGN(const auto emptied, Update(page.id(), "update_mask { paths: 'name' }"));
  EXPECT_EQ(emptied.name(), "");
}

TEST_F(SeveralConfigurationsTest, ResultsOfABatchNameTheirConfiguration) {
  ASSERT_OK_AND_ASSIGN(const auto first, ConfigureNamed("x", ""));
  ASSERT_OK_AND_ASSIGN(const auto page, ConfigureNamed("x", "page"));
  // Has no redirect URI, so its result is an error.
  ASSERT_OK_AND_ASSIGN(const auto instagram, Configure("instagram", "name: 'page'"));
  const auto results = [&](const std::string& request) {
    std::vector<std::string> names;
    const auto batch = Call<v1::BatchGetAuthUrlsResponse>("BatchGetAuthUrls", request);
    EXPECT_OK(batch);
    if (!batch.ok()) return names;
    for (const auto& each : batch->results()) {
      names.push_back(absl::StrCat(each.network(), "/", each.configuration_name(), "/",
                                   each.social_network_id(), each.has_error() ? " failed" : ""));
    }
    return names;
  };
  EXPECT_THAT(results(""), UnorderedElementsAre("x//" + first.id(), "x/page/" + page.id(),
                                                "instagram/page/" + instagram.id() + " failed"));
  EXPECT_THAT(results("networks: ['x', 'instagram', 'linkedin'] configuration: 'page'"),
              ElementsAre("x/page/" + page.id(), "instagram/page/" + instagram.id() + " failed",
                          "linkedin// failed"));
  EXPECT_THAT(results("networks: 'x'"), ElementsAre("x//" + first.id()));
  // A fault that is told before the configuration would be looked at.
  EXPECT_THAT(
      results("scopes: 'a,b'"),
      UnorderedElementsAre("x//" + first.id() + " failed", "x/page/" + page.id() + " failed",
                           "instagram/page/" + instagram.id() + " failed"));
  EXPECT_THAT(results("networks: 'x' configuration: 'page' scopes: 'a,b'"),
              ElementsAre("x/page/" + page.id() + " failed"));
  EXPECT_THAT(Call<v1::BatchGetAuthUrlsResponse>("BatchGetAuthUrls", "configuration: 'page'"),
              HasViolation("configuration", HasSubstr("without networks")));
  EXPECT_THAT(
      Call<v1::BatchGetAuthUrlsResponse>("BatchGetAuthUrls", "networks: 'x' configuration: 'A'"),
      HasViolation("configuration", HasSubstr("is not a valid name or id")));
}

TEST_F(SeveralConfigurationsTest, AnExplanationNamesItsConfiguration) {
  ASSERT_OK(ConfigureNamed("x", ""));
  ASSERT_OK_AND_ASSIGN(const auto page, ConfigureNamed("x", "page"));
  ASSERT_OK_AND_ASSIGN(
      const auto explained,
      Call<v1::ExplainAuthUrlResponse>("ExplainAuthUrl", "network: 'x' configuration: 'page'"));
  EXPECT_EQ(explained.social_network_id(), page.id());
  EXPECT_EQ(explained.configuration_name(), "page");
  EXPECT_EQ(explained.parameters(0).value(), "key-of-page");
}

TEST_F(SeveralConfigurationsTest, AnotherOrganizationsConfigurationIsAsIfItWereNotThere) {
  ASSERT_OK_AND_ASSIGN(const auto page, ConfigureNamed("x", "page"));
  ASSERT_OK(server_->Admin().CreateOrganization("other"));
  ASSERT_OK_AND_ASSIGN(const std::string their_key,
                       CreateKey(server_->Admin(), v1::ROLE_ORG, "other"));
  v1::GetAuthUrlRequest request;
  request.set_network("x");
  for (const std::string& configuration : {std::string("page"), page.id()}) {
    request.set_configuration(configuration);
    EXPECT_THAT(server_->WithKey(their_key).GetAuthUrl(request),
                HasReason("NETWORK_NOT_CONFIGURED"));
  }
}

}  // namespace
}  // namespace authurl::testing
