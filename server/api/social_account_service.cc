#include "server/api/social_account_service.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/errors.h"
#include "core/field_rules.h"
#include "core/tenant_token.h"
#include "server/api/account_messages.h"
#include "server/api/detached_call.h"
#include "server/api/paging.h"
#include "server/api/tenant_binding.h"
#include "server/api/timestamps.h"

namespace authurl {
namespace {

using record::v1::SocialAccount;

constexpr size_t kMaxUniqueIdBytes = 256;
constexpr size_t kMaxUsernameBytes = 256;
constexpr int kMaxOffset = 10'000;
constexpr int64_t kMaxCounted = 1'000'000;
constexpr absl::Duration kMaxMinValidity = absl::Hours(1);
// While an offset is passed over.
constexpr int kMaxEmptyPages = 10;
// Accounts that go in one transaction.
constexpr int kDeleteStep = 100;

void CheckSocialAccountId(absl::string_view field, absl::string_view id,
                          FieldViolations& violations) {
  if (id.empty()) violations.Add(field, "Required");
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
                                           GrantRefresher& refresher, Admission& admission)
    : tools_(tools),
      sealer_(sealer),
      store_(tools.store),
      refresher_(refresher),
      checker_(tools, refresher),
      revoker_(tools),
      admission_(admission) {}

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
