// Every rpc at once, from many threads: no call fails for a reason that a single one would not.
#include <atomic>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/flow/auth_state.h"
#include "storage/sqlite/sqlite_backend.h"
#include "tests/server/api/service_fixture.h"
#include "tests/support/build_kind.h"
#include "tests/support/no_limit.h"

namespace authurl::testing {
namespace {

constexpr int kCallers = 16;
constexpr int kCalls = kSanitized ? 60 : 200;
constexpr const char* kNetworks[] = {"instagram", "x", "reddit"};

class ConcurrencyTest : public ServiceTest {
 protected:
  // What may become of a call when others delete and create meanwhile.
  static bool IsExpected(const absl::Status& status) {
    switch (status.code()) {
      case absl::StatusCode::kOk:
      case absl::StatusCode::kNotFound:
      case absl::StatusCode::kAlreadyExists:
        return true;
      case absl::StatusCode::kUnauthenticated:
        // The key went with its organisation.
        return ReasonOf(status) == "API_KEY_INVALID";
      case absl::StatusCode::kFailedPrecondition:
        return ReasonOf(status) == "ORGANIZATION_BEING_DELETED";
      default:
        return false;
    }
  }

  // One call of some kind, which may use what earlier ones of the same thread made.
  absl::Status CallSomething(std::mt19937& random, const std::string& thread, int call) {
    const auto below = [&random](uint32_t limit) { return random() % limit; };
    const std::string network = kNetworks[below(3)];
    const std::string org = absl::StrCat("shared-", below(3));
    const RawMetadata service = AsService(org);
    switch (below(12)) {
      case 0:
        return Admin().CreateOrganization(org).status();
      case 1:
        if (below(4) != 0) return Admin().ListOrganizations().status();
        return Admin().DeleteOrganization(org).status();
      case 2: {
        const auto key = CreateKey(Admin(), v1::ROLE_MINT, org);
        if (!key.ok()) return key.status();
        const auto revoked = Admin().RevokeApiKey(key->substr(4, 12));
        return revoked.status();
      }
      case 3:
        return Admin().ListApiKeys().status();
      case 4:
        return server_
            ->Call<v1::CreateSocialNetworkResponse>(
                "CreateSocialNetwork",
                absl::StrCat("network: '", network, "' client_key: '", org, "-", network,
                             "' client_secret: 's'"),
                service)
            .status();
      case 5: {
        const auto list =
            server_->Call<v1::ListSocialNetworksResponse>("ListSocialNetworks", "", service);
        if (!list.ok() || list->social_networks().empty()) return list.status();
        const std::string id = absl::StrCat("id: '", list->social_networks(0).id(), "' ");
        if (below(3) == 0) {
          return ToAbslStatus(server_->Call("DeleteSocialNetwork", id, service).status);
        }
        const absl::Status updated = ToAbslStatus(
            server_
                ->Call("UpdateSocialNetwork",
                       absl::StrCat(id, "client_secret: '", thread, "-", call, "'"), service)
                .status);
        if (!updated.ok()) return updated;
        return ToAbslStatus(server_->Call("GetSocialNetwork", id, service).status);
      }
      default:
        return Mint(org, network, service);
    }
  }

  absl::Status Mint(const std::string& org, const std::string& network,
                    const RawMetadata& metadata) const {
    const auto reply = server_->Call<v1::GetAuthUrlResponse>(
        "GetAuthUrl",
        absl::StrCat("network: '", network, "' redirect_uri: 'https://app.example.com/cb'"),
        metadata);
    if (reply.ok()) {
      EXPECT_THAT(reply->auth_url(),
                  ::testing::HasSubstr(absl::StrCat("client_id=", org, "-", network, "&")));
    }
    return reply.status();
  }
};

TEST_F(ConcurrencyTest, ManyThreadsMixEveryRpc) {
  std::atomic<int> ok = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kCallers; ++t) {
    threads.emplace_back([this, &ok, t] {
      std::mt19937 random(static_cast<uint32_t>(t) + 1);
      for (int call = 0; call < kCalls; ++call) {
        const absl::Status status = CallSomething(random, absl::StrCat("thread-", t), call);
        EXPECT_TRUE(IsExpected(status)) << status;
        ok += status.ok() ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(ok, kCallers * kCalls / 10);
  EXPECT_OK(Org().ListSocialNetworks());
}

// All of AuthUrlService while the variant of a configuration changes: every answer is that of one
// variant as a whole, and what was handed out as stored is stored.
class VariantConcurrencyTest : public ConcurrencyTest {
 protected:
  static constexpr int kManyThreads = 64;
  static constexpr int kFewCalls = kSanitized ? 10 : 60;
  static constexpr char kGet[] = "network: 'tiktok' redirect_uri: 'https://app.example.com/cb'";

  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(ConcurrencyTest::SetUp());
    ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork tiktok, Configure("tiktok"));
    id_ = absl::StrCat("id: '", tiktok.id(), "' ");
    ASSERT_OK(Configure("wechat"));
    for (const char* variant :
         {"update_mask { paths: 'variant' }", "variant: 'desktop'", "variant: 'business'"}) {
      ASSERT_OK(Call<v1::UpdateSocialNetworkResponse>("UpdateSocialNetwork", id_ + variant));
      ASSERT_OK_AND_ASSIGN(const auto url, GetAuthUrl(kGet));
      kinds_.insert(KindOf(url.auth_url()));
    }
    ASSERT_EQ(kinds_.size(), 3u);
  }

  // All of a URL but what differs each time.
  static std::string KindOf(const std::string& url) {
    const size_t state = url.find("&state=");
    const size_t after = url.find('&', state + 1);
    const std::string rest = after == std::string::npos ? "" : url.substr(after);
    return absl::StrCat(url.substr(0, state), "|", rest.size());
  }
  void ExpectOneKind(const std::string& url) const {
    EXPECT_EQ(kinds_.count(KindOf(url)), 1u) << url;
  }

  absl::Status CallAuthUrlService(std::mt19937& random) {
    switch (random() % 6) {
      case 0: {
        const char* changes[] = {"update_mask { paths: 'variant' }", "variant: 'desktop'",
                                 "variant: 'business'"};
        return Call<v1::UpdateSocialNetworkResponse>("UpdateSocialNetwork",
                                                     id_ + changes[random() % 3])
            .status();
      }
      case 1: {
        const auto batch = Call<v1::BatchGetAuthUrlsResponse>(
            "BatchGetAuthUrls",
            "networks: ['tiktok', 'absent'] redirect_uri: 'https://app.example.com/cb'");
        if (!batch.ok()) return batch.status();
        ExpectOneKind(batch->results(0).auth_url().auth_url());
        EXPECT_TRUE(batch->results(1).has_error());
        return absl::OkStatus();
      }
      case 2: {
        const auto explained = Call<v1::ExplainAuthUrlResponse>("ExplainAuthUrl", kGet);
        if (!explained.ok()) return explained.status();
        EXPECT_EQ(explained->parameters(0).name(), "client_key");
        return absl::OkStatus();
      }
      case 3: {
        const auto networks = Call<v1::ListNetworksResponse>("ListNetworks", "");
        if (!networks.ok()) return networks.status();
        int configured = 0;
        for (const auto& network : networks->networks()) configured += network.configured() ? 1 : 0;
        EXPECT_EQ(configured, 2);
        return absl::OkStatus();
      }
      case 4: {
        const auto url = GetAuthUrl("network: 'wechat' redirect_uri: 'https://app.example.com/cb'");
        if (!url.ok()) return url.status();
        const size_t state = url->auth_url().find("&state=") + 7;
        const std::lock_guard lock(mutex_);
        references_.insert(url->auth_url().substr(state, kStateReferenceChars));
        ++minted_;
        return absl::OkStatus();
      }
      default: {
        const auto url = GetAuthUrl(kGet);
        if (url.ok()) ExpectOneKind(url->auth_url());
        return url.status();
      }
    }
  }

  std::string id_;
  std::set<std::string> kinds_;
  std::mutex mutex_;
  std::set<std::string> references_;  // Guarded by mutex_.
  size_t minted_ = 0;                 // Guarded by mutex_.
};

TEST_F(VariantConcurrencyTest, EveryAnswerIsOfOneVariantAndEveryStoredStateIsThere) {
  std::vector<std::thread> threads;
  for (int t = 0; t < kManyThreads; ++t) {
    threads.emplace_back([this, t] {
      std::mt19937 random(static_cast<uint32_t>(t) + 1);
      for (int call = 0; call < kFewCalls; ++call) EXPECT_OK(CallAuthUrlService(random));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(minted_, 0u);
  EXPECT_EQ(references_.size(), minted_) << "a reference was given twice";

  const KeyRing keys = server_->folder().key_ring();
  const Sealer sealer(keys);
  server_->Close();
  auto backend = OpenSqliteBackend(server_->folder().database());
  ASSERT_OK(backend);
  ASSERT_OK_AND_ASSIGN(const auto store,
                       CredentialStore::Open(*std::move(backend), sealer, FillRandom));
  for (const std::string& reference : references_)
    EXPECT_OK(store->GetAuthState(kNoLimit, reference));
}

TEST_F(ConcurrencyTest, OfManyEqualCreatesOneWins) {
  std::atomic<int> won = 0;
  std::atomic<int> lost = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kCallers; ++t) {
    threads.emplace_back([this, &won, &lost] {
      const absl::Status status = Configure("vimeo").status();
      won += status.ok() ? 1 : 0;
      lost += ReasonOf(status) == "SOCIAL_NETWORK_EXISTS" ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(won, 1);
  EXPECT_EQ(lost, kCallers - 1);
}

TEST_F(ConcurrencyTest, UpdatesOfDifferentFieldsAllCount) {
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork created, Configure("facebook"));
  const std::string id = absl::StrCat("id: '", created.id(), "' ");
  const std::vector<std::string> updates = {"scopes: 'one'",
                                            "client_key: 'two'",
                                            "default_redirect_uri: 'https://three.example.com/'",
                                            "extra_params { key: 'four' value: '4' }",
                                            "variables { key: 'version' value: 'v5.0' }",
                                            "client_secret: 'six'"};
  std::vector<std::thread> threads;
  for (const std::string& update : updates) {
    threads.emplace_back([&] {
      EXPECT_OK(Call<v1::UpdateSocialNetworkResponse>("UpdateSocialNetwork", id + update));
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_OK_AND_ASSIGN(const auto found, Org().GetSocialNetwork(created.id()));
  const v1::SocialNetwork& updated = found.social_network();
  EXPECT_EQ(updated.scopes(0), "one");
  EXPECT_EQ(updated.client_key(), "two");
  EXPECT_EQ(updated.default_redirect_uri(), "https://three.example.com/");
  EXPECT_EQ(updated.extra_params().at("four"), "4");
  EXPECT_EQ(updated.variables().at("version"), "v5.0");
}

}  // namespace
}  // namespace authurl::testing
