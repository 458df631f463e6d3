#include "tests/support/simulated_id_token.h"

#include "core/catalog/endpoint.h"
#include "core/catalog/text_template.h"
#include "tests/support/network_step.h"
#include "tests/support/vector_answers.h"

namespace authurl::testing {

std::string SimulatedIdToken(const VectorFlow& flow,
                             const record::v1::SocialNetworkSettings& settings,
                             const std::string& nonce, absl::Time now) {
  const catalog::v1::Network& network = flow.network();
  if (!network.has_open_id()) return "";
  Json claims = ObjectOf(flow.json(), "id_token");
  if (claims.empty()) {
    // The vector's flow asks for none.
    const auto issuer = ExpandTemplate(network.open_id().issuer(), [&](absl::string_view name) {
      return EndpointValue(network, settings, name);
    });
    const Json* const profile = JsonOfStep(flow, NetworkStep::kProfile);
    claims["iss"] = issuer.value_or("");
    claims["aud"] = settings.client_key();
    claims["sub"] = "1";
    if (profile != nullptr) claims["sub"] = profile->at("success")[0].at("profile").at("id");
  }
  ReplaceTexts({{flow.settings().client_key(), settings.client_key()}}, /*is_root=*/false, claims);
  claims["iat"] = absl::ToUnixSeconds(now);
  claims["exp"] = absl::ToUnixSeconds(now + absl::Hours(1));
  if (!nonce.empty()) claims["nonce"] = nonce;
  return UnsignedJwt(claims);
}

}  // namespace authurl::testing
