// auth_url_service.h: the handlers of authurl.v1.AuthUrlService.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"
#include "authurl/v1/auth_url_service.pb.h"
#include "core/catalog/network_catalog.h"
#include "core/crypto/crypto.h"
#include "core/crypto/sealer.h"
#include "core/flow/auth_request.h"
#include "server/observe/metrics.h"
#include "server/serving/rpc.h"
#include "server/system/clock.h"
#include "storage/credential_store.h"

namespace authurl {

// Safe to use from many threads at once. Everything it refers to must outlive it.
class AuthUrlService final {
 public:
  AuthUrlService(const NetworkCatalog& catalog, const Sealer& sealer, CredentialStore& store,
                 Metrics& metrics, Clock clock, RandomSource random, std::string public_base_url,
                 absl::Duration state_ttl);

  absl::Status GetAuthUrl(const Caller& caller, const v1::GetAuthUrlRequest& request,
                          v1::GetAuthUrlResponse& response) const;
  absl::Status BatchGetAuthUrls(const Caller& caller, const v1::BatchGetAuthUrlsRequest& request,
                                v1::BatchGetAuthUrlsResponse& response) const;
  absl::Status ExplainAuthUrl(const Caller& caller, const v1::ExplainAuthUrlRequest& request,
                              v1::ExplainAuthUrlResponse& response) const;
  absl::Status ListNetworks(const Caller& caller, const v1::ListNetworksRequest& request,
                            v1::ListNetworksResponse& response) const;

  std::vector<Method> Methods() const;

 private:
  // What a request asks for, checked as far as it can be without its configuration, and that.
  struct Found {
    AuthRequest request;
    std::shared_ptr<const record::v1::SocialNetworkSettings> settings;
  };
  // What a URL is made of: checked, looked up and chosen.
  struct Prepared {
    AuthRequest request;
    std::shared_ptr<const record::v1::SocialNetworkSettings> settings;
    ChosenRedirectUri redirect_uri;
  };
  // `request` must outlive what is returned, here and below.
  absl::StatusOr<Prepared> Prepare(const Found& found) const;
  absl::StatusOr<Prepared> LookUpAndPrepare(const Caller& caller,
                                            const v1::GetAuthUrlRequest& request) const;
  absl::Status Mint(const Caller& caller, const Prepared& prepared,
                    v1::GetAuthUrlResponse& response) const;

  // What one result of a batch is for. `instance` is empty for networks without instances,
  // `configuration` for the default one; `settings` are null where they must be looked up.
  struct BatchTarget {
    std::string network;
    std::string instance;
    std::string configuration;
    std::shared_ptr<const record::v1::SocialNetworkSettings> settings;
  };
  // One result of a batch, without its error. It names its configuration, whatever else is wrong.
  absl::Status MintResult(const Caller& caller, const BatchTarget& target,
                          const v1::GetAuthUrlRequest& request,
                          v1::BatchGetAuthUrlsResponse::Result& result) const;
  // What the request names, or every configuration of the organisation where it names nothing.
  absl::StatusOr<std::vector<BatchTarget>> BatchTargets(
      const Caller& caller, const v1::BatchGetAuthUrlsRequest& request) const;

  const NetworkCatalog& catalog_;
  const Sealer& sealer_;
  CredentialStore& store_;
  Metrics& metrics_;
  const Clock clock_;
  const RandomSource random_;
  const std::string public_base_url_;
  const absl::Duration state_ttl_;
};

}  // namespace authurl
