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
#include "core/crypto/key_ring.h"

namespace authurl {

// A request all of whose fields are well formed. `network` and `request` belong to others and must
// outlive it.
struct AuthRequest {
  // The tenant of whoever asks, else the request's; empty for none.
  absl::string_view tenant_id() const {
    return own_tenant_id.empty() ? absl::string_view(request->tenant_id()) : own_tenant_id;
  }

  // Once the configuration is known: its variant of the network.
  const catalog::v1::Network* network = nullptr;
  const v1::GetAuthUrlRequest* request = nullptr;
  // The network does not take its redirect_uri, which may be a return URI of the configuration.
  bool has_odd_redirect_uri = false;
  // Of whoever may ask for one tenant only; empty for others.
  absl::string_view own_tenant_id = {};
};

// INVALID_ARGUMENT INVALID_PAYLOAD with every faulty field; FAILED_PRECONDITION
// NETWORK_HAS_NO_AUTH_URL where the network has no URL to hand out. Where the network has variants,
// redirect_uri and scopes are checked for what holds of every network only. An app's own scheme
// passes, and a redirect_uri that only this network does not take where it is the one fault: the
// configuration may list them. `own_tenant_id`: the only tenant that may be asked for, which must
// outlive the result; empty for any.
absl::StatusOr<AuthRequest> ValidateAuthRequest(const NetworkCatalog& catalog,
                                                const v1::GetAuthUrlRequest& request,
                                                absl::string_view own_tenant_id = {});

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
  *single.mutable_extra_params() = request.extra_params();
  *single.mutable_variables() = request.variables();
  if (request.has_locale()) single.set_locale(request.locale());
  if (request.has_return_uri()) single.set_return_uri(request.return_uri());
  if (request.has_return_state()) single.set_return_state(request.return_state());
  if constexpr (requires { request.has_reconnect_account_id(); }) {
    if (request.has_reconnect_account_id()) {
      single.set_reconnect_account_id(request.reconnect_account_id());
    }
  }
  return single;
}

// Leaves of the extra_params and variables those that the network takes with a request: those of a
// batch are for some of its networks.
void KeepChoicesOf(const catalog::v1::Network& network, v1::GetAuthUrlRequest& request);

// Whether the request chooses anything in place of the configuration.
bool HasChoices(const v1::GetAuthUrlRequest& request);
// The settings with what the request chooses in place of their own.
record::v1::SocialNetworkSettings WithChoices(const v1::GetAuthUrlRequest& request,
                                              const record::v1::SocialNetworkSettings& settings);

// The request as the configuration's variant of the network sees it. INVALID_ARGUMENT
// INVALID_PAYLOAD where the variant does not take redirect_uri or scopes, or where redirect_uri has
// an app's own scheme that neither it nor allowed_redirect_uris takes, unless the configuration has
// it as a return URI; or where the configuration requires a session_binding; FAILED_PRECONDITION
// CONFIGURATION_OUTDATED where the catalog no longer has the variant, or has come to require
// parameters that the configuration lacks.
absl::StatusOr<AuthRequest> ForConfiguration(const NetworkCatalog& catalog,
                                             const AuthRequest& request,
                                             const record::v1::SocialNetworkSettings& settings);

// Where the end-user comes back to, and where a browser goes on to from there.
struct ChosenRedirectUri {
  // Of the request or the settings, which must outlive this, or `made`.
  absl::string_view uri() const { return made.empty() ? given : absl::string_view(made); }

  v1::ParameterSource source = v1::PARAMETER_SOURCE_UNSPECIFIED;
  absl::string_view given = {};
  std::string made = {};
  // It is authurl's own callback (core/flow/hosted_callback.h), made here or named by somebody.
  bool is_hosted = false;
  // The request's return URI, where it is hosted; empty for none.
  absl::string_view return_uri = {};
};

// The redirect URI to use: the request's, else the configuration's default, else authurl's own
// callback below `public_base_url`, which may be empty (no "/" at its end). That callback comes
// first where the request names nothing but a return URI, be it as its redirect_uri.
//
// INVALID_ARGUMENT INVALID_PAYLOAD when the request's redirect_uri or return_uri is not among the
// configuration's allowed ones; FAILED_PRECONDITION NO_REDIRECT_URI when there is none, or when the
// network does not take the one that was configured or made.
absl::StatusOr<ChosenRedirectUri> ChooseRedirectUri(
    const AuthRequest& request, const record::v1::SocialNetworkSettings& settings,
    absl::string_view public_base_url, const KeyRing& keys);

// Whether the request's redirect_uri is no redirect URI of the configuration, but one of its
// allowed_return_uris: clients of APIs that have no own callbacks call it so.
bool RedirectUriIsReturnUri(const v1::GetAuthUrlRequest& request,
                            const record::v1::SocialNetworkSettings& settings);

}  // namespace authurl
