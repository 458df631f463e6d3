#include "core/flow/token_request.h"

#include <string>
#include <utility>

#include "core/crypto/crypto.h"

namespace authurl {
namespace {

using catalog::v1::Network;
using catalog::v1::Revocation;

// Adds the value of that name, where there is one.
void AddValue(absl::string_view name, const FlowValues& values, BaseParams& base) {
  std::optional<std::string> value = values.Find(name);
  if (value) base.emplace_back(name, *std::move(value));
}

absl::StatusOr<HttpRequest> BuildAndWipe(const Network& network,
                                         const catalog::v1::Request& request,
                                         const OAuthClient& client, const FlowValues& values,
                                         BaseParams&& base) {
  absl::StatusOr<HttpRequest> http = BuildRequest(network, request, client, values, base);
  for (auto& [name, value] : base) Wipe(value);
  return http;
}

}  // namespace

absl::StatusOr<HttpRequest> BuildExchange(const Network& network, const OAuthClient& client,
                                          const FlowValues& values) {
  BaseParams base = {{"grant_type", "authorization_code"}};
  for (const absl::string_view name : {"code", "redirect_uri", "code_verifier"}) {
    AddValue(name, values, base);
  }
  return BuildAndWipe(network, network.exchange().request(), client, values, std::move(base));
}

absl::StatusOr<HttpRequest> BuildLongLived(const Network& network, const OAuthClient& client,
                                           const FlowValues& values) {
  return BuildAndWipe(network, network.long_lived().request(), client, values, {});
}

absl::StatusOr<HttpRequest> BuildRefresh(const Network& network, const OAuthClient& client,
                                         const FlowValues& values) {
  BaseParams base = {{"grant_type", "refresh_token"}};
  if (network.refresh().rotation() != catalog::v1::Refresh::ROTATION_NO_REFRESH_TOKEN) {
    AddValue("refresh_token", values, base);
  }
  return BuildAndWipe(network, network.refresh().request(), client, values, std::move(base));
}

absl::StatusOr<HttpRequest> BuildRevocation(const Network& network, const OAuthClient& client,
                                            const FlowValues& values) {
  const Revocation& revocation = network.revocation();
  BaseParams base;
  if (!revocation.own_way()) {
    const bool prefers_access = revocation.token() == Revocation::TOKEN_ACCESS;
    std::optional<std::string> token = prefers_access ? std::nullopt : values.Find("refresh_token");
    if (!token) token = values.Find("access_token");
    if (token) base.emplace_back("token", *std::move(token));
  }
  return BuildAndWipe(network, revocation.request(), client, values, std::move(base));
}

}  // namespace authurl
