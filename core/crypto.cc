#include "core/crypto.h"

#include <sodium.h>

#include <utility>

#include "absl/strings/escaping.h"

namespace authurl {
namespace {

static_assert(kKeyBytes == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
static_assert(kKeyBytes == crypto_kdf_KEYBYTES && kKeyBytes <= crypto_kdf_BYTES_MAX);
static_assert(kKeyBytes == crypto_generichash_KEYBYTES);
static_assert(kNonceBytes == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
static_assert(kTagBytes == crypto_aead_xchacha20poly1305_ietf_ABYTES);
static_assert(kSha256Bytes == crypto_hash_sha256_BYTES);

// Part of every derivation: never change it.
constexpr char kKdfContext[crypto_kdf_CONTEXTBYTES + 1] = "authurl1";

const uint8_t* AsBytes(absl::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}
uint8_t* AsBytes(std::string& text) { return reinterpret_cast<uint8_t*>(text.data()); }

uint8_t* AllocateKey() {
  auto* memory = static_cast<uint8_t*>(sodium_malloc(kKeyBytes));
  // Out of lockable memory: there is no safe way on.
  if (memory == nullptr) std::abort();
  return memory;
}

}  // namespace

absl::Status InitCrypto() {
  if (sodium_init() < 0) return absl::InternalError("libsodium does not work on this machine");
  return absl::OkStatus();
}

void FillRandom(std::span<uint8_t> out) { randombytes_buf(out.data(), out.size()); }

Nonce NewNonce(const RandomSource& random) {
  Nonce nonce;
  random(nonce);
  return nonce;
}

SecretKey::SecretKey(std::span<const uint8_t> bytes) : bytes_(AllocateKey()) {
  std::copy(bytes.begin(), bytes.begin() + kKeyBytes, bytes_);
}

SecretKey::~SecretKey() { sodium_free(bytes_); }

SecretKey::SecretKey(SecretKey&& other) noexcept : bytes_(std::exchange(other.bytes_, nullptr)) {}

SecretKey& SecretKey::operator=(SecretKey&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

SecretKey SecretKey::Derive(uint64_t purpose_id) const {
  SecretKey derived;
  derived.bytes_ = AllocateKey();
  crypto_kdf_derive_from_key(derived.bytes_, kKeyBytes, purpose_id, kKdfContext, bytes_);
  return derived;
}

std::string AeadSeal(const SecretKey& key, const Nonce& nonce, absl::string_view plaintext,
                     absl::string_view associated_data) {
  std::string ciphertext(plaintext.size() + kTagBytes, '\0');
  crypto_aead_xchacha20poly1305_ietf_encrypt(
      AsBytes(ciphertext), nullptr, AsBytes(plaintext), plaintext.size(), AsBytes(associated_data),
      associated_data.size(), nullptr, nonce.data(), key.data());
  return ciphertext;
}

std::optional<std::string> AeadOpen(const SecretKey& key, const Nonce& nonce,
                                    absl::string_view ciphertext,
                                    absl::string_view associated_data) {
  if (ciphertext.size() < kTagBytes) return std::nullopt;
  std::string plaintext(ciphertext.size() - kTagBytes, '\0');
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(
          AsBytes(plaintext), nullptr, nullptr, AsBytes(ciphertext), ciphertext.size(),
          AsBytes(associated_data), associated_data.size(), nonce.data(), key.data()) != 0) {
    return std::nullopt;
  }
  return plaintext;
}

std::array<uint8_t, 32> KeyedHash(const SecretKey& key, absl::string_view message) {
  std::array<uint8_t, 32> hash;
  crypto_generichash(hash.data(), hash.size(), AsBytes(message), message.size(), key.data(),
                     kKeyBytes);
  return hash;
}

std::array<uint8_t, kSha256Bytes> Sha256(absl::string_view message) {
  std::array<uint8_t, kSha256Bytes> hash;
  crypto_hash_sha256(hash.data(), AsBytes(message), message.size());
  return hash;
}

bool EqualInConstantTime(absl::string_view a, absl::string_view b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string Base64UrlEncode(absl::string_view bytes) { return absl::WebSafeBase64Escape(bytes); }

std::optional<std::string> Base64UrlDecode(absl::string_view text) {
  std::string bytes;
  if (!absl::WebSafeBase64Unescape(text, &bytes)) return std::nullopt;
  // Decoders are lax: Abseil's takes padding, white space and loose tail bits, libsodium 1.0.18's
  // takes bytes above 127. What encodes to the same text again is the one spelling of its bytes.
  if (Base64UrlEncode(bytes) != text) return std::nullopt;
  return bytes;
}

std::string HexEncode(absl::string_view bytes) { return absl::BytesToHexString(bytes); }

void Wipe(std::string& text) {
  sodium_memzero(text.data(), text.size());
  text.clear();
}

}  // namespace authurl
