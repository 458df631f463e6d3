#include "server/api/social_account_service.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/api_key.h"
#include "core/errors.h"
#include "core/field_rules.h"
#include "core/flow/flow_id.h"
#include "core/flow/hosted_callback.h"
#include "core/flow/session_token.h"
#include "core/tenant_token.h"
#include "server/api/account_messages.h"
#include "server/api/detached_call.h"
#include "server/api/paging.h"
#include "server/api/tenant_binding.h"
#include "server/api/timestamps.h"
#include "server/flow/return_location.h"
#include "server/system/address_block.h"
#include "storage/store_errors.h"

namespace authurl {
namespace {

using record::v1::SocialAccount;

constexpr size_t kMaxSessionBindingBytes = 256;
constexpr size_t kMaxUniqueIdBytes = 256;
constexpr size_t kMaxUsernameBytes = 256;
constexpr int kMaxOffset = 10'000;
constexpr int64_t kMaxCounted = 1'000'000;
constexpr absl::Duration kMaxMinValidity = absl::Hours(1);
// While an offset is passed over.
constexpr int kMaxEmptyPages = 10;
// Accounts that go in one transaction.
constexpr int kDeleteStep = 100;
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

void CheckSocialAccountId(absl::string_view field, absl::string_view id,
                          FieldViolations& violations) {
  if (id.empty()) violations.Add(field, "Required");
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

absl::StatusOr<v1::CompleteAuthResponse> Told(const NetworkCatalog& catalog,
                                              CompletedAuth& completed) {
  if (!completed.status.ok()) return completed.status;
  v1::CompleteAuthResponse response;
  for (const SocialAccount& account : completed.accounts)
    ShowAccount(catalog, account, *response.add_accounts());
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

v1::DeleteSocialAccountResponse Disconnected(RevocationResult result) {
  v1::DeleteSocialAccountResponse response;
  switch (result) {
    case RevocationResult::kRevoked:
      response.set_revocation(v1::REVOCATION_RESULT_REVOKED);
      break;
    case RevocationResult::kStillInUse:
      response.set_revocation(v1::REVOCATION_RESULT_STILL_IN_USE);
      response.set_message("Other accounts live on the same consent, so it was not revoked");
      break;
    case RevocationResult::kNotOffered:
      response.set_revocation(v1::REVOCATION_RESULT_NOT_OFFERED);
      response.set_message(
          "The network offers no way to revoke the consent without ending others of the person: "
          "the person can do so in the network's settings");
      break;
    case RevocationResult::kFailed:
      response.set_revocation(v1::REVOCATION_RESULT_FAILED);
      response.set_message(
          "The network could not be told. The tokens are removed here; the person can revoke the "
          "consent in the network's settings");
      break;
  }
  return response;
}

void Tell(const SocialAccount& account, const record::v1::Grant& grant,
          absl::string_view access_token, const std::optional<absl::Time>& expires_at,
          v1::GetAccessTokenResponse& response) {
  response.set_access_token(access_token.data(), access_token.size());
  if (expires_at) SetTimestamp(*expires_at, *response.mutable_expires_at());
  // One consent feeds many accounts: what the newest one gave counts.
  *response.mutable_scopes() = grant.scopes_are_known() ? grant.scopes() : account.granted_scopes();
  response.set_token_type("Bearer");
  response.set_network(account.network());
  response.set_instance(account.instance());
  response.set_network_unique_id(account.network_unique_id());
}

absl::StatusOr<WantedToken> ReadWanted(const v1::GetAccessTokenRequest& request) {
  FieldViolations violations;
  CheckSocialAccountId("account_id", request.account_id(), violations);
  WantedToken wanted;
  if (request.has_min_validity()) {
    wanted.min_validity = absl::Seconds(request.min_validity().seconds()) +
                          absl::Nanoseconds(request.min_validity().nanos());
    if (wanted.min_validity < absl::ZeroDuration() || wanted.min_validity > kMaxMinValidity) {
      violations.Add("min_validity", "must be 0 to 3,600 s");
    }
  }
  if (!violations.empty()) return violations.ToStatus();
  return wanted;
}

void CheckFilter(const Caller& caller, const v1::ListSocialAccountsRequest& request,
                 FieldViolations& violations) {
  if (request.has_tenant_id()) CheckTenantField(caller, request.tenant_id(), violations);
  const auto check = [&](absl::string_view field, bool is_set, absl::string_view value,
                         size_t max_bytes) {
    if (is_set) CheckText(field, value, 1, max_bytes, violations);
  };
  check("network", request.has_network(), request.network(), 32);
  check("network_unique_id", request.has_network_unique_id(), request.network_unique_id(),
        kMaxUniqueIdBytes);
  check("social_network_id", request.has_social_network_id(), request.social_network_id(), 64);
  check("username", request.has_username(), request.username(), kMaxUsernameBytes);
  if (request.offset() < 0 || request.offset() > kMaxOffset) {
    violations.Add(
        "offset", absl::StrCat("must be 0 to ", kMaxOffset, "; go on with page_token beyond that"));
  }
  if (request.offset() != 0 && !request.page_token().empty()) {
    violations.Add("offset", "must be left out together with page_token");
  }
  if (request.count_total() && request.has_username()) {
    violations.Add("count_total",
                   "must be left out together with username: names are sealed, and "
                   "can't be counted");
  }
}

AccountFilter FilterOf(const Caller& caller, const v1::ListSocialAccountsRequest& request) {
  AccountFilter filter;
  filter.tenant_id = caller.tenant_id;
  if (request.has_tenant_id()) filter.tenant_id = request.tenant_id();
  if (request.has_network()) filter.network = request.network();
  if (request.has_network_unique_id()) filter.network_unique_id = request.network_unique_id();
  if (request.has_social_network_id()) filter.social_network_id = request.social_network_id();
  return filter;
}

}  // namespace

SocialAccountService::SocialAccountService(const FlowTools& tools, const Sealer& sealer,
                                           AuthCompleter& completer, GrantRefresher& refresher,
                                           Admission& admission, Options options)
    : tools_(tools),
      sealer_(sealer),
      store_(tools.store),
      completer_(completer),
      refresher_(refresher),
      checker_(tools, refresher),
      revoker_(tools),
      admission_(admission),
      options_(std::move(options)),
      browsers_(kBrowserLimit) {}

void SocialAccountService::CompleteAuth(
    const Caller& caller, const v1::CompleteAuthRequest& request,
    ResponseCompletion<v1::CompleteAuthResponse> completion) const {
  absl::StatusOr<ReceivedResponse> received = ReadReceived(caller, request);
  if (!received.ok()) return completion(received.status());
  CompleteDetached<v1::CompleteAuthResponse>(
      completer_, admission_, caller, *std::move(received), std::move(completion),
      [this](CompletedAuth& completed) { return Told(tools_.catalog, completed); });
}

void SocialAccountService::CompleteHostedAuth(
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

absl::Status SocialAccountService::OpenAuthResponse(const Caller& caller,
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

absl::Status SocialAccountService::GetAuthFlow(const Caller& caller,
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

absl::Status SocialAccountService::GetPendingConnection(
    const Caller& caller, const v1::GetPendingConnectionRequest& request,
    v1::GetPendingConnectionResponse& response) const {
  if (!IsSessionToken(request.session_token())) return SessionNotFound();
  const auto pending = store_.pending_connections().Get(
      *caller.context, PendingConnectionId(request.session_token()), tools_.clock());
  if (!pending.ok()) return pending.status();
  Copy(*pending, *response.mutable_pending());
  return absl::OkStatus();
}

absl::StatusOr<SocialAccountService::FoundFlow> SocialAccountService::FindFlow(
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

absl::StatusOr<std::string> SocialAccountService::FindPending(
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

absl::Status SocialAccountService::FinalizePendingConnection(
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

absl::Status SocialAccountService::ListSocialAccounts(
    const Caller& caller, const v1::ListSocialAccountsRequest& request,
    v1::ListSocialAccountsResponse& response) const {
  FieldViolations violations;
  CheckFilter(caller, request, violations);
  const std::string list = absl::StrCat("social_accounts/", caller.org_id);
  Page page = ReadPage(sealer_, list, request.page_size(), request.page_token(), violations);
  if (!violations.empty()) return violations.ToStatus();
  const AccountFilter filter = FilterOf(caller, request);
  const CallContext& context = *caller.context;

  int empty_pages = 0;
  for (int skipped = 0; skipped < request.offset();) {
    const PageLimit limit = {.rows = std::min(request.offset() - skipped, 1000),
                             .bytes = kMaxPageBytes};
    const auto passed = store_.accounts().List(context, caller.org_id, filter, page.after, limit);
    if (!passed.ok()) return passed.status();
    const size_t fitting = passed->records.size() + passed->unreadable.size();
    skipped += static_cast<int>(fitting);
    // Each has looked at kMaxLookedAt rows.
    if (fitting == 0 && ++empty_pages == kMaxEmptyPages) {
      violations.Add("offset",
                     "lies behind too many accounts that do not fit; go on by page_token");
      return violations.ToStatus();
    }
    page.after = passed->next;
    if (page.after.empty()) {
      if (skipped <= request.offset()) return CountInto(context, caller, filter, request, response);
      break;
    }
  }

  // One that looks for a name passes over others: not for ever, and not more than fit.
  Listed<SocialAccount> listed;
  listed.next = page.after;
  int looked_at = 0;
  do {
    auto found = store_.accounts().List(context, caller.org_id, filter, listed.next, page.limit);
    if (!found.ok()) return found.status();
    const size_t fitting = found->records.size() + found->unreadable.size();
    looked_at += fitting == 0 ? AccountStore::kMaxLookedAt : static_cast<int>(fitting);
    for (SocialAccount& account : found->records) {
      const bool fits =
          !request.has_username() || absl::EqualsIgnoreCase(account.username(), request.username());
      if (fits) listed.records.push_back(std::move(account));
    }
    std::move(found->unreadable.begin(), found->unreadable.end(),
              std::back_inserter(listed.unreadable));
    listed.next = std::move(found->next);
  } while (request.has_username() && listed.records.empty() && !listed.next.empty() &&
           looked_at < AccountStore::kMaxLookedAt);

  FinishPage(sealer_, tools_.random, list, listed, response);
  TokenEnds ends(store_, context, caller.org_id);
  for (const SocialAccount& account : listed.records) {
    v1::SocialAccount& shown = *response.add_accounts();
    ShowAccount(tools_.catalog, account, shown);
    if (absl::Status status = ends.AddTo(account, shown); !status.ok()) return status;
  }
  return CountInto(context, caller, filter, request, response);
}

absl::Status SocialAccountService::CountInto(const CallContext& context, const Caller& caller,
                                             const AccountFilter& filter,
                                             const v1::ListSocialAccountsRequest& request,
                                             v1::ListSocialAccountsResponse& response) const {
  if (!request.count_total()) return absl::OkStatus();
  const absl::StatusOr<int64_t> total =
      store_.accounts().Count(context, caller.org_id, filter, kMaxCounted);
  if (!total.ok()) return total.status();
  response.set_total(*total);
  return absl::OkStatus();
}

absl::Status SocialAccountService::GetSocialAccount(const Caller& caller,
                                                    const v1::GetSocialAccountRequest& request,
                                                    v1::GetSocialAccountResponse& response) const {
  FieldViolations violations;
  CheckSocialAccountId("id", request.id(), violations);
  if (!violations.empty()) return violations.ToStatus();
  const auto account = store_.accounts().Get(*caller.context, caller.org_id, request.id());
  if (!account.ok()) return account.status();
  if (absl::Status status = CheckTenant(caller, *account); !status.ok()) return status;
  return Show(*caller.context, *account, *response.mutable_account());
}

absl::Status SocialAccountService::Show(const CallContext& context, const SocialAccount& account,
                                        v1::SocialAccount& shown) const {
  ShowAccount(tools_.catalog, account, shown);
  return TokenEnds(store_, context, account.org_id()).AddTo(account, shown);
}

void SocialAccountService::CheckSocialAccount(
    const Caller& caller, const v1::CheckSocialAccountRequest& request,
    ResponseCompletion<v1::CheckSocialAccountResponse> completion) const {
  FieldViolations violations;
  CheckSocialAccountId("id", request.id(), violations);
  if (!violations.empty()) return completion(violations.ToStatus());
  using Response = v1::CheckSocialAccountResponse;
  DoDetached<Response>(
      admission_, caller, std::move(completion),
      [this, org_id = caller.org_id, id = request.id()](
          const std::shared_ptr<const CallContext>& context, const std::function<bool()>&,
          absl::AnyInvocable<void(absl::StatusOr<Response>)> done) {
        checker_.Check(org_id, id, *context,
                       [this, context, done = std::move(done)](
                           const absl::StatusOr<CheckedAccount>& checked) mutable {
                         if (!checked.ok()) return done(checked.status());
                         Response response;
                         response.set_healthy(checked->is_healthy);
                         const absl::Status shown =
                             Show(*context, checked->account, *response.mutable_account());
                         if (!shown.ok()) return done(shown);
                         done(std::move(response));
                       });
      });
}

void SocialAccountService::DeleteSocialAccount(
    const Caller& caller, const v1::DeleteSocialAccountRequest& request,
    ResponseCompletion<v1::DeleteSocialAccountResponse> completion) const {
  FieldViolations violations;
  CheckSocialAccountId("id", request.id(), violations);
  if (!violations.empty()) return completion(violations.ToStatus());
  using Response = v1::DeleteSocialAccountResponse;
  DoDetached<Response>(
      admission_, caller, std::move(completion),
      [this, org_id = caller.org_id, tenant_id = caller.tenant_id, id = request.id()](
          std::shared_ptr<const CallContext> context, const std::function<bool()>&,
          absl::AnyInvocable<void(absl::StatusOr<Response>)> done) {
        tools_.pool.Run([this, org_id, tenant_id, id, context = std::move(context),
                         done = std::move(done)]() mutable {
          if (tenant_id.has_value()) {
            const auto account = store_.accounts().Get(*context, org_id, id);
            const absl::Status status =
                account.ok() ? CheckTenant(tenant_id, *account) : account.status();
            if (!status.ok()) return done(status);
          }
          const absl::StatusOr<AccountStore::Removed> removed =
              store_.accounts().Delete(*context, org_id, id, tools_.clock());
          if (!removed.ok()) return done(removed.status());
          if (removed->disconnected_grants.empty()) {
            return done(Disconnected(RevocationResult::kStillInUse));
          }
          const std::string& grant_id = removed->disconnected_grants.front();
          // It waits for the network; a context of its own lives as long.
          const CallContext& work = *context;
          revoker_.Revoke(org_id, grant_id, work,
                          [context = std::move(context), done = std::move(done)](
                              RevocationResult result) mutable { done(Disconnected(result)); });
        });
      });
}

absl::Status SocialAccountService::DeleteSocialAccounts(
    const Caller& caller, const v1::DeleteSocialAccountsRequest& request,
    v1::DeleteSocialAccountsResponse& response) const {
  FieldViolations violations;
  CheckTenantId(request.tenant_id(), violations);
  if (!violations.empty()) return violations.ToStatus();
  int64_t deleted = 0;
  while (true) {
    // Their grants are due, and are revoked in the background.
    const absl::StatusOr<AccountStore::Removed> removed = store_.accounts().DeleteOfTenant(
        *caller.context, caller.org_id, request.tenant_id(), tools_.clock(), kDeleteStep);
    if (!removed.ok()) return removed.status();
    deleted += removed->accounts;
    if (removed->is_done) break;
  }
  response.set_deleted(deleted);
  return absl::OkStatus();
}

std::optional<absl::StatusOr<TokenAtHand>> SocialAccountService::FindAccessTokenInMemory(
    const Caller& caller, const v1::GetAccessTokenRequest& request) const {
  const absl::StatusOr<WantedToken> wanted = ReadWanted(request);
  if (!wanted.ok()) return wanted.status();
  return FindTokenAtHand(store_, tools_.catalog, caller.org_id, request.account_id(), *wanted,
                         tools_.clock());
}

HandledAs<v1::GetAccessTokenResponse> SocialAccountService::HandOut(
    const Caller&, const TokenAtHand& at_hand, v1::GetAccessTokenResponse& response) const {
  const absl::StatusOr<OpenedAccessToken> token = Open(store_, at_hand);
  if (!token.ok()) return Ending{token.status()};
  Tell(at_hand.account->record, at_hand.grant->record, token->token(), at_hand.expires_at(),
       response);
  return Ending{absl::OkStatus()};
}

void SocialAccountService::GetAccessToken(
    const Caller& caller, const v1::GetAccessTokenRequest& request,
    ResponseCompletion<v1::GetAccessTokenResponse> completion) const {
  const absl::StatusOr<WantedToken> wanted = ReadWanted(request);
  if (!wanted.ok()) return completion(wanted.status());
  using Response = v1::GetAccessTokenResponse;
  DoDetached<Response>(
      admission_, caller, std::move(completion),
      [this, wanted = *wanted, org_id = caller.org_id, id = request.account_id()](
          const std::shared_ptr<const CallContext>& context, const std::function<bool()>&,
          absl::AnyInvocable<void(absl::StatusOr<Response>)> done) {
        refresher_.GetToken(
            org_id, id, wanted, *context,
            [context, done = std::move(done)](absl::StatusOr<UsableAccount> usable) mutable {
              if (!usable.ok()) return done(usable.status());
              Response response;
              Tell(usable->account.account, usable->grant->grant, usable->access_token(),
                   usable->expires_at(), response);
              done(std::move(response));
            });
      });
}

absl::Status SocialAccountService::CreateTenantToken(
    const Caller& caller, const v1::CreateTenantTokenRequest& request,
    v1::CreateTenantTokenResponse& response) const {
  absl::StatusOr<state::v1::TenantToken> token = ReadTenantTokenRequest(request, tools_.clock());
  if (!token.ok()) return token.status();
  const auto organization = store_.GetOrganization(*caller.context, caller.org_id);
  if (!organization.ok()) return organization.status();
  token->set_org_id(caller.org_id);
  token->set_org_created_at_ms((*organization)->created_at_ms());
  token->set_key_id(caller.key_id);
  response.set_token(SealTenantToken(sealer_, NewNonce(tools_.random), *token));
  SetTimestamp(absl::FromUnixSeconds(token->expires_at()), *response.mutable_expires_at());
  return absl::OkStatus();
}

std::vector<Method> SocialAccountService::Methods() const {
  const std::string service = "/authurl.v1.SocialAccountService/";
  using Token = state::v1::TenantToken;
  using Service = SocialAccountService;
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
      TakingTenantTokens(Token::ACTION_LIST,
                         MakeReadMethod(service + "ListSocialAccounts", Access::kConfigure, this,
                                        &Service::ListSocialAccounts)),
      TakingTenantTokens(Token::ACTION_LIST,
                         MakeReadMethod(service + "GetSocialAccount", Access::kConfigure, this,
                                        &Service::GetSocialAccount)),
      MakeOutboundMethod(service + "CheckSocialAccount", Access::kConfigure, this,
                         &Service::CheckSocialAccount),
      TakingTenantTokens(Token::ACTION_DISCONNECT,
                         MakeOutboundMethod(service + "DeleteSocialAccount", Access::kConfigure,
                                            this, &Service::DeleteSocialAccount)),
      MakeWriteMethod(service + "DeleteSocialAccounts", Access::kConfigure, this,
                      &Service::DeleteSocialAccounts),
      MakeMemoryOrOutboundMethod(service + "GetAccessToken", Access::kReadTokens, this,
                                 &Service::FindAccessTokenInMemory, &Service::HandOut,
                                 &Service::GetAccessToken),
      MakeReadMethod(service + "CreateTenantToken", Access::kConfigure, this,
                     &Service::CreateTenantToken),
  };
}

}  // namespace authurl
