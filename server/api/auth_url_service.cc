#include "server/api/auth_url_service.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/catalog/endpoint.h"
#include "core/catalog/network_description.h"
#include "core/errors.h"
#include "core/flow/auth_url.h"
#include "core/flow/explanation.h"
#include "server/api/paging.h"
#include "server/api/tenant_binding.h"
#include "server/api/timestamps.h"
#include "server/observe/log.h"
#include "server/serving/grpc_status.h"

namespace authurl {
namespace {

using record::v1::SocialNetworkSettings;

// An organisation may have very many configurations, and each may be large.
constexpr PageLimit kPage = {.rows = 32, .bytes = kMaxPageBytes};

// What the callers of a batch are not shown of its failed results. Results that fail for the same
// cause are counted, so that a store that is out of reach does not flood the log.
class HiddenCauses final {
 public:
  void Add(const absl::Status& status, const std::string& network) {
    const std::string cause = CauseOf(status);
    if (cause.empty()) return;
    Failed& failed = by_cause_[cause];
    if (failed.results++ == 0) failed.first_network = network;
  }

  void LogAll(const Caller& caller) const {
    for (const auto& [cause, failed] : by_cause_) {
      Log(LogLevel::kError, "batch_results_failed",
          {{"request_id", caller.context->request_id()},
           {"org_id", caller.org_id},
           {"results", failed.results},
           {"network", failed.first_network},
           {"cause", cause}});
    }
  }

 private:
  struct Failed {
    int64_t results = 0;
    std::string first_network;
  };
  std::map<std::string, Failed> by_cause_;
};

absl::AnyInvocable<void()> CountAll(std::vector<Metrics::UrlCounter> counters) {
  return [counters = std::move(counters)] {
    for (const Metrics::UrlCounter& counter : counters) counter.Add();
  };
}

// Half of them at once, and the other half in the time that they are good for: never more than all
// of them are good at a time.
TokenBuckets::Limit LimitOf(const AuthUrlService::Options& options) {
  const double half = options.max_stored_states / 2.0;
  return {.per_second = half / absl::ToDoubleSeconds(options.state_ttl), .capacity = half};
}

}  // namespace

AuthUrlService::AuthUrlService(const NetworkCatalog& catalog, const Sealer& sealer,
                               CredentialStore& store, Metrics& metrics, Clock clock,
                               RandomSource random, Options options)
    : catalog_(catalog),
      sealer_(sealer),
      store_(store),
      metrics_(metrics),
      clock_(std::move(clock)),
      random_(std::move(random)),
      options_(std::move(options)),
      stored_states_(LimitOf(options_)) {}

absl::StatusOr<AuthUrlService::Prepared> AuthUrlService::Prepare(
    const AuthRequest& request, std::shared_ptr<const SocialNetworkSettings> settings) const {
  if (HasChoices(*request.request)) {
    settings =
        std::make_shared<const SocialNetworkSettings>(WithChoices(*request.request, *settings));
  }
  const absl::StatusOr<AuthRequest> fitting = ForConfiguration(catalog_, request, *settings);
  if (!fitting.ok()) return fitting.status();
  absl::StatusOr<ChosenRedirectUri> redirect_uri =
      ChooseRedirectUri(*fitting, *settings, options_.public_base_url, sealer_.keys());
  if (!redirect_uri.ok()) return redirect_uri.status();
  return Prepared{*fitting, std::move(settings), *std::move(redirect_uri)};
}

std::optional<absl::StatusOr<AuthUrlService::Prepared>> AuthUrlService::LookUpInMemory(
    const Caller& caller, const v1::GetAuthUrlRequest& request) const {
  const absl::StatusOr<AuthRequest> valid =
      ValidateAuthRequest(catalog_, request, OwnTenantId(caller));
  if (!valid.ok() && !MayBeOfLeftNetwork(catalog_, request)) return valid.status();
  auto settings = store_.social_networks().FindInMemory(
      caller.org_id, request.network(), request.instance(), request.configuration());
  if (!settings.has_value()) return std::nullopt;
  if (!valid.ok()) return AnswerForUnknown(request.network(), valid.status(), settings->status());
  if (!settings->ok()) return settings->status();
  return Prepare(*valid, **std::move(settings));
}

absl::StatusOr<AuthUrlService::Prepared> AuthUrlService::LookUp(
    const Caller& caller, const v1::GetAuthUrlRequest& request) const {
  const absl::StatusOr<AuthRequest> valid =
      ValidateAuthRequest(catalog_, request, OwnTenantId(caller));
  if (!valid.ok() && !MayBeOfLeftNetwork(catalog_, request)) return valid.status();
  auto settings = store_.social_networks().Find(*caller.context, caller.org_id, request.network(),
                                                request.instance(), request.configuration());
  if (!valid.ok()) return AnswerForUnknown(request.network(), valid.status(), settings.status());
  if (!settings.ok()) return settings.status();
  return Prepare(*valid, *std::move(settings));
}

absl::Status AuthUrlService::AnswerForUnknown(const std::string& network,
                                              const absl::Status& invalid,
                                              const absl::Status& found) const {
  if (found.ok()) left_networks_.Met(network);
  return AnswerForLeftNetwork(network, invalid, found);
}

HandledAs<v1::GetAuthUrlResponse> AuthUrlService::Mint(const Caller& caller,
                                                       const Prepared& prepared,
                                                       v1::GetAuthUrlResponse& response) const {
  absl::StatusOr<Minted> minted = MintInto(prepared, response);
  if (!minted.ok()) return Ending{minted.status()};
  const auto count = [counter = minted->counter] { counter.Add(); };
  if (!minted->to_store.has_value()) return Ending{absl::OkStatus(), count};
  if (absl::Status status = AdmitStoredStates(caller, 1); !status.ok()) return Ending{status};
  return [this, &context = *caller.context, count,
          states = std::vector{*std::move(minted->to_store)}](v1::GetAuthUrlResponse&) {
    return Ending{store_.PutAuthStates(context, states), count};
  };
}

absl::StatusOr<AuthUrlService::Minted> AuthUrlService::MintInto(
    const Prepared& prepared, v1::GetAuthUrlResponse& response) const {
  absl::StatusOr<AuthUrl> auth_url =
      MintAuthUrl(sealer_, prepared.request, *prepared.settings, prepared.redirect_uri, random_,
                  clock_(), options_.state_ttl);
  if (!auth_url.ok()) return auth_url.status();
  response.set_auth_url(std::move(auth_url->url));
  SetTimestamp(auth_url->expires_at, *response.mutable_expires_at());
  response.set_flow_id(std::move(auth_url->flow_id));
  const StateKind kind = auth_url->to_store.has_value() ? StateKind::kStored : StateKind::kSealed;
  return Minted{metrics_.AuthUrlsOf(prepared.settings->network(), kind),
                std::move(auth_url->to_store)};
}

std::optional<absl::StatusOr<AuthUrlService::Explained>> AuthUrlService::LookUpExplainedInMemory(
    const Caller& caller, const v1::ExplainAuthUrlRequest& request) const {
  auto explained =
      std::make_unique<const v1::GetAuthUrlRequest>(RequestFor(request.network(), request));
  std::optional<absl::StatusOr<Prepared>> prepared = LookUpInMemory(caller, *explained);
  if (!prepared.has_value()) return std::nullopt;
  if (!prepared->ok()) return prepared->status();
  return Explained{std::move(explained), **std::move(prepared)};
}

absl::StatusOr<AuthUrlService::Explained> AuthUrlService::LookUpExplained(
    const Caller& caller, const v1::ExplainAuthUrlRequest& request) const {
  auto explained =
      std::make_unique<const v1::GetAuthUrlRequest>(RequestFor(request.network(), request));
  absl::StatusOr<Prepared> prepared = LookUp(caller, *explained);
  if (!prepared.ok()) return prepared.status();
  return Explained{std::move(explained), *std::move(prepared)};
}

HandledAs<v1::ExplainAuthUrlResponse> AuthUrlService::Explain(
    const Caller&, const Explained& explained, v1::ExplainAuthUrlResponse& response) const {
  const Prepared& prepared = explained.prepared;
  response = ExplainAuthUrl(prepared.request, *prepared.settings, prepared.redirect_uri);
  return Ending{absl::OkStatus()};
}

HandledAs<v1::BatchGetAuthUrlsResponse> AuthUrlService::BatchGetAuthUrls(
    const Caller& caller, const v1::BatchGetAuthUrlsRequest& request,
    v1::BatchGetAuthUrlsResponse& response) const {
  if (absl::Status status = ValidateBatchRequest(request); !status.ok()) return Ending{status};
  const absl::StatusOr<std::vector<BatchTarget>> targets = BatchTargets(caller, request);
  if (!targets.ok()) return Ending{targets.status()};

  HiddenCauses causes;
  MintedBatch batch;
  v1::GetAuthUrlRequest single = RequestFor("", request);
  for (const BatchTarget& target : *targets) {
    if (absl::Status status = caller.context->Check(); !status.ok()) {
      if (!absl::IsDeadlineExceeded(status)) return Ending{status};
      return Ending{
          MakeError(absl::StatusCode::kDeadlineExceeded, "DEADLINE_EXCEEDED",
                    absl::StrCat("The deadline passed after ", response.results_size(), " of ",
                                 targets->size(), " networks; ask for fewer at once"))};
    }
    single.set_network(target.network);
    single.clear_instance();
    if (!target.instance.empty()) single.set_instance(target.instance);
    single.clear_configuration();
    if (!target.configuration.empty()) single.set_configuration(target.configuration);
    auto& result = *response.add_results();
    result.set_network(target.network);
    result.set_instance(target.instance);
    absl::StatusOr<Minted> minted = MintResult(caller, target, single, result);
    if (!minted.ok()) {
      *result.mutable_error() = ToRpcStatus(minted.status());
      causes.Add(minted.status(), target.network);
      continue;
    }
    if (!minted->to_store.has_value()) {
      batch.sealed.push_back(minted->counter);
      continue;
    }
    batch.stored.push_back(minted->counter);
    batch.states.push_back(*std::move(minted->to_store));
    batch.stored_results.push_back(response.results_size() - 1);
  }
  causes.LogAll(caller);
  const int further_calls = std::max(response.results_size() - 1, 0);
  if (batch.states.empty()) {
    return Ending{absl::OkStatus(), CountAll(std::move(batch.sealed)), further_calls};
  }
  return [this, &caller, batch = std::move(batch)](v1::BatchGetAuthUrlsResponse& minted) mutable {
    return StoreBatch(caller, std::move(batch), minted);
  };
}

Ending AuthUrlService::StoreBatch(const Caller& caller, MintedBatch batch,
                                  v1::BatchGetAuthUrlsResponse& response) const {
  absl::Status stored = AdmitStoredStates(caller, batch.states.size());
  if (stored.ok()) stored = store_.PutAuthStates(*caller.context, batch.states);
  std::vector<Metrics::UrlCounter>& counters = batch.sealed;
  const int further_calls = response.results_size() - 1;
  if (stored.ok()) {
    counters.insert(counters.end(), batch.stored.begin(), batch.stored.end());
    return Ending{absl::OkStatus(), CountAll(std::move(counters)), further_calls};
  }
  // The others' URLs are as good as ever.
  HiddenCauses causes;
  for (const int index : batch.stored_results) {
    auto& result = *response.mutable_results(index);
    *result.mutable_error() = ToRpcStatus(stored);
    causes.Add(stored, result.network());
  }
  causes.LogAll(caller);
  return Ending{absl::OkStatus(), CountAll(std::move(counters)), further_calls};
}

absl::Status AuthUrlService::AdmitStoredStates(const Caller& caller, size_t states) const {
  const absl::Duration retry_after =
      stored_states_.TryTake(caller.org_id, static_cast<double>(states), clock_());
  if (retry_after == absl::ZeroDuration()) return absl::OkStatus();
  return MakeRetryableError(
      absl::StatusCode::kResourceExhausted, "TOO_MANY_STORED_STATES",
      absl::StrCat("The organisation has as many URLs under way whose OAuth state is stored as it "
                   "may have (",
                   options_.max_stored_states, " in ", absl::FormatDuration(options_.state_ttl),
                   "); try again later. Short redirect URIs and fewer scopes in the request make "
                   "states that most networks carry themselves"),
      retry_after);
}

absl::StatusOr<AuthUrlService::Minted> AuthUrlService::MintResult(
    const Caller& caller, const BatchTarget& target, const v1::GetAuthUrlRequest& asked,
    v1::BatchGetAuthUrlsResponse::Result& result) const {
  if (target.is_unreadable) {
    result.set_social_network_id(target.configuration);
    return absl::InternalError(
        absl::StrCat("the configuration ", target.configuration, " does not open"));
  }
  auto settings = target.settings;
  absl::Status status;
  const bool is_known = catalog_.Find(asked.network()) != nullptr;
  const bool may_have_left = MayBeOfLeftNetwork(catalog_, asked);
  // A network that the catalog does not know may be any text: the store is not asked for that.
  if (settings == nullptr && (is_known || may_have_left)) {
    auto found = store_.social_networks().Find(*caller.context, caller.org_id, asked.network(),
                                               asked.instance(), asked.configuration());
    status = found.status();
    if (found.ok()) settings = *std::move(found);
  }
  if (settings != nullptr) {
    result.set_social_network_id(settings->id());
    result.set_configuration_name(settings->name());
  }
  std::optional<v1::GetAuthUrlRequest> kept;
  if (HasChoices(asked)) {
    const catalog::v1::Network* network =
        catalog_.FindVariant(asked.network(), settings == nullptr ? "" : settings->variant());
    kept = asked;
    if (network != nullptr) KeepChoicesOf(*network, *kept);
  }
  const v1::GetAuthUrlRequest& request = kept ? *kept : asked;
  // What is wrong with the request comes first, as in GetAuthUrl.
  const absl::StatusOr<AuthRequest> valid = ValidateAuthRequest(catalog_, request);
  if (may_have_left) return AnswerForUnknown(asked.network(), valid.status(), status);
  if (!valid.ok()) return valid.status();
  if (!status.ok()) return status;
  const absl::StatusOr<Prepared> prepared = Prepare(*valid, std::move(settings));
  if (!prepared.ok()) return prepared.status();
  v1::GetAuthUrlResponse url;
  absl::StatusOr<Minted> minted = MintInto(*prepared, url);
  if (minted.ok()) *result.mutable_auth_url() = std::move(url);
  return minted;
}

absl::StatusOr<std::vector<AuthUrlService::BatchTarget>> AuthUrlService::BatchTargets(
    const Caller& caller, const v1::BatchGetAuthUrlsRequest& request) const {
  std::vector<BatchTarget> targets;
  for (const std::string& id : request.networks()) {
    const catalog::v1::Network* network = catalog_.Find(id);
    const bool has_instances = network != nullptr && HasInstances(*network);
    targets.push_back(
        {id, has_instances ? request.instance() : "", request.configuration(), nullptr});
  }
  if (!targets.empty()) return targets;
  std::string after;
  do {
    auto page = store_.social_networks().List(*caller.context, caller.org_id, after, kPage);
    if (!page.ok()) return page.status();
    for (SocialNetworkSettings& settings : page->records) {
      // An own network that was taken out of --networks_file: it would fail for good, and nobody
      // has asked for it.
      if (catalog_.Find(settings.network()) == nullptr) {
        left_networks_.Met(settings.network());
        continue;
      }
      targets.push_back({.network = settings.network(),
                         .instance = settings.instance(),
                         .configuration = settings.id(),
                         .settings = nullptr});
      targets.back().settings = std::make_shared<const SocialNetworkSettings>(std::move(settings));
    }
    for (std::string& id : page->unreadable) {
      targets.push_back({.network = "",
                         .instance = "",
                         .configuration = std::move(id),
                         .settings = nullptr,
                         .is_unreadable = true});
    }
    if (targets.size() > size_t{kMaxBatchNetworks}) {
      return MakeError(
          absl::StatusCode::kFailedPrecondition, "TOO_MANY_CONFIGURATIONS",
          absl::StrCat("The organisation has more than ", kMaxBatchNetworks,
                       " configurations: ask for a part of them, by networks and configuration"));
    }
    after = std::move(page->next);
  } while (!after.empty());
  return targets;
}

absl::Status AuthUrlService::ListNetworks(const Caller& caller, const v1::ListNetworksRequest&,
                                          v1::ListNetworksResponse& response) const {
  const absl::StatusOr<std::vector<std::string>> configured =
      store_.social_networks().ListNetworks(*caller.context, caller.org_id);
  if (!configured.ok()) return configured.status();
  for (const catalog::v1::Network* network : catalog_.networks()) {
    v1::Network& shown = *response.add_networks();
    shown = DescribeNetwork(catalog_, *network);
    shown.set_configured(std::binary_search(configured->begin(), configured->end(), network->id()));
  }
  return absl::OkStatus();
}

std::vector<Method> AuthUrlService::Methods() const {
  const std::string service = "/authurl.v1.AuthUrlService/";
  const Access access = Access::kMint;
  return {
      TakingTenantTokens(
          state::v1::TenantToken::ACTION_CONNECT,
          MakeMemoryMethod(service + "GetAuthUrl", access, this, &AuthUrlService::LookUpInMemory,
                           &AuthUrlService::LookUp, &AuthUrlService::Mint)),
      MakeReadMethod(service + "BatchGetAuthUrls", access, this, &AuthUrlService::BatchGetAuthUrls),
      MakeMemoryMethod(service + "ExplainAuthUrl", access, this,
                       &AuthUrlService::LookUpExplainedInMemory, &AuthUrlService::LookUpExplained,
                       &AuthUrlService::Explain),
      MakeReadMethod(service + "ListNetworks", access, this, &AuthUrlService::ListNetworks),
  };
}

}  // namespace authurl
