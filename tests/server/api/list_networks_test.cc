// ListNetworks: the whole catalog, and which of it the organisation has configured.
#include <string>
#include <vector>

#include "core/catalog/network_description.h"
#include "tests/server/api/service_fixture.h"

namespace authurl::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class ListNetworksTest : public ServiceTest {
 protected:
  explicit ListNetworksTest(std::function<void(Config&)> change = [](Config&) {})
      : ServiceTest(std::move(change)) {}

  std::vector<std::string> Configured() const {
    std::vector<std::string> ids;
    const auto networks = Org().ListNetworks();
    EXPECT_OK(networks);
    if (!networks.ok()) return ids;
    for (const v1::Network& network : networks->networks()) {
      if (network.configured()) ids.push_back(network.id());
    }
    return ids;
  }
  v1::Network Find(const std::string& id) const {
    const auto networks = Org().ListNetworks();
    EXPECT_OK(networks);
    for (const v1::Network& network : networks->networks()) {
      if (network.id() == id) return network;
    }
    ADD_FAILURE() << "no " << id;
    return {};
  }
};

TEST_F(ListNetworksTest, EveryEntryOfTheCatalogIsShownInItsOrder) {
  ASSERT_OK_AND_ASSIGN(const NetworkCatalog catalog, NetworkCatalog::Parse(BuiltInNetworksText()));
  ASSERT_OK_AND_ASSIGN(const auto networks, Org().ListNetworks());
  ASSERT_EQ(networks.networks_size(), static_cast<int>(catalog.networks().size()));
  for (int i = 0; i < networks.networks_size(); ++i) {
    const catalog::v1::Network& entry = *catalog.networks()[static_cast<size_t>(i)];
    EXPECT_EQ(networks.networks(i).SerializeAsString(),
              DescribeNetwork(catalog, entry).SerializeAsString())
        << entry.id();
  }
}

TEST_F(ListNetworksTest, WhatToKnowBeforeConfiguringIsThere) {
  const v1::Network linkedin = Find("linkedin");
  EXPECT_EQ(linkedin.display_name(), "LinkedIn");
  EXPECT_EQ(linkedin.status(), v1::Network::STATUS_LIVE);
  EXPECT_EQ(linkedin.client_key_label(), "Client ID");
  EXPECT_THAT(linkedin.default_scopes(), Contains("w_member_social"));
  EXPECT_THAT(linkedin.documentation_url(), StartsWith("https://learn.microsoft.com/"));
  ASSERT_EQ(linkedin.variants_size(), 1);
  EXPECT_EQ(linkedin.variants(0).id(), "page");
  const v1::Network bluesky = Find("bluesky");
  EXPECT_EQ(bluesky.status(), v1::Network::STATUS_NEEDS_CALL_FIRST);
  EXPECT_FALSE(bluesky.status_note().empty());
  EXPECT_TRUE(Find("mastodon").has_instances());
}

TEST_F(ListNetworksTest, ConfiguredFollowsWhatTheOrganizationDoes) {
  EXPECT_THAT(Configured(), IsEmpty());
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork x, Configure("x"));
  ASSERT_OK(Configure("mastodon", "instance: 'one.example.org'"));
  EXPECT_THAT(Configured(), ElementsAre("x", "mastodon"));
  ASSERT_OK(Org().DeleteSocialNetwork(x.id()));
  EXPECT_THAT(Configured(), ElementsAre("mastodon"));
}

TEST_F(ListNetworksTest, ConfigurationsBeyondTheFirstPageCountToo) {
  for (int i = 0; i < 70; ++i) {
    ASSERT_OK(Configure("mastodon", absl::StrCat("instance: 'm", i, ".example.org'")));
  }
  std::vector<std::string> wanted = {"mastodon"};
  for (const char* network : {"x", "tiktok", "reddit", "vimeo", "spotify", "twitch"}) {
    ASSERT_OK(Configure(network));
    wanted.emplace_back(network);
  }
  EXPECT_THAT(Configured(), ::testing::UnorderedElementsAreArray(wanted));
}

class OwnNetworksTest : public ListNetworksTest {
 protected:
  OwnNetworksTest()
      : ListNetworksTest([this](Config& config) {
          config.networks_file = files_.Write("networks.textproto", R"(
            networks {
              id: "acme_sso" display_name: "Acme SSO" status: STATUS_LIVE
              authorization_endpoint: "https://sso.acme.example/{realm}/auth"
              variables { name: "realm" default_value: "main" pattern: "[a-z]+" description: "r" }
              scopes { defaults: ["openid"] } pkce { mode: MODE_REQUIRED }
            }
            networks {
              id: "x" display_name: "X of our own" status: STATUS_LIVE
              authorization_endpoint: "https://x.acme.example/auth" pkce { mode: MODE_NONE }
            })");
          config.allow_local_instances = true;
        }) {}

  TempDir files_;
};

TEST_F(OwnNetworksTest, NetworkOfTheFileIsAddedToTheBuiltInOnes) {
  const v1::Network network = Find("acme_sso");
  EXPECT_EQ(network.display_name(), "Acme SSO");
  EXPECT_EQ(network.variables(0).name(), "realm");
  EXPECT_EQ(Find("instagram").display_name(), "Instagram");
  ASSERT_OK(Configure("acme_sso", "variables { key: 'realm' value: 'staging' }"));
  ASSERT_OK_AND_ASSIGN(const auto reply,
                       GetAuthUrl("network: 'acme_sso' redirect_uri: 'https://app.example.com/'"));
  EXPECT_THAT(reply.auth_url(),
              StartsWith("https://sso.acme.example/staging/auth?client_id=acme_sso-client-key&"));
}

TEST_F(OwnNetworksTest, NetworkOfTheFileTakesThePlaceOfABuiltInOneAsAWhole) {
  ASSERT_OK_AND_ASSIGN(const NetworkCatalog catalog, NetworkCatalog::Parse(BuiltInNetworksText()));
  ASSERT_OK_AND_ASSIGN(const auto networks, Org().ListNetworks());
  EXPECT_EQ(networks.networks_size(), static_cast<int>(catalog.networks().size()) + 1);
  EXPECT_EQ(networks.networks(0).display_name(), "X of our own");
  EXPECT_THAT(networks.networks(0).default_scopes(), IsEmpty());
  ASSERT_OK(Configure("x"));
  ASSERT_OK_AND_ASSIGN(const auto reply,
                       GetAuthUrl("network: 'x' redirect_uri: 'https://app.example.com/'"));
  EXPECT_THAT(reply.auth_url(), StartsWith("https://x.acme.example/auth?client_id="));
}

TEST_F(OwnNetworksTest, InstancesMayBeLocalWhereTheFlagSaysSo) {
  for (const std::string instance : {"localhost", "127.0.0.1", "[::1]", "mastodon.internal"}) {
    ASSERT_OK(Configure("mastodon", absl::StrCat("instance: '", instance, "'")));
    ASSERT_OK_AND_ASSIGN(
        const auto reply,
        GetAuthUrl(absl::StrCat("network: 'mastodon' redirect_uri: 'https://app.example.com/' "
                                "instance: '",
                                instance, "'")));
    EXPECT_THAT(reply.auth_url(),
                StartsWith(absl::StrCat("https://", instance, "/oauth/authorize?")));
  }
  EXPECT_THAT(Configure("mastodon", "instance: 'a b'"), HasReason("INVALID_PAYLOAD"));
}

}  // namespace
}  // namespace authurl::testing
