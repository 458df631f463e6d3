// Any bytes as a key-ring file and as an API key. A ring that is taken has every subkey and
// survives rotation; an error never shows what stands in the file.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "core/api_key.h"
#include "core/crypto/crypto.h"
#include "core/crypto/key_ring.h"
#include "tests/fuzz/must.h"
#include "tests/support/fixed_random.h"

namespace authurl::fuzz {
namespace {

// Shorter words of the file may be words of the message, too.
constexpr size_t kTellingBytes = 20;

const std::string& OfKey(const KeyRing& ring, uint8_t id, Purpose purpose, std::string& hash) {
  const SecretKey* key = ring.Find(id, purpose);
  Must(key != nullptr, "a key has a subkey for each purpose");
  const auto bytes = DeriveFromNonce(*key, Nonce{});
  hash.assign(bytes.begin(), bytes.end());
  return hash;
}

void CheckRotation(absl::string_view text, const KeyRing& ring) {
  const auto rotated = RotatedKeyRingText(text, testing::SeededRandom(1));
  if (!rotated.ok()) return Must(absl::StrContains(rotated.status().message(), "full"), "full");
  const absl::StatusOr<KeyRing> next = KeyRing::Parse(*rotated);
  Must(next.ok(), "a rotated ring can be read");
  Must(ring.Find(next->primary_id(), Purpose::kSecret) == nullptr, "the new key has a new id");
  std::string before;
  std::string after;
  for (uint8_t purpose = kFirstPurpose; purpose <= kLastPurpose; ++purpose) {
    const auto of = static_cast<Purpose>(purpose);
    Must(OfKey(ring, ring.primary_id(), of, before) == OfKey(*next, ring.primary_id(), of, after),
         "rotation keeps the old keys");
  }
}

void CheckKeyRing(absl::string_view text) {
  const absl::StatusOr<KeyRing> ring = KeyRing::Parse(text);
  if (ring.ok()) {
    Must(ring->primary_id() != 0 && ring->Find(0, Purpose::kSecret) == nullptr, "0 is no id");
    std::set<std::string> hashes;
    std::string hash;
    for (uint8_t purpose = kFirstPurpose; purpose <= kLastPurpose; ++purpose) {
      hashes.insert(OfKey(*ring, ring->primary_id(), static_cast<Purpose>(purpose), hash));
    }
    Must(hashes.size() == kLastPurpose, "no two purposes share a key");
    return CheckRotation(text, *ring);
  }
  MustBeText(ring.status().message());
  for (const absl::string_view word : absl::StrSplit(text, absl::ByAnyChar(" \t\r\n"))) {
    Must(word.size() < kTellingBytes || !absl::StrContains(ring.status().message(), word),
         "an error shows nothing of the file");
  }
}

void CheckApiKey(absl::string_view text) {
  const std::optional<ParsedApiKey> key = ParseApiKey(text);
  if (!key.has_value()) return;
  Must(absl::StartsWith(text, absl::StrCat("auk_", key->key_id, "_")),
       "the id is that in the text");
  Must(key->key_id.size() == 12 && text.size() == 4 + 12 + 1 + 43 + 6, "of the one size");
  Must(key->digest == AsChars(Sha256(text)), "the digest is that of the whole text");
  // In one place only: among very many, one would get past a checksum of 32 bits.
  std::string typo(text);
  char& mistyped = typo[static_cast<unsigned char>(key->digest[0]) % typo.size()];
  mistyped = mistyped == 'a' ? 'b' : 'a';
  Must(!ParseApiKey(typo).has_value(), "a typo is found");
}

}  // namespace
}  // namespace authurl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool ready = authurl::InitCrypto().ok();
  authurl::fuzz::Must(ready, "the cryptographic library works");
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  authurl::fuzz::CheckKeyRing(text);
  authurl::fuzz::CheckApiKey(text);
  return 0;
}
