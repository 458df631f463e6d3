// social_account_fixture.h: a server whose networks the simulator plays, and whole flows over a
// real channel.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "authurl/v1/social_account_service.pb.h"
#include "tests/core/flow/vectors.h"
#include "tests/server/api/service_fixture.h"
#include "tests/support/network_simulator.h"
#include "tests/support/temp_dir.h"

namespace authurl::testing {

inline const Vector& VectorNamed(const std::string& name) {
  for (const Vector& vector : AllVectors()) {
    if (vector.name == name) return vector;
  }
  ADD_FAILURE() << "no vector " << name;
  return AllVectors().front();
}

class SocialAccountTest : public ServiceTest {
 protected:
  explicit SocialAccountTest(const std::function<void(Config&)>& change = {})
      : ServiceTest([this, change](Config& config) {
          config.outbound_connect_to = simulator_.address();
          config.outbound_ca_file = dir_.Write("ca.pem", authority_.certificate());
          config.allow_local_instances = true;  // Instances are hosts of strangers.
          config.public_base_url = kBaseUrl;
          if (change) change(config);
        }),
        simulator_(authority_) {}
  ~SocialAccountTest() override { EXPECT_THAT(simulator_.complaints(), ::testing::IsEmpty()); }

  // The simulator plays the network, and acme has an app there.
  SimulatedNetwork& Configured(const Vector& vector) {
    SimulatedNetwork::Options options;
    options.clock = [this] { return server_->now(); };
    options.pause = absl::Milliseconds(1);
    // A configuration takes a private key there, or what it has signed.
    if (VectorFlow(vector).network().has_signed_secret()) {
      options.client_secret = "eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmVk";
    }
    SimulatedNetwork& network = simulator_.Add(vector, options);
    id_ = ConfigureFor(network, AsOrg());
    return network;
  }
  // Whose key it is has an app there; returns the configuration's id.
  std::string ConfigureFor(const SimulatedNetwork& network, const RawMetadata& metadata) const {
    const record::v1::SocialNetworkSettings& settings = network.settings();
    v1::CreateSocialNetworkRequest create;
    create.set_network(settings.network());
    create.set_client_key(settings.client_key());
    create.set_client_secret(network.client_secret());
    if (!settings.instance().empty()) create.set_instance(settings.instance());
    if (!settings.variant().empty()) create.set_variant(settings.variant());
    *create.mutable_extra_params() = settings.extra_params();
    *create.mutable_variables() = settings.variables();
    *create.mutable_scopes() = settings.scopes();
    create.set_default_redirect_uri(kRedirect);
    create.add_allowed_return_uris("https://app.example.com/connected");
    const auto created =
        Ask<v1::CreateSocialNetworkResponse>("CreateSocialNetwork", create, metadata);
    EXPECT_OK(created);
    return created.ok() ? created->social_network().id() : "";
  }

  template <typename Response, typename Request>
  absl::StatusOr<Response> Ask(const std::string& rpc, const Request& request,
                               const RawMetadata& metadata) const {
    return server_->Call<Response>(rpc, request.ShortDebugString(), metadata);
  }
  template <typename Response, typename Request>
  absl::StatusOr<Response> Ask(const std::string& rpc, const Request& request) const {
    return Ask<Response>(rpc, request, AsOrg());
  }

  v1::GetAuthUrlResponse UrlFor(const SimulatedNetwork& network, v1::GetAuthUrlRequest request) {
    request.set_network(network.network().id());
    if (!network.settings().instance().empty()) {
      request.set_instance(network.settings().instance());
    }
    const auto url = Ask<v1::GetAuthUrlResponse>("GetAuthUrl", request);
    EXPECT_OK(url);
    return url.ok() ? *url : v1::GetAuthUrlResponse();
  }
  v1::GetAuthUrlResponse UrlFor(const SimulatedNetwork& network) {
    v1::GetAuthUrlRequest request;
    request.set_tenant_id("customer_42");
    return UrlFor(network, request);
  }

  static v1::CompleteAuthRequest ResponseOf(const PersonReturned& returned) {
    v1::CompleteAuthRequest request;
    request.set_response(returned.response());
    if (returned.is_form_post) request.set_redirect_uri(returned.redirect_uri);
    return request;
  }
  absl::StatusOr<v1::CompleteAuthResponse> Complete(const PersonReturned& returned) const {
    return Ask<v1::CompleteAuthResponse>("CompleteAuth", ResponseOf(returned));
  }
  // What a person who consents is sent back with.
  static PersonReturned Consented(SimulatedNetwork& network, const v1::GetAuthUrlResponse& url) {
    absl::StatusOr<PersonReturned> returned = network.Consent(url.auth_url());
    EXPECT_OK(returned);
    return returned.ok() ? *std::move(returned) : PersonReturned();
  }

  // The accounts of a whole flow: the first choice, where there is one.
  std::vector<v1::SocialAccount> Connect(SimulatedNetwork& network) {
    const auto completed = Complete(Consented(network, UrlFor(network)));
    EXPECT_OK(completed);
    if (!completed.ok()) return {};
    if (!completed->has_pending()) {
      return {completed->accounts().begin(), completed->accounts().end()};
    }
    v1::FinalizePendingConnectionRequest finalize;
    finalize.set_session_token(completed->pending().session_token());
    finalize.add_choice_ids(completed->pending().choices(0).id());
    const auto finalized =
        Ask<v1::FinalizePendingConnectionResponse>("FinalizePendingConnection", finalize);
    EXPECT_OK(finalized);
    if (!finalized.ok()) return {};
    return {finalized->accounts().begin(), finalized->accounts().end()};
  }

  std::vector<v1::SocialAccount> List(const std::string& request = "tenant_id: 'customer_42'") {
    const auto listed = Call<v1::ListSocialAccountsResponse>("ListSocialAccounts", request);
    EXPECT_OK(listed);
    if (!listed.ok()) return {};
    return {listed->accounts().begin(), listed->accounts().end()};
  }
  v1::GetAuthFlowResponse FlowOf(const v1::GetAuthUrlResponse& url) {
    const auto flow = Call<v1::GetAuthFlowResponse>("GetAuthFlow",
                                                    absl::StrCat("flow_id: '", url.flow_id(), "'"));
    EXPECT_OK(flow);
    return flow.ok() ? *flow : v1::GetAuthFlowResponse();
  }
  absl::StatusOr<v1::GetAccessTokenResponse> TokenOf(const v1::SocialAccount& account) {
    v1::GetAccessTokenRequest request;
    request.set_account_id(account.id());
    return Ask<v1::GetAccessTokenResponse>("GetAccessToken", request, AsReader());
  }

  static constexpr char kBaseUrl[] = "https://connect.example.com";
  static constexpr char kRedirect[] = "https://app.example.com/cb";
  const CertificateAuthority authority_{"Test CA"};
  const TempDir dir_;
  NetworkSimulator simulator_;
  std::string id_;
};

}  // namespace authurl::testing
