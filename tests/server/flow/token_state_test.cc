#include "server/flow/token_state.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "google/protobuf/text_format.h"

namespace authurl::testing {
namespace {

constexpr absl::Time kGiven = absl::FromUnixSeconds(1'800'000'000);

// That lives for two hours, with a refresh token.
record::v1::Grant TwoHours() {
  record::v1::Grant grant;
  grant.set_generation(3);
  grant.set_has_refresh_token(true);
  grant.set_updated_at_ms(absl::ToUnixMillis(kGiven));
  grant.set_access_token_expires_at_ms(absl::ToUnixMillis(kGiven + absl::Hours(2)));
  return grant;
}

catalog::v1::Network NetworkWith(const std::string& refresh) {
  catalog::v1::Network network;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(refresh, &network));
  return network;
}

TEST(TokenStateTest, IsGoodAsLongAsIsWantedAndThenToBeRefreshed) {
  const auto network = NetworkWith("refresh { rotation: ROTATION_ALWAYS }");
  const record::v1::Grant grant = TwoHours();
  const absl::Time end = kGiven + absl::Hours(2);
  const auto state = [&](absl::Duration left, const WantedToken& wanted = {}) {
    return StateOf(&network, grant, wanted, end - left);
  };
  EXPECT_EQ(state(absl::Seconds(60)), TokenState::kGood);
  EXPECT_EQ(state(absl::Seconds(59)), TokenState::kToRefresh);
  EXPECT_EQ(state(absl::Seconds(59), {.min_validity = absl::Seconds(30)}), TokenState::kGood);
  EXPECT_EQ(state(absl::ZeroDuration()), TokenState::kToRefresh);
  // Half of its life is enough.
  const WantedToken day = {.min_validity = absl::Hours(24)};
  EXPECT_EQ(state(absl::Hours(1), day), TokenState::kGood);
  EXPECT_EQ(state(absl::Minutes(59), day), TokenState::kToRefresh);
  // The network has refused it.
  EXPECT_EQ(state(absl::Hours(1), {.refused_generation = 3}), TokenState::kToRefresh);
  EXPECT_EQ(state(absl::Hours(1), {.refused_generation = 2}), TokenState::kGood);
}

TEST(TokenStateTest, WhereNothingCanBeDoneItIsAsGoodAsItCanBeMadeUntilItsEnd) {
  const auto rotates = NetworkWith("refresh { rotation: ROTATION_ALWAYS }");
  const catalog::v1::Network none;
  record::v1::Grant without = TwoHours();
  without.set_has_refresh_token(false);
  const absl::Time soon = kGiven + absl::Hours(2) - absl::Seconds(1);
  const absl::Time over = kGiven + absl::Hours(2);
  EXPECT_EQ(StateOf(nullptr, TwoHours(), {}, soon), TokenState::kGood);
  EXPECT_EQ(StateOf(nullptr, TwoHours(), {}, over), TokenState::kEnded);
  EXPECT_EQ(StateOf(&none, TwoHours(), {}, soon), TokenState::kGood);
  EXPECT_EQ(StateOf(&none, TwoHours(), {}, over), TokenState::kEnded);
  EXPECT_EQ(StateOf(&rotates, without, {}, soon), TokenState::kGood);
  EXPECT_EQ(StateOf(&rotates, without, {}, over), TokenState::kEnded);
  const auto needs_none = NetworkWith("refresh { rotation: ROTATION_NO_REFRESH_TOKEN }");
  EXPECT_EQ(StateOf(&needs_none, without, {}, soon), TokenState::kToRefresh);
}

TEST(TokenStateTest, ATokenWithoutAnEndIsGoodUntilTheNetworkRefusesIt) {
  record::v1::Grant grant = TwoHours();
  grant.clear_access_token_expires_at_ms();
  const catalog::v1::Network network;
  const absl::Time late = kGiven + absl::Hours(100'000);
  EXPECT_EQ(StateOf(&network, grant, {}, late), TokenState::kGood);
  EXPECT_EQ(StateOf(&network, grant, {.refused_generation = 3}, late), TokenState::kEnded);
}

TEST(TokenStateTest, NoRefreshIsTriedBeforeTheNetworkTakesIt) {
  const auto network =
      NetworkWith("refresh { rotation: ROTATION_ALWAYS min_age_s: 7210 min_interval_s: 7300 }");
  record::v1::Grant grant = TwoHours();
  EXPECT_EQ(StateOf(&network, grant, {}, kGiven + absl::Seconds(7190)), TokenState::kGood);
  EXPECT_EQ(StateOf(&network, grant, {}, kGiven + absl::Seconds(7205)), TokenState::kToWait);
  EXPECT_EQ(StateOf(&network, grant, {}, kGiven + absl::Seconds(7210)), TokenState::kToRefresh);
  grant.set_refreshed_by("rf_1");
  EXPECT_EQ(FirstRefresh(network.refresh(), grant), kGiven + absl::Seconds(7300));
}

}  // namespace
}  // namespace authurl::testing
