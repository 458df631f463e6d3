// needs_reconnect.h: why a connection is dead, or will be, and how to say it. Pure.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/catalog/network_catalog.h"

namespace authurl {

// What accounts that need to be reconnected have as their status_reason.
inline constexpr absl::string_view kRefreshDead = "REFRESH_DEAD";
inline constexpr absl::string_view kRefreshExpired = "REFRESH_EXPIRED";
inline constexpr absl::string_view kRefreshAnswerLost = "REFRESH_ANSWER_LOST";
inline constexpr absl::string_view kAccessTokenDead = "ACCESS_TOKEN_DEAD";
inline constexpr absl::string_view kAccessTokenExpired = "ACCESS_TOKEN_EXPIRED";
inline constexpr absl::string_view kConfigurationGone = "CONFIGURATION_GONE";

// What those that are active have, whose tokens can't be refreshed until the configuration is
// mended.
inline constexpr absl::string_view kClientRejected = "CLIENT_REJECTED";
inline constexpr absl::string_view kClientSecretUnusable = "CLIENT_SECRET_UNUSABLE";

// A sentence without a final stop, for developers: what happened, and what to do. Any reason;
// `network` is an id, which may have left the catalog.
std::string WhyReconnect(const NetworkCatalog& catalog, absl::string_view network,
                         absl::string_view reason);

// The same of an account that is active: why its tokens can't be refreshed now, and what to do.
std::string WhyNotRefreshed(const NetworkCatalog& catalog, absl::string_view network,
                            absl::string_view reason);

// FAILED_PRECONDITION NEEDS_RECONNECT. `why` is a sentence as above.
absl::Status NeedsReconnect(absl::string_view why);

}  // namespace authurl
