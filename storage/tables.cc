#include "storage/tables.h"

#include <array>

namespace authurl {
namespace {

constexpr std::array<Column, 1> kOrganizationColumns = {{
    {"purge_at_ms", ColumnType::kInteger},
}};
constexpr std::array<Part, 1> kOrganizationParts = {{{"whole", Purpose::kOrganization}}};

constexpr std::array<Part, 1> kApiKeyParts = {{{"whole", Purpose::kApiKey}}};

constexpr std::array<Column, 4> kSocialNetworkColumns = {{
    {"network", ColumnType::kText},
    {"instance", ColumnType::kText},
    {"name", ColumnType::kText},
    {"default_rank", ColumnType::kInteger},
}};
constexpr std::array<size_t, 3> kByName = {0, 1, 2};
constexpr std::array<size_t, 2> kByRank = {0, 1};
constexpr std::array<Lookup, 2> kSocialNetworkLookups = {{
    {"by_name", Lookup::Kind::kUnique, kByName},
    // An index of its own would cost each write more than it saves: few rows have one network.
    {"by_rank", Lookup::Kind::kPrefix, kByRank, SocialNetworkColumn::kDefaultRank},
}};
constexpr std::array<Part, 2> kSocialNetworkParts = {{
    {"settings", Purpose::kSettings},
    {"secret", Purpose::kSecret},
}};

constexpr std::array<Column, 1> kAuthStateColumns = {{
    {"expires_at_ms", ColumnType::kInteger},
}};
constexpr std::array<Part, 1> kAuthStateParts = {{{"sealed", Purpose::kAuthState}}};

}  // namespace

const Table kOrganizations = {.name = "organizations",
                              .ids = Table::Ids::kOrganization,
                              .columns = kOrganizationColumns,
                              .lookups = {},
                              .due = OrganizationColumn::kPurgeAtMs,
                              .parts = kOrganizationParts,
                              .short_rows = true};

const Table kApiKeys = {.name = "api_keys",
                        .ids = Table::Ids::kGlobal,
                        .columns = {},
                        .lookups = {},
                        .parts = kApiKeyParts,
                        .short_rows = true};

const Table kSocialNetworks = {.name = "social_networks",
                               .ids = Table::Ids::kPerOrganization,
                               .columns = kSocialNetworkColumns,
                               .lookups = kSocialNetworkLookups,
                               .parts = kSocialNetworkParts};

// Rows come and go all the time and their ids are random. Kept in the order in which they came,
// which is about that in which they expire, they are appended and removed from the front: a purge
// then touches pages side by side instead of one for each row.
const Table kAuthStates = {.name = "auth_states",
                           .ids = Table::Ids::kGlobal,
                           .columns = kAuthStateColumns,
                           .lookups = {},
                           .due = AuthStateColumn::kExpiresAtMs,
                           .parts = kAuthStateParts,
                           .resealed = false};

absl::Span<const Table* const> StoreTables() {
  static constexpr std::array<const Table*, 4> kTables = {&kOrganizations, &kApiKeys,
                                                          &kSocialNetworks, &kAuthStates};
  return kTables;
}

}  // namespace authurl
