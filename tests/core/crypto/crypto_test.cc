#include "core/crypto/crypto.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <set>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace authurl {
namespace {

using ::testing::Optional;

SecretKey CountingKey(uint8_t first) {
  std::array<uint8_t, kKeyBytes> bytes;
  std::iota(bytes.begin(), bytes.end(), first);
  return SecretKey(bytes);
}

std::string Sealed(const SecretKey& key, const Nonce& nonce, absl::string_view plaintext,
                   absl::string_view associated_data) {
  std::string sealed;
  AeadSeal(key, nonce, plaintext, associated_data, sealed);
  return sealed;
}

// draft-irtf-cfrg-xchacha-03, appendix A.3.1.
TEST(CryptoTest, SealsThePublishedXChaCha20Poly1305Vector) {
  const SecretKey key = CountingKey(0x80);
  Nonce nonce;
  std::iota(nonce.begin(), nonce.end(), uint8_t{0x40});
  const std::string plaintext =
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
      "sunscreen would be it.";
  const std::string associated_data = "PQRS\xc0\xc1\xc2\xc3\xc4\xc5\xc6\xc7";
  const std::string sealed = Sealed(key, nonce, plaintext, associated_data);
  EXPECT_EQ(absl::BytesToHexString(sealed),
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
            "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
            "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
            "21f9664c97637da9768812f615c68b13b52e"
            "c0875924c1c7987947deafd8780acf49");
  EXPECT_THAT(AeadOpen(key, nonce, sealed, associated_data), Optional(plaintext));
}

TEST(CryptoTest, OpensNothingUnderAnotherKeyNonceOrAssociatedData) {
  const SecretKey key = CountingKey(1);
  const Nonce nonce = {};
  const std::string sealed = Sealed(key, nonce, "text", "data");
  EXPECT_EQ(AeadOpen(CountingKey(2), nonce, sealed, "data"), std::nullopt);
  EXPECT_EQ(AeadOpen(key, Nonce{1}, sealed, "data"), std::nullopt);
  EXPECT_EQ(AeadOpen(key, nonce, sealed, "Data"), std::nullopt);
  EXPECT_EQ(AeadOpen(key, nonce, sealed.substr(1), "data"), std::nullopt);
  EXPECT_EQ(AeadOpen(key, nonce, "", "data"), std::nullopt);
}

// FIPS 180-2, appendix B.1.
TEST(CryptoTest, HashesThePublishedSha256Vector) {
  EXPECT_EQ(HexEncode(AsChars(Sha256("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

// RFC 4231 section 4.2; HMAC fills a shorter key up with zeros (RFC 2104 section 2).
TEST(CryptoTest, AuthenticatesThePublishedHmacSha256Vector) {
  std::array<uint8_t, kKeyBytes> bytes = {};
  std::fill_n(bytes.begin(), 20, uint8_t{0x0b});
  EXPECT_EQ(HexEncode(AsChars(Mac(SecretKey(bytes), "Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
}

TEST(CryptoTest, DerivesOneKeyForEachPurpose) {
  const SecretKey master = CountingKey(0);
  std::set<std::string> seen;
  for (uint64_t purpose = 1; purpose <= 100; ++purpose) {
    const SecretKey derived = master.Derive(purpose);
    seen.emplace(AsChars({derived.data(), kKeyBytes}));
  }
  EXPECT_EQ(seen.size(), 100u);
}

// draft-irtf-cfrg-xchacha section 2.2.1.
TEST(CryptoTest, DerivesFromANonceAsHChaCha20Does) {
  Nonce nonce = {0x00, 0x00, 0x00, 0x09, 0x00, 0x00, 0x00, 0x4a,
                 0x00, 0x00, 0x00, 0x00, 0x31, 0x41, 0x59, 0x27};
  const auto derived = DeriveFromNonce(CountingKey(0), nonce);
  EXPECT_EQ(HexEncode(AsChars(derived)),
            "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc");
  EXPECT_NE(derived, DeriveFromNonce(CountingKey(1), nonce));
  nonce[15] ^= 1;
  EXPECT_NE(derived, DeriveFromNonce(CountingKey(0), nonce));
}

TEST(CryptoTest, RandomBytesAreNeverHandedOutTwice) {
  std::set<std::string> seen;
  for (int i = 0; i < 10'000; ++i) {
    std::array<uint8_t, 24> bytes{};
    FillRandom(bytes);
    seen.insert(std::string(AsChars(bytes)));
  }
  EXPECT_EQ(seen.size(), 10'000u);
  std::array<uint8_t, 2000> many{};
  FillRandom(many);
  EXPECT_LT(std::count(many.begin(), many.end(), 0), 40);
}

// RFC 4648 section 10, without padding.
TEST(CryptoTest, EncodesBase64Url) {
  EXPECT_EQ(Base64UrlEncode(""), "");
  EXPECT_EQ(Base64UrlEncode("f"), "Zg");
  EXPECT_EQ(Base64UrlEncode("foobar"), "Zm9vYmFy");
  EXPECT_EQ(Base64UrlEncode("\xfb\xff"), "-_8");
}

TEST(CryptoTest, DecodesOnlyTheOneSpellingOfEachBase64UrlText) {
  EXPECT_THAT(Base64UrlDecode(""), Optional(std::string()));
  EXPECT_THAT(Base64UrlDecode("Zm9vYmFy"), Optional(std::string("foobar")));
  for (const char* wrong : {"Zg==", "Zg=", "Zh", "Z", "Zm9v YmFy", "Zm9vYmFy\n", "Zm9v+mFy",
                            "Zm9v/mFy", "Zm9vYmF\xc3\xa9", "Zm9vYmFy="}) {
    EXPECT_EQ(Base64UrlDecode(wrong), std::nullopt) << wrong;
  }
}

TEST(CryptoTest, DecodesNoByteOutsideTheBase64UrlAlphabet) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const bool in_alphabet =
        absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
    EXPECT_EQ(Base64UrlDecode(absl::StrCat("Zm9v", absl::string_view(&c, 1), "mFy")).has_value(),
              in_alphabet)
        << byte;
  }
}

TEST(CryptoTest, EveryByteStringSurvivesBase64Url) {
  for (size_t size = 0; size < 70; ++size) {
    std::string bytes(size, '\0');
    FillRandom({reinterpret_cast<uint8_t*>(bytes.data()), size});
    EXPECT_THAT(Base64UrlDecode(Base64UrlEncode(bytes)), Optional(bytes));
  }
}

TEST(CryptoTest, ComparesSizesAndContents) {
  EXPECT_TRUE(EqualInConstantTime("", ""));
  EXPECT_TRUE(EqualInConstantTime("abc", "abc"));
  EXPECT_FALSE(EqualInConstantTime("abc", "abd"));
  EXPECT_FALSE(EqualInConstantTime("abc", "ab"));
}

TEST(CryptoTest, WipingLeavesAnEmptyText) {
  std::string secret = "a secret that is too long for the small-string buffer of the library";
  Wipe(secret);
  EXPECT_EQ(secret, "");
}

}  // namespace
}  // namespace authurl
