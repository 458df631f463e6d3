// The catalog that is compiled in, core/catalog/networks, and the table made from it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "core/catalog/endpoint.h"
#include "core/catalog/network_catalog.h"
#include "core/catalog/network_description.h"
#include "core/catalog/network_entry.h"
#include "core/catalog/network_rules.h"
#include "core/uri.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace authurl {
namespace {

using ::authurl::catalog::v1::Network;
using ::authurl::catalog::v1::Pkce;
using ::authurl::catalog::v1::StateRules;
using ::testing::IsSupersetOf;

class BuiltInNetworksTest : public ::testing::Test {
 protected:
  const Network& Find(absl::string_view id, absl::string_view variant = "") const {
    return *catalog_.FindVariant(id, variant);
  }

  // Every entry and every variant of one, with the name that messages call it by.
  std::vector<std::pair<std::string, const Network*>> All() const {
    std::vector<std::pair<std::string, const Network*>> all;
    for (const Network* network : catalog_.networks()) {
      all.emplace_back(network->id(), network);
      for (const auto& variant : network->variants()) {
        all.emplace_back(absl::StrCat(network->id(), "/", variant.id()),
                         catalog_.FindVariant(network->id(), variant.id()));
      }
    }
    return all;
  }

  const NetworkCatalog catalog_ = NetworkCatalog::Parse(BuiltInNetworksText()).value();
};

TEST_F(BuiltInNetworksTest, HoldEveryNetworkWherePeoplePublish) {
  std::vector<std::string> ids;
  for (const Network* network : catalog_.networks()) ids.push_back(network->id());
  EXPECT_THAT(ids, IsSupersetOf(
                       {"x",         "linkedin", "facebook", "instagram", "threads",
                        "whatsapp",  "tiktok",   "google",   "youtube",   "google_business",
                        "pinterest", "vimeo",    "reddit",   "bluesky",   "mastodon",
                        "snapchat",  "discord",  "twitch",   "kick",      "tumblr",
                        "slack",     "telegram", "vk",       "line",      "kakao",
                        "wechat",    "weibo",    "github",   "microsoft", "apple",
                        "spotify",   "dribbble", "medium",   "patreon",   "lemmy",
                        "farcaster", "devto",    "hashnode", "nostr",     "wordpress_selfhosted"}));
}

// What the schema leaves open and a built-in entry still has.
TEST_F(BuiltInNetworksTest, AreWellKept) {
  for (const auto& [name, network] : All()) {
    SCOPED_TRACE(name);
    EXPECT_FALSE(network->documentation().empty());
    const std::set<std::string> pages(network->documentation().begin(),
                                      network->documentation().end());
    EXPECT_EQ(pages.size(), static_cast<size_t>(network->documentation().size()));
    EXPECT_FALSE(network->checked_on().empty());
    EXPECT_FALSE(absl::EndsWith(network->status_note(), ".")) << "no final stop";
    for (const auto& warning : network->warnings()) {
      EXPECT_FALSE(absl::EndsWith(warning.text(), ".")) << warning.text();
    }
    for (const auto& variable : network->variables()) {
      EXPECT_OK(CheckEndpointVariable(*network, variable.name(), variable.default_value()));
    }
    if (!HasAuthUrl(*network)) continue;
    EXPECT_NE(network->pkce().mode(), Pkce::MODE_UNSPECIFIED);
    // RFC 9700 section 2.1.1.
    EXPECT_TRUE(network->pkce().mode() != Pkce::MODE_NONE || !TakesPublicClients(*network));
    EXPECT_FALSE(network->client_key_label().empty());
    EXPECT_FALSE(network->client_secret_label().empty());
    EXPECT_TRUE(network->has_callback() && network->has_exchange());
    EXPECT_TRUE(absl::StartsWith(network->authorization_endpoint(), "https://"));
  }
}

// A condition on a scope that nobody asks for by that name would never hold.
TEST_F(BuiltInNetworksTest, BindParametersToScopesThatCanBeAskedFor) {
  for (const auto& [name, network] : All()) {
    SCOPED_TRACE(name);
    const std::set<std::string> defaults(network->scopes().defaults().begin(),
                                         network->scopes().defaults().end());
    for (const auto& param : network->fixed_params()) {
      for (const std::string& scope : param.only_with_scopes()) {
        EXPECT_TRUE(defaults.contains(scope)) << scope;
      }
    }
  }
}

// Every live entry and variant has a line among the golden URLs, on the catalog's own host.
TEST_F(BuiltInNetworksTest, HaveAGoldenUrlEach) {
  const std::string golden =
      testing::ReadFile(absl::StrCat(AUTHURL_SOURCE_DIR, "/tests/golden/auth_urls.txt"));
  for (const auto& [name, network] : All()) {
    if (!HasAuthUrl(*network)) continue;
    record::v1::SocialNetworkSettings settings;
    settings.set_instance("social.example");
    EXPECT_TRUE(
        absl::StrContains(absl::StrCat("\n", golden),
                          absl::StrCat("\n", name, " ", AuthorizationEndpoint(*network, settings))))
        << name;
  }
}

TEST_F(BuiltInNetworksTest, KnowThePeculiaritiesOfTheirNetworks) {
  EXPECT_EQ(Find("x").pkce().mode(), Pkce::MODE_REQUIRED);
  EXPECT_EQ(Find("x").state().max_length(), 500u);
  EXPECT_TRUE(Find("x").redirect_uri().http_localhost());
  EXPECT_EQ(Find("tiktok").client_id_param(), "client_key");
  EXPECT_EQ(Find("tiktok").redirect_uri().max_length(), 511u);
  EXPECT_TRUE(Find("tiktok").redirect_uri().no_query());
  EXPECT_EQ(Find("tiktok", "desktop").pkce().mode(), Pkce::MODE_REQUIRED);
  EXPECT_EQ(Find("tiktok", "desktop").pkce().challenge_encoding(), Pkce::CHALLENGE_ENCODING_HEX);
  EXPECT_EQ(Find("threads").authorization_endpoint(), "https://threads.com/oauth/authorize");
  EXPECT_EQ(Find("facebook").variables(0).default_value(), "v24.0");
  EXPECT_EQ(Find("bluesky").status(), catalog::v1::STATUS_NEEDS_CALL_FIRST);
  EXPECT_EQ(Find("medium").status(), catalog::v1::STATUS_LEGACY);
  EXPECT_EQ(Find("wechat").client_id_param(), "appid");
  EXPECT_EQ(Find("wechat").fragment(), "wechat_redirect");
  EXPECT_EQ(Find("wechat").state().max_length(), 128u);
  EXPECT_EQ(Find("wechat").state().alphabet(), StateRules::ALPHABET_ALPHANUMERIC);
  EXPECT_EQ(Find("apple").fixed_params(0).name(), "response_mode");
  EXPECT_EQ(Find("apple").client_secret_label(),
            "Private key (the text of the .p8 file), or a client secret (JWT) made with it");
  EXPECT_TRUE(Find("spotify").redirect_uri().no_localhost());
  EXPECT_TRUE(HasInstances(Find("mastodon")));
  EXPECT_EQ(Find("slack", "user").scopes().param(), "user_scope");
  for (const char* id : {"google", "youtube", "google_business"}) {
    EXPECT_TRUE(Find(id).redirect_uri().no_ip_literal()) << id;
    EXPECT_EQ(Find(id).login_hint_param(), "login_hint") << id;
  }
  for (const char* id :
       {"facebook", "instagram", "threads", "whatsapp", "tiktok", "pinterest", "slack", "wechat"}) {
    EXPECT_EQ(Find(id).scopes().separator(), ",") << id;
  }
}

TEST_F(BuiltInNetworksTest, TakeOnlyRealVersionsOfFacebooksApi) {
  const Network& facebook = Find("facebook");
  for (const char* version : {"v24.0", "v3.2"}) {
    EXPECT_OK(CheckEndpointVariable(facebook, "version", version));
  }
  for (const char* version : {"24.0", "v0.0", "v24", "v24.0/x", "v240.0", "latest"}) {
    EXPECT_FALSE(CheckEndpointVariable(facebook, "version", version).ok()) << version;
  }
}

}  // namespace
}  // namespace authurl
