// States that a network can't carry are kept by the server: as long as they live, through restarts
// and kills, and not longer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/time/clock.h"
#include "core/crypto/sealer.h"
#include "core/flow/auth_state.h"
#include "storage/credential_store.h"
#include "storage/sqlite/sqlite_backend.h"
#include "tests/support/build_kind.h"
#include "tests/support/callers.h"
#include "tests/support/no_limit.h"
#include "tests/support/server_process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_client.h"

namespace authurl::testing {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

constexpr int kStateKills = kSanitized ? 3 : 10;
constexpr int kCallers = 8;
constexpr unsigned kStateSeed = 20261123;

class StoredStatesTest : public ::testing::Test {
 protected:
  void Start(const ServerProcess::Flags& flags = {}) {
    ASSERT_OK_AND_ASSIGN(server_, ServerProcess::Start(folder_, flags));
    if (!org_key_.empty()) return;
    const TestClient admin(server_->address(), folder_.admin_key());
    ASSERT_OK_AND_ASSIGN(const DemoOrganization demo, CreateDemoOrganization(admin, "demo"));
    org_key_ = demo.org_key;
    ASSERT_OK(admin.WithKey(org_key_).CreateSocialNetwork(
        NewSocialNetworkRequest("wechat", "wx-key", "secret")));
  }

  TestClient Client() const { return TestClient(server_->address(), org_key_); }

  // The state of a fresh URL.
  static absl::StatusOr<std::string> Mint(const TestClient& client) {
    v1::GetAuthUrlRequest request = ExampleAuthUrlRequest();
    request.set_network("wechat");
    const auto reply = client.GetAuthUrl(request);
    if (!reply.ok()) return reply.status();
    const std::string& url = reply->auth_url();
    const size_t begin = url.find("&state=") + 7;
    return url.substr(begin, url.find_first_of("&#", begin) - begin);
  }

  // What the store keeps under the reference, opened. No server may be running.
  absl::StatusOr<OpenedState> Open(CredentialStore& store, const std::string& reference) const {
    const absl::StatusOr<std::string> sealed = store.GetAuthState(kNoLimit, reference);
    if (!sealed.ok()) return sealed.status();
    return OpenStoredAuthState(sealer_, reference, *sealed, absl::Now(), "demo", "wechat");
  }
  absl::StatusOr<std::unique_ptr<CredentialStore>> OpenStore() const {
    auto backend = OpenSqliteBackend(folder_.database());
    if (!backend.ok()) return backend.status();
    return CredentialStore::Open(*std::move(backend), sealer_, FillRandom);
  }

  // While the server runs: another process may read along.
  int CountStored() const {
    sqlite3* db = nullptr;
    sqlite3_stmt* count = nullptr;
    const absl::Cleanup close = [&] {
      sqlite3_finalize(count);
      sqlite3_close(db);
    };
    EXPECT_EQ(sqlite3_open_v2(folder_.database().c_str(), &db, SQLITE_OPEN_READONLY, nullptr),
              SQLITE_OK);
    sqlite3_busy_timeout(db, 10'000);
    EXPECT_EQ(sqlite3_prepare_v2(db, "SELECT count(*) FROM auth_states", -1, &count, nullptr),
              SQLITE_OK);
    EXPECT_EQ(sqlite3_step(count), SQLITE_ROW);
    return sqlite3_column_int(count, 0);
  }

  ServerFolder folder_;
  const KeyRing keys_ = folder_.key_ring();
  const Sealer sealer_{keys_};
  std::unique_ptr<ServerProcess> server_;
  std::string org_key_;
};

TEST_F(StoredStatesTest, AReferenceLeadsToItsStateAfterARestart) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_OK_AND_ASSIGN(const std::string first, Mint(Client()));
  EXPECT_THAT(first, MatchesRegex("[0-9a-f]{40}"));
  EXPECT_EQ(*server_->Stop(), 0);
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_OK_AND_ASSIGN(const std::string second, Mint(Client()));
  EXPECT_EQ(CountStored(), 2);
  EXPECT_EQ(*server_->Stop(), 0);

  ASSERT_OK_AND_ASSIGN(const auto store, OpenStore());
  for (const std::string& reference : {first, second}) {
    ASSERT_OK_AND_ASSIGN(const OpenedState opened, Open(*store, reference));
    EXPECT_EQ(opened.state.tenant_id(), "customer_42");
    EXPECT_EQ(opened.state.redirect_uri(), "https://app.example.com/cb");
  }
}

// Who reads the database or the log must not be able to finish somebody's authorization.
TEST_F(StoredStatesTest, TheReferenceItselfIsInNoFile) {
  ASSERT_NO_FATAL_FAILURE(Start({"--log_level=debug"}));
  ASSERT_OK_AND_ASSIGN(const std::string reference, Mint(Client()));
  EXPECT_EQ(*server_->Stop(), 0);
  for (const auto& entry : std::filesystem::directory_iterator(folder_.dir().path())) {
    EXPECT_THAT(ReadFile(entry.path().string()), Not(HasSubstr(reference))) << entry.path();
  }
  EXPECT_THAT(server_->Log(), HasSubstr("AuthUrlService/GetAuthUrl"));
}

TEST_F(StoredStatesTest, ExpiredStatesArePurgedWhileTheServerServes) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_OK_AND_ASSIGN(const std::string living, Mint(Client()));
  EXPECT_EQ(*server_->Stop(), 0);
  ASSERT_NO_FATAL_FAILURE(Start({"--state_ttl=1s"}));
  for (int i = 0; i < 20; ++i) ASSERT_OK(Mint(Client()));
  EXPECT_TRUE(Eventually([this] { return CountStored() == 1; }));
  EXPECT_OK(Client().GetAuthUrl(ExampleAuthUrlRequest()));
  EXPECT_EQ(*server_->Stop(), 0);
  ASSERT_OK_AND_ASSIGN(const auto store, OpenStore());
  EXPECT_OK(Open(*store, living));
}

TEST_F(StoredStatesTest, StatesThatExpiredWhileNoServerRanArePurgedAtTheNextStart) {
  ASSERT_NO_FATAL_FAILURE(Start({"--state_ttl=1s"}));
  for (int i = 0; i < 5; ++i) ASSERT_OK(Mint(Client()));
  const absl::Time expired = absl::Now() + absl::Seconds(1);
  ASSERT_OK(server_->Kill());
  ASSERT_TRUE(Eventually([&] { return absl::Now() > expired; }));
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_TRUE(Eventually([this] { return CountStored() == 0; }));
  EXPECT_EQ(*server_->Stop(), 0);
}

TEST_F(StoredStatesTest, NoStateWhoseUrlWasHandedOutIsLostByAKill) {
  std::mt19937 random(kStateSeed);
  std::uniform_int_distribution<int> microseconds(0, 100'000);
  std::mutex mutex;
  std::set<std::string> handed_out;
  for (int i = 0; i < kStateKills; ++i) {
    SCOPED_TRACE(i);
    ASSERT_NO_FATAL_FAILURE(Start());
    std::vector<TestClient> clients;
    for (int c = 0; c < kCallers; ++c) clients.push_back(Client());
    Callers load(kCallers, [&](int caller) {
      const absl::StatusOr<std::string> state = Mint(clients[static_cast<size_t>(caller)]);
      // The server is gone.
      if (!state.ok()) absl::SleepFor(absl::Milliseconds(1));
      const std::lock_guard lock(mutex);
      if (state.ok()) handed_out.insert(*state);
      return state.status();
    });
    ASSERT_TRUE(Eventually([&] { return load.ended() > 0; }));
    absl::SleepFor(absl::Microseconds(microseconds(random)));
    ASSERT_OK(server_->Kill());
    for (const auto& [code, ending] : load.Stop()) {
      EXPECT_THAT(code, AnyOf(absl::StatusCode::kOk, absl::StatusCode::kUnavailable))
          << ending.calls << " calls: " << ending.first_message;
    }
    ASSERT_OK_AND_ASSIGN(const auto store, OpenStore());
    for (const std::string& reference : handed_out) EXPECT_OK(Open(*store, reference));
  }
  EXPECT_GT(handed_out.size(), static_cast<size_t>(kStateKills));
}

}  // namespace
}  // namespace authurl::testing
