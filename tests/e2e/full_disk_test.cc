// A disk that takes no more: what only reads goes on, and all is well again once there is room.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/server_process.h"
#include "tests/support/small_disk.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_client.h"

namespace authurl::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// The server's log is shorter than the first, and the database's write-ahead log is soon as long as
// the second.
constexpr int64_t kFullBytes = 64 * 1024;
constexpr int64_t kNearlyFullBytes = 256 * 1024;
constexpr int kManyWrites = 2000;
constexpr char kAuthUrls[] = "authurl.v1.AuthUrlService";
constexpr char kSocialNetworks[] = "authurl.v1.SocialNetworkService";
constexpr char kOrganizations[] = "authurl.v1.OrganizationService";

class FullDiskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(server_, ServerProcess::Start(folder_));
    admin_.emplace(server_->address(), folder_.admin_key());
    ASSERT_OK_AND_ASSIGN(demo_, CreateDemoOrganization(*admin_, "demo"));
    org_.emplace(admin_->WithKey(demo_.org_key));
    ASSERT_OK(org_->CreateSocialNetwork(NewSocialNetworkRequest("wechat", "key", "secret")));
  }

  // How a write fails from now on.
  absl::Status FillTheDisk() {
    if (absl::Status status = server_->LimitFileSize(kNearlyFullBytes); !status.ok()) return status;
    absl::Status written;
    for (int i = 0; written.ok() && i < kManyWrites; ++i) written = Write();
    // There may still be room for a smaller one.
    if (absl::Status status = server_->LimitFileSize(kFullBytes); !status.ok()) return status;
    return Write();
  }
  absl::Status Write() { return CreateKey(*admin_, v1::ROLE_MINT, "demo").status(); }
  bool HealthBecomes(const std::string& service, const std::string& wanted) const {
    return Eventually([&] { return *admin_->Health(service) == wanted; });
  }
  static v1::GetAuthUrlRequest WechatRequest() {
    v1::GetAuthUrlRequest request = ExampleAuthUrlRequest();
    request.set_network("wechat");
    return request;
  }

  ServerFolder folder_;
  std::unique_ptr<ServerProcess> server_;
  std::optional<TestClient> admin_;
  std::optional<TestClient> org_;
  DemoOrganization demo_;
};

TEST_F(FullDiskTest, UrlsThatNeedNothingStoredAreStillHandedOut) {
  ASSERT_OK(org_->GetAuthUrl(WechatRequest()));
  ASSERT_THAT(FillTheDisk(), HasReason("STORAGE_UNAVAILABLE"));

  EXPECT_OK(org_->GetAuthUrl(ExampleAuthUrlRequest()));
  const auto refused = org_->GetAuthUrl(WechatRequest());
  EXPECT_THAT(refused, HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_TRUE(RetryAfterOf(refused.status()).has_value());
  v1::BatchGetAuthUrlsRequest batch;
  batch.add_networks("wechat");
  batch.add_networks("instagram");
  batch.set_redirect_uri("https://app.example.com/cb");
  ASSERT_OK_AND_ASSIGN(const auto results, org_->BatchGetAuthUrls(batch));
  EXPECT_EQ(results.results(0).error().code(), static_cast<int>(absl::StatusCode::kUnavailable));
  EXPECT_THAT(results.results(1).auth_url().auth_url(), StartsWith("https://www.instagram.com/"));
  v1::ExplainAuthUrlRequest explain;
  explain.set_network("wechat");
  explain.set_redirect_uri("https://app.example.com/cb");
  EXPECT_OK(org_->ExplainAuthUrl(explain));
  EXPECT_OK(org_->ListNetworks());
  EXPECT_OK(org_->GetSocialNetwork(demo_.social_network_id));

  ASSERT_OK(server_->LimitFileSize(std::nullopt));
  EXPECT_TRUE(Eventually([&] { return org_->GetAuthUrl(WechatRequest()).ok(); }));
  EXPECT_EQ(*server_->Stop(), 0);
}

TEST_F(FullDiskTest, HealthTellsWhichServicesAreLeft) {
  ASSERT_THAT(FillTheDisk(), HasReason("STORAGE_UNAVAILABLE"));
  for (const char* service : {kSocialNetworks, kOrganizations, ""}) {
    EXPECT_TRUE(HealthBecomes(service, "NOT_SERVING")) << service;
  }
  EXPECT_EQ(*admin_->Health(kAuthUrls), "SERVING");
  EXPECT_TRUE(Eventually(
      [&] { return server_->Log().find("\"event\":\"store_read_only\"") != std::string::npos; }));

  ASSERT_OK(server_->LimitFileSize(std::nullopt));
  for (const char* service : {kSocialNetworks, kOrganizations, ""}) {
    EXPECT_TRUE(HealthBecomes(service, "SERVING")) << service;
  }
  EXPECT_EQ(*admin_->Health(kAuthUrls), "SERVING");
  EXPECT_OK(Write());
  EXPECT_EQ(*server_->Stop(), 0);
  EXPECT_THAT(server_->Log(), HasSubstr("\"event\":\"store_recovered\""));
  EXPECT_THAT(server_->Log(), Not(HasSubstr("\"event\":\"store_failed\"")));
}

// A disk of its own, which really is full.
class SmallDiskTest : public ::testing::Test {
 protected:
  static constexpr int kOfEach = 20;

  void SetUp() override {
    if (const absl::Status status = disk_.Mount(int64_t{48} << 20); !status.ok()) {
      GTEST_SKIP() << status.message();
    }
    ASSERT_NO_FATAL_FAILURE(Start());
    ASSERT_OK_AND_ASSIGN(demo_, CreateDemoOrganization(*admin_, "demo"));
    org_.emplace(admin_->WithKey(demo_.org_key));
    ASSERT_OK(CreateDemoOrganization(*admin_, "other"));
    for (int i = 0; i < kOfEach; ++i) {
      v1::CreateApiKeyRequest key;
      key.set_org_id("demo");
      key.set_role(v1::ROLE_MINT);
      ASSERT_OK_AND_ASSIGN(const auto made, admin_->CreateApiKey(key));
      keys_.push_back(made.api_key().key_id());
      v1::CreateSocialNetworkRequest request = NewSocialNetworkRequest("google", "key", "secret");
      request.set_name(absl::StrCat("name-", i));
      ASSERT_OK_AND_ASSIGN(const auto network, org_->CreateSocialNetwork(request));
      networks_.push_back(network.social_network().id());
    }
  }

  void Start() {
    ASSERT_OK_AND_ASSIGN(
        server_, ServerProcess::Start(
                     folder_, {"--database=" + disk_.File("authurl.db"), "--state_ttl=1s"}));
    admin_.emplace(server_->address(), folder_.admin_key());
    if (!demo_.org_key.empty()) org_.emplace(admin_->WithKey(demo_.org_key));
  }

  absl::Status Write() {
    v1::CreateSocialNetworkRequest request =
        NewSocialNetworkRequest("mastodon", "key", std::string(4096, 's'));
    request.set_instance(absl::StrCat("m", ++written_, ".example.org"));
    return org_->CreateSocialNetwork(request).status();
  }
  // Takes all that is left, until writes are refused.
  void FillTheDisk() {
    for (int i = 0; i < 5000; ++i) {
      disk_.Fill(0);
      if (!Write().ok()) return;
    }
    FAIL() << "writes never failed";
  }
  size_t Count(const std::string& event) const {
    const std::string log = server_->Log();
    size_t count = 0;
    for (size_t at = log.find(event); at != std::string::npos; at = log.find(event, at + 1))
      ++count;
    return count;
  }

  SmallDisk disk_;
  ServerFolder folder_;
  std::unique_ptr<ServerProcess> server_;
  std::optional<TestClient> admin_;
  std::optional<TestClient> org_;
  DemoOrganization demo_;
  std::vector<std::string> keys_;
  std::vector<std::string> networks_;
  int written_ = 0;
};

TEST_F(SmallDiskTest, WhatFreesRoomOrRevokesSucceedsOnADiskThatIsFullForAllElse) {
  for (int i = 0; i < 50; ++i) {
    v1::GetAuthUrlRequest stored = ExampleAuthUrlRequest();
    stored.set_network("google");
    stored.set_configuration(networks_[0]);
    for (int j = 0; j < 8; ++j) stored.add_scopes(absl::StrCat(std::string(150, 's'), j));
    ASSERT_OK(org_->GetAuthUrl(stored));
  }
  ASSERT_NO_FATAL_FAILURE(FillTheDisk());
  // Whoever else is on the disk takes what is dropped, too; but not at once.
  for (int i = 0; i < kOfEach; ++i) {
    EXPECT_OK(admin_->RevokeApiKey(keys_[i])) << i;
    EXPECT_OK(org_->DeleteSocialNetwork(networks_[i])) << i;
    EXPECT_THAT(Write(), HasReason("STORAGE_UNAVAILABLE")) << i;
  }
  EXPECT_OK(admin_->DeleteOrganization("other"));
  EXPECT_OK(org_->GetSocialNetwork(demo_.social_network_id));

  // It is said once, and is not over before there is room.
  EXPECT_TRUE(Eventually([&] { return Count("store_read_only") == 1; }));
  EXPECT_TRUE(Eventually([&] { return *admin_->Health(kSocialNetworks) == "NOT_SERVING"; }));
  absl::SleepFor(absl::Seconds(3));
  EXPECT_EQ(Count("store_read_only"), 1u);
  EXPECT_EQ(Count("store_recovered"), 0u);
  EXPECT_EQ(Count("purge_failed"), 0u) << server_->Log();

  disk_.Fill(int64_t{36} << 20);
  EXPECT_TRUE(Eventually([&] { return Write().ok(); }));
  EXPECT_TRUE(Eventually([&] { return Count("store_recovered") == 1; }));
  EXPECT_EQ(*server_->Stop(), 0);
}

TEST_F(SmallDiskTest, AServerThatIsKilledOnAFullDiskStartsAndRevokesStill) {
  ASSERT_NO_FATAL_FAILURE(FillTheDisk());
  for (const bool politely : {false, true}) {
    ASSERT_OK(politely ? server_->Stop() : server_->Kill());
    ASSERT_NO_FATAL_FAILURE(Start());
    for (int i = 0; i < kOfEach / 2; ++i) {
      const size_t which = static_cast<size_t>(politely ? kOfEach / 2 + i : i);
      EXPECT_OK(admin_->RevokeApiKey(keys_[which])) << politely << i;
      EXPECT_OK(org_->DeleteSocialNetwork(networks_[which])) << politely << i;
    }
  }
  EXPECT_EQ(*server_->Stop(), 0);
}

}  // namespace
}  // namespace authurl::testing
