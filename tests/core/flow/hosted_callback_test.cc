#include "core/flow/hosted_callback.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "core/uri.h"
#include "tests/support/auth_fixture.h"
#include "tests/support/status_matchers.h"

namespace authurl {
namespace {

using ::authurl::testing::SeededRandom;
using ::testing::MatchesRegex;

constexpr char kBaseUrl[] = "https://auth.example.com/authurl";
constexpr char kId[] = "sn_0123456789abcdefghjk";

class HostedCallbackTest : public testing::AuthFixture {
 protected:
  std::string Address(absl::string_view network,
                      const record::v1::SocialNetworkSettings& settings) const {
    return HostedCallback(kBaseUrl, *catalog_.Find(network), settings, keys_);
  }
};

TEST_F(HostedCallbackTest, HasTheNetworkInItsPath) {
  EXPECT_EQ(Address("linkedin", Settings("linkedin")),
            "https://auth.example.com/authurl/v1/social-networks/linkedin/callback");
  EXPECT_EQ(HostedCallback("", *catalog_.Find("linkedin"), Settings("linkedin"), keys_), "");
}

TEST_F(HostedCallbackTest, IsAnotherOneForEachConfigurationOfAnInstance) {
  record::v1::SocialNetworkSettings settings = CompleteSettings("mastodon", "");
  std::set<std::string> addresses = {Address("mastodon", settings)};
  const std::string address = *addresses.begin();
  EXPECT_THAT(address, MatchesRegex("https://auth.example.com/authurl/v1/social-networks/mastodon/"
                                    "callback/[A-Za-z0-9_-]{22}"));
  EXPECT_OK(ParseRedirectUri(address));
  settings.set_instance("other.example");
  addresses.insert(Address("mastodon", settings));
  settings.set_id("sn_0123456789abcdefghjm");
  addresses.insert(Address("mastodon", settings));
  settings.set_org_id("other");
  addresses.insert(Address("mastodon", settings));
  EXPECT_EQ(addresses.size(), 4u);
  EXPECT_EQ(Address("mastodon", settings), Address("mastodon", settings));
}

TEST_F(HostedCallbackTest, ContextIsKnownUnderEveryKeyOfTheRing) {
  const std::string context = CallbackContext(keys_, "acme", kId, "social.example");
  EXPECT_EQ(context.size(), kCallbackContextChars);
  EXPECT_TRUE(IsCallbackContext(keys_, context, "acme", kId, "social.example"));
  EXPECT_FALSE(IsCallbackContext(keys_, context, "other", kId, "social.example"));
  EXPECT_FALSE(IsCallbackContext(keys_, context, "acme", "sn_1", "social.example"));
  EXPECT_FALSE(IsCallbackContext(keys_, context, "acme", kId, "other.example"));
  EXPECT_FALSE(IsCallbackContext(keys_, "", "acme", kId, "social.example"));
  EXPECT_FALSE(IsCallbackContext(keys_, context + "A", "acme", kId, "social.example"));
  ASSERT_OK_AND_ASSIGN(const std::string text,
                       RotatedKeyRingText(testing::kZeroKeyRing, SeededRandom(2)));
  ASSERT_OK_AND_ASSIGN(const KeyRing rotated, KeyRing::Parse(text));
  EXPECT_NE(CallbackContext(rotated, "acme", kId, "social.example"), context);
  EXPECT_TRUE(IsCallbackContext(rotated, context, "acme", kId, "social.example"));
  ASSERT_OK_AND_ASSIGN(const KeyRing other, KeyRing::Parse(NewKeyRingText(SeededRandom(3))));
  EXPECT_FALSE(IsCallbackContext(other, context, "acme", kId, "social.example"));
}

// What is registered at an instance stays, whatever becomes of the key ring.
TEST_F(HostedCallbackTest, AKeptContextIsUsedWhateverTheKeys) {
  record::v1::SocialNetworkSettings settings = CompleteSettings("mastodon", "");
  const std::string before = Address("mastodon", settings);
  settings.set_callback_context(
      CallbackContext(keys_, settings.org_id(), settings.id(), settings.instance()));
  ASSERT_OK_AND_ASSIGN(const KeyRing other, KeyRing::Parse(NewKeyRingText(SeededRandom(3))));
  EXPECT_EQ(HostedCallback(kBaseUrl, *catalog_.Find("mastodon"), settings, other), before);
}

}  // namespace
}  // namespace authurl
