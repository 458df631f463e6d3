#include "core/crypto/sealer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fixed_random.h"
#include "tests/support/status_matchers.h"

namespace authurl {
namespace {

using ::authurl::testing::SeededRandom;
using ::authurl::testing::StatusIs;
using ::testing::HasSubstr;

class SealerTest : public ::testing::Test {
 protected:
  const RandomSource random_ = SeededRandom(1);
  const std::string ring_text_ = NewKeyRingText(random_);
  const KeyRing keys_ = KeyRing::Parse(ring_text_).value();
  const Sealer sealer_{keys_};
};

TEST_F(SealerTest, OpensWhatItSealed) {
  const std::string sealed =
      sealer_.Seal(Purpose::kSettings, NewNonce(random_), "plaintext", "row 1");
  EXPECT_EQ(sealed.size(), 9 + kSealedOverhead);
  ASSERT_OK_AND_ASSIGN(const std::string opened, sealer_.Open(Purpose::kSettings, sealed, "row 1"));
  EXPECT_EQ(opened, "plaintext");
}

TEST_F(SealerTest, RefusesEveryOtherPurposeAndContextWithOneText) {
  const std::string sealed =
      sealer_.Seal(Purpose::kSettings, NewNonce(random_), "plaintext", "row 1");
  for (uint8_t purpose = kFirstPurpose; purpose <= kLastPurpose; ++purpose) {
    if (static_cast<Purpose>(purpose) == Purpose::kSettings) continue;
    EXPECT_THAT(sealer_.Open(static_cast<Purpose>(purpose), sealed, "row 1"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("does not open")));
  }
  EXPECT_THAT(sealer_.Open(Purpose::kSettings, sealed, "row 2"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("does not open")));
  EXPECT_THAT(sealer_.Open(Purpose::kSettings, sealed, ""),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("does not open")));
}

TEST_F(SealerTest, RefusesEverySingleBitFlipAndEveryTruncation) {
  const std::string sealed = sealer_.Seal(Purpose::kSecret, NewNonce(random_), "secret", "context");
  for (size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    std::string flipped = sealed;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(sealer_.Open(Purpose::kSecret, flipped, "context").ok()) << bit;
  }
  for (size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_FALSE(sealer_.Open(Purpose::kSecret, sealed.substr(0, size), "context").ok()) << size;
  }
}

TEST_F(SealerTest, OpensUnderAnOldKeyAfterRotationUntilItIsDropped) {
  const std::string sealed = sealer_.Seal(Purpose::kSecret, NewNonce(random_), "secret", "");
  ASSERT_OK_AND_ASSIGN(const std::string rotated_text, RotatedKeyRingText(ring_text_, random_));
  ASSERT_OK_AND_ASSIGN(const KeyRing rotated, KeyRing::Parse(rotated_text));
  const Sealer rotated_sealer(rotated);
  EXPECT_OK(rotated_sealer.Open(Purpose::kSecret, sealed, ""));
  const std::string resealed =
      rotated_sealer.Seal(Purpose::kSecret, NewNonce(random_), "secret", "");
  EXPECT_EQ(ReadSealedHeader(resealed)->key_id, rotated.primary_id());

  ASSERT_OK_AND_ASSIGN(const KeyRing other, KeyRing::Parse(NewKeyRingText(random_)));
  EXPECT_FALSE(Sealer(other).Open(Purpose::kSecret, sealed, "").ok());
  EXPECT_FALSE(Sealer(other).Open(Purpose::kSecret, resealed, "").ok());
}

TEST_F(SealerTest, SealsUnderAnOldKeyWhatMustStayTheSame) {
  ASSERT_OK_AND_ASSIGN(const std::string rotated_text, RotatedKeyRingText(ring_text_, random_));
  ASSERT_OK_AND_ASSIGN(const KeyRing rotated, KeyRing::Parse(rotated_text));
  const Nonce nonce = NewNonce(random_);
  const std::string before = sealer_.Seal(Purpose::kFlowId, nonce, "plaintext", "context");
  const uint8_t key_id = ReadSealedHeader(before)->key_id;
  ASSERT_NE(key_id, rotated.primary_id());
  const Sealer after(rotated);
  std::string again;
  after.SealUnder(key_id, Purpose::kFlowId, nonce, "plaintext", "context", again);
  EXPECT_EQ(again, before);
  EXPECT_NE(after.Seal(Purpose::kFlowId, nonce, "plaintext", "context"), before);
}

TEST_F(SealerTest, ReadsNoHeaderFromTooFewBytes) {
  EXPECT_EQ(ReadSealedHeader(std::string(kSealedOverhead - 1, 'x')), std::nullopt);
  EXPECT_NE(ReadSealedHeader(std::string(kSealedOverhead, 'x')), std::nullopt);
}

}  // namespace
}  // namespace authurl
