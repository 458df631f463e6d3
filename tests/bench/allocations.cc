// allocations.cc: what the server allocates for one GetAuthUrl, stage by stage. The pipeline is
// called as gRPC calls it, but by us, so that gRPC's own allocations are not in the figures.

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>
#include <grpcpp/test/server_context_test_spouse.h>

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
#include "server/api/auth_url_service.h"
#include "server/observe/log.h"
#include "server/serving/admission.h"
#include "server/serving/api_keys.h"
#include "server/serving/rpc.h"
#include "server/serving/worker_pool.h"
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

// What server/app.cc puts together, without gRPC.
class Server final {
 public:
  Server(const Sealer& sealer, CredentialStore& store) : sealer_(sealer), store_(store) {}

  // Serves GetAuthUrl once, as gRPC's frame has it served. Whether it went well.
  bool Serve(grpc::ServerContext& context, const grpc::ByteBuffer& request) {
    grpc::ByteBuffer response;
    struct {
      std::binary_semaphore finished{0};
      bool ok = false;
    } call;
    // Captures as little as the frame's own, which fits into the function object.
    pipeline_.Serve(get_auth_url(),
                    {context, request, response,
                     [&call](const grpc::Status& status, absl::AnyInvocable<void()> on_sent) {
                       call.ok = status.ok();
                       on_sent();
                       call.finished.release();
                     }});
    call.finished.acquire();
    return call.ok;
  }

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
  WorkerPool workers_{1, 16};
  Metrics metrics_;
  Pipeline pipeline_{store_, workers_, admission_, metrics_, FillRandom, 8 * 1024};
  const AuthUrlService service_{catalog_,  sealer_,    store_, metrics_,
                                absl::Now, FillRandom, "",     absl::Minutes(10)};
  const std::vector<Method> methods_ = Methods();
};

grpc::ByteBuffer ToByteBuffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return {&slice, 1};
}

// The whole of the pipeline, from gRPC handing a call over to the reply being handed back, on all
// threads. What making a context costs is gRPC's.
absl::StatusOr<double> MeasureServe(Server& server) {
  const grpc::ByteBuffer request = ToByteBuffer(ExampleRequest("x").SerializeAsString());
  int64_t count = 0;
  for (int i = -100; i < kRuns; ++i) {
    grpc::ServerContext context;
    grpc::testing::ServerContextTestSpouse spouse(&context);
    spouse.AddClientMetadata("authorization", absl::StrCat("Bearer ", MintKey(0)));
    // gRPC makes a map of them when it is first asked.
    (void)context.client_metadata();
    const int64_t before = AllocationsSoFar().count;
    if (!server.Serve(context, request)) return absl::InternalError("GetAuthUrl failed");
    if (i >= 0) count += AllocationsSoFar().count - before;
  }
  return static_cast<double>(count) / kRuns;
}

// What gRPC allocates itself for the one header that every reply has.
double MeasureReplyMetadata() {
  const std::string request_id(32, 'f');
  int64_t count = 0;
  for (int i = 0; i < kRuns; ++i) {
    grpc::ServerContext context;
    const int64_t before = AllocationsSoFar().count;
    context.AddInitialMetadata("x-request-id", request_id);
    count += AllocationsSoFar().count - before;
  }
  return static_cast<double>(count) / kRuns;
}

void PrintStage(const char* name, double count) { absl::PrintF("| %s | %.1f |\n", name, count); }

// The stages one by one. They do not add up to the whole: the pipeline has some of its own.
absl::Status MeasureStages(const Server& server) {
  const v1::GetAuthUrlRequest request = ExampleRequest("x");
  const grpc::ByteBuffer request_bytes = ToByteBuffer(request.SerializeAsString());
  const std::string authorization = absl::StrCat("Bearer ", MintKey(0));
  const Metadata metadata = {{"authorization", authorization}};
  const auto credentials = ReadCredentials(metadata);
  if (!credentials.ok()) return credentials.status();
  const auto caller = Authorize(server.store(), *credentials, Access::kMint, Wait::kYes);
  if (!caller.ok()) return caller.status();
  const auto settings = server.store().FindSocialNetwork(caller->org_id, "x", "", "");
  if (!settings.ok()) return settings.status();
  const auto valid = ValidateAuthRequest(server.catalog(), request);
  if (!valid.ok()) return valid.status();
  const auto fitting = ForConfiguration(server.catalog(), *valid, **settings);
  if (!fitting.ok()) return fitting.status();
  const auto redirect_uri = ChooseRedirectUri(*fitting, **settings, "");
  if (!redirect_uri.ok()) return redirect_uri.status();
  const RandomSource random = FillRandom;
  const absl::Time now = absl::Now();

  const auto stage = [](const char* name, const auto& work) {
    PrintStage(name, AllocationsPerRun(kRuns, work));
  };
  stage("read the credentials", [&] { (void)ReadCredentials(metadata); });
  stage("authorise",
        [&] { (void)Authorize(server.store(), *credentials, Access::kMint, Wait::kNo); });
  stage("parse, handle, serialise", [&] {
    grpc::ByteBuffer response;
    (void)server.get_auth_url().run(*caller, request_bytes, response);
  });
  stage("- of it: validate", [&] { (void)ValidateAuthRequest(server.catalog(), request); });
  stage("- of it: look the configuration up",
        [&] { (void)server.store().FindSocialNetwork(caller->org_id, "x", "", ""); });
  stage("- of it: fit the configuration",
        [&] { (void)ForConfiguration(server.catalog(), *valid, **settings); });
  stage("- of it: choose the redirect URI",
        [&] { (void)ChooseRedirectUri(*fitting, **settings, ""); });
  stage("- of it: seal, derive, build the URL", [&] {
    (void)MintAuthUrl(server.sealer(), *fitting, **settings, *redirect_uri, random, now,
                      absl::Minutes(10));
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
  const double grpcs = MeasureReplyMetadata();
  PrintStage("the whole pipeline, log off", *without_log);
  PrintStage("- of it: gRPC's, for the reply's metadata", grpcs);
  // Its lines are of no use here.
  if (std::freopen("/dev/null", "w", stderr) == nullptr) return absl::InternalError("/dev/null");
  StartLog("info");
  const auto with_log = MeasureServe(server);
  StopLog();
  if (!with_log.ok()) return with_log.status();
  PrintStage("the whole pipeline, with the access log", *with_log);
  PrintFigures(
      {{"allocations", *with_log - grpcs}, {"allocations_without_log", *without_log - grpcs}});
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
