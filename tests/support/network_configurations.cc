#include "tests/support/network_configurations.h"

#include <gtest/gtest.h>

#include "core/catalog/pattern.h"

namespace authurl::testing {
namespace {

// Something that the parameter takes.
std::string ValueOf(const v1::NetworkParameter& param) {
  for (const char* value :
       {"1234567890", "1", "true", "page", "en", "example", "a@example.com", "CABCDEFGHIJKLMNOP"}) {
    if (MatchesInFull(value, param.pattern())) return value;
  }
  ADD_FAILURE() << "add a value of the format " << param.pattern() << " for " << param.name();
  return "";
}

}  // namespace

std::vector<NetworkUse> UsesWithAuthUrls(const v1::ListNetworksResponse& networks) {
  std::vector<NetworkUse> uses;
  for (const v1::Network& network : networks.networks()) {
    if (network.status() != v1::Network::STATUS_LIVE &&
        network.status() != v1::Network::STATUS_LEGACY) {
      continue;
    }
    uses.push_back({network, ""});
    for (const v1::NetworkVariant& variant : network.variants()) {
      uses.push_back({network, variant.id()});
    }
  }
  return uses;
}

v1::CreateSocialNetworkRequest ConfigurationFor(const NetworkUse& use) {
  v1::CreateSocialNetworkRequest request;
  request.set_network(use.network.id());
  if (use.network.has_instances()) request.set_instance(kTestInstance);
  request.set_client_key(use.name() + "-client-key");
  // Apple's is a JWT.
  const bool is_signed = use.network.id() == "apple";
  request.set_client_secret(is_signed ? "eyJhbGciOiJFUzI1NiJ9.e30.c2ln" : "the-client-secret");
  auto params = use.network.configuration_params();
  for (const v1::NetworkVariant& variant : use.network.variants()) {
    if (variant.id() == use.variant) params = variant.configuration_params();
  }
  for (const v1::NetworkParameter& param : params) {
    if (param.required()) (*request.mutable_extra_params())[param.name()] = ValueOf(param);
  }
  if (!use.variant.empty()) request.set_variant(use.variant);
  return request;
}

v1::GetAuthUrlRequest AuthUrlRequestFor(const NetworkUse& use) {
  v1::GetAuthUrlRequest request;
  request.set_network(use.network.id());
  if (use.network.has_instances()) request.set_instance(kTestInstance);
  request.set_redirect_uri("https://app.example.com/cb");
  return request;
}

}  // namespace authurl::testing
