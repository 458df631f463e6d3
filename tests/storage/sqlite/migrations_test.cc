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
#include "tests/storage/child_process.h"
#include "tests/storage/sqlite/full_disk.h"
#include "tests/storage/sqlite/raw_database.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

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
              ElementsAre("api_keys", "auth_states", "meta", "organizations", "social_networks"));
  EXPECT_EQ(db_.Value("PRAGMA integrity_check"), "ok");
}

TEST_F(MigrationsTest, AReleasedStepNeverChanges) {
  ASSERT_OK(InitCrypto());
  std::vector<std::string> digests;
  for (const char* sql : Migrations()) digests.push_back(HexEncode(AsChars(Sha256(sql))));
  EXPECT_THAT(digests,
              ElementsAre("025b8fcabfd56d8af8a071bb94b4a2b964d64f8b68e8c61b50b38cc0c559f757",
                          "7751796ddfaef74ceaf77516ef4f91230631c2fd4df3ed780425886e8b3035ac",
                          "6fa8ca5656c1187af068e8412aff493c3afa6408adc16e8c719c93ae4dd0ce05",
                          "3ea84c9655b8b99c137b32a9a23dc8165b48ee016d1040799b17ff719fd158b2"));
}

TEST_F(MigrationsTest, EveryTableIsStrict) {
  ASSERT_OK(Migrate(db_.get(), Migrations()));
  EXPECT_THAT(db_.Column("SELECT strict FROM pragma_table_list WHERE name NOT LIKE 'sqlite_%'"),
              Each("1"));
}

TEST_F(MigrationsTest, EveryForeignKeyCascadesAndHasAnIndex) {
  ASSERT_OK(Migrate(db_.get(), Migrations()));
  for (const char* table : {"api_keys", "auth_states", "social_networks"}) {
    EXPECT_EQ(
        db_.Value(absl::StrCat("SELECT on_delete FROM pragma_foreign_key_list('", table, "')")),
        "CASCADE");
    EXPECT_THAT(Plan(absl::StrCat("SELECT 1 FROM ", table, " WHERE org_id = 'x'")),
                ElementsAre(HasSubstr("SEARCH")));
  }
}

TEST_F(MigrationsTest, WhatHasExpiredIsFoundInOrderWithoutReadingTheRest) {
  ASSERT_OK(Migrate(db_.get(), Migrations()));
  EXPECT_THAT(Plan("SELECT rowid FROM auth_states WHERE expires_at_ms < 5"
                   " ORDER BY expires_at_ms LIMIT 5"),
              ElementsAre(HasSubstr("SEARCH auth_states USING COVERING INDEX")));
}

TEST_F(MigrationsTest, RowsUnderAKeyAreFoundInOrderWithoutReadingTheRest) {
  ASSERT_OK(Migrate(db_.get(), Migrations()));
  for (const auto& [table, sealed, id] :
       {std::array{"organizations", "sealed", "org_id"}, std::array{"api_keys", "sealed", "key_id"},
        std::array{"social_networks", "settings", "rowid"}}) {
    const std::string key = absl::StrCat("substr(", sealed, ", 2, 1)");
    const std::string index = absl::StrCat(table, "_by_key");
    EXPECT_THAT(Plan(absl::StrCat("SELECT * FROM ", table, " WHERE ", key, " = x'01' AND ", id,
                                  " > 0 ORDER BY ", id, " LIMIT 5")),
                ElementsAre(AllOf(HasSubstr("SEARCH"), HasSubstr(index))));
    EXPECT_THAT(
        Plan(absl::StrCat("SELECT min(", key, ") FROM ", table, " WHERE ", key, " > x'01'")),
        ElementsAre(AllOf(HasSubstr("SEARCH"), HasSubstr(index))));
  }
}

TEST_F(MigrationsTest, EveryTableWithSealedRecordsHasAnIndexByKey) {
  ASSERT_OK(Migrate(db_.get(), Migrations()));
  // OAuth states are left to expire, and meta holds nothing sealed but the proof of the key ring.
  const std::vector<std::string> tables = db_.Column(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('auth_states', 'meta')"
      " ORDER BY name");
  const std::vector<std::string> indexed = db_.Column(
      "SELECT tbl_name FROM sqlite_schema WHERE type = 'index' AND name = tbl_name || '_by_key'"
      " ORDER BY tbl_name");
  EXPECT_EQ(indexed, tables);
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

  // Every value of every row of the first version's tables.
  std::vector<std::string> Rows() const {
    const RawDatabase db(path_);
    std::vector<std::string> rows;
    for (const char* query :
         {"SELECT quote(name) || quote(value) FROM meta ORDER BY 1",
          "SELECT quote(org_id) || quote(sealed) FROM organizations ORDER BY 1",
          "SELECT quote(key_id) || quote(org_id) || quote(version) || quote(sealed) FROM api_keys"
          " ORDER BY 1",
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
      ASSERT_OK_AND_ASSIGN(const auto key, backend->GetApiKey("key-org-007"));
      EXPECT_EQ(key.org_id, "org-007");
      EXPECT_EQ(key.sealed, "sealed 7");
      EXPECT_OK(backend->FindSocialNetwork("org-300", "network-2", "example.social", ""));
      ASSERT_OK(backend->InsertAuthState(
          {.digest = "d", .org_id = "org-001", .expires_at_ms = 5, .sealed = "s"}));
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
