#include "core/flow/client_secret.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/crypto/jwt.h"
#include "core/errors.h"

namespace authurl {
namespace {

// Long enough for one flow.
constexpr absl::Duration kLifetime = absl::Minutes(10);
// Their clock may be behind ours.
constexpr absl::Duration kIssuedBefore = absl::Seconds(30);

std::string SettingOf(const record::v1::SocialNetworkSettings& settings, const std::string& name) {
  const auto found = settings.extra_params().find(name);
  return found == settings.extra_params().end() ? "" : found->second;
}

}  // namespace

bool IsPrivateKey(absl::string_view client_secret) {
  return absl::StartsWith(client_secret, "-----BEGIN ");
}

absl::StatusOr<std::string> ClientSecretToShow(const catalog::v1::Network& network,
                                               const record::v1::SocialNetworkSettings& settings,
                                               absl::string_view client_secret, absl::Time now) {
  if (!network.has_signed_secret() || !IsPrivateKey(client_secret)) {
    return std::string(client_secret);
  }
  const catalog::v1::SignedSecret& rules = network.signed_secret();
  const auto unusable = [&](absl::string_view why) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "CLIENT_SECRET_UNUSABLE",
        absl::StrCat("The client secret configured for ", network.display_name(), " ", why));
  };
  const std::string issuer = SettingOf(settings, rules.issuer_param());
  const std::string key_id = SettingOf(settings, rules.key_id_param());
  if (issuer.empty() || key_id.empty()) {
    return unusable(absl::StrCat("is a private key, which needs extra_params.",
                                 rules.issuer_param(), " and extra_params.", rules.key_id_param()));
  }
  const absl::StatusOr<SigningKey> key = SigningKey::ParsePem(client_secret);
  if (!key.ok()) return unusable(key.status().message());
  const absl::Duration lifetime = std::min(kLifetime, absl::Seconds(rules.max_lifetime_s()));
  return SignJwt(*key, key_id,
                 {TextClaim("iss", issuer), TimeClaim("iat", now - kIssuedBefore),
                  TimeClaim("exp", now - kIssuedBefore + lifetime),
                  TextClaim("aud", rules.audience()), TextClaim("sub", settings.client_key())});
}

}  // namespace authurl
