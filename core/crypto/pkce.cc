#include "core/crypto/pkce.h"

namespace authurl {

std::string DeriveCodeVerifier(const SecretKey& key, const Nonce& nonce) {
  return Base64UrlEncode(AsChars(DeriveFromNonce(key, nonce)));
}

std::string CodeChallenge(absl::string_view code_verifier,
                          catalog::v1::Pkce::ChallengeEncoding encoding) {
  const auto hash = Sha256(code_verifier);
  if (encoding == catalog::v1::Pkce::CHALLENGE_ENCODING_HEX) return HexEncode(AsChars(hash));
  return Base64UrlEncode(AsChars(hash));
}

}  // namespace authurl
