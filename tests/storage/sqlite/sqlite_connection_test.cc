#include "storage/sqlite/sqlite_connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "core/errors.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace authurl::testing {
namespace {

using ::testing::_;
using ::testing::HasSubstr;

using Role = SqliteConnection::Role;

class SqliteConnectionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(writer_, SqliteConnection::Open(path_, Role::kWriter));
    ASSERT_OK(writer_->Prepare());
    ASSERT_OK_AND_ASSIGN(reader_, SqliteConnection::Open(path_, Role::kReader));
  }

  // The first column of the last row, as text.
  static std::string Value(SqliteConnection& db, const char* sql) {
    std::string value;
    EXPECT_OK(db.Run(sql, {}, [&](const SqliteConnection::Row& row) { value = row.Bytes(0); }));
    return value;
  }

  TempDir folder_;
  const std::string path_ = folder_.Write("test.db", "");
  std::unique_ptr<SqliteConnection> writer_;
  std::unique_ptr<SqliteConnection> reader_;
};

TEST_F(SqliteConnectionTest, EveryConnectionIsHardened) {
  for (SqliteConnection* db : {writer_.get(), reader_.get()}) {
    EXPECT_EQ(Value(*db, "PRAGMA journal_mode"), "wal");
    EXPECT_EQ(Value(*db, "PRAGMA synchronous"), "2");
    EXPECT_EQ(Value(*db, "PRAGMA busy_timeout"), "5000");
    EXPECT_EQ(Value(*db, "PRAGMA trusted_schema"), "0");
    EXPECT_EQ(Value(*db, "PRAGMA secure_delete"), "1");
    EXPECT_EQ(Value(*db, "PRAGMA mmap_size"), "0");
    EXPECT_EQ(Value(*db, "PRAGMA cell_size_check"), "1");
    EXPECT_EQ(Value(*db, "PRAGMA temp_store"), "2");
  }
}

TEST_F(SqliteConnectionTest, OnlyTheWriterWritesAndCheckpoints) {
  EXPECT_EQ(Value(*writer_, "PRAGMA query_only"), "0");
  EXPECT_EQ(Value(*writer_, "PRAGMA wal_autocheckpoint"), "1000");
  EXPECT_EQ(Value(*reader_, "PRAGMA query_only"), "1");
  EXPECT_EQ(Value(*reader_, "PRAGMA wal_autocheckpoint"), "0");
  constexpr const char* kWrite = "INSERT INTO meta (name, value) VALUES ('a', x'00')";
  EXPECT_THAT(reader_->Run(kWrite), HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_OK(writer_->Run(kWrite));
}

TEST_F(SqliteConnectionTest, TheSchemaCannotBeEditedAndExtensionsNotLoaded) {
  EXPECT_OK(writer_->Run("PRAGMA writable_schema=ON"));
  EXPECT_THAT(CauseOf(writer_->Run("UPDATE sqlite_schema SET sql = ''")),
              HasSubstr("may not be modified"));
  EXPECT_THAT(CauseOf(writer_->Run("SELECT load_extension('evil')")), HasSubstr("not authorized"));
}

TEST_F(SqliteConnectionTest, ADoubleQuotedWordIsNeverAString) {
  EXPECT_THAT(CauseOf(reader_->Run("SELECT \"word\"")), HasSubstr("no such column"));
}

TEST_F(SqliteConnectionTest, ATriggerThatSomebodyPutIntoTheFileDoesNotRun) {
  ASSERT_OK(writer_->Run("CREATE TRIGGER evil AFTER INSERT ON meta BEGIN DELETE FROM meta; END"));
  ASSERT_OK(writer_->Run("INSERT INTO meta (name, value) VALUES ('a', x'00')"));
  EXPECT_EQ(Value(*reader_, "SELECT count(*) FROM meta"), "1");
}

TEST_F(SqliteConnectionTest, ATransactionIsSeenAsAWholeOnceItIsCommittedAndNotAtAllIfRolledBack) {
  const auto put = [this](const char* sql) { EXPECT_OK(writer_->Run(sql)); };
  ASSERT_OK(writer_->Begin());
  put("INSERT INTO meta (name, value) VALUES ('a', x'00')");
  put("INSERT INTO meta (name, value) VALUES ('b', x'00')");
  EXPECT_EQ(Value(*reader_, "SELECT count(*) FROM meta"), "0");
  ASSERT_OK(writer_->Commit());
  EXPECT_EQ(Value(*reader_, "SELECT count(*) FROM meta"), "2");
  ASSERT_OK(writer_->Begin());
  put("DELETE FROM meta");
  writer_->RollBack();
  EXPECT_EQ(Value(*reader_, "SELECT count(*) FROM meta"), "2");
  writer_->RollBack();
  EXPECT_THAT(writer_->Commit(), HasReason("STORAGE_UNAVAILABLE"));
}

TEST_F(SqliteConnectionTest, ATransactionThatWasLeftOpenIsNotCommittedWithTheNext) {
  ASSERT_OK(writer_->Begin());
  ASSERT_OK(writer_->Run("INSERT INTO meta (name, value) VALUES ('a', x'00')"));
  ASSERT_OK(writer_->Begin());
  ASSERT_OK(writer_->Commit());
  EXPECT_EQ(Value(*reader_, "SELECT count(*) FROM meta"), "0");
}

TEST_F(SqliteConnectionTest, ErrorsComeInTheCodesOfABackend) {
  constexpr const char* kKey = "INSERT INTO meta (name, value) VALUES ('a', x'00')";
  ASSERT_OK(writer_->Run(kKey));
  EXPECT_THAT(writer_->Run(kKey), StatusIs(absl::StatusCode::kAlreadyExists, _));
  EXPECT_THAT(writer_->Run("INSERT INTO meta (name, value) VALUES ('b', NULL)"),
              HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_THAT(writer_->Run("no SQL"), HasReason("STORAGE_UNAVAILABLE"));
}

TEST_F(SqliteConnectionTest, FaultsOfTheDatabaseAreCountedAndThoseOfARequestAreNot) {
  constexpr const char* kKey = "INSERT INTO meta (name, value) VALUES ('a', x'00')";
  ASSERT_OK(writer_->Run(kKey));
  EXPECT_THAT(writer_->Run(kKey), StatusIs(absl::StatusCode::kAlreadyExists, _));
  EXPECT_EQ(writer_->errors(), 0u);
  EXPECT_THAT(writer_->Run("no SQL"), HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_EQ(writer_->errors(), 1u);
  EXPECT_EQ(writer_->busy(), 0u);

  ASSERT_OK_AND_ASSIGN(const auto other, SqliteConnection::Open(path_, Role::kWriter));
  ASSERT_OK(other->Run("PRAGMA busy_timeout=0"));
  ASSERT_OK(writer_->Begin());
  EXPECT_THAT(other->Begin(), HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_EQ(other->errors(), 1u);
  EXPECT_EQ(other->busy(), 1u);
}

}  // namespace
}  // namespace authurl::testing
