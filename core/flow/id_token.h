// id_token.h: the ID token (OpenID Connect Core section 2) that came from a token endpoint over
// TLS: so its claims are checked, and its signature need not be (section 3.1.3.7, 6). Pure.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/catalog/v1/network.pb.h"
#include "authurl/record/v1/record.pb.h"
#include "core/catalog/network_rules.h"
#include "core/crypto/crypto.h"
#include "core/flow/answer.h"

namespace authurl {

// How far clocks may be apart.
inline constexpr absl::Duration kMaxClockSkew = absl::Minutes(2);

// Whether the authorization request of these scopes takes a nonce, which the ID token repeats.
bool TakesNonce(const catalog::v1::Network& network, const ScopeList& scopes);
// The nonce of a flow (OpenID Connect Core section 3.1.2.1), made of that of its state: so it is
// known when the ID token comes, and to nobody else. `key` is of Purpose::kIdTokenNonce.
std::string DeriveIdTokenNonce(const SecretKey& key, const Nonce& nonce);

// The claims of `id_token`, whose iss, aud (and azp), exp and iat are right for this client, and
// whose nonce is `nonce` (empty: none was sent). Errors: NETWORK_ANSWER_INVALID; none quotes it.
absl::StatusOr<Answer> CheckIdToken(const catalog::v1::Network& network,
                                    const record::v1::SocialNetworkSettings& settings,
                                    absl::string_view id_token, absl::string_view nonce,
                                    absl::Time now);

}  // namespace authurl
