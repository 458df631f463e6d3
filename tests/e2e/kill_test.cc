// The server is killed at random moments under writers: nothing that was acknowledged is lost, and
// nothing is half there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/build_kind.h"
#include "tests/support/callers.h"
#include "tests/support/server_process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_client.h"

namespace authurl::testing {
namespace {

constexpr int kKills = kSanitized ? 12 : 50;
constexpr int kWriters = 16;
constexpr unsigned kSeed = 20261123;
constexpr absl::Duration kReadyIn = kSanitized ? absl::Seconds(20) : absl::Seconds(2);

// Each takes a configuration without further settings; one organisation can have one of each.
constexpr std::array<const char*, 11> kNetworks = {
    "facebook", "google_business", "instagram", "linkedin", "pinterest", "reddit",
    "threads",  "tiktok",          "vimeo",     "x",        "youtube"};

// A configuration that a writer asked for. `id` is empty unless it was acknowledged.
struct Attempt {
  std::string org_id;
  std::string network;
  std::string client_key;
  std::string id;
};

// A writer on its way through fresh organisations, across all servers.
class Writer final {
 public:
  explicit Writer(int number) : number_(number) {}

  void TalkTo(const TestClient& admin, const TestClient& service) {
    admin_.emplace(admin);
    service_.emplace(service);
    // Where the last server was killed it cannot be known what exists: begin afresh.
    next_network_ = kNetworks.size();
  }

  // Makes one configuration, and an organisation for it where the last one is full.
  absl::Status WriteOnce() {
    if (next_network_ == kNetworks.size()) {
      org_id_ = absl::StrCat("w", number_, "-", ++organizations_);
      if (const auto made = admin_->CreateOrganization(org_id_); !made.ok()) return made.status();
      next_network_ = 0;
    }
    const char* network = kNetworks[next_network_++];
    Attempt& attempt = attempts_.emplace_back();
    attempt = {org_id_, network, absl::StrCat(org_id_, "-", network), ""};
    const auto created =
        service_->WithMetadata({{"x-org-id", org_id_}})
            .CreateSocialNetwork(NewSocialNetworkRequest(network, attempt.client_key, "secret"));
    if (!created.ok()) return created.status();
    attempt.id = created->social_network().id();
    return absl::OkStatus();
  }

  // What was tried since the last time.
  std::vector<Attempt> TakeAttempts() { return std::exchange(attempts_, {}); }

 private:
  const int number_;
  std::optional<TestClient> admin_;
  std::optional<TestClient> service_;
  int organizations_ = 0;
  std::string org_id_;
  size_t next_network_ = kNetworks.size();
  std::vector<Attempt> attempts_;
};

class KillTest : public ::testing::Test {
 protected:
  void Start() {
    const absl::Time begin = absl::Now();
    ASSERT_OK_AND_ASSIGN(server_, ServerProcess::Start(folder_, {"--log_level=info"}));
    admin_.emplace(server_->address(), folder_.admin_key());
    ASSERT_OK(admin_->ListOrganizations());
    const absl::Duration ready_in = absl::Now() - begin;
    EXPECT_LT(ready_in, kReadyIn);
    slowest_start_ = std::max(slowest_start_, ready_in);
    if (service_key_.empty()) {
      ASSERT_OK_AND_ASSIGN(service_key_, CreateKey(*admin_, v1::ROLE_SERVICE, ""));
    }
  }

  TestClient Service(const std::string& org_id) const {
    return admin_->WithKey(service_key_).WithMetadata({{"x-org-id", org_id}});
  }

  // Lets the writers write until the server is killed, `delay` after the first acknowledged write.
  void WriteAndKill(std::vector<Writer>& writers, absl::Duration delay) {
    // Channels of their own, so that writes really arrive together.
    for (Writer& writer : writers) {
      const TestClient admin(server_->address(), folder_.admin_key());
      writer.TalkTo(admin, admin.WithKey(service_key_));
    }
    Callers load(kWriters, [&](int i) {
      const absl::Status status = writers[static_cast<size_t>(i)].WriteOnce();
      // The server is gone; do not fill the memory with attempts on nobody.
      if (!status.ok()) absl::SleepFor(absl::Milliseconds(1));
      return status;
    });
    ASSERT_TRUE(Eventually([&] { return load.ended() > 0; }));
    absl::SleepFor(delay);
    ASSERT_OK(server_->Kill());
    const Callers::Endings endings = load.Stop();
    for (const auto& [code, ending] : endings) {
      EXPECT_THAT(code, ::testing::AnyOf(absl::StatusCode::kOk, absl::StatusCode::kUnavailable))
          << ending.calls << " calls: " << ending.first_message;
    }
  }

  void ExpectThere(const Attempt& attempt, const std::string& id) {
    const TestClient service = Service(attempt.org_id);
    const auto found = service.GetSocialNetwork(id);
    ASSERT_OK(found) << attempt.client_key;
    EXPECT_EQ(found->social_network().network(), attempt.network);
    EXPECT_EQ(found->social_network().client_key(), attempt.client_key);
    v1::GetAuthUrlRequest request;
    request.set_network(attempt.network);
    request.set_redirect_uri("https://app.example.com/cb");
    const auto url = service.GetAuthUrl(request);
    ASSERT_OK(url) << attempt.client_key;
    EXPECT_THAT(url->auth_url(), ::testing::HasSubstr(absl::StrCat("=", attempt.client_key, "&")));
  }

  // What was acknowledged is there; what was not is there as a whole or not at all; and nothing
  // else is there.
  void ExpectConsistent(const std::vector<Attempt>& attempts) {
    std::map<std::string, std::map<std::string, const Attempt*>> by_organization;
    for (const Attempt& attempt : attempts) {
      by_organization[attempt.org_id][attempt.network] = &attempt;
    }
    for (const auto& [org_id, by_network] : by_organization) {
      const auto listed = Service(org_id).ListSocialNetworks();
      ASSERT_OK(listed) << org_id;
      std::set<std::string> ids;
      for (const v1::SocialNetwork& each : listed->social_networks()) {
        ids.insert(each.id());
        ASSERT_TRUE(by_network.count(each.network())) << "nobody made " << each.id();
        ExpectThere(*by_network.at(each.network()), each.id());
      }
      for (const auto& [network, attempt] : by_network) {
        if (attempt->id.empty()) continue;
        EXPECT_TRUE(ids.count(attempt->id)) << "lost " << attempt->client_key;
      }
    }
  }

  const ServerFolder folder_;
  std::string service_key_;
  std::unique_ptr<ServerProcess> server_;
  std::optional<TestClient> admin_;
  absl::Duration slowest_start_;
};

TEST_F(KillTest, NoAcknowledgedWriteIsLostAndNoneIsHalfThere) {
  std::mt19937 random(kSeed);
  std::uniform_int_distribution<int> microseconds(0, 120'000);
  std::vector<Writer> writers;
  for (int i = 0; i < kWriters; ++i) writers.emplace_back(i);
  std::vector<Attempt> all;

  ASSERT_NO_FATAL_FAILURE(Start());
  for (int i = 0; i < kKills; ++i) {
    SCOPED_TRACE(absl::StrCat("kill ", i + 1));
    ASSERT_NO_FATAL_FAILURE(WriteAndKill(writers, absl::Microseconds(microseconds(random))));
    ASSERT_NO_FATAL_FAILURE(Start());
    std::vector<Attempt> attempts;
    for (Writer& writer : writers) {
      for (Attempt& attempt : writer.TakeAttempts()) attempts.push_back(std::move(attempt));
    }
    ASSERT_NO_FATAL_FAILURE(ExpectConsistent(attempts));
    all.insert(all.end(), attempts.begin(), attempts.end());
  }
  // Later kills have not harmed what earlier ones had spared.
  ASSERT_NO_FATAL_FAILURE(ExpectConsistent(all));
  EXPECT_EQ(*server_->Stop(), 0);

  const auto acknowledged =
      std::count_if(all.begin(), all.end(), [](const Attempt& each) { return !each.id.empty(); });
  RecordProperty("acknowledged", static_cast<int>(acknowledged));
  RecordProperty("slowest_start_ms", static_cast<int>(absl::ToInt64Milliseconds(slowest_start_)));
  RecordProperty("attempts", static_cast<int>(all.size()));
  EXPECT_GT(acknowledged, kKills);
  EXPECT_GT(static_cast<int64_t>(all.size()), acknowledged) << "no write was ever cut off";
}

}  // namespace
}  // namespace authurl::testing
