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

// All of them; that of the organisations is the first.
absl::Span<const Table* const> StoreTables();

}  // namespace authurl
