// Any text as a file of networks. What is taken can be found, described, and yields sound URLs, in
// every variant; what is refused says where and why.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"
#include "authurl/v1/auth_url_service.pb.h"
#include "authurl/v1/social_network_service.pb.h"
#include "core/catalog/endpoint.h"
#include "core/catalog/network_catalog.h"
#include "core/catalog/network_description.h"
#include "core/catalog/network_entry.h"
#include "core/catalog/social_network.h"
#include "core/flow/auth_request.h"
#include "core/flow/explanation.h"
#include "google/protobuf/stubs/logging.h"
#include "tests/fuzz/keys.h"
#include "tests/fuzz/message_input.h"
#include "tests/fuzz/must.h"
#include "tests/fuzz/url_checks.h"

namespace authurl::fuzz {
namespace {

using catalog::v1::Network;

// A configuration that takes whatever the entry offers.
v1::CreateSocialNetworkRequest Configuration(const Network& network, const std::string& variant) {
  v1::CreateSocialNetworkRequest request;
  request.set_network(network.id());
  if (!variant.empty()) request.set_variant(variant);
  if (HasInstances(network)) request.set_instance("social.example.com");
  request.set_client_key("client key");
  request.set_client_secret("client-secret");
  for (const auto& variable : network.variables()) {
    (*request.mutable_variables())[variable.name()] = variable.default_value();
  }
  for (const auto& param : network.configuration_params()) {
    const std::string& value = param.default_value();
    (*request.mutable_extra_params())[param.name()] = value.empty() ? "1" : value;
  }
  return request;
}

// Names that the URL may have already, in the hope that one is taken.
void AddNamesOfEndpoint(const Network& network, v1::CreateSocialNetworkRequest& request) {
  const absl::string_view endpoint = network.authorization_endpoint();
  const size_t query = endpoint.find('?');
  if (query == endpoint.npos) return;
  for (const absl::string_view pair : absl::StrSplit(endpoint.substr(query + 1), '&')) {
    (*request.mutable_extra_params())[std::string(pair.substr(0, pair.find('=')))] =
        std::string("1");
  }
}

void Ask(const NetworkCatalog& catalog, const v1::CreateSocialNetworkRequest& configuration,
         bool force_account_selection) {
  const auto settings = NewSocialNetwork(catalog, configuration);
  if (!settings.ok()) return MustBeForTheCaller(settings.status());
  v1::GetAuthUrlRequest request;
  request.set_network(configuration.network());
  if (configuration.has_instance()) request.set_instance(configuration.instance());
  request.set_redirect_uri("https://app.example.com/callback");
  request.set_force_account_selection(force_account_selection);
  request.set_login_hint("me@example.com");
  const absl::StatusOr<AuthRequest> valid = ValidateAuthRequest(catalog, request);
  if (!valid.ok()) return MustBeForTheCaller(valid.status());
  const absl::StatusOr<AuthRequest> fitting = ForConfiguration(catalog, *valid, *settings);
  if (!fitting.ok()) return MustBeForTheCaller(fitting.status());
  const auto redirect_uri = ChooseRedirectUri(*fitting, *settings, "", FixedSealer().keys());
  if (!redirect_uri.ok()) return MustBeForTheCaller(redirect_uri.status());
  MintAndCheck(*fitting, *settings, *redirect_uri);
}

void CheckEntry(const NetworkCatalog& catalog, const Network& network, const std::string& variant) {
  Must(catalog.FindVariant(network.id(), variant) == &network, "an entry is found");
  if (!HasAuthUrl(network)) return;
  v1::CreateSocialNetworkRequest configuration = Configuration(network, variant);
  for (const bool force : {false, true}) Ask(catalog, configuration, force);
  AddNamesOfEndpoint(network, configuration);
  Ask(catalog, configuration, true);
}

void CheckCatalog(const std::string& text) {
  absl::StatusOr<NetworkCatalog> catalog = NetworkCatalog::Parse(text);
  if (!catalog.ok()) return MustBeText(catalog.status().message());
  for (const Network* network : catalog->networks()) {
    const v1::Network described = DescribeNetwork(*catalog, *network);
    Must(v1::Network().ParseFromString(described.SerializeAsString()), "it can be shown");
    CheckEntry(*catalog, *network, "");
    for (const auto& variant : network->variants()) {
      const Network* found = catalog->FindVariant(network->id(), variant.id());
      Must(found != nullptr, "a variant is found");
      CheckEntry(*catalog, *found, variant.id());
    }
  }
  const size_t count = catalog->networks().size();
  Must(catalog->Add(text).ok() && catalog->networks().size() == count, "adding again replaces");
}

}  // namespace
}  // namespace authurl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // It logs each text that is not UTF-8.
  static const google::protobuf::LogSilencer silencer;
  authurl::fuzz::CheckCatalog(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  authurl::catalog::v1::Catalog catalog;
  return authurl::fuzz::MutateMessage(data, size, max_size, seed, catalog);
}
