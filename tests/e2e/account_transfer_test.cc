// What a kill, or damage in the database, does to accounts that are taken over and handed on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/storage/sqlite/raw_database.h"
#include "tests/support/local_flow_test.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_client.h"

namespace authurl::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

using Step = LocalNetwork::Step;

class AccountTransferProcessTest : public LocalFlowTest {
 protected:
  void Connect(v1::SocialAccount& account) {
    ASSERT_OK_AND_ASSIGN(const Flow flow, Begin(*org_));
    ASSERT_OK_AND_ASSIGN(const auto completed, Complete(*org_, flow.response));
    ASSERT_EQ(completed.accounts_size(), 1);
    account = completed.accounts(0);
  }
};

TEST_F(AccountTransferProcessTest, AServerThatIsKilledAfterTheRefreshLosesNoToken) {
  ASSERT_NO_FATAL_FAILURE(Start());
  v1::SocialAccount account;
  ASSERT_NO_FATAL_FAILURE(Connect(account));
  ASSERT_OK_AND_ASSIGN(const auto exported, org_->ExportSocialAccounts());
  ASSERT_THAT(exported.accounts(), SizeIs(1));
  // Another organisation takes it over.
  const TestClient admin(server_->address(), folder_.admin_key());
  ASSERT_OK(admin.CreateOrganization("other"));
  ASSERT_OK_AND_ASSIGN(const std::string key, CreateKey(admin, v1::ROLE_ORG, "other"));
  ASSERT_OK(admin.WithKey(key).CreateSocialNetwork(NewSocialNetworkRequest(
      LocalNetwork::kPeople, LocalNetwork::kClientKey, network_.client_secret())));
  v1::ImportSocialAccountsRequest request;
  v1::ImportedAccount& imported = *request.add_accounts();
  imported.set_network(LocalNetwork::kPeople);
  imported.set_tenant_id("customer_42");
  *imported.mutable_tokens() = exported.accounts(0).tokens();
  imported.mutable_tokens()->mutable_access_token_expires_at()->set_seconds(1);

  const int profiles = network_.requests(Step::kProfile);
  network_.Hang(Step::kProfile);
  auto importing = std::async(std::launch::async,
                              [&] { return admin.WithKey(key).ImportSocialAccounts(request); });
  ASSERT_TRUE(network_.WaitForRequests(Step::kProfile, profiles + 1));
  ASSERT_OK(server_->Kill());
  EXPECT_FALSE(importing.get().ok());
  network_.Release();
  EXPECT_EQ(network_.requests(Step::kRefresh), 1);

  ASSERT_NO_FATAL_FAILURE(Start());
  const TestClient other(server_->address(), key);
  ASSERT_OK_AND_ASSIGN(const auto again, other.ImportSocialAccounts(request));
  ASSERT_THAT(again.results(0).accounts(), SizeIs(1)) << again.results(0).message();
  EXPECT_EQ(again.results(0).accounts(0).network_unique_id(), account.network_unique_id());
  EXPECT_EQ(network_.requests(Step::kRefresh), 1);
}

TEST_F(AccountTransferProcessTest, AnExportNamesWhatIsDamagedAndHasTheRest) {
  ASSERT_NO_FATAL_FAILURE(Start());
  std::vector<v1::SocialAccount> accounts(4);
  for (v1::SocialAccount& account : accounts) ASSERT_NO_FATAL_FAILURE(Connect(account));
  std::sort(accounts.begin(), accounts.end(),
            [](const auto& a, const auto& b) { return a.id() < b.id(); });
  EXPECT_EQ(*server_->Stop(), 0);
  {
    const RawDatabase database(folder_.database());
    const auto damage = [&](const std::string& what, const std::string& account_id) {
      database.Execute(absl::StrCat("UPDATE ", what, "'", account_id, "'"));
    };
    damage("social_accounts SET whole = x'0102' WHERE id = ", accounts[0].id());
    damage("social_accounts SET token = x'0102' WHERE id = ", accounts[1].id());
    database.Execute(
        absl::StrCat("UPDATE grants SET tokens = x'0102' WHERE id = (SELECT grant_id FROM "
                     "social_accounts WHERE id = '",
                     accounts[3].id(), "')"));
  }
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_OK_AND_ASSIGN(const auto exported, org_->ExportSocialAccounts());
  ASSERT_THAT(exported.accounts(), SizeIs(1));
  EXPECT_EQ(exported.accounts(0).account().id(), accounts[2].id());
  EXPECT_EQ(exported.accounts(0).tokens().access_token(),
            network_.AccessTokenOf(accounts[2].network_unique_id()));
  EXPECT_THAT(exported.unreadable_ids(),
              ElementsAre(accounts[0].id(), accounts[1].id(), accounts[3].id()));
  EXPECT_EQ(exported.next_page_token(), "");
}

}  // namespace
}  // namespace authurl::testing
