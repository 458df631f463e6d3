// One organisation with very much in it: nobody else notices, whatever its callers do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "authurl/record/v1/record.pb.h"
#include "core/crypto/sealer.h"
#include "storage/credential_store.h"
#include "storage/sqlite/sqlite_backend.h"
#include "tests/support/build_kind.h"
#include "tests/support/callers.h"
#include "tests/support/eventually.h"
#include "tests/support/no_limit.h"
#include "tests/support/server_process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_client.h"

namespace authurl::testing {
namespace {

#ifdef AUTHURL_SOAK
constexpr int kConfigurations = 150'000;
#else
constexpr int kConfigurations = 3'000;
#endif

class LargeTenantTest : public ::testing::Test {
 protected:
  void Start() { ASSERT_OK_AND_ASSIGN(server_, ServerProcess::Start(folder_)); }

  // Two organisations of which "large" has so many configurations, each of about so many bytes.
  void Fill(int configurations, size_t bytes) {
    Start();
    ASSERT_OK_AND_ASSIGN(large_, CreateDemoOrganization(Admin(), "large"));
    ASSERT_OK_AND_ASSIGN(small_, CreateDemoOrganization(Admin(), "small"));
    ASSERT_EQ(*server_->Stop(), 0);
    // Past the server, which would sync the disk for each.
    const KeyRing keys = folder_.key_ring();
    const Sealer sealer(keys);
    ASSERT_OK_AND_ASSIGN(auto backend, OpenSqliteBackend(folder_.database()));
    ASSERT_OK_AND_ASSIGN(const auto store,
                         CredentialStore::Open(std::move(backend), sealer, FillRandom));
    std::atomic<int> next = 0;
    std::atomic<int> failed = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 32; ++t) {
      threads.emplace_back([&] {
        for (int i = next++; i < configurations; i = next++) {
          record::v1::SocialNetworkSettings settings;
          settings.set_id(absl::StrCat("sn_", i));
          settings.set_org_id("large");
          settings.set_network("mastodon");
          settings.set_instance(absl::StrCat("instance-", i, ".example"));
          settings.set_version(1);
          settings.set_client_key("key");
          settings.set_default_redirect_uri("https://app.example.com/cb");
          (*settings.mutable_extra_params())["long"] = std::string(bytes, 'x');
          if (!store->social_networks().Create(kNoLimit, settings, "secret").ok()) ++failed;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(failed, 0);
  }

  TestClient Admin() const { return TestClient(server_->address(), folder_.admin_key()); }
  TestClient Large() const { return TestClient(server_->address(), large_.org_key); }
  TestClient Small() const { return TestClient(server_->address(), small_.org_key); }

  ServerFolder folder_;
  std::unique_ptr<ServerProcess> server_;
  DemoOrganization large_, small_;
};

TEST_F(LargeTenantTest, ListsThatManyAskForAtOnceTakeLittleMemory) {
  constexpr int kListers = 32;
  constexpr int kPages = kSanitized ? 2 : 10;
  ASSERT_NO_FATAL_FAILURE(Fill(kSanitized ? 100 : 1'000, 55'000));
  Start();
  ASSERT_OK(Large().GetAuthUrl(ExampleAuthUrlRequest()));
  const int64_t before = server_->ResidentBytes();
  int64_t most = before;
  std::atomic<int> listing = kListers;
  std::vector<std::thread> threads;
  for (int t = 0; t < kListers; ++t) {
    threads.emplace_back([&] {
      const TestClient client = Large();
      v1::ListSocialNetworksRequest request;
      request.set_page_size(1000);
      for (int page = 0; page < kPages; ++page) {
        const auto list = client.ListSocialNetworks(request);
        EXPECT_OK(list);
        if (!list.ok() || list->next_page_token().empty()) break;
        EXPECT_GT(list->social_networks_size(), 0);
        EXPECT_LT(list->ByteSizeLong(), size_t{1} << 20);
        request.set_page_token(list->next_page_token());
      }
      --listing;
    });
  }
  while (listing > 0) {
    most = std::max(most, server_->ResidentBytes());
    absl::SleepFor(absl::Milliseconds(5));
  }
  for (std::thread& thread : threads) thread.join();
  RecordProperty("growth_mib", static_cast<int>((most - before) / kMiB));
  if (!kSanitized) {
    EXPECT_LT(most - before, 64 * kMiB) << before / kMiB << " MiB before";
  }
  EXPECT_EQ(*server_->Stop(), 0);
}

TEST_F(LargeTenantTest, DeletingItTakesEffectAtOnceAndHoldsUpNobody) {
  ASSERT_NO_FATAL_FAILURE(Fill(kConfigurations, 500));
  Start();
  const TestClient small = Small();
  Callers minting(2, [small](int) { return small.GetAuthUrl(ExampleAuthUrlRequest()).status(); });
  Callers writing(2, [small, this](int) {
    v1::UpdateSocialNetworkRequest request;
    request.set_id(small_.social_network_id);
    request.set_client_secret("another");
    return small.UpdateSocialNetwork(request).status();
  });
  ASSERT_OK(Admin().DeleteOrganization("large"));
  EXPECT_THAT(Large().GetAuthUrl(ExampleAuthUrlRequest()), HasReason("API_KEY_INVALID"));
  EXPECT_THAT(Admin().CreateOrganization("large"), HasReason("ORGANIZATION_BEING_DELETED"));
  const absl::Time begin = absl::Now();
  EXPECT_TRUE(Eventually([&] { return Admin().CreateOrganization("large").ok(); },
                         absl::Seconds(60) + kConfigurations * absl::Milliseconds(2)));
  RecordProperty("purge_seconds", absl::ToInt64Seconds(absl::Now() - begin));
  for (Callers* callers : {&minting, &writing}) {
    for (const auto& [code, ending] : callers->Stop()) {
      EXPECT_EQ(code, absl::StatusCode::kOk) << ending.calls << ": " << ending.first_message;
      RecordProperty(callers == &minting ? "minted" : "written", static_cast<int>(ending.calls));
    }
  }
  EXPECT_THAT(Large().GetAuthUrl(ExampleAuthUrlRequest()), HasReason("API_KEY_INVALID"));
  EXPECT_EQ(*server_->Stop(), 0);
}

}  // namespace
}  // namespace authurl::testing
