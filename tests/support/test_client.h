// test_client.h: calls a server over a real channel.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/status.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "authurl/v1/auth_url_service.grpc.pb.h"
#include "authurl/v1/organization_service.grpc.pb.h"
#include "authurl/v1/social_account_service.grpc.pb.h"
#include "authurl/v1/social_network_service.grpc.pb.h"
#include "tests/support/eventually.h"
#include "tests/support/test_certificates.h"

namespace authurl::testing {

// A channel with connections of its own.
std::shared_ptr<grpc::Channel> NewChannel(const std::string& target,
                                          grpc::ChannelArguments arguments = {});
// The same over TLS. Shows `client` where it is not null.
std::shared_ptr<grpc::Channel> NewTlsChannel(const std::string& target, const std::string& ca,
                                             const Certificate* client = nullptr);

// With google.rpc's details as payloads, so that tests/support/status_matchers.h and core/errors.h
// read them; without RequestInfo, so that the same error of two calls is equal.
absl::Status ToAbslStatus(const grpc::Status& status);

// A channel, an API key and a deadline. A cheap value; safe to use from many threads at once.
class TestClient final {
 public:
  using Metadata = std::map<std::string, std::string>;

  explicit TestClient(std::shared_ptr<grpc::Channel> channel, std::string api_key = "");
  // Over a new plaintext channel.
  explicit TestClient(const std::string& target, std::string api_key = "");

  // The same channel with something else.
  TestClient WithKey(std::string api_key) const;
  TestClient WithMetadata(Metadata metadata) const;
  TestClient WithTimeout(absl::Duration timeout) const;

  absl::StatusOr<v1::GetAuthUrlResponse> GetAuthUrl(const v1::GetAuthUrlRequest& request) const;
  absl::StatusOr<v1::BatchGetAuthUrlsResponse> BatchGetAuthUrls(
      const v1::BatchGetAuthUrlsRequest& request) const;
  absl::StatusOr<v1::ExplainAuthUrlResponse> ExplainAuthUrl(
      const v1::ExplainAuthUrlRequest& request) const;
  absl::StatusOr<v1::ListNetworksResponse> ListNetworks() const;

  absl::StatusOr<v1::CreateSocialNetworkResponse> CreateSocialNetwork(
      const v1::CreateSocialNetworkRequest& request) const;
  absl::StatusOr<v1::ListSocialNetworksResponse> ListSocialNetworks(
      const v1::ListSocialNetworksRequest& request = {}) const;
  absl::StatusOr<v1::GetSocialNetworkResponse> GetSocialNetwork(const std::string& id) const;
  absl::StatusOr<v1::UpdateSocialNetworkResponse> UpdateSocialNetwork(
      const v1::UpdateSocialNetworkRequest& request) const;
  absl::StatusOr<v1::DeleteSocialNetworkResponse> DeleteSocialNetwork(const std::string& id) const;

  absl::StatusOr<v1::CompleteAuthResponse> CompleteAuth(
      const v1::CompleteAuthRequest& request) const;
  absl::StatusOr<v1::OpenAuthResponseResponse> OpenAuthResponse(
      const v1::OpenAuthResponseRequest& request) const;
  absl::StatusOr<v1::GetAuthFlowResponse> GetAuthFlow(const std::string& flow_id) const;
  absl::StatusOr<v1::GetPendingConnectionResponse> GetPendingConnection(
      const std::string& session_token) const;
  absl::StatusOr<v1::FinalizePendingConnectionResponse> FinalizePendingConnection(
      const v1::FinalizePendingConnectionRequest& request) const;
  absl::StatusOr<v1::ListSocialAccountsResponse> ListSocialAccounts(
      const v1::ListSocialAccountsRequest& request = {}) const;
  absl::StatusOr<v1::GetSocialAccountResponse> GetSocialAccount(const std::string& id) const;
  absl::StatusOr<v1::CheckSocialAccountResponse> CheckSocialAccount(const std::string& id) const;
  absl::StatusOr<v1::DeleteSocialAccountResponse> DeleteSocialAccount(const std::string& id) const;
  absl::StatusOr<v1::GetAccessTokenResponse> GetAccessToken(const std::string& account_id) const;
  absl::StatusOr<v1::ImportSocialAccountsResponse> ImportSocialAccounts(
      const v1::ImportSocialAccountsRequest& request) const;
  absl::StatusOr<v1::ExportSocialAccountsResponse> ExportSocialAccounts() const;
  absl::StatusOr<v1::CreateTenantTokenResponse> CreateTenantToken(
      const v1::CreateTenantTokenRequest& request) const;

  absl::StatusOr<v1::CreateOrganizationResponse> CreateOrganization(
      const std::string& org_id) const;
  absl::StatusOr<v1::ListOrganizationsResponse> ListOrganizations() const;
  absl::StatusOr<v1::DeleteOrganizationResponse> DeleteOrganization(
      const std::string& org_id) const;
  absl::StatusOr<v1::CreateApiKeyResponse> CreateApiKey(
      const v1::CreateApiKeyRequest& request) const;
  absl::StatusOr<v1::ListApiKeysResponse> ListApiKeys() const;
  absl::StatusOr<v1::RevokeApiKeyResponse> RevokeApiKey(const std::string& key_id) const;

  // Sends one message of any bytes to any method ("/package.Service/Method") and returns the bytes
  // of the one that is answered.
  absl::StatusOr<std::string> CallBytes(
      const std::string& method, const std::string& request,
      grpc_compression_algorithm compression = GRPC_COMPRESS_NONE) const;

  // What grpc.health.v1.Health says of a service: "SERVING", "NOT_SERVING", ...
  absl::StatusOr<std::string> Health(const std::string& service) const;
  // The services that reflection names.
  absl::StatusOr<std::vector<std::string>> ReflectedServices() const;

 private:
  struct Stubs;

  void Prepare(grpc::ClientContext& context) const;
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(const std::unique_ptr<Stub>& stub,
                                grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
                                const Request& request) const;

  std::shared_ptr<const Stubs> stubs_;
  std::string api_key_;
  Metadata metadata_;
  absl::Duration timeout_ = kPatience;
};

// The example request of the README.
v1::GetAuthUrlRequest ExampleAuthUrlRequest();
v1::CreateSocialNetworkRequest NewSocialNetworkRequest(const std::string& network,
                                                       const std::string& client_key,
                                                       const std::string& client_secret);

// An organisation that can get URLs for instagram.
struct DemoOrganization {
  std::string org_id;
  std::string org_key;
  std::string social_network_id;
};
absl::StatusOr<DemoOrganization> CreateDemoOrganization(const TestClient& admin,
                                                        const std::string& org_id);
// The text of a new key; `org_id` is empty for roles that belong to none.
absl::StatusOr<std::string> CreateKey(const TestClient& admin, v1::Role role,
                                      const std::string& org_id);

}  // namespace authurl::testing
