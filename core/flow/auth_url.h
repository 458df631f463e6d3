// auth_url.h: builds the authorization URL. Pure: the same arguments always yield the same bytes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"
#include "authurl/v1/auth_url_service.pb.h"
#include "core/catalog/network_catalog.h"
#include "core/catalog/network_rules.h"
#include "core/crypto/crypto.h"
#include "core/crypto/sealer.h"
#include "core/flow/auth_request.h"
#include "core/flow/auth_state.h"

namespace authurl {

// What one URL is made of. Everything belongs to the caller and must outlive the call.
struct AuthUrlParts {
  const AuthRequest& request;
  const record::v1::SocialNetworkSettings& settings;
  const ChosenRedirectUri& redirect_uri;
  absl::string_view state;
  // Empty where the network does not use PKCE.
  absl::string_view code_challenge;
  // Empty where no ID token is asked for.
  absl::string_view nonce = {};
};

// One parameter, decoded. Views into the parts, good during the visit only.
struct AuthUrlParameter {
  absl::string_view name;
  absl::string_view value;
  v1::ParameterSource source;
  // One sentence without a final stop: what it is for.
  absl::string_view why;
};

// Shows every parameter to `visit`, in the order in which they are sent: client id, redirect_uri,
// response_type, scope, state, code_challenge, code_challenge_method, nonce, the network's fixed
// ones, account selection, locale and login hint, the configuration's by name. No name occurs
// twice; an empty value is left out (RFC 6749 section 3.1). The one list that both the URL and its
// explanation are made from.
void ForEachParameter(const AuthUrlParts& parts,
                      absl::FunctionRef<void(const AuthUrlParameter&)> visit);

// The scopes to ask for: the request's, else the configuration's, else the catalog's.
const ScopeList& ChooseScopes(const AuthRequest& request,
                              const record::v1::SocialNetworkSettings& settings);
// The same of the scopes that a request had, which a state remembers. A view of one of the three.
const ScopeList& ChooseScopes(const catalog::v1::Network& network, const ScopeList& requested,
                              const record::v1::SocialNetworkSettings& settings);

// The name of the configuration's parameter that says what is asked for in place of scopes, so that
// none are sent; empty where there is none.
absl::string_view ScopesReplacedBy(const catalog::v1::Network& network,
                                   const record::v1::SocialNetworkSettings& settings);

// Endpoint, "?" or "&", parameters, fragment. Parameters are percent-encoded (core/uri.h).
std::string BuildAuthUrl(const AuthUrlParts& parts);

// A URL with a fresh state.
struct AuthUrl {
  std::string url;
  absl::Time expires_at;
  // See core/flow/flow_id.h.
  std::string flow_id;
  // Where the state in the URL is a reference: what must be stored before the URL is handed out.
  std::optional<StoredAuthState> to_store;
};

// Browsers, proxies and networks take URLs of that length; beyond it each has limits of its own.
inline constexpr size_t kMaxAuthUrlBytes = 8192;

// OK, or AUTH_STATE_TOO_LONG, as MintAuthUrl() says.
absl::Status CheckStateFits(const AuthRequest& request,
                            const record::v1::SocialNetworkSettings& settings,
                            const ChosenRedirectUri& redirect_uri, absl::Time now);

// The whole of GetAuthUrl once the configuration is known: seals a state, derives the challenge,
// builds the URL. FAILED_PRECONDITION AUTH_URL_TOO_LONG, with the longest part named, where it
// would be longer than kMaxAuthUrlBytes; AUTH_STATE_TOO_LONG likewise, where a state that must be
// stored would be longer than kMaxStoredStateBytes. REQUIRES: 0 < `lifetime` <= kMaxStateLifetime.
absl::StatusOr<AuthUrl> MintAuthUrl(const Sealer& sealer, const AuthRequest& request,
                                    const record::v1::SocialNetworkSettings& settings,
                                    const ChosenRedirectUri& redirect_uri,
                                    const RandomSource& random, absl::Time now,
                                    absl::Duration lifetime);

}  // namespace authurl
