#include "core/catalog/social_network.h"

#include <algorithm>
#include <array>
#include <optional>

#include "absl/strings/str_cat.h"
#include "core/catalog/named_network.h"
#include "core/catalog/network_entry.h"
#include "core/catalog/network_rules.h"
#include "core/errors.h"
#include "core/field_rules.h"

namespace authurl {
namespace {

constexpr int kMaxUris = 64;

constexpr std::array<absl::string_view, 14> kMaskPaths = {"client_key",
                                                          "client_secret",
                                                          "default_redirect_uri",
                                                          "allowed_redirect_uris",
                                                          "scopes",
                                                          "extra_params",
                                                          "variables",
                                                          "variant",
                                                          "name",
                                                          "is_default",
                                                          "allowed_return_uris",
                                                          "default_return_uri",
                                                          "session_binding_policy",
                                                          "return_profile"};

// Whether there are not too many of them to look at each.
bool CheckCount(absl::string_view field, int count, FieldViolations& violations) {
  if (count <= kMaxUris) return true;
  violations.Add(field, absl::StrCat("has ", count, " entries; at most ", kMaxUris, " are taken"));
  return false;
}

void CheckReturnUris(const record::v1::SocialNetworkSettings& settings,
                     FieldViolations& violations) {
  if (!settings.default_return_uri().empty()) {
    CheckReturnUri("default_return_uri", settings.default_return_uri(), violations);
  }
  const auto& allowed = settings.allowed_return_uris();
  if (!CheckCount("allowed_return_uris", allowed.size(), violations)) return;
  for (int i = 0; i < allowed.size(); ++i) {
    CheckReturnUri(absl::StrCat("allowed_return_uris[", i, "]"), allowed[i], violations);
  }
}

void CheckPolicy(v1::SessionBindingPolicy policy, FieldViolations& violations) {
  if (policy == v1::SESSION_BINDING_POLICY_OPTIONAL ||
      policy == v1::SESSION_BINDING_POLICY_REQUIRED) {
    return;
  }
  violations.Add("session_binding_policy",
                 "must be SESSION_BINDING_POLICY_OPTIONAL or SESSION_BINDING_POLICY_REQUIRED");
}

record::v1::SessionBindingPolicy Recorded(v1::SessionBindingPolicy policy) {
  return policy == v1::SESSION_BINDING_POLICY_REQUIRED
             ? record::v1::SESSION_BINDING_POLICY_REQUIRED
             : record::v1::SESSION_BINDING_POLICY_OPTIONAL;
}

// What Create and Update have in common: every field whose format depends on the network, but for
// the scopes.
void CheckSettings(const record::v1::SocialNetworkSettings& settings,
                   const catalog::v1::Network& network, FieldViolations& violations) {
  CheckConfigurationName(settings.name(), violations);
  CheckCredential("client_key", settings.client_key(), violations);
  const auto& allowed = settings.allowed_redirect_uris();
  const bool default_is_listed = ListsRedirectUri(settings, settings.default_redirect_uri());
  if (!settings.default_redirect_uri().empty()) {
    CheckRedirectUri("default_redirect_uri", settings.default_redirect_uri(), default_is_listed,
                     &network, violations);
  }
  if (CheckCount("allowed_redirect_uris", allowed.size(), violations)) {
    for (int i = 0; i < allowed.size(); ++i) {
      CheckRedirectUri(absl::StrCat("allowed_redirect_uris[", i, "]"), allowed[i],
                       /*is_listed=*/true, &network, violations);
    }
  }
  if (!settings.default_redirect_uri().empty() && !allowed.empty() && !default_is_listed) {
    violations.Add("default_redirect_uri", "is not among the allowed_redirect_uris");
  }
  CheckExtraParams(settings.extra_params(), network, violations);
  CheckVariables(settings.variables(), network, violations);
}

// Of the redirect URIs that a request brings; those that are stored already stay as they are.
template <typename Request>
void CheckOwnQueries(const Request& request, const catalog::v1::Network* network,
                     FieldViolations& violations) {
  CheckOwnQuery("default_redirect_uri", request.default_redirect_uri(), network, violations);
  const int count = std::min(request.allowed_redirect_uris_size(), kMaxUris);
  for (int i = 0; i < count; ++i) {
    CheckOwnQuery(absl::StrCat("allowed_redirect_uris[", i, "]"), request.allowed_redirect_uris(i),
                  network, violations);
  }
}

bool IsNamed(const v1::UpdateSocialNetworkRequest& request, absl::string_view field) {
  const auto& paths = request.update_mask().paths();
  return std::find(paths.begin(), paths.end(), field) != paths.end();
}

// Whether the request changes the field, which it sets or not.
bool Changes(const v1::UpdateSocialNetworkRequest& request, absl::string_view field, bool is_set) {
  // A mask without paths is no mask (AIP-134).
  return request.update_mask().paths().empty() ? is_set : IsNamed(request, field);
}

// Adds what a secret that was taken once lacks by now: what a private key signs names extra_params.
void CheckStoredSecret(absl::string_view client_secret,
                       const record::v1::SocialNetworkSettings& settings,
                       const catalog::v1::Network* network, FieldViolations& violations) {
  if (network == nullptr || !network->has_signed_secret()) return;
  CheckClientSecret(client_secret, settings.extra_params(), *network, violations);
}

// What can be said of an update without knowing the configuration.
void CheckUpdate(const v1::UpdateSocialNetworkRequest& request, FieldViolations& violations) {
  if (request.id().empty()) violations.Add("id", "Required");
  for (const std::string& path : request.update_mask().paths()) {
    if (std::find(kMaskPaths.begin(), kMaskPaths.end(), path) == kMaskPaths.end()) {
      violations.Add("update_mask",
                     absl::StrCat(Quoted(path), " is not a field that can be changed"));
    }
  }
  if (Changes(request, "is_default", request.has_is_default()) && !request.is_default()) {
    violations.Add("is_default", "must be true: make another configuration the default instead");
  }
}

// What of an update is for the end of flows. Nothing of it depends on the network.
void ApplyReturns(const v1::UpdateSocialNetworkRequest& request,
                  record::v1::SocialNetworkSettings& settings, FieldViolations& violations) {
  const bool changes_allowed =
      Changes(request, "allowed_return_uris", !request.allowed_return_uris().empty());
  const bool changes_default =
      Changes(request, "default_return_uri", request.has_default_return_uri());
  if (changes_allowed) *settings.mutable_allowed_return_uris() = request.allowed_return_uris();
  if (changes_default) {
    settings.set_default_return_uri(request.default_return_uri());
    if (request.has_default_return_uri() && request.default_return_uri().empty()) {
      violations.Add("default_return_uri",
                     "must not be empty: to remove it, name it in update_mask and leave it out");
    }
  }
  if (Changes(request, "session_binding_policy", request.has_session_binding_policy())) {
    settings.set_session_binding_policy(Recorded(request.session_binding_policy()));
    if (request.has_session_binding_policy()) {
      CheckPolicy(request.session_binding_policy(), violations);
    }
  }
  if (Changes(request, "return_profile", request.has_return_profile())) {
    settings.set_return_profile(request.return_profile());
  }
  // Those that were taken once must not keep a secret from being replaced.
  if (changes_allowed || changes_default) CheckReturnUris(settings, violations);
}

}  // namespace

absl::StatusOr<record::v1::SocialNetworkSettings> NewSocialNetwork(
    const NetworkCatalog& catalog, const v1::CreateSocialNetworkRequest& request) {
  record::v1::SocialNetworkSettings settings;
  settings.set_network(request.network());
  settings.set_instance(request.instance());
  settings.set_client_key(request.client_key());
  settings.set_default_redirect_uri(request.default_redirect_uri());
  *settings.mutable_allowed_redirect_uris() = request.allowed_redirect_uris();
  *settings.mutable_scopes() = request.scopes();
  *settings.mutable_extra_params() = request.extra_params();
  *settings.mutable_variables() = request.variables();
  settings.set_variant(request.variant());
  settings.set_name(request.name());
  *settings.mutable_allowed_return_uris() = request.allowed_return_uris();
  settings.set_default_return_uri(request.default_return_uri());
  settings.set_session_binding_policy(Recorded(request.session_binding_policy()));
  settings.set_return_profile(request.return_profile());

  FieldViolations violations;
  const catalog::v1::Network* network = CheckNetwork(catalog, request.network(), violations);
  if (network == nullptr) {
    // Nothing about the fields whose format depends on the network can be said.
    CheckConfigurationName(request.name(), violations);
    CheckCredential("client_key", request.client_key(), violations);
  } else {
    CheckInstance(catalog, *network,
                  request.has_instance() ? std::optional<absl::string_view>(request.instance())
                                         : std::nullopt,
                  violations);
    network = CheckVariant(
        catalog, *network,
        request.has_variant() ? std::optional<absl::string_view>(request.variant()) : std::nullopt,
        violations);
    if (network != nullptr) {
      CheckSettings(settings, *network, violations);
      CheckScopes(settings.scopes(), network, violations);
    }
  }
  CheckOwnQueries(request, network, violations);
  if (network != nullptr) {
    CheckClientSecret(request.client_secret(), settings.extra_params(), *network, violations);
  } else {
    CheckCredential("client_secret", request.client_secret(), violations);
  }
  if (request.has_default_redirect_uri() && request.default_redirect_uri().empty()) {
    violations.Add("default_redirect_uri", "must not be empty: leave it out instead");
  }
  CheckReturnUris(settings, violations);
  if (request.has_default_return_uri() && request.default_return_uri().empty()) {
    violations.Add("default_return_uri", "must not be empty: leave it out instead");
  }
  if (request.has_session_binding_policy()) {
    CheckPolicy(request.session_binding_policy(), violations);
  }
  if (request.has_is_default() && !request.is_default()) {
    violations.Add("is_default",
                   "must be true, or left out: the first configuration is the default");
  }
  if (!violations.empty()) return violations.ToStatus();
  if (!HasAuthUrl(*network)) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "NETWORK_HAS_NO_AUTH_URL",
                     absl::StrCat(network->display_name(), ": ", network->status_note()));
  }
  return settings;
}

absl::Status ValidateUpdate(const v1::UpdateSocialNetworkRequest& request) {
  FieldViolations violations;
  CheckUpdate(request, violations);
  return violations.ToStatus();
}

absl::Status ApplyUpdate(const NetworkCatalog& catalog,
                         const v1::UpdateSocialNetworkRequest& request,
                         absl::string_view client_secret,
                         record::v1::SocialNetworkSettings& settings) {
  FieldViolations violations;
  const catalog::v1::Network* network = CheckNetwork(catalog, settings.network(), violations);
  if (network == nullptr) return violations.ToStatus();
  FieldViolations of_secret;
  CheckStoredSecret(client_secret, settings,
                    catalog.FindVariant(settings.network(), settings.variant()), of_secret);
  CheckUpdate(request, violations);
  if (Changes(request, "client_key", request.has_client_key())) {
    settings.set_client_key(request.client_key());
  }
  if (Changes(request, "default_redirect_uri", request.has_default_redirect_uri())) {
    settings.set_default_redirect_uri(request.default_redirect_uri());
    if (request.has_default_redirect_uri() && request.default_redirect_uri().empty()) {
      violations.Add("default_redirect_uri",
                     "must not be empty: to remove it, name it in update_mask and leave it out");
    }
  }
  if (Changes(request, "allowed_redirect_uris", !request.allowed_redirect_uris().empty())) {
    *settings.mutable_allowed_redirect_uris() = request.allowed_redirect_uris();
  }
  if (Changes(request, "scopes", !request.scopes().empty())) {
    *settings.mutable_scopes() = request.scopes();
  }
  if (Changes(request, "extra_params", !request.extra_params().empty())) {
    *settings.mutable_extra_params() = request.extra_params();
  }
  if (Changes(request, "variables", !request.variables().empty())) {
    *settings.mutable_variables() = request.variables();
  }
  if (Changes(request, "variant", request.has_variant())) {
    settings.set_variant(request.variant());
    if (request.has_variant() && request.variant().empty()) {
      violations.Add("variant",
                     "must not be empty: to remove it, name it in update_mask and leave it out");
    }
  }
  if (Changes(request, "name", request.has_name())) settings.set_name(request.name());
  ApplyReturns(request, settings, violations);
  network = CheckVariant(catalog, *network,
                         settings.variant().empty()
                             ? std::nullopt
                             : std::optional<absl::string_view>(settings.variant()),
                         violations);
  if (network != nullptr) CheckSettings(settings, *network, violations);
  // Those that were taken once must not keep a secret from being replaced.
  if (network != nullptr && (Changes(request, "scopes", !request.scopes().empty()) ||
                             Changes(request, "variant", request.has_variant()))) {
    CheckScopes(settings.scopes(), network, violations);
  }
  if (network != nullptr && UpdatesSecret(request)) {
    CheckClientSecret(request.client_secret(), settings.extra_params(), *network, violations);
  } else if (of_secret.empty()) {
    CheckStoredSecret(client_secret, settings, network, violations);
  }
  CheckOwnQueries(request, network, violations);
  return violations.ToStatus();
}

bool UpdatesSecret(const v1::UpdateSocialNetworkRequest& request) {
  return Changes(request, "client_secret", request.has_client_secret());
}

bool MakesDefault(const v1::UpdateSocialNetworkRequest& request) {
  return Changes(request, "is_default", request.has_is_default()) && request.is_default();
}

bool ListsRedirectUri(const record::v1::SocialNetworkSettings& settings, absl::string_view uri) {
  const auto& allowed = settings.allowed_redirect_uris();
  return std::find(allowed.begin(), allowed.end(), uri) != allowed.end();
}

bool RequiresSessionBinding(const record::v1::SocialNetworkSettings& settings) {
  return settings.session_binding_policy() == record::v1::SESSION_BINDING_POLICY_REQUIRED;
}

}  // namespace authurl
