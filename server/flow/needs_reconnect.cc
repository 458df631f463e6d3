#include "server/flow/needs_reconnect.h"

#include "absl/strings/str_cat.h"
#include "core/errors.h"

namespace authurl {
namespace {

// What happened, without what to do.
std::string WhatHappened(absl::string_view name, absl::string_view reason) {
  if (reason == kRefreshDead) return absl::StrCat(name, " no longer takes the refresh token");
  if (reason == kRefreshExpired) {
    return absl::StrCat("What the tokens are refreshed with has ended, and no refresh at ", name,
                        " came through before");
  }
  if (reason == kRefreshAnswerLost) {
    return absl::StrCat("The answer of ", name,
                        " to a refresh was lost, and with it the new tokens: the old ones work "
                        "once only");
  }
  if (reason == kAccessTokenDead) return absl::StrCat(name, " no longer takes the access token");
  if (reason == kAccessTokenExpired) {
    return absl::StrCat("The access token has ended, and ", name,
                        " gave nothing that could be used to refresh it");
  }
  if (reason == kConfigurationGone) {
    return absl::StrCat("The configuration of ", name,
                        " that the account was connected with is gone, or has another client key "
                        "by now");
  }
  return absl::StrCat("The connection to ", name, " no longer works");
}

std::string DisplayNameOf(const NetworkCatalog& catalog, absl::string_view network) {
  const catalog::v1::Network* const entry = catalog.Find(network);
  return entry == nullptr ? std::string(network) : entry->display_name();
}

}  // namespace

std::string WhyReconnect(const NetworkCatalog& catalog, absl::string_view network,
                         absl::string_view reason) {
  return absl::StrCat(WhatHappened(DisplayNameOf(catalog, network), reason),
                      ". The person must connect again");
}

std::string WhyNotRefreshed(const NetworkCatalog& catalog, absl::string_view network,
                            absl::string_view reason) {
  const std::string name = DisplayNameOf(catalog, network);
  const std::string what =
      reason == kClientSecretUnusable
          ? absl::StrCat("The private key that is configured as the client secret of ", name,
                         " can't sign")
          : absl::StrCat(name, " refuses the client key or the client secret that are configured");
  return absl::StrCat(what, ", so the account's tokens can't be refreshed. Update the ",
                      "configuration before they end, or the person must connect again");
}

absl::Status NeedsReconnect(absl::string_view why) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "NEEDS_RECONNECT", why);
}

}  // namespace authurl
