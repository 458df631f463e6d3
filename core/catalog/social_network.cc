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

constexpr int kMaxRedirectUris = 64;

constexpr std::array<absl::string_view, 10> kMaskPaths = {"client_key",
                                                          "client_secret",
                                                          "default_redirect_uri",
                                                          "allowed_redirect_uris",
                                                          "scopes",
                                                          "extra_params",
                                                          "variables",
                                                          "variant",
                                                          "name",
                                                          "is_default"};

// What Create and Update have in common: every field whose format depends on the network.
void CheckSettings(const record::v1::SocialNetworkSettings& settings,
                   const catalog::v1::Network& network, FieldViolations& violations) {
  CheckConfigurationName(settings.name(), violations);
  CheckCredential("client_key", settings.client_key(), violations);
  if (!settings.default_redirect_uri().empty()) {
    CheckRedirectUri("default_redirect_uri", settings.default_redirect_uri(), &network, violations);
  }
  const auto& allowed = settings.allowed_redirect_uris();
  if (allowed.size() > kMaxRedirectUris) {
    violations.Add(
        "allowed_redirect_uris",
        absl::StrCat("has ", allowed.size(), " entries; at most ", kMaxRedirectUris, " are taken"));
  } else {
    for (int i = 0; i < allowed.size(); ++i) {
      CheckRedirectUri(absl::StrCat("allowed_redirect_uris[", i, "]"), allowed[i], &network,
                       violations);
    }
  }
  if (!settings.default_redirect_uri().empty() && !allowed.empty() &&
      std::find(allowed.begin(), allowed.end(), settings.default_redirect_uri()) == allowed.end()) {
    violations.Add("default_redirect_uri", "is not among the allowed_redirect_uris");
  }
  CheckScopes(settings.scopes(), &network, violations);
  CheckExtraParams(settings.extra_params(), network, violations);
  CheckVariables(settings.variables(), network, violations);
}

// Of the redirect URIs that a request brings; those that are stored already stay as they are.
template <typename Request>
void CheckOwnQueries(const Request& request, FieldViolations& violations) {
  CheckOwnQuery("default_redirect_uri", request.default_redirect_uri(), violations);
  const int count = std::min(request.allowed_redirect_uris_size(), kMaxRedirectUris);
  for (int i = 0; i < count; ++i) {
    CheckOwnQuery(absl::StrCat("allowed_redirect_uris[", i, "]"), request.allowed_redirect_uris(i),
                  violations);
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

// What can be said of an update without knowing the configuration.
void CheckUpdate(const v1::UpdateSocialNetworkRequest& request, FieldViolations& violations) {
  if (request.id().empty()) violations.Add("id", "Required");
  for (const std::string& path : request.update_mask().paths()) {
    if (std::find(kMaskPaths.begin(), kMaskPaths.end(), path) == kMaskPaths.end()) {
      violations.Add("update_mask",
                     absl::StrCat(Quoted(path), " is not a field that can be changed"));
    }
  }
  if (UpdatesSecret(request)) {
    CheckCredential("client_secret", request.client_secret(), violations);
  }
  if (Changes(request, "is_default", request.has_is_default()) && !request.is_default()) {
    violations.Add("is_default", "must be true: make another configuration the default instead");
  }
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
    if (network != nullptr) CheckSettings(settings, *network, violations);
  }
  CheckOwnQueries(request, violations);
  CheckCredential("client_secret", request.client_secret(), violations);
  if (request.has_default_redirect_uri() && request.default_redirect_uri().empty()) {
    violations.Add("default_redirect_uri", "must not be empty: leave it out instead");
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
                         record::v1::SocialNetworkSettings& settings) {
  FieldViolations violations;
  const catalog::v1::Network* network = CheckNetwork(catalog, settings.network(), violations);
  if (network == nullptr) return violations.ToStatus();
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
  network = CheckVariant(catalog, *network,
                         settings.variant().empty()
                             ? std::nullopt
                             : std::optional<absl::string_view>(settings.variant()),
                         violations);
  if (network != nullptr) CheckSettings(settings, *network, violations);
  CheckOwnQueries(request, violations);
  return violations.ToStatus();
}

bool UpdatesSecret(const v1::UpdateSocialNetworkRequest& request) {
  return Changes(request, "client_secret", request.has_client_secret());
}

bool MakesDefault(const v1::UpdateSocialNetworkRequest& request) {
  return Changes(request, "is_default", request.has_is_default()) && request.is_default();
}

}  // namespace authurl
