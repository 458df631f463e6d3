#include "server/auth_url_service.h"

#include <utility>

#include "absl/status/statusor.h"
#include "core/auth_request.h"
#include "core/auth_url.h"
#include "server/timestamps.h"

namespace authurl {

AuthUrlService::AuthUrlService(const NetworkCatalog& catalog, const Sealer& sealer,
                               CredentialStore& store, Clock clock, RandomSource random,
                               std::string public_base_url, absl::Duration state_ttl)
    : catalog_(catalog),
      sealer_(sealer),
      store_(store),
      clock_(std::move(clock)),
      random_(std::move(random)),
      public_base_url_(std::move(public_base_url)),
      state_ttl_(state_ttl) {}

absl::Status AuthUrlService::GetAuthUrl(const Caller& caller, const v1::GetAuthUrlRequest& request,
                                        v1::GetAuthUrlResponse& response) const {
  const absl::StatusOr<AuthRequest> valid = ValidateAuthRequest(catalog_, request);
  if (!valid.ok()) return valid.status();

  const absl::StatusOr<record::v1::SocialNetworkSettings> settings =
      store_.FindSocialNetwork(caller.org_id, request.network(), request.instance());
  if (!settings.ok()) return settings.status();

  const absl::StatusOr<std::string> redirect_uri =
      ChooseRedirectUri(*valid, *settings, public_base_url_);
  if (!redirect_uri.ok()) return redirect_uri.status();

  absl::StatusOr<AuthUrl> auth_url = MintAuthUrl(sealer_, *valid, *settings, *redirect_uri,
                                                 NewNonce(random_), clock_(), state_ttl_);
  if (!auth_url.ok()) return auth_url.status();

  response.set_auth_url(std::move(auth_url->url));
  SetTimestamp(auth_url->expires_at, *response.mutable_expires_at());
  return absl::OkStatus();
}

std::vector<Method> AuthUrlService::Methods() const {
  return {MakeMethod("/authurl.v1.AuthUrlService/GetAuthUrl", Access::kMint, this,
                     &AuthUrlService::GetAuthUrl)};
}

}  // namespace authurl
