#include "server/app.h"

#include <grpcpp/ext/channelz_service_plugin.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server_builder.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "authurl/v1/auth_url_service.pb.h"
#include "authurl/v1/event_service.pb.h"
#include "authurl/v1/organization_service.pb.h"
#include "authurl/v1/social_account_service.pb.h"
#include "authurl/v1/social_network_service.pb.h"
#include "authurl/v1/webhook_service.pb.h"
#include "server/observe/log.h"
#include "server/serving/api_keys.h"
#include "server/serving/callback_frame.h"
#include "server/serving/tls.h"
#include "server/system/descriptors.h"
#include "server/system/files.h"
#include "storage/sqlite/sqlite_backend.h"

namespace authurl {
namespace {

// Room for the metadata limit of config.h: beyond this gRPC closes the whole connection, and with
// it innocent calls.
constexpr int kTransportMetadataBytes = 64 * 1024;
// What gRPC may hold of requests, replies and connections together: half of the gigabyte that
// deploy/ gives the whole server, and more than that many well-behaved connections ever need. Near
// it gRPC closes idle connections, then ends calls with RESOURCE_EXHAUSTED, so that strangers who
// send much and read little can't have the process killed. gRPC 1.51 counts its buffers only
// roughly, not what a request becomes here.
constexpr size_t kGrpcMemoryBytes = size_t{512} << 20;
// What waits in a thread of its own is reflection and channelz only: whoever may call them opens as
// many streams as there is room for. More are answered with RESOURCE_EXHAUSTED.
constexpr int kBlockingThreads = 32;
// glibc gives back little of a burst's memory by itself.
constexpr std::chrono::seconds kHeapTrimInterval(20);
// After connections are closed there is nothing left for gRPC to wait for.
constexpr absl::Duration kServerShutdown = absl::Seconds(2);
// What is left to do once no call is: the last write of the upkeep, SQLite's last checkpoint.
constexpr absl::Duration kLongestRest = absl::Seconds(5);
// Commits of theirs are shared, so a few suffice for what the networks' answers give them to do.
constexpr int kFlowThreads = 16;
// Reads of events have their own: a flow may hold its thread while the disk is full.
constexpr int kEventThreads = 4;
// Of what receivers of webhooks are called at a time; those that answer slowly have no more.
constexpr int kMaxDeliveriesPerOrganization = 32;

const google::protobuf::ServiceDescriptor& AuthUrlDescriptor() {
  return *v1::GetAuthUrlRequest::descriptor()->file()->service(0);
}
const google::protobuf::ServiceDescriptor& SocialNetworkDescriptor() {
  return *v1::SocialNetwork::descriptor()->file()->service(0);
}
const google::protobuf::ServiceDescriptor& OrganizationDescriptor() {
  return *v1::Organization::descriptor()->file()->service(0);
}
const google::protobuf::ServiceDescriptor& SocialAccountDescriptor() {
  return *v1::SocialAccount::descriptor()->file()->service(0);
}
const google::protobuf::ServiceDescriptor& EventDescriptor() {
  return *v1::Event::descriptor()->file()->service(0);
}
const google::protobuf::ServiceDescriptor& WebhookDescriptor() {
  return *v1::Webhook::descriptor()->file()->service(0);
}

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

void SetLimits(const Config& config, grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(config.max_request_bytes);
  // The pipeline looks before, so that what is larger gets an answer that says so.
  builder.SetMaxSendMessageSize(kMaxReplyBytes);
  builder.SetResourceQuota(
      grpc::ResourceQuota("authurl").Resize(kGrpcMemoryBytes).SetMaxThreads(kBlockingThreads));
  // A compressed message is inflated before its size is checked.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  const std::pair<const char*, int> arguments[] = {
      {GRPC_ARG_MAX_METADATA_SIZE, kTransportMetadataBytes},
      {GRPC_ARG_MAX_CONCURRENT_STREAMS, config.max_concurrent_streams},
      {GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, Milliseconds(config.handshake_timeout)},
      {GRPC_ARG_MAX_CONNECTION_IDLE_MS, Milliseconds(config.max_connection_idle)},
      {GRPC_ARG_MAX_CONNECTION_AGE_MS, Milliseconds(config.max_connection_age)},
      {GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, Milliseconds(config.max_connection_age_grace)},
      {GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(config.keepalive_time)},
      {GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(config.keepalive_timeout)},
      {GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
       Milliseconds(config.min_client_ping_interval)},
      {GRPC_ARG_HTTP2_MAX_PING_STRIKES, 2},
      {GRPC_ARG_ALLOW_REUSEPORT, 0},
      // The listener learns from it which handshakes are done, also where it is not served.
      {GRPC_ARG_ENABLE_CHANNELZ, 1},
  };
  for (const auto& [name, value] : arguments) builder.AddChannelArgument(name, value);
}

// Linking gRPC's reflection library is enough to have it served: this takes it out again.
class WithoutReflection final : public grpc::ServerBuilderOption {
 public:
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    std::erase_if(*plugins, [](const auto& plugin) {
      return plugin->name() == grpc::reflection::ProtoServerReflectionPlugin().name();
    });
  }
};

absl::Status Explain(const absl::Status& status, absl::string_view what, const std::string& path) {
  return absl::Status(status.code(), absl::StrCat(what, " ", path, ": ", status.message()));
}

void LogFewerConnections(const ConnectionBudget& wanted, const ConnectionBudget& fitting) {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  Log(LogLevel::kWarning, "fewer_connections",
      {{"cause", "the limit of open files (RLIMIT_NOFILE) has no room for more"},
       {"open_files", static_cast<int64_t>(limit.rlim_cur)},
       {"max_connections", int64_t{fitting.connections}},
       {"max_connections_wanted", int64_t{wanted.connections}},
       {"max_handshakes", int64_t{fitting.handshakes}},
       {"max_handshakes_wanted", int64_t{wanted.handshakes}}});
}

// The built-in networks, then those of --networks_file.
absl::StatusOr<NetworkCatalog> ReadCatalog(const Config& config) {
  absl::StatusOr<NetworkCatalog> catalog = NetworkCatalog::Parse(BuiltInNetworksText());
  if (!catalog.ok()) return catalog.status();
  catalog->set_allow_local_instances(config.allow_local_instances);
  if (config.networks_file.empty()) return catalog;
  const absl::StatusOr<std::string> text = ReadSmallFile("the networks file", config.networks_file);
  if (!text.ok()) return text.status();
  const absl::Status added = catalog->Add(*text);
  if (!added.ok()) return Explain(added, "--networks_file", config.networks_file);
  return catalog;
}

}  // namespace

absl::StatusOr<std::unique_ptr<App>> App::Start(const Config& config, const Clock& clock,
                                                const OpenBackend& open_backend) {
  if (absl::Status status = InitCrypto(); !status.ok()) return status;
  absl::StatusOr<std::string> key_text = ReadSecretFile("the key ring", config.key_ring_file);
  if (!key_text.ok()) return key_text.status();
  absl::StatusOr<KeyRing> keys = KeyRing::Parse(*key_text);
  Wipe(*key_text);
  if (!keys.ok()) return Explain(keys.status(), "--key_ring_file", config.key_ring_file);
  absl::StatusOr<NetworkCatalog> catalog = ReadCatalog(config);
  if (!catalog.ok()) return catalog.status();

  std::unique_ptr<App> app(new App(config, clock, *std::move(keys), *std::move(catalog)));
  if (absl::Status status = app->Bind(); !status.ok()) return status;
  if (absl::Status status = app->StartHttpClient(); !status.ok()) return status;
  if (absl::Status status = app->Open(open_backend); !status.ok()) return status;
  if (absl::Status status = app->StartServing(); !status.ok()) return status;
  return app;
}

App::App(const Config& config, const Clock& clock, KeyRing keys, NetworkCatalog catalog)
    : config_(config),
      clock_(clock),
      keys_(std::move(keys)),
      sealer_(keys_),
      catalog_(std::move(catalog)),
      rate_limits_(
          {.per_key = config.rate_limit_key, .per_organization = config.rate_limit_organization}) {}

App::~App() { Stop(); }

absl::StatusOr<std::unique_ptr<Backend>> App::OpenDatabase(const std::string& path) {
  return OpenSqliteBackend(path, [&](int from, int to) {
    Log(LogLevel::kInfo, "upgrading_database",
        {{"database", path}, {"from", int64_t{from}}, {"to", int64_t{to}}});
  });
}

absl::Status App::Bind() {
  auto credentials = MakeServerCredentials({.tls_cert_file = config_.tls_cert_file,
                                            .tls_key_file = config_.tls_key_file,
                                            .tls_client_ca_file = config_.tls_client_ca_file});
  if (!credentials.ok()) return credentials.status();
  credentials_ = *std::move(credentials);
  const ConnectionBudget wanted = {.connections = config_.max_connections,
                                   .handshakes = config_.max_handshakes};
  const absl::StatusOr<ConnectionBudget> fitting =
      FitToDescriptors(wanted, 3 * config_.max_outbound_calls);
  if (!fitting.ok()) return fitting.status();
  if (*fitting != wanted) LogFewerConnections(wanted, *fitting);
  auto listener = Listener::Bind(
      config_.listen, {.max_connections = fitting->connections,
                       .max_handshakes = fitting->handshakes,
                       .handshake_timeout = absl::ToChronoMilliseconds(config_.handshake_timeout),
                       .tls = !config_.tls_cert_file.empty()});
  if (!listener.ok()) return listener.status();
  listener_ = *std::move(listener);
  if (config_.metrics_listen.empty()) return absl::OkStatus();
  auto sockets = BoundSockets::BindTcp(config_.metrics_listen, "metrics_listen");
  if (!sockets.ok()) return sockets.status();
  metrics_sockets_.emplace(*std::move(sockets));
  return absl::OkStatus();
}

absl::Status App::StartHttpClient() {
  for (const auto* network : catalog_.networks()) outbound_metrics_.AddNetwork(network->id());
  outbound_metrics_.AddNetwork(kWebhookTarget);
  CurlClient::Options options;
  options.version = config_.version;
  options.ca_file = config_.outbound_ca_file;
  options.connect_to = config_.outbound_connect_to;
  options.proxy = config_.outbound_proxy;
  options.proxy_is_guarded = config_.outbound_proxy_is_guarded;
  if (!config_.nat64_prefix.empty()) {
    const absl::StatusOr<Nat64Prefix> prefix = ParseNat64Prefix(config_.nat64_prefix);
    if (!prefix.ok()) return prefix.status();
    options.nat64 = *prefix;
  }
  options.allow_local = config_.allow_local_instances;
  absl::StatusOr<std::vector<AddressNetwork>> networks =
      ParseAddressNetworks(config_.webhook_allowed_networks);
  if (!networks.ok()) return networks.status();
  options.receiver_networks = *std::move(networks);
  options.max_calls = config_.max_outbound_calls;
  options.max_calls_per_host = config_.max_outbound_calls_per_host;
  options.max_calls_per_organization = config_.max_outbound_calls_per_organization;
  absl::StatusOr<std::unique_ptr<CurlClient>> client =
      CurlClient::Start(options, outbound_metrics_);
  if (!client.ok()) return client.status();
  http_client_ = *std::move(client);
  return absl::OkStatus();
}

absl::Status App::Open(const OpenBackend& open_backend) {
  absl::StatusOr<std::unique_ptr<Backend>> backend = open_backend(config_.database);
  if (!backend.ok()) return backend.status();
  absl::StatusOr<std::unique_ptr<CredentialStore>> store = CredentialStore::Open(
      *std::move(backend), sealer_, FillRandom, static_cast<size_t>(config_.cache_mib) << 20,
      {.configurations = config_.max_configurations,
       .api_keys = config_.max_api_keys,
       .accounts = config_.max_accounts,
       .unfinished_flows = config_.max_unfinished_flows,
       .pending_connections = config_.max_pending_connections});
  if (!store.ok()) return store.status();
  store_ = *std::move(store);
  CheckRollback();

  if (config_.admin_key_file.empty()) {
    const absl::StatusOr<bool> has_keys = store_->HasApiKeys(CallContext::Background());
    if (!has_keys.ok()) return has_keys.status();
    if (*has_keys) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("the database ", config_.database,
                     " has no API key yet: make one with authurl-keygen api-key FILE and name it "
                     "with --admin_key_file"));
  }
  absl::StatusOr<std::string> key = ReadSecretFile("the admin key", config_.admin_key_file);
  if (!key.ok()) return key.status();
  const absl::Status ensured = EnsureAdminKey(*store_, *key, clock_());
  Wipe(*key);
  if (!ensured.ok()) return Explain(ensured, "--admin_key_file", config_.admin_key_file);
  return absl::OkStatus();
}

void App::CheckRollback() {
  const std::string file = config_.rollback_file.empty()
                               ? absl::StrCat(config_.key_ring_file, ".rollback")
                               : config_.rollback_file;
  const absl::StatusOr<RollbackCheck::Found> found = store_->StartRollbackCheck(file, clock_());
  if (!found.ok()) {
    Log(LogLevel::kInfo, "rollback_is_not_noticed", {{"cause", CauseOf(found.status())}});
    return;
  }
  is_rolled_back_ = found->is_older();
  if (!is_rolled_back_) return;
  Log(LogLevel::kError, "database_is_an_older_copy",
      {{"database", config_.database},
       {"number", found->in_database},
       {"number_seen", found->in_file},
       {"message",
        "API keys that were revoked and what was deleted since may be back: revoke and delete "
        "again; see Restore in deploy/manual/backup.md"}});
}

absl::Status App::StartServing() {
  lanes_ = std::make_unique<Lanes>(LaneLimits{.read_workers = config_.read_workers,
                                              .max_queued_reads = config_.max_queued_reads,
                                              .write_workers = config_.write_workers,
                                              .max_queued_writes = config_.max_queued_writes,
                                              .max_outbound_calls = config_.max_outbound_calls});
  pipeline_ = std::make_unique<Pipeline>(*store_, sealer_, *lanes_, admission_, rate_limits_,
                                         metrics_, clock_, FillRandom, config_.max_metadata_bytes);
  for (const auto* network : catalog_.networks()) metrics_.AddNetwork(network->id());
  auth_urls_ = std::make_unique<AuthUrlService>(
      catalog_, sealer_, *store_, metrics_, clock_, FillRandom,
      AuthUrlService::Options{.public_base_url = config_.public_base_url,
                              .state_ttl = config_.state_ttl,
                              .max_stored_states = config_.max_stored_states});
  social_networks_ =
      std::make_unique<SocialNetworkService>(catalog_, sealer_, *store_, clock_, FillRandom);
  organizations_ = std::make_unique<OrganizationService>(sealer_, *store_, clock_, FillRandom);
  AddService(AuthUrlDescriptor(), auth_urls_->Methods());
  AddService(SocialNetworkDescriptor(), social_networks_->Methods());
  flow_threads_ = std::make_unique<ThreadPool>(kFlowThreads);
  event_threads_ = std::make_unique<ThreadPool>(kEventThreads);
  const FlowTools tools = {.http = *http_client_,
                           .store = *store_,
                           .catalog = catalog_,
                           .pool = *flow_threads_,
                           .clock = clock_,
                           .random = random_,
                           .metrics = flow_metrics_};
  auth_completer_ = std::make_unique<AuthCompleter>(
      tools, sealer_, AuthCompleter::Options{.max_flows = config_.max_outbound_calls});
  grant_refresher_ = std::make_unique<GrantRefresher>(tools, SteadyNow);
  flow_completion_ = std::make_unique<FlowCompletion>(
      tools, sealer_, *auth_completer_, admission_,
      FlowCompletion::Options{.public_base_url = config_.public_base_url});
  social_accounts_ =
      std::make_unique<SocialAccountService>(tools, sealer_, *grant_refresher_, admission_);
  const int max_waiting = std::max(1, config_.max_outbound_calls / 2);
  event_waiters_ = std::make_unique<EventWaiters>(
      store_->events(), *event_threads_,
      EventWaiters::Limits{
          .per_organization = std::max(EventWaiters::Limits().per_key, max_waiting / 4),
          .all = max_waiting});
  events_ = std::make_unique<EventService>(*store_, catalog_, *event_waiters_, *event_threads_);
  account_transfer_ =
      std::make_unique<AccountTransfer>(tools, sealer_, *grant_refresher_, admission_);
  AddService(OrganizationDescriptor(), organizations_->Methods());
  AddService(EventDescriptor(), events_->Methods());
  std::vector<Method> of_accounts = social_accounts_->Methods();
  for (Method& method : flow_completion_->Methods()) of_accounts.push_back(std::move(method));
  for (Method& method : account_transfer_->Methods()) of_accounts.push_back(std::move(method));
  AddService(SocialAccountDescriptor(), std::move(of_accounts));
  event_deliverer_ = std::make_unique<EventDeliverer>(
      EventDeliverer::Tools{.http = *http_client_,
                            .store = *store_,
                            .catalog = catalog_,
                            .clock = clock_,
                            .random = random_,
                            .metrics = webhook_metrics_},
      EventDeliverer::Options{
          .max_deliveries = std::max(1, config_.max_outbound_calls / 2),
          .max_deliveries_per_organization = std::min(
              kMaxDeliveriesPerOrganization, config_.max_outbound_calls_per_organization)});
  webhooks_ = std::make_unique<WebhookService>(
      *store_, *event_deliverer_, *flow_threads_, clock_, FillRandom,
      ReceiverRules{.allow_local = config_.allow_local_instances,
                    .has_networks = !config_.webhook_allowed_networks.empty()});
  AddService(WebhookDescriptor(), webhooks_->Methods());
  // May fail, so before anything is served.
  if (absl::Status status = StartMetrics(); !status.ok()) return status;

  // All three are switches of the process, not of the server.
  grpc::EnableDefaultHealthCheckService(true);
  if (config_.reflection) grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  if (config_.channelz) grpc::channelz::experimental::InitChannelzService();
  grpc::ServerBuilder builder;
  SetLimits(config_, builder);
  if (!config_.reflection) builder.SetOption(std::make_unique<WithoutReflection>());
  // Only reflection and channelz are served by threads that may block.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
  for (const auto& service : services_) builder.RegisterService(service.get());
  auto acceptor = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, credentials_);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) return absl::InternalError("gRPC did not start");
  for (const auto* service :
       {&AuthUrlDescriptor(), &SocialNetworkDescriptor(), &OrganizationDescriptor(),
        &SocialAccountDescriptor(), &EventDescriptor(), &WebhookDescriptor()}) {
    server_->GetHealthCheckService()->SetServingStatus(service->full_name(), true);
  }
  listener_->Start(std::move(acceptor));
  serving_ = true;

  StartBackground(tools);
  heap_trimmer_ = std::make_unique<HeapTrimmer>(kHeapTrimInterval);
  upkeep_ = std::make_unique<StoreUpkeep>(*store_, clock_,
                                          [this](StoreHealth store) { SetHealth(store); });
  Log(LogLevel::kInfo, "serving",
      {{"address", address()},
       {"tls", config_.tls_cert_file.empty()        ? "off"
               : config_.tls_client_ca_file.empty() ? "server"
                                                    : "mutual"},
       {"networks", static_cast<int64_t>(catalog_.networks().size())}});
  return absl::OkStatus();
}

void App::AddService(const google::protobuf::ServiceDescriptor& descriptor,
                     std::vector<Method> methods) {
  for (Method& method : methods) method.metric = metrics_.AddMethod(method.path);
  services_.push_back(MakeCallbackService(descriptor, std::move(methods), *pipeline_));
}

MetricSources App::SourcesOfMetrics() {
  MetricSources sources;
  sources.version = config_.version;
  sources.revision = config_.revision;
  sources.caches["records"] = [this] {
    const RecordCache::Stats cache = store_->Snapshot().cache;
    return CacheReading{.hits = cache.hits,
                        .negative_hits = cache.negative_hits,
                        .misses = cache.misses,
                        .evictions = cache.evictions,
                        .entries = cache.entries,
                        .bytes = cache.bytes,
                        .budget_bytes = static_cast<uint64_t>(config_.cache_mib) << 20};
  };
  for (const Lane lane : {Lane::kReads, Lane::kWrites, Lane::kOutbound}) {
    sources.lanes[std::string(LaneName(lane))] = [this, lane] {
      const LaneStats stats = lanes_->stats(lane);
      return LaneReading{.queued = stats.queued,
                         .capacity = stats.capacity,
                         .threads = stats.threads,
                         .shed = stats.shed,
                         .dropped = stats.dropped};
    };
  }
  sources.storage = [this] {
    const BackendStats backend = store_->Snapshot().backend;
    return StorageReading{.commits = backend.commits,
                          .writes = backend.writes,
                          .reads = backend.reads,
                          .busy = backend.busy,
                          .errors = backend.errors,
                          .rolled_back = is_rolled_back_};
  };
  sources.purges = [this] {
    const CredentialStore::Stats store = store_->Snapshot();
    return PurgesReading{.auth_states = store.purged_auth_states,
                         .organization_records = store.purged_records};
  };
  sources.store = [this] {
    const StoreHealth health = store_health_.load(std::memory_order_relaxed);
    return StoreReading{.readable = health != StoreHealth::kFailed,
                        .writable = health == StoreHealth::kGood};
  };
  sources.key_ring = [this] {
    return KeyRingReading{.keys = keys_.size(), .primary_key_id = keys_.primary_id()};
  };
  sources.connections = [this] {
    const Listener::Stats listener = listener_->stats();
    return ConnectionsReading{.open = listener.open,
                              .limit = listener.limit,
                              .refused = listener.refused,
                              .dropped_handshakes = listener.dropped_handshakes};
  };
  sources.log_lines_dropped = LogLinesDropped;
  return sources;
}

absl::Status App::StartMetrics() {
  if (!metrics_sockets_.has_value()) return absl::OkStatus();
  source_metrics_ = std::make_unique<SourceMetrics>(SourcesOfMetrics());
  auto exposer = MetricsExposer::Start(*std::exchange(metrics_sockets_, std::nullopt),
                                       {&metrics_, source_metrics_.get(), &process_metrics_,
                                        &outbound_metrics_, &flow_metrics_, &webhook_metrics_});
  if (!exposer.ok()) return exposer.status();
  exposer_ = *std::move(exposer);
  Log(LogLevel::kInfo, "serving_metrics", {{"address", exposer_->address()}});
  return absl::OkStatus();
}

void App::StartBackground(const FlowTools& tools) {
  event_deliverer_->Start();
  due_revoker_ = std::make_unique<DueRevoker>(tools);
  organization_purger_ = std::make_unique<OrganizationPurger>(tools);
  grant_watcher_ = std::make_unique<GrantWatcher>(tools);
  network_pace_ = std::make_unique<NetworkPace>(
      NetworkPace::Options{.per_second = static_cast<double>(config_.refresh_rate_per_network)},
      SteadyNow);
  if (config_.refresher) {
    due_refresher_ =
        std::make_unique<DueRefresher>(tools, *grant_refresher_, *network_pace_, SteadyNow);
  } else {
    Log(LogLevel::kWarning, "refresher_is_off",
        {{"message",
          "connections that nobody uses die at their networks: start without "
          "--refresher=false once it is safe"}});
  }
  if (config_.health_check_interval == absl::ZeroDuration()) return;
  due_checker_ = std::make_unique<DueChecker>(tools, *grant_refresher_, *network_pace_,
                                              config_.health_check_interval, SteadyNow);
}

void App::QuietBackground() {
  if (due_revoker_ != nullptr) due_revoker_->Stop();
  if (due_refresher_ != nullptr) due_refresher_->Stop();
  if (due_checker_ != nullptr) due_checker_->Stop();
  if (grant_watcher_ != nullptr) grant_watcher_->Stop();
  if (organization_purger_ != nullptr) organization_purger_->Stop();
}

void App::WaitForBackground(absl::Time until) {
  bool has_ended = true;
  const auto wait_for = [&](auto& worker) {
    if (worker != nullptr) has_ended &= worker->WaitUntil(until);
  };
  wait_for(due_refresher_);
  wait_for(due_checker_);
  wait_for(due_revoker_);
  wait_for(organization_purger_);
  if (has_ended) return;
  Log(LogLevel::kWarning, "background_cut_off",
      {{"after", absl::FormatDuration(config_.shutdown_grace)}});
}

void App::Stop(absl::string_view why) {
  if (std::exchange(stopped_, true)) return;
  absl::Time grace_end = absl::InfinitePast();
  if (serving_) grace_end = StopServing(why);
  exposer_.reset();
  heap_trimmer_.reset();
  QuietBackground();
  // A refresh that was sent is never cut off for less than a network that hangs: its answer may be
  // all that is left of the connection.
  waiting_for_ = "calls of the background to networks";
  WaitForBackground(grace_end);
  // Deliveries are under way there alone.
  waiting_for_ = "calls to networks and to receivers of webhooks";
  if (http_client_ != nullptr) http_client_->Stop(std::max(grace_end, absl::Now()));
  // These may have to wait for the disk, so they come last.
  waiting_for_ = "the upkeep's last write to the database";
  due_revoker_.reset();
  organization_purger_.reset();
  waiting_for_ = "the outcomes of the last flows to be stored";
  due_refresher_.reset();
  due_checker_.reset();
  grant_watcher_.reset();
  if (flow_threads_ != nullptr) flow_threads_->Stop();
  if (event_threads_ != nullptr) event_threads_->Stop();
  event_deliverer_.reset();
  auth_completer_.reset();
  event_waiters_.reset();
  waiting_for_ = "the last calls' writes to the database";
  if (lanes_ != nullptr) lanes_->Stop();
  waiting_for_ = "the upkeep's last write to the database";
  upkeep_.reset();
  waiting_for_ = "the database to close";
  store_.reset();
  waiting_for_ = "the last look at the TLS files";
  server_.reset();
  credentials_.reset();
  waiting_for_ = "nothing";
  if (serving_) Log(LogLevel::kInfo, "stopped", {{"why", why}});
}

absl::Time App::StopServing(absl::string_view why) {
  Log(LogLevel::kInfo, "draining",
      {{"why", why}, {"delay", absl::FormatDuration(config_.drain_delay)}});
  server_->GetHealthCheckService()->Shutdown();
  // The sooner, the less is left to wait for.
  QuietBackground();
  waiting_for_ = "the drain delay";
  absl::SleepFor(config_.drain_delay);

  listener_->StopAccepting();
  // What is under way may end; the rest is delivered later.
  if (event_deliverer_ != nullptr) event_deliverer_->BeginStop();
  admission_.Close();
  event_waiters_->Stop();
  const absl::Time grace_end = absl::Now() + config_.shutdown_grace;
  waiting_for_ = "calls to finish";
  if (!admission_.WaitUntilEmpty(config_.shutdown_grace)) {
    Log(LogLevel::kWarning, "calls_cut_off",
        {{"after", absl::FormatDuration(config_.shutdown_grace)}});
  }
  // Shutdown() would end calls that arrive meanwhile with CANCELLED; a closed connection is
  // UNAVAILABLE to clients.
  listener_->SeverConnections();
  waiting_for_ = "calls that were cut off to notice it";
  server_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(kServerShutdown));
  server_->Wait();
  return grace_end;
}

absl::Duration App::longest_stop() const {
  return config_.drain_delay + config_.shutdown_grace + kLongestRest;
}

void App::SetHealth(StoreHealth store) {
  store_health_.store(store, std::memory_order_relaxed);
  auto& health = *server_->GetHealthCheckService();
  // Most networks' URLs need nothing written.
  health.SetServingStatus(AuthUrlDescriptor().full_name(), store != StoreHealth::kFailed);
  health.SetServingStatus(EventDescriptor().full_name(), store != StoreHealth::kFailed);
  const bool writes = store == StoreHealth::kGood;
  health.SetServingStatus(SocialNetworkDescriptor().full_name(), writes);
  health.SetServingStatus(OrganizationDescriptor().full_name(), writes);
  health.SetServingStatus(SocialAccountDescriptor().full_name(), writes);
  health.SetServingStatus(WebhookDescriptor().full_name(), writes);
  health.SetServingStatus("", writes);
}

}  // namespace authurl
