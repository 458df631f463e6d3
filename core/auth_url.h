// auth_url.h: builds the authorization URL. Pure: the same arguments always yield the same bytes.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/catalog/v1/network.pb.h"
#include "authurl/record/v1/record.pb.h"
#include "authurl/v1/auth_url_service.pb.h"
#include "core/auth_request.h"
#include "core/crypto.h"
#include "core/sealer.h"

namespace authurl {

struct AuthUrlParameter {
  std::string name;
  std::string value;
};

// What one URL is made of. Everything belongs to the caller and must outlive the call.
struct AuthUrlParts {
  const AuthRequest& request;
  const record::v1::SocialNetworkSettings& settings;
  absl::string_view redirect_uri;
  absl::string_view state;
  // Empty where the network does not use PKCE.
  absl::string_view code_challenge;
};

// The parameters in the order in which they are sent: client id, redirect_uri, response_type,
// scope, state, code_challenge, code_challenge_method, the network's fixed ones, account selection
// and login hint, the configuration's extra_params by name. No name occurs twice; an empty value is
// left out (RFC 6749 section 3.1).
std::vector<AuthUrlParameter> AuthUrlParameters(const AuthUrlParts& parts);

// Endpoint, "?" or "&", parameters, fragment. Parameters are percent-encoded (core/uri.h).
std::string BuildAuthUrl(const AuthUrlParts& parts);

// A URL with a fresh state.
struct AuthUrl {
  std::string url;
  absl::Time expires_at;
};

// The whole of GetAuthUrl once the configuration is known: seals a state, derives the challenge,
// builds the URL. REQUIRES: `nonce` is 24 fresh random bytes; 0 < `lifetime` <= kMaxStateLifetime.
// INVALID_ARGUMENT INVALID_PAYLOAD naming the limit when the state would be longer than the network
// takes.
absl::StatusOr<AuthUrl> MintAuthUrl(const Sealer& sealer, const AuthRequest& request,
                                    const record::v1::SocialNetworkSettings& settings,
                                    absl::string_view redirect_uri, const Nonce& nonce,
                                    absl::Time now, absl::Duration lifetime);

}  // namespace authurl
