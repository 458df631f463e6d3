// app.h: the one place where the parts of the server are put together, started and stopped.
#pragma once

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "core/catalog/network_catalog.h"
#include "core/crypto/crypto.h"
#include "core/crypto/key_ring.h"
#include "core/crypto/sealer.h"
#include "server/api/account_transfer.h"
#include "server/api/auth_url_service.h"
#include "server/api/event_service.h"
#include "server/api/flow_completion.h"
#include "server/api/organization_service.h"
#include "server/api/social_account_service.h"
#include "server/api/social_network_service.h"
#include "server/api/webhook_service.h"
#include "server/config.h"
#include "server/flow/await_events.h"
#include "server/flow/check_due.h"
#include "server/flow/complete_auth.h"
#include "server/flow/deliver_events.h"
#include "server/flow/flow_metrics.h"
#include "server/flow/network_pace.h"
#include "server/flow/purge_organizations.h"
#include "server/flow/refresh_due.h"
#include "server/flow/refresh_grant.h"
#include "server/flow/revoke_due.h"
#include "server/flow/watch_grants.h"
#include "server/flow/webhook_metrics.h"
#include "server/observe/metric_sources.h"
#include "server/observe/metrics.h"
#include "server/observe/metrics_exposer.h"
#include "server/observe/process_metrics.h"
#include "server/outbound/curl_client.h"
#include "server/outbound/outbound_metrics.h"
#include "server/serving/admission.h"
#include "server/serving/lanes.h"
#include "server/serving/listener.h"
#include "server/serving/method.h"
#include "server/serving/pipeline.h"
#include "server/store_upkeep.h"
#include "server/system/bound_sockets.h"
#include "server/system/clock.h"
#include "server/system/heap.h"
#include "server/system/thread_pool.h"
#include "storage/backend.h"
#include "storage/credential_store.h"

namespace authurl {

// A running server. Start() and Stop() are for one thread.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): parts in the order of their need
class App final {
 public:
  // Opens the database that a path leads to.
  using OpenBackend =
      std::function<absl::StatusOr<std::unique_ptr<Backend>>(const std::string& path)>;

  // An SQLite file. The log tells of an upgrade.
  static absl::StatusOr<std::unique_ptr<Backend>> OpenDatabase(const std::string& path);

  // Opens everything and serves. An error is one sentence for the operator, and then nothing was
  // served. REQUIRES: VerifyConfig(config) is OK.
  static absl::StatusOr<std::unique_ptr<App>> Start(const Config& config,
                                                    const Clock& clock = absl::Now,
                                                    const OpenBackend& open_backend = OpenDatabase);
  // Stops, if Stop() was not called.
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  // Where it listens, with the real port.
  const std::string& address() const { return listener_->address(); }
  // The same for metrics. REQUIRES: config.metrics_listen is not empty.
  const std::string& metrics_address() const { return exposer_->address(); }

  // Leaves politely: health says NOT_SERVING; after the drain delay new calls get UNAVAILABLE;
  // calls in flight finish, and so does what the background has sent; connections close; then gRPC,
  // the lanes, the store's upkeep and the store. No accepted call ends in CANCELLED. The log says
  // `why`. Nothing but the last steps waits for the database; those hang as long as its disk does.
  // Idempotent.
  void Stop(absl::string_view why = "");

  // Stop() takes longer only where something hangs.
  absl::Duration longest_stop() const;
  // What Stop() waits for now, in words for the operator. For any thread.
  std::string waiting_for() const { return waiting_for_.load(); }

 private:
  App(const Config& config, const Clock& clock, KeyRing keys, NetworkCatalog catalog);
  // In this order, so that a start that fails for an address that is taken, or a file that is not
  // there, changes nothing.
  absl::Status Bind();
  absl::Status StartHttpClient();
  absl::Status Open(const OpenBackend& open_backend);
  // Tells the operator where the database is an older copy. The server serves all the same.
  void CheckRollback();
  absl::Status StartServing();
  // Returns when what is under way in the background has had its time, too.
  absl::Time StopServing(absl::string_view why);
  void AddService(const google::protobuf::ServiceDescriptor& descriptor,
                  std::vector<Method> methods);
  MetricSources SourcesOfMetrics();
  absl::Status StartMetrics();
  void StartBackground(const FlowTools& tools);
  // Nothing more is begun; what is under way goes on. Waits for nothing.
  void QuietBackground();
  void WaitForBackground(absl::Time until);
  // What each service can still do with the store like that.
  void SetHealth(StoreHealth store);

  // Declared in the order in which they are needed, so that they go in the reverse one.
  const Config config_;
  const Clock clock_;
  const RandomSource random_ = FillRandom;
  const KeyRing keys_;
  const Sealer sealer_;
  const NetworkCatalog catalog_;
  std::unique_ptr<CredentialStore> store_;
  std::unique_ptr<Listener> listener_;
  std::optional<BoundSockets> metrics_sockets_;  // Until the exposer has them.
  bool is_rolled_back_ = false;
  Admission admission_;
  RateLimits rate_limits_;
  Metrics metrics_;
  OutboundMetrics outbound_metrics_;
  FlowMetrics flow_metrics_;
  WebhookMetrics webhook_metrics_;
  const ProcessMetrics process_metrics_;
  std::atomic<StoreHealth> store_health_ = StoreHealth::kGood;
  std::unique_ptr<Lanes> lanes_;
  std::unique_ptr<CurlClient> http_client_;
  std::unique_ptr<Pipeline> pipeline_;
  std::unique_ptr<AuthUrlService> auth_urls_;
  std::unique_ptr<SocialNetworkService> social_networks_;
  std::unique_ptr<OrganizationService> organizations_;
  // What waits for the database on the way of a flow.
  std::unique_ptr<ThreadPool> flow_threads_;
  std::unique_ptr<ThreadPool> event_threads_;
  std::unique_ptr<AuthCompleter> auth_completer_;
  std::unique_ptr<GrantRefresher> grant_refresher_;
  std::unique_ptr<DueRevoker> due_revoker_;
  std::unique_ptr<OrganizationPurger> organization_purger_;
  std::unique_ptr<NetworkPace> network_pace_;
  std::unique_ptr<DueRefresher> due_refresher_;
  std::unique_ptr<DueChecker> due_checker_;
  std::unique_ptr<GrantWatcher> grant_watcher_;
  std::unique_ptr<EventDeliverer> event_deliverer_;
  std::unique_ptr<FlowCompletion> flow_completion_;
  std::unique_ptr<SocialAccountService> social_accounts_;
  std::unique_ptr<AccountTransfer> account_transfer_;
  std::unique_ptr<EventWaiters> event_waiters_;
  std::unique_ptr<EventService> events_;
  std::unique_ptr<WebhookService> webhooks_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::shared_ptr<grpc::ServerCredentials> credentials_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<StoreUpkeep> upkeep_;
  std::unique_ptr<HeapTrimmer> heap_trimmer_;
  std::unique_ptr<SourceMetrics> source_metrics_;
  std::unique_ptr<MetricsExposer> exposer_;
  bool serving_ = false;
  bool stopped_ = false;
  std::atomic<const char*> waiting_for_ = "nothing";
};

}  // namespace authurl
