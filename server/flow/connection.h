// connection.h: what is to be stored of a person's consent. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"
#include "authurl/record/v1/record.pb.h"
#include "core/flow/profile.h"
#include "server/flow/open_response.h"
#include "server/flow/read_consent.h"
#include "storage/connecting.h"

namespace authurl {

// Whom a consent was asked for, and what was. Views of what must outlive it.
struct AskedConsent {
  // Of the catalog: the configuration's variant.
  const catalog::v1::Network& network;
  // The configuration, and its version whose client secret belongs to the tokens.
  const record::v1::SocialNetworkSettings& settings;
  uint64_t social_network_version;
  absl::string_view tenant_id;
  const std::vector<std::string>& scopes;
};

// The grant of a consent.
record::v1::Grant GrantOf(const AskedConsent& asked, const ProfileData& person);
// The accounts that it gives access to: the person, unless the network connects others. Views into
// the consent.
std::vector<NewAccount> AccountsOf(const AskedConsent& asked, const Consent& consent);

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
