// session_token.h: what whoever is to choose among the accounts of a consent shows.
//
// Made of the flow's state, as the code verifier is (core/crypto/pkce.h): so whoever brings the
// same response again can be given the same token again, and only its digest need be stored.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "core/crypto/crypto.h"

namespace authurl {

// "aus_" and 43 characters of base64url. `key` is of Purpose::kSessionToken and of the key that the
// state was sealed with, `state_nonce` the state's.
std::string DeriveSessionToken(const SecretKey& key, const Nonce& state_nonce);
// Whether it is of that format. Says nothing of its being good.
bool IsSessionToken(absl::string_view text);

}  // namespace authurl
