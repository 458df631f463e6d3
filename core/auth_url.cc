#include "core/auth_url.h"

#include <algorithm>
#include <map>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "core/auth_state.h"
#include "core/errors.h"
#include "core/pkce.h"
#include "core/uri.h"

namespace authurl {
namespace {

using catalog::v1::Network;

// The endpoint with its variables filled in.
std::string Endpoint(const AuthUrlParts& parts) {
  const Network& network = *parts.request.network;
  std::string endpoint = network.authorization_endpoint();
  for (const auto& variable : network.variables()) {
    const auto configured = parts.settings.variables().find(variable.name());
    const std::string& value = configured == parts.settings.variables().end()
                                   ? variable.default_value()
                                   : configured->second;
    absl::StrReplaceAll({{absl::StrCat("{", variable.name(), "}"), PercentEncode(value)}},
                        &endpoint);
  }
  // Checked as a host name when it was configured, so it needs no encoding.
  absl::StrReplaceAll({{"{instance}", parts.settings.instance()}}, &endpoint);
  return endpoint;
}

// The request's scopes, else the configuration's, else the catalog's.
const google::protobuf::RepeatedPtrField<std::string>& Scopes(const AuthUrlParts& parts) {
  if (!parts.request.request->scopes().empty()) return parts.request.request->scopes();
  if (!parts.settings.scopes().empty()) return parts.settings.scopes();
  return parts.request.network->scopes().defaults();
}

void AddFixedAndSelection(const AuthUrlParts& parts, std::vector<AuthUrlParameter>& parameters) {
  const Network& network = *parts.request.network;
  const size_t first_fixed = parameters.size();
  for (const auto& fixed : network.fixed_params()) {
    parameters.push_back({fixed.name(), fixed.value()});
  }
  if (!parts.request.request->force_account_selection()) return;
  for (const auto& selection : network.account_selection_params()) {
    const auto same_name = std::find_if(
        parameters.begin() + static_cast<std::ptrdiff_t>(first_fixed), parameters.end(),
        [&](const AuthUrlParameter& parameter) { return parameter.name == selection.name(); });
    if (same_name == parameters.end()) {
      parameters.push_back({selection.name(), selection.value()});
    } else {
      same_name->value = selection.value();
    }
  }
}

state::v1::AuthState NewState(const AuthRequest& request,
                              const record::v1::SocialNetworkSettings& settings,
                              absl::string_view redirect_uri, absl::Time now,
                              absl::Time expires_at) {
  state::v1::AuthState state;
  state.set_org_id(settings.org_id());
  state.set_network(request.network->id());
  state.set_social_network_id(settings.id());
  state.set_social_network_version(settings.version());
  state.set_tenant_id(request.request->tenant_id());
  state.set_redirect_uri(std::string(redirect_uri));
  state.set_issued_at(absl::ToUnixSeconds(now));
  state.set_expires_at(absl::ToUnixSeconds(expires_at));
  *state.mutable_scopes() = request.request->scopes();
  if (request.request->has_session_binding()) {
    state.set_session_binding_hash(
        std::string(AsChars(Sha256(request.request->session_binding()))));
  }
  state.set_instance(settings.instance());
  return state;
}

absl::Status CheckStateLength(const Network& network, absl::string_view state) {
  const uint32_t limit = network.state().max_length();
  if (limit == 0 || state.size() <= limit) return absl::OkStatus();
  FieldViolations violations;
  violations.Add("redirect_uri",
                 absl::StrCat("makes the state ", state.size(), " characters long, and ",
                              network.display_name(), " takes at most ", limit,
                              ": shorten redirect_uri, tenant_id or scopes"));
  return violations.ToStatus();
}

}  // namespace

std::vector<AuthUrlParameter> AuthUrlParameters(const AuthUrlParts& parts) {
  const Network& network = *parts.request.network;
  std::vector<AuthUrlParameter> parameters;
  parameters.push_back({network.client_id_param(), parts.settings.client_key()});
  parameters.push_back({"redirect_uri", std::string(parts.redirect_uri)});
  parameters.push_back({"response_type", network.response_type()});
  parameters.push_back(
      {network.scopes().param(), absl::StrJoin(Scopes(parts), network.scopes().separator())});
  parameters.push_back({"state", std::string(parts.state)});
  if (!parts.code_challenge.empty()) {
    parameters.push_back({"code_challenge", std::string(parts.code_challenge)});
    parameters.push_back({"code_challenge_method", "S256"});
  }
  AddFixedAndSelection(parts, parameters);
  if (!network.login_hint_param().empty()) {
    parameters.push_back({network.login_hint_param(), parts.request.request->login_hint()});
  }
  // A map, because protobuf's own has no order.
  const std::map<std::string, std::string> extra(parts.settings.extra_params().begin(),
                                                 parts.settings.extra_params().end());
  for (const auto& [name, value] : extra) parameters.push_back({name, value});
  std::erase_if(parameters, [](const AuthUrlParameter& p) { return p.value.empty(); });
  return parameters;
}

std::string BuildAuthUrl(const AuthUrlParts& parts) {
  std::string url = Endpoint(parts);
  char separator = absl::StrContains(url, '?') ? '&' : '?';
  for (const AuthUrlParameter& parameter : AuthUrlParameters(parts)) {
    url.push_back(separator);
    absl::StrAppend(&url, PercentEncode(parameter.name), "=", PercentEncode(parameter.value));
    separator = '&';
  }
  if (!parts.request.network->fragment().empty()) {
    absl::StrAppend(&url, "#", parts.request.network->fragment());
  }
  return url;
}

absl::StatusOr<AuthUrl> MintAuthUrl(const Sealer& sealer, const AuthRequest& request,
                                    const record::v1::SocialNetworkSettings& settings,
                                    absl::string_view redirect_uri, const Nonce& nonce,
                                    absl::Time now, absl::Duration lifetime) {
  const Network& network = *request.network;
  // Whole seconds, as the state keeps them: the caller is told the very moment.
  const absl::Time expires_at = absl::FromUnixSeconds(absl::ToUnixSeconds(now + lifetime));
  const std::string state =
      SealAuthState(sealer, nonce, NewState(request, settings, redirect_uri, now, expires_at));
  if (absl::Status status = CheckStateLength(network, state); !status.ok()) return status;
  std::string challenge;
  if (network.pkce().mode() != catalog::v1::Pkce::MODE_NONE) {
    const SecretKey& key = *sealer.keys().Find(sealer.keys().primary_id(), Purpose::kCodeVerifier);
    challenge = CodeChallenge(DeriveCodeVerifier(key, nonce), network.pkce().challenge_encoding());
  }
  return AuthUrl{BuildAuthUrl({request, settings, redirect_uri, state, challenge}), expires_at};
}

}  // namespace authurl
