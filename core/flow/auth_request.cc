#include "core/flow/auth_request.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/catalog/named_network.h"
#include "core/catalog/network_entry.h"
#include "core/catalog/network_rules.h"
#include "core/catalog/social_network.h"
#include "core/errors.h"
#include "core/field_rules.h"
#include "core/flow/hosted_callback.h"
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

void CheckTenant(const v1::GetAuthUrlRequest& request, absl::string_view own_tenant_id,
                 FieldViolations& violations) {
  if (!request.has_tenant_id()) return;
  if (own_tenant_id.empty()) return CheckTenantId(request.tenant_id(), violations);
  CheckOwnTenantId(request.tenant_id(), own_tenant_id, violations);
}

// What is the same for every network.
void CheckFlowFields(const v1::GetAuthUrlRequest& request, absl::string_view own_tenant_id,
                     FieldViolations& violations) {
  CheckTenant(request, own_tenant_id, violations);
  if (request.has_configuration()) CheckConfiguration(request.configuration(), violations);
  if (request.has_login_hint()) {
    CheckText("login_hint", request.login_hint(), 1, kMaxLoginHintBytes, violations);
  }
  if (request.has_locale()) CheckLocale(request.locale(), violations);
  if (request.has_session_binding()) {
    CheckText("session_binding", request.session_binding(), kMinSessionBindingBytes,
              kMaxSessionBindingBytes, violations);
  }
  if (request.has_return_uri()) CheckReturnUri("return_uri", request.return_uri(), violations);
  if (request.has_return_state()) CheckReturnState(request.return_state(), violations);
  if (request.has_reconnect_account_id()) {
    CheckReconnectAccountId(request.reconnect_account_id(), violations);
  }
}

bool IsIn(absl::string_view uri, const google::protobuf::RepeatedPtrField<std::string>& list) {
  return std::find(list.begin(), list.end(), uri) != list.end();
}

bool HasOwnScheme(const v1::GetAuthUrlRequest& request) {
  return request.has_redirect_uri() && !absl::StartsWith(request.redirect_uri(), "https://") &&
         !absl::StartsWith(request.redirect_uri(), "http://");
}

// What depends on the network, or on its variant. Null: what holds of every network. `settings`:
// the configuration, null where it is not known yet.
void CheckForNetwork(const v1::GetAuthUrlRequest& request, const catalog::v1::Network* network,
                     const record::v1::SocialNetworkSettings* settings,
                     FieldViolations& violations) {
  const bool is_return_uri = settings != nullptr && RedirectUriIsReturnUri(request, *settings);
  if (request.has_redirect_uri() && !is_return_uri) {
    const bool is_listed =
        settings == nullptr || ListsRedirectUri(*settings, request.redirect_uri());
    CheckRedirectUri("redirect_uri", request.redirect_uri(), is_listed, network, violations);
    CheckOwnQuery("redirect_uri", request.redirect_uri(), network, violations);
  }
  CheckScopes(request.scopes(), network, violations);
  if (network != nullptr && HasChoices(request)) {
    CheckChoices(request.extra_params(), request.variables(), *network, violations);
  }
}

// Whether the network takes one of that name with a request.
template <typename Declared>
bool IsForRequests(absl::string_view name, const Declared& declared) {
  return std::any_of(declared.begin(), declared.end(),
                     [&](const auto& one) { return one.per_request() && one.name() == name; });
}

void AddAll(const FieldViolations& from, FieldViolations& to) {
  for (const FieldViolation& fault : from.list()) to.Add(fault.field, fault.description);
}

// What holds of the network in all of its variants. Which of them a request is for, only its
// configuration says.
void CheckForAnyVariant(const NetworkCatalog& catalog, const v1::GetAuthUrlRequest& request,
                        const catalog::v1::Network& network, FieldViolations& violations) {
  FieldViolations common;
  CheckForNetwork(request, &network, nullptr, common);
  for (const auto& variant : network.variants()) {
    if (common.empty()) return;
    FieldViolations of_variant;
    CheckForNetwork(request, catalog.FindVariant(network.id(), variant.id()), nullptr, of_variant);
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

// Whether all that is wrong with the request is that its network takes no such redirect_uri.
bool HasOddRedirectUri(const v1::GetAuthUrlRequest& request, const FieldViolations& faults) {
  const auto& list = faults.list();
  if (list.empty() || !std::all_of(list.begin(), list.end(), [](const FieldViolation& fault) {
        return fault.field == "redirect_uri";
      })) {
    return false;
  }
  FieldViolations of_any_network;
  CheckReturnUri("redirect_uri", request.redirect_uri(), of_any_network);
  return of_any_network.empty();
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

// The one that the request names, by either name; empty for none.
absl::StatusOr<absl::string_view> ChooseReturnUri(
    const v1::GetAuthUrlRequest& request, const record::v1::SocialNetworkSettings& settings) {
  const bool is_redirect_uri = RedirectUriIsReturnUri(request, settings);
  if (!request.has_return_uri()) {
    return is_redirect_uri ? absl::string_view(request.redirect_uri()) : absl::string_view();
  }
  FieldViolations violations;
  if (!IsIn(request.return_uri(), settings.allowed_return_uris())) {
    violations.Add("return_uri",
                   settings.allowed_return_uris().empty()
                       ? "is not taken: this organisation's configuration has no "
                         "allowed_return_uris"
                       : "is not among the allowed_return_uris of this organisation's "
                         "configuration; they are compared byte for byte");
  } else if (is_redirect_uri) {
    violations.Add("redirect_uri",
                   "is one of the configuration's allowed_return_uris, and there is a return_uri "
                   "already: leave one of them out");
  }
  if (absl::Status status = violations.ToStatus(); !status.ok()) return status;
  return absl::string_view(request.return_uri());
}

// A redirect URI that no request named, once it is known that the network takes it: its rules may
// have changed since it was configured, and a made one was never checked.
absl::StatusOr<ChosenRedirectUri> Usable(ChosenRedirectUri chosen, const AuthRequest& request,
                                         const record::v1::SocialNetworkSettings& settings) {
  FieldViolations violations;
  CheckRedirectUri("redirect_uri", chosen.uri(), ListsRedirectUri(settings, chosen.uri()),
                   request.network, violations);
  if (violations.empty()) return chosen;
  return NoRedirectUri(absl::StrCat("The default redirect URI ", Quoted(chosen.uri()), " ",
                                    violations.list().front().description));
}

// authurl's own callback, whatever the configuration allows requests to name.
absl::StatusOr<ChosenRedirectUri> MadeRedirectUri(const AuthRequest& request,
                                                  const record::v1::SocialNetworkSettings& settings,
                                                  absl::string_view public_base_url,
                                                  const KeyRing& keys) {
  ChosenRedirectUri made = {
      .source = v1::PARAMETER_SOURCE_CONFIG,
      .made = HostedCallback(public_base_url, *request.network, settings, keys)};
  return Usable(std::move(made), request, settings);
}

absl::StatusOr<ChosenRedirectUri> GivenOrDefaultRedirectUri(
    const AuthRequest& request, const record::v1::SocialNetworkSettings& settings,
    absl::string_view public_base_url, const KeyRing& keys) {
  const auto is_allowed = [&](absl::string_view uri) {
    return settings.allowed_redirect_uris().empty() || ListsRedirectUri(settings, uri);
  };
  if (request.request->has_redirect_uri()) {
    const std::string& given = request.request->redirect_uri();
    if (is_allowed(given)) return ChosenRedirectUri{v1::PARAMETER_SOURCE_REQUEST, given};
    FieldViolations violations;
    violations.Add("redirect_uri",
                   "is not among the allowed_redirect_uris of this organisation's configuration; "
                   "they are compared byte for byte");
    return violations.ToStatus();
  }
  ChosenRedirectUri chosen = {v1::PARAMETER_SOURCE_CONFIG, settings.default_redirect_uri()};
  if (chosen.given.empty()) {
    chosen.made = HostedCallback(public_base_url, *request.network, settings, keys);
  }
  if (chosen.uri().empty()) {
    return NoRedirectUri(
        "There is no redirect URI: name one in the request, or set the configuration's "
        "default_redirect_uri");
  }
  absl::StatusOr<ChosenRedirectUri> usable = Usable(std::move(chosen), request, settings);
  if (!usable.ok() || is_allowed(usable->uri())) return usable;
  return NoRedirectUri(absl::StrCat("The default redirect URI ", Quoted(usable->uri()),
                                    " is not among the configuration's allowed_redirect_uris"));
}

// Whether somebody named what is authurl's own callback.
bool IsHosted(absl::string_view redirect_uri, const AuthRequest& request,
              const record::v1::SocialNetworkSettings& settings, absl::string_view public_base_url,
              const KeyRing& keys) {
  return !public_base_url.empty() && absl::StartsWith(redirect_uri, public_base_url) &&
         redirect_uri == HostedCallback(public_base_url, *request.network, settings, keys);
}

}  // namespace

absl::StatusOr<AuthRequest> ValidateAuthRequest(const NetworkCatalog& catalog,
                                                const v1::GetAuthUrlRequest& request,
                                                absl::string_view own_tenant_id) {
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
  CheckForNetwork(request, has_variants ? nullptr : network, nullptr, certain);
  CheckFlowFields(request, own_tenant_id, certain);
  const bool is_odd =
      network != nullptr && violations.empty() && HasOddRedirectUri(request, certain);
  if (!has_variants) {
    if (!is_odd) AddAll(certain, violations);
  } else if (!violations.empty() || !certain.empty()) {
    // Refused whatever the variant is. Where it is not, the variant's own rules say more.
    CheckForAnyVariant(catalog, request, *network, violations);
    CheckFlowFields(request, own_tenant_id, violations);
  }
  if (absl::Status status = violations.ToStatus(); !status.ok()) return status;
  if (!HasAuthUrl(*network)) return NoAuthUrl(*network);
  return AuthRequest{network, &request, is_odd, own_tenant_id};
}

void KeepChoicesOf(const catalog::v1::Network& network, v1::GetAuthUrlRequest& request) {
  const auto keep = [](StringMap& choices, const auto& declared) {
    for (auto choice = choices.begin(); choice != choices.end();) {
      choice = IsForRequests(choice->first, declared) ? std::next(choice) : choices.erase(choice);
    }
  };
  keep(*request.mutable_extra_params(), network.configuration_params());
  keep(*request.mutable_variables(), network.variables());
}

bool HasChoices(const v1::GetAuthUrlRequest& request) {
  return !request.extra_params().empty() || !request.variables().empty();
}

record::v1::SocialNetworkSettings WithChoices(const v1::GetAuthUrlRequest& request,
                                              const record::v1::SocialNetworkSettings& settings) {
  record::v1::SocialNetworkSettings chosen = settings;
  for (const auto& [name, value] : request.extra_params()) {
    (*chosen.mutable_extra_params())[name] = value;
  }
  for (const auto& [name, value] : request.variables()) {
    (*chosen.mutable_variables())[name] = value;
  }
  return chosen;
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
  CheckForNetwork(shared, nullptr, nullptr, violations);
  CheckFlowFields(shared, /*own_tenant_id=*/"", violations);
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
  FieldViolations violations;
  if (RequiresSessionBinding(settings) && !request.request->has_session_binding()) {
    violations.Add("session_binding", "Required by the configuration's session_binding_policy");
  }
  // What only the configuration decides: what its variant takes, and whether it lists an app's own
  // scheme, or a return URI.
  if (!network.variants().empty() || HasOwnScheme(*request.request) ||
      request.has_odd_redirect_uri) {
    CheckForNetwork(*request.request, variant, &settings, violations);
  }
  if (absl::Status status = violations.ToStatus(); !status.ok()) return status;
  if (!HasAuthUrl(*variant)) return NoAuthUrl(*variant);
  return AuthRequest{variant, request.request, /*has_odd_redirect_uri=*/false,
                     request.own_tenant_id};
}

bool RedirectUriIsReturnUri(const v1::GetAuthUrlRequest& request,
                            const record::v1::SocialNetworkSettings& settings) {
  const std::string& uri = request.redirect_uri();
  return !settings.allowed_return_uris().empty() && request.has_redirect_uri() &&
         IsIn(uri, settings.allowed_return_uris()) && !ListsRedirectUri(settings, uri) &&
         uri != settings.default_redirect_uri();
}

absl::StatusOr<ChosenRedirectUri> ChooseRedirectUri(
    const AuthRequest& request, const record::v1::SocialNetworkSettings& settings,
    absl::string_view public_base_url, const KeyRing& keys) {
  absl::StatusOr<absl::string_view> return_uri = ChooseReturnUri(*request.request, settings);
  if (!return_uri.ok()) return return_uri.status();
  // Only authurl's own callback goes on to a return URI.
  const bool goes_to_callback =
      RedirectUriIsReturnUri(*request.request, settings) ||
      (request.request->has_return_uri() && !request.request->has_redirect_uri());
  if (goes_to_callback && public_base_url.empty()) {
    return NoRedirectUri(
        "This server has no callback of its own from which to go on to a return URI: its operator "
        "must set --public_base_url, or name a redirect_uri of yours");
  }
  absl::StatusOr<ChosenRedirectUri> chosen =
      goes_to_callback ? MadeRedirectUri(request, settings, public_base_url, keys)
                       : GivenOrDefaultRedirectUri(request, settings, public_base_url, keys);
  if (!chosen.ok()) return chosen;
  chosen->is_hosted =
      !chosen->made.empty() || IsHosted(chosen->uri(), request, settings, public_base_url, keys);
  if (chosen->is_hosted) chosen->return_uri = *return_uri;
  return chosen;
}

}  // namespace authurl
