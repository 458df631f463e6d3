#include "core/crypto/key_ring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/fixed_random.h"
#include "tests/support/status_matchers.h"

namespace authurl {
namespace {

using ::authurl::testing::SeededRandom;
using ::authurl::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kKeyA[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
constexpr char kKeyB[] = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

TEST(KeyRingTest, TheFirstKeySealsAndEveryKeyOpens) {
  ASSERT_OK_AND_ASSIGN(const KeyRing ring, KeyRing::Parse(absl::StrCat("# comment\n\n7 ", kKeyA,
                                                                       "\n3 ", kKeyB, "\r\n")));
  EXPECT_EQ(ring.primary_id(), 7);
  EXPECT_NE(ring.Find(7, Purpose::kAuthState), nullptr);
  EXPECT_NE(ring.Find(3, Purpose::kSecret), nullptr);
  EXPECT_EQ(ring.Find(1, Purpose::kAuthState), nullptr);
}

TEST(KeyRingTest, EveryPurposeHasItsOwnSubkey) {
  ASSERT_OK_AND_ASSIGN(const KeyRing ring, KeyRing::Parse(absl::StrCat("1 ", kKeyA)));
  const auto subkey = [&](Purpose purpose) {
    return std::string(AsChars({ring.Find(1, purpose)->data(), kKeyBytes}));
  };
  for (uint8_t a = kFirstPurpose; a <= kLastPurpose; ++a) {
    for (uint8_t b = kFirstPurpose; b < a; ++b) {
      EXPECT_NE(subkey(static_cast<Purpose>(a)), subkey(static_cast<Purpose>(b)));
    }
  }
}

TEST(KeyRingTest, AMalformedFileIsRefusedWithTheLineAndWithoutItsContent) {
  const struct {
    std::string text;
    const char* says;
  } kCases[] = {
      {"", "holds no key"},
      {"# only a comment\n", "holds no key"},
      {absl::StrCat("x ", kKeyB), "line 1"},
      {absl::StrCat("0 ", kKeyB), "key id of 1 to 255"},
      {absl::StrCat("256 ", kKeyB), "key id of 1 to 255"},
      {absl::StrCat("\n1 ", kKeyB, " more"), "line 2"},
      {absl::StrCat("1 ", kKeyB, "\n1 ", kKeyA), "repeats the key id 1"},
      {absl::StrCat("1 ", kKeyB, "AQ"), "32 bytes"},
      {"1 AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB", "32 bytes"},
      {absl::StrCat("1 ", kKeyB, "="), "32 bytes"},
      {std::string("1 \0binary", 9), "32 bytes"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(KeyRing::Parse(c.text), StatusIs(absl::StatusCode::kInvalidArgument,
                                                 AllOf(HasSubstr(c.says), Not(HasSubstr("AQEB")))));
  }
}

TEST(KeyRingTest, ANewFileHoldsOneRandomKey) {
  const RandomSource random = SeededRandom(1);
  const std::string first = NewKeyRingText(random);
  EXPECT_NE(first, NewKeyRingText(random));
  ASSERT_OK_AND_ASSIGN(const KeyRing ring, KeyRing::Parse(first));
  EXPECT_EQ(ring.primary_id(), 1);
}

TEST(KeyRingTest, RotationPutsANewKeyFirstAndKeepsTheOld) {
  const RandomSource random = SeededRandom(2);
  std::string text = NewKeyRingText(random);
  ASSERT_OK_AND_ASSIGN(const KeyRing old_ring, KeyRing::Parse(text));
  ASSERT_OK_AND_ASSIGN(text, RotatedKeyRingText(text, random));
  ASSERT_OK_AND_ASSIGN(const KeyRing ring, KeyRing::Parse(text));
  EXPECT_EQ(ring.primary_id(), 2);
  const auto bytes = [](const KeyRing& of) {
    return std::string(AsChars({of.Find(1, Purpose::kSecret)->data(), kKeyBytes}));
  };
  EXPECT_EQ(bytes(ring), bytes(old_ring));
}

TEST(KeyRingTest, RotationUsesEveryIdOnceAndThenRefuses) {
  const RandomSource random = SeededRandom(3);
  std::string text = NewKeyRingText(random);
  for (int i = 2; i <= 255; ++i) {
    ASSERT_OK_AND_ASSIGN(text, RotatedKeyRingText(text, random));
  }
  EXPECT_OK(KeyRing::Parse(text));
  EXPECT_THAT(RotatedKeyRingText(text, random),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("full")));
}

}  // namespace
}  // namespace authurl
