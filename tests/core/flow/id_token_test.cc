#include "core/flow/id_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/catalog/network_catalog.h"
#include "core/errors.h"
#include "tests/core/flow/vectors.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class IdTokenTest : public ::testing::Test {
 protected:
  IdTokenTest() {
    settings_.set_client_key("app-1");
    claims_ = {{"iss", "https://accounts.google.com"},
               {"aud", "app-1"},
               {"sub", "110000000000000000001"},
               {"iat", absl::ToUnixSeconds(kNow)},
               {"exp", absl::ToUnixSeconds(kNow + absl::Hours(1))},
               {"nonce", "n-1"}};
  }

  absl::StatusOr<Answer> Check(absl::string_view network = "google",
                               absl::string_view nonce = "n-1") {
    return CheckIdToken(*catalog_.Find(network), settings_, UnsignedJwt(claims_), nonce, kNow);
  }
  void ExpectInvalid(absl::string_view what) {
    EXPECT_THAT(Check().status(), AllOf(HasReason("NETWORK_ANSWER_INVALID"),
                                        StatusIs(absl::StatusCode::kUnavailable, HasSubstr(what))));
  }

  const NetworkCatalog catalog_ = NetworkCatalog::Parse(BuiltInNetworksText()).value();
  record::v1::SocialNetworkSettings settings_;
  Json claims_;
};

TEST_F(IdTokenTest, ClaimsAreThoseOfTheToken) {
  ASSERT_OK_AND_ASSIGN(const Answer claims, Check());
  EXPECT_EQ(claims.Find("/sub"), "110000000000000000001");
  claims_["aud"] = {"other", "app-1"};
  claims_["azp"] = "app-1";
  EXPECT_OK(Check());
  // Telegram's audience is a number, Apple's times may be texts.
  settings_.set_client_key("123456789");
  claims_["aud"] = 123456789;
  claims_.erase("azp");
  claims_["exp"] = "1800003600";
  EXPECT_OK(Check());
}

// OpenID Connect Core section 3.1.3.7.
TEST_F(IdTokenTest, WhatIsNotForUsIsRefused) {
  claims_["iss"] = "https://evil.example";
  ExpectInvalid("another issuer");
  claims_["iss"] = "https://accounts.google.com";
  claims_["aud"] = "app-2";
  ExpectInvalid("another client");
  claims_["aud"] = {"app-1", "app-2"};
  claims_["azp"] = "app-2";
  ExpectInvalid("another client");
  claims_.erase("azp");
  ExpectInvalid("another client");
  claims_["aud"] = "app-1";
  claims_["exp"] = absl::ToUnixSeconds(kNow - absl::Minutes(3));
  ExpectInvalid("expired");
  claims_["exp"] = absl::ToUnixSeconds(kNow - absl::Minutes(1));
  EXPECT_OK(Check());
  claims_["iat"] = absl::ToUnixSeconds(kNow + absl::Minutes(3));
  ExpectInvalid("future");
  claims_.erase("iat");
  ExpectInvalid("when it was made");
  claims_["iat"] = absl::ToUnixSeconds(kNow);
  claims_["nonce"] = "n-2";
  ExpectInvalid("nonce");
  claims_.erase("nonce");
  ExpectInvalid("nonce");
  EXPECT_OK(Check("google", ""));
  claims_.erase("exp");
  EXPECT_FALSE(Check("google", "").ok());
  claims_["exp"] = 1'800'003'600;
  claims_.erase("sub");
  EXPECT_FALSE(Check("google", "").ok());
}

// Microsoft's issuer names the tenant of the person, whatever was asked for.
TEST_F(IdTokenTest, TheIssuerMayNameAClaim) {
  claims_["tid"] = "9188040d-6c67-4c5b-b112-36a304b66dad";
  claims_["iss"] = "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0";
  EXPECT_OK(Check("microsoft"));
  claims_["tid"] = "other";
  EXPECT_FALSE(Check("microsoft").ok());
  claims_.erase("tid");
  EXPECT_FALSE(Check("microsoft").ok());
}

TEST_F(IdTokenTest, WhatIsNoTokenIsRefusedAndNotQuoted) {
  for (const std::string text :
       {"", "hush", "hush.hush", "a.!!.c", "e30.aHVzaA.e30", "e30.e30.e30"}) {
    const auto claims = CheckIdToken(*catalog_.Find("google"), settings_, text, "", kNow);
    EXPECT_THAT(claims.status(), HasReason("NETWORK_ANSWER_INVALID")) << text;
    EXPECT_THAT(claims.status().message(), Not(HasSubstr("hush")));
  }
}

}  // namespace
}  // namespace authurl::testing
