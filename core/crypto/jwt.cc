#include "core/crypto/jwt.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <array>
#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/crypto/crypto.h"

namespace authurl {
namespace {

constexpr size_t kHalfBytes = 32;
constexpr absl::string_view kPemBegin = "-----BEGIN PRIVATE KEY-----";

template <auto free>
struct Freed {
  template <typename T>
  void operator()(T* pointer) const {
    free(pointer);
  }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;

// OpenSSL would ask the terminal.
int NoPassword(char* /*buffer*/, int /*size*/, int /*is_writing*/, void* /*data*/) { return 0; }

bool IsP256(const EVP_PKEY* key) {
  std::array<char, 64> group;
  size_t size = 0;
  return EVP_PKEY_is_a(key, "EC") == 1 &&
         EVP_PKEY_get_group_name(key, group.data(), group.size(), &size) == 1 &&
         absl::string_view(group.data(), size) == "prime256v1";
}

// RFC 7518 section 3.4: two numbers of 32 bytes in place of ASN.1.
std::string AsTwoNumbers(absl::string_view der) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
  const std::unique_ptr<ECDSA_SIG, Freed<ECDSA_SIG_free>> signature(
      d2i_ECDSA_SIG(nullptr, &bytes, static_cast<long>(der.size())));
  if (signature == nullptr) return "";
  std::string numbers(2 * kHalfBytes, '\0');
  auto* out = reinterpret_cast<unsigned char*>(numbers.data());
  const bool fits =
      BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), out, kHalfBytes) >= 0 &&
      BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), out + kHalfBytes, kHalfBytes) >= 0;
  return fits ? numbers : "";
}

}  // namespace

struct SigningKey::Key {
  KeyPtr pkey;
};

SigningKey::SigningKey(std::unique_ptr<Key> key) : key_(std::move(key)) {}
SigningKey::SigningKey(SigningKey&&) noexcept = default;
SigningKey& SigningKey::operator=(SigningKey&&) noexcept = default;
SigningKey::~SigningKey() = default;

absl::StatusOr<SigningKey> SigningKey::ParsePem(absl::string_view pem) {
  if (!absl::StartsWith(pem, kPemBegin)) {
    return absl::InvalidArgumentError(
        absl::StrCat("must be a private key in PKCS#8: a text that begins with ", kPemBegin));
  }
  const std::unique_ptr<BIO, Freed<BIO_free>> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        "is not a private key that can be read: copy the whole file, with its line breaks");
  }
  if (!IsP256(key.get())) {
    return absl::InvalidArgumentError("must be an EC key on the curve P-256, which ES256 signs by");
  }
  auto owned = std::make_unique<Key>();
  owned->pkey = std::move(key);
  return SigningKey(std::move(owned));
}

absl::StatusOr<std::string> SigningKey::Sign(absl::string_view message) const {
  const std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
  const auto* data = reinterpret_cast<const unsigned char*>(message.data());
  size_t size = 0;
  std::string der;
  if (EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_->pkey.get()) == 1 &&
      EVP_DigestSign(context.get(), nullptr, &size, data, message.size()) == 1) {
    der.resize(size);
    const int signed_it = EVP_DigestSign(
        context.get(), reinterpret_cast<unsigned char*>(der.data()), &size, data, message.size());
    der.resize(signed_it == 1 ? size : 0);
  }
  std::string signature = AsTwoNumbers(der);
  if (signature.empty()) return absl::InternalError("OpenSSL could not sign with ES256");
  return signature;
}

JwtClaim TextClaim(absl::string_view name, absl::string_view text) {
  return {std::string(name), nlohmann::json(std::string(text)).dump()};
}

JwtClaim TimeClaim(absl::string_view name, absl::Time time) {
  return {std::string(name), absl::StrCat(absl::ToUnixSeconds(time))};
}

absl::StatusOr<std::string> SignJwt(const SigningKey& key, absl::string_view key_id,
                                    const std::vector<JwtClaim>& claims) {
  nlohmann::ordered_json header = {{"alg", "ES256"}, {"typ", "JWT"}};
  if (!key_id.empty()) header["kid"] = std::string(key_id);
  std::string payload;
  for (const JwtClaim& claim : claims) {
    absl::StrAppend(&payload, payload.empty() ? "{" : ",", nlohmann::json(claim.name).dump(), ":",
                    claim.json);
  }
  absl::StrAppend(&payload, "}");
  std::string jwt = absl::StrCat(Base64UrlEncode(header.dump()), ".", Base64UrlEncode(payload));
  const absl::StatusOr<std::string> signature = key.Sign(jwt);
  if (!signature.ok()) return signature.status();
  absl::StrAppend(&jwt, ".", Base64UrlEncode(*signature));
  return jwt;
}

bool LooksLikeJwt(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '.');
  if (parts.size() != 3) return false;
  for (const absl::string_view part : parts) {
    if (part.empty() || !Base64UrlDecode(part)) return false;
  }
  return true;
}

std::optional<std::string> PayloadOfJwt(absl::string_view jwt) {
  const std::vector<absl::string_view> parts = absl::StrSplit(jwt, '.');
  if (parts.size() != 3) return std::nullopt;
  return Base64UrlDecode(parts[1]);
}

std::optional<absl::Time> EndOfJwt(absl::string_view jwt) {
  const std::optional<std::string> payload = PayloadOfJwt(jwt);
  if (!payload) return std::nullopt;
  const auto claims = nlohmann::json::parse(*payload, nullptr, /*allow_exceptions=*/false);
  if (!claims.is_object()) return std::nullopt;
  const auto end = claims.find("exp");
  if (end == claims.end() || !end->is_number()) return std::nullopt;
  const double seconds = end->get<double>();
  if (!(seconds >= 0)) return std::nullopt;
  // What no clock can show is for ever.
  return absl::UnixEpoch() + absl::Seconds(seconds);
}

}  // namespace authurl
