// Flows over a real channel, against every network as the simulator plays it: from the URL to the
// account, its token, and its end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "authurl/v1/social_account_service.pb.h"
#include "core/catalog/endpoint.h"
#include "core/errors.h"
#include "core/flow/authorization_response.h"
#include "server/observe/log.h"
#include "tests/core/flow/vectors.h"
#include "tests/server/api/social_account_fixture.h"
#include "tests/support/equals_proto.h"
#include "tests/support/eventually.h"
#include "tests/support/network_simulator.h"
#include "tests/support/stderr_pipe.h"
#include "tests/support/temp_dir.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

class EveryNetworkTest : public SocialAccountTest, public ::testing::WithParamInterface<Vector> {};

TEST_P(EveryNetworkTest, IsConnectedCheckedUsedAndDisconnected) {
  SimulatedNetwork& network = Configured(GetParam());
  const std::vector<v1::SocialAccount> accounts = Connect(network);
  ASSERT_THAT(accounts, SizeIs(1));
  const v1::SocialAccount& account = accounts[0];
  EXPECT_EQ(account.tenant_id(), "customer_42");
  EXPECT_EQ(account.network(), network.network().id());
  EXPECT_EQ(account.instance(), network.settings().instance());
  EXPECT_EQ(account.social_network_id(), id_);
  EXPECT_EQ(account.status(), v1::SocialAccount::STATUS_ACTIVE);
  EXPECT_FALSE(account.network_unique_id().empty());
  ASSERT_THAT(List(), SizeIs(1));
  EXPECT_EQ(List()[0].id(), account.id());

  const auto token = TokenOf(account);
  ASSERT_OK(token);
  EXPECT_TRUE(network.Takes(token->access_token()) ||
              network.network().accounts().access_token_size() > 0);
  EXPECT_EQ(token->network_unique_id(), account.network_unique_id());

  const std::string by_id = absl::StrCat("id: '", account.id(), "'");
  const auto checked = Call<v1::CheckSocialAccountResponse>("CheckSocialAccount", by_id);
  ASSERT_OK(checked);
  // Of what pages' own tokens are good for the simulator knows nothing.
  EXPECT_TRUE(checked->healthy() || network.network().accounts().access_token_size() > 0);
  EXPECT_EQ(checked->account().id(), account.id());

  const auto deleted = Call<v1::DeleteSocialAccountResponse>("DeleteSocialAccount", by_id);
  ASSERT_OK(deleted);
  EXPECT_THAT(List(), IsEmpty());
  const bool can_revoke =
      network.network().has_revocation() &&
      network.network().revocation().ends() == catalog::v1::Revocation::ENDS_GRANT;
  EXPECT_EQ(deleted->revocation(),
            can_revoke ? v1::REVOCATION_RESULT_REVOKED : v1::REVOCATION_RESULT_NOT_OFFERED);
  EXPECT_EQ(deleted->message().empty(), can_revoke);
  EXPECT_EQ(network.requests(NetworkStep::kRevocation), can_revoke ? 1 : 0);
  EXPECT_THAT(Call<v1::DeleteSocialAccountResponse>("DeleteSocialAccount", by_id),
              HasReason("SOCIAL_ACCOUNT_NOT_FOUND"));
}

TEST_P(EveryNetworkTest, APersonWhoSaysNoAndAWrongSecretConnectNothing) {
  SimulatedNetwork& network = Configured(GetParam());
  const v1::GetAuthUrlResponse denied_url = UrlFor(network);
  ASSERT_OK_AND_ASSIGN(const PersonReturned denied, network.Deny(denied_url.auth_url()));
  EXPECT_THAT(Complete(denied), HasReason("USER_DENIED"));
  EXPECT_EQ(FlowOf(denied_url).status(), v1::GetAuthFlowResponse::STATUS_FAILED);
  EXPECT_EQ(FlowOf(denied_url).reason(), "USER_DENIED");
  EXPECT_EQ(network.requests(NetworkStep::kExchange), 0);

  network.SetFault(NetworkStep::kExchange, NetworkFault::kStatus500, 1);
  EXPECT_THAT(Complete(Consented(network, UrlFor(network))), HasReason("NETWORK_UNAVAILABLE"));
  EXPECT_THAT(List(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Networks, EveryNetworkTest, ::testing::ValuesIn(PlayedVectors()),
                         [](const ::testing::TestParamInfo<Vector>& info) {
                           std::string name;
                           for (const char c : info.param.title) {
                             name.push_back(
                                 absl::ascii_isalnum(static_cast<unsigned char>(c)) ? c : '_');
                           }
                           return absl::StrCat(name, "_", info.index);
                         });

TEST_F(SocialAccountTest, AFlowIsToldStepByStep) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  const v1::GetAuthUrlResponse url = UrlFor(network);
  EXPECT_EQ(FlowOf(url).status(), v1::GetAuthFlowResponse::STATUS_PENDING);
  network.SetFault(NetworkStep::kExchange, NetworkFault::kHang, 1);
  const PersonReturned returned = Consented(network, url);
  std::thread completing([&] { EXPECT_OK(Complete(returned)); });
  ASSERT_TRUE(network.WaitForRequests(NetworkStep::kExchange, 1));
  EXPECT_EQ(FlowOf(url).status(), v1::GetAuthFlowResponse::STATUS_COMPLETING);
  EXPECT_THAT(Complete(returned), HasReason("COMPLETION_IN_PROGRESS"));
  network.Release();
  completing.join();
  EXPECT_EQ(FlowOf(url).status(), v1::GetAuthFlowResponse::STATUS_COMPLETED);
  EXPECT_THAT(FlowOf(url).account_ids(), SizeIs(1));
  const auto again = Complete(returned);
  ASSERT_OK(again);
  EXPECT_TRUE(again->replayed());

  const v1::GetAuthUrlResponse forgotten = UrlFor(network);
  server_->SetTime(server_->now() + absl::Hours(1));
  EXPECT_EQ(FlowOf(forgotten).status(), v1::GetAuthFlowResponse::STATUS_EXPIRED);
  EXPECT_THAT(Call<v1::GetAuthFlowResponse>("GetAuthFlow", "flow_id: 'made-up'"),
              HasReason("INVALID_PAYLOAD"));
}

// When its token ends is in the grant.
TEST_F(SocialAccountTest, WhatAFlowHasConnectedIsShownAsItIsListed) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  const std::vector<v1::SocialAccount> connected = Connect(network);
  ASSERT_THAT(connected, SizeIs(1));
  EXPECT_TRUE(connected[0].has_access_token_expires_at());
  const std::vector<v1::SocialAccount> listed = List();
  ASSERT_THAT(listed, SizeIs(1));
  EXPECT_THAT(connected[0], EqualsProto(listed[0]));
}

TEST_F(SocialAccountTest, ACallerWhoHangsUpAfterTheSpendLosesNoConsent) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  const v1::GetAuthUrlResponse url = UrlFor(network);
  network.SetFault(NetworkStep::kExchange, NetworkFault::kHang, 1);
  const v1::CompleteAuthRequest request = ResponseOf(Consented(network, url));
  grpc::ClientContext context;
  std::thread calling([&] {
    const RawReply reply = CallRaw(context, server_->channel(), PathOf(FindRpc("CompleteAuth")),
                                   request.SerializeAsString(), AsOrg());
    EXPECT_EQ(reply.status.error_code(), grpc::CANCELLED);
  });
  ASSERT_TRUE(network.WaitForRequests(NetworkStep::kExchange, 1));
  context.TryCancel();
  calling.join();
  EXPECT_THAT(List(), IsEmpty());
  network.Release();
  EXPECT_TRUE(Eventually([&] { return List().size() == 1; }));
  EXPECT_EQ(FlowOf(url).status(), v1::GetAuthFlowResponse::STATUS_COMPLETED);
}

TEST_F(SocialAccountTest, TheHostedCallbackNeedsNoKeyAndSendsTheBrowserOn) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  v1::GetAuthUrlRequest request;
  request.set_tenant_id("customer_42");
  request.set_return_uri("https://app.example.com/connected");
  request.set_return_state("a b");
  const v1::GetAuthUrlResponse url = UrlFor(network, request);
  const PersonReturned returned = Consented(network, url);
  ASSERT_THAT(returned.redirect_uri, StartsWith(kBaseUrl));
  v1::CompleteHostedAuthRequest hosted;
  hosted.set_path(returned.redirect_uri.substr(std::string(kBaseUrl).size()));
  hosted.set_parameters(returned.parameters);
  hosted.set_client_address("192.0.2.1");
  const auto completed =
      Ask<v1::CompleteHostedAuthResponse>("CompleteHostedAuth", hosted, RawMetadata());
  ASSERT_OK(completed);
  EXPECT_EQ(completed->outcome(), v1::CompleteHostedAuthResponse::OUTCOME_CONNECTED);
  ASSERT_THAT(List(), SizeIs(1));
  EXPECT_EQ(completed->location(),
            absl::StrCat("https://app.example.com/connected?success=true&account_id=",
                         List()[0].id(), "&flow_id=", url.flow_id(), "&return_state=a%20b"));

  hosted.set_parameters("state=forged&code=c");
  const auto forged =
      Ask<v1::CompleteHostedAuthResponse>("CompleteHostedAuth", hosted, RawMetadata());
  ASSERT_OK(forged);
  EXPECT_EQ(forged->outcome(), v1::CompleteHostedAuthResponse::OUTCOME_FAILED);
  EXPECT_EQ(forged->reason(), "STATE_INVALID");
  EXPECT_EQ(forged->location(), "");

  hosted.set_client_address("192.0.2.2");
  absl::Status last = absl::OkStatus();
  for (int i = 0; i < 200 && last.ok(); ++i) {
    last =
        Ask<v1::CompleteHostedAuthResponse>("CompleteHostedAuth", hosted, RawMetadata()).status();
  }
  EXPECT_THAT(last, HasReason("RATE_LIMITED"));
  EXPECT_TRUE(RetryAfterOf(last).has_value());
}

TEST_F(SocialAccountTest, ACodeIsHandedToWhoeverExchangesItThemselves) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  v1::GetAuthUrlRequest request;
  request.set_tenant_id("customer_42");
  const v1::GetAuthUrlResponse url = UrlFor(network, request);
  const PersonReturned returned = Consented(network, url);
  v1::OpenAuthResponseRequest open;
  open.set_response(returned.response());
  const auto opened = Ask<v1::OpenAuthResponseResponse>("OpenAuthResponse", open, AsMint());
  ASSERT_OK(opened);
  EXPECT_EQ(opened->network(), "x");
  EXPECT_EQ(opened->tenant_id(), "customer_42");
  EXPECT_EQ(opened->redirect_uri(), kRedirect);
  EXPECT_EQ(ParseAuthorizationResponse(returned.response())->Get("code"), opened->code());
  EXPECT_THAT(opened->code_verifier(), SizeIs(43));
  EXPECT_EQ(opened->flow_id(), url.flow_id());
  EXPECT_THAT(Ask<v1::OpenAuthResponseResponse>("OpenAuthResponse", open, AsMint()),
              HasReason("STATE_ALREADY_USED"));
  EXPECT_THAT(Complete(returned), HasReason("STATE_ALREADY_USED"));
  EXPECT_EQ(simulator_.requests(), 0);
}

// Whether the ID token must repeat a nonce is what the URL said, not what a later one would say.
TEST_F(SocialAccountTest, ScopesThatChangeDuringAFlowChangeNothingOfItsNonce) {
  SimulatedNetwork& network = Configured(VectorNamed("google"));
  for (const bool is_openid : {true, false}) {
    SCOPED_TRACE(is_openid);
    const auto set_scopes = [&](bool has_openid) {
      v1::UpdateSocialNetworkRequest update;
      update.set_id(id_);
      if (has_openid) update.add_scopes("openid");
      update.add_scopes("profile");
      update.add_scopes("email");
      update.mutable_update_mask()->add_paths("scopes");
      EXPECT_OK(Ask<v1::UpdateSocialNetworkResponse>("UpdateSocialNetwork", update));
    };
    set_scopes(is_openid);
    const v1::GetAuthUrlResponse url = UrlFor(network);
    EXPECT_EQ(absl::StrContains(url.auth_url(), "nonce="), is_openid);
    const PersonReturned returned = Consented(network, url);
    set_scopes(!is_openid);
    EXPECT_OK(Complete(returned));
  }
}

TEST_F(SocialAccountTest, AChoiceIsSeenByItsTokenAloneAndMadeByItsOrganization) {
  SimulatedNetwork& network = Configured(VectorNamed("facebook"));
  network.SetPages(2, 3);
  const auto completed = Complete(Consented(network, UrlFor(network)));
  ASSERT_OK(completed);
  ASSERT_TRUE(completed->has_pending());
  EXPECT_THAT(completed->pending().choices(), SizeIs(6));
  v1::GetPendingConnectionRequest get;
  get.set_session_token(completed->pending().session_token());
  const auto pending =
      Ask<v1::GetPendingConnectionResponse>("GetPendingConnection", get, RawMetadata());
  ASSERT_OK(pending);
  EXPECT_THAT(pending->pending().choices(), SizeIs(6));
  EXPECT_EQ(pending->pending().session_token(), "");
  get.set_session_token("aus_" + std::string(43, 'x'));
  EXPECT_THAT(Ask<v1::GetPendingConnectionResponse>("GetPendingConnection", get, RawMetadata()),
              HasReason("SESSION_NOT_FOUND"));

  v1::FinalizePendingConnectionRequest finalize;
  finalize.set_session_token(completed->pending().session_token());
  for (const int i : {1, 4}) finalize.add_choice_ids(completed->pending().choices(i).id());
  const auto finalized =
      Ask<v1::FinalizePendingConnectionResponse>("FinalizePendingConnection", finalize);
  ASSERT_OK(finalized);
  ASSERT_THAT(finalized->accounts(), SizeIs(2));
  const auto again =
      Ask<v1::FinalizePendingConnectionResponse>("FinalizePendingConnection", finalize);
  ASSERT_OK(again);
  EXPECT_EQ(again->accounts(0).id(), finalized->accounts(0).id());
  finalize.add_choice_ids(completed->pending().choices(0).id());
  EXPECT_THAT(Ask<v1::FinalizePendingConnectionResponse>("FinalizePendingConnection", finalize),
              HasReason("SESSION_ALREADY_USED"));
  // The consent lives as long as one of its accounts.
  const auto deleted = Call<v1::DeleteSocialAccountResponse>(
      "DeleteSocialAccount", absl::StrCat("id: '", finalized->accounts(0).id(), "'"));
  ASSERT_OK(deleted);
  EXPECT_EQ(deleted->revocation(), v1::REVOCATION_RESULT_STILL_IN_USE);
  EXPECT_THAT(List(), SizeIs(1));
  const auto gone =
      Call<v1::DeleteSocialAccountsResponse>("DeleteSocialAccounts", "tenant_id: 'customer_42'");
  ASSERT_OK(gone);
  EXPECT_EQ(gone->deleted(), 1);
  EXPECT_THAT(List(), IsEmpty());
}

// A customer without a page of its own: the browser ends at authurl's, and its backend asks.
TEST_F(SocialAccountTest, AChoiceIsMadeByTheFlowWhereNoBrowserReturns) {
  SimulatedNetwork& network = Configured(VectorNamed("facebook"));
  network.SetPages(1, 3);
  v1::GetAuthUrlRequest request;
  request.set_tenant_id("customer_42");
  request.set_redirect_uri(absl::StrCat(kBaseUrl, "/v1/social-networks/facebook/callback"));
  const v1::GetAuthUrlResponse url = UrlFor(network, request);
  const PersonReturned returned = Consented(network, url);
  v1::CompleteHostedAuthRequest hosted;
  hosted.set_path("/v1/social-networks/facebook/callback");
  hosted.set_parameters(returned.parameters);
  const auto completed =
      Ask<v1::CompleteHostedAuthResponse>("CompleteHostedAuth", hosted, RawMetadata());
  ASSERT_OK(completed);
  EXPECT_EQ(completed->outcome(), v1::CompleteHostedAuthResponse::OUTCOME_NEEDS_CHOICE);
  EXPECT_EQ(completed->location(), "");

  v1::GetAuthFlowRequest ask;
  ask.set_flow_id(url.flow_id());
  const auto flow = Ask<v1::GetAuthFlowResponse>("GetAuthFlow", ask, AsMint());
  ASSERT_OK(flow);
  EXPECT_EQ(flow->status(), v1::GetAuthFlowResponse::STATUS_NEEDS_CHOICE);
  ASSERT_THAT(flow->pending().choices(), SizeIs(3));
  EXPECT_EQ(flow->pending().session_token(), "");

  ASSERT_OK(Admin().CreateOrganization("other"));
  v1::FinalizePendingConnectionRequest finalize;
  finalize.set_flow_id(url.flow_id());
  finalize.add_choice_ids(flow->pending().choices(1).id());
  EXPECT_THAT(Ask<v1::FinalizePendingConnectionResponse>("FinalizePendingConnection", finalize,
                                                         AsService("other")),
              HasReason("INVALID_PAYLOAD"));
  finalize.set_session_token("aus_" + std::string(43, 'x'));
  EXPECT_THAT(
      Ask<v1::FinalizePendingConnectionResponse>("FinalizePendingConnection", finalize, AsMint()),
      HasReason("INVALID_PAYLOAD"));
  finalize.clear_session_token();
  // Whoever asked for the URL in a browser need not be who consented.
  v1::CreateTenantTokenRequest tenant;
  tenant.set_tenant_id("customer_42");
  tenant.add_actions(v1::CreateTenantTokenRequest::ACTION_FINALIZE);
  const auto token = Ask<v1::CreateTenantTokenResponse>("CreateTenantToken", tenant);
  ASSERT_OK(token);
  EXPECT_THAT(Ask<v1::FinalizePendingConnectionResponse>("FinalizePendingConnection", finalize,
                                                         Bearer(token->token())),
              HasReason("INVALID_PAYLOAD"));
  // The same again has the same outcome.
  for (int i = 0; i < 2; ++i) {
    const auto finalized =
        Ask<v1::FinalizePendingConnectionResponse>("FinalizePendingConnection", finalize, AsMint());
    ASSERT_OK(finalized);
    ASSERT_THAT(finalized->accounts(), SizeIs(1));
    EXPECT_EQ(finalized->accounts(0).network_unique_id(), finalize.choice_ids(0));
  }
  const auto after = Ask<v1::GetAuthFlowResponse>("GetAuthFlow", ask, AsMint());
  ASSERT_OK(after);
  EXPECT_EQ(after->status(), v1::GetAuthFlowResponse::STATUS_COMPLETED);
  EXPECT_FALSE(after->has_pending());
  // One without a choice has none to be finalized.
  finalize.set_flow_id(UrlFor(network).flow_id());
  EXPECT_THAT(
      Ask<v1::FinalizePendingConnectionResponse>("FinalizePendingConnection", finalize, AsMint()),
      HasReason("SESSION_NOT_FOUND"));
}

TEST_F(SocialAccountTest, AConfigurationGoesOnceItsConsentsAreRevoked) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  ASSERT_THAT(Connect(network), SizeIs(1));
  v1::DeleteSocialNetworkRequest request;
  request.set_id(id_);
  const auto remove = [&] {
    return Ask<v1::DeleteSocialNetworkResponse>("DeleteSocialNetwork", request).status();
  };
  EXPECT_THAT(remove(), HasReason("CONFIGURATION_IN_USE"));
  request.set_accounts(v1::DeleteSocialNetworkRequest::ACCOUNTS_DISCONNECT);
  EXPECT_THAT(remove(), HasReason("REVOCATION_IN_PROGRESS"));
  EXPECT_THAT(List(), IsEmpty());
  EXPECT_TRUE(Eventually([&] { return remove().ok(); }));
  EXPECT_EQ(network.requests(NetworkStep::kRevocation), 1);
}

TEST_F(SocialAccountTest, AConfigurationMayLeaveItsAccountsUntilTheirTokensEnd) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  ASSERT_THAT(Connect(network), SizeIs(1));
  v1::DeleteSocialNetworkRequest request;
  request.set_id(id_);
  request.set_accounts(v1::DeleteSocialNetworkRequest::ACCOUNTS_KEEP_UNTIL_EXPIRY);
  ASSERT_OK(Ask<v1::DeleteSocialNetworkResponse>("DeleteSocialNetwork", request));
  EXPECT_THAT(List(), SizeIs(1));
}

TEST_F(SocialAccountTest, AChoiceThatNobodyMadeInTimeHasFailed) {
  SimulatedNetwork& network = Configured(VectorNamed("facebook"));
  network.SetPages(1, 2);
  const v1::GetAuthUrlResponse url = UrlFor(network);
  ASSERT_OK(Complete(Consented(network, url)));
  server_->SetTime(server_->now() + absl::Minutes(31));
  v1::GetAuthFlowRequest ask;
  ask.set_flow_id(url.flow_id());
  const auto flow = Ask<v1::GetAuthFlowResponse>("GetAuthFlow", ask);
  ASSERT_OK(flow);
  EXPECT_EQ(flow->status(), v1::GetAuthFlowResponse::STATUS_FAILED);
  EXPECT_EQ(flow->reason(), "SESSION_EXPIRED");
}

TEST_F(SocialAccountTest, ListsAreFilteredPagedAndCounted) {
  SimulatedNetwork& network = Configured(VectorNamed("facebook"));
  network.SetPages(1, 10);
  const auto completed = Complete(Consented(network, UrlFor(network)));
  ASSERT_OK(completed);
  v1::FinalizePendingConnectionRequest finalize;
  finalize.set_session_token(completed->pending().session_token());
  for (const auto& choice : completed->pending().choices()) finalize.add_choice_ids(choice.id());
  const auto finalized =
      Ask<v1::FinalizePendingConnectionResponse>("FinalizePendingConnection", finalize);
  ASSERT_OK(finalized);
  ASSERT_THAT(finalized->accounts(), SizeIs(10));

  std::set<std::string> seen;
  std::string token;
  do {
    const auto page = Call<v1::ListSocialAccountsResponse>(
        "ListSocialAccounts", absl::StrCat("page_size: 3 page_token: '", token, "'"));
    ASSERT_OK(page);
    EXPECT_LE(page->accounts_size(), 3);
    for (const auto& account : page->accounts()) EXPECT_TRUE(seen.insert(account.id()).second);
    token = page->next_page_token();
  } while (!token.empty());
  EXPECT_THAT(seen, SizeIs(10));

  const auto rest =
      Call<v1::ListSocialAccountsResponse>("ListSocialAccounts", "offset: 7 count_total: true");
  ASSERT_OK(rest);
  EXPECT_THAT(rest->accounts(), SizeIs(3));
  EXPECT_EQ(rest->total(), 10);
  const auto beyond =
      Call<v1::ListSocialAccountsResponse>("ListSocialAccounts", "offset: 11 count_total: true");
  ASSERT_OK(beyond);
  EXPECT_THAT(beyond->accounts(), IsEmpty());
  EXPECT_EQ(beyond->total(), 10);

  const v1::SocialAccount& one = finalized->accounts(4);
  EXPECT_THAT(List(absl::StrCat("network_unique_id: '", one.network_unique_id(), "'")), SizeIs(1));
  EXPECT_THAT(List("network: 'facebook'"), SizeIs(10));
  EXPECT_THAT(List("network: 'x'"), IsEmpty());
  EXPECT_THAT(List("tenant_id: 'another'"), IsEmpty());
  for (const char* faulty :
       {"tenant_id: ''", "network: ''", "offset: -1", "offset: 10001", "page_size: -1",
        "username: 'a' count_total: true", "page_token: 'x'"}) {
    EXPECT_THAT(Call<v1::ListSocialAccountsResponse>("ListSocialAccounts", faulty),
                HasReason("INVALID_PAYLOAD"))
        << faulty;
  }
}

TEST_F(SocialAccountTest, AccountsOfAnotherOrganizationAnswerAsThoseThatAreNotThere) {
  const std::vector<v1::SocialAccount> accounts = Connect(Configured(VectorNamed("x")));
  ASSERT_THAT(accounts, SizeIs(1));
  ASSERT_OK(Admin().CreateOrganization("other"));
  const auto key = CallAsAdmin<v1::CreateApiKeyResponse>(
      "CreateApiKey", "org_id: 'other' role: ROLE_ORG read_tokens: true");
  ASSERT_OK(key);
  const std::string there = accounts[0].id();
  const std::string not_there = "sa_" + std::string(20, '0');
  for (const char* rpc :
       {"GetSocialAccount", "CheckSocialAccount", "DeleteSocialAccount", "GetAccessToken"}) {
    const std::string field = std::string(rpc) == "GetAccessToken" ? "account_id" : "id";
    const auto ask = [&](const std::string& id) {
      const RawReply reply =
          server_->Call(rpc, absl::StrCat(field, ": '", id, "'"), Bearer(key->key()));
      return absl::StrReplaceAll(reply.status.error_message(), {{id, "ID"}});
    };
    EXPECT_EQ(ask(there), ask(not_there)) << rpc;
  }
  const auto listed = server_->Call<v1::ListSocialAccountsResponse>(
      "ListSocialAccounts", "count_total: true", Bearer(key->key()));
  ASSERT_OK(listed);
  EXPECT_EQ(listed->total(), 0);
  EXPECT_THAT(List(), SizeIs(1));
}

TEST_F(SocialAccountTest, TokensAreForKeysThatMayReadThem) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  const std::vector<v1::SocialAccount> accounts = Connect(network);
  ASSERT_THAT(accounts, SizeIs(1));
  const std::string by_id = absl::StrCat("account_id: '", accounts[0].id(), "'");
  for (const RawMetadata& metadata : {AsOrg(), AsMint(), AsService("acme"), AsAdmin()}) {
    EXPECT_THAT(server_->Call<v1::GetAccessTokenResponse>("GetAccessToken", by_id, metadata),
                HasReason("ROLE_NOT_ALLOWED"));
  }
  ASSERT_OK_AND_ASSIGN(const auto first, TokenOf(accounts[0]));
  EXPECT_TRUE(network.Takes(first.access_token()));
  EXPECT_EQ(first.token_type(), "Bearer");
  // X's last for two hours.
  server_->SetTime(server_->now() + absl::Hours(3));
  ASSERT_OK_AND_ASSIGN(const auto second, TokenOf(accounts[0]));
  EXPECT_NE(second.access_token(), first.access_token());
  EXPECT_TRUE(network.Takes(second.access_token()));
  EXPECT_EQ(network.requests(NetworkStep::kRefresh), 1);
  // The person took the consent back.
  network.EndGrants();
  server_->SetTime(server_->now() + absl::Hours(3));
  EXPECT_THAT(TokenOf(accounts[0]), HasReason("NEEDS_RECONNECT"));
  const v1::SocialAccount dead = List()[0];
  EXPECT_EQ(dead.status(), v1::SocialAccount::STATUS_NEEDS_RECONNECT);
  EXPECT_EQ(dead.status_reason(), "REFRESH_DEAD");
  EXPECT_THAT(dead.status_message(), Not(IsEmpty()));
  // Connecting again keeps the account.
  const std::vector<v1::SocialAccount> again = Connect(network);
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_EQ(again[0].id(), accounts[0].id());
  EXPECT_EQ(again[0].status(), v1::SocialAccount::STATUS_ACTIVE);
}

TEST_F(SocialAccountTest, ATokenThatWasReadIsReadAgainWithoutTheDatabase) {
  const std::vector<v1::SocialAccount> accounts = Connect(Configured(VectorNamed("x")));
  ASSERT_THAT(accounts, SizeIs(1));
  ASSERT_OK_AND_ASSIGN(const auto cold, TokenOf(accounts[0]));
  ASSERT_OK_AND_ASSIGN(const auto warm, TokenOf(accounts[0]));
  EXPECT_THAT(warm, EqualsProto(cold));
  const std::string path = server_->folder().database();
  std::filesystem::rename(path, path + ".away");
  // From now on the database answers nothing. Another account each time: that there is none is
  // kept.
  int asked = 0;
  EXPECT_TRUE(Eventually([&] {
    v1::SocialAccount unknown;
    unknown.set_id(absl::StrCat("sa_unknown", ++asked));
    return ReasonOf(TokenOf(unknown).status()) == "STORAGE_UNAVAILABLE";
  }));
  ASSERT_OK_AND_ASSIGN(const auto away, TokenOf(accounts[0]));
  EXPECT_THAT(away, EqualsProto(cold));
  v1::GetAccessTokenRequest wrong;
  EXPECT_THAT(Ask<v1::GetAccessTokenResponse>("GetAccessToken", wrong, AsReader()),
              HasReason("INVALID_PAYLOAD"));
  wrong.set_account_id(accounts[0].id());
  wrong.mutable_min_validity()->set_seconds(-1);
  EXPECT_THAT(Ask<v1::GetAccessTokenResponse>("GetAccessToken", wrong, AsReader()),
              HasReason("INVALID_PAYLOAD"));
  EXPECT_THAT(Call<v1::GetAccessTokenResponse>(
                  "GetAccessToken", absl::StrCat("account_id: '", accounts[0].id(), "'")),
              HasReason("ROLE_NOT_ALLOWED"));
  std::filesystem::rename(path + ".away", path);
}

// Who read which token is told by the log alone.
TEST_F(SocialAccountTest, AReadIsLoggedWithKeyAndAccountAlsoWhereMemoryAnswersIt) {
  const std::vector<v1::SocialAccount> accounts = Connect(Configured(VectorNamed("x")));
  ASSERT_THAT(accounts, SizeIs(1));
  ASSERT_OK_AND_ASSIGN(const auto key,
                       CallAsAdmin<v1::CreateApiKeyResponse>(
                           "CreateApiKey", "org_id: 'acme' role: ROLE_ORG read_tokens: true"));
  StderrPipe log;
  StartLog("info");
  std::string token;
  const auto read = [&](const std::string& request_id) {
    RawMetadata metadata = Bearer(key.key());
    metadata.emplace("x-request-id", request_id);
    auto told = server_->Call<v1::GetAccessTokenResponse>(
        "GetAccessToken", absl::StrCat("account_id: '", accounts[0].id(), "'"), metadata);
    if (told.ok()) token = told->access_token();
    return told.status();
  };
  // The line comes once the reply is on its way.
  const auto line_of = [&](const std::string& request_id) {
    const std::string id = absl::StrCat("\"request_id\":\"", request_id, "\"");
    std::string found;
    EXPECT_TRUE(Eventually([&] {
      for (const absl::string_view line : absl::StrSplit(log.Text(), '\n')) {
        if (absl::StrContains(line, id) && absl::EndsWith(line, "}")) found = std::string(line);
      }
      return !found.empty();
    })) << request_id;
    return found;
  };
  const auto is_audited = AllOf(
      HasSubstr(R"("event":"call","method":"/authurl.v1.SocialAccountService/GetAccessToken")"),
      HasSubstr(R"("code":"OK")"),
      HasSubstr(absl::StrCat(R"("key_id":")", key.api_key().key_id(), R"(")")),
      HasSubstr(R"("org_id":"acme")"),
      HasSubstr(absl::StrCat(R"("target":")", accounts[0].id(), R"(")")));
  EXPECT_OK(read("from-the-database"));
  EXPECT_THAT(line_of("from-the-database"), is_audited);
  // From now on memory is all that there is.
  const std::string path = server_->folder().database();
  std::filesystem::rename(path, path + ".away");
  int asked = 0;
  EXPECT_TRUE(Eventually([&] {
    log.Text();  // So that there is room for what comes.
    const std::string unknown = absl::StrCat("account_id: 'sa_unknown", ++asked, "'");
    return ReasonOf(
               server_
                   ->Call<v1::GetAccessTokenResponse>("GetAccessToken", unknown, Bearer(key.key()))
                   .status()) == "STORAGE_UNAVAILABLE";
  }));
  EXPECT_OK(read("from-memory"));
  EXPECT_THAT(line_of("from-memory"), is_audited);
  EXPECT_THAT(token, Not(IsEmpty()));
  EXPECT_THAT(log.Text(), Not(HasSubstr(token)));
  StopLog();
  std::filesystem::rename(path + ".away", path);
}

TEST_F(SocialAccountTest, ATokenInMemoryIsGoneAtOnceForWhomItIsGone) {
  SimulatedNetwork& network = Configured(VectorNamed("x"));
  const std::vector<v1::SocialAccount> accounts = Connect(network);
  ASSERT_THAT(accounts, SizeIs(1));
  const v1::SocialAccount& account = accounts[0];
  const std::string by_id = absl::StrCat("account_id: '", account.id(), "'");
  ASSERT_OK(Admin().CreateOrganization("other"));
  const auto other = CallAsAdmin<v1::CreateApiKeyResponse>(
      "CreateApiKey", "org_id: 'other' role: ROLE_ORG read_tokens: true");
  const auto second = CallAsAdmin<v1::CreateApiKeyResponse>(
      "CreateApiKey", "org_id: 'acme' role: ROLE_ORG read_tokens: true");
  ASSERT_OK(other);
  ASSERT_OK(second);
  const auto as = [&](const std::string& key) {
    return server_->Call<v1::GetAccessTokenResponse>("GetAccessToken", by_id, Bearer(key));
  };
  ASSERT_OK(as(second->key()));
  ASSERT_OK_AND_ASSIGN(const auto first, as(second->key()));
  // Whose it is not, twice: the second time memory knows that there is none.
  EXPECT_THAT(as(other->key()), HasReason("SOCIAL_ACCOUNT_NOT_FOUND"));
  EXPECT_THAT(as(other->key()), HasReason("SOCIAL_ACCOUNT_NOT_FOUND"));
  ASSERT_OK(CallAsAdmin<v1::RevokeApiKeyResponse>(
      "RevokeApiKey", absl::StrCat("key_id: '", second->api_key().key_id(), "'")));
  EXPECT_THAT(as(second->key()), HasReason("API_KEY_INVALID"));

  // The person connects again: another token.
  ASSERT_OK(TokenOf(account));
  ASSERT_THAT(Connect(network), SizeIs(1));
  ASSERT_OK_AND_ASSIGN(const auto again, TokenOf(account));
  EXPECT_NE(again.access_token(), first.access_token());
  ASSERT_OK(Call<v1::DeleteSocialAccountResponse>("DeleteSocialAccount",
                                                  absl::StrCat("id: '", account.id(), "'")));
  EXPECT_THAT(TokenOf(account), HasReason("SOCIAL_ACCOUNT_NOT_FOUND"));

  const std::vector<v1::SocialAccount> last = Connect(network);
  ASSERT_THAT(last, SizeIs(1));
  ASSERT_OK(TokenOf(last[0]));
  ASSERT_OK(TokenOf(last[0]));
  ASSERT_OK(CallAsAdmin<v1::DeleteOrganizationResponse>("DeleteOrganization", "org_id: 'acme'"));
  EXPECT_FALSE(TokenOf(last[0]).ok());
}

}  // namespace
}  // namespace authurl::testing
