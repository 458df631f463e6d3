#include "server/flow/refresh_time.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "google/protobuf/text_format.h"

namespace authurl::testing {
namespace {

// Two of them are the half of what two bytes can be where the first one is 0x80.
RandomSource AlwaysByte(uint8_t first) {
  return [first](std::span<uint8_t> out) {
    std::fill(out.begin(), out.end(), first == 0xff ? 0xff : 0);
    out[0] = first;
  };
}

TEST(NextRefreshTest, IsATenthSoonerOrLaterByChance) {
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  catalog::v1::Network network;
  network.mutable_refresh()->set_rotation(catalog::v1::Refresh::ROTATION_NO_REFRESH_TOKEN);
  TokenSet tokens;
  tokens.access_token_expires_at = now + absl::Hours(100);
  EXPECT_EQ(NextRefresh(network, tokens, now, AlwaysByte(0)), now + absl::Hours(40));
  const auto latest = NextRefresh(network, tokens, now, AlwaysByte(0xff));
  EXPECT_GT(latest, now + absl::Hours(59));
  EXPECT_LT(latest, now + absl::Hours(60));
}

TEST(NextRefreshTest, IsAtHalfOfTheTimeThatAnUnusedGrantHas) {
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  const auto next = [&](const std::string& refresh, absl::string_view refresh_token,
                        std::optional<absl::Duration> told) -> std::optional<absl::Duration> {
    catalog::v1::Network network;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(refresh, &network));
    TokenSet tokens;
    tokens.access_token = "access";
    tokens.access_token_expires_at = now + absl::Hours(60);
    tokens.refresh_token = std::string(refresh_token);
    if (told) tokens.refresh_token_expires_at = now + *told;
    const std::optional<absl::Time> due_at = NextRefresh(network, tokens, now, AlwaysByte(0x80));
    if (!due_at) return std::nullopt;
    return *due_at - now;
  };
  // Without a refresh, or what it takes.
  EXPECT_EQ(next("", "refresh", std::nullopt), std::nullopt);
  EXPECT_EQ(next("refresh { rotation: ROTATION_ALWAYS }", "", std::nullopt), std::nullopt);
  // It does not end.
  EXPECT_EQ(next("refresh { rotation: ROTATION_ALWAYS }", "refresh", std::nullopt), std::nullopt);
  EXPECT_EQ(next("refresh { rotation: ROTATION_NO_REFRESH_TOKEN }", "", std::nullopt),
            absl::Hours(30));
  EXPECT_EQ(next("refresh { rotation: ROTATION_ALWAYS }", "refresh", absl::Hours(20)),
            absl::Hours(10));
  const std::string lives = "refresh { rotation: ROTATION_ALWAYS refresh_token_lifetime_s: 36000 ";
  EXPECT_EQ(next(lives + "}", "refresh", std::nullopt), absl::Hours(5));
  EXPECT_EQ(next(lives + "}", "refresh", absl::Hours(20)), absl::Hours(10));
  EXPECT_EQ(next(lives + "idle_lifetime_s: 14400 }", "refresh", std::nullopt), absl::Hours(2));
  EXPECT_EQ(next(lives + "lifetime_from_consent: true }", "refresh", absl::Hours(20)),
            std::nullopt);
  // Not sooner than it makes sense.
  EXPECT_EQ(next(lives + "min_interval_s: 28800 }", "refresh", std::nullopt), absl::Hours(8));
  EXPECT_EQ(next(lives + "}", "refresh", absl::Minutes(4)), absl::Hours(1));
}

}  // namespace
}  // namespace authurl::testing
