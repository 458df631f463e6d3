// sealer.h: turns plaintext into bytes that only holders of the key ring can read, forge or change.
//
// Format: version (1 byte) ‖ key id (1 byte) ‖ nonce (24 bytes) ‖ XChaCha20-Poly1305 ciphertext ‖
// tag (16 bytes). Version, key id, purpose and the caller's context are associated data: a value
// moved to another purpose or context does not open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/crypto/crypto.h"
#include "core/crypto/key_ring.h"

namespace authurl {

inline constexpr uint8_t kSealedVersion = 1;
// What sealing adds to the plaintext.
inline constexpr size_t kSealedOverhead = 2 + kNonceBytes + kTagBytes;

// Safe to use from many threads at once.
class Sealer final {
 public:
  // `keys` must outlive the sealer.
  explicit Sealer(const KeyRing& keys) : keys_(keys) {}

  // Seals under the ring's first key. REQUIRES: `nonce` was never used before; 24 random bytes are
  // fit for that.
  std::string Seal(Purpose purpose, const Nonce& nonce, absl::string_view plaintext,
                   absl::string_view context) const;
  // The same in place of what `sealed` holds, whose memory is used again.
  void Seal(Purpose purpose, const Nonce& nonce, absl::string_view plaintext,
            absl::string_view context, std::string& sealed) const;

  // The same under any key of the ring. REQUIRES: the ring has it.
  void SealUnder(uint8_t key_id, Purpose purpose, const Nonce& nonce, absl::string_view plaintext,
                 absl::string_view context, std::string& sealed) const;

  // InvalidArgumentError, always with the same text, if the value is too short, of an unknown
  // version or key, forged, or made for another purpose or context.
  absl::StatusOr<std::string> Open(Purpose purpose, absl::string_view sealed,
                                   absl::string_view context) const;
  // The same in place of what `plaintext` holds, whose memory is used again; empty on an error.
  absl::Status Open(Purpose purpose, absl::string_view sealed, absl::string_view context,
                    std::string& plaintext) const;

  const KeyRing& keys() const { return keys_; }

 private:
  const KeyRing& keys_;
};

// The key id and nonce of a sealed value, unauthenticated; nothing if it is too short to be one.
struct SealedHeader {
  uint8_t key_id;
  Nonce nonce;
};
std::optional<SealedHeader> ReadSealedHeader(absl::string_view sealed);

}  // namespace authurl
