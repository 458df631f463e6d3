// A disk that takes no more: what only reads goes on, and all is well again once there is room.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "tests/support/server_process.h"
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

}  // namespace
}  // namespace authurl::testing
