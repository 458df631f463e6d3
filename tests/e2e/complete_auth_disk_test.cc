// The disk is full when a person's consent is to be stored, which can't be asked for again: it is
// kept, and stored once there is room. And whoever disconnects an account needs no room.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/errors.h"
#include "tests/support/eventually.h"
#include "tests/support/local_flow_test.h"
#include "tests/support/small_disk.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_client.h"

namespace authurl::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using Step = LocalNetwork::Step;

// So small that it is full before the network's answer has been waited for too long.
constexpr int64_t kWholeDisk = 8 * kMiB;
constexpr int64_t kRoomAgain = 5 * kMiB;

class CompleteAuthDiskTest : public LocalFlowTest {
 protected:
  void SetUp() override {
    if (const absl::Status status = disk_.Mount(kWholeDisk); !status.ok()) {
      GTEST_SKIP() << status.message();
    }
    ASSERT_NO_FATAL_FAILURE(Start({"--database=" + disk_.File("authurl.db")}));
  }

  absl::Status WriteMuch() {
    v1::CreateSocialNetworkRequest request =
        NewSocialNetworkRequest("mastodon", "key", std::string(4096, 's'));
    request.set_instance(absl::StrCat("m", ++written_, ".example.org"));
    return org_->CreateSocialNetwork(request).status();
  }
  // Takes all that is left, until writes are refused.
  void FillTheDisk() {
    for (int i = 0; i < 5000; ++i) {
      disk_.Fill(0);
      if (!WriteMuch().ok()) return;
    }
    FAIL() << "writes never failed";
  }

  v1::GetAuthFlowResponse StateOf(const Flow& flow) const {
    const auto state = org_->GetAuthFlow(flow.flow_id);
    EXPECT_OK(state);
    return state.ok() ? *state : v1::GetAuthFlowResponse();
  }

  SmallDisk disk_;
  int written_ = 0;
};

TEST_F(CompleteAuthDiskTest, AConsentThatFindsNoRoomIsKeptAndStoredOnceThereIs) {
  constexpr int kConsents = 3;
  std::vector<Flow> flows;
  std::vector<std::future<absl::StatusOr<v1::CompleteAuthResponse>>> completing;
  network_.Hang(Step::kExchange);
  for (int i = 0; i < kConsents; ++i) {
    ASSERT_OK_AND_ASSIGN(flows.emplace_back(), Begin(*org_));
    completing.push_back(std::async(std::launch::async, [&, response = flows.back().response] {
      return Complete(*org_, response);
    }));
  }
  ASSERT_TRUE(network_.WaitForRequests(Step::kExchange, kConsents));
  ASSERT_NO_FATAL_FAILURE(FillTheDisk());
  network_.Release();

  for (int i = 0; i < kConsents; ++i) {
    const auto told = completing[static_cast<size_t>(i)].get();
    EXPECT_THAT(told, HasReason("STORAGE_UNAVAILABLE"));
    EXPECT_THAT(told, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("It is kept")));
    EXPECT_TRUE(RetryAfterOf(told.status()).has_value());
    EXPECT_EQ(StateOf(flows[static_cast<size_t>(i)]).status(),
              v1::GetAuthFlowResponse::STATUS_COMPLETING);
  }
  EXPECT_THAT(List(), IsEmpty());
  EXPECT_THAT(WriteMuch(), HasReason("STORAGE_UNAVAILABLE"));

  disk_.Fill(kRoomAgain);
  for (const Flow& flow : flows) {
    SCOPED_TRACE(flow.person);
    ASSERT_TRUE(Eventually(
        [&] { return StateOf(flow).status() == v1::GetAuthFlowResponse::STATUS_COMPLETED; }));
    ASSERT_OK_AND_ASSIGN(const auto again, Complete(*org_, flow.response));
    EXPECT_TRUE(again.replayed());
    ASSERT_EQ(again.accounts_size(), 1);
    EXPECT_EQ(again.accounts(0).network_unique_id(), flow.person);
    EXPECT_THAT(StateOf(flow).account_ids(), ElementsAre(again.accounts(0).id()));
    ASSERT_OK_AND_ASSIGN(const auto token, org_->GetAccessToken(again.accounts(0).id()));
    EXPECT_EQ(token.access_token(), network_.AccessTokenOf(flow.person));
    EXPECT_EQ(network_.sent(flow.code), 1);
  }
  EXPECT_THAT(List(), SizeIs(kConsents));
  EXPECT_EQ(network_.requests(Step::kExchange), kConsents);
  EXPECT_EQ(network_.requests(Step::kProfile), kConsents);
  EXPECT_EQ(network_.requests(Step::kRevocation), 0);
  EXPECT_EQ(*server_->Stop(), 0);
}

TEST_F(CompleteAuthDiskTest, OnAFullDiskNoCodeIsSentAndAccountsAreDisconnectedStill) {
  constexpr int kAccounts = 3;
  for (int i = 0; i < kAccounts; ++i) {
    ASSERT_OK_AND_ASSIGN(const Flow flow, Begin(*org_));
    ASSERT_OK(Complete(*org_, flow.response));
  }
  ASSERT_OK_AND_ASSIGN(const Flow late, Begin(*org_));
  ASSERT_NO_FATAL_FAILURE(FillTheDisk());

  // A state that can't be spent leaves its code as good as it is.
  EXPECT_THAT(Complete(*org_, late.response), HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_EQ(network_.sent(late.code), 0);

  const std::vector<v1::SocialAccount> accounts = List();
  ASSERT_THAT(accounts, SizeIs(kAccounts));
  for (int i = 0; i < kAccounts; ++i) {
    const v1::SocialAccount& account = accounts[static_cast<size_t>(i)];
    SCOPED_TRACE(account.network_unique_id());
    EXPECT_OK(org_->GetAccessToken(account.id()));
    ASSERT_OK_AND_ASSIGN(const auto deleted, org_->DeleteSocialAccount(account.id()));
    EXPECT_EQ(deleted.revocation(), v1::REVOCATION_RESULT_REVOKED);
    EXPECT_EQ(network_.AccessTokenOf(account.network_unique_id()), "");
    EXPECT_THAT(org_->GetSocialAccount(account.id()), HasReason("SOCIAL_ACCOUNT_NOT_FOUND"));
  }
  EXPECT_THAT(List(), IsEmpty());
  EXPECT_EQ(network_.requests(Step::kRevocation), kAccounts);
  EXPECT_THAT(WriteMuch(), HasReason("STORAGE_UNAVAILABLE"));

  disk_.Fill(kRoomAgain);
  EXPECT_TRUE(Eventually([&] { return Complete(*org_, late.response).ok(); }));
  EXPECT_EQ(network_.sent(late.code), 1);
  EXPECT_THAT(List(), SizeIs(1));
  EXPECT_EQ(*server_->Stop(), 0);
}

}  // namespace
}  // namespace authurl::testing
