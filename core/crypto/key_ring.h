// key_ring.h: the master keys of a deployment, read from the key-ring file.
//
// File format: lines of text. `#` starts a comment line; every other non-empty line is
//   <key id> <key>
// with the id in decimal, 1 to 255, unique, and the key in base64url without padding, 43 characters
// (32 bytes). The first key seals; every key opens. To rotate, put a new key first and keep the old
// ones until nothing sealed under them is left.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/crypto/crypto.h"

namespace authurl {

// What a sealed value is for. A value sealed for one purpose does not open for another. Values are
// stored: never change or reuse one.
enum class Purpose : uint8_t {
  kAuthState = 1,
  kCodeVerifier = 2,
  kOrganization = 3,
  kApiKey = 4,
  kSettings = 5,
  kSecret = 6,
  kPageToken = 7,
  kKeyRingCheck = 8,
  kIdTokenNonce = 9,
  kFlowId = 10,
  kCallbackContext = 11,
  kFlow = 12,
  kGrant = 13,
  kGrantTokens = 14,
  kSocialAccount = 15,
  kSocialAccountToken = 16,
  kPendingConnection = 17,
  kChoiceTokens = 18,
  kSessionToken = 19,
  kTenantToken = 20,
  kEvent = 21,
  kWebhook = 22,
  kWebhookSecret = 23,
  kImport = 24,
  kImportTokens = 25,
};
inline constexpr uint8_t kFirstPurpose = 1;
inline constexpr uint8_t kLastPurpose = 25;

// Immutable; safe to use from many threads at once.
class KeyRing final {
 public:
  // Reads the text of a key-ring file. InvalidArgumentError naming the line (never its content) if
  // it is malformed.
  static absl::StatusOr<KeyRing> Parse(absl::string_view text);

  // The id of the key that seals.
  uint8_t primary_id() const { return primary_id_; }
  // How many keys there are.
  size_t size() const { return size_; }
  // The key's subkey for a purpose, or null if the ring has no key of that id.
  const SecretKey* Find(uint8_t key_id, Purpose purpose) const;

 private:
  KeyRing() = default;
  uint8_t primary_id_ = 0;
  size_t size_ = 0;
  // By key id, the subkeys in the order of their purposes; the master keys themselves are not kept.
  std::array<std::vector<SecretKey>, 256> subkeys_;
};

// The text of a new key-ring file with one key.
std::string NewKeyRingText(const RandomSource& random);
// `text` with a new key put first. InvalidArgumentError if `text` is malformed or all 255 ids are
// taken.
absl::StatusOr<std::string> RotatedKeyRingText(absl::string_view text, const RandomSource& random);
// `text` with its first key alone. InvalidArgumentError if `text` is malformed.
absl::StatusOr<std::string> FirstKeyText(absl::string_view text);

}  // namespace authurl
