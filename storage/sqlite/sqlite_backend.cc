#include "storage/sqlite/sqlite_backend.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/errors.h"
#include "storage/sqlite/database_file.h"
#include "storage/sqlite/group_commit.h"
#include "storage/sqlite/reader_pool.h"
#include "storage/sqlite/sqlite_connection.h"

namespace authurl {
namespace {

// Reads are short and mostly served from memory: more connections than workers can run at once gain
// nothing.
constexpr int kReaders = 8;

using Row = SqliteConnection::Row;
using Text = SqliteConnection::Text;
using Blob = SqliteConnection::Blob;
using Body = GroupCommit::Body;

SqliteConnection::Value TextOrNull(absl::string_view text) {
  if (text.empty()) return std::monostate();
  return Text{text};
}

int64_t Stored(uint64_t version) { return static_cast<int64_t>(version); }

OrganizationRow ToOrganization(const Row& row) { return {row.Bytes(0), row.Bytes(1)}; }

ApiKeyRow ToApiKey(const Row& row) {
  return {row.Bytes(0), row.Bytes(1), static_cast<uint64_t>(row.Integer(2)), row.Bytes(3)};
}

SocialNetworkRow ToSocialNetwork(const Row& row) {
  return {.id = row.Bytes(0),
          .org_id = row.Bytes(1),
          .network = row.Bytes(2),
          .instance = row.Bytes(3),
          .name = row.Bytes(4),
          .default_rank = row.Integer(5),
          .version = static_cast<uint64_t>(row.Integer(6)),
          .settings = row.Bytes(7),
          .secret = {}};
}

SocialNetworkRow ToSocialNetworkWithSecret(const Row& row) {
  SocialNetworkRow result = ToSocialNetwork(row);
  result.secret = row.Bytes(8);
  return result;
}

AuthStateRow ToAuthState(const Row& row) {
  return {row.Bytes(0), row.Bytes(1), row.Integer(2), row.Bytes(3)};
}

absl::Status NoSuchRow() { return absl::NotFoundError("no such row"); }

// After an update that asked for a certain state of its row and changed nothing: why. `count`
// counts the rows of that key.
absl::Status WhyUnchanged(SqliteConnection& db, const char* count,
                          std::initializer_list<SqliteConnection::Value> key) {
  int64_t rows = 0;
  const absl::Status status = db.Run(count, key, [&](const Row& row) { rows = row.Integer(0); });
  if (!status.ok()) return status;
  return rows == 0 ? NoSuchRow() : absl::AbortedError("the row has changed");
}

class SqliteBackend final : public Backend {
 public:
  SqliteBackend(std::unique_ptr<DatabaseFile> file, std::unique_ptr<SqliteConnection> writer,
                std::vector<std::unique_ptr<SqliteConnection>> readers)
      : file_(std::move(file)), writes_(*file_, std::move(writer)), readers_(std::move(readers)) {}

  absl::StatusOr<std::optional<std::string>> GetMeta(absl::string_view name) override {
    absl::StatusOr<std::string> value =
        ReadOne<std::string>("SELECT value FROM meta WHERE name = ?1", {Text{name}},
                             [](const Row& row) { return row.Bytes(0); });
    if (absl::IsNotFound(value.status())) return std::nullopt;
    if (!value.ok()) return value.status();
    return *std::move(value);
  }

  absl::Status PutMeta(absl::string_view name, absl::string_view value) override {
    return Write([&](SqliteConnection& db) {
      return db.Run(
          "INSERT INTO meta (name, value) VALUES (?1, ?2)"
          " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
          {Text{name}, Blob{value}});
    });
  }

  absl::Status InsertOrganization(const OrganizationRow& row) override {
    return Write([&](SqliteConnection& db) {
      return db.Run("INSERT INTO organizations (org_id, sealed) VALUES (?1, ?2)",
                    {Text{row.org_id}, Blob{row.sealed}});
    });
  }

  absl::StatusOr<OrganizationRow> GetOrganization(absl::string_view org_id) override {
    return ReadOne<OrganizationRow>("SELECT org_id, sealed FROM organizations WHERE org_id = ?1",
                                    {Text{org_id}}, ToOrganization);
  }

  absl::StatusOr<std::vector<OrganizationRow>> ListOrganizations(absl::string_view after,
                                                                 int limit) override {
    return ReadAll<OrganizationRow>(
        "SELECT org_id, sealed FROM organizations WHERE org_id > ?1 ORDER BY org_id LIMIT ?2",
        {Text{after}, Limit(limit)}, ToOrganization);
  }

  absl::Status UpdateOrganization(const OrganizationRow& row,
                                  absl::string_view expected_sealed) override {
    return Write([&](SqliteConnection& db) {
      const absl::Status status =
          db.Run("UPDATE organizations SET sealed = ?2 WHERE org_id = ?1 AND sealed = ?3",
                 {Text{row.org_id}, Blob{row.sealed}, Blob{expected_sealed}});
      if (!status.ok() || db.changes() > 0) return status;
      return WhyUnchanged(db, "SELECT count(*) FROM organizations WHERE org_id = ?1",
                          {Text{row.org_id}});
    });
  }

  // Keys, configurations and auth states go by ON DELETE CASCADE.
  absl::Status DeleteOrganization(absl::string_view org_id) override {
    return Write([&](SqliteConnection& db) {
      const absl::Status status =
          db.Run("DELETE FROM organizations WHERE org_id = ?1", {Text{org_id}});
      if (!status.ok() || db.changes() > 0) return status;
      return NoSuchRow();
    });
  }

  absl::Status InsertApiKey(const ApiKeyRow& row) override {
    return Write([&](SqliteConnection& db) {
      return db.Run(
          "INSERT INTO api_keys (key_id, org_id, version, sealed) VALUES (?1, ?2, ?3, ?4)",
          {Text{row.key_id}, TextOrNull(row.org_id), Stored(row.version), Blob{row.sealed}});
    });
  }

  absl::StatusOr<ApiKeyRow> GetApiKey(absl::string_view key_id) override {
    return ReadOne<ApiKeyRow>(
        "SELECT key_id, org_id, version, sealed FROM api_keys WHERE key_id = ?1", {Text{key_id}},
        ToApiKey);
  }

  absl::StatusOr<std::vector<ApiKeyRow>> ListApiKeys(std::optional<absl::string_view> org_id,
                                                     absl::string_view after, int limit) override {
    if (!org_id) {
      return ReadAll<ApiKeyRow>(
          "SELECT key_id, org_id, version, sealed FROM api_keys"
          " WHERE key_id > ?1 ORDER BY key_id LIMIT ?2",
          {Text{after}, Limit(limit)}, ToApiKey);
    }
    return ReadAll<ApiKeyRow>(
        "SELECT key_id, org_id, version, sealed FROM api_keys"
        " WHERE org_id IS ?1 AND key_id > ?2 ORDER BY key_id LIMIT ?3",
        {TextOrNull(*org_id), Text{after}, Limit(limit)}, ToApiKey);
  }

  absl::Status UpdateApiKey(const ApiKeyRow& row, uint64_t expected_version) override {
    return Write([&](SqliteConnection& db) {
      const absl::Status status = db.Run(
          "UPDATE api_keys SET version = ?2, sealed = ?3 WHERE key_id = ?1 AND version = ?4",
          {Text{row.key_id}, Stored(row.version), Blob{row.sealed}, Stored(expected_version)});
      if (!status.ok() || db.changes() > 0) return status;
      return WhyUnchanged(db, "SELECT count(*) FROM api_keys WHERE key_id = ?1",
                          {Text{row.key_id}});
    });
  }

  absl::StatusOr<int> InsertSocialNetwork(const SocialNetworkRow& row, Place place) override {
    int64_t others = 0;
    const absl::Status status = Write([&](SqliteConnection& db) {
      int64_t same_name = 0;
      int64_t lowest = 0;
      int64_t highest = 0;
      const absl::Status counted = db.Run(
          "SELECT count(*), total(name = ?4), min(default_rank), max(default_rank)"
          " FROM social_networks WHERE org_id = ?1 AND network = ?2 AND instance = ?3",
          {Text{row.org_id}, Text{row.network}, Text{row.instance}, Text{row.name}},
          [&](const Row& found) {
            others = found.Integer(0);
            same_name = found.Integer(1);
            lowest = found.Integer(2);
            highest = found.Integer(3);
          });
      if (!counted.ok()) return counted;
      if (same_name > 0) return absl::AlreadyExistsError("the name is taken");
      if (others >= kMaxNamesOfNetwork) {
        return absl::ResourceExhaustedError("too many of one network");
      }
      const bool fits =
          place == Place::kFirst ? row.default_rank < lowest : row.default_rank > highest;
      if (others > 0 && !fits) return absl::AbortedError("the rank is another one's place");
      return db.Run(
          "INSERT INTO social_networks"
          " (id, org_id, network, instance, name, default_rank, version, settings, secret)"
          " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
          {Text{row.id}, Text{row.org_id}, Text{row.network}, Text{row.instance}, Text{row.name},
           row.default_rank, Stored(row.version), Blob{row.settings}, Blob{row.secret}});
    });
    if (!status.ok()) return status;
    return static_cast<int>(others);
  }

  absl::StatusOr<SocialNetworkRow> GetSocialNetwork(absl::string_view org_id,
                                                    absl::string_view id) override {
    return ReadOne<SocialNetworkRow>(
        "SELECT id, org_id, network, instance, name, default_rank, version, settings"
        " FROM social_networks WHERE org_id = ?1 AND id = ?2",
        {Text{org_id}, Text{id}}, ToSocialNetwork);
  }

  absl::StatusOr<SocialNetworkRow> FindSocialNetwork(
      absl::string_view org_id, absl::string_view network, absl::string_view instance,
      std::optional<absl::string_view> name) override {
    if (name) {
      return ReadOne<SocialNetworkRow>(
          "SELECT id, org_id, network, instance, name, default_rank, version, settings"
          " FROM social_networks"
          " WHERE org_id = ?1 AND network = ?2 AND instance = ?3 AND name = ?4",
          {Text{org_id}, Text{network}, Text{instance}, Text{*name}}, ToSocialNetwork);
    }
    return ReadOne<SocialNetworkRow>(
        "SELECT id, org_id, network, instance, name, default_rank, version, settings"
        " FROM social_networks WHERE org_id = ?1 AND network = ?2 AND instance = ?3"
        " ORDER BY default_rank, id LIMIT 1",
        {Text{org_id}, Text{network}, Text{instance}}, ToSocialNetwork);
  }

  absl::StatusOr<int64_t> GetHighestDefaultRank(absl::string_view org_id, absl::string_view network,
                                                absl::string_view instance) override {
    return ReadOne<int64_t>(
        "SELECT default_rank FROM social_networks"
        " WHERE org_id = ?1 AND network = ?2 AND instance = ?3 ORDER BY default_rank DESC LIMIT 1",
        {Text{org_id}, Text{network}, Text{instance}},
        [](const Row& row) { return row.Integer(0); });
  }

  absl::StatusOr<SocialNetworkRow> GetSocialNetworkSecret(absl::string_view org_id,
                                                          absl::string_view id) override {
    return ReadOne<SocialNetworkRow>(
        "SELECT id, org_id, network, instance, name, default_rank, version, settings, secret"
        " FROM social_networks WHERE org_id = ?1 AND id = ?2",
        {Text{org_id}, Text{id}}, ToSocialNetworkWithSecret);
  }

  absl::StatusOr<std::vector<SocialNetworkRow>> ListSocialNetworks(absl::string_view org_id,
                                                                   absl::string_view after,
                                                                   int limit) override {
    return ReadAll<SocialNetworkRow>(
        "SELECT id, org_id, network, instance, name, default_rank, version, settings"
        " FROM social_networks WHERE org_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
        {Text{org_id}, Text{after}, Limit(limit)}, ToSocialNetwork);
  }

  absl::Status UpdateSocialNetwork(const SocialNetworkRow& row,
                                   uint64_t expected_version) override {
    return Write([&](SqliteConnection& db) {
      const absl::Status status = db.Run(
          "UPDATE social_networks SET name = ?3, default_rank = ?4, version = ?5, settings = ?6,"
          " secret = ?7 WHERE org_id = ?1 AND id = ?2 AND version = ?8",
          {Text{row.org_id}, Text{row.id}, Text{row.name}, row.default_rank, Stored(row.version),
           Blob{row.settings}, Blob{row.secret}, Stored(expected_version)});
      if (!status.ok() || db.changes() > 0) return status;
      return WhyUnchanged(db, "SELECT count(*) FROM social_networks WHERE org_id = ?1 AND id = ?2",
                          {Text{row.org_id}, Text{row.id}});
    });
  }

  absl::Status DeleteSocialNetwork(absl::string_view org_id, absl::string_view id) override {
    return Write([&](SqliteConnection& db) {
      const absl::Status status = db.Run(
          "DELETE FROM social_networks WHERE org_id = ?1 AND id = ?2", {Text{org_id}, Text{id}});
      if (!status.ok() || db.changes() > 0) return status;
      return NoSuchRow();
    });
  }

  absl::Status InsertAuthState(const AuthStateRow& row) override {
    return Write([&](SqliteConnection& db) {
      return db.Run(
          "INSERT INTO auth_states (digest, org_id, expires_at_ms, sealed)"
          " VALUES (?1, ?2, ?3, ?4)",
          {Blob{row.digest}, Text{row.org_id}, row.expires_at_ms, Blob{row.sealed}});
    });
  }

  absl::StatusOr<AuthStateRow> GetAuthState(absl::string_view digest) override {
    return ReadOne<AuthStateRow>(
        "SELECT digest, org_id, expires_at_ms, sealed FROM auth_states WHERE digest = ?1",
        {Blob{digest}}, ToAuthState);
  }

  absl::StatusOr<int> DeleteExpiredAuthStates(int64_t before_ms, int limit) override {
    int deleted = 0;
    const absl::Status status = Write([&](SqliteConnection& db) {
      const absl::Status run = db.Run(
          "DELETE FROM auth_states WHERE rowid IN (SELECT rowid FROM auth_states"
          " WHERE expires_at_ms < ?1 ORDER BY expires_at_ms LIMIT ?2)",
          {before_ms, Limit(limit)});
      deleted = db.changes();
      return run;
    });
    if (!status.ok()) return status;
    return deleted;
  }

  // Each step of the recursion seeks the next key in the index: the rows in between are not read.
  absl::StatusOr<std::vector<uint8_t>> ListKeysInUse() override {
    return ReadAll<uint8_t>(
        "WITH RECURSIVE"
        " organization_keys (key) AS (SELECT min(substr(sealed, 2, 1)) FROM organizations"
        "  UNION ALL SELECT (SELECT min(substr(sealed, 2, 1)) FROM organizations"
        "   WHERE substr(sealed, 2, 1) > key) FROM organization_keys WHERE key IS NOT NULL),"
        " api_key_keys (key) AS (SELECT min(substr(sealed, 2, 1)) FROM api_keys"
        "  UNION ALL SELECT (SELECT min(substr(sealed, 2, 1)) FROM api_keys"
        "   WHERE substr(sealed, 2, 1) > key) FROM api_key_keys WHERE key IS NOT NULL),"
        " social_network_keys (key) AS (SELECT min(substr(settings, 2, 1)) FROM social_networks"
        "  UNION ALL SELECT (SELECT min(substr(settings, 2, 1)) FROM social_networks"
        "   WHERE substr(settings, 2, 1) > key) FROM social_network_keys WHERE key IS NOT NULL)"
        " SELECT key FROM (SELECT key FROM organization_keys UNION SELECT key FROM api_key_keys"
        "  UNION SELECT key FROM social_network_keys) WHERE length(key) = 1 ORDER BY key",
        {}, [](const Row& row) { return static_cast<uint8_t>(row.Bytes(0).front()); });
  }

  absl::StatusOr<RowsUnderKey<OrganizationRow>> ListOrganizationsUnder(uint8_t key_id,
                                                                       absl::string_view from,
                                                                       int limit) override {
    const std::string key(1, static_cast<char>(key_id));
    return PageOf(ReadAll<OrganizationRow>("SELECT org_id, sealed FROM organizations"
                                           " WHERE substr(sealed, 2, 1) = ?1 AND org_id > ?2"
                                           " ORDER BY org_id LIMIT ?3",
                                           {Blob{key}, Text{from}, Limit(limit)}, ToOrganization),
                  limit, [](const OrganizationRow& row) { return row.org_id; });
  }

  absl::StatusOr<RowsUnderKey<ApiKeyRow>> ListApiKeysUnder(uint8_t key_id, absl::string_view from,
                                                           int limit) override {
    const std::string key(1, static_cast<char>(key_id));
    return PageOf(ReadAll<ApiKeyRow>("SELECT key_id, org_id, version, sealed FROM api_keys"
                                     " WHERE substr(sealed, 2, 1) = ?1 AND key_id > ?2"
                                     " ORDER BY key_id LIMIT ?3",
                                     {Blob{key}, Text{from}, Limit(limit)}, ToApiKey),
                  limit, [](const ApiKeyRow& row) { return row.key_id; });
  }

  // Positions are rowids, which stay the same while a row lives.
  absl::StatusOr<RowsUnderKey<SocialNetworkRow>> ListSocialNetworksUnder(uint8_t key_id,
                                                                         absl::string_view from,
                                                                         int limit) override {
    int64_t last = 0;
    if (!from.empty() && !absl::SimpleAtoi(from, &last)) {
      return absl::InternalError("a position in social_networks that no page ended with");
    }
    const std::string key(1, static_cast<char>(key_id));
    return PageOf(ReadAll<SocialNetworkRow>(
                      "SELECT id, org_id, network, instance, name, default_rank, version, settings,"
                      " secret, rowid FROM social_networks"
                      " WHERE substr(settings, 2, 1) = ?1 AND rowid > ?2 ORDER BY rowid LIMIT ?3",
                      {Blob{key}, last, Limit(limit)},
                      [&](const Row& row) {
                        last = row.Integer(9);
                        return ToSocialNetworkWithSecret(row);
                      }),
                  limit, [&](const SocialNetworkRow&) { return absl::StrCat(last); });
  }

  // A write of its own only while the last one had failed: that is how it is noticed that the disk
  // has room again.
  absl::Status Probe() override {
    if (writes_.failed()) {
      if (const absl::Status status = PutMeta("write_probe", ""); !status.ok()) return status;
    }
    return ProbeReads();
  }

  absl::Status ProbeReads() override {
    return Read(
        [](SqliteConnection& db) { return db.Run("SELECT name FROM meta ORDER BY name LIMIT 1"); });
  }

  BackendStats Stats() const override {
    const GroupCommit::Stats writes = writes_.stats();
    BackendStats stats{.commits = writes.commits,
                       .writes = writes.writes,
                       .largest_commit = writes.largest_group,
                       .waiting_writes = writes.waiting,
                       .reads = reads_.load(std::memory_order_relaxed)};
    const auto add = [&](const SqliteConnection& connection) {
      stats.errors += connection.errors();
      stats.busy += connection.busy();
    };
    add(writes_.connection());
    for (const auto& reader : readers_.connections()) add(*reader);
    return stats;
  }

 private:
  static int64_t Limit(int limit) { return std::max(limit, 0); }  // Negative means none to SQLite.

  // Every write goes through here.
  absl::Status Write(Body body) { return writes_.Write(body); }

  // Every read goes through here.
  absl::Status Read(Body body) {
    if (const absl::Status status = file_->CheckInPlace(); !status.ok()) return status;
    const ReaderPool::Lease reader = readers_.Take();
    reads_.fetch_add(1, std::memory_order_relaxed);
    return body(*reader);
  }

  template <typename T>
  absl::StatusOr<std::vector<T>> ReadAll(const char* sql,
                                         std::initializer_list<SqliteConnection::Value> values,
                                         absl::FunctionRef<T(const Row&)> convert) {
    std::vector<T> rows;
    const absl::Status status = Read([&](SqliteConnection& db) {
      return db.Run(sql, values, [&](const Row& row) { rows.push_back(convert(row)); });
    });
    if (!status.ok()) return status;
    return rows;
  }

  template <typename T>
  absl::StatusOr<T> ReadOne(const char* sql, std::initializer_list<SqliteConnection::Value> values,
                            absl::FunctionRef<T(const Row&)> convert) {
    absl::StatusOr<std::vector<T>> rows = ReadAll<T>(sql, values, convert);
    if (!rows.ok()) return rows.status();
    if (rows->empty()) return NoSuchRow();
    return std::move(rows->front());
  }

  // `position` of the last row is where the next page begins.
  template <typename T, typename Position>
  static absl::StatusOr<RowsUnderKey<T>> PageOf(absl::StatusOr<std::vector<T>> rows, int limit,
                                                Position position) {
    if (!rows.ok()) return rows.status();
    RowsUnderKey<T> page{.rows = *std::move(rows), .next = {}};
    if (std::ssize(page.rows) == limit) page.next = position(page.rows.back());
    return page;
  }

  // Declared in the order in which they must be closed, reversed: readers, writer (its end is the
  // last checkpoint), and the file with its lock.
  const std::unique_ptr<DatabaseFile> file_;
  GroupCommit writes_;
  ReaderPool readers_;
  std::atomic<uint64_t> reads_ = 0;
};

absl::Status CannotUse(const std::string& path, const absl::Status& status) {
  if (absl::IsFailedPrecondition(status)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the database ", path, " was made by a newer authurl: ", status.message(),
                     "; it was left as it is; run that version or a newer one"));
  }
  return absl::UnavailableError(absl::StrCat(
      "cannot use the database ", path, ": ", CauseOf(status),
      "; check the disk and the permissions of its folder, or restore it from a backup"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Backend>> OpenSqliteBackend(
    const std::string& path, const std::function<void(int from, int to)>& on_upgrade) {
  absl::StatusOr<std::unique_ptr<DatabaseFile>> file = DatabaseFile::Open(path);
  if (!file.ok()) return file.status();
  using Role = SqliteConnection::Role;
  auto writer = SqliteConnection::Open((*file)->real_path(), Role::kWriter);
  if (!writer.ok()) return CannotUse(path, writer.status());
  absl::Status status = (*writer)->Prepare(on_upgrade);
  if (status.ok()) status = (*file)->RememberLog();
  if (!status.ok()) return CannotUse(path, status);

  std::vector<std::unique_ptr<SqliteConnection>> readers;
  for (int i = 0; i < kReaders; ++i) {
    auto reader = SqliteConnection::Open((*file)->real_path(), Role::kReader);
    if (!reader.ok()) return CannotUse(path, reader.status());
    readers.push_back(*std::move(reader));
  }
  return std::make_unique<SqliteBackend>(*std::move(file), *std::move(writer), std::move(readers));
}

}  // namespace authurl
