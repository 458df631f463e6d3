#include "core/crypto/sealer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace authurl {
namespace {

std::string AssociatedData(uint8_t version, uint8_t key_id, Purpose purpose,
                           absl::string_view context) {
  // The first three have a fixed size, so no two combinations run together into the same bytes.
  std::string data = {static_cast<char>(version), static_cast<char>(key_id),
                      static_cast<char>(purpose)};
  absl::StrAppend(&data, context);
  return data;
}

}  // namespace

std::string Sealer::Seal(Purpose purpose, const Nonce& nonce, absl::string_view plaintext,
                         absl::string_view context) const {
  std::string sealed;
  Seal(purpose, nonce, plaintext, context, sealed);
  return sealed;
}

void Sealer::Seal(Purpose purpose, const Nonce& nonce, absl::string_view plaintext,
                  absl::string_view context, std::string& sealed) const {
  SealUnder(keys_.primary_id(), purpose, nonce, plaintext, context, sealed);
}

void Sealer::SealUnder(uint8_t key_id, Purpose purpose, const Nonce& nonce,
                       absl::string_view plaintext, absl::string_view context,
                       std::string& sealed) const {
  sealed.clear();
  sealed.reserve(kSealedOverhead + plaintext.size());
  sealed.push_back(static_cast<char>(kSealedVersion));
  sealed.push_back(static_cast<char>(key_id));
  absl::StrAppend(&sealed, AsChars(nonce));
  AeadSeal(*keys_.Find(key_id, purpose), nonce, plaintext,
           AssociatedData(kSealedVersion, key_id, purpose, context), sealed);
}

absl::StatusOr<std::string> Sealer::Open(Purpose purpose, absl::string_view sealed,
                                         absl::string_view context) const {
  std::string plaintext;
  absl::Status status = Open(purpose, sealed, context, plaintext);
  if (!status.ok()) return status;
  return plaintext;
}

absl::Status Sealer::Open(Purpose purpose, absl::string_view sealed, absl::string_view context,
                          std::string& plaintext) const {
  plaintext.clear();
  const auto refused = [] { return absl::InvalidArgumentError("the sealed value does not open"); };
  const std::optional<SealedHeader> header = ReadSealedHeader(sealed);
  if (!header.has_value() || static_cast<uint8_t>(sealed[0]) != kSealedVersion) return refused();
  const SecretKey* key = keys_.Find(header->key_id, purpose);
  if (key == nullptr) return refused();
  const bool opens =
      AeadOpen(*key, header->nonce, sealed.substr(2 + kNonceBytes),
               AssociatedData(kSealedVersion, header->key_id, purpose, context), plaintext);
  return opens ? absl::OkStatus() : refused();
}

std::optional<SealedHeader> ReadSealedHeader(absl::string_view sealed) {
  if (sealed.size() < kSealedOverhead) return std::nullopt;
  SealedHeader header;
  header.key_id = static_cast<uint8_t>(sealed[1]);
  std::copy_n(reinterpret_cast<const uint8_t*>(sealed.data()) + 2, kNonceBytes,
              header.nonce.begin());
  return header;
}

}  // namespace authurl
