// organization_service.h: the handlers of authurl.v1.OrganizationService.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "authurl/v1/organization_service.pb.h"
#include "core/crypto/crypto.h"
#include "core/crypto/sealer.h"
#include "server/serving/method.h"
#include "server/system/clock.h"
#include "storage/credential_store.h"

namespace authurl {

// Safe to use from many threads at once. Everything it refers to must outlive it.
class OrganizationService final {
 public:
  OrganizationService(const Sealer& sealer, CredentialStore& store, Clock clock,
                      RandomSource random);

  absl::Status CreateOrganization(const Caller& caller,
                                  const v1::CreateOrganizationRequest& request,
                                  v1::CreateOrganizationResponse& response) const;
  absl::Status ListOrganizations(const Caller& caller, const v1::ListOrganizationsRequest& request,
                                 v1::ListOrganizationsResponse& response) const;
  absl::Status GetOrganization(const Caller& caller, const v1::GetOrganizationRequest& request,
                               v1::GetOrganizationResponse& response) const;
  absl::Status UpdateOrganization(const Caller& caller,
                                  const v1::UpdateOrganizationRequest& request,
                                  v1::UpdateOrganizationResponse& response) const;
  absl::Status DeleteOrganization(const Caller& caller,
                                  const v1::DeleteOrganizationRequest& request,
                                  v1::DeleteOrganizationResponse& response) const;
  absl::Status CreateApiKey(const Caller& caller, const v1::CreateApiKeyRequest& request,
                            v1::CreateApiKeyResponse& response) const;
  absl::Status ListApiKeys(const Caller& caller, const v1::ListApiKeysRequest& request,
                           v1::ListApiKeysResponse& response) const;
  absl::Status RevokeApiKey(const Caller& caller, const v1::RevokeApiKeyRequest& request,
                            v1::RevokeApiKeyResponse& response) const;

  std::vector<Method> Methods() const;

 private:
  const Sealer& sealer_;
  CredentialStore& store_;
  const Clock clock_;
  const RandomSource random_;
};

}  // namespace authurl
