#include "core/crypto/jwt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/crypto/crypto.h"
#include "tests/support/signing_key.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::HasSubstr;

// Whether OpenSSL, given the signature in its own way, takes it for one of the key's.
bool Verifies(EVP_PKEY* key, absl::string_view message, absl::string_view numbers) {
  if (numbers.size() != 64) return false;
  const auto* bytes = reinterpret_cast<const unsigned char*>(numbers.data());
  ECDSA_SIG* const signature = ECDSA_SIG_new();
  ECDSA_SIG_set0(signature, BN_bin2bn(bytes, 32, nullptr), BN_bin2bn(bytes + 32, 32, nullptr));
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(signature, &der);
  EVP_MD_CTX* const context = EVP_MD_CTX_new();
  EVP_DigestVerifyInit(context, nullptr, EVP_sha256(), nullptr, key);
  const bool good =
      EVP_DigestVerify(context, der, static_cast<size_t>(size),
                       reinterpret_cast<const unsigned char*>(message.data()), message.size()) == 1;
  EVP_MD_CTX_free(context);
  OPENSSL_free(der);
  ECDSA_SIG_free(signature);
  return good;
}

TEST(JwtTest, IsSignedByTheKeyAndHasItsClaims) {
  const TestSigningKey made = NewSigningKey("P-256");
  ASSERT_OK_AND_ASSIGN(const SigningKey key, SigningKey::ParsePem(made.pem));
  // Numbers may begin with zeros: often enough that one of these does.
  for (int i = 0; i < 300; ++i) {
    ASSERT_OK_AND_ASSIGN(
        const std::string jwt,
        SignJwt(key, "key \"1\"",
                {TextClaim("iss", "te\"am"), TimeClaim("iat", absl::FromUnixSeconds(i))}));
    const std::vector<std::string> parts = absl::StrSplit(jwt, '.');
    ASSERT_EQ(parts.size(), 3u);
    EXPECT_EQ(Base64UrlDecode(parts[0]), R"({"alg":"ES256","typ":"JWT","kid":"key \"1\""})");
    EXPECT_EQ(Base64UrlDecode(parts[1]), absl::StrCat(R"({"iss":"te\"am","iat":)", i, "}"));
    EXPECT_TRUE(Verifies(made.key.get(), absl::StrCat(parts[0], ".", parts[1]),
                         Base64UrlDecode(parts[2]).value_or("")));
    EXPECT_TRUE(LooksLikeJwt(jwt));
  }
}

TEST(JwtTest, TakesKeysInPkcs8OnP256Only) {
  EXPECT_OK(SigningKey::ParsePem(NewSigningKey("P-256").pem));
  EXPECT_THAT(SigningKey::ParsePem(NewSigningKey("P-384").pem),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("P-256")));
  EXPECT_THAT(SigningKey::ParsePem(""),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("PKCS#8")));
  EXPECT_THAT(SigningKey::ParsePem("-----BEGIN EC PRIVATE KEY-----\nAAAA\n"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("PKCS#8")));
}

TEST(JwtTest, ADamagedKeyIsRefusedAndNotQuoted) {
  const std::string pem = NewSigningKey("P-256").pem;
  const std::string secret = pem.substr(40, 20);
  for (const std::string& damaged :
       {pem.substr(0, pem.size() / 2), pem.substr(0, 60), absl::StrCat(pem.substr(0, 50), "!!")}) {
    const absl::Status status = SigningKey::ParsePem(damaged).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("can be read")));
    EXPECT_FALSE(absl::StrContains(status.message(), secret));
  }
  // An encrypted key asks nobody for its password.
  EXPECT_FALSE(SigningKey::ParsePem("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n").ok());
}

TEST(JwtTest, ThreePartsOfBase64UrlLookLikeOne) {
  for (const char* text : {"", "a.b", "a..c", "a.b.c.d", "eyJ.e+.s", "not a jwt"}) {
    EXPECT_FALSE(LooksLikeJwt(text)) << text;
  }
}

TEST(JwtTest, PayloadIsTheMiddleOneOfThreeParts) {
  EXPECT_EQ(PayloadOfJwt("e30.eyJpc3MiOiJ0ZWFtIn0.c2ln"), R"({"iss":"team"})");
  // Whatever the others are, and whatever it is itself.
  EXPECT_EQ(PayloadOfJwt("!.e30.!"), "{}");
  EXPECT_EQ(PayloadOfJwt(absl::StrCat("e30.", Base64UrlEncode("\xff"), ".c2ln")), "\xff");
  EXPECT_EQ(PayloadOfJwt(".."), "");
  for (const char* text : {"", "e30", "e30.e30", "e30.!!.e30", "e30.e+.e30", "e30.e30.e30.e30"}) {
    EXPECT_EQ(PayloadOfJwt(text), std::nullopt) << text;
  }
}

TEST(JwtTest, TellsWhenOneEnds) {
  ASSERT_OK_AND_ASSIGN(const SigningKey key, SigningKey::ParsePem(NewSigningKey("P-256").pem));
  const absl::Time end = absl::FromUnixSeconds(1795435200);
  ASSERT_OK_AND_ASSIGN(const std::string jwt,
                       SignJwt(key, "1", {TextClaim("iss", "team"), TimeClaim("exp", end)}));
  EXPECT_EQ(EndOfJwt(jwt), end);
  const auto end_of = [](absl::string_view claims) {
    return EndOfJwt(absl::StrCat("e30.", Base64UrlEncode(claims), ".c2ln"));
  };
  EXPECT_EQ(end_of(R"({"exp":0})"), absl::UnixEpoch());
  EXPECT_EQ(end_of(R"({"exp":1795435200.5})"), end + absl::Milliseconds(500));
  EXPECT_EQ(end_of(R"({"exp":1e300})"), absl::InfiniteFuture());
  for (const char* claims :
       {"", "{}", "[]", "1", "not JSON", "{\"exp\":", R"({"exp":"1795435200"})", R"({"exp":null})",
        R"({"exp":-1})", R"({"exp":{}})", "\xff"}) {
    EXPECT_EQ(end_of(claims), std::nullopt) << claims;
  }
  for (const char* text : {"", "e30.e30", "e30.!!.e30", "e30.e30.e30.e30"}) {
    EXPECT_EQ(EndOfJwt(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace authurl::testing
