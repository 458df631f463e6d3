#include "core/api_key.h"

#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace authurl {
namespace {

constexpr absl::string_view kPrefix = "auk_";
constexpr absl::string_view kAlphabet =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr size_t kKeyIdChars = 12;
// 62^43 > 2^256.
constexpr size_t kSecretChars = 43;
constexpr size_t kChecksumChars = 6;

// `count` characters of `alphabet`, each equally likely.
std::string RandomText(size_t count, absl::string_view alphabet, const RandomSource& random) {
  // Bytes from here on would favour the first letters.
  const size_t fair_end = 256 - 256 % alphabet.size();
  std::string text;
  std::array<uint8_t, 64> bytes;
  while (text.size() < count) {
    random(bytes);
    for (size_t i = 0; i < bytes.size() && text.size() < count; ++i) {
      if (bytes[i] < fair_end) text.push_back(alphabet[bytes[i] % alphabet.size()]);
    }
  }
  return text;
}

// The first 32 bits of SHA-256, in base 62.
std::string Checksum(absl::string_view text) {
  const auto hash = Sha256(text);
  uint64_t number = uint64_t{hash[0]} << 24 | uint64_t{hash[1]} << 16 | uint64_t{hash[2]} << 8 |
                    uint64_t{hash[3]};
  std::string checksum(kChecksumChars, '0');
  for (auto c = checksum.rbegin(); c != checksum.rend(); ++c, number /= kAlphabet.size()) {
    *c = kAlphabet[number % kAlphabet.size()];
  }
  return checksum;
}

bool IsAlphanumeric(absl::string_view text) {
  for (const char c : text) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c))) return false;
  }
  return true;
}

}  // namespace

std::string NewApiKey(const RandomSource& random) {
  const std::string key = absl::StrCat(kPrefix, RandomText(kKeyIdChars, kAlphabet, random), "_",
                                       RandomText(kSecretChars, kAlphabet, random));
  return absl::StrCat(key, Checksum(key));
}

absl::string_view KeyIdOf(absl::string_view text) {
  absl::string_view rest = text;
  if (!absl::ConsumePrefix(&rest, kPrefix)) return {};
  if (rest.size() != kKeyIdChars + 1 + kSecretChars + kChecksumChars) return {};
  const absl::string_view key_id = rest.substr(0, kKeyIdChars);
  if (rest[kKeyIdChars] != '_' || !IsAlphanumeric(key_id) ||
      !IsAlphanumeric(rest.substr(kKeyIdChars + 1))) {
    return {};
  }
  return key_id;
}

std::optional<ParsedApiKey> ParseApiKey(absl::string_view text) {
  const absl::string_view key_id = KeyIdOf(text);
  if (key_id.empty()) return std::nullopt;
  const size_t checked = text.size() - kChecksumChars;
  if (text.substr(checked) != Checksum(text.substr(0, checked))) return std::nullopt;
  return ParsedApiKey{std::string(key_id), std::string(AsChars(Sha256(text)))};
}

std::string NewId(absl::string_view prefix, const RandomSource& random) {
  // Crockford's base32 in lower case: 32 letters, none easily mistaken for another.
  return absl::StrCat(prefix, RandomText(20, "0123456789abcdefghjkmnpqrstvwxyz", random));
}

}  // namespace authurl
