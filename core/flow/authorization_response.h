// authorization_response.h: what came back to the redirect URI (RFC 6749 sections 4.1.2 and
// 4.1.2.1, RFC 9207). Pure.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"
#include "authurl/record/v1/record.pb.h"

namespace authurl {

// Longer ones are refused: no network sends so much.
inline constexpr size_t kMaxAuthorizationResponseBytes = size_t{64} << 10;

// As it came. Wiped at its end.
struct AuthorizationResponse {
  // Where it came, without the parameters; empty where only the parameters were handed over.
  std::string redirect_uri;
  // Decoded. OAuth's own parameters are there once at most; of others that came more often, the
  // first.
  std::map<std::string, std::string> parameters;

  // The value of a parameter; empty where there is none.
  absl::string_view Get(absl::string_view name) const;

  AuthorizationResponse() = default;
  AuthorizationResponse(AuthorizationResponse&&) = default;
  AuthorizationResponse& operator=(AuthorizationResponse&&) = default;
  AuthorizationResponse(const AuthorizationResponse&) = delete;
  AuthorizationResponse& operator=(const AuthorizationResponse&) = delete;
  ~AuthorizationResponse();
};

// Takes the whole URL as it was received, its query (with or without "?"), or the body of a form
// post. A fragment is cut off: Meta's "#_=_" is none of the code. INVALID_ARGUMENT RESPONSE_INVALID
// with a sentence that quotes no value: too long, no UTF-8, a parameter of OAuth's twice (RFC 6749
// section 3.1).
absl::StatusOr<AuthorizationResponse> ParseAuthorizationResponse(absl::string_view text);

// The state, also where the network packs it with all else into one parameter, as JSON; empty where
// there is none. With it the network is known.
std::string StateOf(const AuthorizationResponse& response);

// OK where it came to `redirect_uri`: where it says where it came, scheme, host and path are the
// same, and what the redirect URI has in its query came with the rest. Else STATE_INVALID.
absl::Status CheckCameTo(absl::string_view redirect_uri, const AuthorizationResponse& response);

// Once the network is known: what it packs into one parameter is unpacked. RESPONSE_INVALID where
// there is no `state`, or neither code nor error and the network means nothing by it.
absl::Status ReadAsNetworkSends(const catalog::v1::Network& network,
                                AuthorizationResponse& response);

// OK, or ISSUER_MISMATCH (RFC 9207 section 2.4).
absl::Status CheckIssuer(const catalog::v1::Network& network,
                         const record::v1::SocialNetworkSettings& settings,
                         const AuthorizationResponse& response);

// OK where the response has a code; else USER_DENIED, CLIENT_REJECTED, NETWORK_UNAVAILABLE or
// NETWORK_REFUSED, with the network's words.
absl::Status CheckNetworkError(const catalog::v1::Network& network,
                               const AuthorizationResponse& response);

}  // namespace authurl
