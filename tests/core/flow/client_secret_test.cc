#include "core/flow/client_secret.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "core/catalog/network_catalog.h"
#include "core/crypto/crypto.h"
#include "core/errors.h"
#include "tests/support/signing_key.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_time.h"

namespace authurl::testing {
namespace {

using ::testing::HasSubstr;

class ClientSecretTest : public ::testing::Test {
 protected:
  ClientSecretTest() {
    settings_.set_client_key("com.example.web");
    (*settings_.mutable_extra_params())["team_id"] = "TEAM123456";
    (*settings_.mutable_extra_params())["key_id"] = "KEY1234567";
  }

  absl::StatusOr<std::string> ToShow(absl::string_view network, absl::string_view secret) {
    return ClientSecretToShow(*catalog_.Find(network), settings_, secret, kNow);
  }

  const NetworkCatalog catalog_ = NetworkCatalog::Parse(BuiltInNetworksText()).value();
  record::v1::SocialNetworkSettings settings_;
};

TEST_F(ClientSecretTest, IsWhatIsConfigured) {
  EXPECT_THAT(ToShow("github", "s3cret"), IsOkAndHolds("s3cret"));
  // A JWT that somebody else made.
  EXPECT_THAT(ToShow("apple", "eyJ.eyJ.c2ln"), IsOkAndHolds("eyJ.eyJ.c2ln"));
  EXPECT_THAT(ToShow("spotify", ""), IsOkAndHolds(""));
}

// Apple: "Creating a client secret".
TEST_F(ClientSecretTest, IsAFreshJwtWhereTheKeyIsConfigured) {
  const std::string pem = NewSigningKey("P-256").pem;
  ASSERT_OK_AND_ASSIGN(const std::string secret, ToShow("apple", pem));
  const std::vector<std::string> parts = absl::StrSplit(secret, '.');
  ASSERT_EQ(parts.size(), 3u);
  const auto header = nlohmann::json::parse(*Base64UrlDecode(parts[0]));
  EXPECT_EQ(header["alg"], "ES256");
  EXPECT_EQ(header["kid"], "KEY1234567");
  const auto claims = nlohmann::json::parse(*Base64UrlDecode(parts[1]));
  EXPECT_EQ(claims["iss"], "TEAM123456");
  EXPECT_EQ(claims["sub"], "com.example.web");
  EXPECT_EQ(claims["aud"], "https://appleid.apple.com");
  EXPECT_LE(claims["iat"].get<int64_t>(), 1'800'000'000);
  EXPECT_GT(claims["exp"].get<int64_t>(), 1'800'000'000);
  EXPECT_LE(claims["exp"].get<int64_t>() - claims["iat"].get<int64_t>(), 15'777'000);
}

TEST_F(ClientSecretTest, AKeyThatCantSignIsAnErrorThatSaysWhy) {
  EXPECT_THAT(ToShow("apple", NewSigningKey("P-384").pem).status(),
              AllOf(HasReason("CLIENT_SECRET_UNUSABLE"),
                    StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("P-256"))));
  settings_.mutable_extra_params()->erase("key_id");
  EXPECT_THAT(
      ToShow("apple", NewSigningKey("P-256").pem).status(),
      AllOf(HasReason("CLIENT_SECRET_UNUSABLE"),
            StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("extra_params.key_id"))));
}

}  // namespace
}  // namespace authurl::testing
