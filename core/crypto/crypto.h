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
// The operating system's generator, asked for some hundreds of bytes at a time: a system call for
// each nonce would cost more than sealing with it. Bytes that were handed out are wiped.
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

// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha). Appends ciphertext and tag to `sealed`.
void AeadSeal(const SecretKey& key, const Nonce& nonce, absl::string_view plaintext,
              absl::string_view associated_data, std::string& sealed);
// Nothing when the tag is wrong.
std::optional<std::string> AeadOpen(const SecretKey& key, const Nonce& nonce,
                                    absl::string_view ciphertext,
                                    absl::string_view associated_data);
// The same in place of what `plaintext` holds, whose memory is used again. False when the tag is
// wrong; then it holds nothing that was sealed.
bool AeadOpen(const SecretKey& key, const Nonce& nonce, absl::string_view ciphertext,
              absl::string_view associated_data, std::string& plaintext);

// 32 bytes that nobody without the key can tell from random ones, always the same for the same
// nonce: HChaCha20, the function by which XChaCha20 makes a message key of a nonce
// (draft-irtf-cfrg-xchacha section 2.2). Reads the nonce's first 16 bytes, so they alone must be
// fresh.
std::array<uint8_t, 32> DeriveFromNonce(const SecretKey& key, const Nonce& nonce);
// REQUIRES: InitCrypto() was OK.
std::array<uint8_t, kSha256Bytes> Sha256(absl::string_view message);

// HMAC-SHA-256 (RFC 2104).
std::array<uint8_t, kSha256Bytes> Mac(const SecretKey& key, absl::string_view message);
// The same with a key of any length that somebody else has as well.
std::array<uint8_t, kSha256Bytes> MacOf(absl::string_view key, absl::string_view message);

// MD5 in lower-case hexadecimal, for the one network that signs requests by it. Protects nothing.
std::string Md5Hex(absl::string_view message);

// Takes the same time wherever the first difference is. Different sizes are unequal.
bool EqualInConstantTime(absl::string_view a, absl::string_view b);

// RFC 4648 section 5 without padding.
std::string Base64UrlEncode(absl::string_view bytes);
// The same in place of what `text` holds, whose memory is used again.
void Base64UrlEncode(absl::string_view bytes, std::string& text);
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
