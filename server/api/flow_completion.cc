#include "server/api/flow_completion.h"

#include <functional>
#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/crypto/crypto.h"
#include "core/errors.h"
#include "core/flow/flow_id.h"
#include "core/flow/session_token.h"
#include "server/api/account_messages.h"
#include "server/api/detached_call.h"
#include "server/api/tenant_binding.h"
#include "server/api/timestamps.h"
#include "server/flow/return_location.h"
#include "server/system/address_block.h"
#include "storage/store_errors.h"

namespace authurl {
namespace {

using record::v1::SocialAccount;

constexpr size_t kMaxSessionBindingBytes = 256;
// A person comes back once; behind one address may be a whole office.
constexpr TokenBuckets::Limit kBrowserLimit = {.per_second = 10, .capacity = 100};

void Copy(const record::v1::PendingConnection& pending, v1::PendingConnection& shown) {
  shown.set_network(pending.network());
  shown.set_tenant_id(pending.tenant_id());
  SetTimestamp(pending.expires_at_ms(), *shown.mutable_expires_at());
  for (const auto& choice : pending.choices()) {
    v1::AccountChoice& choosable = *shown.add_choices();
    choosable.set_id(choice.network_unique_id());
    choosable.set_username(choice.username());
    choosable.set_display_name(choice.display_name());
    choosable.set_avatar_url(choice.avatar_url());
    choosable.set_account_type(static_cast<v1::SocialAccount::AccountType>(choice.account_type()));
  }
}

// The fields that all who hand over a response fill in.
template <typename Request>
absl::StatusOr<ReceivedResponse> ReadReceived(const Caller& caller, const Request& request) {
  FieldViolations violations;
  if (request.response().empty()) violations.Add("response", "Required");
  if (request.has_session_binding()) {
    const size_t bytes = request.session_binding().size();
    if (bytes == 0 || bytes > kMaxSessionBindingBytes) {
      violations.Add("session_binding", absl::StrCat("must have 1 to ", kMaxSessionBindingBytes,
                                                     " bytes; leave it out where there is none"));
    }
  }
  if (request.has_redirect_uri() && request.redirect_uri().empty()) {
    violations.Add("redirect_uri", "must not be empty; leave it out where there is none");
  }
  if (!violations.empty()) return violations.ToStatus();
  ReceivedResponse received;
  received.text = request.response();
  received.redirect_uri = request.redirect_uri();
  if (request.has_session_binding()) received.session_binding = request.session_binding();
  received.org_id = caller.org_id;
  received.role = caller.role;
  return received;
}

template <typename Response>
void CompleteDetached(AuthCompleter& completer, Admission& admission, const Caller& caller,
                      ReceivedResponse&& received, ResponseCompletion<Response> completion,
                      std::function<absl::StatusOr<Response>(CompletedAuth&)> told) {
  DoDetached<Response>(
      admission, caller, std::move(completion),
      [&](const std::shared_ptr<const CallContext>& context, const std::function<bool()>& is_wanted,
          absl::AnyInvocable<void(absl::StatusOr<Response>)> done) {
        completer.Complete(std::move(received), context, is_wanted,
                           [told, done = std::move(done)](CompletedAuth completed) mutable {
                             done(told(completed));
                           });
      });
}

// How long the database may take to say what need not be said.
constexpr absl::Duration kTimeToTell = absl::Seconds(2);

absl::StatusOr<v1::CompleteAuthResponse> Told(const FlowTools& tools, CompletedAuth& completed) {
  if (!completed.status.ok()) return completed.status;
  v1::CompleteAuthResponse response;
  const CallContext context(absl::Now() + kTimeToTell);
  TokenEnds ends(tools.store, context, completed.org_id);
  for (const SocialAccount& account : completed.accounts) {
    v1::SocialAccount& shown = *response.add_accounts();
    ShowAccount(tools.catalog, account, shown);
    // It is connected, whatever else can't be said.
    ends.AddTo(account, shown).IgnoreError();
  }
  if (completed.pending) {
    Copy(*completed.pending, *response.mutable_pending());
    response.mutable_pending()->set_session_token(completed.session_token);
    Wipe(completed.session_token);
  }
  response.set_replayed(completed.is_replayed);
  response.set_flow_id(completed.flow_id);
  response.set_return_state(completed.return_state);
  return response;
}

absl::StatusOr<v1::CompleteHostedAuthResponse> ToldToBrowser(CompletedAuth& completed) {
  v1::CompleteHostedAuthResponse response;
  response.set_location(ReturnLocation(completed));
  Wipe(completed.session_token);
  const absl::Status& status = completed.status;
  if (status.ok()) {
    response.set_outcome(completed.pending ? v1::CompleteHostedAuthResponse::OUTCOME_NEEDS_CHOICE
                                           : v1::CompleteHostedAuthResponse::OUTCOME_CONNECTED);
    return response;
  }
  // Without a place to go on to, what is no outcome of the flow is an error.
  const std::string reason = ReasonOf(status);
  const bool is_ours = reason.empty() || reason == "OVERLOADED" || reason == "RATE_LIMITED" ||
                       reason == "STORAGE_UNAVAILABLE";
  if (is_ours && response.location().empty()) return status;
  response.set_outcome(v1::CompleteHostedAuthResponse::OUTCOME_FAILED);
  response.set_reason(reason);
  return response;
}

// What the flow's choice is stored as; empty where it has none.
const std::string& PendingIdOf(const record::v1::Flow& flow) {
  return flow.has_completed() ? flow.completed().session_digest()
                              : flow.needs_choice().session_digest();
}

void TellFlow(const std::optional<record::v1::Flow>& flow, absl::Time expires_at, absl::Time now,
              v1::GetAuthFlowResponse& response) {
  using Response = v1::GetAuthFlowResponse;
  if (!flow) {
    response.set_status(now < expires_at ? Response::STATUS_PENDING : Response::STATUS_EXPIRED);
  } else if (flow->has_completed()) {
    response.set_status(Response::STATUS_COMPLETED);
    *response.mutable_account_ids() = flow->completed().account_ids();
  } else if (flow->has_needs_choice()) {
    response.set_status(Response::STATUS_NEEDS_CHOICE);
  } else if (flow->has_failed()) {
    response.set_status(Response::STATUS_FAILED);
    const bool is_internal = flow->failed().reason().empty();
    response.set_reason(is_internal ? "INTERNAL" : flow->failed().reason());
    response.set_message(is_internal ? "An internal error; the server's log says more"
                                     : flow->failed().message());
  } else if (IsUnderWay(*flow, now)) {
    response.set_status(Response::STATUS_COMPLETING);
  } else {
    const absl::Status unknown = CompletionUnknown();
    response.set_status(Response::STATUS_FAILED);
    response.set_reason(ReasonOf(unknown));
    response.set_message(std::string(unknown.message()));
  }
}

}  // namespace

FlowCompletion::FlowCompletion(const FlowTools& tools, const Sealer& sealer,
                               AuthCompleter& completer, Admission& admission, Options options)
    : tools_(tools),
      sealer_(sealer),
      store_(tools.store),
      completer_(completer),
      admission_(admission),
      options_(std::move(options)),
      browsers_(kBrowserLimit) {}

void FlowCompletion::CompleteAuth(const Caller& caller, const v1::CompleteAuthRequest& request,
                                  ResponseCompletion<v1::CompleteAuthResponse> completion) const {
  absl::StatusOr<ReceivedResponse> received = ReadReceived(caller, request);
  if (!received.ok()) return completion(received.status());
  CompleteDetached<v1::CompleteAuthResponse>(
      completer_, admission_, caller, *std::move(received), std::move(completion),
      [this](CompletedAuth& completed) { return Told(tools_, completed); });
}

void FlowCompletion::CompleteHostedAuth(
    const Caller& caller, const v1::CompleteHostedAuthRequest& request,
    ResponseCompletion<v1::CompleteHostedAuthResponse> completion) const {
  FieldViolations violations;
  if (!absl::StartsWith(request.path(), "/") || absl::StrContains(request.path(), '?')) {
    violations.Add("path", "must begin with \"/\" and have no query");
  }
  if (options_.public_base_url.empty()) {
    violations.Add("path", "there is no hosted callback: the server has no --public_base_url");
  }
  if (request.parameters().empty()) violations.Add("parameters", "Required");
  if (!violations.empty()) return completion(violations.ToStatus());
  const absl::Duration retry_after =
      browsers_.TryTake(AddressBlock(request.client_address()), 1, tools_.clock());
  if (retry_after > absl::ZeroDuration()) {
    return completion(MakeRetryableError(absl::StatusCode::kResourceExhausted, "RATE_LIMITED",
                                         "Too many responses come from this address; try again",
                                         retry_after));
  }
  ReceivedResponse received;
  received.redirect_uri = absl::StrCat(options_.public_base_url, request.path());
  received.text = request.parameters();
  CompleteDetached<v1::CompleteHostedAuthResponse>(
      completer_, admission_, caller, std::move(received), std::move(completion), ToldToBrowser);
}

absl::Status FlowCompletion::OpenAuthResponse(const Caller& caller,
                                              const v1::OpenAuthResponseRequest& request,
                                              v1::OpenAuthResponseResponse& response) const {
  const absl::StatusOr<ReceivedResponse> received = ReadReceived(caller, request);
  if (!received.ok()) return received.status();
  OpenedResponse opened;
  const absl::Status status = completer_.HandOut(*caller.context, *received, opened);
  if (!status.ok()) return status;
  const state::v1::AuthState& state = opened.opened.state;
  response.set_network(state.network());
  response.set_instance(state.instance());
  response.set_variant(state.variant());
  response.set_social_network_id(state.social_network_id());
  response.set_tenant_id(state.tenant_id());
  response.set_redirect_uri(state.redirect_uri());
  response.mutable_scopes()->Add(opened.scopes.begin(), opened.scopes.end());
  response.set_code(std::string(opened.response.Get("code")));
  response.set_code_verifier(opened.CodeVerifier(sealer_));
  response.set_nonce(opened.IdTokenNonce(sealer_));
  response.set_flow_id(opened.flow_id);
  response.set_return_state(state.return_state());
  return absl::OkStatus();
}

absl::Status FlowCompletion::GetAuthFlow(const Caller& caller,
                                         const v1::GetAuthFlowRequest& request,
                                         v1::GetAuthFlowResponse& response) const {
  const absl::StatusOr<FoundFlow> found = FindFlow(caller, request.flow_id());
  if (!found.ok()) return found.status();
  const std::optional<record::v1::Flow>& flow = found->flow;
  TellFlow(flow, found->expires_at, tools_.clock(), response);
  if (response.status() == v1::GetAuthFlowResponse::STATUS_FAILED && !flow->has_failed() &&
      completer_.IsKept(flow->id())) {
    response.Clear();
    response.set_status(v1::GetAuthFlowResponse::STATUS_COMPLETING);
  }
  if (response.status() != v1::GetAuthFlowResponse::STATUS_NEEDS_CHOICE) return absl::OkStatus();
  const auto pending =
      store_.pending_connections().Get(*caller.context, PendingIdOf(*flow), tools_.clock());
  // The time for it is over, and the purge has not come by yet.
  if (absl::IsNotFound(pending.status()) || absl::IsFailedPrecondition(pending.status())) {
    response.set_status(v1::GetAuthFlowResponse::STATUS_FAILED);
    response.set_reason(ReasonOf(pending.status()));
    response.set_message(std::string(pending.status().message()));
    return absl::OkStatus();
  }
  if (!pending.ok()) return pending.status();
  Copy(*pending, *response.mutable_pending());
  return absl::OkStatus();
}

absl::Status FlowCompletion::GetPendingConnection(
    const Caller& caller, const v1::GetPendingConnectionRequest& request,
    v1::GetPendingConnectionResponse& response) const {
  if (!IsSessionToken(request.session_token())) return SessionNotFound();
  const auto pending = store_.pending_connections().Get(
      *caller.context, PendingConnectionId(request.session_token()), tools_.clock());
  if (!pending.ok()) return pending.status();
  Copy(*pending, *response.mutable_pending());
  return absl::OkStatus();
}

absl::StatusOr<FlowCompletion::FoundFlow> FlowCompletion::FindFlow(
    const Caller& caller, absl::string_view flow_id) const {
  const absl::StatusOr<OpenedFlowId> opened = OpenFlowId(sealer_, flow_id, caller.org_id);
  if (!opened.ok()) {
    FieldViolations violations;
    violations.Add("flow_id", flow_id.empty() ? "Required" : opened.status().message());
    return violations.ToStatus();
  }
  auto flow = store_.flows().Find(*caller.context, caller.org_id, HexEncode(opened->nonce_digest));
  if (!flow.ok()) return flow.status();
  return FoundFlow{opened->expires_at, *std::move(flow)};
}

absl::StatusOr<std::string> FlowCompletion::FindPending(
    const Caller& caller, const v1::FinalizePendingConnectionRequest& request) const {
  if (request.flow_id().empty()) {
    if (!IsSessionToken(request.session_token())) return SessionNotFound();
    return PendingConnectionId(request.session_token());
  }
  const absl::StatusOr<FoundFlow> found = FindFlow(caller, request.flow_id());
  if (!found.ok()) return found.status();
  const std::optional<record::v1::Flow>& flow = found->flow;
  const std::string id = flow.has_value() ? PendingIdOf(*flow) : "";
  if (id.empty()) return SessionNotFound();
  return id;
}

absl::Status FlowCompletion::FinalizePendingConnection(
    const Caller& caller, const v1::FinalizePendingConnectionRequest& request,
    v1::FinalizePendingConnectionResponse& response) const {
  FieldViolations violations;
  if (request.choice_ids().empty()) {
    violations.Add("choice_ids", "Required: the ids of one choice at least");
  }
  if (request.choice_ids_size() > kMaxChoices) {
    violations.Add("choice_ids", absl::StrCat("has ", request.choice_ids_size(), " ids; there are ",
                                              kMaxChoices, " choices at most"));
  }
  if (!request.flow_id().empty() && !request.session_token().empty()) {
    violations.Add("flow_id", "is for those who have no session_token: give one of the two");
  } else if (!request.flow_id().empty() && caller.tenant_id.has_value()) {
    // Whoever began a flow knows its id, and may not be the person who consented. A page that the
    // browser came back to has the session token.
    violations.Add("flow_id",
                   "takes an API key; with a tenant token, give the session_token that "
                   "came to the return URI");
  }
  if (!violations.empty()) return violations.ToStatus();
  const absl::StatusOr<std::string> id = FindPending(caller, request);
  if (!id.ok()) return id.status();
  if (caller.tenant_id.has_value()) {
    const auto pending = store_.pending_connections().Get(*caller.context, *id, tools_.clock());
    if (!pending.ok()) return pending.status();
    if (absl::Status status = CheckTenant(caller, *pending); !status.ok()) return status;
  }
  const std::string binding_hash =
      request.has_session_binding() ? std::string(AsChars(Sha256(request.session_binding()))) : "";
  const std::vector<std::string> ids(request.choice_ids().begin(), request.choice_ids().end());
  const auto finalized = store_.pending_connections().Finalize(*caller.context, caller.org_id, *id,
                                                               binding_hash, ids, tools_.clock());
  if (!finalized.ok()) return finalized.status();
  TokenEnds ends(store_, *caller.context, caller.org_id);
  for (const SocialAccount& account : finalized->connected.accounts) {
    v1::SocialAccount& shown = *response.add_accounts();
    ShowAccount(tools_.catalog, account, shown);
    // It is connected, whatever else can't be said.
    ends.AddTo(account, shown).IgnoreError();
  }
  return absl::OkStatus();
}

std::vector<Method> FlowCompletion::Methods() const {
  const std::string service = "/authurl.v1.SocialAccountService/";
  using Token = state::v1::TenantToken;
  using Service = FlowCompletion;
  return {
      MakeOutboundMethod(service + "CompleteAuth", Access::kMint, this, &Service::CompleteAuth),
      MakeOutboundMethod(service + "CompleteHostedAuth", Access::kAnyone, this,
                         &Service::CompleteHostedAuth),
      MakeWriteMethod(service + "OpenAuthResponse", Access::kMint, this,
                      &Service::OpenAuthResponse),
      MakeReadMethod(service + "GetAuthFlow", Access::kMint, this, &Service::GetAuthFlow),
      MakeReadMethod(service + "GetPendingConnection", Access::kAnyone, this,
                     &Service::GetPendingConnection),
      TakingTenantTokens(Token::ACTION_FINALIZE,
                         MakeWriteMethod(service + "FinalizePendingConnection", Access::kMint, this,
                                         &Service::FinalizePendingConnection)),
  };
}

}  // namespace authurl
