#include "core/flow/explanation.h"

#include <algorithm>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/catalog/endpoint.h"
#include "core/catalog/network_rules.h"
#include "core/catalog/pattern.h"
#include "core/catalog/social_network.h"
#include "core/crypto/jwt.h"
#include "core/errors.h"
#include "core/flow/auth_url.h"
#include "core/flow/id_token.h"
#include "core/uri.h"

namespace authurl {
namespace {

using catalog::v1::Network;
using catalog::v1::Warning;

// Time enough to make another client secret.
constexpr absl::Duration kEndsSoon = absl::Hours(30 * 24);

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
         (warning.scope().empty() || std::any_of(scopes.begin(), scopes.end(),
                                                 [&](const std::string& scope) {
                                                   return MatchesInFull(scope, warning.scope());
                                                 })) &&
         (warning.redirect_uri().empty() || MatchesSomewhere(redirect_uri, warning.redirect_uri()));
}

void AddOnce(std::string text, std::vector<std::string>& warnings) {
  if (std::find(warnings.begin(), warnings.end(), text) == warnings.end()) {
    warnings.push_back(std::move(text));
  }
}

bool IsOfScopes(const Warning& warning) {
  return !warning.all_scopes().empty() || !warning.any_scope().empty() ||
         !warning.no_scope().empty() || !warning.scope().empty();
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
void AddRefusals(absl::string_view field, const std::string& redirect_uri, bool is_listed,
                 const Network& network, std::vector<std::string>& warnings) {
  FieldViolations violations;
  CheckRedirectUri(field, redirect_uri, is_listed, &network, violations);
  CheckOwnQuery(field, redirect_uri, &network, violations);
  for (const FieldViolation& violation : violations.list()) {
    AddOnce(absl::StrCat("The configuration's ", violation.field, " ", Quoted(redirect_uri), ": ",
                         violation.description),
            warnings);
  }
}

// Those of a configuration, which stay until they are replaced.
void AddRefusals(const ScopeList& scopes, const Network& network,
                 std::vector<std::string>& warnings) {
  FieldViolations violations;
  CheckScopes(scopes, &network, violations);
  for (const FieldViolation& violation : violations.list()) {
    AddOnce(absl::StrCat("The configuration's ", violation.field, ": ", violation.description),
            warnings);
  }
}

// Of a credential that looks like another network's, or like its other half. Never quotes it.
void WarnOfLooks(absl::string_view field, absl::string_view value,
                 const catalog::v1::CredentialFormat& format, const Network& network,
                 std::vector<std::string>& warnings) {
  if (value.empty() || format.pattern().empty() || MatchesInFull(value, format.pattern())) return;
  AddOnce(
      absl::StrCat("The ", field, " does not look like one of ", network.display_name(),
                   "'s, which looks like ", format.description(), ": compare it with the portal"),
      warnings);
}

// A name without a dot is known to a local network alone. Where the network's rules want public
// ones, it is refused.
void WarnOfHost(absl::string_view redirect_uri, const Network& network,
                std::vector<std::string>& warnings) {
  if (network.redirect_uri().no_local_https()) return;
  const absl::StatusOr<RedirectUri> uri = ParseRedirectUri(redirect_uri);
  if (!uri.ok() || uri->host_kind != HostKind::kName || absl::StrContains(uri->host, '.')) return;
  AddOnce(absl::StrCat("The redirect URI's host ", Quoted(uri->host),
                       " has no dot: most networks take public host names only"),
          warnings);
}

// People mean every page below by it.
void WarnOfWildcard(absl::string_view field, absl::string_view uri, absl::string_view who,
                    std::vector<std::string>& warnings) {
  if (!absl::StrContains(uri, '*')) return;
  AddOnce(absl::StrCat("The ", field, " has a \"*\": ", who, " exactly, so name each one"),
          warnings);
}

// Of a JWT that the organisation signed itself: nobody but it can make the next one. Never quotes
// it.
void WarnOfEnd(absl::string_view client_secret, const Network& network, absl::Time now,
               std::vector<std::string>& warnings) {
  if (!network.has_signed_secret() || !LooksLikeJwt(client_secret)) return;
  const std::string& name = network.display_name();
  const std::optional<absl::Time> end = EndOfJwt(client_secret);
  if (!end.has_value()) {
    AddOnce(absl::StrCat(name, "'s client_secret has no exp: ", name, " will refuse it"), warnings);
    return;
  }
  const absl::Duration longest = absl::Seconds(network.signed_secret().max_lifetime_s());
  if (*end - now > longest + kMaxClockSkew) {
    AddOnce(absl::StrCat(name, " takes no client_secret that lives for more than ",
                         longest / absl::Hours(24), " days"),
            warnings);
  } else if (*end - now < kEndsSoon) {
    AddOnce(absl::StrCat(name, "'s client_secret ", *end <= now ? "ended" : "ends", " on ",
                         absl::FormatTime("%Y-%m-%d", *end, absl::UTCTimeZone()),
                         ": make another one, or give the private key itself, which does not end"),
            warnings);
  }
}

constexpr absl::string_view kReturnUriOnly =
    "authurl's own callback, because the request's redirect_uri is one of the configuration's "
    "allowed_return_uris: it is where the browser goes on to from there";

// What is true of the flow's end, whatever the network.
void ExplainReturn(const AuthRequest& request, const record::v1::SocialNetworkSettings& settings,
                   const ChosenRedirectUri& redirect_uri, v1::ExplainAuthUrlResponse& response) {
  response.set_hosted_callback(redirect_uri.is_hosted);
  if (!redirect_uri.is_hosted) return;
  if (!redirect_uri.return_uri.empty()) {
    response.set_return_uri(std::string(redirect_uri.return_uri));
    response.set_return_uri_source(v1::PARAMETER_SOURCE_REQUEST);
  } else if (!settings.default_return_uri().empty()) {
    response.set_return_uri(settings.default_return_uri());
    response.set_return_uri_source(v1::PARAMETER_SOURCE_CONFIG);
  }
  if (!RedirectUriIsReturnUri(*request.request, settings)) return;
  for (v1::AuthUrlParameter& parameter : *response.mutable_parameters()) {
    if (parameter.name() == "redirect_uri") parameter.set_why(std::string(kReturnUriOnly));
  }
}

void WarnOfReturn(const AuthRequest& request, const record::v1::SocialNetworkSettings& settings,
                  const ChosenRedirectUri& redirect_uri, std::vector<std::string>& warnings) {
  const v1::GetAuthUrlRequest& asked = *request.request;
  if (!redirect_uri.is_hosted) {
    if (asked.has_return_uri()) {
      AddOnce(
          "return_uri has no effect: it is where authurl's own callback goes on to, and the "
          "redirect URI is another one",
          warnings);
    }
    return;
  }
  if (!asked.has_session_binding()) {
    AddOnce(
        "Without a session_binding, authurl's own callback can't tell whether the person who "
        "comes back is the one for whom this URL was made: who gets somebody else to open it, "
        "or to come back in their place, connects the wrong account (login CSRF, RFC 6749 "
        "section 10.12)",
        warnings);
  }
  if (!redirect_uri.return_uri.empty() || !settings.default_return_uri().empty()) return;
  AddOnce(absl::StrCat("There is no return_uri, and the configuration has no default_return_uri: ",
                       asked.has_session_binding()
                           ? "with a session_binding, authurl's own callback connects nothing by "
                             "itself, and has nowhere to send what FinalizePendingConnection needs"
                           : "the person ends on a plain page of authurl's"),
          warnings);
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
  const bool takes_nonce = TakesNonce(network, ChooseScopes(request, settings));
  const AuthUrlParts parts = {request,
                              settings,
                              redirect_uri,
                              kStatePlaceholder,
                              uses_pkce ? kCodeChallengePlaceholder : absl::string_view(),
                              takes_nonce ? kNoncePlaceholder : absl::string_view()};
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
  ExplainReturn(request, settings, redirect_uri, response);

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
  WarnOfReturn(request, settings, redirect_uri, warnings);
  WarnOfHost(redirect_uri.uri(), network, warnings);
  if (const size_t bytes = BuildAuthUrl(parts).size(); bytes > kMaxAuthUrlBytes) {
    AddOnce(absl::StrCat("GetAuthUrl refuses this URL: even without its state it has ", bytes,
                         " bytes, and at most ", kMaxAuthUrlBytes, " are handed out"),
            warnings);
  }
  // Any time does: all have the same length.
  const absl::Status state =
      CheckStateFits(request, settings, redirect_uri, absl::FromUnixSeconds(2'000'000'000));
  if (!state.ok()) AddOnce(absl::StrCat("GetAuthUrl refuses this: ", state.message()), warnings);
  if (request.request->force_account_selection() && network.account_selection_params().empty()) {
    AddOnce(absl::StrCat(network.display_name(), " has no account chooser: the account that is ",
                         "signed in will be connected"),
            warnings);
  }
  if (request.request->has_login_hint() && network.login_hint_param().empty()) {
    AddOnce(absl::StrCat(network.display_name(), " takes no login_hint: it is not sent"), warnings);
  }
  if (network.one_grant_per_person()) {
    AddOnce(absl::StrCat(network.display_name(),
                         " keeps one connection for each person and app: connecting ends the one "
                         "before, be it another tenant's or a test's of the same app"),
            warnings);
  }
  const std::string& by_default = settings.default_redirect_uri();
  if (!by_default.empty()) {
    AddRefusals("default_redirect_uri", by_default, ListsRedirectUri(settings, by_default), network,
                warnings);
  }
  const auto& allowed = settings.allowed_redirect_uris();
  for (int i = 0; i < allowed.size(); ++i) {
    AddRefusals(absl::StrCat("allowed_redirect_uris[", i, "]"), allowed[i], /*is_listed=*/true,
                network, warnings);
  }
  if (replacing.empty() && request.request->scopes().empty()) {
    AddRefusals(settings.scopes(), network, warnings);
  }
  for (std::string& warning : warnings) response.add_warnings(std::move(warning));
  return response;
}

std::vector<std::string> ConfigurationWarnings(const Network& network,
                                               const record::v1::SocialNetworkSettings& settings,
                                               absl::Time now, absl::string_view client_secret) {
  std::vector<std::string> warnings;
  if (network.status() == catalog::v1::STATUS_LEGACY) AddOnce(network.status_note(), warnings);
  const ScopeList& chosen =
      settings.scopes().empty() ? network.scopes().defaults() : settings.scopes();
  const ScopeList* scopes = ScopesReplacedBy(network, settings).empty() ? &chosen : nullptr;
  const auto warn_of_uri = [&](absl::string_view field, const std::string& uri) {
    AddWarnings(network, scopes, uri, warnings);
    WarnOfHost(uri, network, warnings);
    WarnOfWildcard(field, uri, "networks compare redirect URIs", warnings);
  };
  const auto& allowed = settings.allowed_redirect_uris();
  for (int i = 0; i < allowed.size(); ++i) {
    warn_of_uri(absl::StrCat("allowed_redirect_uris[", i, "]"), allowed[i]);
  }
  warn_of_uri("default_redirect_uri", settings.default_redirect_uri());
  if (scopes != nullptr) AddRefusals(settings.scopes(), network, warnings);
  constexpr absl::string_view kWeCompare = "authurl compares return URIs";
  const auto& returns = settings.allowed_return_uris();
  for (int i = 0; i < returns.size(); ++i) {
    WarnOfWildcard(absl::StrCat("allowed_return_uris[", i, "]"), returns[i], kWeCompare, warnings);
  }
  WarnOfWildcard("default_return_uri", settings.default_return_uri(), kWeCompare, warnings);
  WarnOfLooks("client_key", settings.client_key(), network.client_key_format(), network, warnings);
  WarnOfLooks("client_secret", client_secret, network.client_secret_format(), network, warnings);
  WarnOfEnd(client_secret, network, now, warnings);
  return warnings;
}

}  // namespace authurl
