#include "core/crypto/pkce.h"

#include <gtest/gtest.h>

#include <set>

#include "core/crypto/key_ring.h"
#include "tests/support/fixed_random.h"

namespace authurl {
namespace {

using ::authurl::testing::kZeroKeyRing;
using ::authurl::testing::SeededRandom;
using catalog::v1::Pkce;

// RFC 7636 appendix B.
TEST(PkceTest, MakesThePublishedChallenge) {
  EXPECT_EQ(CodeChallenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
                          Pkce::CHALLENGE_ENCODING_BASE64URL),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

TEST(PkceTest, MakesTheSameHashInHexadecimal) {
  EXPECT_EQ(
      CodeChallenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", Pkce::CHALLENGE_ENCODING_HEX),
      "13d31e961a1ad8ec2f16b10c4c982e0876a878ad6df144566ee1894acb70f9c3");
}

TEST(PkceTest, VerifiersAreOfTheAlphabetAndNeverRepeat) {
  const KeyRing keys = KeyRing::Parse(kZeroKeyRing).value();
  const SecretKey& key = *keys.Find(1, Purpose::kCodeVerifier);
  const RandomSource random = SeededRandom(1);
  std::set<std::string> seen;
  for (int i = 0; i < 10'000; ++i) {
    const std::string verifier = DeriveCodeVerifier(key, NewNonce(random));
    EXPECT_EQ(verifier.size(), 43u);
    EXPECT_EQ(verifier.find_first_not_of(
                  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
              std::string::npos);
    seen.insert(verifier);
  }
  EXPECT_EQ(seen.size(), 10'000u);
}

TEST(PkceTest, OneNonceAlwaysYieldsTheSameVerifierUnderOneKeyOnly) {
  const KeyRing keys = KeyRing::Parse(kZeroKeyRing).value();
  const Nonce nonce = testing::CountingNonce();
  const std::string verifier = DeriveCodeVerifier(*keys.Find(1, Purpose::kCodeVerifier), nonce);
  EXPECT_EQ(verifier, DeriveCodeVerifier(*keys.Find(1, Purpose::kCodeVerifier), nonce));
  EXPECT_NE(verifier, DeriveCodeVerifier(*keys.Find(1, Purpose::kAuthState), nonce));
}

}  // namespace
}  // namespace authurl
