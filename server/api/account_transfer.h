// account_transfer.h: the handlers of authurl.v1.SocialAccountService that take accounts over from
// other products, and hand them to others.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "authurl/v1/social_account_service.pb.h"
#include "core/crypto/sealer.h"
#include "server/flow/flow_tools.h"
#include "server/flow/import_account.h"
#include "server/flow/refresh_grant.h"
#include "server/serving/admission.h"
#include "server/serving/method.h"

namespace authurl {

// Safe to use from many threads at once. Everything it refers to must outlive it.
class AccountTransfer final {
 public:
  AccountTransfer(const FlowTools& tools, const Sealer& sealer, GrantRefresher& refresher,
                  Admission& admission);

  void ImportSocialAccounts(const Caller& caller, const v1::ImportSocialAccountsRequest& request,
                            ResponseCompletion<v1::ImportSocialAccountsResponse> completion) const;
  absl::Status ExportSocialAccounts(const Caller& caller,
                                    const v1::ExportSocialAccountsRequest& request,
                                    v1::ExportSocialAccountsResponse& response) const;

  std::vector<Method> Methods() const;

 private:
  const FlowTools tools_;
  const Sealer& sealer_;
  const AccountImporter importer_;
  Admission& admission_;
};

}  // namespace authurl
