// local_flow_test.h: a fixture: the real server, a network in the test's process, and flows from
// the URL to what comes back to the redirect URI.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "authurl/v1/social_account_service.pb.h"
#include "tests/support/local_network.h"
#include "tests/support/server_process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_client.h"

namespace authurl::testing {

class LocalFlowTest : public ::testing::Test {
 protected:
  // Of a person who has consented and is on the way back.
  struct Flow {
    std::string flow_id;
    std::string person;
    std::string code;
    // What comes to the redirect URI.
    std::string response;
  };

  ~LocalFlowTest() override { EXPECT_THAT(network_.complaints(), ::testing::IsEmpty()); }

  // A server, on the same files every time. There is an organisation with an app at both networks.
  void Start(const ServerProcess::Flags& more = {}) {
    ServerProcess::Flags flags = {"--allow_local_instances",
                                  absl::StrCat("--networks_file=", networks_file_)};
    flags.insert(flags.end(), more.begin(), more.end());
    ASSERT_OK_AND_ASSIGN(server_, ServerProcess::Start(folder_, flags));
    if (key_.empty()) {
      ASSERT_NO_FATAL_FAILURE(MakeOrganization());
    }
    org_.emplace(server_->address(), key_);
  }

  absl::StatusOr<Flow> Begin(const TestClient& client, v1::GetAuthUrlRequest request) {
    request.set_redirect_uri("https://app.example.com/cb");
    request.set_tenant_id("customer_42");
    const auto url = client.GetAuthUrl(request);
    if (!url.ok()) return url.status();
    LocalNetwork::Consented consented = network_.Consent(url->auth_url());
    return Flow{.flow_id = url->flow_id(),
                .person = std::move(consented.person),
                .code = std::move(consented.code),
                .response = std::move(consented.url)};
  }
  absl::StatusOr<Flow> Begin(const TestClient& client,
                             const std::string& network = LocalNetwork::kPeople) {
    v1::GetAuthUrlRequest request;
    request.set_network(network);
    return Begin(client, request);
  }

  static absl::StatusOr<v1::CompleteAuthResponse> Complete(const TestClient& client,
                                                           const std::string& response) {
    v1::CompleteAuthRequest request;
    request.set_response(response);
    return client.CompleteAuth(request);
  }

  // All of the organisation's accounts.
  std::vector<v1::SocialAccount> List() const {
    std::vector<v1::SocialAccount> all;
    v1::ListSocialAccountsRequest request;
    request.set_page_size(1000);
    do {
      const auto page = org_->ListSocialAccounts(request);
      EXPECT_OK(page);
      if (!page.ok()) return {};
      EXPECT_EQ(page->unreadable_ids_size(), 0);
      all.insert(all.end(), page->accounts().begin(), page->accounts().end());
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return all;
  }

  ServerFolder folder_;
  LocalNetwork network_;
  const std::string networks_file_ = folder_.dir().Write("networks.textproto", network_.Entries());
  // The organisation's, and may read tokens.
  std::string key_;
  std::unique_ptr<ServerProcess> server_;
  std::optional<TestClient> org_;

 private:
  void MakeOrganization() {
    const TestClient admin(server_->address(), folder_.admin_key());
    ASSERT_OK(admin.CreateOrganization("acme"));
    v1::CreateApiKeyRequest key;
    key.set_org_id("acme");
    key.set_role(v1::ROLE_ORG);
    key.set_read_tokens(true);
    ASSERT_OK_AND_ASSIGN(const v1::CreateApiKeyResponse created, admin.CreateApiKey(key));
    key_ = created.key();
    for (const char* network : {LocalNetwork::kPeople, LocalNetwork::kPages}) {
      ASSERT_OK(admin.WithKey(key_).CreateSocialNetwork(
          NewSocialNetworkRequest(network, LocalNetwork::kClientKey, network_.client_secret())));
    }
  }
};

}  // namespace authurl::testing
