// auth_request.h: what a caller asks of GetAuthUrl, checked.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"
#include "authurl/record/v1/record.pb.h"
#include "authurl/v1/auth_url_service.pb.h"
#include "core/network_catalog.h"

namespace authurl {

// A request all of whose fields are well formed. `network` and `request` belong to others and must
// outlive it.
struct AuthRequest {
  const catalog::v1::Network* network = nullptr;
  const v1::GetAuthUrlRequest* request = nullptr;
};

// INVALID_ARGUMENT INVALID_PAYLOAD with every faulty field; FAILED_PRECONDITION
// NETWORK_HAS_NO_AUTH_URL where the network has no URL to hand out.
absl::StatusOr<AuthRequest> ValidateAuthRequest(const NetworkCatalog& catalog,
                                                const v1::GetAuthUrlRequest& request);

// The redirect URI to use: the request's, else the configuration's default, else
// `<public_base_url>/v1/social-networks/<network>/callback`. INVALID_ARGUMENT INVALID_PAYLOAD when
// the request's is not among the configuration's allowed ones; FAILED_PRECONDITION NO_REDIRECT_URI
// when there is none, or when the one that was configured or made is none that the network takes.
// `public_base_url` may be empty; no "/" at its end.
absl::StatusOr<std::string> ChooseRedirectUri(const AuthRequest& request,
                                              const record::v1::SocialNetworkSettings& settings,
                                              absl::string_view public_base_url);

}  // namespace authurl
