#include "server/flow/needs_reconnect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

TEST(NeedsReconnectTest, EachReasonHasASentenceOfItsOwnThatNamesTheNetwork) {
  const NetworkCatalog catalog = NetworkCatalog::Parse(BuiltInNetworksText()).value();
  std::set<std::string> sentences;
  for (const absl::string_view reason :
       {kRefreshDead, kRefreshExpired, kRefreshAnswerLost, kAccessTokenDead, kAccessTokenExpired,
        kConfigurationGone}) {
    const std::string why = WhyReconnect(catalog, "github", reason);
    EXPECT_THAT(why, HasSubstr("GitHub"));
    EXPECT_THAT(why, EndsWith("The person must connect again"));
    EXPECT_TRUE(sentences.insert(why).second) << why;
    EXPECT_THAT(NeedsReconnect(why), StatusIs(absl::StatusCode::kFailedPrecondition, why));
    EXPECT_THAT(NeedsReconnect(why), HasReason("NEEDS_RECONNECT"));
  }
  // Whatever a later version stores, and networks that have left.
  EXPECT_EQ(WhyReconnect(catalog, "gone", "SOMETHING_NEW"),
            "The connection to gone no longer works. The person must connect again");
}

TEST(NeedsReconnectTest, WhatIsToBeMendedOfOneThatLivesIsSaid) {
  const NetworkCatalog catalog = NetworkCatalog::Parse(BuiltInNetworksText()).value();
  const std::string rejected = WhyNotRefreshed(catalog, "github", kClientRejected);
  const std::string unusable = WhyNotRefreshed(catalog, "github", kClientSecretUnusable);
  EXPECT_NE(rejected, unusable);
  for (const std::string& why : {rejected, unusable, WhyNotRefreshed(catalog, "gone", "NEW")}) {
    EXPECT_THAT(why, HasSubstr("can't be refreshed"));
    EXPECT_THAT(why, HasSubstr("Update the configuration"));
  }
  EXPECT_THAT(rejected, HasSubstr("GitHub refuses the client key"));
}

}  // namespace
}  // namespace authurl::testing
