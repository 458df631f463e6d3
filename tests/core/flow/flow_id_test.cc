#include "core/flow/flow_id.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/crypto/key_ring.h"
#include "tests/support/auth_fixture.h"
#include "tests/support/status_matchers.h"

namespace authurl {
namespace {

using ::authurl::testing::SeededRandom;
using ::authurl::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class FlowIdTest : public testing::AuthFixture {
 protected:
  std::string Make(const Nonce& nonce, const std::string& org_id = "acme") const {
    return MakeFlowId(sealer_, keys_.primary_id(), nonce, org_id, now_);
  }
};

TEST_F(FlowIdTest, OpensToTheDigestOfItsNonceForItsOrganisationOnly) {
  const std::string text = Make(nonce_);
  EXPECT_THAT(text, MatchesRegex("[A-Za-z0-9_-]{64,256}"));
  ASSERT_OK_AND_ASSIGN(const OpenedFlowId flow, OpenFlowId(sealer_, text, "acme"));
  EXPECT_EQ(flow.nonce_digest, AsChars(Sha256(AsChars(nonce_))));
  EXPECT_EQ(flow.nonce_digest, NonceDigest(nonce_));
  EXPECT_EQ(flow.expires_at, now_);
  for (const char* other : {"", "Acme", "acme2"}) {
    EXPECT_THAT(OpenFlowId(sealer_, text, other),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is not a flow_id")));
  }
}

TEST_F(FlowIdTest, IsTheSameForTheSameStateAlsoAfterARotation) {
  EXPECT_EQ(Make(nonce_), Make(nonce_));
  EXPECT_NE(Make(nonce_), Make(NewNonce(SeededRandom(1))));
  ASSERT_OK_AND_ASSIGN(const std::string text,
                       RotatedKeyRingText(testing::kZeroKeyRing, SeededRandom(2)));
  ASSERT_OK_AND_ASSIGN(const KeyRing rotated, KeyRing::Parse(text));
  ASSERT_NE(rotated.primary_id(), keys_.primary_id());
  EXPECT_EQ(MakeFlowId(Sealer(rotated), keys_.primary_id(), nonce_, "acme", now_), Make(nonce_));
  EXPECT_OK(OpenFlowId(Sealer(rotated), Make(nonce_), "acme"));
}

TEST_F(FlowIdTest, IsShortWhateverTheOrganisation) {
  EXPECT_LT(Make(nonce_).size(), 128u);
  EXPECT_LE(Make(nonce_, std::string(64, 'o')).size(), kMaxFlowIdChars);
}

// The nonce of a sealed state stands in its text.
TEST_F(FlowIdTest, DoesNotShowWhichStateItBelongsTo) {
  const std::string sealed = *Base64UrlDecode(Make(nonce_));
  EXPECT_EQ(sealed.find(std::string(AsChars(nonce_)).substr(0, 8)), std::string::npos);
  EXPECT_EQ(sealed.find(NonceDigest(nonce_).substr(0, 8)), std::string::npos);
}

TEST_F(FlowIdTest, EveryRefusalReadsTheSame) {
  const std::string text = Make(nonce_);
  const absl::Status refused = OpenFlowId(sealer_, "", "acme").status();
  const std::string state =
      Base64UrlEncode(sealer_.Seal(Purpose::kAuthState, nonce_, "\x08\x01", ""));
  const std::string short_one = Base64UrlEncode(sealer_.Seal(Purpose::kFlowId, nonce_, "", ""));
  for (const std::string& other : {text + "A", text + "=", text.substr(1),
                                   std::string(kMaxFlowIdChars + 1, 'A'), state, short_one}) {
    EXPECT_EQ(OpenFlowId(sealer_, other, "acme").status(), refused) << other;
  }
  const std::string sealed = *Base64UrlDecode(text);
  for (size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    std::string flipped = sealed;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_EQ(OpenFlowId(sealer_, Base64UrlEncode(flipped), "acme").status(), refused) << bit;
  }
}

}  // namespace
}  // namespace authurl
