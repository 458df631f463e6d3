#include "core/flow/auth_url.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/catalog/endpoint.h"
#include "core/crypto/pkce.h"
#include "core/errors.h"
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
  if (parts.code_challenge.empty()) return;
  VisitIfSet({"code_challenge", parts.code_challenge, v1::PARAMETER_SOURCE_GENERATED,
              "Ties the code to whoever asked for it (PKCE); fresh for each URL"},
             visit);
  VisitIfSet({"code_challenge_method", "S256", v1::PARAMETER_SOURCE_CATALOG,
              "The challenge is the verifier's SHA-256"},
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
  if (network.login_hint_param().empty()) return;
  VisitIfSet({network.login_hint_param(), parts.request.request->login_hint(),
              v1::PARAMETER_SOURCE_REQUEST, "The account that the end-user is expected to choose"},
             visit);
}

// What the configuration gives, and the catalog's defaults for what it does not, by name.
void VisitOfConfiguration(const AuthUrlParts& parts, const ScopeList& scopes, Visit visit) {
  const Network& network = *parts.request.network;
  if (parts.settings.extra_params().empty()) {
    // Those of an entry are sorted by name when it is read.
    for (const auto& param : network.configuration_params()) {
      if (!GoesWith(param.only_with_scopes(), scopes)) continue;
      VisitIfSet(
          {param.name(), param.default_value(), v1::PARAMETER_SOURCE_CATALOG, param.description()},
          visit);
    }
    return;
  }
  // A map, because protobuf's own has no order.
  std::map<absl::string_view, AuthUrlParameter> by_name;
  for (const auto& [name, value] : parts.settings.extra_params()) {
    by_name[name] = {name, value, v1::PARAMETER_SOURCE_CONFIG,
                     "One of the configuration's extra_params"};
  }
  for (const auto& param : network.configuration_params()) {
    if (!GoesWith(param.only_with_scopes(), scopes)) {
      by_name.erase(param.name());
      continue;
    }
    const auto [place, is_default] = by_name.try_emplace(
        param.name(), AuthUrlParameter{param.name(), param.default_value(),
                                       v1::PARAMETER_SOURCE_CATALOG, param.description()});
    if (!is_default) place->second.why = param.description();
  }
  for (const auto& [name, parameter] : by_name) VisitIfSet(parameter, visit);
}

void FillState(const AuthRequest& request, const record::v1::SocialNetworkSettings& settings,
               absl::string_view redirect_uri, absl::Time now, absl::Time expires_at,
               state::v1::AuthState& state) {
  const v1::GetAuthUrlRequest& asked = *request.request;
  state.Clear();
  state.set_org_id(settings.org_id());
  state.set_network(request.network->id());
  state.set_social_network_id(settings.id());
  state.set_social_network_version(settings.version());
  state.set_tenant_id(asked.tenant_id());
  state.mutable_redirect_uri()->assign(redirect_uri.data(), redirect_uri.size());
  state.set_issued_at(absl::ToUnixSeconds(now));
  state.set_expires_at(absl::ToUnixSeconds(expires_at));
  if (!asked.scopes().empty()) *state.mutable_scopes() = asked.scopes();
  if (asked.has_session_binding()) {
    const auto hash = Sha256(asked.session_binding());
    state.set_session_binding_hash(hash.data(), hash.size());
  }
  if (!settings.instance().empty()) state.set_instance(settings.instance());
  if (!settings.variant().empty()) state.set_variant(settings.variant());
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
      return "the redirect URI, the scopes and the tenant of the request";
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

absl::Status StateTooLong(size_t bytes, const state::v1::AuthState& state) {
  size_t scopes = 0;
  for (const std::string& scope : state.scopes()) scopes += scope.size();
  const bool by_scopes = scopes > state.redirect_uri().size();
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "AUTH_STATE_TOO_LONG",
      absl::StrCat("The OAuth state would be ", bytes, " bytes; at most ", kMaxStoredStateBytes,
                   " are stored. Its longest part is the ",
                   by_scopes ? "request's scopes" : "redirect URI", " with ",
                   by_scopes ? scopes : state.redirect_uri().size(), " bytes: shorten it"));
}

}  // namespace

const ScopeList& ChooseScopes(const AuthRequest& request,
                              const record::v1::SocialNetworkSettings& settings) {
  if (!request.request->scopes().empty()) return request.request->scopes();
  if (!settings.scopes().empty()) return settings.scopes();
  return request.network->scopes().defaults();
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
  FillState(request, settings, redirect_uri.uri(), now, minted.expires_at, state);
  if (NetworkTakesSealed(network, state)) {
    SealAuthState(sealer, nonce, state, text);
  } else if (const size_t bytes = SealedStateBytes(state); bytes > kMaxStoredStateBytes) {
    return StateTooLong(bytes, state);
  } else {
    text = NewStateReference(random);
    minted.to_store = SealStoredAuthState(sealer, nonce, text, state);
  }
  std::string challenge;
  if (network.pkce().mode() != catalog::v1::Pkce::MODE_NONE) {
    const SecretKey& key = *sealer.keys().Find(sealer.keys().primary_id(), Purpose::kCodeVerifier);
    challenge = CodeChallenge(DeriveCodeVerifier(key, nonce), network.pkce().challenge_encoding());
  }
  const AuthUrlParts parts = {request, settings, redirect_uri, text, challenge};
  minted.url = BuildAuthUrl(parts);
  if (minted.url.size() > kMaxAuthUrlBytes) return TooLong(minted.url.size(), parts);
  return minted;
}

}  // namespace authurl
