// Any lines as scopes. What is taken comes out of the URL as it went in, one by one, whatever the
// network's separator and parameter.
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "authurl/record/v1/record.pb.h"
#include "authurl/v1/auth_url_service.pb.h"
#include "core/catalog/endpoint.h"
#include "core/catalog/network_catalog.h"
#include "core/catalog/network_entry.h"
#include "core/flow/auth_request.h"
#include "tests/fuzz/keys.h"
#include "tests/fuzz/must.h"
#include "tests/fuzz/url_checks.h"

namespace authurl::fuzz {
namespace {

const NetworkCatalog& Catalog() {
  static const NetworkCatalog catalog = NetworkCatalog::Parse(BuiltInNetworksText()).value();
  return catalog;
}

// One network for each separator that there is.
std::vector<const catalog::v1::Network*> OneOfEachKind() {
  std::map<std::string, const catalog::v1::Network*> by_separator;
  for (const catalog::v1::Network* network : Catalog().networks()) {
    if (!HasAuthUrl(*network) || HasInstances(*network)) continue;
    if (!network->configuration_params().empty()) continue;
    by_separator.emplace(network->scopes().separator(), network);
  }
  std::vector<const catalog::v1::Network*> networks;
  for (const auto& [separator, network] : by_separator) networks.push_back(network);
  Must(networks.size() >= 2, "there are networks with spaces and networks with commas");
  return networks;
}

// RFC 6749 section 3.3, without what joins scopes somewhere.
bool IsScopeToken(const std::string& scope) {
  for (const char c : scope) {
    if (c <= ' ' || c >= '\x7f' || c == '"' || c == '\\') return false;
    if (c == ',' || c == '+' || c == '%') return false;
  }
  return !scope.empty();
}

void Check(const catalog::v1::Network& network, const std::vector<std::string>& scopes) {
  v1::GetAuthUrlRequest request;
  request.set_network(network.id());
  request.set_redirect_uri("https://app.example.com/callback");
  for (const std::string& scope : scopes) request.add_scopes(scope);
  record::v1::SocialNetworkSettings settings;
  settings.set_network(network.id());
  settings.set_client_key("client-key");

  const absl::StatusOr<AuthRequest> valid = ValidateAuthRequest(Catalog(), request);
  if (!valid.ok()) return MustBeForTheCaller(valid.status());
  const absl::StatusOr<AuthRequest> fitting = ForConfiguration(Catalog(), *valid, settings);
  if (!fitting.ok()) return MustBeForTheCaller(fitting.status());
  const absl::StatusOr<ChosenRedirectUri> redirect_uri =
      ChooseRedirectUri(*fitting, settings, "", FixedSealer().keys());
  Must(redirect_uri.ok(), "every network takes https: ", network.id());

  const Parameters parameters = MintAndCheck(*fitting, settings, *redirect_uri);
  if (scopes.empty()) return;
  const std::string joined = ValueOf(parameters, network.scopes().param());
  const std::vector<std::string> sent = absl::StrSplit(joined, network.scopes().separator());
  Must(sent == scopes, "every scope is sent, and is one scope: ", joined);
  for (const std::string& scope : sent) Must(IsScopeToken(scope), scope, " is a scope-token");
}

}  // namespace
}  // namespace authurl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<const authurl::catalog::v1::Network*> networks =
      authurl::fuzz::OneOfEachKind();
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> scopes;
  if (!text.empty()) scopes = absl::StrSplit(text, '\n');
  for (const authurl::catalog::v1::Network* network : networks) {
    authurl::fuzz::Check(*network, scopes);
  }
  return 0;
}
