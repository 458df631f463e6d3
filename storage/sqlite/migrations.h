// migrations.h: the schema of the SQLite database, as numbered steps to which later ones are only
// ever added.
#pragma once

#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sqlite3;

namespace authurl {

// application_id in the file's header: tells an authurl database from any other SQLite file
// ("aurl").
inline constexpr int32_t kApplicationId = 0x6175726C;

// Element n - 1 is the SQL text that leads from version n - 1 to version n. A released one never
// changes.
std::span<const char* const> Migrations();
// The version that Migrations() leads to.
int LatestSchemaVersion();

// user_version of the database; 0 for a new one.
absl::StatusOr<int> SchemaVersion(sqlite3* db);
// Brings the database from its user_version up to the last of `migrations`, each in a transaction
// of its own together with its number, so that a migration is there as a whole or not at all.
// StorageUnavailable if one fails; the earlier ones stay.
absl::Status Migrate(sqlite3* db, std::span<const char* const> migrations);

}  // namespace authurl
