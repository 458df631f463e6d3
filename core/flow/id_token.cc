#include "core/flow/id_token.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/catalog/endpoint.h"
#include "core/catalog/text_template.h"
#include "core/crypto/crypto.h"
#include "core/crypto/jwt.h"
#include "core/flow/network_error.h"

namespace authurl {
namespace {

using catalog::v1::Network;

// What `iss` must be. Nothing where it needs a claim that is not there.
std::optional<std::string> IssuerOf(const Network& network,
                                    const record::v1::SocialNetworkSettings& settings,
                                    const Answer& claims) {
  return ExpandTemplate(network.open_id().issuer(),
                        [&](absl::string_view name) -> std::optional<std::string> {
                          if (absl::ConsumePrefix(&name, "claim."))
                            return claims.Find(absl::StrCat("/", name));
                          return EndpointValue(network, settings, name);
                        });
}

std::optional<absl::Time> TimeOf(const Answer& claims, absl::string_view name) {
  const std::optional<std::string> text = claims.Find(absl::StrCat("/", name));
  double seconds = 0;
  // Beyond that no clock is right.
  if (!text || !absl::SimpleAtod(*text, &seconds) || !(seconds > 0) || seconds > 1e11) {
    return std::nullopt;
  }
  return absl::FromUnixSeconds(static_cast<int64_t>(seconds));
}

}  // namespace

bool TakesNonce(const Network& network, const ScopeList& scopes) {
  if (!network.open_id().nonce()) return false;
  return network.open_id().always() ||
         std::find(scopes.begin(), scopes.end(), "openid") != scopes.end();
}

std::string DeriveIdTokenNonce(const SecretKey& key, const Nonce& nonce) {
  return Base64UrlEncode(AsChars(DeriveFromNonce(key, nonce)));
}

absl::StatusOr<Answer> CheckIdToken(const Network& network,
                                    const record::v1::SocialNetworkSettings& settings,
                                    absl::string_view id_token, absl::string_view nonce,
                                    absl::Time now) {
  const auto invalid = [&](absl::string_view what) {
    return AnswerInvalid(network, absl::StrCat("has an ID token ", what));
  };
  const std::optional<std::string> payload = PayloadOfJwt(id_token);
  std::optional<Answer> claims = payload ? Answer::ParseJson(*payload) : std::nullopt;
  if (!claims) return invalid("that is no JWT");
  if (!claims->Find("/sub")) return invalid("without a subject");
  const std::optional<std::string> issuer = IssuerOf(network, settings, *claims);
  if (!issuer || claims->Find("/iss") != issuer) return invalid("of another issuer");
  const std::vector<std::string> audience = claims->FindAll("/aud");
  if (std::find(audience.begin(), audience.end(), settings.client_key()) == audience.end()) {
    return invalid("for another client");
  }
  const std::optional<std::string> party = claims->Find("/azp");
  if (party ? *party != settings.client_key() : audience.size() > 1) {
    return invalid("for another client");
  }
  const std::optional<absl::Time> expires_at = TimeOf(*claims, "exp");
  if (!expires_at || *expires_at + kMaxClockSkew <= now) {
    return invalid("that has expired: compare this machine's clock");
  }
  const std::optional<absl::Time> issued_at = TimeOf(*claims, "iat");
  if (!issued_at) return invalid("that does not say when it was made");
  if (*issued_at - kMaxClockSkew > now) {
    return invalid("from the future: compare this machine's clock");
  }
  if (!nonce.empty() && !EqualInConstantTime(claims->Find("/nonce").value_or(""), nonce)) {
    return invalid("that was made for another sign-in: its nonce is not the one that was sent");
  }
  return *std::move(claims);
}

}  // namespace authurl
