// allocations.cc: what the server allocates for one GetAuthUrl, stage by stage. The pipeline is
// called as gRPC's frame calls it, but by us, so that gRPC's own allocations are not in the
// figures: neither the call and its context, nor the bytes that come and go.

#include <cstdio>
#include <iostream>
#include <memory>
#include <semaphore>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "core/catalog/network_catalog.h"
#include "core/crypto/crypto.h"
#include "core/crypto/key_ring.h"
#include "core/crypto/sealer.h"
#include "core/flow/auth_request.h"
#include "core/flow/auth_url.h"
#include "core/flow/flow_id.h"
#include "server/api/auth_url_service.h"
#include "server/observe/log.h"
#include "server/serving/admission.h"
#include "server/serving/api_keys.h"
#include "server/serving/lanes.h"
#include "server/serving/method.h"
#include "server/serving/pipeline.h"
#include "server/serving/reply.h"
#include "storage/credential_store.h"
#include "storage/sqlite/sqlite_backend.h"
#include "tests/bench/allocation_counter.h"
#include "tests/bench/deployment.h"
#include "tests/bench/example_call.h"
#include "tests/bench/figures.h"
#include "tests/support/temp_dir.h"

namespace authurl::bench {
namespace {

constexpr int kRuns = 2000;

// Counts no allocation: what gRPC makes of the reply is its own affair.
class NoReply final : public Reply {
 public:
  void AddHeader(const char*, const std::string&) override {}
  void AddTrailer(const char*, const std::string&) override {}
  void SetMessage(const google::protobuf::MessageLite& message) override {
    message.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(memory_.data()));
  }
  void Send(const grpc::Status& status) override {
    ok_ = status.ok();
    finished_.release();
  }
  // Waits for it. Whether it went well.
  bool ok() {
    finished_.acquire();
    return ok_;
  }

 private:
  std::string memory_ = std::string(16384, ' ');
  std::binary_semaphore finished_{0};
  bool ok_ = false;
};

// What server/app.cc puts together, without gRPC.
class Server final {
 public:
  Server(const Sealer& sealer, CredentialStore& store) : sealer_(sealer), store_(store) {}

  Pipeline& pipeline() { return pipeline_; }
  const Method& get_auth_url() const { return methods_.front(); }
  const NetworkCatalog& catalog() const { return catalog_; }
  const Sealer& sealer() const { return sealer_; }
  CredentialStore& store() const { return store_; }

 private:
  std::vector<Method> Methods() {
    for (const auto* network : catalog_.networks()) metrics_.AddNetwork(network->id());
    std::vector<Method> methods = service_.Methods();
    for (Method& method : methods) method.metric = metrics_.AddMethod(method.path);
    return methods;
  }

  const Sealer& sealer_;
  CredentialStore& store_;
  const NetworkCatalog catalog_ = NetworkCatalog::Parse(BuiltInNetworksText()).value();
  Admission admission_;
  RateLimits rate_limits_{{.per_key = 10'000'000, .per_organization = 10'000'000}};
  Lanes lanes_{{.read_workers = 1, .write_workers = 1}};
  Metrics metrics_;
  Pipeline pipeline_{store_,   sealer_,   lanes_,     admission_, rate_limits_,
                     metrics_, absl::Now, FillRandom, 8 * 1024};
  const AuthUrlService service_{
      catalog_,
      sealer_,
      store_,
      metrics_,
      absl::Now,
      FillRandom,
      {.public_base_url = "", .state_ttl = absl::Minutes(10), .max_stored_states = 100'000'000}};
  const std::vector<Method> methods_ = Methods();
};

// The whole of the pipeline, from the frame handing a call over until it is logged, on all threads.
absl::StatusOr<double> MeasureServe(Server& server) {
  const std::string request = ExampleRequest("x").SerializeAsString();
  const std::string authorization = absl::StrCat("Bearer ", MintKey(0));
  const Metadata metadata = {{"authorization", authorization}};
  int64_t count = 0;
  for (int i = -100; i < kRuns; ++i) {
    NoReply reply;
    const int64_t before = AllocationsSoFar().count;
    {
      Call call(server.pipeline(), server.get_auth_url(),
                {.metadata = metadata, .request = request}, reply);
      call.Serve();
      if (!reply.ok()) return absl::InternalError("GetAuthUrl failed");
    }
    if (i >= 0) count += AllocationsSoFar().count - before;
  }
  return static_cast<double>(count) / kRuns;
}

void PrintStage(const char* name, double count) { absl::PrintF("| %s | %.1f |\n", name, count); }

// The stages one by one. They do not add up to the whole: the pipeline has some of its own.
absl::Status MeasureStages(const Server& server) {
  const v1::GetAuthUrlRequest request = ExampleRequest("x");
  const std::string request_bytes = request.SerializeAsString();
  const std::string authorization = absl::StrCat("Bearer ", MintKey(0));
  const Metadata metadata = {{"authorization", authorization}};
  const auto credentials = ReadCredentials(server.sealer(), metadata);
  if (!credentials.ok()) return credentials.status();
  const Clock clock = absl::Now;
  const Requirement mint = {.access = Access::kMint};
  const auto caller =
      Authorize(CallContext::Background(), server.store(), clock, *credentials, mint);
  if (!caller.ok()) return caller.status();
  const auto settings =
      server.store().social_networks().Find(CallContext::Background(), caller->org_id, "x", "", "");
  if (!settings.ok()) return settings.status();
  const auto valid = ValidateAuthRequest(server.catalog(), request);
  if (!valid.ok()) return valid.status();
  const auto fitting = ForConfiguration(server.catalog(), *valid, **settings);
  if (!fitting.ok()) return fitting.status();
  const KeyRing& keys = server.sealer().keys();
  const auto redirect_uri = ChooseRedirectUri(*fitting, **settings, "", keys);
  if (!redirect_uri.ok()) return redirect_uri.status();
  const RandomSource random = FillRandom;
  const absl::Time now = absl::Now();

  const auto stage = [](const char* name, const auto& work) {
    PrintStage(name, AllocationsPerRun(kRuns, work));
  };
  stage("read the credentials", [&] { (void)ReadCredentials(server.sealer(), metadata); });
  stage("authorise", [&] { (void)AuthorizeInMemory(server.store(), clock, *credentials, mint); });
  NoReply reply;
  stage("parse, handle, serialise",
        [&] { (void)server.get_auth_url().handle_in_memory(*caller, request_bytes, reply); });
  stage("- of it: validate", [&] { (void)ValidateAuthRequest(server.catalog(), request); });
  stage("- of it: look the configuration up", [&] {
    (void)server.store().social_networks().Find(CallContext::Background(), caller->org_id, "x", "",
                                                "");
  });
  stage("- of it: fit the configuration",
        [&] { (void)ForConfiguration(server.catalog(), *valid, **settings); });
  stage("- of it: choose the redirect URI",
        [&] { (void)ChooseRedirectUri(*fitting, **settings, "", keys); });
  stage("- of it: seal, derive, build the URL, name the flow", [&] {
    (void)MintAuthUrl(server.sealer(), *fitting, **settings, *redirect_uri, random, now,
                      absl::Minutes(10));
  });
  const Nonce nonce = NewNonce(random);
  stage("  - of that: name the flow", [&] {
    (void)MakeFlowId(server.sealer(), keys.primary_id(), nonce, (*settings)->org_id(), now);
  });
  return absl::OkStatus();
}

absl::Status Measure() {
  const testing::TempDir folder;
  const auto deployment = Deployment::Make(folder.path(), {});
  if (!deployment.ok()) return deployment.status();
  const auto keys = KeyRing::Parse(testing::ReadFile(deployment->key_ring_file()));
  if (!keys.ok()) return keys.status();
  const Sealer sealer(*keys);
  auto backend = OpenSqliteBackend(deployment->database());
  if (!backend.ok()) return backend.status();
  const auto store = CredentialStore::Open(*std::move(backend), sealer, FillRandom);
  if (!store.ok()) return store.status();
  Server server(sealer, **store);

  absl::PrintF("| stage of one GetAuthUrl | allocations |\n|---|---|\n");
  if (absl::Status status = MeasureStages(server); !status.ok()) return status;
  const auto without_log = MeasureServe(server);
  if (!without_log.ok()) return without_log.status();
  PrintStage("the whole pipeline, log off", *without_log);
  // Its lines are of no use here.
  if (std::freopen("/dev/null", "w", stderr) == nullptr) return absl::InternalError("/dev/null");
  StartLog("info");
  const auto with_log = MeasureServe(server);
  StopLog();
  if (!with_log.ok()) return with_log.status();
  PrintStage("the whole pipeline, with the access log", *with_log);
  PrintFigures({{"allocations", *with_log}, {"allocations_without_log", *without_log}});
  return absl::OkStatus();
}

}  // namespace
}  // namespace authurl::bench

int main() {
  const absl::Status status = authurl::bench::Measure();
  if (status.ok()) return 0;
  std::cout << "allocations: " << status << "\n";
  return 1;
}
