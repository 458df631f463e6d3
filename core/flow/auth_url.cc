#include "core/flow/auth_url.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/catalog/endpoint.h"
#include "core/catalog/locale.h"
#include "core/crypto/pkce.h"
#include "core/errors.h"
#include "core/flow/flow_id.h"
#include "core/flow/id_token.h"
#include "core/uri.h"

namespace authurl {
namespace {

using catalog::v1::Network;
using Visit = absl::FunctionRef<void(const AuthUrlParameter&)>;

// Few URLs are longer, so that building one allocates once.
constexpr size_t kUsualUrlBytes = 1024;

// Leaves out what has no value: to the network it would be as good as omitted (RFC 6749
// section 3.1).
void VisitIfSet(const AuthUrlParameter& parameter, Visit visit) {
  if (!parameter.value.empty()) visit(parameter);
}

// Whether a parameter that is bound to some scopes goes with these.
bool GoesWith(const ScopeList& only_with, const ScopeList& scopes) {
  return only_with.empty() ||
         std::any_of(scopes.begin(), scopes.end(), [&](const std::string& scope) {
           return std::find(only_with.begin(), only_with.end(), scope) != only_with.end();
         });
}

v1::ParameterSource SourceOfScopes(const AuthUrlParts& parts) {
  if (!parts.request.request->scopes().empty()) return v1::PARAMETER_SOURCE_REQUEST;
  return parts.settings.scopes().empty() ? v1::PARAMETER_SOURCE_CATALOG
                                         : v1::PARAMETER_SOURCE_CONFIG;
}

void VisitScopes(const AuthUrlParts& parts, const ScopeList& scopes, Visit visit) {
  const Network& network = *parts.request.network;
  if (!ScopesReplacedBy(network, parts.settings).empty()) return;
  // Kept by each thread, so that it is allocated once and not for each URL.
  thread_local std::string joined;
  joined.clear();
  for (const std::string& scope : scopes) {
    if (!joined.empty()) joined += network.scopes().separator();
    joined += scope;
  }
  VisitIfSet(
      {network.scopes().param(), joined, SourceOfScopes(parts), "What the app asks to be allowed"},
      visit);
}

void VisitProtocol(const AuthUrlParts& parts, const ScopeList& scopes, Visit visit) {
  const Network& network = *parts.request.network;
  VisitIfSet({network.client_id_param(), parts.settings.client_key(), v1::PARAMETER_SOURCE_CONFIG,
              "Names the organisation's OAuth app"},
             visit);
  VisitIfSet({"redirect_uri", parts.redirect_uri.uri(), parts.redirect_uri.source,
              "Where the network sends the end-user back to"},
             visit);
  VisitIfSet({"response_type", network.response_type(), v1::PARAMETER_SOURCE_CATALOG,
              "Asks for an authorization code"},
             visit);
  VisitScopes(parts, scopes, visit);
  VisitIfSet({"state", parts.state, v1::PARAMETER_SOURCE_GENERATED,
              "Ties the answer to this request; sealed, fresh for each URL"},
             visit);
  if (!parts.code_challenge.empty()) {
    VisitIfSet({"code_challenge", parts.code_challenge, v1::PARAMETER_SOURCE_GENERATED,
                "Ties the code to whoever asked for it (PKCE); fresh for each URL"},
               visit);
    VisitIfSet({"code_challenge_method", "S256", v1::PARAMETER_SOURCE_CATALOG,
                "The challenge is the verifier's SHA-256"},
               visit);
  }
  VisitIfSet({"nonce", parts.nonce, v1::PARAMETER_SOURCE_GENERATED,
              "Ties the ID token to this request (OpenID Connect); fresh for each URL"},
             visit);
}

// One that is also among the fixed ones takes its place there.
const catalog::v1::Parameter* Selection(const AuthUrlParts& parts, absl::string_view name) {
  if (!parts.request.request->force_account_selection()) return nullptr;
  const auto& params = parts.request.network->account_selection_params();
  const auto found = std::find_if(params.begin(), params.end(),
                                  [&](const auto& param) { return param.name() == name; });
  return found == params.end() ? nullptr : &*found;
}

void VisitParameter(const catalog::v1::Parameter& param, v1::ParameterSource source,
                    const ScopeList& scopes, Visit visit) {
  if (!GoesWith(param.only_with_scopes(), scopes)) return;
  VisitIfSet({param.name(), param.value(), source, param.why()}, visit);
}

// What the request's locale is for the network; empty where it is nothing.
std::string LocaleOf(const AuthUrlParts& parts) {
  const Network& network = *parts.request.network;
  const v1::GetAuthUrlRequest& asked = *parts.request.request;
  if (!asked.has_locale() || !network.has_locale()) return "";
  return LocaleFor(network.locale(), asked.locale());
}

void VisitOfNetwork(const AuthUrlParts& parts, const ScopeList& scopes, Visit visit) {
  const Network& network = *parts.request.network;
  for (const auto& fixed : network.fixed_params()) {
    const catalog::v1::Parameter* selection = Selection(parts, fixed.name());
    if (selection != nullptr) {
      VisitParameter(*selection, v1::PARAMETER_SOURCE_REQUEST, scopes, visit);
    } else {
      VisitParameter(fixed, v1::PARAMETER_SOURCE_CATALOG, scopes, visit);
    }
  }
  const auto is_fixed = [&](const catalog::v1::Parameter& param) {
    const auto& fixed = network.fixed_params();
    return std::any_of(fixed.begin(), fixed.end(),
                       [&](const auto& each) { return each.name() == param.name(); });
  };
  if (parts.request.request->force_account_selection()) {
    for (const auto& selection : network.account_selection_params()) {
      if (is_fixed(selection)) continue;
      VisitParameter(selection, v1::PARAMETER_SOURCE_REQUEST, scopes, visit);
    }
  }
  VisitIfSet({network.locale().param(), LocaleOf(parts), v1::PARAMETER_SOURCE_REQUEST,
              "The language of the network's pages"},
             visit);
  if (network.login_hint_param().empty()) return;
  VisitIfSet({network.login_hint_param(), parts.request.request->login_hint(),
              v1::PARAMETER_SOURCE_REQUEST, "The account that the end-user is expected to choose"},
             visit);
}

// Not what only requests to the network need, nor what account selection has another value for.
bool IsSentNow(const catalog::v1::ConfigurationParam& param, const AuthUrlParts& parts,
               const ScopeList& scopes) {
  return !param.completing_only() && GoesWith(param.only_with_scopes(), scopes) &&
         Selection(parts, param.name()) == nullptr;
}

// What the configuration gives, and the catalog's defaults for what it does not, by name.
void VisitOfConfiguration(const AuthUrlParts& parts, const ScopeList& scopes, Visit visit) {
  const Network& network = *parts.request.network;
  if (parts.settings.extra_params().empty()) {
    // Those of an entry are sorted by name when it is read.
    for (const auto& param : network.configuration_params()) {
      if (!IsSentNow(param, parts, scopes)) continue;
      VisitIfSet(
          {param.name(), param.default_value(), v1::PARAMETER_SOURCE_CATALOG, param.description()},
          visit);
    }
    return;
  }
  // A map, because protobuf's own has no order.
  std::map<absl::string_view, AuthUrlParameter> by_name;
  for (const auto& [name, value] : parts.settings.extra_params()) {
    if (parts.request.request->extra_params().contains(name)) {
      by_name[name] = {name, value, v1::PARAMETER_SOURCE_REQUEST,
                       "One of the request's extra_params"};
      continue;
    }
    by_name[name] = {name, value, v1::PARAMETER_SOURCE_CONFIG,
                     "One of the configuration's extra_params"};
  }
  for (const auto& param : network.configuration_params()) {
    if (!IsSentNow(param, parts, scopes)) {
      by_name.erase(param.name());
      continue;
    }
    const auto [place, is_default] = by_name.try_emplace(
        param.name(), AuthUrlParameter{param.name(), param.default_value(),
                                       v1::PARAMETER_SOURCE_CATALOG, param.description()});
    if (!is_default) place->second.why = param.description();
  }
  // The request's language takes the place of the configuration's.
  if (!LocaleOf(parts).empty()) by_name.erase(network.locale().param());
  for (const auto& [name, parameter] : by_name) VisitIfSet(parameter, visit);
}

void Assign(absl::string_view text, std::string& field) { field.assign(text.data(), text.size()); }

void FillState(const AuthRequest& request, const record::v1::SocialNetworkSettings& settings,
               const ChosenRedirectUri& redirect_uri, absl::Time now, absl::Time expires_at,
               state::v1::AuthState& state) {
  const v1::GetAuthUrlRequest& asked = *request.request;
  state.Clear();
  state.set_org_id(settings.org_id());
  state.set_network(request.network->id());
  state.set_social_network_id(settings.id());
  state.set_social_network_version(settings.version());
  Assign(request.tenant_id(), *state.mutable_tenant_id());
  Assign(redirect_uri.uri(), *state.mutable_redirect_uri());
  state.set_issued_at(absl::ToUnixSeconds(now));
  state.set_expires_at(absl::ToUnixSeconds(expires_at));
  if (!asked.scopes().empty()) *state.mutable_scopes() = asked.scopes();
  if (asked.has_session_binding()) {
    const auto hash = Sha256(asked.session_binding());
    state.set_session_binding_hash(hash.data(), hash.size());
  }
  if (!settings.instance().empty()) state.set_instance(settings.instance());
  if (!settings.variant().empty()) state.set_variant(settings.variant());
  if (!asked.variables().empty()) *state.mutable_variables() = asked.variables();
  state.set_is_hosted(redirect_uri.is_hosted);
  if (!redirect_uri.return_uri.empty()) {
    Assign(redirect_uri.return_uri, *state.mutable_return_uri());
  }
  if (asked.has_return_state()) state.set_return_state(asked.return_state());
  if (asked.has_reconnect_account_id()) {
    state.set_reconnect_account_id(asked.reconnect_account_id());
  }
  state.set_has_nonce(TakesNonce(*request.network, ChooseScopes(request, settings)));
}

absl::string_view NameOf(v1::ParameterSource source) {
  switch (source) {
    case v1::PARAMETER_SOURCE_REQUEST:
      return "the request";
    case v1::PARAMETER_SOURCE_CONFIG:
      return "the configuration";
    case v1::PARAMETER_SOURCE_CATALOG:
      return "the network's entry in the catalog";
    default:
      return "the redirect URI, the scopes, the tenant and the return URI and state of the request";
  }
}

absl::Status TooLong(size_t bytes, const AuthUrlParts& parts) {
  std::string longest;
  size_t longest_bytes = 0;
  absl::string_view origin;
  ForEachParameter(parts, [&](const AuthUrlParameter& parameter) {
    std::string encoded;
    AppendPercentEncoded(parameter.value, encoded);
    if (encoded.size() <= longest_bytes) return;
    longest = std::string(parameter.name);
    longest_bytes = encoded.size();
    origin = NameOf(parameter.source);
  });
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "AUTH_URL_TOO_LONG",
      absl::StrCat("The URL would be ", bytes, " bytes; at most ", kMaxAuthUrlBytes,
                   " are handed out. Its longest part is the parameter ", longest, " with ",
                   longest_bytes, " bytes, which come from ", origin, ": shorten it"));
}

// OK where the state fits into the URL, or may be stored.
absl::Status CheckState(const Network& network, const state::v1::AuthState& state) {
  if (NetworkTakesSealed(network, state)) return absl::OkStatus();
  const size_t bytes = SealedStateBytes(state);
  if (bytes <= kMaxStoredStateBytes) return absl::OkStatus();
  size_t scopes = 0;
  for (const std::string& scope : state.scopes()) scopes += scope.size();
  size_t variables = 0;
  for (const auto& [name, value] : state.variables()) variables += name.size() + value.size();
  // Those that callers can shorten. The first of the longest is named.
  const std::array<std::pair<size_t, absl::string_view>, 6> parts = {
      {{state.redirect_uri().size(), "redirect URI"},
       {scopes, "request's scopes"},
       {state.return_uri().size(), "return URI"},
       {state.return_state().size(), "return_state"},
       {state.tenant_id().size(), "tenant_id"},
       {variables, "request's variables"}}};
  const auto longest = std::max_element(
      parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return MakeError(absl::StatusCode::kFailedPrecondition, "AUTH_STATE_TOO_LONG",
                   absl::StrCat("The OAuth state would be ", bytes, " bytes; at most ",
                                kMaxStoredStateBytes, " are stored. Its longest part is the ",
                                longest->second, " with ", longest->first, " bytes: shorten it"));
}

}  // namespace

const ScopeList& ChooseScopes(const AuthRequest& request,
                              const record::v1::SocialNetworkSettings& settings) {
  return ChooseScopes(*request.network, request.request->scopes(), settings);
}

const ScopeList& ChooseScopes(const Network& network, const ScopeList& requested,
                              const record::v1::SocialNetworkSettings& settings) {
  if (!requested.empty()) return requested;
  if (!settings.scopes().empty()) return settings.scopes();
  return network.scopes().defaults();
}

absl::string_view ScopesReplacedBy(const Network& network,
                                   const record::v1::SocialNetworkSettings& settings) {
  const auto& params = network.configuration_params();
  const auto found = std::find_if(params.begin(), params.end(), [&](const auto& param) {
    return param.replaces_scopes() && settings.extra_params().contains(param.name());
  });
  return found == params.end() ? absl::string_view() : found->name();
}

void ForEachParameter(const AuthUrlParts& parts, Visit visit) {
  const ScopeList& scopes = ChooseScopes(parts.request, parts.settings);
  VisitProtocol(parts, scopes, visit);
  VisitOfNetwork(parts, scopes, visit);
  VisitOfConfiguration(parts, scopes, visit);
}

std::string BuildAuthUrl(const AuthUrlParts& parts) {
  const Network& network = *parts.request.network;
  std::string url;
  url.reserve(kUsualUrlBytes);
  AppendAuthorizationEndpoint(network, parts.settings, url);
  char separator = absl::StrContains(url, '?') ? '&' : '?';
  ForEachParameter(parts, [&](const AuthUrlParameter& parameter) {
    url.push_back(separator);
    AppendPercentEncoded(parameter.name, url);
    url.push_back('=');
    AppendPercentEncoded(parameter.value, url);
    separator = '&';
  });
  if (!network.fragment().empty()) absl::StrAppend(&url, "#", network.fragment());
  return url;
}

absl::Status CheckStateFits(const AuthRequest& request,
                            const record::v1::SocialNetworkSettings& settings,
                            const ChosenRedirectUri& redirect_uri, absl::Time now) {
  state::v1::AuthState state;
  FillState(request, settings, redirect_uri, now, now + kMaxStateLifetime, state);
  return CheckState(*request.network, state);
}

absl::StatusOr<AuthUrl> MintAuthUrl(const Sealer& sealer, const AuthRequest& request,
                                    const record::v1::SocialNetworkSettings& settings,
                                    const ChosenRedirectUri& redirect_uri,
                                    const RandomSource& random, absl::Time now,
                                    absl::Duration lifetime) {
  const Network& network = *request.network;
  AuthUrl minted;
  // Whole seconds, as the state keeps them: the caller is told the very moment.
  minted.expires_at = absl::FromUnixSeconds(absl::ToUnixSeconds(now + lifetime));
  const Nonce nonce = NewNonce(random);
  // Kept by each thread: they are allocated once and not for each URL.
  thread_local state::v1::AuthState state;
  thread_local std::string text;
  FillState(request, settings, redirect_uri, now, minted.expires_at, state);
  if (NetworkTakesSealed(network, state)) {
    SealAuthState(sealer, nonce, state, text);
  } else {
    if (absl::Status status = CheckState(network, state); !status.ok()) return status;
    text = NewStateReference(random);
    minted.to_store = SealStoredAuthState(sealer, nonce, text, state);
  }
  std::string challenge;
  if (network.pkce().mode() != catalog::v1::Pkce::MODE_NONE) {
    const SecretKey& key = *sealer.keys().Find(sealer.keys().primary_id(), Purpose::kCodeVerifier);
    challenge = CodeChallenge(DeriveCodeVerifier(key, nonce), network.pkce().challenge_encoding());
  }
  std::string id_token_nonce;
  if (state.has_nonce()) {
    const SecretKey& key = *sealer.keys().Find(sealer.keys().primary_id(), Purpose::kIdTokenNonce);
    id_token_nonce = DeriveIdTokenNonce(key, nonce);
  }
  const AuthUrlParts parts = {request, settings, redirect_uri, text, challenge, id_token_nonce};
  minted.url = BuildAuthUrl(parts);
  if (minted.url.size() > kMaxAuthUrlBytes) return TooLong(minted.url.size(), parts);
  minted.flow_id =
      MakeFlowId(sealer, sealer.keys().primary_id(), nonce, settings.org_id(), minted.expires_at);
  return minted;
}

}  // namespace authurl
