#include "server/app.h"

#include <filesystem>
#include <string>

#include "tests/server/service_fixture.h"
#include "tests/support/metrics_page.h"

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
  EXPECT_EQ(found.social_network().SerializeAsString(), created.SerializeAsString());
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

class MeasuredAppTest : public ServiceTest {
 protected:
  MeasuredAppTest() : ServiceTest([](Config& c) { c.metrics_listen = "127.0.0.1:0"; }) {}
};

TEST_F(MeasuredAppTest, ServesTheMetricsThatAreDocumentedAndCountsWhatIsDone) {
  ASSERT_OK(Configure("instagram"));
  ASSERT_OK(Org().GetAuthUrl(ExampleAuthUrlRequest()));
  ASSERT_OK(Org().GetAuthUrl(ExampleAuthUrlRequest()));

  ASSERT_OK_AND_ASSIGN(const MetricsPage page, ScrapeMetrics(server_->app().metrics_address()));
  EXPECT_EQ(page.types, DocumentedMetrics());
  const std::string method = "authurl.v1.AuthUrlService/GetAuthUrl";
  EXPECT_EQ(page.Value("authurl_rpc_calls_total", {{"method", method}, {"code", "OK"}}), 2);
  EXPECT_EQ(page.Value("authurl_auth_urls_total", {{"network", "instagram"}, {"state", "sealed"}}),
            2);
  EXPECT_GT(page.Value("authurl_cache_lookups_total", {{"cache", "records"}, {"result", "hit"}}),
            0);
  // The organisation, four keys, the configuration.
  EXPECT_GE(page.Value("authurl_sqlite_writes_total"), 6);
  EXPECT_GT(page.Value("authurl_sqlite_reads_total"), 0);
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
