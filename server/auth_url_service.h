// auth_url_service.h: the handlers of authurl.v1.AuthUrlService.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "authurl/v1/auth_url_service.pb.h"
#include "core/crypto.h"
#include "core/network_catalog.h"
#include "core/sealer.h"
#include "server/clock.h"
#include "server/rpc.h"
#include "storage/credential_store.h"

namespace authurl {

// Safe to use from many threads at once. Everything it refers to must outlive it.
class AuthUrlService final {
 public:
  AuthUrlService(const NetworkCatalog& catalog, const Sealer& sealer, CredentialStore& store,
                 Clock clock, RandomSource random, std::string public_base_url,
                 absl::Duration state_ttl);

  absl::Status GetAuthUrl(const Caller& caller, const v1::GetAuthUrlRequest& request,
                          v1::GetAuthUrlResponse& response) const;

  std::vector<Method> Methods() const;

 private:
  const NetworkCatalog& catalog_;
  const Sealer& sealer_;
  CredentialStore& store_;
  const Clock clock_;
  const RandomSource random_;
  const std::string public_base_url_;
  const absl::Duration state_ttl_;
};

}  // namespace authurl
