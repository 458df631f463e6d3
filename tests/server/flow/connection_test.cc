#include "server/flow/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/catalog/network_catalog.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

class ConnectionTest : public ::testing::Test {
 protected:
  // A person who came back, of a flow for that tenant.
  absl::StatusOr<Connection> Connect(const std::string& tenant_id,
                                     const record::v1::SocialAccount* reconnected) const {
    OpenedResponse opened;
    opened.network = catalog_.Find("x");
    opened.opened.state.set_org_id("acme");
    opened.opened.state.set_network("x");
    opened.opened.state.set_social_network_id("sn_0123456789abcdefghjk");
    opened.opened.state.set_tenant_id(tenant_id);
    Consent consent;
    consent.person.id = "4711";
    return ConnectionOf(opened, consent, reconnected);
  }
  static record::v1::SocialAccount AccountOfTenant(const std::string& tenant_id) {
    record::v1::SocialAccount account;
    account.set_id("sa_4zjq0v1r8k2m6c3t9xwp");
    account.set_social_network_id("sn_0123456789abcdefghjk");
    account.set_network_unique_id("4711");
    account.set_tenant_id(tenant_id);
    return account;
  }

  const NetworkCatalog catalog_ = NetworkCatalog::Parse(BuiltInNetworksText()).value();
};

TEST_F(ConnectionTest, AccountIsOfTheTenantOfTheFlow) {
  ASSERT_OK_AND_ASSIGN(const Connection connection, Connect("mine", nullptr));
  ASSERT_EQ(connection.accounts.size(), 1u);
  EXPECT_EQ(connection.accounts[0].account.tenant_id(), "mine");
  EXPECT_EQ(connection.pending.tenant_id(), "mine");
}

TEST_F(ConnectionTest, ReconnectedAccountStaysWithItsTenant) {
  const record::v1::SocialAccount mine = AccountOfTenant("mine");
  for (const char* tenant : {"mine", ""}) {
    ASSERT_OK_AND_ASSIGN(const Connection connection, Connect(tenant, &mine));
    ASSERT_EQ(connection.accounts.size(), 1u);
    EXPECT_EQ(connection.accounts[0].account.tenant_id(), "mine");
  }
}

// Who holds a token of one tenant may begin a flow that names any account.
TEST_F(ConnectionTest, AccountOfAnotherTenantIsNotThereToReconnect) {
  for (const char* tenant : {"yours", ""}) {
    const record::v1::SocialAccount theirs = AccountOfTenant(tenant);
    EXPECT_THAT(Connect("mine", &theirs), HasReason("SOCIAL_ACCOUNT_NOT_FOUND"));
  }
}

}  // namespace
}  // namespace authurl::testing
