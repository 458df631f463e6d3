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

constexpr std::array<Column, 3> kFlowColumns = {{
    {"purge_at_ms", ColumnType::kInteger},
    {"is_unfinished", ColumnType::kInteger},
    {"in_use", ColumnType::kText},
}};
constexpr std::array<size_t, 2> kByUse = {FlowColumn::kIsUnfinished, FlowColumn::kInUse};
constexpr std::array<size_t, 1> kUnfinished = {FlowColumn::kIsUnfinished};
constexpr std::array<Lookup, 2> kFlowLookups = {{
    {"by_use", Lookup::Kind::kIndexed, kByUse},
    {"unfinished", Lookup::Kind::kPrefix, kUnfinished},
}};
constexpr std::array<Part, 1> kFlowParts = {{{"sealed", Purpose::kFlow}}};

constexpr std::array<Column, 6> kGrantColumns = {{
    {"social_network_id", ColumnType::kText},
    {"client_digest", ColumnType::kText},
    {"instance", ColumnType::kText},
    {"subject", ColumnType::kText},
    {"is_connected", ColumnType::kInteger},
    {"due_at_ms", ColumnType::kInteger},
}};
constexpr std::array<size_t, 4> kBySubject = {GrantColumn::kSocialNetworkId,
                                              GrantColumn::kClientDigest, GrantColumn::kInstance,
                                              GrantColumn::kSubject};
constexpr std::array<size_t, 2> kGrantsByConfiguration = {GrantColumn::kSocialNetworkId,
                                                          GrantColumn::kIsConnected};
constexpr std::array<Lookup, 2> kGrantLookups = {{
    // Some networks allow several grants of one person.
    {"by_subject", Lookup::Kind::kIndexed, kBySubject},
    {"by_configuration", Lookup::Kind::kIndexed, kGrantsByConfiguration},
}};
constexpr std::array<Part, 2> kGrantParts = {{
    {"whole", Purpose::kGrant},
    {"tokens", Purpose::kGrantTokens},
}};

constexpr std::array<Column, 7> kSocialAccountColumns = {{
    {"social_network_id", ColumnType::kText},
    {"account_type", ColumnType::kInteger},
    {"network_unique_id", ColumnType::kText},
    {"tenant_id", ColumnType::kText},
    {"network", ColumnType::kText},
    {"grant_id", ColumnType::kText},
    {"confirmed_at_ms", ColumnType::kInteger},
}};
constexpr std::array<size_t, 4> kByIdentity = {
    SocialAccountColumn::kSocialNetworkId, SocialAccountColumn::kAccountType,
    SocialAccountColumn::kNetworkUniqueId, SocialAccountColumn::kTenantId};
constexpr std::array<size_t, 1> kByConfiguration = {SocialAccountColumn::kSocialNetworkId};
constexpr std::array<size_t, 1> kByTenant = {SocialAccountColumn::kTenantId};
constexpr std::array<size_t, 1> kByNetwork = {SocialAccountColumn::kNetwork};
constexpr std::array<size_t, 1> kByNetworkUniqueId = {SocialAccountColumn::kNetworkUniqueId};
constexpr std::array<size_t, 1> kByGrant = {SocialAccountColumn::kGrantId};
// An index for each way to list them, all in the order of ids: an organisation may have very many,
// and connecting one waits for the network anyway.
constexpr std::array<Lookup, 6> kSocialAccountLookups = {{
    {"by_identity", Lookup::Kind::kUnique, kByIdentity},
    {"by_configuration", Lookup::Kind::kIndexed, kByConfiguration},
    {"by_tenant", Lookup::Kind::kIndexed, kByTenant},
    {"by_network", Lookup::Kind::kIndexed, kByNetwork},
    {"by_network_unique_id", Lookup::Kind::kIndexed, kByNetworkUniqueId},
    {"by_grant", Lookup::Kind::kIndexed, kByGrant},
}};
constexpr std::array<Part, 2> kSocialAccountParts = {{
    {"whole", Purpose::kSocialAccount},
    {"token", Purpose::kSocialAccountToken},
}};

constexpr std::array<Column, 1> kPendingConnectionColumns = {{
    {"expires_at_ms", ColumnType::kInteger},
}};
constexpr std::array<Part, 2> kPendingConnectionParts = {{
    {"choices", Purpose::kPendingConnection},
    {"tokens", Purpose::kChoiceTokens},
}};

constexpr std::array<Column, 2> kEventColumns = {{
    {"number", ColumnType::kInteger},
    {"purge_at_ms", ColumnType::kInteger},
}};
constexpr std::array<Part, 1> kEventParts = {{{"whole", Purpose::kEvent}}};

constexpr std::array<Column, 1> kWebhookColumns = {{
    {"due_at_ms", ColumnType::kInteger},
}};
constexpr std::array<Part, 2> kWebhookParts = {{
    {"whole", Purpose::kWebhook},
    {"secrets", Purpose::kWebhookSecret},
}};

constexpr std::array<Column, 1> kImportColumns = {{
    {"purge_at_ms", ColumnType::kInteger},
}};
constexpr std::array<Part, 2> kImportParts = {{
    {"whole", Purpose::kImport},
    {"tokens", Purpose::kImportTokens},
}};

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

// Kept in the order in which they came, as OAuth states are. Sealed anew: outcomes are kept for a
// day.
const Table kFlows = {.name = "flows",
                      .ids = Table::Ids::kGlobal,
                      .columns = kFlowColumns,
                      .lookups = kFlowLookups,
                      .due = FlowColumn::kPurgeAtMs,
                      .parts = kFlowParts};

const Table kGrants = {.name = "grants",
                       .ids = Table::Ids::kPerOrganization,
                       .columns = kGrantColumns,
                       .lookups = kGrantLookups,
                       .due = GrantColumn::kDueAtMs,
                       .parts = kGrantParts};

const Table kSocialAccounts = {.name = "social_accounts",
                               .ids = Table::Ids::kPerOrganization,
                               .columns = kSocialAccountColumns,
                               .lookups = kSocialAccountLookups,
                               .due = SocialAccountColumn::kConfirmedAtMs,
                               .parts = kSocialAccountParts};

const Table kPendingConnections = {.name = "pending_connections",
                                   .ids = Table::Ids::kGlobal,
                                   .columns = kPendingConnectionColumns,
                                   .lookups = {},
                                   .due = PendingConnectionColumn::kExpiresAtMs,
                                   .parts = kPendingConnectionParts,
                                   .resealed = false};

const Table kEvents = {.name = "events",
                       .ids = Table::Ids::kPerOrganization,
                       .columns = kEventColumns,
                       .lookups = {},
                       .due = EventColumn::kPurgeAtMs,
                       .number = EventColumn::kNumber,
                       .parts = kEventParts};

const Table kWebhooks = {.name = "webhooks",
                         .ids = Table::Ids::kPerOrganization,
                         .columns = kWebhookColumns,
                         .lookups = {},
                         .due = WebhookColumn::kDueAtMs,
                         .parts = kWebhookParts};

// Sealed anew: what a refresh gave is kept for a week.
const Table kImports = {.name = "imports",
                        .ids = Table::Ids::kPerOrganization,
                        .columns = kImportColumns,
                        .lookups = {},
                        .due = ImportColumn::kPurgeAtMs,
                        .parts = kImportParts};

absl::Span<const Table* const> StoreTables() {
  static constexpr std::array<const Table*, 11> kTables = {
      &kOrganizations, &kApiKeys,  &kSocialNetworks, &kAuthStates,
      &kFlows,         &kGrants,   &kSocialAccounts, &kPendingConnections,
      &kEvents,        &kWebhooks, &kImports};
  return kTables;
}

}  // namespace authurl
