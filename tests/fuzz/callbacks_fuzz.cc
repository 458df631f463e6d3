// Any bytes as what came back to the redirect URI, of any network; the first byte chooses it. What
// is taken has a state and a code; what is refused says why, and neither state nor code.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "core/catalog/network_catalog.h"
#include "core/flow/authorization_response.h"
#include "core/utf8.h"
#include "tests/fuzz/must.h"

namespace authurl::fuzz {
namespace {

const NetworkCatalog& Catalog() {
  static const NetworkCatalog catalog = NetworkCatalog::Parse(BuiltInNetworksText()).value();
  return catalog;
}

// Short ones may be words of the sentence, and so may those with characters that no code or state
// has.
bool IsTelling(absl::string_view value) {
  return value.size() >= 12 && value.find_first_of(" \"'") == absl::string_view::npos;
}

void CheckError(const absl::Status& status, const AuthorizationResponse* response) {
  Must(!ReasonOf(status).empty(), "an error has a reason: ", status.ToString());
  MustBeText(status.message());
  if (response == nullptr) return;
  for (const absl::string_view name : {"code", "state"}) {
    const absl::string_view value = response->Get(name);
    Must(!IsTelling(value) || !absl::StrContains(status.message(), value), "no error quotes them");
  }
}

void Check(const catalog::v1::Network& network, absl::string_view text) {
  auto response = ParseAuthorizationResponse(text);
  if (!response.ok()) return CheckError(response.status(), nullptr);
  for (const auto& [name, value] : response->parameters) {
    Must(IsUtf8(name) && IsUtf8(value), "parameters are UTF-8");
  }
  absl::Status status = ReadAsNetworkSends(network, *response);
  if (!status.ok()) return CheckError(status, &*response);
  Must(!response->Get("state").empty(), "there is a state");
  const record::v1::SocialNetworkSettings settings;
  if (status = CheckIssuer(network, settings, *response); !status.ok()) {
    return CheckError(status, &*response);
  }
  if (status = CheckNetworkError(network, *response); !status.ok()) {
    return CheckError(status, &*response);
  }
  Must(!response->Get("code").empty(), "there is a code");
}

}  // namespace
}  // namespace authurl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto& networks = authurl::fuzz::Catalog().networks();
  authurl::fuzz::Check(*networks[data[0] % networks.size()],
                       absl::string_view(reinterpret_cast<const char*>(data) + 1, size - 1));
  return 0;
}
