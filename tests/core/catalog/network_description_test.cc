#include "core/catalog/network_description.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/catalog_text.h"
#include "tests/support/status_matchers.h"

namespace authurl {
namespace {

using ::authurl::testing::FullEntryWith;
using ::authurl::testing::kFullEntry;
using ::authurl::testing::kInstanceEntry;
using ::testing::ElementsAre;

std::string Rules(const std::string& rules) {
  const NetworkCatalog catalog =
      NetworkCatalog::Parse(
          FullEntryWith("http_localhost: true no_query: true max_length: 511", rules))
          .value();
  return DescribeRedirectUriRules(*catalog.Find("full")).description();
}

TEST(NetworkDescriptionTest, ShowsWhatACallerMayWantToKnow) {
  ASSERT_OK_AND_ASSIGN(const NetworkCatalog catalog, NetworkCatalog::Parse(kFullEntry));
  const v1::Network shown = DescribeNetwork(catalog, *catalog.Find("full"));
  EXPECT_EQ(shown.id(), "full");
  EXPECT_EQ(shown.display_name(), "Full");
  EXPECT_EQ(shown.status(), v1::Network::STATUS_LIVE);
  EXPECT_THAT(shown.default_scopes(), ElementsAre("read", "write"));
  EXPECT_EQ(shown.pkce_mode(), v1::Network::PKCE_MODE_SUPPORTED);
  EXPECT_EQ(shown.client_key_label(), "Key");
  EXPECT_EQ(shown.documentation_url(), "https://full.example/docs");
  EXPECT_FALSE(shown.has_instances());
  EXPECT_TRUE(shown.redirect_uri_rules().http_localhost());
  EXPECT_FALSE(shown.redirect_uri_rules().query());
  EXPECT_EQ(shown.redirect_uri_rules().max_length(), 511u);
  ASSERT_EQ(shown.variables_size(), 1);
  EXPECT_EQ(shown.variables(0).default_value(), "v1.0");
  ASSERT_EQ(shown.configuration_params_size(), 2);
  EXPECT_EQ(shown.configuration_params(0).name(), "domain");
  ASSERT_EQ(shown.variants_size(), 1);
  EXPECT_EQ(shown.variants(0).id(), "desktop");
  EXPECT_THAT(shown.variants(0).default_scopes(), ElementsAre("desktop"));
  EXPECT_EQ(shown.variants(0).pkce_mode(), v1::Network::PKCE_MODE_REQUIRED);
  EXPECT_EQ(shown.variants(0).variables_size(), 0);
}

TEST(NetworkDescriptionTest, SaysWhatAConnectionIsLike) {
  ASSERT_OK_AND_ASSIGN(const NetworkCatalog catalog,
                       NetworkCatalog::Parse(FullEntryWith(
                           "refresh { rotation: ROTATION_ALWAYS }",
                           "refresh { rotation: ROTATION_ALWAYS access_token_lifetime_s: 7200 "
                           "refresh_token_lifetime_s: 15552000 evidence: EVIDENCE_DOCS }")));
  const v1::Network shown = DescribeNetwork(catalog, *catalog.Find("full"));
  const v1::NetworkConnection& connection = shown.connection();
  std::vector<std::string> steps;
  for (const auto& step : connection.steps()) steps.push_back(step.name());
  EXPECT_THAT(steps,
              ElementsAre("callback", "exchange", "refresh", "profile", "accounts", "revocation"));
  EXPECT_EQ(connection.steps(2).evidence(), v1::NetworkConnection::EVIDENCE_DOCS);
  EXPECT_EQ(connection.lifetime(),
            "A new refresh token comes with each refresh; access tokens live 2 hours; refresh "
            "tokens live 180 days");
  EXPECT_EQ(connection.accounts(), "pages");
  EXPECT_EQ(connection.revocation(), "Taking a connection back ends this one");
  EXPECT_EQ(connection.force_account_selection(), "Shows the account chooser");
  EXPECT_TRUE(connection.login_hint());
  EXPECT_FALSE(connection.public_clients());
  // The desktop app has no secret.
  EXPECT_TRUE(shown.variants(0).connection().public_clients());
}

TEST(NetworkDescriptionTest, SaysWhichNetworksHaveInstances) {
  ASSERT_OK_AND_ASSIGN(const NetworkCatalog catalog, NetworkCatalog::Parse(kInstanceEntry));
  EXPECT_TRUE(DescribeNetwork(catalog, *catalog.Find("fediverse")).has_instances());
}

// The public enums are the catalog's by number.
TEST(NetworkDescriptionTest, PublicEnumsHaveTheCatalogsNumbers) {
  for (int i = 0; i < catalog::v1::Status_ARRAYSIZE; ++i) {
    EXPECT_EQ(v1::Network::Status_Name(i), catalog::v1::Status_Name(i));
  }
  EXPECT_EQ(int{v1::Network::Status_ARRAYSIZE}, int{catalog::v1::Status_ARRAYSIZE});
  for (int i = 0; i < catalog::v1::Pkce::Mode_ARRAYSIZE; ++i) {
    EXPECT_EQ(v1::Network::PkceMode_Name(i), "PKCE_" + catalog::v1::Pkce::Mode_Name(i));
  }
  EXPECT_EQ(int{v1::Network::PkceMode_ARRAYSIZE}, int{catalog::v1::Pkce::Mode_ARRAYSIZE});
  for (int i = 0; i < catalog::v1::Evidence_ARRAYSIZE; ++i) {
    EXPECT_EQ(v1::NetworkConnection::Evidence_Name(i), catalog::v1::Evidence_Name(i));
  }
}

TEST(NetworkDescriptionTest, PutsRedirectUriRulesInOneSentence) {
  EXPECT_EQ(Rules(""), "https; at most 2048 bytes");
  EXPECT_EQ(Rules("http_localhost: true no_query: true max_length: 511"),
            "https; http to localhost; no query; at most 511 bytes");
  EXPECT_EQ(Rules("http_loopback_ip: true no_localhost: true"),
            "https; http to 127.0.0.1 and [::1]; not the name localhost; at most 2048 bytes");
  EXPECT_EQ(Rules("http_loopback_ip: true http_localhost: true no_ip_literal: true"),
            "https with a host name; http to 127.0.0.1, [::1] and localhost; at most 2048 bytes");
  EXPECT_EQ(Rules("no_local_https: true no_ip_literal: true"),
            "https with a public host name; at most 2048 bytes");
  EXPECT_EQ(Rules("no_local_https: true"),
            "https but not to the local machine; at most 2048 bytes");
  EXPECT_EQ(Rules("private_use_schemes: true"), "https; an app's own scheme; at most 2048 bytes");
}

}  // namespace
}  // namespace authurl
