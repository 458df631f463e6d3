// auth_url_service.h: the handlers of authurl.v1.AuthUrlService.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "authurl/record/v1/record.pb.h"
#include "authurl/v1/auth_url_service.pb.h"
#include "core/catalog/network_catalog.h"
#include "core/crypto/crypto.h"
#include "core/crypto/sealer.h"
#include "core/flow/auth_request.h"
#include "core/flow/auth_state.h"
#include "server/api/left_networks.h"
#include "server/observe/metrics.h"
#include "server/serving/method.h"
#include "server/system/clock.h"
#include "server/system/token_buckets.h"
#include "storage/credential_store.h"

namespace authurl {

// Safe to use from many threads at once. Everything it refers to must outlive it.
class AuthUrlService final {
 public:
  struct Options {
    // "https://host[:port][/path]" below which the gateway serves the hosted callback; empty for
    // none.
    std::string public_base_url;
    absl::Duration state_ttl;
    // Of one organisation, that may be good at a time. 0: any number.
    int max_stored_states = 0;
  };

  AuthUrlService(const NetworkCatalog& catalog, const Sealer& sealer, CredentialStore& store,
                 Metrics& metrics, Clock clock, RandomSource random, Options options);

  // What a URL is made of: checked, looked up and chosen. Caller and request must outlive it.
  struct Prepared {
    AuthRequest request;
    std::shared_ptr<const record::v1::SocialNetworkSettings> settings;
    ChosenRedirectUri redirect_uri;
  };
  // The same for an explanation, with the request that it explains.
  struct Explained {
    std::unique_ptr<const v1::GetAuthUrlRequest> request;
    Prepared prepared;
  };

  // GetAuthUrl in two steps: look up, in memory alone (nothing where that does not do) or in the
  // database; then mint, without I/O. A state that the network can't carry is stored before the URL
  // is handed out.
  std::optional<absl::StatusOr<Prepared>> LookUpInMemory(
      const Caller& caller, const v1::GetAuthUrlRequest& request) const;
  absl::StatusOr<Prepared> LookUp(const Caller& caller, const v1::GetAuthUrlRequest& request) const;
  HandledAs<v1::GetAuthUrlResponse> Mint(const Caller& caller, const Prepared& prepared,
                                         v1::GetAuthUrlResponse& response) const;

  // ExplainAuthUrl likewise.
  std::optional<absl::StatusOr<Explained>> LookUpExplainedInMemory(
      const Caller& caller, const v1::ExplainAuthUrlRequest& request) const;
  absl::StatusOr<Explained> LookUpExplained(const Caller& caller,
                                            const v1::ExplainAuthUrlRequest& request) const;
  HandledAs<v1::ExplainAuthUrlResponse> Explain(const Caller& caller, const Explained& explained,
                                                v1::ExplainAuthUrlResponse& response) const;

  // Mints all results, then stores the states of all that need it at once.
  HandledAs<v1::BatchGetAuthUrlsResponse> BatchGetAuthUrls(
      const Caller& caller, const v1::BatchGetAuthUrlsRequest& request,
      v1::BatchGetAuthUrlsResponse& response) const;
  absl::Status ListNetworks(const Caller& caller, const v1::ListNetworksRequest& request,
                            v1::ListNetworksResponse& response) const;

  std::vector<Method> Methods() const;

 private:
  // A URL that is not handed out yet.
  struct Minted {
    Metrics::UrlCounter counter;
    // What must be stored before it is.
    std::optional<StoredAuthState> to_store;
  };
  absl::StatusOr<Prepared> Prepare(
      const AuthRequest& request,
      std::shared_ptr<const record::v1::SocialNetworkSettings> settings) const;
  absl::StatusOr<Minted> MintInto(const Prepared& prepared, v1::GetAuthUrlResponse& response) const;
  // What to answer a request that the catalog finds `invalid` for want of its network; `found`: how
  // the store's look for its configuration ended.
  absl::Status AnswerForUnknown(const std::string& network, const absl::Status& invalid,
                                const absl::Status& found) const;

  // What one result of a batch is for. `instance` is empty for networks without instances,
  // `configuration` for the default one; `settings` are null where they must be looked up.
  struct BatchTarget {
    std::string network;
    std::string instance;
    std::string configuration;
    std::shared_ptr<const record::v1::SocialNetworkSettings> settings;
    // Nothing is known of it but its id, which is `configuration`.
    bool is_unreadable = false;
  };
  // One result of a batch, without its error. It names its configuration, whatever else is wrong.
  absl::StatusOr<Minted> MintResult(const Caller& caller, const BatchTarget& target,
                                    const v1::GetAuthUrlRequest& asked,
                                    v1::BatchGetAuthUrlsResponse::Result& result) const;
  // The URLs of a batch that are not handed out yet.
  struct MintedBatch {
    std::vector<Metrics::UrlCounter> sealed;
    // For each state that must be stored: its URL's counter, and its result's place in the
    // response.
    std::vector<Metrics::UrlCounter> stored;
    std::vector<StoredAuthState> states;
    std::vector<int> stored_results;
  };
  // RESOURCE_EXHAUSTED TOO_MANY_STORED_STATES, with when to try again.
  absl::Status AdmitStoredStates(const Caller& caller, size_t states) const;
  Ending StoreBatch(const Caller& caller, MintedBatch batch,
                    v1::BatchGetAuthUrlsResponse& response) const;
  // What the request names, or every configuration of the organisation where it names nothing.
  absl::StatusOr<std::vector<BatchTarget>> BatchTargets(
      const Caller& caller, const v1::BatchGetAuthUrlsRequest& request) const;

  const NetworkCatalog& catalog_;
  const Sealer& sealer_;
  CredentialStore& store_;
  Metrics& metrics_;
  const Clock clock_;
  const RandomSource random_;
  const Options options_;
  mutable TokenBuckets stored_states_;  // By organisation.
  mutable LeftNetworksLog left_networks_;
};

}  // namespace authurl
