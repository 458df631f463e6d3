#include "core/crypto/webhook_signature.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/crypto/crypto.h"

namespace authurl::testing {
namespace {

std::string FromBase64(absl::string_view text) {
  std::string bytes;
  EXPECT_TRUE(absl::Base64Unescape(text, &bytes)) << text;
  return bytes;
}

// The vector in the tests of every library of Standard Webhooks.
TEST(WebhookSignatureTest, SignsThePublishedVector) {
  const std::string key = FromBase64("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
  EXPECT_EQ(WebhookSignatures({key}, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
                              R"({"test": 2432232314})"),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

TEST(WebhookSignatureTest, EveryPartIsSigned) {
  const std::string key(kWebhookKeyBytes, 'k');
  const std::string other(kWebhookKeyBytes, 'o');
  std::set<std::string> seen;
  for (const auto& signature :
       {WebhookSignatures({key}, "ev_1", 10, "{}"), WebhookSignatures({other}, "ev_1", 10, "{}"),
        WebhookSignatures({key}, "ev_2", 10, "{}"), WebhookSignatures({key}, "ev_1", 11, "{}"),
        WebhookSignatures({key}, "ev_1", 10, "{ }"), WebhookSignatures({key}, "ev_1", 1, "0.{}")}) {
    EXPECT_TRUE(seen.insert(signature).second) << signature;
  }
}

TEST(WebhookSignatureTest, EveryKeySignsWhileOneIsReplaced) {
  const std::string key(kWebhookKeyBytes, 'k');
  const std::string other(kWebhookKeyBytes, 'o');
  EXPECT_EQ(WebhookSignatures({key, other}, "ev_1", 10, "{}"),
            absl::StrCat(WebhookSignatures({key}, "ev_1", 10, "{}"), " ",
                         WebhookSignatures({other}, "ev_1", 10, "{}")));
}

TEST(WebhookSignatureTest, SecretsAreTheKeyInPaddedBase64) {
  const std::string key = NewWebhookKey(FillRandom);
  EXPECT_EQ(key.size(), kWebhookKeyBytes);
  EXPECT_NE(NewWebhookKey(FillRandom), key);
  const std::string text = WebhookSecretText(key);
  EXPECT_EQ(text.size(), 6u + 44u);
  EXPECT_EQ(text.substr(0, 6), "whsec_");
  EXPECT_EQ(FromBase64(text.substr(6)), key);
}

// RFC 4231 sections 4.3 and 4.7: keys shorter and longer than a block of the hash.
TEST(WebhookSignatureTest, KeysHaveAnyLength) {
  EXPECT_EQ(HexEncode(AsChars(MacOf("Jefe", "what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(HexEncode(AsChars(MacOf(std::string(131, '\xaa'),
                                    "Test Using Larger Than Block-Size Key - Hash Key First"))),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

}  // namespace
}  // namespace authurl::testing
