#include "storage/migrations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/storage/raw_database.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace authurl::testing {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class MigrationsTest : public ::testing::Test {
 protected:
  TempDir folder_;
  RawDatabase db_{folder_.File("test.db")};
};

TEST_F(MigrationsTest, ANewDatabaseGetsTheWholeSchemaWithItsNumberAndOurMark) {
  ASSERT_OK(Migrate(db_.get(), Migrations()));
  EXPECT_EQ(db_.Value("PRAGMA user_version"), absl::StrCat(LatestSchemaVersion()));
  EXPECT_EQ(db_.Value("PRAGMA application_id"), absl::StrCat(kApplicationId));
  EXPECT_THAT(db_.Column("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"),
              ElementsAre("api_keys", "meta", "organizations", "social_networks"));
  EXPECT_EQ(db_.Value("PRAGMA integrity_check"), "ok");
}

TEST_F(MigrationsTest, EveryTableIsStrict) {
  ASSERT_OK(Migrate(db_.get(), Migrations()));
  EXPECT_THAT(db_.Column("SELECT strict FROM pragma_table_list WHERE name NOT LIKE 'sqlite_%'"),
              Each("1"));
}

TEST_F(MigrationsTest, EveryForeignKeyCascadesAndHasAnIndex) {
  ASSERT_OK(Migrate(db_.get(), Migrations()));
  for (const char* table : {"api_keys", "social_networks"}) {
    EXPECT_EQ(
        db_.Value(absl::StrCat("SELECT on_delete FROM pragma_foreign_key_list('", table, "')")),
        "CASCADE");
    sqlite3_stmt* plan = nullptr;
    ASSERT_EQ(
        sqlite3_prepare_v2(
            db_.get(),
            absl::StrCat("EXPLAIN QUERY PLAN SELECT 1 FROM ", table, " WHERE org_id = 'x'").c_str(),
            -1, &plan, nullptr),
        SQLITE_OK);
    ASSERT_EQ(sqlite3_step(plan), SQLITE_ROW);
    EXPECT_THAT(reinterpret_cast<const char*>(sqlite3_column_text(plan, 3)), HasSubstr("SEARCH"));
    sqlite3_finalize(plan);
  }
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

}  // namespace
}  // namespace authurl::testing
