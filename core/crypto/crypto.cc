#include "core/crypto/crypto.h"

#include <openssl/evp.h>
#include <sodium.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/strings/escaping.h"

namespace authurl {
namespace {

static_assert(kKeyBytes == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
static_assert(kKeyBytes == crypto_kdf_KEYBYTES && kKeyBytes <= crypto_kdf_BYTES_MAX);
static_assert(kKeyBytes == crypto_core_hchacha20_KEYBYTES);
static_assert(kNonceBytes >= crypto_core_hchacha20_INPUTBYTES);
static_assert(kNonceBytes == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
static_assert(kTagBytes == crypto_aead_xchacha20poly1305_ietf_ABYTES);
static_assert(kKeyBytes == crypto_auth_hmacsha256_KEYBYTES);
static_assert(kSha256Bytes == crypto_auth_hmacsha256_BYTES);

// Part of every derivation: never change it.
constexpr char kKdfContext[crypto_kdf_CONTEXTBYTES + 1] = "authurl1";

const uint8_t* AsBytes(absl::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}
uint8_t* AsBytes(std::string& text) { return reinterpret_cast<uint8_t*>(text.data()); }

// OpenSSL's, because libsodium's makes no use of processors' instructions for it and takes twice as
// long for a short text. Null if this OpenSSL is configured to have none.
const EVP_MD* Sha256Function() {
  static const EVP_MD* const function = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return function;
}

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

uint8_t* AllocateKey() {
  auto* memory = static_cast<uint8_t*>(sodium_malloc(kKeyBytes));
  // Out of lockable memory: there is no safe way on.
  if (memory == nullptr) std::abort();
  return memory;
}

}  // namespace

absl::Status InitCrypto() {
  if (sodium_init() < 0) return absl::InternalError("libsodium does not work on this machine");
  if (Sha256Function() == nullptr) {
    return absl::InternalError("OpenSSL has no SHA-256 on this machine; see its openssl.cnf");
  }
  return absl::OkStatus();
}

void FillRandom(std::span<uint8_t> out) {
  // Of each thread; nothing is left in it that was handed out.
  struct Supply {
    std::array<uint8_t, 2048> bytes;
    size_t left = 0;
  };
  thread_local Supply supply;
  if (out.size() > supply.bytes.size()) return randombytes_buf(out.data(), out.size());
  if (out.size() > supply.left) {
    randombytes_buf(supply.bytes.data(), supply.bytes.size());
    supply.left = supply.bytes.size();
  }
  supply.left -= out.size();
  uint8_t* const taken = supply.bytes.data() + supply.left;
  std::copy_n(taken, out.size(), out.begin());
  sodium_memzero(taken, out.size());
}

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

void AeadSeal(const SecretKey& key, const Nonce& nonce, absl::string_view plaintext,
              absl::string_view associated_data, std::string& sealed) {
  const size_t begin = sealed.size();
  sealed.resize(begin + plaintext.size() + kTagBytes);
  crypto_aead_xchacha20poly1305_ietf_encrypt(
      AsBytes(sealed) + begin, nullptr, AsBytes(plaintext), plaintext.size(),
      AsBytes(associated_data), associated_data.size(), nullptr, nonce.data(), key.data());
}

std::optional<std::string> AeadOpen(const SecretKey& key, const Nonce& nonce,
                                    absl::string_view ciphertext,
                                    absl::string_view associated_data) {
  std::string plaintext;
  if (!AeadOpen(key, nonce, ciphertext, associated_data, plaintext)) return std::nullopt;
  return plaintext;
}

bool AeadOpen(const SecretKey& key, const Nonce& nonce, absl::string_view ciphertext,
              absl::string_view associated_data, std::string& plaintext) {
  plaintext.clear();
  if (ciphertext.size() < kTagBytes) return false;
  plaintext.resize(ciphertext.size() - kTagBytes);
  const bool opens =
      crypto_aead_xchacha20poly1305_ietf_decrypt(
          AsBytes(plaintext), nullptr, nullptr, AsBytes(ciphertext), ciphertext.size(),
          AsBytes(associated_data), associated_data.size(), nonce.data(), key.data()) == 0;
  if (!opens) plaintext.clear();
  return opens;
}

std::array<uint8_t, 32> DeriveFromNonce(const SecretKey& key, const Nonce& nonce) {
  std::array<uint8_t, crypto_core_hchacha20_OUTPUTBYTES> derived;
  crypto_core_hchacha20(derived.data(), nonce.data(), key.data(), nullptr);
  return derived;
}

std::array<uint8_t, kSha256Bytes> Sha256(absl::string_view message) {
  thread_local const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  std::array<uint8_t, kSha256Bytes> hash;
  if (EVP_DigestInit_ex2(context.get(), Sha256Function(), nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), message.data(), message.size()) != 1 ||
      EVP_DigestFinal_ex(context.get(), hash.data(), nullptr) != 1) {
    // Out of memory, and a wrong hash must not be used.
    std::abort();
  }
  return hash;
}

std::array<uint8_t, kSha256Bytes> Mac(const SecretKey& key, absl::string_view message) {
  std::array<uint8_t, kSha256Bytes> mac;
  crypto_auth_hmacsha256(mac.data(), AsBytes(message), message.size(), key.data());
  return mac;
}

std::array<uint8_t, kSha256Bytes> MacOf(absl::string_view key, absl::string_view message) {
  std::array<uint8_t, kSha256Bytes> mac;
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, AsBytes(key), key.size());
  crypto_auth_hmacsha256_update(&state, AsBytes(message), message.size());
  crypto_auth_hmacsha256_final(&state, mac.data());
  sodium_memzero(&state, sizeof(state));
  return mac;
}

std::string Md5Hex(absl::string_view message) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  if (EVP_Digest(message.data(), message.size(), digest.data(), &size, EVP_md5(), nullptr) != 1) {
    // A machine that has no MD5 (FIPS 140): the network will refuse the signature.
    return "";
  }
  return HexEncode(AsChars({digest.data(), size}));
}

bool EqualInConstantTime(absl::string_view a, absl::string_view b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string Base64UrlEncode(absl::string_view bytes) { return absl::WebSafeBase64Escape(bytes); }

void Base64UrlEncode(absl::string_view bytes, std::string& text) {
  absl::WebSafeBase64Escape(bytes, &text);
}

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
