// The server starts, shows what it is, and does its main job.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "core/api_key.h"
#include "core/crypto/sealer.h"
#include "core/flow/auth_state.h"
#include "storage/sqlite/migrations.h"
#include "tests/support/server_process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_client.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::Pair;
using ::testing::StartsWith;

std::string PercentDecode(absl::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    uint32_t byte = 0;
    const bool escape = text[i] == '%' && absl::SimpleHexAtoi(text.substr(i + 1, 2), &byte);
    decoded.push_back(escape ? static_cast<char>(byte) : text[i]);
    if (escape) i += 2;
  }
  return decoded;
}

// The decoded parameters in their order.
std::vector<std::pair<std::string, std::string>> ParametersOf(const std::string& url) {
  std::vector<std::pair<std::string, std::string>> parameters;
  const std::string query = url.substr(url.find('?') + 1);
  for (const absl::string_view pair : absl::StrSplit(query, '&')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(pair, absl::MaxSplits('=', 1));
    parameters.emplace_back(PercentDecode(parts.first), PercentDecode(parts.second));
  }
  return parameters;
}

class StartupTest : public ::testing::Test {
 protected:
  void Start(const ServerProcess::Flags& flags = {}) {
    ASSERT_OK_AND_ASSIGN(server_, ServerProcess::Start(folder_, flags));
    admin_ = std::make_unique<TestClient>(server_->address(), folder_.admin_key());
  }
  void ExpectToStop() { EXPECT_THAT(*server_->Stop(), 0); }

  ServerFolder folder_;
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<TestClient> admin_;
};

TEST_F(StartupTest, AnUpgradeOfTheDatabaseIsToldBeforeItBegins) {
  {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(folder_.database().c_str(), &db), SQLITE_OK);
    EXPECT_OK(Migrate(db, Migrations().first(2)));
    sqlite3_close(db);
  }
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_THAT(server_->Log(), HasSubstr("\"event\":\"upgrading_database\""));
  EXPECT_THAT(server_->Log(), HasSubstr(absl::StrCat("\"from\":2,\"to\":", LatestSchemaVersion())));
  EXPECT_EQ(*server_->Stop(), 0);
  // Once.
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_THAT(server_->Log(), Not(HasSubstr("upgrading_database")));
}

TEST_F(StartupTest, ReflectionListsTheServices) {
  ASSERT_NO_FATAL_FAILURE(Start({"--reflection"}));
  ASSERT_OK_AND_ASSIGN(const std::vector<std::string> services, admin_->ReflectedServices());
  EXPECT_THAT(services, IsSupersetOf({"authurl.v1.AuthUrlService", "authurl.v1.OrganizationService",
                                      "authurl.v1.SocialNetworkService", "grpc.health.v1.Health"}));
  ExpectToStop();
}

TEST_F(StartupTest, ReflectionAndChannelzAreOffUnlessAskedFor) {
  constexpr char kGetServers[] = "/grpc.channelz.v1.Channelz/GetServers";
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_EQ(admin_->ReflectedServices().status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(admin_->CallBytes(kGetServers, "").status().code(), absl::StatusCode::kUnimplemented);
  ExpectToStop();
  ASSERT_NO_FATAL_FAILURE(Start({"--channelz"}));
  EXPECT_OK(admin_->CallBytes(kGetServers, ""));
  ExpectToStop();
}

TEST_F(StartupTest, EveryServiceIsHealthyWithoutAKey) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const TestClient anyone = admin_->WithKey("");
  for (const char* service : {"", "authurl.v1.AuthUrlService", "authurl.v1.SocialNetworkService",
                              "authurl.v1.OrganizationService"}) {
    ASSERT_OK_AND_ASSIGN(const std::string health, anyone.Health(service));
    EXPECT_EQ(health, "SERVING") << service;
  }
  EXPECT_EQ(anyone.Health("authurl.v1.Absent").status().code(), absl::StatusCode::kNotFound);
  ExpectToStop();
}

TEST_F(StartupTest, GetAuthUrlAnswersWithTheNetworksOwnUrl) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_OK_AND_ASSIGN(const DemoOrganization demo, CreateDemoOrganization(*admin_, "demo"));
  ASSERT_OK_AND_ASSIGN(const auto reply,
                       admin_->WithKey(demo.org_key).GetAuthUrl(ExampleAuthUrlRequest()));
  EXPECT_THAT(reply.auth_url(), StartsWith("https://www.instagram.com/oauth/authorize?"));
  const auto parameters = ParametersOf(reply.auth_url());
  EXPECT_THAT(
      parameters,
      ElementsAre(Pair("client_id", "demo-client-key"),
                  Pair("redirect_uri", "https://app.example.com/cb"), Pair("response_type", "code"),
                  Pair("scope",
                       "instagram_business_basic,instagram_business_content_publish,"
                       "instagram_business_manage_comments,instagram_business_manage_insights"),
                  Pair("state", ::testing::_)));
  ExpectToStop();
}

TEST_F(StartupTest, TheStateInTheUrlOpensAgain) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_OK_AND_ASSIGN(const DemoOrganization demo, CreateDemoOrganization(*admin_, "demo"));
  ASSERT_OK_AND_ASSIGN(const auto reply,
                       admin_->WithKey(demo.org_key).GetAuthUrl(ExampleAuthUrlRequest()));
  const std::string state_text = ParametersOf(reply.auth_url()).back().second;
  const KeyRing keys = folder_.key_ring();
  const Sealer sealer(keys);
  ASSERT_OK_AND_ASSIGN(const OpenedState opened,
                       OpenAuthState(sealer, state_text, absl::Now(), "demo", "instagram"));
  EXPECT_EQ(opened.state.org_id(), "demo");
  EXPECT_EQ(opened.state.network(), "instagram");
  EXPECT_EQ(opened.state.tenant_id(), "customer_42");
  EXPECT_EQ(opened.state.redirect_uri(), "https://app.example.com/cb");
  EXPECT_EQ(opened.state.social_network_id(), demo.social_network_id);
  EXPECT_EQ(opened.state.expires_at(), reply.expires_at().seconds());
  EXPECT_THAT(OpenAuthState(sealer, state_text, absl::Now(), "another", "instagram"), Not(IsOk()));
  ExpectToStop();
}

TEST_F(StartupTest, ARestartKeepsTheData) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_OK_AND_ASSIGN(const DemoOrganization demo, CreateDemoOrganization(*admin_, "demo"));
  ExpectToStop();
  ASSERT_NO_FATAL_FAILURE(Start());
  const TestClient org = admin_->WithKey(demo.org_key);
  ASSERT_OK_AND_ASSIGN(const auto found, org.GetSocialNetwork(demo.social_network_id));
  EXPECT_EQ(found.social_network().client_key(), "demo-client-key");
  EXPECT_OK(org.GetAuthUrl(ExampleAuthUrlRequest()));
  ExpectToStop();
}

TEST_F(StartupTest, ASecondProcessOnTheSameDatabaseIsRefused) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const FailedStart second = ServerProcess::StartExpectingFailure(folder_);
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_THAT(second.output, StartsWith("authurl-server: "));
  EXPECT_THAT(second.output, HasSubstr("in use by another process"));
  EXPECT_EQ(second.output.find('\n'), second.output.size() - 1);
  EXPECT_OK(admin_->ListOrganizations());
  ExpectToStop();
}

TEST_F(StartupTest, TheExampleOfANetworksFileMakesACompanysOwnProviderANetwork) {
  ASSERT_NO_FATAL_FAILURE(
      Start({"--networks_file=" AUTHURL_SOURCE_DIR "/deploy/networks.example.textproto"}));
  ASSERT_OK_AND_ASSIGN(const DemoOrganization demo, CreateDemoOrganization(*admin_, "demo"));
  const TestClient org = admin_->WithKey(demo.org_key);
  ASSERT_OK_AND_ASSIGN(const auto networks, org.ListNetworks());
  EXPECT_EQ(networks.networks(networks.networks_size() - 1).display_name(), "Acme SSO");
  auto configuration = NewSocialNetworkRequest("acme_sso", "the-client", "the-secret");
  (*configuration.mutable_variables())["realm"] = "staging";
  ASSERT_OK(org.CreateSocialNetwork(configuration));
  v1::GetAuthUrlRequest request = ExampleAuthUrlRequest();
  request.set_network("acme_sso");
  request.set_force_account_selection(true);
  request.set_login_hint("jo@acme.example");
  ASSERT_OK_AND_ASSIGN(const auto reply, org.GetAuthUrl(request));
  EXPECT_THAT(reply.auth_url(),
              StartsWith("https://sso.acme.example/realms/staging/protocol/openid-connect/auth?"));
  EXPECT_THAT(
      ParametersOf(reply.auth_url()),
      ElementsAre(Pair("client_id", "the-client"),
                  Pair("redirect_uri", "https://app.example.com/cb"), Pair("response_type", "code"),
                  Pair("scope", "openid profile email offline_access"), Pair("state", ::testing::_),
                  Pair("code_challenge", ::testing::_), Pair("code_challenge_method", "S256"),
                  Pair("nonce", ::testing::_), Pair("prompt", "select_account"),
                  Pair("login_hint", "jo@acme.example")));
  // The built-in ones are still there.
  EXPECT_OK(org.GetAuthUrl(ExampleAuthUrlRequest()));
  ExpectToStop();
}

TEST_F(StartupTest, WhereTheFlagSaysSoNetworksSendPeopleBackToTheHostedCallback) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_OK_AND_ASSIGN(const DemoOrganization demo, CreateDemoOrganization(*admin_, "demo"));
  v1::GetAuthUrlRequest request = ExampleAuthUrlRequest();
  request.clear_redirect_uri();
  EXPECT_THAT(admin_->WithKey(demo.org_key).GetAuthUrl(request), HasReason("NO_REDIRECT_URI"));
  ExpectToStop();
  ASSERT_NO_FATAL_FAILURE(Start({"--public_base_url=https://auth.example.com"}));
  ASSERT_OK_AND_ASSIGN(const auto reply, admin_->WithKey(demo.org_key).GetAuthUrl(request));
  EXPECT_THAT(ParametersOf(reply.auth_url()),
              Contains(Pair("redirect_uri",
                            "https://auth.example.com/v1/social-networks/instagram/callback")));
  ExpectToStop();
}

TEST_F(StartupTest, LocalInstancesAreTakenOnlyWhereTheFlagSaysSo) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_OK_AND_ASSIGN(const DemoOrganization demo, CreateDemoOrganization(*admin_, "demo"));
  auto configuration = NewSocialNetworkRequest("mastodon", "the-client", "the-secret");
  configuration.set_instance("mastodon.internal");
  EXPECT_THAT(admin_->WithKey(demo.org_key).CreateSocialNetwork(configuration),
              HasViolation("instance", HasSubstr("public host")));
  ExpectToStop();
  ASSERT_NO_FATAL_FAILURE(Start({"--allow_local_instances"}));
  EXPECT_OK(admin_->WithKey(demo.org_key).CreateSocialNetwork(configuration));
  ExpectToStop();
}

TEST_F(StartupTest, ItServesOnAUnixSocketAndRemovesItAtTheEnd) {
  const std::string path = folder_.dir().File("authurl.sock");
  ASSERT_NO_FATAL_FAILURE(Start({absl::StrCat("--listen=unix:", path)}));
  EXPECT_EQ(server_->address(), absl::StrCat("unix:", path));
  EXPECT_OK(admin_->ListOrganizations());
  ExpectToStop();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(StartupTest, ASocketFileThatAKilledServerLeftIsReplaced) {
  const std::string flag = absl::StrCat("--listen=unix:", folder_.dir().File("authurl.sock"));
  ASSERT_NO_FATAL_FAILURE(Start({flag}));
  ASSERT_OK(server_->Kill());
  ASSERT_NO_FATAL_FAILURE(Start({flag}));
  EXPECT_OK(admin_->ListOrganizations());
  ExpectToStop();
}

TEST_F(StartupTest, ARunNeedsTheAdminKeyFileOnlyOnce) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ExpectToStop();
  ASSERT_NO_FATAL_FAILURE(Start({"--admin_key_file="}));
  EXPECT_OK(admin_->ListOrganizations());
  ExpectToStop();
}

TEST_F(StartupTest, RevokedAdminKeyIsWarnedOfWhileAnotherLives) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_OK_AND_ASSIGN(const std::string another, CreateKey(*admin_, v1::ROLE_ADMIN, ""));
  ASSERT_OK(admin_->RevokeApiKey(ParseApiKey(folder_.admin_key())->key_id));
  ExpectToStop();

  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_THAT(server_->Log(),
              AllOf(HasSubstr("\"level\":\"warning\",\"event\":\"admin_key_revoked\""),
                    HasSubstr("--admin_key_file")));
  EXPECT_OK(TestClient(server_->address(), another).ListOrganizations());
  EXPECT_EQ(admin_->ListOrganizations().status().code(), absl::StatusCode::kUnauthenticated);
  ExpectToStop();
}

}  // namespace
}  // namespace authurl::testing
