#include "core/catalog/named_network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "tests/support/violations_said.h"

namespace authurl {
namespace {

using ::authurl::testing::Said;
using ::testing::HasSubstr;
using ::testing::Not;

class NamedNetworkTest : public ::testing::Test {
 protected:
  const catalog::v1::Network& Network(absl::string_view id) const { return *catalog_.Find(id); }

  const NetworkCatalog catalog_ = NetworkCatalog::Parse(BuiltInNetworksText()).value();
};

TEST_F(NamedNetworkTest, NetworkMustBeKnown) {
  const auto check = [&](absl::string_view id) {
    return Said([&](FieldViolations& v) { CheckNetwork(catalog_, id, v); });
  };
  EXPECT_EQ(check("instagram"), "");
  EXPECT_EQ(check(""), "network: Required");
  EXPECT_THAT(check("instagran"), HasSubstr("did you mean \"instagram\"?"));
  EXPECT_EQ(check("Instagram"),
            "network: \"Instagram\" is not a valid network id: 1 to 32 characters of a-z, 0-9 and "
            "_; did you mean \"instagram\"?");
  EXPECT_THAT(check("google-business"), HasSubstr("did you mean \"google_business\"?"));
  EXPECT_THAT(check("No Such Network"), Not(HasSubstr("did you mean")));
  EXPECT_THAT(check(std::string(33, 'a')), HasSubstr("is not a valid network id"));
  EXPECT_THAT(check("zzzzzzzzzz"), HasSubstr("is not a known network"));
}

TEST_F(NamedNetworkTest, InstancesAreForNetworksThatHaveThem) {
  const auto check = [&](absl::string_view network, std::optional<absl::string_view> instance) {
    return Said(
        [&](FieldViolations& v) { CheckInstance(catalog_, Network(network), instance, v); });
  };
  EXPECT_EQ(check("x", std::nullopt), "");
  EXPECT_THAT(check("x", "a.example"), HasSubstr("instance: must be left out"));
  EXPECT_EQ(check("mastodon", "mastodon.social"), "");
  EXPECT_EQ(check("mastodon", "xn--bcher-kva.example"), "");
  EXPECT_THAT(check("mastodon", std::nullopt), HasSubstr("instance: Required"));
  for (const char* bad : {"",
                          "a.example:8443",
                          "a.example:443",
                          "a.example/x",
                          "a.example?x",
                          "a.example#x",
                          "u@a.example",
                          "u:p@a.example",
                          "A.example",
                          "a.example.",
                          ".a.example",
                          "a..example",
                          "10.0.0.1",
                          "127.1",
                          "0x7f.1",
                          "[::1]",
                          "localhost",
                          "db",
                          "a.local",
                          "a b.example",
                          "a.example\n",
                          "a%2eexample",
                          "caf\xc3\xa9.example",
                          "https://a.example",
                          "*.example"}) {
    EXPECT_THAT(check("mastodon", bad), HasSubstr("instance: ")) << bad;
  }
}

TEST_F(NamedNetworkTest, LocalInstancesAreTakenWhereTheCatalogAllowsThem) {
  NetworkCatalog catalog = NetworkCatalog::Parse(BuiltInNetworksText()).value();
  catalog.set_allow_local_instances(true);
  const auto check = [&](absl::string_view instance) {
    return Said([&](FieldViolations& v) {
      CheckInstance(catalog, *catalog.Find("mastodon"), instance, v);
    });
  };
  for (const char* good : {"mastodon.social", "10.0.0.1", "[::1]", "localhost", "db"}) {
    EXPECT_EQ(check(good), "") << good;
  }
  for (const char* bad : {"", "localhost:8443", "10.0.0.1/x", "::1", "127.1", "u@localhost"}) {
    EXPECT_THAT(check(bad), HasSubstr("instance: ")) << bad;
  }
}

TEST_F(NamedNetworkTest, AVariantIsOneOfTheNetworks) {
  const auto check = [&](absl::string_view network, std::optional<absl::string_view> variant) {
    return Said([&](FieldViolations& v) { CheckVariant(catalog_, Network(network), variant, v); });
  };
  EXPECT_EQ(check("tiktok", std::nullopt), "");
  EXPECT_EQ(check("tiktok", "desktop"), "");
  EXPECT_THAT(check("tiktok", ""), HasSubstr("variant: must not be empty"));
  EXPECT_THAT(check("tiktok", "Desktop"),
              HasSubstr("is not a variant of TikTok: it has \"desktop\""));
  EXPECT_THAT(check("x", "desktop"), HasSubstr("it has none"));
  EXPECT_THAT(check("tiktok", std::string(100'000, 'a')), HasSubstr("is not a variant"));
}

}  // namespace
}  // namespace authurl
