// social_network_service.h: the handlers of authurl.v1.SocialNetworkService.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "authurl/v1/social_network_service.pb.h"
#include "core/catalog/network_catalog.h"
#include "core/crypto/crypto.h"
#include "core/crypto/sealer.h"
#include "server/serving/method.h"
#include "server/system/clock.h"
#include "storage/credential_store.h"

namespace authurl {

// Safe to use from many threads at once. Everything it refers to must outlive it.
class SocialNetworkService final {
 public:
  SocialNetworkService(const NetworkCatalog& catalog, const Sealer& sealer, CredentialStore& store,
                       Clock clock, RandomSource random);

  absl::Status CreateSocialNetwork(const Caller& caller,
                                   const v1::CreateSocialNetworkRequest& request,
                                   v1::CreateSocialNetworkResponse& response) const;
  absl::Status ListSocialNetworks(const Caller& caller,
                                  const v1::ListSocialNetworksRequest& request,
                                  v1::ListSocialNetworksResponse& response) const;
  absl::Status GetSocialNetwork(const Caller& caller, const v1::GetSocialNetworkRequest& request,
                                v1::GetSocialNetworkResponse& response) const;
  absl::Status UpdateSocialNetwork(const Caller& caller,
                                   const v1::UpdateSocialNetworkRequest& request,
                                   v1::UpdateSocialNetworkResponse& response) const;
  absl::Status DeleteSocialNetwork(const Caller& caller,
                                   const v1::DeleteSocialNetworkRequest& request,
                                   v1::DeleteSocialNetworkResponse& response) const;

  std::vector<Method> Methods() const;

 private:
  const NetworkCatalog& catalog_;
  const Sealer& sealer_;
  CredentialStore& store_;
  const Clock clock_;
  const RandomSource random_;
};

}  // namespace authurl
