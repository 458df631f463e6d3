#include "storage/sqlite/migrations.h"

#include <sqlite3.h>

#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/errors.h"

namespace authurl {
namespace {

// Texts are compared byte for byte: BINARY is SQLite's default collation. Tables of short rows go
// WITHOUT ROWID; the rows of social_networks and auth_states are too long for that to pay.
constexpr std::array<const char*, 4> kMigrations = {
    R"sql(
CREATE TABLE meta (
  name TEXT NOT NULL PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE organizations (
  org_id TEXT NOT NULL PRIMARY KEY,
  sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
  key_id TEXT NOT NULL PRIMARY KEY,
  org_id TEXT REFERENCES organizations (org_id) ON DELETE CASCADE,
  version INTEGER NOT NULL,
  sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX api_keys_by_organization ON api_keys (org_id, key_id);

CREATE TABLE social_networks (
  org_id TEXT NOT NULL REFERENCES organizations (org_id) ON DELETE CASCADE,
  id TEXT NOT NULL,
  network TEXT NOT NULL,
  instance TEXT NOT NULL,
  version INTEGER NOT NULL,
  settings BLOB NOT NULL,
  secret BLOB NOT NULL,
  PRIMARY KEY (org_id, id),
  UNIQUE (org_id, network, instance)
) STRICT;
)sql",
    // Rows come and go all the time and their key is random. With a rowid they are appended and, as
    // they expire in about that order, removed from the front: a purge then touches pages side by
    // side instead of one for each row. The other indexes hold rowids instead of digests.
    // `digest` is the SHA-256 of the reference, which itself is never stored: who reads the
    // database can't finish somebody's authorization with what is in it.
    R"sql(
CREATE TABLE auth_states (
  digest BLOB NOT NULL PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES organizations (org_id) ON DELETE CASCADE,
  expires_at_ms INTEGER NOT NULL,
  sealed BLOB NOT NULL
) STRICT;
CREATE INDEX auth_states_by_expiry ON auth_states (expires_at_ms);
CREATE INDEX auth_states_by_organization ON auth_states (org_id);
)sql",
    // The key that a row is sealed under, which stands in the second byte of what is sealed: the
    // bytes themselves say it, so that no column can say otherwise. Entries of one key come in the
    // order of the row's own key, for social_networks (below) its rowid: new rows are appended.
    R"sql(
CREATE INDEX organizations_by_key ON organizations (substr(sealed, 2, 1));
CREATE INDEX api_keys_by_key ON api_keys (substr(sealed, 2, 1));
)sql",
    // Several configurations of one network: SQLite can't take the old UNIQUE away from a table.
    // What a row is found and ordered by stands before the long columns.
    R"sql(
CREATE TABLE new_social_networks (
  org_id TEXT NOT NULL REFERENCES organizations (org_id) ON DELETE CASCADE,
  id TEXT NOT NULL,
  network TEXT NOT NULL,
  instance TEXT NOT NULL,
  name TEXT NOT NULL,
  default_rank INTEGER NOT NULL,
  version INTEGER NOT NULL,
  settings BLOB NOT NULL,
  secret BLOB NOT NULL,
  PRIMARY KEY (org_id, id),
  UNIQUE (org_id, network, instance, name)
) STRICT;
INSERT INTO new_social_networks
  SELECT org_id, id, network, instance, '', 0, version, settings, secret FROM social_networks
  ORDER BY rowid;
DROP TABLE social_networks;
ALTER TABLE new_social_networks RENAME TO social_networks;
CREATE INDEX social_networks_by_key ON social_networks (substr(settings, 2, 1));
)sql",
};

absl::Status Execute(sqlite3* db, const std::string& sql) {
  if (sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) {
    return absl::OkStatus();
  }
  return StorageUnavailable(sqlite3_errmsg(db));
}

}  // namespace

std::span<const char* const> Migrations() { return kMigrations; }

int LatestSchemaVersion() { return static_cast<int>(kMigrations.size()); }

absl::StatusOr<int> SchemaVersion(sqlite3* db) {
  sqlite3_stmt* statement = nullptr;
  int code = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &statement, nullptr);
  if (code == SQLITE_OK) code = sqlite3_step(statement);
  const int version = code == SQLITE_ROW ? sqlite3_column_int(statement, 0) : 0;
  sqlite3_finalize(statement);
  if (code != SQLITE_ROW) return StorageUnavailable(sqlite3_errmsg(db));
  return version;
}

absl::Status Migrate(sqlite3* db, std::span<const char* const> migrations) {
  const absl::StatusOr<int> version = SchemaVersion(db);
  if (!version.ok()) return version.status();
  for (size_t i = static_cast<size_t>(*version); i < migrations.size(); ++i) {
    const absl::Status status =
        Execute(db, absl::StrCat("BEGIN IMMEDIATE;", migrations[i], ";PRAGMA application_id=",
                                 kApplicationId, ";PRAGMA user_version=", i + 1, ";COMMIT;"));
    if (status.ok()) continue;
    if (sqlite3_get_autocommit(db) == 0) Execute(db, "ROLLBACK").IgnoreError();
    return StorageUnavailable(absl::StrCat("migration ", i + 1, ": ", CauseOf(status)));
  }
  return absl::OkStatus();
}

}  // namespace authurl
