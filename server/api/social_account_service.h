// social_account_service.h: the handlers of authurl.v1.SocialAccountService.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"
#include "authurl/v1/social_account_service.pb.h"
#include "core/crypto/sealer.h"
#include "server/flow/check_account.h"
#include "server/flow/complete_auth.h"
#include "server/flow/flow_tools.h"
#include "server/flow/refresh_grant.h"
#include "server/flow/revoke_grant.h"
#include "server/flow/token_at_hand.h"
#include "server/serving/admission.h"
#include "server/serving/method.h"
#include "server/system/token_buckets.h"
#include "storage/credential_store.h"

namespace authurl {

// Safe to use from many threads at once. Everything it refers to must outlive it.
class SocialAccountService final {
 public:
  struct Options {
    // "https://host[:port][/path]" below which the gateway serves the hosted callback; empty for
    // none.
    std::string public_base_url;
  };

  SocialAccountService(const FlowTools& tools, const Sealer& sealer, AuthCompleter& completer,
                       GrantRefresher& refresher, Admission& admission, Options options);

  void CompleteAuth(const Caller& caller, const v1::CompleteAuthRequest& request,
                    ResponseCompletion<v1::CompleteAuthResponse> completion) const;
  void CompleteHostedAuth(const Caller& caller, const v1::CompleteHostedAuthRequest& request,
                          ResponseCompletion<v1::CompleteHostedAuthResponse> completion) const;
  absl::Status OpenAuthResponse(const Caller& caller, const v1::OpenAuthResponseRequest& request,
                                v1::OpenAuthResponseResponse& response) const;
  absl::Status GetAuthFlow(const Caller& caller, const v1::GetAuthFlowRequest& request,
                           v1::GetAuthFlowResponse& response) const;

  absl::Status GetPendingConnection(const Caller& caller,
                                    const v1::GetPendingConnectionRequest& request,
                                    v1::GetPendingConnectionResponse& response) const;
  absl::Status FinalizePendingConnection(const Caller& caller,
                                         const v1::FinalizePendingConnectionRequest& request,
                                         v1::FinalizePendingConnectionResponse& response) const;

  absl::Status ListSocialAccounts(const Caller& caller,
                                  const v1::ListSocialAccountsRequest& request,
                                  v1::ListSocialAccountsResponse& response) const;
  absl::Status GetSocialAccount(const Caller& caller, const v1::GetSocialAccountRequest& request,
                                v1::GetSocialAccountResponse& response) const;

  void CheckSocialAccount(const Caller& caller, const v1::CheckSocialAccountRequest& request,
                          ResponseCompletion<v1::CheckSocialAccountResponse> completion) const;
  void DeleteSocialAccount(const Caller& caller, const v1::DeleteSocialAccountRequest& request,
                           ResponseCompletion<v1::DeleteSocialAccountResponse> completion) const;
  absl::Status DeleteSocialAccounts(const Caller& caller,
                                    const v1::DeleteSocialAccountsRequest& request,
                                    v1::DeleteSocialAccountsResponse& response) const;
  // In two steps, without I/O: look up in memory, where there is a token that is good; then hand it
  // out. Nothing where that does not do: then it is got, which may take a call to the network.
  std::optional<absl::StatusOr<TokenAtHand>> FindAccessTokenInMemory(
      const Caller& caller, const v1::GetAccessTokenRequest& request) const;
  HandledAs<v1::GetAccessTokenResponse> HandOut(const Caller& caller, const TokenAtHand& at_hand,
                                                v1::GetAccessTokenResponse& response) const;
  void GetAccessToken(const Caller& caller, const v1::GetAccessTokenRequest& request,
                      ResponseCompletion<v1::GetAccessTokenResponse> completion) const;

  absl::Status CreateTenantToken(const Caller& caller, const v1::CreateTenantTokenRequest& request,
                                 v1::CreateTenantTokenResponse& response) const;

  std::vector<Method> Methods() const;

 private:
  struct FoundFlow {
    absl::Time expires_at;  // Of its state.
    std::optional<record::v1::Flow> flow;
  };
  // INVALID_PAYLOAD where the id is none of the caller's organisation.
  absl::StatusOr<FoundFlow> FindFlow(const Caller& caller, absl::string_view flow_id) const;
  // The id of what is to be finalized. SESSION_NOT_FOUND.
  absl::StatusOr<std::string> FindPending(
      const Caller& caller, const v1::FinalizePendingConnectionRequest& request) const;
  absl::Status CountInto(const CallContext& context, const Caller& caller,
                         const AccountFilter& filter, const v1::ListSocialAccountsRequest& request,
                         v1::ListSocialAccountsResponse& response) const;

  // An account as callers see it.
  absl::Status Show(const CallContext& context, const record::v1::SocialAccount& account,
                    v1::SocialAccount& shown) const;

  const FlowTools tools_;
  const Sealer& sealer_;
  CredentialStore& store_;
  AuthCompleter& completer_;
  GrantRefresher& refresher_;
  const AccountChecker checker_;
  const GrantRevoker revoker_;
  Admission& admission_;
  const Options options_;
  // Of those who have no API key.
  mutable TokenBuckets browsers_;  // By address.
};

}  // namespace authurl
