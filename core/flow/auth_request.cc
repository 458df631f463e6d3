#include "core/flow/auth_request.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/catalog/named_network.h"
#include "core/catalog/network_entry.h"
#include "core/catalog/network_rules.h"
#include "core/errors.h"
#include "core/field_rules.h"
#include "core/uri.h"

namespace authurl {
namespace {

constexpr size_t kMaxLoginHintBytes = 256;
constexpr size_t kMinSessionBindingBytes = 16;
constexpr size_t kMaxSessionBindingBytes = 256;

absl::Status NoRedirectUri(absl::string_view message) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "NO_REDIRECT_URI", message);
}

absl::Status NoAuthUrl(const catalog::v1::Network& network) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "NETWORK_HAS_NO_AUTH_URL",
                   absl::StrCat(network.display_name(), ": ", network.status_note()));
}

absl::Status Outdated(const catalog::v1::Network& network, absl::string_view what) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "CONFIGURATION_OUTDATED",
      absl::StrCat("The configuration of ", network.display_name(),
                   " no longer fits the network: ", what, "; update the configuration"));
}

// What is the same for every network.
void CheckFlowFields(const v1::GetAuthUrlRequest& request, FieldViolations& violations) {
  if (request.has_redirect_uri()) {
    CheckOwnQuery("redirect_uri", request.redirect_uri(), violations);
  }
  if (request.has_tenant_id()) CheckTenantId(request.tenant_id(), violations);
  if (request.has_configuration()) CheckConfiguration(request.configuration(), violations);
  if (request.has_login_hint()) {
    CheckText("login_hint", request.login_hint(), 1, kMaxLoginHintBytes, violations);
  }
  if (request.has_session_binding()) {
    CheckText("session_binding", request.session_binding(), kMinSessionBindingBytes,
              kMaxSessionBindingBytes, violations);
  }
}

// What depends on the network, or on its variant. Null: what holds of every network.
void CheckForNetwork(const v1::GetAuthUrlRequest& request, const catalog::v1::Network* network,
                     FieldViolations& violations) {
  if (request.has_redirect_uri()) {
    CheckRedirectUri("redirect_uri", request.redirect_uri(), network, violations);
  }
  CheckScopes(request.scopes(), network, violations);
}

void AddAll(const FieldViolations& from, FieldViolations& to) {
  for (const FieldViolation& fault : from.list()) to.Add(fault.field, fault.description);
}

// What holds of the network in all of its variants. Which of them a request is for, only its
// configuration says.
void CheckForAnyVariant(const NetworkCatalog& catalog, const v1::GetAuthUrlRequest& request,
                        const catalog::v1::Network& network, FieldViolations& violations) {
  FieldViolations common;
  CheckForNetwork(request, &network, common);
  for (const auto& variant : network.variants()) {
    if (common.empty()) return;
    FieldViolations of_variant;
    CheckForNetwork(request, catalog.FindVariant(network.id(), variant.id()), of_variant);
    FieldViolations of_both;
    for (const FieldViolation& fault : common.list()) {
      const auto& others = of_variant.list();
      if (std::any_of(others.begin(), others.end(),
                      [&](const FieldViolation& other) { return other.field == fault.field; })) {
        of_both.Add(fault.field, fault.description);
      }
    }
    common = std::move(of_both);
  }
  AddAll(common, violations);
}

void CheckBatchNetworks(const v1::BatchGetAuthUrlsRequest& request, FieldViolations& violations) {
  if (request.networks_size() > kMaxBatchNetworks) {
    violations.Add("networks", absl::StrCat("has ", request.networks_size(), " entries; at most ",
                                            kMaxBatchNetworks, " are taken"));
    return;
  }
  std::set<absl::string_view> seen;
  for (int i = 0; i < request.networks_size(); ++i) {
    if (seen.insert(request.networks(i)).second) continue;
    violations.Add(absl::StrCat("networks[", i, "]"),
                   absl::StrCat("repeats ", Quoted(request.networks(i))));
  }
}

}  // namespace

absl::StatusOr<AuthRequest> ValidateAuthRequest(const NetworkCatalog& catalog,
                                                const v1::GetAuthUrlRequest& request) {
  FieldViolations violations;
  const catalog::v1::Network* network = CheckNetwork(catalog, request.network(), violations);
  if (network != nullptr) {
    CheckInstance(catalog, *network,
                  request.has_instance() ? std::optional<absl::string_view>(request.instance())
                                         : std::nullopt,
                  violations);
  }
  const bool has_variants = network != nullptr && !network->variants().empty();
  FieldViolations certain;
  CheckForNetwork(request, has_variants ? nullptr : network, certain);
  CheckFlowFields(request, certain);
  if (!has_variants) {
    AddAll(certain, violations);
  } else if (!violations.empty() || !certain.empty()) {
    // Refused whatever the variant is. Where it is not, the variant's own rules say more.
    CheckForAnyVariant(catalog, request, *network, violations);
    CheckFlowFields(request, violations);
  }
  if (absl::Status status = violations.ToStatus(); !status.ok()) return status;
  if (!HasAuthUrl(*network)) return NoAuthUrl(*network);
  return AuthRequest{network, &request};
}

absl::Status ValidateBatchRequest(const v1::BatchGetAuthUrlsRequest& request) {
  FieldViolations violations;
  CheckBatchNetworks(request, violations);
  if (request.has_instance() && request.networks().empty()) {
    violations.Add("instance",
                   "must be left out without networks: every configured instance has a result");
  } else if (request.has_instance()) {
    const absl::Status host = CheckHost(request.instance());
    if (!host.ok()) violations.Add("instance", host.message());
  }
  if (request.has_configuration() && request.networks().empty()) {
    violations.Add("configuration",
                   "must be left out without networks: every configuration has a result");
  }
  const v1::GetAuthUrlRequest shared = RequestFor("", request);
  CheckForNetwork(shared, nullptr, violations);
  CheckFlowFields(shared, violations);
  return violations.ToStatus();
}

absl::StatusOr<AuthRequest> ForConfiguration(const NetworkCatalog& catalog,
                                             const AuthRequest& request,
                                             const record::v1::SocialNetworkSettings& settings) {
  const catalog::v1::Network& network = *request.network;
  const catalog::v1::Network* variant = catalog.FindVariant(network.id(), settings.variant());
  if (variant == nullptr) {
    return Outdated(network, absl::StrCat("it has no variant ", Quoted(settings.variant())));
  }
  for (const auto& param : variant->configuration_params()) {
    if (!param.required() || settings.extra_params().contains(param.name())) continue;
    return Outdated(*variant, absl::StrCat("it requires extra_params.", param.name(), " (",
                                           param.description(), ")"));
  }
  if (!network.variants().empty()) {
    FieldViolations violations;
    CheckForNetwork(*request.request, variant, violations);
    if (absl::Status status = violations.ToStatus(); !status.ok()) return status;
    if (!HasAuthUrl(*variant)) return NoAuthUrl(*variant);
  }
  return AuthRequest{variant, request.request};
}

absl::StatusOr<ChosenRedirectUri> ChooseRedirectUri(
    const AuthRequest& request, const record::v1::SocialNetworkSettings& settings,
    absl::string_view public_base_url) {
  const auto& allowed = settings.allowed_redirect_uris();
  const auto is_allowed = [&](absl::string_view uri) {
    return allowed.empty() || std::find(allowed.begin(), allowed.end(), uri) != allowed.end();
  };
  FieldViolations violations;
  if (request.request->has_redirect_uri()) {
    const std::string& given = request.request->redirect_uri();
    if (is_allowed(given)) return ChosenRedirectUri{v1::PARAMETER_SOURCE_REQUEST, given};
    violations.Add("redirect_uri",
                   "is not among the allowed_redirect_uris of this organisation's configuration; "
                   "they are compared byte for byte");
    return violations.ToStatus();
  }
  ChosenRedirectUri chosen = {v1::PARAMETER_SOURCE_CONFIG, settings.default_redirect_uri()};
  if (chosen.given.empty() && !public_base_url.empty()) {
    chosen.made =
        absl::StrCat(public_base_url, "/v1/social-networks/", request.network->id(), "/callback");
  }
  if (chosen.uri().empty()) {
    return NoRedirectUri(
        "There is no redirect URI: name one in the request, or set the configuration's "
        "default_redirect_uri");
  }
  // The network's rules may have changed since it was configured, and a made one was never checked.
  CheckRedirectUri("redirect_uri", chosen.uri(), request.network, violations);
  if (!violations.empty()) {
    return NoRedirectUri(absl::StrCat("The default redirect URI ", Quoted(chosen.uri()), " ",
                                      violations.list().front().description));
  }
  if (!is_allowed(chosen.uri())) {
    return NoRedirectUri(absl::StrCat("The default redirect URI ", Quoted(chosen.uri()),
                                      " is not among the configuration's allowed_redirect_uris"));
  }
  return chosen;
}

}  // namespace authurl
