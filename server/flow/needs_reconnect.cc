#include "server/flow/needs_reconnect.h"

#include "absl/strings/str_cat.h"
#include "core/errors.h"

namespace authurl {
namespace {

// What happened, without what to do.
std::string WhatHappened(absl::string_view name, absl::string_view reason) {
  if (reason == kRefreshDead) return absl::StrCat(name, " no longer takes the refresh token");
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

}  // namespace

std::string WhyReconnect(const NetworkCatalog& catalog, absl::string_view network,
                         absl::string_view reason) {
  const catalog::v1::Network* const entry = catalog.Find(network);
  const absl::string_view name = entry == nullptr ? network : entry->display_name();
  return absl::StrCat(WhatHappened(name, reason), ". The person must connect again");
}

absl::Status NeedsReconnect(absl::string_view why) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "NEEDS_RECONNECT", why);
}

}  // namespace authurl
