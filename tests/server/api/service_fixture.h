// service_fixture.h: a running server with an organisation "acme" that has a key of each role.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/in_process_server.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {

class ServiceTest : public ::testing::Test {
 protected:
  explicit ServiceTest(std::function<void(Config&)> change = [](Config&) {})
      : change_(std::move(change)) {}

  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(server_, InProcessServer::Start(change_));
    ASSERT_OK(server_->Admin().CreateOrganization("acme"));
    ASSERT_OK_AND_ASSIGN(org_key_, CreateKey(server_->Admin(), v1::ROLE_ORG, "acme"));
    ASSERT_OK_AND_ASSIGN(mint_key_, CreateKey(server_->Admin(), v1::ROLE_MINT, "acme"));
    ASSERT_OK_AND_ASSIGN(service_key_, CreateKey(server_->Admin(), v1::ROLE_SERVICE, ""));
  }

  TestClient Admin() const { return server_->Admin(); }
  TestClient Org() const { return server_->WithKey(org_key_); }

  RawMetadata AsAdmin() const { return Bearer(server_->folder().admin_key()); }
  RawMetadata AsOrg() const { return Bearer(org_key_); }
  // As an ORG key that may read tokens; made when it is asked for.
  RawMetadata AsReader() const {
    if (reader_key_.empty()) {
      const auto created = CallAsAdmin<v1::CreateApiKeyResponse>(
          "CreateApiKey", "org_id: 'acme' role: ROLE_ORG read_tokens: true");
      EXPECT_OK(created);
      if (created.ok()) reader_key_ = created->key();
    }
    return Bearer(reader_key_);
  }
  RawMetadata AsMint() const { return Bearer(mint_key_); }
  RawMetadata AsService(const std::string& org_id) const { return Bearer(service_key_, org_id); }

  // Calls with a request in protobuf text and the typed response, as the ORG key of acme.
  template <typename Response>
  absl::StatusOr<Response> Call(const std::string& rpc, const std::string& request) const {
    return server_->Call<Response>(rpc, request, AsOrg());
  }
  template <typename Response>
  absl::StatusOr<Response> CallAsAdmin(const std::string& rpc, const std::string& request) const {
    return server_->Call<Response>(rpc, request, AsAdmin());
  }
  absl::StatusOr<v1::GetAuthUrlResponse> GetAuthUrl(const std::string& request) const {
    return Call<v1::GetAuthUrlResponse>("GetAuthUrl", request);
  }
  // Configures a network for acme; `more` is protobuf text.
  absl::StatusOr<v1::SocialNetwork> Configure(const std::string& network,
                                              const std::string& more = "") const {
    const auto created = Call<v1::CreateSocialNetworkResponse>(
        "CreateSocialNetwork",
        absl::StrCat("network: '", network, "' client_key: '", network,
                     "-client-key' client_secret: 'the-client-secret' ", more));
    if (!created.ok()) return created.status();
    return created->social_network();
  }

  const std::function<void(Config&)> change_;
  std::unique_ptr<InProcessServer> server_;
  std::string org_key_;
  mutable std::string reader_key_;
  std::string mint_key_;
  std::string service_key_;
};

}  // namespace authurl::testing
