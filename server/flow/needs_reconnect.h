// needs_reconnect.h: why a connection is dead, and how to say it. Pure.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/catalog/network_catalog.h"

namespace authurl {

// What accounts that need to be reconnected have as their status_reason.
inline constexpr absl::string_view kRefreshDead = "REFRESH_DEAD";
inline constexpr absl::string_view kRefreshAnswerLost = "REFRESH_ANSWER_LOST";
inline constexpr absl::string_view kAccessTokenDead = "ACCESS_TOKEN_DEAD";
inline constexpr absl::string_view kAccessTokenExpired = "ACCESS_TOKEN_EXPIRED";
inline constexpr absl::string_view kConfigurationGone = "CONFIGURATION_GONE";

// A sentence without a final stop, for developers: what happened, and what to do. Any reason;
// `network` is an id, which may have left the catalog.
std::string WhyReconnect(const NetworkCatalog& catalog, absl::string_view network,
                         absl::string_view reason);

// FAILED_PRECONDITION NEEDS_RECONNECT. `why` is a sentence as above.
absl::Status NeedsReconnect(absl::string_view why);

}  // namespace authurl
