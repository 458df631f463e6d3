#include "core/catalog/endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/catalog/network_catalog.h"
#include "tests/support/catalog_text.h"
#include "tests/support/status_matchers.h"

namespace authurl {
namespace {

using ::authurl::catalog::v1::Network;
using ::authurl::catalog::v1::Pkce;
using ::authurl::testing::FullEntryWith;
using ::authurl::testing::kFullEntry;
using ::authurl::testing::kInstanceEntry;
using ::authurl::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(CheckEndpointVariableTest, TakesValuesOfTheVariablesFormatOnly) {
  ASSERT_OK_AND_ASSIGN(const NetworkCatalog catalog, NetworkCatalog::Parse(kFullEntry));
  const Network& network = *catalog.Find("full");
  EXPECT_OK(CheckEndpointVariable(network, "version", "v2.1"));
  for (const char* value : {"", "v2", "v2.1x", "xv2.1", "v2.1\n", "v2/1", "v2.1/../x"}) {
    EXPECT_THAT(CheckEndpointVariable(network, "version", value),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("\"version\" must match v[0-9]\\.[0-9] (The version of the")))
        << value;
  }
  EXPECT_THAT(CheckEndpointVariable(network, "region", "eu"),
              StatusIs(absl::StatusCode::kInvalidArgument, "Full has no variable \"region\""));
  EXPECT_THAT(CheckEndpointVariable(network, "instance", "a.example"),
              StatusIs(absl::StatusCode::kInvalidArgument, "Full has no variable \"instance\""));
}

// Even a pattern that takes everything does not let a value change the endpoint's host or path.
TEST(CheckEndpointVariableTest, RefusesValuesThatMoveTheEndpoint) {
  const std::string text = absl::StrReplaceAll(
      kFullEntry, {{"v[0-9]\\\\.[0-9]", ".*"},
                   {"default_value: \"v1.0\"", "default_value: \"shop\""},
                   {"https://full.example/{version}/", "https://{version}.full.example/"}});
  ASSERT_OK_AND_ASSIGN(const NetworkCatalog catalog, NetworkCatalog::Parse(text));
  const Network& network = *catalog.Find("full");
  EXPECT_OK(CheckEndpointVariable(network, "version", "my-shop"));
  for (const char* value :
       {"evil.example/", "evil.example?", "evil.example#", "u@evil.example", "", "..", ".", "My",
        "evil.example\\", "a b", "\xc3\xa9", "a_b", "evil.example:1"}) {
    EXPECT_THAT(CheckEndpointVariable(network, "version", value),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("authorization_endpoint")))
        << value;
  }
}

TEST(CheckEndpointVariableTest, AnHttpEndpointStaysOnThisMachine) {
  const std::string text =
      absl::StrReplaceAll(kFullEntry, {{"v[0-9]\\\\.[0-9]", ".*"},
                                       {"default_value: \"v1.0\"", "default_value: \"localhost\""},
                                       {"https://full.example/{version}/", "http://{version}/"}});
  NetworkCatalog catalog;
  catalog.set_allow_local_instances(true);
  ASSERT_OK(catalog.Add(text));
  const Network& network = *catalog.Find("full");
  EXPECT_OK(CheckEndpointVariable(network, "version", "a.localhost"));
  for (const char* value : {"full.example", "10.0.0.1", "localhost.full.example"}) {
    EXPECT_THAT(CheckEndpointVariable(network, "version", value),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("authorization_endpoint then must begin with https://")))
        << value;
  }
}

}  // namespace
}  // namespace authurl
