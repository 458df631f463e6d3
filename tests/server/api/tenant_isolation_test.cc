// Another organisation's things answer exactly as things that are not there.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "authurl/v1/webhook_service.pb.h"
#include "tests/server/api/service_fixture.h"

namespace authurl::testing {
namespace {

// One call by somebody who must not see what belongs to the organisation "theirs".
struct Probe {
  std::string request;
  RawMetadata metadata;
  grpc::StatusCode code;
};

class TenantIsolationTest : public ServiceTest {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(ServiceTest::SetUp());
    ASSERT_OK(Configure("x"));
    ASSERT_OK(Admin().CreateOrganization("theirs"));
    ASSERT_OK_AND_ASSIGN(their_key_, CreateKey(Admin(), v1::ROLE_ORG, "theirs"));
    const TestClient them = server_->WithKey(their_key_);
    for (const char* network : {"instagram", "vimeo"}) {
      ASSERT_OK_AND_ASSIGN(const auto created, them.CreateSocialNetwork(NewSocialNetworkRequest(
                                                   network, "key", "secret")));
      their_id_ = created.social_network().id();
    }
    ASSERT_OK_AND_ASSIGN(const auto page,
                         server_->Call<v1::ListSocialNetworksResponse>(
                             "ListSocialNetworks", "page_size: 1", Bearer(their_key_)));
    their_token_ = page.next_page_token();
    ASSERT_OK_AND_ASSIGN(
        const auto url,
        server_->Call<v1::GetAuthUrlResponse>(
            "GetAuthUrl", "network: 'instagram' redirect_uri: 'https://app.example.com/cb'",
            Bearer(their_key_)));
    their_flow_id_ = url.flow_id();
    their_state_ = url.auth_url().substr(url.auth_url().find("&state=") + 7);
    their_state_ = their_state_.substr(0, their_state_.find('&'));
    ASSERT_OK(CreateKey(Admin(), v1::ROLE_MINT, "theirs"));
    ASSERT_OK_AND_ASSIGN(const auto keys, CallAsAdmin<v1::ListApiKeysResponse>(
                                              "ListApiKeys", "org_id: 'theirs' page_size: 1"));
    their_keys_token_ = keys.next_page_token();
    ASSERT_FALSE(their_token_.empty() || their_keys_token_.empty());
    ASSERT_OK_AND_ASSIGN(const auto webhook,
                         server_->Call<v1::CreateWebhookResponse>(
                             "CreateWebhook", "url: 'https://them.example/'", Bearer(their_key_)));
    their_webhook_id_ = webhook.webhook().id();
  }

  // The same call by everybody who acts for acme and may try.
  std::vector<Probe> ByAcme(const std::string& request, grpc::StatusCode code) const {
    return {{request, AsOrg(), code}, {request, AsService("acme"), code}};
  }
  // As an ORG key of acme that names the other organisation.
  Probe Naming(const std::string& request) const {
    return {request, Bearer(org_key_, "theirs"), grpc::NOT_FOUND};
  }
  // ADMIN rpcs know no tenants; all others are refused before anything is looked up.
  std::vector<Probe> NotAdmin(const std::string& request) const {
    std::vector<Probe> probes;
    for (const RawMetadata& metadata :
         {AsOrg(), AsMint(), AsService("acme"), Bearer(org_key_, "theirs")}) {
      probes.push_back({request, metadata, grpc::PERMISSION_DENIED});
    }
    return probes;
  }

  std::map<std::string, std::vector<Probe>> Table() const {
    const std::string id = absl::StrCat("id: '", their_id_, "' ");
    const std::string update = id + "client_key: 'stolen'";
    const std::string mint =
        "network: 'instagram' redirect_uri: 'https://app.example.com/cb' tenant_id: 'a'";
    const std::string batch =
        "networks: ['instagram', 'vimeo'] redirect_uri: 'https://app.example.com/cb'";
    const std::string create = "network: 'reddit' client_key: 'k' client_secret: 's'";
    const std::string page = absl::StrCat("page_token: '", their_token_, "'");
    const std::string their_key_id = absl::StrCat("key_id: '", their_key_.substr(4, 12), "' ");
    std::map<std::string, std::vector<Probe>> table = {
        {"GetAuthUrl", ByAcme(mint, grpc::NOT_FOUND)},
        {"BatchGetAuthUrls", ByAcme(batch, grpc::OK)},
        {"ExplainAuthUrl", ByAcme(mint, grpc::NOT_FOUND)},
        {"ListNetworks", ByAcme("", grpc::OK)},
        {"CreateSocialNetwork", {Naming(create)}},
        {"ListSocialNetworks", ByAcme(page, grpc::INVALID_ARGUMENT)},
        {"GetSocialNetwork", ByAcme(id, grpc::NOT_FOUND)},
        {"UpdateSocialNetwork", ByAcme(update, grpc::NOT_FOUND)},
        {"DeleteSocialNetwork", ByAcme(id, grpc::NOT_FOUND)},
        {"CreateOrganization", NotAdmin("org_id: 'theirs'")},
        {"ListOrganizations", NotAdmin("")},
        {"GetOrganization", NotAdmin("org_id: 'theirs'")},
        {"UpdateOrganization", NotAdmin("org_id: 'theirs' display_name: 'x'")},
        {"DeleteOrganization", NotAdmin("org_id: 'theirs'")},
        {"CreateApiKey", NotAdmin("org_id: 'theirs' role: ROLE_ORG")},
        {"ListApiKeys", NotAdmin("org_id: 'theirs'")},
        {"RevokeApiKey", NotAdmin(their_key_id)},
        {"CreateTenantToken", {Naming("tenant_id: 'a' actions: ACTION_LIST")}},
    };
    const std::string response =
        absl::StrCat("response: 'https://app.example.com/cb?code=c&state=", their_state_, "'");
    for (const char* rpc : {"CompleteAuth", "OpenAuthResponse"}) {
      table[rpc] = ByAcme(response, grpc::INVALID_ARGUMENT);
      table[rpc].push_back({response, AsMint(), grpc::INVALID_ARGUMENT});
      table[rpc].push_back(Naming(response));
    }
    const std::string flow = absl::StrCat("flow_id: '", their_flow_id_, "'");
    table["GetAuthFlow"] = ByAcme(flow, grpc::INVALID_ARGUMENT);
    table["GetAuthFlow"].push_back(Naming(flow));
    // These need no key: there is no one to be told apart.
    table["CompleteHostedAuth"] = {{"path: '/v1' parameters: 'a'", {}, grpc::INVALID_ARGUMENT}};
    const std::string session = absl::StrCat("session_token: 'aus_", std::string(43, 'x'), "' ");
    table["GetPendingConnection"] = {{session, {}, grpc::NOT_FOUND}};
    const std::string choice = session + "choice_ids: '1'";
    table["FinalizePendingConnection"] = ByAcme(choice, grpc::NOT_FOUND);
    table["FinalizePendingConnection"].push_back(Naming(choice));
    // Accounts that are there: social_account_service_test.cc.
    const std::string theirs = absl::StrCat("social_network_id: '", their_id_, "'");
    table["ListSocialAccounts"] = ByAcme(theirs, grpc::OK);
    table["ListSocialAccounts"].push_back(Naming(""));
    const std::string account = "id: 'sa_0123456789abcdefghjk'";
    for (const char* rpc : {"GetSocialAccount", "CheckSocialAccount", "DeleteSocialAccount"}) {
      table[rpc] = ByAcme(account, grpc::NOT_FOUND);
      table[rpc].push_back(Naming(account));
    }
    table["DeleteSocialAccounts"] = ByAcme("tenant_id: 'a'", grpc::OK);
    table["DeleteSocialAccounts"].push_back(Naming("tenant_id: 'a'"));
    const std::string events = "account_id: 'sa_0123456789abcdefghjk'";
    table["ListEvents"] = ByAcme(events, grpc::OK);
    table["ListEvents"].push_back(Naming(events));
    table["GetAccessToken"] = {
        {"account_id: 'sa_0123456789abcdefghjk'", AsOrg(), grpc::PERMISSION_DENIED}};
    const std::string import =
        "accounts { network: 'instagram' tokens { access_token: 'their-token' } }";
    table["ImportSocialAccounts"] = ByAcme(import, grpc::OK);
    table["ImportSocialAccounts"].push_back(Naming(import));
    // Of accounts that are there: account_transfer_test.cc.
    table["ExportSocialAccounts"] = {{"", AsReader(), grpc::OK},
                                     {"", AsOrg(), grpc::PERMISSION_DENIED}};
    const std::string webhook = absl::StrCat("id: '", their_webhook_id_, "' ");
    const std::pair<const char*, const char*> of_webhooks[] = {
        {"GetWebhook", ""},
        {"UpdateWebhook", "url: 'https://stolen.example/'"},
        {"DeleteWebhook", ""},
        {"RotateWebhookSecret", ""},
        {"TestWebhook", ""}};
    for (const auto& [rpc, more] : of_webhooks) {
      table[rpc] = ByAcme(webhook + more, grpc::NOT_FOUND);
      table[rpc].push_back(Naming(webhook + more));
    }
    // No event of theirs is found either.
    const std::string replay = webhook + "event_ids: 'ev_000643f1a2b3c4d5'";
    table["ReplayEvents"] = ByAcme(replay, grpc::NOT_FOUND);
    table["ReplayEvents"].push_back(Naming(replay));
    table["CreateWebhook"] = {Naming("url: 'https://them.example/'")};
    table["ListWebhooks"] = ByAcme("", grpc::OK);
    table["ListWebhooks"].push_back(Naming(""));
    for (const char* rpc : {"GetAuthUrl", "ExplainAuthUrl"}) {
      table[rpc].push_back({mint, AsMint(), grpc::NOT_FOUND});
      table[rpc].push_back({mint, Bearer(mint_key_, "theirs"), grpc::NOT_FOUND});
      table[rpc].push_back(Naming(mint));
    }
    table["BatchGetAuthUrls"].push_back({batch, AsMint(), grpc::OK});
    table["BatchGetAuthUrls"].push_back(Naming(batch));
    table["ListNetworks"].push_back({"", AsMint(), grpc::OK});
    table["ListNetworks"].push_back(Naming(""));
    table["ListSocialNetworks"].push_back(Naming(""));
    table["GetSocialNetwork"].push_back(Naming(id));
    table["UpdateSocialNetwork"].push_back(Naming(update));
    // A fault elsewhere in the request must not make the difference either.
    table["UpdateSocialNetwork"].push_back({id + "scopes: 'a b'", AsOrg(), grpc::NOT_FOUND});
    table["UpdateSocialNetwork"].push_back({id + "client_secret: ''", AsOrg(), grpc::NOT_FOUND});
    table["DeleteSocialNetwork"].push_back(Naming(id));
    // An administrator who says which organisation is meant.
    table["RevokeApiKey"].push_back({their_key_id + "org_id: 'acme'", AsAdmin(), grpc::NOT_FOUND});
    table["ListApiKeys"].push_back(
        {absl::StrCat("org_id: 'acme' page_token: '", their_keys_token_, "'"), AsAdmin(),
         grpc::INVALID_ARGUMENT});
    return table;
  }

  std::string their_key_;
  std::string their_id_;
  std::string their_webhook_id_;
  std::string their_token_;
  std::string their_keys_token_;
  std::string their_flow_id_;
  std::string their_state_;
};

TEST_F(TenantIsolationTest, WhatBelongsToOthersAnswersByteForByteAsWhatIsNotThere) {
  const auto table = Table();
  const std::vector<const Rpc*> rpcs = EveryRpc(Admin());
  EXPECT_EQ(rpcs.size(), table.size());
  std::vector<RawReply> while_theirs;
  for (const Rpc* rpc : rpcs) {
    ASSERT_EQ(table.count(rpc->name()), 1u) << "add " << rpc->full_name() << " to the table";
    for (const Probe& probe : table.at(rpc->name())) {
      while_theirs.push_back(server_->Call(rpc->name(), probe.request, probe.metadata));
      EXPECT_EQ(while_theirs.back().status.error_code(), probe.code)
          << rpc->name() << " " << probe.request << ": "
          << while_theirs.back().status.error_message();
    }
  }

  // Nothing of it has touched them.
  ASSERT_OK_AND_ASSIGN(const auto webhooks, server_->Call<v1::ListWebhooksResponse>(
                                                "ListWebhooks", "", Bearer(their_key_)));
  ASSERT_EQ(webhooks.webhooks_size(), 1);
  EXPECT_EQ(webhooks.webhooks(0).url(), "https://them.example/");
  EXPECT_OK(server_->WithKey(their_key_).GetSocialNetwork(their_id_));
  EXPECT_EQ(server_->WithKey(their_key_).GetSocialNetwork(their_id_)->social_network().client_key(),
            "key");
  EXPECT_EQ(server_->WithKey(their_key_).ListSocialNetworks()->social_networks_size(), 2);

  ASSERT_OK(Admin().DeleteOrganization("theirs"));
  auto before = while_theirs.begin();
  for (const Rpc* rpc : rpcs) {
    for (const Probe& probe : table.at(rpc->name())) {
      SCOPED_TRACE(absl::StrCat(rpc->name(), " ", probe.request));
      const RawReply after = server_->Call(rpc->name(), probe.request, probe.metadata);
      EXPECT_EQ(before->status.error_code(), after.status.error_code());
      EXPECT_EQ(before->status.error_message(), after.status.error_message());
      EXPECT_EQ(ToAbslStatus(before->status), ToAbslStatus(after.status));
      EXPECT_EQ(before->response, after.response);
      ++before;
    }
  }
}

TEST_F(TenantIsolationTest, ListsShowTheOwnOrganizationOnly) {
  for (const RawMetadata& metadata : {AsOrg(), AsService("acme")}) {
    ASSERT_OK_AND_ASSIGN(const auto list, server_->Call<v1::ListSocialNetworksResponse>(
                                              "ListSocialNetworks", "", metadata));
    ASSERT_EQ(list.social_networks_size(), 1);
    EXPECT_EQ(list.social_networks(0).network(), "x");
  }
  ASSERT_OK_AND_ASSIGN(const auto keys,
                       CallAsAdmin<v1::ListApiKeysResponse>("ListApiKeys", "org_id: 'acme'"));
  for (const v1::ApiKey& key : keys.api_keys()) EXPECT_EQ(key.org_id(), "acme");
}

TEST_F(TenantIsolationTest, CatalogAndBatchesShowTheOwnConfigurationsOnly) {
  ASSERT_OK_AND_ASSIGN(const auto networks, Org().ListNetworks());
  for (const v1::Network& network : networks.networks()) {
    EXPECT_EQ(network.configured(), network.id() == "x") << network.id();
  }
  ASSERT_OK_AND_ASSIGN(const auto batch, Call<v1::BatchGetAuthUrlsResponse>(
                                             "BatchGetAuthUrls", "redirect_uri: 'https://a.io/'"));
  ASSERT_EQ(batch.results_size(), 1);
  EXPECT_EQ(batch.results(0).network(), "x");
  ASSERT_OK_AND_ASSIGN(const auto theirs, server_->Call<v1::BatchGetAuthUrlsResponse>(
                                              "BatchGetAuthUrls", "redirect_uri: 'https://a.io/'",
                                              Bearer(their_key_)));
  EXPECT_EQ(theirs.results_size(), 2);
}

TEST_F(TenantIsolationTest, TwoOrganizationsConfigureTheSameNetworkIndependently) {
  ASSERT_OK(Configure("instagram"));
  const std::string mint = "network: 'instagram' redirect_uri: 'https://app.example.com/cb'";
  ASSERT_OK_AND_ASSIGN(const auto ours, GetAuthUrl(mint));
  ASSERT_OK_AND_ASSIGN(const auto theirs, server_->Call<v1::GetAuthUrlResponse>(
                                              "GetAuthUrl", mint, Bearer(their_key_)));
  EXPECT_THAT(ours.auth_url(), ::testing::HasSubstr("client_id=instagram-client-key&"));
  EXPECT_THAT(theirs.auth_url(), ::testing::HasSubstr("client_id=key&"));
}

}  // namespace
}  // namespace authurl::testing
