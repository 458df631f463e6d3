// connection.h: what is to be stored of a person's consent.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"
#include "authurl/record/v1/record.pb.h"
#include "server/flow/open_response.h"
#include "server/flow/read_consent.h"
#include "storage/connecting.h"

namespace authurl {

struct Connection {
  record::v1::Grant grant;
  // Views into the consent that it was made of, which must outlive this.
  std::vector<NewAccount> accounts;
  // Somebody has to choose among the accounts: with what comes of the choice.
  bool needs_choice = false;
  record::v1::PendingConnection pending;
};

// What the accounts are that are chosen from the network's list.
record::v1::AccountType ListedAccountType(const catalog::v1::Network& network);

// The person is the account, unless the network connects others; of these the only one is
// connected, and of several somebody chooses. Where it came to the hosted callback and the flow has
// a session binding, somebody who has that must choose even so. `reconnected`: the account that the
// flow is to reconnect; then it alone is connected, and ACCOUNT_MISMATCH where the consent does not
// give access to it, SOCIAL_ACCOUNT_NOT_FOUND where it is of another tenant than the flow's.
absl::StatusOr<Connection> ConnectionOf(const OpenedResponse& opened, const Consent& consent,
                                        const record::v1::SocialAccount* reconnected);

}  // namespace authurl
