// pkce.h: Proof Key for Code Exchange, RFC 7636. Only method S256; never "plain" (RFC 9700
// section 2.1.1).
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"
#include "core/crypto/crypto.h"

namespace authurl {

// The code verifier of the flow whose state was sealed with `nonce`: 43 characters of base64url
// (RFC 7636 section 4.1). Derived from the nonce under `key`, a subkey of its own, so it need not
// be stored: the same state always yields the same verifier, and nobody without the key can tell it
// from random.
std::string DeriveCodeVerifier(const SecretKey& key, const Nonce& nonce);

// SHA-256 of the verifier, in the encoding that the network wants (RFC 7636 section 4.2 says
// base64url).
std::string CodeChallenge(absl::string_view code_verifier,
                          catalog::v1::Pkce::ChallengeEncoding encoding);

}  // namespace authurl
