#include "core/flow/auth_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/auth_fixture.h"
#include "tests/support/build_kind.h"
#include "tests/support/status_matchers.h"

namespace authurl {
namespace {

using ::authurl::testing::HasReason;
using ::authurl::testing::SeededRandom;

constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

class AuthStateTest : public testing::AuthFixture {
 protected:
  state::v1::AuthState State() const {
    state::v1::AuthState state;
    state.set_org_id("acme");
    state.set_network("instagram");
    state.set_social_network_id("sn_0123456789abcdefghjk");
    state.set_social_network_version(1);
    state.set_tenant_id("customer_42");
    state.set_redirect_uri("https://app.example.com/cb");
    state.set_issued_at(absl::ToUnixSeconds(now_));
    state.set_expires_at(absl::ToUnixSeconds(now_ + absl::Minutes(10)));
    return state;
  }

  absl::StatusOr<OpenedState> Open(absl::string_view text) const {
    return OpenAuthState(sealer_, text, now_, "acme", "instagram");
  }
};

TEST_F(AuthStateTest, OpensToWhatWasSealed) {
  const std::string text = SealAuthState(sealer_, nonce_, State());
  ASSERT_OK_AND_ASSIGN(const OpenedState opened, Open(text));
  EXPECT_EQ(opened.state.SerializeAsString(), State().SerializeAsString());
  EXPECT_EQ(opened.nonce, nonce_);
  EXPECT_EQ(opened.key_id, 1);
}

TEST_F(AuthStateTest, AUsualStateIsUnder256Characters) {
  EXPECT_LT(SealAuthState(sealer_, nonce_, State()).size(), 256u);
}

TEST_F(AuthStateTest, LivesUntilItsExpiryAndNotFromTheFuture) {
  const std::string text = SealAuthState(sealer_, nonce_, State());
  const auto at = [&](absl::Duration after) {
    return OpenAuthState(sealer_, text, now_ + after, "acme", "instagram");
  };
  EXPECT_OK(at(absl::Minutes(10) - absl::Seconds(1)));
  EXPECT_THAT(at(absl::Minutes(10)), HasReason("STATE_EXPIRED"));
  EXPECT_THAT(at(absl::Hours(24 * 365)), HasReason("STATE_EXPIRED"));
  // Another server's clock may be a little behind.
  EXPECT_OK(at(-absl::Seconds(59)));
  EXPECT_THAT(at(-absl::Seconds(61)), HasReason("STATE_INVALID"));
}

// Whoever completes a flow without a key learns from the state whose it is.
TEST_F(AuthStateTest, OpensToWhoeverAsksForNoOrganisationOrNetwork) {
  const std::string text = SealAuthState(sealer_, nonce_, State());
  ASSERT_OK_AND_ASSIGN(const OpenedState opened, OpenAuthState(sealer_, text, {.now = now_}));
  EXPECT_EQ(opened.state.org_id(), "acme");
  EXPECT_EQ(opened.state.network(), "instagram");
  EXPECT_OK(OpenAuthState(sealer_, text, {.now = now_, .org_id = "acme"}));
  EXPECT_OK(OpenAuthState(sealer_, text, {.now = now_, .network = "instagram"}));
  EXPECT_EQ(OpenAuthState(sealer_, text, {.now = now_, .org_id = "other"}).status(),
            InvalidState());
  EXPECT_EQ(OpenAuthState(sealer_, text, {.now = now_, .network = "x"}).status(), InvalidState());
  // Empty is a name that nobody has, and not any name.
  EXPECT_EQ(OpenAuthState(sealer_, text, {.now = now_, .org_id = ""}).status(), InvalidState());
  const std::string reference = NewStateReference(SeededRandom(5));
  const StoredAuthState stored = SealStoredAuthState(sealer_, nonce_, reference, State());
  EXPECT_OK(OpenStoredAuthState(sealer_, reference, stored.sealed, {.now = now_}));
  EXPECT_EQ(
      OpenStoredAuthState(sealer_, reference, stored.sealed, {.now = now_, .org_id = "x"}).status(),
      InvalidState());
  EXPECT_THAT(
      OpenStoredAuthState(sealer_, reference, stored.sealed, {.now = now_ + absl::Minutes(10)}),
      HasReason("STATE_EXPIRED"));
}

TEST_F(AuthStateTest, StatesOfBeforeARestoreCountAsExpired) {
  const std::string text = SealAuthState(sealer_, nonce_, State());
  EXPECT_OK(OpenAuthState(sealer_, text, {.now = now_, .not_before = now_}));
  const StateTerms restored = {.now = now_, .not_before = now_ + absl::Seconds(1)};
  EXPECT_THAT(OpenAuthState(sealer_, text, restored), HasReason("STATE_EXPIRED"));
  const std::string reference = NewStateReference(SeededRandom(5));
  const StoredAuthState stored = SealStoredAuthState(sealer_, nonce_, reference, State());
  EXPECT_THAT(OpenStoredAuthState(sealer_, reference, stored.sealed, restored),
              HasReason("STATE_EXPIRED"));
}

TEST_F(AuthStateTest, IsForOneOrganisationAndNetwork) {
  const std::string text = SealAuthState(sealer_, nonce_, State());
  EXPECT_FALSE(OpenAuthState(sealer_, text, now_, "Acme", "instagram").ok());
  EXPECT_FALSE(OpenAuthState(sealer_, text, now_, "", "instagram").ok());
  EXPECT_FALSE(OpenAuthState(sealer_, text, now_, "acme", "facebook").ok());
}

// An expired one of another organisation too: only who may complete it is told that it was ours.
TEST_F(AuthStateTest, EveryRefusalReadsTheSame) {
  const std::string text = SealAuthState(sealer_, nonce_, State());
  const absl::Status refused = Open("").status();
  EXPECT_EQ(refused, InvalidState());
  EXPECT_THAT(refused, HasReason("STATE_INVALID"));
  for (const absl::Status& other :
       {Open("AQE").status(), Open(text + "A").status(), Open(text + "=").status(),
        Open(std::string(kMaxStateChars + 1, 'A')).status(), Open(text.substr(1)).status(),
        OpenAuthState(sealer_, text, now_, "other", "instagram").status(),
        OpenAuthState(sealer_, text, now_ + absl::Hours(1), "other", "instagram").status(),
        OpenAuthState(sealer_, text, now_ + absl::Hours(1), "acme", "x").status(),
        OpenAuthState(sealer_, text + "A", now_ + absl::Hours(1), "acme", "instagram").status()}) {
    EXPECT_EQ(other, refused);
  }
}

TEST_F(AuthStateTest, ATokenOfAnotherPurposeIsNoState) {
  const std::string plaintext = State().SerializeAsString();
  for (uint8_t purpose = kFirstPurpose; purpose <= kLastPurpose; ++purpose) {
    const std::string text =
        Base64UrlEncode(sealer_.Seal(static_cast<Purpose>(purpose), nonce_, plaintext, ""));
    EXPECT_EQ(Open(text).ok(), static_cast<Purpose>(purpose) == Purpose::kAuthState);
  }
}

TEST_F(AuthStateTest, NoSingleBitFlipOf200StatesOpens) {
  const RandomSource random = SeededRandom(7);
  for (int i = 0; i < 200; ++i) {
    const std::string text = SealAuthState(sealer_, NewNonce(random), State());
    ASSERT_OK(Open(text));
    // Of the characters that travel, and of the bytes they stand for.
    for (size_t bit = 0; bit < text.size() * 8; ++bit) {
      std::string flipped = text;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
      ASSERT_FALSE(Open(flipped).ok()) << i << " " << bit;
    }
    const std::string sealed = *Base64UrlDecode(text);
    for (size_t bit = 0; bit < sealed.size() * 8; ++bit) {
      std::string flipped = sealed;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
      ASSERT_FALSE(Open(Base64UrlEncode(flipped)).ok()) << i << " " << bit;
    }
  }
}

TEST_F(AuthStateTest, AStoredStateOpensUnderItsOwnReferenceOnly) {
  const RandomSource random = SeededRandom(5);
  const std::string reference = NewStateReference(random);
  const StoredAuthState stored = SealStoredAuthState(sealer_, nonce_, reference, State());
  EXPECT_EQ(stored.reference, reference);
  EXPECT_EQ(stored.org_id, "acme");
  EXPECT_EQ(stored.expires_at, now_ + absl::Minutes(10));
  const auto open = [&](absl::string_view under, absl::Time at) {
    return OpenStoredAuthState(sealer_, under, stored.sealed, at, "acme", "instagram");
  };
  ASSERT_OK_AND_ASSIGN(const OpenedState opened, open(reference, now_));
  EXPECT_EQ(opened.state.SerializeAsString(), State().SerializeAsString());
  EXPECT_EQ(opened.nonce, nonce_);
  EXPECT_FALSE(open(NewStateReference(random), now_).ok());
  EXPECT_FALSE(open("", now_).ok());
  EXPECT_FALSE(open(reference, now_ + absl::Minutes(10)).ok());
  EXPECT_FALSE(OpenStoredAuthState(sealer_, reference, stored.sealed, now_, "acme", "x").ok());
  // Whoever reads the database can't make a text of what is stored, nor the other way round.
  EXPECT_FALSE(Open(Base64UrlEncode(stored.sealed)).ok());
  const std::string text = SealAuthState(sealer_, nonce_, State());
  EXPECT_FALSE(
      OpenStoredAuthState(sealer_, reference, *Base64UrlDecode(text), now_, "acme", "instagram")
          .ok());
}

TEST_F(AuthStateTest, AReferenceIsNeverTakenForASealedText) {
  const RandomSource random = SeededRandom(6);
  std::set<std::string> references;
  for (int i = 0; i < 1000; ++i) references.insert(NewStateReference(random));
  EXPECT_EQ(references.size(), 1000u);
  for (const std::string& reference : references) {
    EXPECT_TRUE(IsStateReference(reference));
    EXPECT_FALSE(Open(reference).ok());
  }
  EXPECT_FALSE(IsStateReference(SealAuthState(sealer_, nonce_, state::v1::AuthState())));
  for (const std::string& bad :
       {std::string(), std::string(39, 'a'), std::string(41, 'a'), std::string(40, 'A'),
        std::string(40, 'g'), std::string(40, '-')}) {
    EXPECT_FALSE(IsStateReference(bad)) << bad;
  }
}

// What NetworkTakesSealed() reckons is the length that sealing yields.
TEST_F(AuthStateTest, ANetworkTakesSealedStatesUpToItsLimitToTheCharacter) {
  catalog::v1::Network network;
  for (size_t extra = 0; extra < 300; ++extra) {
    state::v1::AuthState state = State();
    state.set_redirect_uri(std::string(extra, 'a'));
    const auto chars = static_cast<uint32_t>(SealAuthState(sealer_, nonce_, state).size());
    network.mutable_state()->set_max_length(chars);
    EXPECT_TRUE(NetworkTakesSealed(network, state)) << extra;
    network.mutable_state()->set_max_length(chars - 1);
    EXPECT_FALSE(NetworkTakesSealed(network, state)) << extra;
  }
  network.clear_state();
  state::v1::AuthState state = State();
  EXPECT_TRUE(NetworkTakesSealed(network, state));
  network.mutable_state()->set_alphabet(catalog::v1::StateRules::ALPHABET_ALPHANUMERIC);
  EXPECT_FALSE(NetworkTakesSealed(network, state));
  network.clear_state();
  state.set_redirect_uri(std::string(2048, 'a'));
  EXPECT_FALSE(NetworkTakesSealed(network, state));
}

// A way to forge: takes valid states and makes something that is none of them.
std::string Forged(const std::vector<std::string>& states, std::mt19937& random) {
  const auto below = [&](size_t end) {
    return std::uniform_int_distribution<size_t>(0, end - 1)(random);
  };
  std::string text = states[below(states.size())];
  const std::string& other = states[below(states.size())];
  switch (below(7)) {
    case 0:  // A few characters replaced.
      for (size_t n = 1 + below(4); n > 0; --n) text[below(text.size())] = kAlphabet[below(64)];
      return text;
    case 1:  // Truncated at either end.
      return below(2) == 0 ? text.substr(0, below(text.size()))
                           : text.substr(1 + below(text.size()));
    case 2:  // Spliced with another.
      return text.substr(0, below(text.size())) + other.substr(below(other.size()));
    case 3:  // Extended.
      return absl::StrCat(text, std::string(1 + below(8), kAlphabet[below(64)]));
    case 4: {  // Another version or key id.
      std::string sealed = *Base64UrlDecode(text);
      sealed[below(2)] = static_cast<char>(below(256));
      return Base64UrlEncode(sealed);
    }
    case 5: {  // The nonce of another.
      std::string sealed = *Base64UrlDecode(text);
      sealed.replace(2, kNonceBytes, Base64UrlDecode(other)->substr(2, kNonceBytes));
      return Base64UrlEncode(sealed);
    }
    default: {  // Any bytes.
      std::string bytes(below(300), '\0');
      for (char& byte : bytes) byte = static_cast<char>(below(256));
      return below(2) == 0 ? bytes : Base64UrlEncode(bytes);
    }
  }
}

TEST_F(AuthStateTest, NoneOfAMillionForgeriesOpens) {
  // Two keys, so that a swapped key id may name a key that exists.
  const RandomSource source = SeededRandom(8);
  ASSERT_OK_AND_ASSIGN(const std::string ring_text,
                       RotatedKeyRingText(testing::kZeroKeyRing, source));
  ASSERT_OK_AND_ASSIGN(const KeyRing ring, KeyRing::Parse(ring_text));
  const Sealer sealer(ring);
  std::vector<std::string> states;
  for (int i = 0; i < 100; ++i) states.push_back(SealAuthState(sealer, NewNonce(source), State()));
  std::mt19937 random(9);
  const int tries = 1'000'000 / testing::kSlowdown;
  for (int i = 0; i < tries; ++i) {
    const std::string forged = Forged(states, random);
    if (std::find(states.begin(), states.end(), forged) != states.end()) continue;
    ASSERT_FALSE(OpenAuthState(sealer, forged, now_, "acme", "instagram").ok()) << forged;
  }
}

}  // namespace
}  // namespace authurl
