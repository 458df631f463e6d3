#include "storage/sqlite/migrations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/crypto/crypto.h"
#include "storage/sqlite/sqlite_backend.h"
#include "storage/sqlite/table_sql.h"
#include "storage/tables.h"
#include "tests/storage/child_process.h"
#include "tests/storage/sqlite/full_disk.h"
#include "tests/storage/sqlite/raw_database.h"
#include "tests/support/no_limit.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class MigrationsTest : public ::testing::Test {
 protected:
  // What SQLite would do for a query, step by step.
  std::vector<std::string> Plan(const std::string& query) const {
    std::vector<std::string> steps;
    sqlite3_stmt* plan = nullptr;
    EXPECT_EQ(sqlite3_prepare_v2(db_.get(), absl::StrCat("EXPLAIN QUERY PLAN ", query).c_str(), -1,
                                 &plan, nullptr),
              SQLITE_OK);
    while (sqlite3_step(plan) == SQLITE_ROW) {
      steps.emplace_back(reinterpret_cast<const char*>(sqlite3_column_text(plan, 3)));
    }
    sqlite3_finalize(plan);
    return steps;
  }

  TempDir folder_;
  RawDatabase db_{folder_.File("test.db")};
};

TEST_F(MigrationsTest, ANewDatabaseGetsTheWholeSchemaWithItsNumberAndOurMark) {
  ASSERT_OK(Migrate(db_.get(), Migrations()));
  EXPECT_EQ(db_.Value("PRAGMA user_version"), absl::StrCat(LatestSchemaVersion()));
  EXPECT_EQ(db_.Value("PRAGMA application_id"), absl::StrCat(kApplicationId));
  EXPECT_THAT(db_.Column("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"),
              ElementsAre("api_keys", "auth_states", "events", "flows", "grants", "imports", "meta",
                          "organizations", "pending_connections", "social_accounts",
                          "social_networks", "webhooks"));
  EXPECT_EQ(db_.Value("PRAGMA integrity_check"), "ok");
}

TEST_F(MigrationsTest, AReleasedStepNeverChanges) {
  ASSERT_OK(InitCrypto());
  std::vector<std::string> digests;
  for (const char* sql : Migrations()) digests.push_back(HexEncode(AsChars(Sha256(sql))));
  EXPECT_THAT(digests,
              ElementsAre("025b8fcabfd56d8af8a071bb94b4a2b964d64f8b68e8c61b50b38cc0c559f757",
                          "7751796ddfaef74ceaf77516ef4f91230631c2fd4df3ed780425886e8b3035ac",
                          "7ec271b5e7c24448a96bef5a482fc5698d3d5224608da55e5ae3a0513883b448",
                          "5f22afc24411accf910c837cab6d00839b1639be1db1352e6754f906190204cd",
                          "0e5f4ddce7038c1f9dac385d187ce1fe91c82aff298a1016d03534449026cf35",
                          "228893da46bad9674c2373718f712ca1e35dc01cd9d880eb6fcb643278938de0"));
}

TEST_F(MigrationsTest, EveryTableIsStrict) {
  ASSERT_OK(Migrate(db_.get(), Migrations()));
  EXPECT_THAT(db_.Column("SELECT strict FROM pragma_table_list WHERE name NOT LIKE 'sqlite_%'"),
              Each("1"));
}

// What the migrations lead to is what the tables' descriptions say.
TEST_F(MigrationsTest, TheTablesAreThoseThatAreDescribed) {
  ASSERT_OK(Migrate(db_.get(), Migrations()));
  // Wherever its lines are broken.
  constexpr const char* kSchema =
      "SELECT replace(replace(sql, '\"', ''), char(10) || '  ', ' ') FROM sqlite_schema"
      " WHERE sql NOT NULL AND tbl_name <> 'meta' ORDER BY name";
  const std::vector<std::string> migrated = db_.Column(kSchema);
  for (const Table* table : StoreTables()) {
    db_.Execute(absl::StrCat("DROP TABLE ", table->name));
    db_.Execute(CreateTableSql(*table));
  }
  EXPECT_EQ(migrated, db_.Column(kSchema));
}

TEST_F(MigrationsTest, EveryStatementSeeksInAnIndexAndSortsNothingLong) {
  ASSERT_OK(Migrate(db_.get(), Migrations()));
  for (const Table* table : StoreTables()) {
    const TableSql sql(*table);
    std::vector<std::string> statements = {sql.get.back(), sql.list_all[0], sql.update, sql.remove,
                                           sql.version};
    if (table->ids == Table::Ids::kPerOrganization) statements.erase(statements.begin() + 1);
    if (table->ids != Table::Ids::kOrganization) {
      statements.push_back(sql.list_of_organization.back());
    }
    if (table->due) statements.push_back(sql.list_due);
    if (table->resealed) {
      statements.push_back(sql.list_under_key);
      statements.push_back(sql.keys_in_use);
    }
    for (const TableSql::OfLookup& lookup : sql.lookups) {
      statements.push_back(lookup.find.back());
      statements.push_back(lookup.count);
      statements.push_back(lookup.values);
      if (!lookup.list.empty()) statements.push_back(lookup.list.back());
    }
    for (const std::string& statement : statements) {
      for (const std::string& step : Plan(statement)) {
        EXPECT_THAT(step, Not(HasSubstr(absl::StrCat("SCAN ", table->name)))) << statement;
        // One network has few configurations: these may be sorted.
        if (statement.find("default_rank, id LIMIT 1") != std::string::npos) continue;
        EXPECT_THAT(step, Not(HasSubstr("TEMP B-TREE"))) << statement;
      }
    }
  }
}

// Not by the order of ids in the whole organisation.
TEST_F(MigrationsTest, WhatALookupFindsIsListedByItsOwnIndex) {
  ASSERT_OK(Migrate(db_.get(), Migrations()));
  int lists = 0;
  for (const Table* table : StoreTables()) {
    const TableSql sql(*table);
    for (size_t i = 0; i < table->lookups.size(); ++i) {
      if (table->lookups[i].kind != Lookup::Kind::kIndexed) continue;
      const std::vector<std::string> plan = Plan(sql.lookups[i].list.back());
      ASSERT_EQ(plan.size(), 1u);
      EXPECT_THAT(plan[0], HasSubstr(absl::StrCat(table->name, "_", table->lookups[i].name, " (")));
      ++lists;
    }
  }
  EXPECT_GT(lists, 5);
}

TEST_F(MigrationsTest, MigratingAnUpToDateDatabaseChangesNothing) {
  ASSERT_OK(Migrate(db_.get(), Migrations()));
  db_.Execute("INSERT INTO meta VALUES ('a', x'01')");
  ASSERT_OK(Migrate(db_.get(), Migrations()));
  EXPECT_EQ(db_.Value("SELECT count(*) FROM meta"), "1");
}

TEST_F(MigrationsTest, OnlyTheMissingStepsAreTaken) {
  constexpr std::array<const char*, 1> kOne = {"CREATE TABLE a (x)"};
  constexpr std::array<const char*, 2> kTwo = {"CREATE TABLE a (x)", "CREATE TABLE b (x)"};
  ASSERT_OK(Migrate(db_.get(), kOne));
  ASSERT_OK(Migrate(db_.get(), kTwo));
  ASSERT_OK_AND_ASSIGN(const int version, SchemaVersion(db_.get()));
  EXPECT_EQ(version, 2);
}

TEST_F(MigrationsTest, AFailingStepLeavesNothingOfItselfAndEverythingBeforeIt) {
  constexpr std::array<const char*, 2> kBroken = {
      "CREATE TABLE a (x)", "CREATE TABLE b (x); INSERT INTO nowhere VALUES (1)"};
  EXPECT_THAT(Migrate(db_.get(), kBroken), HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_THAT(CauseOf(Migrate(db_.get(), kBroken)), HasSubstr("migration 2"));
  EXPECT_THAT(db_.Column("SELECT name FROM sqlite_schema"), ElementsAre("a"));
  EXPECT_EQ(db_.Value("PRAGMA user_version"), "1");
  EXPECT_NE(sqlite3_get_autocommit(db_.get()), 0);
}

// A database as the first version made it, with rows that fill many pages.
class Version1Test : public ::testing::Test {
 protected:
  static void Fill(const RawDatabase& db) {
    ASSERT_OK(Migrate(db.get(), Migrations().first(1)));
    db.Execute("PRAGMA journal_mode=WAL");
    db.Execute(R"sql(
INSERT INTO meta VALUES ('key_ring', x'00FF01'), ('empty', x'');
INSERT INTO organizations
  WITH RECURSIVE numbers (value) AS (VALUES (1) UNION ALL SELECT value + 1 FROM numbers LIMIT 300)
  SELECT printf('org-%03d', value), CAST(printf('sealed %d', value) AS BLOB) FROM numbers;
INSERT INTO api_keys SELECT 'key-' || org_id, org_id, rank, sealed
  FROM (SELECT org_id, sealed, row_number() OVER () AS rank FROM organizations);
INSERT INTO api_keys VALUES ('admin', NULL, 9223372036854775807, x'00');
INSERT INTO social_networks
  WITH numbers (value) AS (VALUES (1), (2), (3))
  SELECT org_id, 'id-' || value, 'network-' || value, iif(value = 2, 'example.social', ''), value,
    CAST(printf('%500s', value) AS BLOB), x'00FF' FROM organizations, numbers;
)sql");
  }

  // Every value of every row of the first version's tables, whatever the schema is now.
  std::vector<std::string> Rows() const {
    const RawDatabase db(path_);
    const bool is_old = db.Value("PRAGMA user_version") == "1";
    std::vector<std::string> rows;
    for (const char* query :
         {"SELECT quote(name) || quote(value) FROM meta ORDER BY 1",
          is_old ? "SELECT quote(org_id) || quote(sealed) FROM organizations ORDER BY 1"
                 : "SELECT quote(id) || quote(whole) FROM organizations WHERE org_id = id"
                   " AND generation = 0 AND version = 1 AND purge_at_ms = 9223372036854775807"
                   " ORDER BY 1",
          is_old ? "SELECT quote(key_id) || quote(org_id) || quote(version) || quote(sealed)"
                   " FROM api_keys ORDER BY 1"
                 : "SELECT quote(id) || quote(nullif(org_id, '')) || quote(version) || quote(whole)"
                   " FROM api_keys WHERE generation = 0 ORDER BY 1",
          "SELECT quote(org_id) || quote(id) || quote(network) || quote(instance)"
          " || quote(version) || quote(settings) || quote(secret) FROM social_networks"
          " ORDER BY 1"}) {
      for (std::string& row : db.Column(query)) rows.push_back(std::move(row));
    }
    return rows;
  }

  std::string Version() const { return RawDatabase(path_).Value("PRAGMA user_version"); }

  // Opens it as the server does and expects that nothing but the schema has changed.
  void ExpectThatItIsBroughtUpToDate(const std::vector<std::string>& rows) {
    {
      ASSERT_OK_AND_ASSIGN(const auto backend, OpenSqliteBackend(path_));
      ASSERT_OK_AND_ASSIGN(const Row key, backend->Get(kNoLimit, kApiKeys, "", "key-org-007", 1));
      EXPECT_EQ(key.org_id, "org-007");
      EXPECT_EQ(key.parts[0], "sealed 7");
      EXPECT_OK(backend->Find(
          kNoLimit, kSocialNetworks,
          {.lookup = SocialNetworkLookup::kByName,
           .org_id = "org-300",
           .values = {std::string("network-2"), std::string("example.social"), std::string()}},
          1));
    }
    {
      const RawDatabase db(path_);
      EXPECT_EQ(db.Value("PRAGMA user_version"), absl::StrCat(LatestSchemaVersion()));
      EXPECT_EQ(db.Value("PRAGMA application_id"), absl::StrCat(kApplicationId));
      EXPECT_EQ(db.Value("PRAGMA journal_mode"), "wal");
      EXPECT_EQ(db.Value("PRAGMA integrity_check"), "ok");
      EXPECT_EQ(db.Value("PRAGMA foreign_key_check"), "(no row)");
      const RawDatabase fresh(folder_.File("fresh.db"));
      ASSERT_OK(Migrate(fresh.get(), Migrations()));
      constexpr const char* kSchema = "SELECT name || sql FROM sqlite_schema ORDER BY name";
      EXPECT_EQ(db.Column(kSchema), fresh.Column(kSchema));
    }
    EXPECT_EQ(Rows(), rows);
  }

  TempDir folder_;
  const std::string path_ = folder_.File("test.db");
};

TEST_F(Version1Test, IsBroughtUpToDateWithAllItsRows) {
  Fill(RawDatabase(path_));
  const std::vector<std::string> rows = Rows();
  ASSERT_EQ(rows.size(), 2u + 300u + 301u + 900u);
  ASSERT_EQ(Version(), "1");
  ExpectThatItIsBroughtUpToDate(rows);
}

TEST_F(Version1Test, IsBroughtUpToDateWithWhatAKilledServerLeftInTheWriteAheadLog) {
  Fill(RawDatabase(path_));
  std::vector<std::string> rows = Rows();
  ASSERT_EQ(RunInChild([&] {
              const RawDatabase db(path_);
              db.Execute("DELETE FROM meta WHERE name = 'empty'");
              _exit(::testing::Test::HasFailure() ? 1 : 0);  // Without closing: the log stays.
              return 1;
            }),
            0);
  ASSERT_GT(std::filesystem::file_size(path_ + "-wal"), 0u);
  rows.erase(rows.begin());
  ExpectThatItIsBroughtUpToDate(rows);
}

TEST_F(Version1Test, StaysAsItIsWhereAStepFailsAndIsBroughtUpToDateLater) {
  Fill(RawDatabase(path_));
  const std::vector<std::string> rows = Rows();
  RawDatabase(path_).Execute("CREATE TABLE auth_states (x)");
  EXPECT_THAT(
      OpenSqliteBackend(path_),
      StatusIs(absl::StatusCode::kUnavailable, AllOf(HasSubstr(path_), HasSubstr("migration 2"))));
  EXPECT_EQ(Version(), "1");
  EXPECT_EQ(Rows(), rows);
  EXPECT_THAT(RawDatabase(path_).Column("SELECT name FROM sqlite_schema WHERE name LIKE 'auth%'"),
              ElementsAre("auth_states"));
  RawDatabase(path_).Execute("DROP TABLE auth_states");
  ExpectThatItIsBroughtUpToDate(rows);
}

TEST_F(Version1Test, StaysAsItIsWhereTheDiskIsFullAndIsBroughtUpToDateLater) {
  Fill(RawDatabase(path_));
  const std::vector<std::string> rows = Rows();
  absl::Status status;
  {
    const FullDisk full(std::filesystem::file_size(path_));
    status = OpenSqliteBackend(path_).status();
  }
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("migration 2")));
  EXPECT_EQ(Version(), "1");
  EXPECT_EQ(Rows(), rows);
  ExpectThatItIsBroughtUpToDate(rows);
}

}  // namespace
}  // namespace authurl::testing
