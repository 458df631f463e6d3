// ListNetworks: the whole catalog, and which of it the organisation has configured; and networks
// that come and go with --networks_file.
#include <string>
#include <vector>

#include "core/catalog/network_description.h"
#include "server/observe/log.h"
#include "tests/server/api/service_fixture.h"
#include "tests/support/equals_proto.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
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
    EXPECT_THAT(networks.networks(i), EqualsProto(DescribeNetwork(catalog, entry))) << entry.id();
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

// All that may meet a configuration of a network that was taken out of the file.
class LeftNetworkTest : public OwnNetworksTest {
 protected:
  static auto IsOutdated() {
    return AllOf(HasReason("CONFIGURATION_OUTDATED"),
                 StatusIs(absl::StatusCode::kFailedPrecondition,
                          "The configuration of acme_sso no longer fits: authurl's catalog has no "
                          "such network any more; put it back into --networks_file, or delete the "
                          "configuration"));
  }
  static auto IsUnknown() { return HasViolation("network", HasSubstr("is not a known network")); }

  static void AskForOne(const TestClient& org, const std::string& configuration_id) {
    v1::GetAuthUrlRequest get;
    get.set_network("acme_sso");
    get.set_redirect_uri("https://app.example.com/");
    v1::ExplainAuthUrlRequest explain;
    explain.set_network("acme_sso");
    explain.set_redirect_uri("https://app.example.com/");
    EXPECT_THAT(org.ExplainAuthUrl(explain), IsOutdated());
    // From memory, too.
    for (const std::string& name : {std::string("staff"), configuration_id, std::string("staff")}) {
      EXPECT_THAT(org.GetAuthUrl(get), IsOutdated()) << name;
      get.set_configuration(name);
      explain.set_configuration(name);
      EXPECT_THAT(org.GetAuthUrl(get), IsOutdated()) << name;
      EXPECT_THAT(org.ExplainAuthUrl(explain), IsOutdated()) << name;
      get.clear_configuration();
    }
    // What was never configured is as unknown as ever.
    get.set_configuration("another");
    EXPECT_THAT(org.GetAuthUrl(get), IsUnknown());
    get.clear_configuration();
    get.set_instance("sso.acme.example");
    EXPECT_THAT(org.GetAuthUrl(get), IsUnknown());
    get.clear_instance();
    get.set_network("acme_sso2");
    EXPECT_THAT(org.GetAuthUrl(get), IsUnknown());
  }

  static void AskForSeveral(const TestClient& org, const std::string& configuration_id) {
    v1::BatchGetAuthUrlsRequest request;
    request.set_redirect_uri("https://app.example.com/");
    ASSERT_OK_AND_ASSIGN(const auto all, org.BatchGetAuthUrls(request));
    ASSERT_EQ(all.results_size(), 1);
    EXPECT_EQ(all.results(0).network(), "instagram");
    for (const char* network : {"acme_sso", "acme_sso2", "instagram"}) {
      request.add_networks(network);
    }
    ASSERT_OK_AND_ASSIGN(const auto named, org.BatchGetAuthUrls(request));
    ASSERT_EQ(named.results_size(), 3);
    EXPECT_EQ(named.results(0).social_network_id(), configuration_id);
    EXPECT_EQ(named.results(0).configuration_name(), "staff");
    EXPECT_THAT(named.results(0).error().message(), HasSubstr("put it back into --networks_file"));
    EXPECT_THAT(named.results(1).error().message(), Not(HasSubstr("--networks_file")));
    EXPECT_TRUE(named.results(2).has_auth_url());
  }

  static void Manage(const TestClient& org, const std::string& configuration_id) {
    v1::UpdateSocialNetworkRequest update;
    update.set_id(configuration_id);
    update.set_client_key("new");
    EXPECT_THAT(org.UpdateSocialNetwork(update), IsOutdated());
    EXPECT_OK(org.GetSocialNetwork(configuration_id));
    EXPECT_OK(org.DeleteSocialNetwork(configuration_id));
    v1::GetAuthUrlRequest get;
    get.set_network("acme_sso");
    EXPECT_THAT(org.GetAuthUrl(get), IsUnknown());
  }
};

TEST_F(LeftNetworkTest, ItsConfigurationsSayThatTheyAreOutdated) {
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork sso, Configure("acme_sso", "name: 'staff'"));
  ASSERT_OK(Configure("instagram"));
  Config config = server_->config();
  server_->Close();
  config.networks_file.clear();
  auto again = App::Start(config);
  ASSERT_OK(again);
  const TestClient org((*again)->address(), org_key_);
  ::testing::internal::CaptureStderr();
  StartLog("warning");
  AskForOne(org, sso.id());
  AskForSeveral(org, sso.id());
  Manage(org, sso.id());
  again->reset();
  StopLog();
  const std::string log = ::testing::internal::GetCapturedStderr();
  // Once.
  const std::string line = R"("event":"configuration_outdated","network":"acme_sso","text":)";
  EXPECT_THAT(log, HasSubstr(line));
  EXPECT_EQ(log.find(line), log.rfind(line)) << log;
  EXPECT_THAT(log, Not(HasSubstr(R"("network":"acme_sso2","text":)")));
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
