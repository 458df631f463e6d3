// social_account_service.h: the handlers of authurl.v1.SocialAccountService that look after
// accounts. flow_completion.h has those that connect them, account_transfer.h those that move them.
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
#include "server/flow/flow_tools.h"
#include "server/flow/refresh_grant.h"
#include "server/flow/revoke_grant.h"
#include "server/flow/token_at_hand.h"
#include "server/serving/admission.h"
#include "server/serving/method.h"
#include "storage/credential_store.h"

namespace authurl {

// Safe to use from many threads at once. Everything it refers to must outlive it.
class SocialAccountService final {
 public:
  SocialAccountService(const FlowTools& tools, const Sealer& sealer, GrantRefresher& refresher,
                       Admission& admission);

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
  absl::Status CountInto(const CallContext& context, const Caller& caller,
                         const AccountFilter& filter, const v1::ListSocialAccountsRequest& request,
                         v1::ListSocialAccountsResponse& response) const;

  // An account as callers see it.
  absl::Status Show(const CallContext& context, const record::v1::SocialAccount& account,
                    v1::SocialAccount& shown) const;

  const FlowTools tools_;
  const Sealer& sealer_;
  CredentialStore& store_;
  GrantRefresher& refresher_;
  const AccountChecker checker_;
  const GrantRevoker revoker_;
  Admission& admission_;
};

}  // namespace authurl
