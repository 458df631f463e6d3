#include "core/auth_request.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/errors.h"
#include "core/field_rules.h"

namespace authurl {
namespace {

constexpr size_t kMaxLoginHintBytes = 256;
constexpr size_t kMinSessionBindingBytes = 16;
constexpr size_t kMaxSessionBindingBytes = 256;

absl::Status NoRedirectUri(absl::string_view message) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "NO_REDIRECT_URI", message);
}

}  // namespace

absl::StatusOr<AuthRequest> ValidateAuthRequest(const NetworkCatalog& catalog,
                                                const v1::GetAuthUrlRequest& request) {
  FieldViolations violations;
  const catalog::v1::Network* network = CheckNetwork(catalog, request.network(), violations);
  if (network != nullptr) {
    CheckInstance(*network,
                  request.has_instance() ? std::optional<absl::string_view>(request.instance())
                                         : std::nullopt,
                  violations);
  }
  if (request.has_redirect_uri()) {
    CheckRedirectUri("redirect_uri", request.redirect_uri(), network, violations);
  }
  if (request.has_tenant_id()) CheckTenantId(request.tenant_id(), violations);
  CheckScopes(request.scopes(), network, violations);
  if (request.has_login_hint()) {
    CheckText("login_hint", request.login_hint(), 1, kMaxLoginHintBytes, violations);
  }
  if (request.has_session_binding()) {
    CheckText("session_binding", request.session_binding(), kMinSessionBindingBytes,
              kMaxSessionBindingBytes, violations);
  }
  if (absl::Status status = violations.ToStatus(); !status.ok()) return status;
  if (network->status() != catalog::v1::STATUS_LIVE) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "NETWORK_HAS_NO_AUTH_URL",
                     absl::StrCat(network->display_name(), ": ", network->status_note()));
  }
  return AuthRequest{network, &request};
}

absl::StatusOr<std::string> ChooseRedirectUri(const AuthRequest& request,
                                              const record::v1::SocialNetworkSettings& settings,
                                              absl::string_view public_base_url) {
  const auto& allowed = settings.allowed_redirect_uris();
  const auto is_allowed = [&](absl::string_view uri) {
    return allowed.empty() || std::find(allowed.begin(), allowed.end(), uri) != allowed.end();
  };
  FieldViolations violations;
  if (request.request->has_redirect_uri()) {
    const std::string& given = request.request->redirect_uri();
    if (is_allowed(given)) return given;
    violations.Add("redirect_uri",
                   "is not among the allowed_redirect_uris of this organisation's configuration; "
                   "they are compared byte for byte");
    return violations.ToStatus();
  }
  std::string chosen = settings.default_redirect_uri();
  if (chosen.empty() && !public_base_url.empty()) {
    chosen =
        absl::StrCat(public_base_url, "/v1/social-networks/", request.network->id(), "/callback");
  }
  if (chosen.empty()) {
    return NoRedirectUri(
        "There is no redirect URI: name one in the request, or set the configuration's "
        "default_redirect_uri");
  }
  // The network's rules may have changed since it was configured, and a made one was never checked.
  CheckRedirectUri("redirect_uri", chosen, request.network, violations);
  if (!violations.empty()) {
    return NoRedirectUri(absl::StrCat("The default redirect URI ", Quoted(chosen), " ",
                                      violations.list().front().description));
  }
  if (!is_allowed(chosen)) {
    return NoRedirectUri(absl::StrCat("The default redirect URI ", Quoted(chosen),
                                      " is not among the configuration's allowed_redirect_uris"));
  }
  return chosen;
}

}  // namespace authurl
