#include "server/flow/open_response.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/catalog/endpoint.h"
#include "core/catalog/network_rules.h"
#include "core/crypto/crypto.h"
#include "core/crypto/pkce.h"
#include "core/errors.h"
#include "core/flow/auth_url.h"
#include "core/flow/flow_id.h"
#include "core/flow/id_token.h"
#include "storage/flow_store.h"
#include "storage/store_errors.h"

namespace authurl {
namespace {

using catalog::v1::Network;
using record::v1::SocialNetworkSettings;
using state::v1::AuthState;

std::string DigestOf(absl::string_view text) { return std::string(AsChars(Sha256(text))); }

// Where it came is compared with the state's redirect URI, which the network was sent.
absl::Status CheckWhere(const Network* network, const ReceivedResponse& received,
                        const AuthorizationResponse& response, const AuthState& state) {
  if (received.is_hosted() && !state.is_hosted()) return InvalidState();
  if (!received.redirect_uri.empty() && received.redirect_uri != state.redirect_uri()) {
    return InvalidState();
  }
  const bool says_where = !received.redirect_uri.empty() || !response.redirect_uri.empty();
  if (!says_where && network != nullptr && HasInstances(*network)) {
    FieldViolations violations;
    violations.Add(
        "redirect_uri",
        absl::StrCat("Required where response is not the whole URL: ", network->display_name(),
                     " has many instances, and only where the response came tells which "
                     "of them sent it"));
    return violations.ToStatus();
  }
  return CheckCameTo(state.redirect_uri(), response);
}

absl::Status CheckBinding(const ReceivedResponse& received, const AuthState& state) {
  // The hosted callback can't know it: what comes of such a flow waits for whoever does.
  if (received.is_hosted()) return absl::OkStatus();
  const std::string given =
      received.session_binding ? DigestOf(*received.session_binding) : std::string();
  if (EqualInConstantTime(given, state.session_binding_hash())) return absl::OkStatus();
  return SessionBindingMismatch();
}

absl::Status ConfigurationOutdated(absl::string_view network) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "CONFIGURATION_OUTDATED",
                   absl::StrCat("The configuration for ", network,
                                " that this flow was begun with is gone, or is now one of another "
                                "kind: begin again with a new URL"));
}

record::v1::Flow FlowOf(const ReceivedResponse& received, const AuthorizationResponse& response,
                        const OpenedState& opened) {
  const AuthState& state = opened.state;
  record::v1::Flow flow;
  flow.set_id(FlowIdOf(opened.nonce));
  flow.set_org_id(state.org_id());
  flow.set_network(state.network());
  flow.set_instance(state.instance());
  flow.set_variant(state.variant());
  flow.set_social_network_id(state.social_network_id());
  flow.set_social_network_version(state.social_network_version());
  flow.set_tenant_id(state.tenant_id());
  flow.set_state_expires_at_ms(state.expires_at() * 1000);
  // Of an error there is no code: it is the same one if all of it is.
  std::string outcome(response.Get("code"));
  if (outcome.empty()) {
    for (const auto& [name, value] : response.parameters) {
      absl::StrAppend(&outcome, name.size(), ":", name, value.size(), ":", value);
    }
  }
  flow.set_code_digest(DigestOf(outcome));
  Wipe(outcome);
  if (received.session_binding) {
    flow.set_session_binding_hash(DigestOf(*received.session_binding));
  }
  flow.set_role(received.role);
  return flow;
}

}  // namespace

std::string OpenedResponse::CodeVerifier(const Sealer& sealer) const {
  if (network->pkce().mode() == catalog::v1::Pkce::MODE_NONE) return "";
  return DeriveCodeVerifier(*sealer.keys().Find(opened.key_id, Purpose::kCodeVerifier),
                            opened.nonce);
}

std::string OpenedResponse::IdTokenNonce(const Sealer& sealer) const {
  if (!opened.state.has_nonce()) return "";
  return DeriveIdTokenNonce(*sealer.keys().Find(opened.key_id, Purpose::kIdTokenNonce),
                            opened.nonce);
}

absl::Status ResponseOpener::Open(const CallContext& context, const ReceivedResponse& received,
                                  OpenedResponse& opened) const {
  absl::StatusOr<AuthorizationResponse> response = ParseAuthorizationResponse(received.text);
  if (!response.ok()) return response.status();
  opened.response = *std::move(response);

  absl::StatusOr<OpenedState> state =
      OpenState(context, received, opened.response, opened.has_expired);
  if (!state.ok()) return state.status();
  opened.opened = *std::move(state);
  const AuthState& flow = opened.opened.state;
  opened.flow_id = MakeFlowId(sealer_, opened.opened.key_id, opened.opened.nonce, flow.org_id(),
                              absl::FromUnixSeconds(flow.expires_at()));

  // The catalog may have lost the network since; whatever it is, the rest is checked first.
  opened.network = tools_.catalog.FindVariant(flow.network(), flow.variant());
  absl::Status status = CheckWhere(opened.network, received, opened.response, flow);
  if (!status.ok()) return status;
  if (opened.network != nullptr) {
    status = ReadAsNetworkSends(*opened.network, opened.response);
    if (!status.ok()) return status;
  }
  opened.flow = FlowOf(received, opened.response, opened.opened);
  opened.flow.set_public_id(opened.flow_id);
  status = FindConfiguration(context, opened);
  if (opened.has_expired) return CheckBinding(received, flow);
  if (!status.ok()) return status;
  status = CheckIssuer(*opened.network, opened.settings, opened.response);
  if (!status.ok()) return status;
  return CheckBinding(received, flow);
}

absl::StatusOr<OpenedState> ResponseOpener::OpenState(const CallContext& context,
                                                      const ReceivedResponse& received,
                                                      const AuthorizationResponse& response,
                                                      bool& has_expired) const {
  const absl::StatusOr<absl::Time> not_before = tools_.store.GetStatesNotBefore();
  if (!not_before.ok()) return not_before.status();
  StateTerms terms = {.now = tools_.clock(), .not_before = *not_before, .takes_expired = true};
  if (received.org_id) terms.org_id = *received.org_id;
  const std::string text = StateOf(response);
  if (text.empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "RESPONSE_INVALID",
                     "The response has no `state`: hand over the whole URL that the browser was "
                     "sent to, as it was received");
  }
  absl::StatusOr<OpenedState> opened = InvalidState();
  if (IsStateReference(text)) {
    const absl::StatusOr<std::string> stored = tools_.store.GetAuthState(context, text);
    if (absl::IsNotFound(stored.status())) return InvalidState();
    if (!stored.ok()) return stored.status();
    opened = OpenStoredAuthState(sealer_, text, *stored, terms);
  } else {
    opened = OpenAuthState(sealer_, text, terms);
  }
  if (opened.ok()) has_expired = HasExpired(opened->state, terms);
  return opened;
}

absl::Status ResponseOpener::FindConfiguration(const CallContext& context,
                                               OpenedResponse& opened) const {
  const AuthState& state = opened.opened.state;
  if (opened.network == nullptr) return ConfigurationOutdated(state.network());
  absl::StatusOr<SocialNetworkSettings> settings =
      tools_.store.social_networks().Get(context, state.org_id(), state.social_network_id());
  if (absl::IsNotFound(settings.status())) {
    return ConfigurationOutdated(opened.network->display_name());
  }
  if (!settings.ok()) return settings.status();
  opened.settings = *std::move(settings);
  if (opened.settings.network() != state.network() ||
      opened.settings.instance() != state.instance() ||
      opened.settings.variant() != state.variant()) {
    return ConfigurationOutdated(opened.network->display_name());
  }
  for (const auto& [name, value] : state.variables()) {
    (*opened.settings.mutable_variables())[name] = value;
  }
  const ScopeList& scopes = ChooseScopes(*opened.network, state.scopes(), opened.settings);
  opened.scopes.assign(scopes.begin(), scopes.end());
  return absl::OkStatus();
}

}  // namespace authurl
