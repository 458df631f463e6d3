// The whole path of GetAuthUrl from many threads at once, without gRPC around it: pipeline, API
// keys, handler, cache, metrics and access log. For the thread sanitizer, which is blind where gRPC
// is on the stack (tests/tsan.supp).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "core/api_key.h"
#include "core/catalog/network_catalog.h"
#include "server/api/auth_url_service.h"
#include "server/observe/log.h"
#include "server/serving/pipeline.h"
#include "storage/sqlite/sqlite_backend.h"
#include "tests/support/build_kind.h"
#include "tests/support/no_limit.h"
#include "tests/support/plain_call.h"
#include "tests/support/server_process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_client.h"

namespace authurl::testing {
namespace {

using ::testing::HasSubstr;

constexpr int kMintingThreads = 4;
constexpr int kMintedByEach = kSanitized ? 150 : 500;
constexpr int kChanges = kSanitized ? 10 : 30;

class PipelineRaceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto backend = OpenSqliteBackend(folder_.database());
    ASSERT_OK(backend);
    // Little memory, so that records come and go.
    ASSERT_OK_AND_ASSIGN(store_,
                         CredentialStore::Open(*std::move(backend), sealer_, FillRandom, 64 << 10));
    record::v1::Organization organization;
    organization.set_org_id("acme");
    ASSERT_OK(store_->CreateOrganization(kNoLimit, organization));
    // One whose state is sealed into the URL, and one whose state is stored.
    for (const char* network : {"x", "wechat"}) {
      record::v1::SocialNetworkSettings settings;
      settings.set_id(absl::StrCat("sn_", network));
      settings.set_org_id("acme");
      settings.set_network(network);
      settings.set_version(1);
      settings.set_client_key("key-0");
      settings.set_default_redirect_uri("https://app.example.com/cb");
      ASSERT_OK(store_->social_networks().Create(kNoLimit, settings, "secret"));
    }
    for (const auto* network : catalog_.networks()) metrics_.AddNetwork(network->id());
    service_ = std::make_unique<AuthUrlService>(
        catalog_, sealer_, *store_, metrics_, absl::Now, FillRandom,
        AuthUrlService::Options{.public_base_url = "", .state_ttl = absl::Minutes(10)});
    methods_ = service_->Methods();
    for (Method& method : methods_) method.metric = metrics_.AddMethod(method.path);
    lanes_ = std::make_unique<Lanes>(LaneLimits{.read_workers = 2, .write_workers = 2});
    pipeline_ = std::make_unique<Pipeline>(*store_, sealer_, *lanes_, admission_, rate_limits_,
                                           metrics_, absl::Now, FillRandom, 8192);
  }

  std::string NewKey() {
    const std::string text = NewApiKey(FillRandom);
    record::v1::ApiKey key;
    key.set_key_id(ParseApiKey(text)->key_id);
    key.set_digest(ParseApiKey(text)->digest);
    key.set_org_id("acme");
    key.set_role(record::v1::ROLE_MINT);
    EXPECT_OK(store_->CreateApiKey(kNoLimit, key));
    return text;
  }

  absl::StatusOr<std::string> Mint(const std::string& key, const std::string& network) {
    ++calls_;
    v1::GetAuthUrlRequest request;
    request.set_network(network);
    PlainCall call(*pipeline_, methods_.front(), {{"authorization", "Bearer " + key}},
                   request.SerializeAsString());
    call.Serve();
    const grpc::Status status = call.reply().status();
    if (!status.ok()) return ToAbslStatus(status);
    v1::GetAuthUrlResponse response;
    EXPECT_TRUE(response.ParseFromString(call.reply().message()));
    return response.auth_url();
  }

  void MintAgainAndAgain() {
    const std::string key = NewKey();
    for (int i = 0; i < kMintedByEach; ++i) {
      const std::string network = i % 8 == 0 ? "wechat" : "x";
      const auto url = Mint(key, network);
      ASSERT_OK(url);
      EXPECT_THAT(*url, HasSubstr("key-"));
    }
  }

  // A key that was revoked is refused by every call after it.
  void RevokeKeys() {
    for (int i = 0; i < kChanges; ++i) {
      const std::string key = NewKey();
      EXPECT_OK(Mint(key, "x"));
      EXPECT_OK(store_->RevokeApiKey(kNoLimit, ParseApiKey(key)->key_id, "acme", absl::Now()));
      EXPECT_THAT(Mint(key, "x"), HasReason("API_KEY_INVALID"));
    }
  }

  // A configuration that was updated is in every URL after it.
  void UpdateConfigurations() {
    const std::string key = NewKey();
    for (int i = 1; i <= kChanges; ++i) {
      const std::string client_key = absl::StrCat("key-", i, "-end");
      const auto change = [&](record::v1::SocialNetworkSettings& settings, absl::string_view) {
        settings.set_client_key(client_key);
        return absl::OkStatus();
      };
      EXPECT_OK(store_->social_networks().Update(kNoLimit, "acme", "sn_x", absl::Now(), change,
                                                 std::nullopt));
      const auto url = Mint(key, "x");
      ASSERT_OK(url);
      EXPECT_THAT(*url, HasSubstr(client_key));
    }
  }

  // Served, and given up by its caller at some point.
  void GiveCallsUp() {
    for (int i = 0; i < kChanges; ++i) {
      ++calls_;
      v1::GetAuthUrlRequest request;
      request.set_network("x");
      // A key that is not in memory takes a thread for reads.
      PlainCall call(*pipeline_, methods_.front(), {{"authorization", "Bearer " + NewKey()}},
                     request.SerializeAsString());
      call.Serve();
      call.Cancel();
    }
  }

  const ServerFolder folder_;
  const KeyRing keys_ = folder_.key_ring();
  const Sealer sealer_{keys_};
  const NetworkCatalog catalog_ = NetworkCatalog::Parse(BuiltInNetworksText()).value();
  std::unique_ptr<CredentialStore> store_;
  Metrics metrics_;
  Admission admission_;
  RateLimits rate_limits_{{}};
  std::unique_ptr<AuthUrlService> service_;
  std::vector<Method> methods_;
  std::unique_ptr<Lanes> lanes_;
  std::unique_ptr<Pipeline> pipeline_;
  std::atomic<int> calls_ = 0;
};

TEST_F(PipelineRaceTest, ManyThreadsMintWhileKeysAndConfigurationsChange) {
  ::testing::internal::CaptureStderr();
  StartLog("info");
  std::atomic<bool> done = false;
  std::thread collector([&] {
    while (!done) EXPECT_FALSE(metrics_.Collect().empty());
  });
  std::vector<std::thread> threads;
  for (int i = 0; i < kMintingThreads; ++i) threads.emplace_back([this] { MintAgainAndAgain(); });
  threads.emplace_back([this] { RevokeKeys(); });
  threads.emplace_back([this] { UpdateConfigurations(); });
  threads.emplace_back([this] { GiveCallsUp(); });
  for (std::thread& thread : threads) thread.join();
  done = true;
  collector.join();
  admission_.Close();
  EXPECT_TRUE(admission_.WaitUntilEmpty(kPatience));
  StopLog();

  const std::string log = ::testing::internal::GetCapturedStderr();
  int logged = 0;
  std::string others;  // A sanitizer's, for one.
  for (const absl::string_view line : absl::StrSplit(log, '\n', absl::SkipEmpty())) {
    if (absl::StartsWith(line, "{")) {
      ++logged;
    } else {
      absl::StrAppend(&others, line, "\n");
    }
  }
  EXPECT_EQ(others, "");
  EXPECT_EQ(logged, calls_);
  double counted = 0;
  double urls = 0;
  for (const prometheus::MetricFamily& family : metrics_.Collect()) {
    for (const prometheus::ClientMetric& metric : family.metric) {
      if (family.name == "authurl_rpc_calls_total") counted += metric.counter.value;
      if (family.name == "authurl_auth_urls_total") urls += metric.counter.value;
    }
  }
  EXPECT_EQ(counted, calls_);
  // Of the calls that were given up, some had their URL by then.
  EXPECT_LE(urls, calls_ - kChanges);
  EXPECT_GE(urls, calls_ - 2 * kChanges);
}

}  // namespace
}  // namespace authurl::testing
