// tables.h: the tables of the credential store.
#pragma once

#include <cstddef>

#include "absl/types/span.h"
#include "storage/table.h"

namespace authurl {

// One row for each organisation, until all that was its own is purged.
extern const Table kOrganizations;
struct OrganizationColumn {
  // When the purge began; kNeverDue while the organisation lives.
  static constexpr size_t kPurgeAtMs = 0;
};

extern const Table kApiKeys;

extern const Table kSocialNetworks;
struct SocialNetworkColumn {
  static constexpr size_t kNetwork = 0;
  static constexpr size_t kInstance = 1;  // Empty for networks without instances.
  static constexpr size_t kName = 2;
  static constexpr size_t kDefaultRank = 3;
};
// The most configurations that an organisation may have of one (network, instance), so that looking
// through them takes no time.
inline constexpr int kMaxNamesOfNetwork = 100;
struct SocialNetworkLookup {
  static constexpr size_t kByName = 0;
  static constexpr size_t kByRank = 1;  // The default one first.
};
struct SocialNetworkPart {
  static constexpr size_t kSettings = 0;
  static constexpr size_t kSecret = 1;
};

// Ids are digests of references, in hex: who reads the database can't finish somebody's
// authorization with what is in it.
extern const Table kAuthStates;
struct AuthStateColumn {
  static constexpr size_t kExpiresAtMs = 0;
};

// Spent states. Ids are digests of their nonces, in hex.
extern const Table kFlows;
struct FlowColumn {
  static constexpr size_t kPurgeAtMs = 0;
  static constexpr size_t kIsUnfinished = 1;  // 1 until it is completed, also where it failed.
  static constexpr size_t kInUse = 2;  // The configuration's id while it is under way, then empty.
};
struct FlowLookup {
  static constexpr size_t kByUse = 0;  // Unfinished and of a configuration.
  static constexpr size_t kUnfinished = 1;
};

// What people consented to, with the tokens.
extern const Table kGrants;
struct GrantColumn {
  static constexpr size_t kSocialNetworkId = 0;
  static constexpr size_t kClientDigest = 1;  // SHA-256 of the client id, in hex.
  static constexpr size_t kInstance = 2;
  static constexpr size_t kSubject = 3;
  static constexpr size_t kIsConnected = 4;  // 0 once it has lost its last account.
  static constexpr size_t kDueAtMs = 5;
};
struct GrantLookup {
  static constexpr size_t kBySubject = 0;        // Of a configuration, client and instance.
  static constexpr size_t kByConfiguration = 1;  // Connected or not.
};
struct GrantPart {
  static constexpr size_t kGrant = 0;
  static constexpr size_t kTokens = 1;
};

extern const Table kSocialAccounts;
struct SocialAccountColumn {
  static constexpr size_t kSocialNetworkId = 0;
  static constexpr size_t kAccountType = 1;
  static constexpr size_t kNetworkUniqueId = 2;
  static constexpr size_t kTenantId = 3;
  static constexpr size_t kNetwork = 4;
  static constexpr size_t kGrantId = 5;
  static constexpr size_t kConfirmedAtMs = 6;  // kNeverDue while it needs to be reconnected.
};
struct SocialAccountLookup {
  static constexpr size_t kByIdentity = 0;  // The one of a configuration, type, id and tenant.
  static constexpr size_t kByConfiguration = 1;
  static constexpr size_t kByTenant = 2;
  static constexpr size_t kByNetwork = 3;
  static constexpr size_t kByNetworkUniqueId = 4;
  static constexpr size_t kByGrant = 5;
};
struct SocialAccountPart {
  static constexpr size_t kAccount = 0;
  static constexpr size_t kToken = 1;
};
// The most accounts that one grant may have, so that all of them can be changed in one commit.
inline constexpr int kMaxAccountsOfGrant = 1000;

// Accounts of which somebody is to choose. Ids are digests of session tokens, in hex.
extern const Table kPendingConnections;
struct PendingConnectionColumn {
  static constexpr size_t kExpiresAtMs = 0;
};
struct PendingConnectionPart {
  static constexpr size_t kChoices = 0;
  static constexpr size_t kTokens = 1;
};

// What happened, in its order.
extern const Table kEvents;
struct EventColumn {
  static constexpr size_t kNumber = 0;
  static constexpr size_t kPurgeAtMs = 1;
};

extern const Table kWebhooks;
struct WebhookColumn {
  static constexpr size_t kDueAtMs = 0;  // kNeverDue until there is a new event.
};
struct WebhookPart {
  static constexpr size_t kWebhook = 0;
  static constexpr size_t kSecrets = 1;
};

// Refresh tokens that were imported. Ids are digests of them, in hex.
extern const Table kImports;
struct ImportColumn {
  static constexpr size_t kPurgeAtMs = 0;
};
struct ImportPart {
  static constexpr size_t kImport = 0;
  static constexpr size_t kTokens = 1;
};

// All of them; that of the organisations is the first.
absl::Span<const Table* const> StoreTables();

}  // namespace authurl
