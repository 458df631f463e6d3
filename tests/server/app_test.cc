#include "server/app.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/errors.h"
#include "server/observe/log.h"
#include "server/stop_signals.h"
#include "storage/credential_store.h"
#include "storage/sqlite/sqlite_backend.h"
#include "tests/server/api/service_fixture.h"
#include "tests/storage/flaky_backend.h"
#include "tests/support/equals_proto.h"
#include "tests/support/metrics_page.h"
#include "tests/support/no_limit.h"

namespace authurl::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class AppTest : public ServiceTest {
 protected:
  bool HealthBecomes(const std::string& wanted) const {
    return Eventually([&] {
      const auto health = server_->WithKey("").Health("authurl.v1.AuthUrlService");
      return health.ok() && *health == wanted;
    });
  }
};

TEST_F(AppTest, HealthAndReflectionNeedNoKey) {
  const TestClient stranger = server_->WithKey("");
  for (const char* service : {"", "authurl.v1.AuthUrlService", "authurl.v1.SocialNetworkService",
                              "authurl.v1.OrganizationService"}) {
    ASSERT_OK_AND_ASSIGN(const std::string health, stranger.Health(service));
    EXPECT_EQ(health, "SERVING") << service;
  }
  EXPECT_EQ(stranger.Health("nonsense").status().code(), absl::StatusCode::kNotFound);
  ASSERT_OK_AND_ASSIGN(const auto services, stranger.ReflectedServices());
  EXPECT_THAT(services, ::testing::Contains("authurl.v1.AuthUrlService"));
}

TEST_F(AppTest, LostDatabaseFileStopsServiceUntilItIsBack) {
  ASSERT_OK(Configure("instagram"));
  const std::string path = server_->config().database;
  std::filesystem::rename(path, path + ".away");
  EXPECT_TRUE(HealthBecomes("NOT_SERVING"));
  const auto lost = Org().GetAuthUrl(ExampleAuthUrlRequest());
  EXPECT_THAT(lost, HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_THAT(lost, StatusIs(absl::StatusCode::kUnavailable, Not(HasSubstr(path))));
  EXPECT_TRUE(RetryAfterOf(lost.status()).has_value());
  EXPECT_THAT(Org().DeleteSocialNetwork("x"), HasReason("STORAGE_UNAVAILABLE"));

  std::filesystem::rename(path + ".away", path);
  EXPECT_TRUE(HealthBecomes("SERVING"));
  EXPECT_OK(Org().GetAuthUrl(ExampleAuthUrlRequest()));
}

TEST_F(AppTest, StoppingTwiceIsFineAndClientsSeeUnavailable) {
  EXPECT_OK(Org().ListSocialNetworks());
  server_->app().Stop();
  server_->app().Stop();
  EXPECT_EQ(Org().ListSocialNetworks().status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(AppTest, DataOutlivesTheServer) {
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork created, Configure("instagram"));
  const Config config = server_->config();
  server_->Close();
  ASSERT_OK_AND_ASSIGN(const auto again, App::Start(config));
  const TestClient client(again->address(), org_key_);
  ASSERT_OK_AND_ASSIGN(const auto found, client.GetSocialNetwork(created.id()));
  EXPECT_THAT(found.social_network(), EqualsProto(created));
}

TEST_F(AppTest, SecondServerOnTheSameDatabaseIsRefused) {
  EXPECT_THAT(App::Start(server_->config()), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                      HasSubstr(server_->config().database)));
  EXPECT_OK(Org().ListSocialNetworks());
}

TEST_F(AppTest, StartThatFailsLetsGoOfEverything) {
  const ServerFolder folder;
  Config config = server_->config();
  config.database = folder.database();
  config.key_ring_file = folder.key_ring_file();
  config.admin_key_file = folder.admin_key_file();
  config.listen = server_->address();
  EXPECT_THAT(App::Start(config), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("in use")));
  config.listen = "127.0.0.1:0";
  EXPECT_OK(App::Start(config));
}

TEST_F(AppTest, NewDatabaseNeedsAnAdminKeyAndAnOldOneDoesNot) {
  Config config = server_->config();
  config.admin_key_file.clear();
  server_->Close();
  EXPECT_OK(App::Start(config));
  config.database += ".new";
  EXPECT_THAT(App::Start(config),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("authurl-keygen api-key")));
}

TEST_F(AppTest, KeyRingOfAnotherDatabaseIsRefused) {
  const ServerFolder other;
  Config config = server_->config();
  config.key_ring_file = other.key_ring_file();
  server_->Close();
  EXPECT_FALSE(App::Start(config).ok());
}

// Servers on a disk that hangs in every write from their start on.
class HungStoreTest : public ::testing::Test {
 protected:
  HungStoreTest() {
    config_.listen = "127.0.0.1:0";
    config_.database = folder_.database();
    config_.key_ring_file = folder_.key_ring_file();
    config_.admin_key_file = folder_.admin_key_file();
    config_.drain_delay = absl::ZeroDuration();
    config_.shutdown_grace = absl::Milliseconds(100);
  }

  // Leaves it to be purged.
  absl::Status DeleteAnOrganization() {
    auto backend = OpenSqliteBackend(config_.database);
    if (!backend.ok()) return backend.status();
    const KeyRing keys = folder_.key_ring();
    const Sealer sealer(keys);
    const auto store = CredentialStore::Open(*std::move(backend), sealer, FillRandom);
    if (!store.ok()) return store.status();
    record::v1::Organization organization;
    organization.set_org_id("deleted");
    absl::Status status = (*store)->CreateOrganization(kNoLimit, organization);
    if (status.ok()) status = (*store)->DeleteOrganization(kNoLimit, "deleted", absl::Now());
    return status;
  }

  absl::StatusOr<std::unique_ptr<App>> StartHung() {
    // What the first start writes is in the database already, and something to purge.
    if (absl::Status status = App::Start(config_).status(); !status.ok()) return status;
    if (absl::Status status = DeleteAnOrganization(); !status.ok()) return status;
    auto app =
        App::Start(config_, absl::Now,
                   [this](const std::string& path) -> absl::StatusOr<std::unique_ptr<Backend>> {
                     auto backend = OpenSqliteBackend(path);
                     if (!backend.ok()) return backend.status();
                     auto hung = std::make_unique<FlakyBackend>(*std::move(backend));
                     hung->set_hung(true);
                     backend_ = hung.get();
                     return hung;
                   });
    // The upkeep begins with a write.
    if (!app.ok()) return app.status();
    EXPECT_TRUE(Eventually([&] { return backend_->hanging() > 0; }));
    return app;
  }

  const ServerFolder folder_;
  Config config_;
  FlakyBackend* backend_ = nullptr;  // The store's.
};

// Not even when every thread that writes is stuck, and as many calls as may wait behind them.
TEST_F(HungStoreTest, WritesThatHangHoldUpNeitherReadsNorWhatIsInMemory) {
  config_.write_workers = 4;
  config_.max_queued_writes = 4;
  DemoOrganization demo;
  {
    ASSERT_OK_AND_ASSIGN(const auto app, App::Start(config_));
    const TestClient admin(app->address(), folder_.admin_key());
    ASSERT_OK_AND_ASSIGN(demo, CreateDemoOrganization(admin, "demo"));
  }
  ASSERT_OK_AND_ASSIGN(const auto app, StartHung());
  const TestClient client(app->address(), demo.org_key);
  std::atomic<int> written = 0;
  std::atomic<int> refused = 0;
  std::vector<std::thread> writers;
  for (int i = 0; i < 9; ++i) {
    // Four hang and four wait, which is all there is room for; besides, the upkeep hangs.
    if (i == 4) {
      EXPECT_TRUE(Eventually([&] { return backend_->hanging() == 5; }));
    }
    writers.emplace_back([&, i] {
      auto request = NewSocialNetworkRequest("x", "key", "secret");
      request.set_name(absl::StrCat("name-", i));
      const absl::Status status = client.CreateSocialNetwork(request).status();
      if (status.ok()) ++written;
      if (ReasonOf(status) == "OVERLOADED") ++refused;
    });
  }
  EXPECT_TRUE(Eventually([&] { return refused == 1; }));
  // Nothing is in memory yet; then it is.
  for (int i = 0; i < 20; ++i) EXPECT_OK(client.GetAuthUrl(ExampleAuthUrlRequest()));
  EXPECT_OK(client.ListSocialNetworks());
  EXPECT_OK(client.GetSocialNetwork(demo.social_network_id));
  EXPECT_EQ(backend_->hanging(), 5);
  backend_->set_hung(false);
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(written, 8);
}

TEST_F(HungStoreTest, ItDrainsWhileAWriteOfTheUpkeepHangs) {
  ASSERT_OK_AND_ASSIGN(const auto app, StartHung());
  const TestClient client(app->address(), folder_.admin_key());
  EXPECT_OK(client.ListOrganizations());
  std::future<void> stopping = std::async(std::launch::async, [&] { app->Stop("a test"); });
  EXPECT_TRUE(Eventually([&] {
    return client.ListOrganizations().status().code() == absl::StatusCode::kUnavailable;
  }));
  EXPECT_TRUE(Eventually([&] { return app->waiting_for().find("upkeep") != std::string::npos; }))
      << app->waiting_for();
  backend_->set_hung(false);
  stopping.get();
  EXPECT_EQ(app->waiting_for(), "nothing");
}

// As main() does it.
[[noreturn]] void StopByASignal(StopSignals& signals, App& app) {
  kill(getpid(), SIGTERM);
  const std::string signal = signals.Wait(absl::Seconds(3), [&app] { return app.waiting_for(); });
  app.Stop(signal);
  StopLog();
  _exit(0);
}

using HungStoreDeathTest = HungStoreTest;

TEST_F(HungStoreDeathTest, ProcessEndsAlthoughTheUpkeepHangsForGood) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        StopSignals signals;
        StartLog("info");
        signals.Watch();
        const auto app = StartHung();
        StopByASignal(signals, **app);
      },
      ::testing::ExitedWithCode(1),
      ::testing::AllOf(HasSubstr("\"event\":\"draining\",\"why\":\"SIGTERM\""),
                       HasSubstr("ended_at_once"), HasSubstr("the upkeep's last write")));
}

TEST_F(HungStoreDeathTest, ProcessEndsAlthoughACallHangsForGood) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        StopSignals signals;
        StartLog("info");
        signals.Watch();
        const auto app = StartHung();
        const TestClient client((*app)->address(), folder_.admin_key());
        std::thread([&] { (void)client.CreateOrganization("acme"); }).detach();
        Eventually([&] { return backend_->hanging() > 1; });
        StopByASignal(signals, **app);
      },
      ::testing::ExitedWithCode(1),
      ::testing::AllOf(HasSubstr("calls_cut_off"), HasSubstr("ended_at_once"),
                       HasSubstr("calls that were cut off")));
}

class MeasuredAppTest : public ServiceTest {
 protected:
  MeasuredAppTest() : ServiceTest([](Config& c) { c.metrics_listen = "127.0.0.1:0"; }) {}
};

TEST_F(MeasuredAppTest, ServesTheMetricsThatAreDocumentedAndCountsWhatIsDone) {
  ASSERT_OK(Configure("instagram"));
  ASSERT_OK(Org().GetAuthUrl(ExampleAuthUrlRequest()));
  ASSERT_OK(Org().GetAuthUrl(ExampleAuthUrlRequest()));

  const std::string method = "authurl.v1.AuthUrlService/GetAuthUrl";
  MetricsPage page;
  // A call is counted as soon as its reply is on the wire.
  ASSERT_TRUE(Eventually([&] {
    const auto scraped = ScrapeMetrics(server_->app().metrics_address());
    if (scraped.ok()) page = *scraped;
    return page.Value("authurl_rpc_calls_total", {{"method", method}, {"code", "OK"}}) == 2;
  }));
  EXPECT_EQ(page.types, DocumentedMetrics());
  EXPECT_EQ(page.Value("authurl_auth_urls_total", {{"network", "instagram"}, {"state", "sealed"}}),
            2);
  EXPECT_GT(page.Value("authurl_cache_lookups_total", {{"cache", "records"}, {"result", "hit"}}),
            0);
  // The organisation, four keys, the configuration.
  EXPECT_GE(page.Value("authurl_storage_writes_total"), 6);
  EXPECT_GT(page.Value("authurl_storage_reads_total"), 0);
  EXPECT_EQ(page.Value("authurl_key_ring_keys"), 1);
  EXPECT_EQ(page.Value("authurl_store_readable"), 1);
  EXPECT_EQ(page.Value("authurl_store_writable"), 1);
  EXPECT_EQ(page.Value("authurl_connections_open"), 1);
}

TEST_F(MeasuredAppTest, MetricsTellThatTheStoreIsLost) {
  std::filesystem::remove(server_->config().database);
  EXPECT_TRUE(Eventually([this] {
    const auto page = ScrapeMetrics(server_->app().metrics_address());
    return page.ok() && page->Value("authurl_store_readable") == 0;
  }));
}

TEST_F(MeasuredAppTest, MetricsAddressThatIsTakenIsNamed) {
  const ServerFolder folder;
  Config config = server_->config();
  config.database = folder.database();
  config.key_ring_file = folder.key_ring_file();
  config.admin_key_file = folder.admin_key_file();
  config.metrics_listen = server_->app().metrics_address();
  EXPECT_THAT(App::Start(config),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("--metrics_listen")));
}

}  // namespace
}  // namespace authurl::testing
