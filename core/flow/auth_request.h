// auth_request.h: what a caller asks of GetAuthUrl, checked.
//
// In two steps, because an organisation's configuration may choose a variant of the network, and
// what a variant takes is known only with it: ValidateAuthRequest() before the configuration is
// looked up, ForConfiguration() after.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"
#include "authurl/record/v1/record.pb.h"
#include "authurl/v1/auth_url_service.pb.h"
#include "core/catalog/network_catalog.h"

namespace authurl {

// A request all of whose fields are well formed. `network` and `request` belong to others and must
// outlive it.
struct AuthRequest {
  // Once the configuration is known: its variant of the network.
  const catalog::v1::Network* network = nullptr;
  const v1::GetAuthUrlRequest* request = nullptr;
};

// INVALID_ARGUMENT INVALID_PAYLOAD with every faulty field; FAILED_PRECONDITION
// NETWORK_HAS_NO_AUTH_URL where the network has no URL to hand out. Where the network has variants,
// redirect_uri and scopes are checked for what holds of every network only.
absl::StatusOr<AuthRequest> ValidateAuthRequest(const NetworkCatalog& catalog,
                                                const v1::GetAuthUrlRequest& request);

inline constexpr int kMaxBatchNetworks = 100;

// INVALID_ARGUMENT INVALID_PAYLOAD with every fault of a batch that is the same for every network;
// those that depend on one are left to its own request.
absl::Status ValidateBatchRequest(const v1::BatchGetAuthUrlsRequest& request);

// What GetAuthUrl would be asked for one network; `request` is an ExplainAuthUrlRequest or a
// BatchGetAuthUrlsRequest.
template <typename Request>
v1::GetAuthUrlRequest RequestFor(absl::string_view network, const Request& request) {
  v1::GetAuthUrlRequest single;
  single.set_network(std::string(network));
  if (request.has_redirect_uri()) single.set_redirect_uri(request.redirect_uri());
  if (request.has_tenant_id()) single.set_tenant_id(request.tenant_id());
  *single.mutable_scopes() = request.scopes();
  if (request.has_force_account_selection()) {
    single.set_force_account_selection(request.force_account_selection());
  }
  if (request.has_login_hint()) single.set_login_hint(request.login_hint());
  if (request.has_instance()) single.set_instance(request.instance());
  if (request.has_session_binding()) single.set_session_binding(request.session_binding());
  if (request.has_configuration()) single.set_configuration(request.configuration());
  return single;
}

// The request as the configuration's variant of the network sees it. INVALID_ARGUMENT
// INVALID_PAYLOAD where the variant does not take redirect_uri or scopes; FAILED_PRECONDITION
// CONFIGURATION_OUTDATED where the catalog no longer has the variant, or has come to require
// parameters that the configuration lacks.
absl::StatusOr<AuthRequest> ForConfiguration(const NetworkCatalog& catalog,
                                             const AuthRequest& request,
                                             const record::v1::SocialNetworkSettings& settings);

struct ChosenRedirectUri {
  // Of the request or the settings, which must outlive this, or `made`.
  absl::string_view uri() const { return made.empty() ? given : absl::string_view(made); }

  v1::ParameterSource source = v1::PARAMETER_SOURCE_UNSPECIFIED;
  absl::string_view given = {};
  std::string made = {};
};

// The redirect URI to use: the request's, else the configuration's default, else
// `<public_base_url>/v1/social-networks/<network>/callback`. INVALID_ARGUMENT INVALID_PAYLOAD when
// the request's is not among the configuration's allowed ones; FAILED_PRECONDITION NO_REDIRECT_URI
// when there is none, or when the network does not take the one that was configured or made.
// `public_base_url` may be empty; no "/" at its end.
absl::StatusOr<ChosenRedirectUri> ChooseRedirectUri(
    const AuthRequest& request, const record::v1::SocialNetworkSettings& settings,
    absl::string_view public_base_url);

}  // namespace authurl
