#include "server/flow/event_message.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/substitute.h"
#include "server/flow/needs_reconnect.h"
#include "storage/webhook_store.h"

namespace authurl {
namespace {

using record::v1::Event;

struct Wording {
  absl::string_view reason;
  absl::string_view text;  // $0: the network.
};

constexpr absl::string_view kOtherFailure = "An account of $0 could not be connected";
// What connection.failed has as its reason, in the order of the flow. What whoever completes the
// flow is told besides has the network's own words; here are none that strangers chose.
constexpr std::array<Wording, 18> kFailures = {{
    {"CONFIGURATION_OUTDATED",
     "The configuration of $0 that the connection was begun with is gone. The person must begin "
     "again"},
    {"SOCIAL_NETWORK_NOT_FOUND",
     "The configuration of $0 was deleted before the connection was complete"},
    {"USER_DENIED", "The person did not allow the connection at $0"},
    {"CLIENT_REJECTED",
     "$0 refuses the client key or the client secret that are configured. Compare them with its "
     "portal, and update the configuration"},
    {"CLIENT_SECRET_UNUSABLE",
     "The private key that is configured as the client secret of $0 can't sign. Update the "
     "configuration"},
    {"CODE_REJECTED", "$0 did not take the code of the connection. The person must begin again"},
    {"NETWORK_REFUSED", "$0 refused the connection for a reason of its own"},
    {"NETWORK_UNAVAILABLE",
     "$0 could not be reached, or was out of order. The person can begin again later"},
    {"NETWORK_ANSWER_INVALID", "$0 answered what can't be read. The person can begin again later"},
    {"ACCESS_TOKEN_DEAD",
     "$0 refused the access token that it had just given. The person must begin again"},
    {"REFRESH_DEAD",
     "$0 refused the refresh token that it had just given. The person must begin again"},
    {"SCOPE_MISSING",
     "The person did not grant at $0 what the account can't do without. They must begin again, and "
     "leave it chosen"},
    {"NO_ACCOUNT", "The person has nothing at $0 that could be connected, such as a page"},
    {"NOT_AN_ACCOUNT", "$0 says that what signed in can't be connected"},
    {"ACCOUNT_MISMATCH",
     "The person signed in at $0 with another account than the one that was to be connected again"},
    {"SOCIAL_ACCOUNT_NOT_FOUND",
     "The account of $0 that was to be connected again was removed meanwhile"},
    {"TOO_MANY_ACCOUNTS",
     "The organisation has as many accounts as it may have, or $0 offers too many to choose among"},
    {"RATE_LIMITED",
     "An account of $0 could not be connected: too many of the organisation's connections were "
     "under "
     "way, or waited for a choice. The person can begin again later"},
}};

constexpr std::array<Wording, 3> kRemovals = {{
    {"DELETED", "An account of $0 was removed"},
    {"TENANT_DELETED", "An account of $0 was removed, with all others of its tenant"},
    {"CONFIGURATION_DELETED",
     "An account of $0 was removed, with the configuration that it was connected with"},
}};

constexpr std::array<Wording, 2> kDisablings = {{
    {kDeliveryFailed,
     "The webhook was disabled: for three days it took no event. Mend the receiver, and enable the "
     "webhook again"},
    {kGone,
     "The webhook was disabled: its receiver answered that it is gone (410). Enable the webhook "
     "again if it is not"},
}};

// What account.updated says is another now.
constexpr std::array<Wording, 7> kChanges = {{
    {"connection", "it was connected anew"},
    {"status", "it works again"},
    {"status_reason", "its tokens can be refreshed again"},
    {"username", "another user name"},
    {"display_name", "another name"},
    {"avatar_url", "another picture"},
    {"scopes", "other scopes"},
}};

template <size_t kCount>
absl::string_view TextOf(const std::array<Wording, kCount>& wordings, absl::string_view reason,
                         absl::string_view otherwise) {
  const auto found = std::find_if(wordings.begin(), wordings.end(),
                                  [&](const Wording& wording) { return wording.reason == reason; });
  return found == wordings.end() ? otherwise : found->text;
}

std::string WhatChanged(const Event& event) {
  return absl::StrJoin(event.changed(), ", ", [](std::string* to, const std::string& changed) {
    absl::StrAppend(to, TextOf(kChanges, changed, changed));
  });
}

}  // namespace

std::string EventMessage(const NetworkCatalog& catalog, const Event& event) {
  const catalog::v1::Network* const entry = catalog.Find(event.network());
  const absl::string_view name = entry == nullptr ? event.network() : entry->display_name();
  switch (event.type()) {
    case record::v1::EVENT_TYPE_ACCOUNT_CONNECTED:
      return absl::StrCat("An account of ", name, " was connected");
    case record::v1::EVENT_TYPE_ACCOUNT_UPDATED:
      if (!event.reason().empty()) return WhyNotRefreshed(catalog, event.network(), event.reason());
      return absl::StrCat("An account of ", name, " was updated: ", WhatChanged(event));
    case record::v1::EVENT_TYPE_ACCOUNT_NEEDS_RECONNECT:
      return WhyReconnect(catalog, event.network(), event.reason());
    case record::v1::EVENT_TYPE_ACCOUNT_DISCONNECTED:
      return absl::Substitute(TextOf(kRemovals, event.reason(), kRemovals[0].text), name);
    case record::v1::EVENT_TYPE_CONNECTION_FAILED:
      return absl::Substitute(TextOf(kFailures, event.reason(), kOtherFailure), name);
    case record::v1::EVENT_TYPE_WEBHOOK_DISABLED:
      return std::string(TextOf(kDisablings, event.reason(), "The webhook was disabled"));
    default:
      return "";
  }
}

}  // namespace authurl
