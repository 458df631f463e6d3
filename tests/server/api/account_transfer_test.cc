// Accounts that are taken over from another product, and handed to another one, over a real channel
// and against networks that the simulator plays.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "authurl/v1/social_account_service.pb.h"
#include "storage/import_store.h"
#include "tests/server/api/social_account_fixture.h"
#include "tests/server/observe/log_lines.h"
#include "tests/support/eventually.h"
#include "tests/support/raw_rpc.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

using GivenTokens = SimulatedNetwork::GivenTokens;
using ImportResult = v1::ImportSocialAccountsResponse::Result;

class AccountTransferTest : public SocialAccountTest {
 protected:
  explicit AccountTransferTest(const std::function<void(Config&)>& change = {})
      : SocialAccountTest(change) {}

  // Of customer_42.
  static v1::ImportedAccount Imported(const SimulatedNetwork& network, const GivenTokens& tokens) {
    v1::ImportedAccount account;
    account.set_network(network.network().id());
    account.set_instance(network.settings().instance());
    account.set_tenant_id("customer_42");
    account.mutable_tokens()->set_access_token(tokens.access_token);
    account.mutable_tokens()->set_refresh_token(tokens.refresh_token);
    return account;
  }
  // Whose access token has ended.
  v1::ImportedAccount Ended(const SimulatedNetwork& network, const GivenTokens& tokens) const {
    v1::ImportedAccount account = Imported(network, tokens);
    account.mutable_tokens()->mutable_access_token_expires_at()->set_seconds(
        absl::ToUnixSeconds(server_->now()) - 1);
    return account;
  }

  absl::StatusOr<v1::ImportSocialAccountsResponse> Import(
      const std::vector<v1::ImportedAccount>& accounts, const RawMetadata& metadata) const {
    v1::ImportSocialAccountsRequest request;
    for (const v1::ImportedAccount& account : accounts) *request.add_accounts() = account;
    return Ask<v1::ImportSocialAccountsResponse>("ImportSocialAccounts", request, metadata);
  }
  std::vector<ImportResult> Import(const std::vector<v1::ImportedAccount>& accounts) const {
    const auto response = Import(accounts, AsOrg());
    EXPECT_OK(response);
    if (!response.ok()) return std::vector<ImportResult>(accounts.size());
    EXPECT_THAT(response->results(), SizeIs(static_cast<int>(accounts.size())));
    return {response->results().begin(), response->results().end()};
  }
  ImportResult Import(const v1::ImportedAccount& account) const {
    return Import(std::vector<v1::ImportedAccount>{account})[0];
  }
  // The one account that it connects.
  v1::SocialAccount Connected(const v1::ImportedAccount& account) const {
    const ImportResult result = Import(account);
    EXPECT_EQ(result.reason(), "") << result.message();
    EXPECT_THAT(result.accounts(), SizeIs(1));
    return result.accounts().empty() ? v1::SocialAccount() : result.accounts(0);
  }
  // Sends what is not waited for.
  std::future<RawReply> ImportMeanwhile(grpc::ClientContext& context,
                                        const v1::ImportedAccount& account) const {
    v1::ImportSocialAccountsRequest request;
    *request.add_accounts() = account;
    return std::async(std::launch::async, [this, &context, request] {
      return CallRaw(context, server_->channel(), PathOf(FindRpc("ImportSocialAccounts")),
                     request.SerializeAsString(), AsOrg());
    });
  }

  absl::StatusOr<v1::ExportSocialAccountsResponse> Export(const std::string& request,
                                                          const RawMetadata& metadata) const {
    return server_->Call<v1::ExportSocialAccountsResponse>("ExportSocialAccounts", request,
                                                           metadata);
  }
  std::vector<v1::ExportedAccount> Export(const std::string& request = "") const {
    const auto response = Export(request, AsReader());
    EXPECT_OK(response);
    if (!response.ok()) return {};
    return {response->accounts().begin(), response->accounts().end()};
  }

  // Another organisation with the same app; its key.
  RawMetadata OtherOrganization(const SimulatedNetwork& network) const {
    EXPECT_OK(Admin().CreateOrganization("other"));
    const auto key = CreateKey(Admin(), v1::ROLE_ORG, "other");
    EXPECT_OK(key);
    const RawMetadata metadata = Bearer(key.ok() ? *key : "");
    EXPECT_THAT(ConfigureFor(network, metadata), Not(IsEmpty()));
    return metadata;
  }
};

TEST_F(AccountTransferTest, AGoodTokenConnectsItsPersonUnderTheTenant) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  const GivenTokens tokens = network.GiveTokens();
  v1::ImportedAccount imported = Imported(network, tokens);
  imported.mutable_tokens()->add_scopes("tweet.read");
  const v1::SocialAccount account = Connected(imported);
  EXPECT_EQ(account.tenant_id(), "customer_42");
  EXPECT_EQ(account.social_network_id(), id_);
  EXPECT_EQ(account.status(), v1::SocialAccount::STATUS_ACTIVE);
  EXPECT_FALSE(account.network_unique_id().empty());
  EXPECT_FALSE(account.username().empty());
  EXPECT_THAT(account.scopes(), ElementsAre("tweet.read"));
  // As of a flow: what the configuration asks for.
  EXPECT_THAT(account.missing_scopes(), Not(IsEmpty()));
  EXPECT_EQ(network.requests(NetworkStep::kRefresh), 0);
  ASSERT_THAT(List(), SizeIs(1));
  EXPECT_EQ(List()[0].id(), account.id());
  const auto token = TokenOf(account);
  ASSERT_OK(token);
  EXPECT_EQ(token->access_token(), tokens.access_token);
}

TEST_F(AccountTransferTest, ARefreshTokenAloneOrWithADeadTokenIsUsedOnce) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  GivenTokens alone = network.GiveTokens();
  alone.access_token.clear();
  const v1::SocialAccount account = Connected(Imported(network, alone));
  EXPECT_EQ(network.requests(NetworkStep::kRefresh), 1);
  EXPECT_TRUE(account.has_access_token_expires_at());
  const auto token = TokenOf(account);
  ASSERT_OK(token);
  EXPECT_TRUE(network.Takes(token->access_token()));
  EXPECT_FALSE(network.Takes(alone.refresh_token));

  // It ended, as far as is known; then, as the network says.
  EXPECT_EQ(Connected(Ended(network, network.GiveTokens())).id(), account.id());
  EXPECT_EQ(network.requests(NetworkStep::kRefresh), 2);
  network.SetFault(NetworkStep::kProfile, NetworkFault::kGrantRejected, 1);
  EXPECT_EQ(Connected(Imported(network, network.GiveTokens())).id(), account.id());
  EXPECT_EQ(network.requests(NetworkStep::kRefresh), 3);
}

TEST_F(AccountTransferTest, DeadTokensConnectNothing) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  GivenTokens tokens = network.GiveTokens();
  network.EndGrants();
  v1::ImportedAccount imported = Imported(network, tokens);
  EXPECT_EQ(Import(imported).reason(), "REFRESH_DEAD");
  EXPECT_FALSE(Import(imported).retriable());
  imported.mutable_tokens()->clear_refresh_token();
  EXPECT_EQ(Import(imported).reason(), "ACCESS_TOKEN_DEAD");
  EXPECT_FALSE(Import(imported).retriable());
  EXPECT_THAT(Import(imported).message(), Not(HasSubstr(tokens.access_token)));
  imported = Ended(network, tokens);
  imported.mutable_tokens()->clear_refresh_token();
  EXPECT_EQ(Import(imported).reason(), "ACCESS_TOKEN_EXPIRED");
  EXPECT_THAT(List(""), IsEmpty());
}

TEST_F(AccountTransferTest, WhoseTheyAreIsWhatTheNetworkSays) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  const GivenTokens tokens = network.GiveTokens();
  v1::ImportedAccount imported = Ended(network, tokens);
  imported.add_network_unique_ids("somebody-else");
  const ImportResult wrong = Import(imported);
  EXPECT_EQ(wrong.reason(), "ACCOUNT_MISMATCH");
  EXPECT_FALSE(wrong.retriable());
  EXPECT_THAT(List(""), IsEmpty());
  // What the refresh gave is not lost with it, and the token is not sent a second time.
  imported.clear_network_unique_ids();
  const v1::SocialAccount account = Connected(imported);
  EXPECT_EQ(network.requests(NetworkStep::kRefresh), 1);
  imported.add_network_unique_ids(account.network_unique_id());
  EXPECT_EQ(Connected(imported).id(), account.id());
  EXPECT_EQ(network.requests(NetworkStep::kRefresh), 1);
}

TEST_F(AccountTransferTest, TheSameAgainUpdatesInPlaceAndSendsNoRefreshTokenTwice) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  const v1::ImportedAccount imported = Ended(network, network.GiveTokens());
  const v1::SocialAccount account = Connected(imported);
  EXPECT_EQ(Connected(imported).id(), account.id());
  EXPECT_EQ(network.requests(NetworkStep::kRefresh), 1);
  // The tokens that the import's became are refreshed as the grant's, not as those that came.
  server_->SetTime(server_->now() + absl::Hours(3));
  EXPECT_EQ(Connected(imported).id(), account.id());
  EXPECT_EQ(network.requests(NetworkStep::kRefresh), 2);
  const auto token = TokenOf(account);
  ASSERT_OK(token);
  EXPECT_TRUE(network.Takes(token->access_token()));
  EXPECT_THAT(List(""), SizeIs(1));

  // Of one that was imported with a token that was good, and refreshed here since.
  v1::ImportedAccount long_lived = Imported(network, network.GiveTokens());
  long_lived.set_tenant_id("customer_43");
  long_lived.mutable_tokens()->mutable_access_token_expires_at()->set_seconds(
      absl::ToUnixSeconds(server_->now() + absl::Hours(4)));
  EXPECT_EQ(Connected(long_lived).tenant_id(), "customer_43");
  server_->SetTime(server_->now() + absl::Hours(5));
  EXPECT_OK(TokenOf(account));
  EXPECT_EQ(network.requests(NetworkStep::kRefresh), 3);
  Connected(long_lived);
  EXPECT_EQ(network.requests(NetworkStep::kRefresh), 3);
}

TEST_F(AccountTransferTest, NewerTokensStay) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  const std::vector<v1::SocialAccount> connected = Connect(network);
  ASSERT_THAT(connected, SizeIs(1));
  const std::string before = TokenOf(connected[0])->access_token();
  const GivenTokens old = network.GiveTokens();
  v1::ImportedAccount imported = Imported(network, old);
  imported.set_tenant_id("customer_43");
  const v1::SocialAccount other = Connected(imported);
  EXPECT_NE(other.id(), connected[0].id());
  EXPECT_EQ(TokenOf(connected[0])->access_token(), before);
  EXPECT_EQ(TokenOf(other)->access_token(), before);

  // Those that end later are newer, as are those that were just refreshed.
  imported.mutable_tokens()->mutable_access_token_expires_at()->set_seconds(
      absl::ToUnixSeconds(server_->now() + absl::Hours(9)));
  Connected(imported);
  EXPECT_EQ(TokenOf(connected[0])->access_token(), old.access_token);
  Connected(Ended(network, network.GiveTokens()));
  EXPECT_NE(TokenOf(connected[0])->access_token(), old.access_token);

  // And any where the connection is dead.
  network.SetFault(NetworkStep::kRefresh, NetworkFault::kGrantRejected, 1);
  server_->SetTime(server_->now() + absl::Hours(20));
  EXPECT_THAT(TokenOf(connected[0]), HasReason("NEEDS_RECONNECT"));
  const GivenTokens rescue = network.GiveTokens();
  Connected(Imported(network, rescue));
  EXPECT_EQ(TokenOf(connected[0])->access_token(), rescue.access_token);
  EXPECT_EQ(TokenOf(other)->access_token(), rescue.access_token);
}

TEST_F(AccountTransferTest, WhatARefreshGaveIsKeptThoughNobodyIsToldWhoseItIs) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  const v1::ImportedAccount imported = Ended(network, network.GiveTokens());
  network.SetFault(NetworkStep::kProfile, NetworkFault::kStatus500, 1);
  const ImportResult failed = Import(imported);
  EXPECT_EQ(failed.reason(), "NETWORK_UNAVAILABLE");
  EXPECT_TRUE(failed.retriable());
  EXPECT_THAT(List(""), IsEmpty());
  Connected(imported);
  EXPECT_EQ(network.requests(NetworkStep::kRefresh), 1);

  // Also where it has ended by then.
  const v1::ImportedAccount other = Ended(network, network.GiveTokens());
  network.SetFault(NetworkStep::kProfile, NetworkFault::kStatus500, 1);
  EXPECT_EQ(Import(other).reason(), "NETWORK_UNAVAILABLE");
  server_->SetTime(server_->now() + absl::Hours(3));
  Connected(other);
  EXPECT_EQ(network.requests(NetworkStep::kRefresh), 3);
}

TEST_F(AccountTransferTest, ARefreshTokenWhoseAnswerIsLostIsNotSentAgain) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  const v1::ImportedAccount imported = Ended(network, network.GiveTokens());
  network.SetFault(NetworkStep::kRefresh, NetworkFault::kRefuseConnection, 1);
  const ImportResult unsent = Import(imported);
  EXPECT_EQ(unsent.reason(), "NETWORK_UNAVAILABLE");
  EXPECT_TRUE(unsent.retriable());
  EXPECT_EQ(network.requests(NetworkStep::kRefresh), 0);
  network.SetFault(NetworkStep::kRefresh, NetworkFault::kTryAgain, 1);
  EXPECT_EQ(Import(imported).reason(), "NETWORK_UNAVAILABLE");
  network.SetFault(NetworkStep::kRefresh, NetworkFault::kHangUp, 1);
  const ImportResult lost = Import(imported);
  EXPECT_EQ(lost.reason(), "REFRESH_ANSWER_LOST");
  EXPECT_FALSE(lost.retriable());
  EXPECT_EQ(network.requests(NetworkStep::kRefresh), 2);
  server_->SetTime(server_->now() + kImportLease);
  EXPECT_EQ(Import(imported).reason(), "REFRESH_ANSWER_LOST");
  EXPECT_EQ(network.requests(NetworkStep::kRefresh), 2);
  EXPECT_THAT(List(""), IsEmpty());
}

TEST_F(AccountTransferTest, ACallerWhoHangsUpAfterTheRefreshLosesNoToken) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  const v1::ImportedAccount imported = Ended(network, network.GiveTokens());
  network.SetFault(NetworkStep::kRefresh, NetworkFault::kHang, 1);
  grpc::ClientContext context;
  std::future<RawReply> reply = ImportMeanwhile(context, imported);
  ASSERT_TRUE(network.WaitForRequests(NetworkStep::kRefresh, 1));
  EXPECT_EQ(Import(imported).reason(), "IMPORT_IN_PROGRESS");
  EXPECT_TRUE(Import(imported).retriable());
  context.TryCancel();
  EXPECT_EQ(reply.get().status.error_code(), grpc::CANCELLED);
  EXPECT_THAT(List(), IsEmpty());
  network.Release();
  EXPECT_TRUE(Eventually([&] { return List().size() == 1; }));
  EXPECT_EQ(Connected(imported).id(), List()[0].id());
  EXPECT_EQ(network.requests(NetworkStep::kRefresh), 1);
}

// What it gave is lost: nothing is to be sent again.
TEST_F(AccountTransferTest, AnOrganizationThatIsDeletedMeanwhileIsNoReasonToTryAgain) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  const v1::ImportedAccount imported = Ended(network, network.GiveTokens());
  network.SetFault(NetworkStep::kRefresh, NetworkFault::kHang, 1);
  grpc::ClientContext context;
  std::future<RawReply> reply = ImportMeanwhile(context, imported);
  ASSERT_TRUE(network.WaitForRequests(NetworkStep::kRefresh, 1));
  ASSERT_OK(Admin().DeleteOrganization("acme"));
  network.Release();
  const RawReply got = reply.get();
  ASSERT_TRUE(got.status.ok()) << got.status.error_message();
  v1::ImportSocialAccountsResponse response;
  ASSERT_TRUE(response.ParseFromString(got.response));
  ASSERT_THAT(response.results(), SizeIs(1));
  EXPECT_EQ(response.results(0).reason(), "ORGANIZATION_NOT_FOUND");
  EXPECT_FALSE(response.results(0).retriable());
}

TEST_F(AccountTransferTest, OfAListThoseThatAreNamedAreConnected) {
  SimulatedNetwork& network = Configured(VectorNamed("facebook"));
  network.SetPages(1, 3);
  v1::ImportedAccount imported = Imported(network, network.GiveTokens());
  imported.mutable_tokens()->clear_refresh_token();
  EXPECT_EQ(Import(imported).reason(), "INVALID_PAYLOAD");
  EXPECT_THAT(Import(imported).message(), HasSubstr("network_unique_ids"));
  EXPECT_EQ(network.requests(NetworkStep::kProfile), 0);

  // What there is, as a flow sees it.
  const auto completed = Complete(Consented(network, UrlFor(network)));
  ASSERT_OK(completed);
  ASSERT_THAT(completed->pending().choices(), SizeIs(3));
  const std::string first = completed->pending().choices(0).id();
  const std::string third = completed->pending().choices(2).id();
  imported.add_network_unique_ids(third);
  imported.add_network_unique_ids(first);
  const ImportResult result = Import(imported);
  EXPECT_EQ(result.reason(), "") << result.message();
  ASSERT_THAT(result.accounts(), SizeIs(2));
  EXPECT_LT(result.accounts(0).id(), result.accounts(1).id());
  std::set<std::string> ids;
  for (const v1::SocialAccount& account : result.accounts()) {
    ids.insert(account.network_unique_id());
    EXPECT_EQ(account.account_type(), v1::SocialAccount::ACCOUNT_TYPE_ORGANIZATION);
    EXPECT_OK(TokenOf(account));
  }
  EXPECT_THAT(ids, ElementsAre(first, third));

  imported.add_network_unique_ids("a-page-of-others");
  const ImportResult wrong = Import(imported);
  EXPECT_EQ(wrong.reason(), "ACCOUNT_MISMATCH");
  EXPECT_THAT(wrong.message(), HasSubstr("a-page-of-others"));
  EXPECT_THAT(List(), SizeIs(2));
}

TEST_F(AccountTransferTest, OneConsentInOneRequestIsRefreshedOnce) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  const v1::ImportedAccount imported = Ended(network, network.GiveTokens());
  v1::ImportedAccount elsewhere = imported;
  elsewhere.set_tenant_id("customer_43");
  const std::vector<ImportResult> results = Import({imported, elsewhere, imported});
  for (const ImportResult& result : results) {
    EXPECT_EQ(result.reason(), "") << result.message();
    ASSERT_THAT(result.accounts(), SizeIs(1));
  }
  EXPECT_EQ(network.requests(NetworkStep::kRefresh), 1);
  EXPECT_EQ(results[0].accounts(0).id(), results[2].accounts(0).id());
  EXPECT_EQ(results[1].accounts(0).tenant_id(), "customer_43");
  EXPECT_NE(results[1].accounts(0).id(), results[0].accounts(0).id());
}

TEST_F(AccountTransferTest, OneThatIsSlowHoldsUpNoneOfTwenty) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  network.SetFault(NetworkStep::kProfile, NetworkFault::kHang, 1);
  v1::ImportSocialAccountsRequest request;
  for (int i = 0; i < 20; ++i) {
    v1::ImportedAccount& account = *request.add_accounts();
    account = Imported(network, network.GiveTokens());
    account.set_tenant_id(absl::StrCat("customer_", i));
    // All of it fits into a request.
    account.mutable_tokens()->set_id_token(std::string(2048, 'i'));
  }
  auto importing = std::async(std::launch::async, [&] {
    return Ask<v1::ImportSocialAccountsResponse>("ImportSocialAccounts", request);
  });
  EXPECT_TRUE(Eventually([&] { return List("").size() == 19; }));
  network.Release();
  const auto response = importing.get();
  ASSERT_OK(response);
  ASSERT_THAT(response->results(), SizeIs(20));
  for (int i = 0; i < 20; ++i) {
    ASSERT_THAT(response->results(i).accounts(), SizeIs(1)) << response->results(i).message();
    EXPECT_EQ(response->results(i).accounts(0).tenant_id(), absl::StrCat("customer_", i));
  }
}

TEST_F(AccountTransferTest, OneThatFailsHoldsUpNoOther) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  v1::ImportedAccount unknown = Imported(network, network.GiveTokens());
  unknown.set_configuration("no-such");
  v1::ImportedAccount elsewhere = unknown;
  elsewhere.clear_configuration();
  elsewhere.set_network("reddit");
  const std::vector<ImportResult> results =
      Import({unknown, elsewhere, Imported(network, network.GiveTokens())});
  for (const int i : {0, 1}) {
    EXPECT_EQ(results[i].reason(), "NETWORK_NOT_CONFIGURED");
    EXPECT_TRUE(results[i].retriable());
    EXPECT_THAT(results[i].accounts(), IsEmpty());
  }
  EXPECT_THAT(results[2].accounts(), SizeIs(1));
  // By name and by id.
  v1::ImportedAccount named = Imported(network, network.GiveTokens());
  named.set_configuration(id_);
  EXPECT_EQ(Connected(named).id(), results[2].accounts(0).id());
}

TEST_F(AccountTransferTest, WrongFieldsAreNamedByTheAccountTheyAreOf) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  const auto import = [&](const auto& change) {
    v1::ImportedAccount bad = Imported(network, network.GiveTokens());
    change(bad);
    const auto response = Import({Imported(network, network.GiveTokens()), bad}, AsOrg());
    EXPECT_THAT(response, HasReason("INVALID_PAYLOAD"));
    const std::vector<FieldViolation> violations = ViolationsOf(response.status());
    for (const std::string& token : {bad.tokens().access_token(), bad.tokens().refresh_token()}) {
      if (token.empty()) continue;
      EXPECT_THAT(std::string(response.status().message()), Not(HasSubstr(token.substr(0, 32))));
    }
    return violations.empty() ? "" : violations[0].field;
  };
  using Account = v1::ImportedAccount;
  EXPECT_EQ(import([](Account& a) { a.set_network("no-such"); }), "accounts[1].network");
  EXPECT_EQ(import([](Account& a) { a.set_instance("x.example"); }), "accounts[1].instance");
  EXPECT_EQ(import([](Account& a) { a.set_tenant_id("a b"); }), "accounts[1].tenant_id");
  EXPECT_EQ(import([](Account& a) { a.set_configuration("A"); }), "accounts[1].configuration");
  EXPECT_EQ(import([](Account& a) { a.clear_tokens(); }), "accounts[1].tokens.access_token");
  EXPECT_EQ(import([](Account& a) {
              a.mutable_tokens()->set_refresh_token(std::string((16 << 10) + 1, 't'));
            }),
            "accounts[1].tokens.refresh_token");
  EXPECT_EQ(
      import([](Account& a) { a.mutable_tokens()->set_refresh_token("a token \xc3\xa9 of mine"); }),
      "accounts[1].tokens.refresh_token");
  EXPECT_EQ(import([](Account& a) {
              a.mutable_tokens()->mutable_access_token_expires_at()->set_seconds(-1);
            }),
            "accounts[1].tokens.access_token_expires_at");
  EXPECT_EQ(import([](Account& a) { (*a.mutable_tokens()->mutable_kept())["a"] = "\n"; }),
            "accounts[1].tokens.kept");
  EXPECT_EQ(import([](Account& a) { a.mutable_tokens()->add_scopes("a\nb"); }),
            "accounts[1].tokens.scopes");
  EXPECT_EQ(import([](Account& a) {
              a.add_network_unique_ids("1");
              a.add_network_unique_ids("1");
            }),
            "accounts[1].network_unique_ids");
  EXPECT_EQ(import([](Account& a) {
              for (int i = 0; i < 501; ++i) a.add_network_unique_ids(absl::StrCat(i));
            }),
            "accounts[1].network_unique_ids");
  EXPECT_THAT(Import(std::vector<Account>(21, Imported(network, {"a", "b"})), AsOrg()),
              HasReason("INVALID_PAYLOAD"));
  EXPECT_THAT(Import(std::vector<Account>(), AsOrg()), HasReason("INVALID_PAYLOAD"));
  EXPECT_THAT(List(""), IsEmpty());

  // What only the network's entry says.
  v1::ImportedAccount two = Imported(network, network.GiveTokens());
  two.add_network_unique_ids("1");
  two.add_network_unique_ids("2");
  EXPECT_EQ(Import(two).reason(), "INVALID_PAYLOAD");
  v1::ImportedAccount kept = Imported(network, network.GiveTokens());
  (*kept.mutable_tokens()->mutable_kept())["made_up"] = "1";
  EXPECT_EQ(Import(kept).reason(), "INVALID_PAYLOAD");
  EXPECT_THAT(Import(kept).message(), HasSubstr("made_up"));
  // A field of bytes that are no UTF-8.
  v1::ImportSocialAccountsRequest request;
  *request.add_accounts() = Imported(network, {"at-0123456789", ""});
  std::string bytes = request.SerializeAsString();
  bytes[bytes.find("customer_42")] = '\xff';
  EXPECT_THAT(ToAbslStatus(CallRaw(server_->channel(), PathOf(FindRpc("ImportSocialAccounts")),
                                   bytes, AsOrg())
                               .status),
              HasReason("INVALID_PAYLOAD"));
}

class FullQuotaTransferTest : public AccountTransferTest {
 protected:
  FullQuotaTransferTest() : AccountTransferTest([](Config& config) { config.max_accounts = 1; }) {}
};

TEST_F(FullQuotaTransferTest, NoMoreAreConnectedThanThereMayBe) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  v1::ImportedAccount imported = Imported(network, network.GiveTokens());
  imported.mutable_tokens()->clear_refresh_token();
  const v1::SocialAccount account = Connected(imported);
  v1::ImportedAccount another = imported;
  another.set_tenant_id("customer_43");
  const ImportResult full = Import(another);
  EXPECT_EQ(full.reason(), "TOO_MANY_ACCOUNTS");
  EXPECT_TRUE(full.retriable());
  EXPECT_EQ(Connected(imported).id(), account.id());
  EXPECT_THAT(List(""), SizeIs(1));

  // As many refresh tokens are remembered.
  EXPECT_EQ(Connected(Ended(network, network.GiveTokens())).id(), account.id());
  EXPECT_EQ(Import(Ended(network, network.GiveTokens())).reason(), "RATE_LIMITED");
  EXPECT_EQ(network.requests(NetworkStep::kRefresh), 1);
}

TEST_F(AccountTransferTest, ExportsAreForKeysThatMayReadTokensAndEachPageIsLogged) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  const GivenTokens tokens = network.GiveTokens();
  const v1::SocialAccount account = Connected(Imported(network, tokens));
  for (const RawMetadata& metadata : {AsOrg(), AsMint(), AsAdmin(), AsService("acme")}) {
    EXPECT_THAT(Export("", metadata), HasReason("ROLE_NOT_ALLOWED"));
  }
  EXPECT_THAT(Import({Imported(network, tokens)}, AsMint()), HasReason("ROLE_NOT_ALLOWED"));
  AsReader();
  std::vector<v1::ExportedAccount> exported;
  const std::vector<std::string> log = LoggedLines("info", [&] { exported = Export(); });
  ASSERT_THAT(exported, SizeIs(1));
  EXPECT_EQ(exported[0].account().id(), account.id());
  EXPECT_EQ(exported[0].tokens().access_token(), tokens.access_token);
  EXPECT_EQ(exported[0].tokens().refresh_token(), tokens.refresh_token);
  EXPECT_EQ(exported[0].own_access_token(), "");
  EXPECT_THAT(Export("network: 'reddit'"), IsEmpty());
  EXPECT_THAT(Export("tenant_id: 'customer_42' network: 'x'"), SizeIs(1));
  EXPECT_THAT(Export("tenant_id: ''", AsReader()), HasReason("INVALID_PAYLOAD"));
  EXPECT_THAT(Export("page_size: -1", AsReader()), HasReason("INVALID_PAYLOAD"));
  EXPECT_THAT(Export("page_token: 'made-up'", AsReader()), HasReason("INVALID_PAYLOAD"));
  const std::string lines = absl::StrJoin(log, "\n");
  EXPECT_THAT(lines, AllOf(HasSubstr("\"event\":\"tokens_exported\""),
                           HasSubstr(absl::StrCat("\"first_account\":\"", account.id(), "\"")),
                           HasSubstr(absl::StrCat("\"key_id\":\"", reader_key_.substr(4, 12)))));
  EXPECT_THAT(lines, Not(HasSubstr(tokens.access_token)));
}

TEST_F(AccountTransferTest, PagesEndWhereTokensAreLong) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  std::set<std::string> ids;
  for (int i = 0; i < 100; ++i) {
    v1::ImportedAccount imported = Imported(network, network.GiveTokens());
    imported.set_tenant_id(absl::StrCat("customer_", i));
    imported.mutable_tokens()->set_id_token(std::string(16 << 10, 'i'));
    ids.insert(Connected(imported).id());
  }
  ASSERT_THAT(ids, SizeIs(100));
  std::set<std::string> exported;
  std::string token;
  int pages = 0;
  do {
    const auto page = Export(absl::StrCat("page_token: '", token, "'"), AsReader());
    ASSERT_OK(page);
    ++pages;
    EXPECT_LT(page->ByteSizeLong(), size_t{2} << 20);
    for (const v1::ExportedAccount& account : page->accounts()) {
      EXPECT_TRUE(exported.insert(account.account().id()).second) << "twice";
      EXPECT_EQ(account.consent_id(), page->accounts(0).consent_id());
    }
    token = page->next_page_token();
  } while (!token.empty());
  EXPECT_EQ(exported, ids);
  EXPECT_EQ(pages, 2);
}

TEST_F(AccountTransferTest, AnotherOrganizationSeesNothingOfIt) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  const v1::ImportedAccount imported = Ended(network, network.GiveTokens());
  const v1::SocialAccount account = Connected(imported);
  const RawMetadata other = OtherOrganization(network);
  const auto key = CallAsAdmin<v1::CreateApiKeyResponse>(
      "CreateApiKey", "org_id: 'other' role: ROLE_ORG read_tokens: true");
  ASSERT_OK(key);
  const auto exported = Export("", Bearer(key->key()));
  ASSERT_OK(exported);
  EXPECT_THAT(exported->accounts(), IsEmpty());
  // Not what became of its refresh token either: the network says that it is dead.
  const auto theirs = Import({imported}, other);
  ASSERT_OK(theirs);
  EXPECT_EQ(theirs->results(0).reason(), "REFRESH_DEAD");
}

class EveryNetworkTransferTest : public AccountTransferTest,
                                 public ::testing::WithParamInterface<Vector> {};

TEST_P(EveryNetworkTransferTest, WhatIsExportedIsImportedByAnotherOrganization) {
  SimulatedNetwork& network = Configured(GetParam());
  const std::vector<v1::SocialAccount> accounts = Connect(network);
  ASSERT_THAT(accounts, SizeIs(1));
  const std::vector<v1::ExportedAccount> exported = Export();
  ASSERT_THAT(exported, SizeIs(1));
  EXPECT_EQ(exported[0].account().id(), accounts[0].id());
  v1::ImportedAccount imported;
  imported.set_network(exported[0].account().network());
  imported.set_instance(exported[0].account().instance());
  imported.set_tenant_id("customer_42");
  *imported.mutable_tokens() = exported[0].tokens();
  imported.add_network_unique_ids(exported[0].account().network_unique_id());
  const auto response = Import({imported}, OtherOrganization(network));
  ASSERT_OK(response);
  const ImportResult& result = response->results(0);
  if (result.reason() == "NOT_CHECKABLE") {
    EXPECT_TRUE(network.network().profile().request().url().empty() ||
                network.network().profile().id().empty());
    EXPECT_FALSE(result.retriable());
    return;
  }
  EXPECT_EQ(result.reason(), "") << result.message();
  ASSERT_THAT(result.accounts(), SizeIs(1));
  EXPECT_EQ(result.accounts(0).org_id(), "other");
  EXPECT_NE(result.accounts(0).id(), accounts[0].id());
  EXPECT_EQ(result.accounts(0).network_unique_id(), accounts[0].network_unique_id());
  EXPECT_EQ(result.accounts(0).account_type(), accounts[0].account_type());
}

INSTANTIATE_TEST_SUITE_P(Networks, EveryNetworkTransferTest, ::testing::ValuesIn(PlayedVectors()),
                         [](const ::testing::TestParamInfo<Vector>& info) {
                           std::string name;
                           for (const char c : info.param.title) {
                             name.push_back(
                                 absl::ascii_isalnum(static_cast<unsigned char>(c)) ? c : '_');
                           }
                           return absl::StrCat(name, "_", info.index);
                         });

}  // namespace
}  // namespace authurl::testing
