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
constexpr std::array<const char*, 6> kMigrations = {
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
    // All tables as storage/table.h describes them: every row with its organisation, the
    // organisation's generation, an id and a version. Several configurations of one network. No
    // foreign keys: a batch says itself what it expects.
    //
    // The key that a row is sealed under stands in the second byte of what is sealed: the bytes
    // themselves say it, so that no column can say otherwise. Index entries of one key come in the
    // order of the row's own key, for social_networks its rowid: new rows are appended.
    R"sql(
CREATE TABLE new_organizations (
  org_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  purge_at_ms INTEGER NOT NULL,
  whole BLOB NOT NULL,
  PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;
INSERT INTO new_organizations
  SELECT org_id, 0, org_id, 1, 9223372036854775807, sealed FROM organizations ORDER BY org_id;

CREATE TABLE new_api_keys (
  org_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  whole BLOB NOT NULL,
  PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;
INSERT INTO new_api_keys
  SELECT coalesce(org_id, ''), 0, key_id, version, sealed FROM api_keys ORDER BY key_id;

CREATE TABLE new_social_networks (
  org_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  network TEXT NOT NULL,
  instance TEXT NOT NULL,
  name TEXT NOT NULL,
  default_rank INTEGER NOT NULL,
  settings BLOB NOT NULL,
  secret BLOB NOT NULL,
  PRIMARY KEY (org_id, id)
) STRICT;
INSERT INTO new_social_networks
  SELECT org_id, 0, id, version, network, instance, '', 0, settings, secret FROM social_networks
  ORDER BY rowid;

CREATE TABLE new_auth_states (
  org_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  expires_at_ms INTEGER NOT NULL,
  sealed BLOB NOT NULL,
  PRIMARY KEY (id)
) STRICT;
INSERT INTO new_auth_states
  SELECT org_id, 0, lower(hex(digest)), 1, expires_at_ms, sealed FROM auth_states ORDER BY rowid;

DROP TABLE auth_states;
DROP TABLE social_networks;
DROP TABLE api_keys;
DROP TABLE organizations;
ALTER TABLE new_organizations RENAME TO organizations;
ALTER TABLE new_api_keys RENAME TO api_keys;
ALTER TABLE new_social_networks RENAME TO social_networks;
ALTER TABLE new_auth_states RENAME TO auth_states;
CREATE INDEX organizations_by_due ON organizations (purge_at_ms);
CREATE INDEX organizations_by_key ON organizations (substr(whole, 2, 1));
CREATE INDEX api_keys_by_organization ON api_keys (org_id, id);
CREATE INDEX api_keys_by_key ON api_keys (substr(whole, 2, 1));
CREATE UNIQUE INDEX social_networks_by_name ON social_networks (org_id, network, instance, name);
CREATE INDEX social_networks_by_key ON social_networks (substr(settings, 2, 1));
CREATE INDEX auth_states_by_organization ON auth_states (org_id, id);
CREATE INDEX auth_states_by_due ON auth_states (expires_at_ms);
)sql",
    // What completing a flow leaves. Indexes that rows are listed by end with the id.
    R"sql(
CREATE TABLE flows (
  org_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  purge_at_ms INTEGER NOT NULL,
  is_unfinished INTEGER NOT NULL,
  in_use TEXT NOT NULL,
  sealed BLOB NOT NULL,
  PRIMARY KEY (id)
) STRICT;
CREATE INDEX flows_by_organization ON flows (org_id, id);
CREATE INDEX flows_by_use ON flows (org_id, is_unfinished, in_use, id);
CREATE INDEX flows_by_due ON flows (purge_at_ms);
CREATE INDEX flows_by_key ON flows (substr(sealed, 2, 1));

CREATE TABLE grants (
  org_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  social_network_id TEXT NOT NULL,
  client_digest TEXT NOT NULL,
  instance TEXT NOT NULL,
  subject TEXT NOT NULL,
  is_connected INTEGER NOT NULL,
  due_at_ms INTEGER NOT NULL,
  whole BLOB NOT NULL,
  tokens BLOB NOT NULL,
  PRIMARY KEY (org_id, id)
) STRICT;
CREATE INDEX grants_by_subject
  ON grants (org_id, social_network_id, client_digest, instance, subject, id);
CREATE INDEX grants_by_configuration ON grants (org_id, social_network_id, is_connected, id);
CREATE INDEX grants_by_due ON grants (due_at_ms);
CREATE INDEX grants_by_key ON grants (substr(whole, 2, 1));

CREATE TABLE social_accounts (
  org_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  social_network_id TEXT NOT NULL,
  account_type INTEGER NOT NULL,
  network_unique_id TEXT NOT NULL,
  tenant_id TEXT NOT NULL,
  network TEXT NOT NULL,
  grant_id TEXT NOT NULL,
  whole BLOB NOT NULL,
  token BLOB NOT NULL,
  PRIMARY KEY (org_id, id)
) STRICT;
CREATE UNIQUE INDEX social_accounts_by_identity
  ON social_accounts (org_id, social_network_id, account_type, network_unique_id, tenant_id);
CREATE INDEX social_accounts_by_configuration ON social_accounts (org_id, social_network_id, id);
CREATE INDEX social_accounts_by_tenant ON social_accounts (org_id, tenant_id, id);
CREATE INDEX social_accounts_by_network ON social_accounts (org_id, network, id);
CREATE INDEX social_accounts_by_network_unique_id
  ON social_accounts (org_id, network_unique_id, id);
CREATE INDEX social_accounts_by_grant ON social_accounts (org_id, grant_id, id);
CREATE INDEX social_accounts_by_key ON social_accounts (substr(whole, 2, 1));

CREATE TABLE pending_connections (
  org_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  expires_at_ms INTEGER NOT NULL,
  choices BLOB NOT NULL,
  tokens BLOB NOT NULL,
  PRIMARY KEY (id)
) STRICT;
CREATE INDEX pending_connections_by_organization ON pending_connections (org_id, id);
CREATE INDEX pending_connections_by_due ON pending_connections (expires_at_ms);
)sql",
    // What happened, to whom it is told, and in which order connections are looked after. What is
    // due of tables whose ids are unique in one organisation only can be gone through.
    R"sql(
DROP INDEX grants_by_due;
CREATE INDEX grants_by_due ON grants (due_at_ms, org_id, id);

CREATE TABLE new_social_accounts (
  org_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  social_network_id TEXT NOT NULL,
  account_type INTEGER NOT NULL,
  network_unique_id TEXT NOT NULL,
  tenant_id TEXT NOT NULL,
  network TEXT NOT NULL,
  grant_id TEXT NOT NULL,
  confirmed_at_ms INTEGER NOT NULL,
  whole BLOB NOT NULL,
  token BLOB NOT NULL,
  PRIMARY KEY (org_id, id)
) STRICT;
INSERT INTO new_social_accounts
  SELECT org_id, generation, id, version, social_network_id, account_type, network_unique_id,
    tenant_id, network, grant_id, 0, whole, token FROM social_accounts ORDER BY rowid;
DROP TABLE social_accounts;
ALTER TABLE new_social_accounts RENAME TO social_accounts;
CREATE UNIQUE INDEX social_accounts_by_identity
  ON social_accounts (org_id, social_network_id, account_type, network_unique_id, tenant_id);
CREATE INDEX social_accounts_by_configuration ON social_accounts (org_id, social_network_id, id);
CREATE INDEX social_accounts_by_tenant ON social_accounts (org_id, tenant_id, id);
CREATE INDEX social_accounts_by_network ON social_accounts (org_id, network, id);
CREATE INDEX social_accounts_by_network_unique_id
  ON social_accounts (org_id, network_unique_id, id);
CREATE INDEX social_accounts_by_grant ON social_accounts (org_id, grant_id, id);
CREATE INDEX social_accounts_by_due ON social_accounts (confirmed_at_ms, org_id, id);
CREATE INDEX social_accounts_by_key ON social_accounts (substr(whole, 2, 1));

CREATE TABLE events (
  org_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  number INTEGER NOT NULL,
  purge_at_ms INTEGER NOT NULL,
  whole BLOB NOT NULL,
  PRIMARY KEY (org_id, id)
) STRICT;
CREATE INDEX events_by_due ON events (purge_at_ms, org_id, id);
CREATE UNIQUE INDEX events_by_number ON events (org_id, number);
CREATE INDEX events_by_key ON events (substr(whole, 2, 1));

CREATE TABLE webhooks (
  org_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  due_at_ms INTEGER NOT NULL,
  whole BLOB NOT NULL,
  secrets BLOB NOT NULL,
  PRIMARY KEY (org_id, id)
) STRICT;
CREATE INDEX webhooks_by_due ON webhooks (due_at_ms, org_id, id);
CREATE INDEX webhooks_by_key ON webhooks (substr(whole, 2, 1));
)sql",
    // Refresh tokens that were imported.
    R"sql(
CREATE TABLE imports (
  org_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  purge_at_ms INTEGER NOT NULL,
  whole BLOB NOT NULL,
  tokens BLOB NOT NULL,
  PRIMARY KEY (org_id, id)
) STRICT;
CREATE INDEX imports_by_due ON imports (purge_at_ms, org_id, id);
CREATE INDEX imports_by_key ON imports (substr(whole, 2, 1));
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
