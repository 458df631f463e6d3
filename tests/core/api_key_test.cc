#include "core/api_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "tests/support/fixed_random.h"

namespace authurl {
namespace {

using ::authurl::testing::SeededRandom;
using ::testing::MatchesRegex;

TEST(ApiKeyTest, ANewKeyHasTheFormatAndParses) {
  const RandomSource random = SeededRandom(1);
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) {
    const std::string key = NewApiKey(random);
    ASSERT_THAT(key, MatchesRegex("auk_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}"));
    const auto parsed = ParseApiKey(key);
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(parsed->key_id, key.substr(4, 12));
    EXPECT_EQ(parsed->digest, AsChars(Sha256(key)));
    ids.insert(parsed->key_id);
  }
  EXPECT_EQ(ids.size(), 1000u);
}

TEST(ApiKeyTest, EveryChangeOfOneCharacterIsNoticed) {
  const std::string key = NewApiKey(SeededRandom(2));
  for (size_t i = 0; i < key.size(); ++i) {
    for (const char c : {'0', 'A', 'z', '_', '-', ' ', '\0'}) {
      if (key[i] == c) continue;
      std::string changed = key;
      changed[i] = c;
      EXPECT_EQ(ParseApiKey(changed), std::nullopt) << changed;
    }
  }
}

TEST(ApiKeyTest, OtherTextIsNoKey) {
  const std::string key = NewApiKey(SeededRandom(3));
  for (const std::string& text :
       {std::string(), std::string("auk_"), key.substr(1), key + "0", " " + key, key + "\n",
        absl::AsciiStrToUpper(key), std::string(65536, 'a')}) {
    EXPECT_EQ(ParseApiKey(text), std::nullopt);
  }
}

TEST(ApiKeyTest, IdsAreShortPlainAndDifferent) {
  const RandomSource random = SeededRandom(4);
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(NewId("sn_", random));
  EXPECT_EQ(ids.size(), 1000u);
  for (const std::string& id : ids) {
    ASSERT_THAT(id, MatchesRegex("sn_[0-9a-hjkmnp-tv-z]{20}"));
  }
}

}  // namespace
}  // namespace authurl
