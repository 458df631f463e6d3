// A server leaves politely: calls end OK or UNAVAILABLE, and a client with another server to turn
// to notices nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/crypto/crypto.h"
#include "core/crypto/sealer.h"
#include "storage/credential_store.h"
#include "storage/sqlite/sqlite_backend.h"
#include "tests/support/build_kind.h"
#include "tests/support/callers.h"
#include "tests/support/local_flow_test.h"
#include "tests/support/no_limit.h"
#include "tests/support/notification.h"
#include "tests/support/raw_connection.h"
#include "tests/support/raw_rpc.h"
#include "tests/support/server_process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_client.h"
#include "tests/support/webhook_receiver.h"

namespace authurl::testing {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr int kRepeats = kSanitized ? 2 : 6;
constexpr absl::Duration kSoon = kSanitized ? absl::Seconds(20) : absl::Seconds(5);

class ShutdownTest : public ::testing::Test {
 protected:
  // A server with an organisation, over the same database every time.
  void Start(const ServerProcess::Flags& flags) {
    ASSERT_OK_AND_ASSIGN(server_, ServerProcess::Start(folder_, flags));
    if (!demo_.org_id.empty()) return;
    const TestClient admin(server_->address(), folder_.admin_key());
    ASSERT_OK_AND_ASSIGN(demo_, CreateDemoOrganization(admin, "demo"));
  }

  // Callers over a few connections: most get URLs, every fourth one writes.
  Callers StartLoad(int callers) const {
    constexpr int kChannels = 4;
    std::vector<TestClient> clients;
    for (int i = 0; i < kChannels; ++i) clients.emplace_back(server_->address(), demo_.org_key);
    return Callers(callers, [clients, admin_key = folder_.admin_key()](int caller) {
      const TestClient& client = clients[static_cast<size_t>(caller / 4) % kChannels];
      if (caller % 4 != 0) return client.GetAuthUrl(ExampleAuthUrlRequest()).status();
      return CreateKey(client.WithKey(admin_key), v1::ROLE_MINT, "demo").status();
    });
  }

  ServerFolder folder_;
  DemoOrganization demo_;
  std::unique_ptr<ServerProcess> server_;
};

TEST_F(ShutdownTest, CallsUnderLoadEndOkOrUnavailable) {
  for (int i = 0; i < kRepeats; ++i) {
    const int callers = 16 << (i % 3);
    const char* drain_delay = i % 2 == 0 ? "--drain_delay=0" : "--drain_delay=100ms";
    SCOPED_TRACE(absl::StrCat(callers, " callers, ", drain_delay));
    ASSERT_NO_FATAL_FAILURE(Start({drain_delay}));
    Callers load = StartLoad(callers);
    ASSERT_TRUE(Eventually([&] { return load.ended() > 10 * callers; }));
    ASSERT_OK_AND_ASSIGN(const int exit_code, server_->Stop());
    EXPECT_EQ(exit_code, 0);
    const Callers::Endings endings = load.Stop();
    EXPECT_GT(endings.count(absl::StatusCode::kOk), 0);
    for (const auto& [code, ending] : endings) {
      EXPECT_THAT(code, AnyOf(absl::StatusCode::kOk, absl::StatusCode::kUnavailable))
          << ending.calls << " calls: " << ending.first_message;
    }
  }
}

TEST_F(ShutdownTest, HealthSaysNotServingWhileItDrains) {
  ASSERT_NO_FATAL_FAILURE(Start({"--drain_delay=10m"}));
  const TestClient client(server_->address(), demo_.org_key);
  EXPECT_EQ(*client.Health("authurl.v1.AuthUrlService"), "SERVING");
  server_->Signal(SIGTERM);
  EXPECT_TRUE(
      Eventually([&] { return *client.Health("authurl.v1.AuthUrlService") == "NOT_SERVING"; }));
  EXPECT_EQ(*client.Health(""), "NOT_SERVING");
  // It still serves those who have not noticed.
  EXPECT_OK(client.GetAuthUrl(ExampleAuthUrlRequest()));
  EXPECT_OK(TestClient(server_->address(), demo_.org_key).GetAuthUrl(ExampleAuthUrlRequest()));
}

TEST_F(ShutdownTest, IdleServerLeavesAtOnce) {
  for (const int signal : {SIGTERM, SIGINT}) {
    ASSERT_NO_FATAL_FAILURE(Start({}));
    server_->Signal(signal);
    ASSERT_OK_AND_ASSIGN(const int exit_code, server_->Wait(kSoon));
    EXPECT_EQ(exit_code, 0);
    const std::string why = signal == SIGTERM ? "SIGTERM" : "SIGINT";
    EXPECT_THAT(server_->Log(), HasSubstr("\"event\":\"stopped\",\"why\":\"" + why + "\""));
  }
}

TEST_F(ShutdownTest, OpenConnectionsDoNotHoldItUp) {
  ASSERT_NO_FATAL_FAILURE(Start({}));
  const TestClient idle(server_->address(), demo_.org_key);
  ASSERT_OK(idle.GetAuthUrl(ExampleAuthUrlRequest()));
  const RawConnection silent(server_->address());
  ASSERT_TRUE(silent.connected());
  server_->Signal(SIGTERM);
  ASSERT_OK_AND_ASSIGN(const int exit_code, server_->Wait(kSoon));
  EXPECT_EQ(exit_code, 0);
}

TEST_F(ShutdownTest, SecondSignalEndsItAtOnce) {
  ASSERT_NO_FATAL_FAILURE(Start({"--drain_delay=10m"}));
  server_->Signal(SIGTERM);
  ASSERT_TRUE(
      Eventually([&] { return absl::StrContains(server_->Log(), "\"event\":\"draining\""); }));
  // Those that come within a second are echoes of the first one.
  absl::StatusOr<int> exit_code = absl::UnknownError("it still runs");
  EXPECT_TRUE(Eventually([&] {
    server_->Signal(SIGTERM);
    exit_code = server_->Wait(absl::Milliseconds(10));
    return exit_code.ok();
  }));
  EXPECT_EQ(exit_code.value_or(0), 128 + SIGTERM);
  EXPECT_THAT(server_->Log(), HasSubstr("\"why\":\"a second signal, SIGTERM\""));
}

// A terminal sends one to the whole group, and a supervisor in it another one.
TEST_F(ShutdownTest, SecondSignalAtTheSameTimeIsAnEcho) {
  ASSERT_NO_FATAL_FAILURE(Start({"--drain_delay=10m"}));
  // Stopped, it gets both at once.
  server_->Signal(SIGSTOP);
  server_->Signal(SIGTERM);
  server_->Signal(SIGINT);
  server_->Signal(SIGCONT);
  EXPECT_TRUE(Eventually([&] { return absl::StrContains(server_->Log(), "signal_ignored"); }));
  EXPECT_OK(TestClient(server_->address(), demo_.org_key).GetAuthUrl(ExampleAuthUrlRequest()));
}

// As on a disk that is slow.
TEST_F(ShutdownTest, WriteThatWaitsDoesNotHoldUpTheDraining) {
  ASSERT_NO_FATAL_FAILURE(Start({}));
  ASSERT_EQ(*server_->Stop(), 0);
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(folder_.database().c_str(), &db), SQLITE_OK);
  // The server's first write waits for it, some seconds until it gives up.
  ASSERT_EQ(sqlite3_exec(db, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  ASSERT_NO_FATAL_FAILURE(Start({"--drain_delay=10m"}));
  server_->Signal(SIGTERM);
  const TestClient client(server_->address(), demo_.org_key);
  EXPECT_TRUE(
      Eventually([&] { return *client.Health("authurl.v1.AuthUrlService") == "NOT_SERVING"; }));
  EXPECT_OK(client.GetAuthUrl(ExampleAuthUrlRequest()));
  const std::string log = server_->Log();
  EXPECT_THAT(log, HasSubstr("\"event\":\"draining\""));
  EXPECT_LT(log.find("\"event\":\"draining\""), log.find("\"event\":\"purge_failed\"")) << log;
  sqlite3_close(db);
}

class FlowShutdownTest : public LocalFlowTest {};

// A code that was sent is used up: what it gives is stored, whether somebody waits for it or not.
TEST_F(FlowShutdownTest, AnExchangeThatHangsIsWaitedForAndStored) {
  using Step = LocalNetwork::Step;
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_OK_AND_ASSIGN(const Flow awaited, Begin(*org_));
  ASSERT_OK_AND_ASSIGN(const Flow abandoned, Begin(*org_));
  network_.Hang(Step::kExchange);
  auto completing =
      std::async(std::launch::async, [&] { return Complete(*org_, awaited.response); });
  grpc::ClientContext context;
  auto leaving = std::async(std::launch::async, [&] {
    v1::CompleteAuthRequest request;
    request.set_response(abandoned.response);
    return CallRaw(context, NewChannel(server_->address()), PathOf(FindRpc("CompleteAuth")),
                   request.SerializeAsString(), Bearer(key_));
  });
  ASSERT_TRUE(network_.WaitForRequests(Step::kExchange, 2));
  context.TryCancel();
  EXPECT_EQ(leaving.get().status.error_code(), grpc::StatusCode::CANCELLED);

  server_->Signal(SIGTERM);
  ASSERT_TRUE(
      Eventually([&] { return absl::StrContains(server_->Log(), "\"event\":\"draining\""); }));
  network_.Release();
  EXPECT_OK(completing.get());
  ASSERT_OK_AND_ASSIGN(const int exit_code, server_->Wait());
  EXPECT_EQ(exit_code, 0);
  EXPECT_THAT(server_->Log(), Not(HasSubstr("calls_cut_off")));

  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_THAT(List(), SizeIs(2));
  for (const v1::SocialAccount& account : List()) {
    ASSERT_OK_AND_ASSIGN(const auto token, org_->GetAccessToken(account.id()));
    EXPECT_EQ(token.access_token(), network_.AccessTokenOf(account.network_unique_id()));
  }
  for (const Flow& flow : {awaited, abandoned}) {
    ASSERT_OK_AND_ASSIGN(const auto again, Complete(*org_, flow.response));
    EXPECT_TRUE(again.replayed());
    ASSERT_EQ(again.accounts_size(), 1);
    EXPECT_EQ(again.accounts(0).network_unique_id(), flow.person);
    EXPECT_EQ(network_.sent(flow.code), 1);
  }
  EXPECT_EQ(*server_->Stop(), 0);
}

// Refreshes that nobody asked for: what was sent is waited for, or the connection is dead.
class BackgroundShutdownTest : public LocalFlowTest {
 protected:
  // Of a server that is stopped, all grants.
  void MakeDue() {
    auto backend = OpenSqliteBackend(folder_.database());
    ASSERT_OK(backend);
    const KeyRing keys = folder_.key_ring();
    const Sealer sealer(keys);
    const RandomSource random = FillRandom;
    ASSERT_OK_AND_ASSIGN(const auto store,
                         CredentialStore::Open(*std::move(backend), sealer, random));
    GrantStore& grants = store->grants();
    ASSERT_OK_AND_ASSIGN(const auto accounts,
                         store->accounts().List(kNoLimit, "acme", {}, "", {.rows = 100}));
    for (const record::v1::SocialAccount& account : accounts.records) {
      const std::string& id = account.grant_id();
      ASSERT_OK(grants.TakeLease(kNoLimit, "acme", id, "test", absl::Now()));
      ASSERT_OK(grants.EndLease(kNoLimit, "acme", id, "test", absl::Now()));
    }
  }
  // Whether it is still there some time after it was told to stop.
  bool StopsAndWaits() {
    server_->Signal(SIGTERM);
    return absl::IsDeadlineExceeded(server_->Wait(absl::Seconds(1)).status());
  }
};

TEST_F(BackgroundShutdownTest, RefreshesThatHangAreWaitedForAndStored) {
  using Step = LocalNetwork::Step;
  constexpr int kAccounts = 3;
  ASSERT_NO_FATAL_FAILURE(Start());
  for (int i = 0; i < kAccounts; ++i) {
    ASSERT_OK_AND_ASSIGN(const Flow flow, Begin(*org_));
    ASSERT_OK(Complete(*org_, flow.response));
  }
  ASSERT_EQ(*server_->Stop(), 0);
  ASSERT_NO_FATAL_FAILURE(MakeDue());
  network_.Hang(Step::kRefresh);
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_TRUE(network_.WaitForRequests(Step::kRefresh, kAccounts));
  EXPECT_TRUE(StopsAndWaits());
  network_.Release();
  ASSERT_OK_AND_ASSIGN(const int exit_code, server_->Wait());
  EXPECT_EQ(exit_code, 0);
  EXPECT_THAT(server_->Log(), Not(HasSubstr("background_cut_off")));

  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_THAT(List(), SizeIs(kAccounts));
  for (const v1::SocialAccount& account : List()) {
    EXPECT_EQ(account.status(), v1::SocialAccount::STATUS_ACTIVE) << account.status_reason();
    ASSERT_OK_AND_ASSIGN(const auto token, org_->GetAccessToken(account.id()));
    EXPECT_EQ(token.access_token(), network_.AccessTokenOf(account.network_unique_id()));
  }
  EXPECT_EQ(network_.requests(Step::kRefresh), kAccounts);
  EXPECT_EQ(*server_->Stop(), 0);
}

TEST_F(BackgroundShutdownTest, NoNetworkIsWaitedForLongerThanTheGrace) {
  using Step = LocalNetwork::Step;
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_OK_AND_ASSIGN(const Flow flow, Begin(*org_));
  ASSERT_OK(Complete(*org_, flow.response));
  ASSERT_EQ(*server_->Stop(), 0);
  ASSERT_NO_FATAL_FAILURE(MakeDue());
  network_.Hang(Step::kRefresh);
  ASSERT_NO_FATAL_FAILURE(Start({"--shutdown_grace=1500ms"}));
  ASSERT_TRUE(network_.WaitForRequests(Step::kRefresh, 1));
  EXPECT_TRUE(StopsAndWaits());
  ASSERT_OK_AND_ASSIGN(const int exit_code, server_->Wait(kSoon));
  EXPECT_EQ(exit_code, 0);
  EXPECT_THAT(server_->Log(), HasSubstr("background_cut_off"));
}

// Who was told of an event is not told again after each deploy.
TEST_F(BackgroundShutdownTest, ADeliveryThatHangsIsWaitedForAndNotRepeated) {
  Notification may_answer;
  WebhookReceiver receiver;
  receiver.AnswerBy([&](const auto&) -> std::string {
    EXPECT_TRUE(may_answer.WaitForNotificationWithTimeout(kPatience));
    return "HTTP/1.1 204 No Content\r\n\r\n";
  });
  ASSERT_NO_FATAL_FAILURE(Start());
  const Rpc& rpc = FindRpc("CreateWebhook");
  const RawReply reply =
      CallRaw(NewChannel(server_->address()), PathOf(rpc),
              RequestBytes(rpc, absl::StrCat("url: '", receiver.Url(), "'")), Bearer(key_));
  ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
  ASSERT_OK_AND_ASSIGN(const Flow flow, Begin(*org_));
  ASSERT_OK(Complete(*org_, flow.response));
  ASSERT_TRUE(receiver.WaitForReceived(1));
  EXPECT_TRUE(StopsAndWaits());
  may_answer.Notify();
  ASSERT_OK_AND_ASSIGN(const int exit_code, server_->Wait());
  EXPECT_EQ(exit_code, 0);

  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_OK_AND_ASSIGN(const Flow other, Begin(*org_));
  ASSERT_OK(Complete(*org_, other.response));
  ASSERT_TRUE(receiver.WaitForTaken(2));
  EXPECT_NE(receiver.received()[0].id, receiver.received()[1].id);
  EXPECT_EQ(*server_->Stop(), 0);
}

// As a careful client sets its channel up: both servers, health watched, UNAVAILABLE retried.
std::shared_ptr<grpc::Channel> NewRoundRobinChannel(int port_a, int port_b) {
  grpc::ChannelArguments arguments;
  arguments.SetServiceConfigJSON(R"json({
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": "authurl.v1.AuthUrlService"},
    "methodConfig": [{
      "name": [{"service": "authurl.v1.AuthUrlService"}],
      "retryPolicy": {
        "maxAttempts": 5,
        "initialBackoff": "0.05s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"]
      }
    }]
  })json");
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  return NewChannel(absl::StrCat("ipv4:127.0.0.1:", port_a, ",127.0.0.1:", port_b), arguments);
}

TEST_F(ShutdownTest, NoCallFailsWhileTwoServersAreRestartedInTurn) {
  ASSERT_NO_FATAL_FAILURE(Start({}));
  ASSERT_EQ(*server_->Stop(), 0);
  ServerFolder folders[2];
  int ports[2];
  std::unique_ptr<ServerProcess> servers[2];
  const auto start = [&](int i) {
    return ServerProcess::Start(
        folders[i], {absl::StrCat("--listen=127.0.0.1:", ports[i]), "--drain_delay=300ms"});
  };
  const auto serves_calls = [&](int i) {
    return absl::StrContains(servers[i]->Log(), "AuthUrlService/GetAuthUrl\",\"code\":\"OK\"");
  };
  for (int i : {0, 1}) {
    folders[i].CopyFrom(folder_);
    ports[i] = FindFixedPort();
    ASSERT_OK_AND_ASSIGN(servers[i], start(i));
  }

  const TestClient client(NewRoundRobinChannel(ports[0], ports[1]), demo_.org_key);
  Callers load(kSanitized ? 8 : 16,
               [&client](int) { return client.GetAuthUrl(ExampleAuthUrlRequest()).status(); });
  for (int i : {0, 1, 0, 1}) {
    ASSERT_TRUE(Eventually([&] { return serves_calls(0) && serves_calls(1); }));
    ASSERT_OK_AND_ASSIGN(const int exit_code, servers[i]->Stop());
    EXPECT_EQ(exit_code, 0);
    ASSERT_OK_AND_ASSIGN(servers[i], start(i));
  }
  ASSERT_TRUE(Eventually([&] { return serves_calls(0) && serves_calls(1); }));
  const Callers::Endings endings = load.Stop();
  for (const auto& [code, ending] : endings) {
    EXPECT_EQ(code, absl::StatusCode::kOk) << ending.calls << " calls: " << ending.first_message;
  }
  EXPECT_GT(endings.count(absl::StatusCode::kOk), 0);
  for (int i : {0, 1}) EXPECT_EQ(*servers[i]->Stop(), 0);
}

}  // namespace
}  // namespace authurl::testing
