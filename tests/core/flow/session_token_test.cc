#include "core/flow/session_token.h"

#include <gtest/gtest.h>

#include <string>

#include "core/crypto/key_ring.h"
#include "tests/support/auth_fixture.h"

namespace authurl::testing {
namespace {

class SessionTokenTest : public AuthFixture {
 protected:
  const SecretKey& key_ = *keys_.Find(keys_.primary_id(), Purpose::kSessionToken);
};

TEST_F(SessionTokenTest, IsTheSameForTheSameFlowAndForNoOther) {
  Nonce nonce = nonce_;
  const std::string token = DeriveSessionToken(key_, nonce);
  EXPECT_TRUE(IsSessionToken(token)) << token;
  EXPECT_EQ(DeriveSessionToken(key_, nonce), token);
  nonce[0] ^= 1;
  EXPECT_NE(DeriveSessionToken(key_, nonce), token);
}

TEST_F(SessionTokenTest, OtherTextsAreOfAnotherFormat) {
  const std::string token = DeriveSessionToken(key_, nonce_);
  EXPECT_FALSE(IsSessionToken(""));
  EXPECT_FALSE(IsSessionToken(token.substr(1)));
  EXPECT_FALSE(IsSessionToken(token + "x"));
  EXPECT_FALSE(IsSessionToken("auk_" + token.substr(4)));
  std::string odd = token;
  odd[10] = '/';
  EXPECT_FALSE(IsSessionToken(odd));
}

}  // namespace
}  // namespace authurl::testing
