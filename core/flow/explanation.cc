#include "core/flow/explanation.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/catalog/endpoint.h"
#include "core/catalog/network_rules.h"
#include "core/catalog/pattern.h"
#include "core/errors.h"
#include "core/flow/auth_url.h"

namespace authurl {
namespace {

using catalog::v1::Network;
using catalog::v1::Warning;

bool IsAmong(const ScopeList& scopes, const std::string& scope) {
  return std::find(scopes.begin(), scopes.end(), scope) != scopes.end();
}

// Every condition that is given holds.
bool Applies(const Warning& warning, const ScopeList& scopes, absl::string_view redirect_uri) {
  const auto asked = [&](const std::string& scope) { return IsAmong(scopes, scope); };
  const auto& all = warning.all_scopes();
  const auto& any = warning.any_scope();
  const auto& none = warning.no_scope();
  return std::all_of(all.begin(), all.end(), asked) &&
         (any.empty() || std::any_of(any.begin(), any.end(), asked)) &&
         std::none_of(none.begin(), none.end(), asked) &&
         (warning.redirect_uri().empty() || MatchesSomewhere(redirect_uri, warning.redirect_uri()));
}

void AddOnce(std::string text, std::vector<std::string>& warnings) {
  if (std::find(warnings.begin(), warnings.end(), text) == warnings.end()) {
    warnings.push_back(std::move(text));
  }
}

bool IsOfScopes(const Warning& warning) {
  return !warning.all_scopes().empty() || !warning.any_scope().empty() ||
         !warning.no_scope().empty();
}

// What a network warns of: `scopes` are those asked for, null where none are sent.
void AddWarnings(const Network& network, const ScopeList* scopes, absl::string_view redirect_uri,
                 std::vector<std::string>& warnings) {
  for (const Warning& warning : network.warnings()) {
    if (scopes == nullptr && IsOfScopes(warning)) continue;
    if (Applies(warning, scopes == nullptr ? ScopeList() : *scopes, redirect_uri)) {
      AddOnce(warning.text(), warnings);
    }
  }
}

// A configuration that was checked when it was made may be refused by now.
void AddRefusals(absl::string_view field, const std::string& redirect_uri, const Network& network,
                 std::vector<std::string>& warnings) {
  FieldViolations violations;
  CheckRedirectUri(field, redirect_uri, &network, violations);
  CheckOwnQuery(field, redirect_uri, violations);
  for (const FieldViolation& violation : violations.list()) {
    AddOnce(absl::StrCat("The configuration's ", violation.field, " ", Quoted(redirect_uri), ": ",
                         violation.description),
            warnings);
  }
}

std::string StateText(const Network& network) {
  const auto& rules = network.state();
  if (rules.alphabet() != catalog::v1::StateRules::ALPHABET_ALPHANUMERIC) return "";
  return absl::StrCat("; stored, and a reference of ", kStateReferenceChars,
                      " letters and digits sent, because the network takes no other characters");
}

}  // namespace

v1::ExplainAuthUrlResponse ExplainAuthUrl(const AuthRequest& request,
                                          const record::v1::SocialNetworkSettings& settings,
                                          const ChosenRedirectUri& redirect_uri) {
  const Network& network = *request.network;
  v1::ExplainAuthUrlResponse response;
  AppendAuthorizationEndpoint(network, settings, *response.mutable_authorization_endpoint());
  const bool uses_pkce = network.pkce().mode() != catalog::v1::Pkce::MODE_NONE;
  const AuthUrlParts parts = {request, settings, redirect_uri, kStatePlaceholder,
                              uses_pkce ? kCodeChallengePlaceholder : absl::string_view()};
  ForEachParameter(parts, [&](const AuthUrlParameter& parameter) {
    v1::AuthUrlParameter& shown = *response.add_parameters();
    shown.set_name(std::string(parameter.name));
    shown.set_value(std::string(parameter.value));
    shown.set_source(parameter.source);
    const bool is_state =
        parameter.source == v1::PARAMETER_SOURCE_GENERATED && parameter.name == "state";
    shown.set_why(absl::StrCat(parameter.why, is_state ? StateText(network) : ""));
  });
  response.set_fragment(network.fragment());
  response.set_social_network_id(settings.id());
  response.set_configuration_name(settings.name());

  std::vector<std::string> warnings;
  if (network.status() == catalog::v1::STATUS_LEGACY) AddOnce(network.status_note(), warnings);
  const absl::string_view replacing = ScopesReplacedBy(network, settings);
  if (!replacing.empty() && !request.request->scopes().empty()) {
    AddOnce(absl::StrCat("The request's scopes are not sent, because the configuration's "
                         "extra_params.",
                         replacing, " says what is asked for"),
            warnings);
  }
  AddWarnings(network, replacing.empty() ? &ChooseScopes(request, settings) : nullptr,
              redirect_uri.uri(), warnings);
  if (const size_t bytes = BuildAuthUrl(parts).size(); bytes > kMaxAuthUrlBytes) {
    AddOnce(absl::StrCat("GetAuthUrl refuses this URL: even without its state it has ", bytes,
                         " bytes, and at most ", kMaxAuthUrlBytes, " are handed out"),
            warnings);
  }
  const auto& allowed = settings.allowed_redirect_uris();
  if (!settings.default_redirect_uri().empty()) {
    AddRefusals("default_redirect_uri", settings.default_redirect_uri(), network, warnings);
  }
  for (int i = 0; i < allowed.size(); ++i) {
    AddRefusals(absl::StrCat("allowed_redirect_uris[", i, "]"), allowed[i], network, warnings);
  }
  for (std::string& warning : warnings) response.add_warnings(std::move(warning));
  return response;
}

std::vector<std::string> ConfigurationWarnings(const Network& network,
                                               const record::v1::SocialNetworkSettings& settings) {
  std::vector<std::string> warnings;
  if (network.status() == catalog::v1::STATUS_LEGACY) AddOnce(network.status_note(), warnings);
  const ScopeList& chosen =
      settings.scopes().empty() ? network.scopes().defaults() : settings.scopes();
  const ScopeList* scopes = ScopesReplacedBy(network, settings).empty() ? &chosen : nullptr;
  std::vector<std::string> redirect_uris(settings.allowed_redirect_uris().begin(),
                                         settings.allowed_redirect_uris().end());
  redirect_uris.push_back(settings.default_redirect_uri());
  for (const std::string& uri : redirect_uris) AddWarnings(network, scopes, uri, warnings);
  return warnings;
}

}  // namespace authurl
