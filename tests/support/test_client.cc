#include "tests/support/test_client.h"

#include <google/protobuf/unknown_field_set.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <future>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace authurl::testing {
namespace {

using google::protobuf::UnknownFieldSet;
using BytesStub = grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer>;

constexpr int kTestReplyBytes = 64 * 1024 * 1024;

std::shared_ptr<grpc::Channel> NewChannel(
    const std::string& target, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    grpc::ChannelArguments arguments) {
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(kTestReplyBytes);
  return grpc::CreateCustomChannel(target, credentials, arguments);
}

// Small messages without generated code: fields by their numbers.
std::string OneField(int number, const std::string& text) {
  UnknownFieldSet fields;
  fields.AddLengthDelimited(number, text);
  std::string bytes;
  fields.SerializeToString(&bytes);
  return bytes;
}

std::vector<std::string> TextFields(const std::string& message, int number) {
  UnknownFieldSet fields;
  fields.ParseFromString(message);
  std::vector<std::string> values;
  for (int i = 0; i < fields.field_count(); ++i) {
    const google::protobuf::UnknownField& field = fields.field(i);
    if (field.number() == number) values.push_back(field.length_delimited());
  }
  return values;
}

// The value of the only field of a message, which is an enum; 0 is left out on the wire.
uint64_t OnlyEnum(const std::string& message) {
  UnknownFieldSet fields;
  fields.ParseFromString(message);
  return fields.field_count() == 1 ? fields.field(0).varint() : 0;
}

}  // namespace

std::shared_ptr<grpc::Channel> NewChannel(const std::string& target,
                                          grpc::ChannelArguments arguments) {
  return NewChannel(target, grpc::InsecureChannelCredentials(), std::move(arguments));
}

std::shared_ptr<grpc::Channel> NewTlsChannel(const std::string& target, const std::string& ca,
                                             const Certificate* client) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = ca;
  if (client != nullptr) {
    options.pem_private_key = client->key;
    options.pem_cert_chain = client->certificate;
  }
  return NewChannel(target, grpc::SslCredentials(options), {});
}

absl::Status ToAbslStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) {
    return absl::InternalError("the details are no google.rpc.Status");
  }
  for (const auto& any : details.details()) {
    if (any.Is<google::rpc::RequestInfo>()) continue;
    result.SetPayload(any.type_url(), absl::Cord(any.value()));
  }
  return result;
}

struct TestClient::Stubs {
  explicit Stubs(const std::shared_ptr<grpc::Channel>& channel)
      : auth_url(v1::AuthUrlService::NewStub(channel)),
        social_network(v1::SocialNetworkService::NewStub(channel)),
        social_account(v1::SocialAccountService::NewStub(channel)),
        organization(v1::OrganizationService::NewStub(channel)),
        bytes(std::make_unique<BytesStub>(channel)) {}

  std::unique_ptr<v1::AuthUrlService::Stub> auth_url;
  std::unique_ptr<v1::SocialNetworkService::Stub> social_network;
  std::unique_ptr<v1::SocialAccountService::Stub> social_account;
  std::unique_ptr<v1::OrganizationService::Stub> organization;
  std::unique_ptr<BytesStub> bytes;
};

TestClient::TestClient(std::shared_ptr<grpc::Channel> channel, std::string api_key)
    : stubs_(std::make_shared<Stubs>(channel)), api_key_(std::move(api_key)) {}

TestClient::TestClient(const std::string& target, std::string api_key)
    : TestClient(NewChannel(target), std::move(api_key)) {}

TestClient TestClient::WithKey(std::string api_key) const {
  TestClient other = *this;
  other.api_key_ = std::move(api_key);
  return other;
}

TestClient TestClient::WithMetadata(Metadata metadata) const {
  TestClient other = *this;
  other.metadata_ = std::move(metadata);
  return other;
}

TestClient TestClient::WithTimeout(absl::Duration timeout) const {
  TestClient other = *this;
  other.timeout_ = timeout;
  return other;
}

void TestClient::Prepare(grpc::ClientContext& context) const {
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout_));
  if (!api_key_.empty()) context.AddMetadata("authorization", absl::StrCat("Bearer ", api_key_));
  for (const auto& [name, value] : metadata_) context.AddMetadata(name, value);
}

template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> TestClient::Call(const std::unique_ptr<Stub>& stub,
                                          grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                                       const Request&, Response*),
                                          const Request& request) const {
  grpc::ClientContext context;
  Prepare(context);
  Response response;
  const grpc::Status status = ((*stub).*method)(&context, request, &response);
  if (!status.ok()) return ToAbslStatus(status);
  return response;
}

absl::StatusOr<v1::GetAuthUrlResponse> TestClient::GetAuthUrl(
    const v1::GetAuthUrlRequest& request) const {
  return Call(stubs_->auth_url, &v1::AuthUrlService::Stub::GetAuthUrl, request);
}

absl::StatusOr<v1::BatchGetAuthUrlsResponse> TestClient::BatchGetAuthUrls(
    const v1::BatchGetAuthUrlsRequest& request) const {
  return Call(stubs_->auth_url, &v1::AuthUrlService::Stub::BatchGetAuthUrls, request);
}

absl::StatusOr<v1::ExplainAuthUrlResponse> TestClient::ExplainAuthUrl(
    const v1::ExplainAuthUrlRequest& request) const {
  return Call(stubs_->auth_url, &v1::AuthUrlService::Stub::ExplainAuthUrl, request);
}

absl::StatusOr<v1::ListNetworksResponse> TestClient::ListNetworks() const {
  return Call(stubs_->auth_url, &v1::AuthUrlService::Stub::ListNetworks, v1::ListNetworksRequest());
}

absl::StatusOr<v1::CreateSocialNetworkResponse> TestClient::CreateSocialNetwork(
    const v1::CreateSocialNetworkRequest& request) const {
  return Call(stubs_->social_network, &v1::SocialNetworkService::Stub::CreateSocialNetwork,
              request);
}

absl::StatusOr<v1::ListSocialNetworksResponse> TestClient::ListSocialNetworks(
    const v1::ListSocialNetworksRequest& request) const {
  return Call(stubs_->social_network, &v1::SocialNetworkService::Stub::ListSocialNetworks, request);
}

absl::StatusOr<v1::GetSocialNetworkResponse> TestClient::GetSocialNetwork(
    const std::string& id) const {
  v1::GetSocialNetworkRequest request;
  request.set_id(id);
  return Call(stubs_->social_network, &v1::SocialNetworkService::Stub::GetSocialNetwork, request);
}

absl::StatusOr<v1::UpdateSocialNetworkResponse> TestClient::UpdateSocialNetwork(
    const v1::UpdateSocialNetworkRequest& request) const {
  return Call(stubs_->social_network, &v1::SocialNetworkService::Stub::UpdateSocialNetwork,
              request);
}

absl::StatusOr<v1::DeleteSocialNetworkResponse> TestClient::DeleteSocialNetwork(
    const std::string& id) const {
  v1::DeleteSocialNetworkRequest request;
  request.set_id(id);
  return Call(stubs_->social_network, &v1::SocialNetworkService::Stub::DeleteSocialNetwork,
              request);
}

absl::StatusOr<v1::CompleteAuthResponse> TestClient::CompleteAuth(
    const v1::CompleteAuthRequest& request) const {
  return Call(stubs_->social_account, &v1::SocialAccountService::Stub::CompleteAuth, request);
}

absl::StatusOr<v1::OpenAuthResponseResponse> TestClient::OpenAuthResponse(
    const v1::OpenAuthResponseRequest& request) const {
  return Call(stubs_->social_account, &v1::SocialAccountService::Stub::OpenAuthResponse, request);
}

absl::StatusOr<v1::GetAuthFlowResponse> TestClient::GetAuthFlow(const std::string& flow_id) const {
  v1::GetAuthFlowRequest request;
  request.set_flow_id(flow_id);
  return Call(stubs_->social_account, &v1::SocialAccountService::Stub::GetAuthFlow, request);
}

absl::StatusOr<v1::GetPendingConnectionResponse> TestClient::GetPendingConnection(
    const std::string& session_token) const {
  v1::GetPendingConnectionRequest request;
  request.set_session_token(session_token);
  return Call(stubs_->social_account, &v1::SocialAccountService::Stub::GetPendingConnection,
              request);
}

absl::StatusOr<v1::FinalizePendingConnectionResponse> TestClient::FinalizePendingConnection(
    const v1::FinalizePendingConnectionRequest& request) const {
  return Call(stubs_->social_account, &v1::SocialAccountService::Stub::FinalizePendingConnection,
              request);
}

absl::StatusOr<v1::ListSocialAccountsResponse> TestClient::ListSocialAccounts(
    const v1::ListSocialAccountsRequest& request) const {
  return Call(stubs_->social_account, &v1::SocialAccountService::Stub::ListSocialAccounts, request);
}

absl::StatusOr<v1::GetSocialAccountResponse> TestClient::GetSocialAccount(
    const std::string& id) const {
  v1::GetSocialAccountRequest request;
  request.set_id(id);
  return Call(stubs_->social_account, &v1::SocialAccountService::Stub::GetSocialAccount, request);
}

absl::StatusOr<v1::CheckSocialAccountResponse> TestClient::CheckSocialAccount(
    const std::string& id) const {
  v1::CheckSocialAccountRequest request;
  request.set_id(id);
  return Call(stubs_->social_account, &v1::SocialAccountService::Stub::CheckSocialAccount, request);
}

absl::StatusOr<v1::DeleteSocialAccountResponse> TestClient::DeleteSocialAccount(
    const std::string& id) const {
  v1::DeleteSocialAccountRequest request;
  request.set_id(id);
  return Call(stubs_->social_account, &v1::SocialAccountService::Stub::DeleteSocialAccount,
              request);
}

absl::StatusOr<v1::GetAccessTokenResponse> TestClient::GetAccessToken(
    const std::string& account_id) const {
  v1::GetAccessTokenRequest request;
  request.set_account_id(account_id);
  return Call(stubs_->social_account, &v1::SocialAccountService::Stub::GetAccessToken, request);
}

absl::StatusOr<v1::ImportSocialAccountsResponse> TestClient::ImportSocialAccounts(
    const v1::ImportSocialAccountsRequest& request) const {
  return Call(stubs_->social_account, &v1::SocialAccountService::Stub::ImportSocialAccounts,
              request);
}

absl::StatusOr<v1::ExportSocialAccountsResponse> TestClient::ExportSocialAccounts() const {
  return Call(stubs_->social_account, &v1::SocialAccountService::Stub::ExportSocialAccounts,
              v1::ExportSocialAccountsRequest());
}

absl::StatusOr<v1::CreateTenantTokenResponse> TestClient::CreateTenantToken(
    const v1::CreateTenantTokenRequest& request) const {
  return Call(stubs_->social_account, &v1::SocialAccountService::Stub::CreateTenantToken, request);
}

absl::StatusOr<v1::CreateOrganizationResponse> TestClient::CreateOrganization(
    const std::string& org_id) const {
  v1::CreateOrganizationRequest request;
  request.set_org_id(org_id);
  return Call(stubs_->organization, &v1::OrganizationService::Stub::CreateOrganization, request);
}

absl::StatusOr<v1::ListOrganizationsResponse> TestClient::ListOrganizations() const {
  return Call(stubs_->organization, &v1::OrganizationService::Stub::ListOrganizations,
              v1::ListOrganizationsRequest());
}

absl::StatusOr<v1::DeleteOrganizationResponse> TestClient::DeleteOrganization(
    const std::string& org_id) const {
  v1::DeleteOrganizationRequest request;
  request.set_org_id(org_id);
  return Call(stubs_->organization, &v1::OrganizationService::Stub::DeleteOrganization, request);
}

absl::StatusOr<v1::CreateApiKeyResponse> TestClient::CreateApiKey(
    const v1::CreateApiKeyRequest& request) const {
  return Call(stubs_->organization, &v1::OrganizationService::Stub::CreateApiKey, request);
}

absl::StatusOr<v1::ListApiKeysResponse> TestClient::ListApiKeys() const {
  return Call(stubs_->organization, &v1::OrganizationService::Stub::ListApiKeys,
              v1::ListApiKeysRequest());
}

absl::StatusOr<v1::RevokeApiKeyResponse> TestClient::RevokeApiKey(const std::string& key_id) const {
  v1::RevokeApiKeyRequest request;
  request.set_key_id(key_id);
  return Call(stubs_->organization, &v1::OrganizationService::Stub::RevokeApiKey, request);
}

absl::StatusOr<std::string> TestClient::CallBytes(const std::string& method,
                                                  const std::string& request,
                                                  grpc_compression_algorithm compression) const {
  grpc::ClientContext context;
  Prepare(context);
  context.set_compression_algorithm(compression);
  const grpc::Slice slice(request);
  const grpc::ByteBuffer request_bytes(&slice, 1);
  grpc::ByteBuffer response_bytes;
  std::promise<grpc::Status> done;
  stubs_->bytes->UnaryCall(&context, method, grpc::StubOptions(), &request_bytes, &response_bytes,
                           [&done](grpc::Status status) { done.set_value(std::move(status)); });
  const grpc::Status status = done.get_future().get();
  if (!status.ok()) return ToAbslStatus(status);
  std::vector<grpc::Slice> slices;
  std::string response;
  (void)response_bytes.Dump(&slices);
  for (const grpc::Slice& each : slices) {
    response.append(reinterpret_cast<const char*>(each.begin()), each.size());
  }
  return response;
}

absl::StatusOr<std::string> TestClient::Health(const std::string& service) const {
  // HealthCheckRequest.service, HealthCheckResponse.status.
  const absl::StatusOr<std::string> reply =
      CallBytes("/grpc.health.v1.Health/Check", OneField(1, service));
  if (!reply.ok()) return reply.status();
  static constexpr const char* kNames[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
  const uint64_t value = OnlyEnum(*reply);
  return value < std::size(kNames) ? kNames[value] : absl::StrCat(value);
}

absl::StatusOr<std::vector<std::string>> TestClient::ReflectedServices() const {
  // ServerReflectionRequest.list_services. A stream of one message looks like a unary call.
  const absl::StatusOr<std::string> reply =
      CallBytes("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", OneField(7, "*"));
  if (!reply.ok()) return reply.status();
  std::vector<std::string> names;
  // ServerReflectionResponse.list_services_response.service.name.
  for (const std::string& list : TextFields(*reply, 6)) {
    for (const std::string& service : TextFields(list, 1)) {
      for (std::string& name : TextFields(service, 1)) names.push_back(std::move(name));
    }
  }
  return names;
}

v1::GetAuthUrlRequest ExampleAuthUrlRequest() {
  v1::GetAuthUrlRequest request;
  request.set_network("instagram");
  request.set_redirect_uri("https://app.example.com/cb");
  request.set_tenant_id("customer_42");
  return request;
}

v1::CreateSocialNetworkRequest NewSocialNetworkRequest(const std::string& network,
                                                       const std::string& client_key,
                                                       const std::string& client_secret) {
  v1::CreateSocialNetworkRequest request;
  request.set_network(network);
  request.set_client_key(client_key);
  request.set_client_secret(client_secret);
  return request;
}

absl::StatusOr<std::string> CreateKey(const TestClient& admin, v1::Role role,
                                      const std::string& org_id) {
  v1::CreateApiKeyRequest request;
  request.set_role(role);
  if (!org_id.empty()) request.set_org_id(org_id);
  const absl::StatusOr<v1::CreateApiKeyResponse> created = admin.CreateApiKey(request);
  if (!created.ok()) return created.status();
  return created->key();
}

absl::StatusOr<DemoOrganization> CreateDemoOrganization(const TestClient& admin,
                                                        const std::string& org_id) {
  const auto organization = admin.CreateOrganization(org_id);
  if (!organization.ok()) return organization.status();
  const absl::StatusOr<std::string> key = CreateKey(admin, v1::ROLE_ORG, org_id);
  if (!key.ok()) return key.status();
  const auto social_network = admin.WithKey(*key).CreateSocialNetwork(
      NewSocialNetworkRequest("instagram", "demo-client-key", "demo-client-secret"));
  if (!social_network.ok()) return social_network.status();
  return DemoOrganization{org_id, *key, social_network->social_network().id()};
}

}  // namespace authurl::testing
