// crypto.h: the cryptographic primitives that authurl uses. The only place that knows libsodium.
//
// All functions are safe to call from many threads at once, after InitCrypto().
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace authurl {

// Must succeed once before anything else here is called. InternalError if the library does not work
// on this machine.
absl::Status InitCrypto();

// Fills a buffer with unpredictable bytes. Passed in wherever randomness is needed, so that tests
// can choose it.
using RandomSource = std::function<void(std::span<uint8_t>)>;
// The operating system's generator.
void FillRandom(std::span<uint8_t> out);

inline constexpr size_t kKeyBytes = 32;
inline constexpr size_t kNonceBytes = 24;
inline constexpr size_t kTagBytes = 16;
inline constexpr size_t kSha256Bytes = 32;

using Nonce = std::array<uint8_t, kNonceBytes>;
Nonce NewNonce(const RandomSource& random);

// 32 secret bytes in locked, guarded memory that is left out of core dumps and wiped at the end.
// Movable, not copyable.
class SecretKey final {
 public:
  // REQUIRES: bytes.size() == kKeyBytes.
  explicit SecretKey(std::span<const uint8_t> bytes);
  ~SecretKey();
  SecretKey(SecretKey&& other) noexcept;
  SecretKey& operator=(SecretKey&& other) noexcept;
  SecretKey(const SecretKey&) = delete;
  SecretKey& operator=(const SecretKey&) = delete;

  const uint8_t* data() const { return bytes_; }
  // A key for one purpose, made from this one (crypto_kdf). Different ids yield unrelated keys.
  SecretKey Derive(uint64_t purpose_id) const;

 private:
  SecretKey() = default;
  uint8_t* bytes_ = nullptr;
};

// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha). Returns ciphertext with the tag appended.
std::string AeadSeal(const SecretKey& key, const Nonce& nonce, absl::string_view plaintext,
                     absl::string_view associated_data);
// Nothing when the tag is wrong.
std::optional<std::string> AeadOpen(const SecretKey& key, const Nonce& nonce,
                                    absl::string_view ciphertext,
                                    absl::string_view associated_data);

// BLAKE2b-256 under a key.
std::array<uint8_t, 32> KeyedHash(const SecretKey& key, absl::string_view message);
std::array<uint8_t, kSha256Bytes> Sha256(absl::string_view message);

// Takes the same time wherever the first difference is. Different sizes are unequal.
bool EqualInConstantTime(absl::string_view a, absl::string_view b);

// RFC 4648 section 5 without padding.
std::string Base64UrlEncode(absl::string_view bytes);
// Strict: no padding, no white space, no character outside the alphabet, and unused bits of the
// last character zero, so that every byte string has exactly one spelling.
std::optional<std::string> Base64UrlDecode(absl::string_view text);
// Lower-case hexadecimal.
std::string HexEncode(absl::string_view bytes);

// Overwrites the text's memory, then empties it.
void Wipe(std::string& text);

inline absl::string_view AsChars(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace authurl
