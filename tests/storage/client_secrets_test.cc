#include "storage/client_secrets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/flow/auth_state.h"
#include "tests/storage/store_fixture.h"

namespace authurl::testing {
namespace {

using ::testing::Optional;

ClientSecrets Reread(const ClientSecrets& secrets) {
  return *ClientSecrets::Parse(secrets.Serialize());
}

TEST(ClientSecretsTest, TheOnlySecretBelongsToEveryVersion) {
  const ClientSecrets secrets = Reread(ClientSecrets("one"));
  EXPECT_THAT(secrets.Find(1), Optional(std::string("one")));
  EXPECT_THAT(secrets.Find(1000), Optional(std::string("one")));
}

TEST(ClientSecretsTest, EachVersionHasTheSecretOfItsTime) {
  ClientSecrets secrets("one");
  secrets.Replace("two", 3, kNow);
  secrets.Replace("three", 5, kNow);
  secrets.Expire(kNow);
  const ClientSecrets reread = Reread(secrets);
  for (uint64_t version : {1, 3}) EXPECT_THAT(reread.Find(version), Optional(std::string("one")));
  for (uint64_t version : {4, 5}) EXPECT_THAT(reread.Find(version), Optional(std::string("two")));
  EXPECT_THAT(reread.Find(6), Optional(std::string("three")));
}

TEST(ClientSecretsTest, ReplacingASecretByItselfChangesNothing) {
  ClientSecrets secrets("one");
  secrets.Replace("one", 3, kNow);
  EXPECT_EQ(secrets.Serialize(), ClientSecrets("one").Serialize());
}

TEST(ClientSecretsTest, AReplacedSecretIsKeptForTheLifetimeOfAState) {
  ClientSecrets secrets("one");
  secrets.Replace("two", 1, kNow);
  secrets.Expire(kNow + kMaxStateLifetime);
  EXPECT_THAT(secrets.Find(1), Optional(std::string("one")));
  secrets.Expire(kNow + kMaxStateLifetime + absl::Milliseconds(1));
  EXPECT_EQ(secrets.Find(1), std::nullopt);
  EXPECT_THAT(secrets.Find(2), Optional(std::string("two")));
  EXPECT_EQ(secrets.Serialize().find("one"), std::string::npos);
}

TEST(ClientSecretsTest, AVersionWhoseSecretIsForgottenIsNeverGivenALaterOne) {
  ClientSecrets secrets("one");
  secrets.Replace("two", 1, kNow);
  secrets.Replace("three", 2, kNow + absl::Minutes(50));
  secrets.Expire(kNow + absl::Minutes(70));
  EXPECT_EQ(Reread(secrets).Find(1), std::nullopt);
  EXPECT_THAT(Reread(secrets).Find(2), Optional(std::string("two")));
  secrets.Expire(kNow + absl::Hours(10));
  EXPECT_EQ(Reread(secrets).Find(1), std::nullopt);
  EXPECT_EQ(Reread(secrets).Find(2), std::nullopt);
  EXPECT_THAT(Reread(secrets).Find(3), Optional(std::string("three")));
}

TEST(ClientSecretsTest, AClockThatJumpsBackForgetsTooMuchRatherThanMixVersionsUp) {
  ClientSecrets secrets("one");
  secrets.Replace("two", 1, kNow);
  secrets.Replace("three", 2, kNow - absl::Hours(5));
  secrets.Expire(kNow);
  EXPECT_EQ(secrets.Find(1), std::nullopt);
  EXPECT_EQ(secrets.Find(2), std::nullopt);
  EXPECT_THAT(secrets.Find(3), Optional(std::string("three")));
}

TEST(ClientSecretsTest, OnlySoManyReplacedSecretsAreKept) {
  ClientSecrets secrets("secret-0");
  for (uint64_t version = 1; version <= 100; ++version) {
    secrets.Replace(absl::StrCat("secret-", version), version, kNow);
    secrets.Expire(kNow);
  }
  const uint64_t last_forgotten = 100 - ClientSecrets::kMaxReplaced;
  EXPECT_EQ(secrets.Find(1), std::nullopt);
  EXPECT_EQ(secrets.Find(last_forgotten), std::nullopt);
  EXPECT_THAT(secrets.Find(last_forgotten + 1), Optional(absl::StrCat("secret-", last_forgotten)));
  EXPECT_THAT(secrets.Find(101), Optional(std::string("secret-100")));
  EXPECT_LT(secrets.Serialize().size(), 1000u);
}

TEST(ClientSecretsTest, BytesOfSomethingElseAreRefused) {
  EXPECT_FALSE(ClientSecrets::Parse("\xFF\xFF").has_value());
}

}  // namespace
}  // namespace authurl::testing
