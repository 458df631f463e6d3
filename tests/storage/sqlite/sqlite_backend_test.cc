#include "storage/sqlite/sqlite_backend.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "storage/sqlite/migrations.h"
#include "tests/storage/backend_conformance.h"
#include "tests/storage/child_process.h"
#include "tests/storage/rows.h"
#include "tests/storage/sqlite/full_disk.h"
#include "tests/storage/sqlite/raw_database.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace authurl::testing {
namespace {

using ::testing::_;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

constexpr absl::StatusCode kFailedPrecondition = absl::StatusCode::kFailedPrecondition;
constexpr absl::StatusCode kUnavailable = absl::StatusCode::kUnavailable;

class SqliteTestDatabase final : public TestDatabase {
 public:
  absl::StatusOr<std::unique_ptr<Backend>> Open(absl::Span<const Table* const> tables) override {
    return OpenSqliteBackend(path_, {}, tables);
  }

  std::shared_ptr<void> StopWrites() override {
    return std::make_shared<FullDisk>(std::filesystem::file_size(path_ + "-wal"));
  }

 private:
  TempDir folder_;
  const std::string path_ = folder_.File("test.db");
};

std::unique_ptr<TestDatabase> MakeSqliteDatabase() {
  return std::make_unique<SqliteTestDatabase>();
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Sqlite, BackendConformanceTest, ::testing::Values(&MakeSqliteDatabase),
                         [](const auto&) { return std::string("File"); });

namespace {

class SqliteBackendTest : public ::testing::Test {
 protected:
  // The names of the files in the test's folder.
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

  // Makes a database with one organisation and closes it.
  void MakeDatabase() {
    ASSERT_OK_AND_ASSIGN(const auto backend, OpenSqliteBackend(path_));
    ASSERT_OK(InsertOrganization(*backend, "acme"));
  }

  // Expects that the file is refused with such a message, and neither changed nor joined by
  // another.
  template <typename Matcher>
  void ExpectRefusedUntouched(absl::StatusCode code, const Matcher& message) {
    const std::string before = ReadFile(path_);
    const std::vector<std::string> files = Files();
    EXPECT_THAT(OpenSqliteBackend(path_), StatusIs(code, AllOf(HasSubstr(path_), message)));
    EXPECT_TRUE(ReadFile(path_) == before);
    EXPECT_THAT(Files(), ::testing::UnorderedElementsAreArray(files));
  }

  TempDir folder_;
  const std::string path_ = folder_.File("test.db");
};

mode_t ModeOf(const std::string& path) {
  struct stat info;
  EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777;
}

TEST_F(SqliteBackendTest, MakesItsFilesForTheOwnerAlone) {
  ASSERT_OK_AND_ASSIGN(const auto backend, OpenSqliteBackend(path_));
  EXPECT_THAT(Files(),
              UnorderedElementsAre("test.db", "test.db-wal", "test.db-shm", "test.db-ballast"));
  for (const std::string& name : Files()) EXPECT_EQ(ModeOf(folder_.File(name)), 0600u) << name;
}

TEST_F(SqliteBackendTest, LeavesOneFileBehindWhenItIsClosed) {
  MakeDatabase();
  EXPECT_THAT(Files(), ElementsAre("test.db"));
}

TEST_F(SqliteBackendTest, TheFileIsMarkedAsOursNumberedAndInWalMode) {
  MakeDatabase();
  const RawDatabase raw(path_);
  EXPECT_EQ(raw.Value("PRAGMA application_id"), absl::StrCat(kApplicationId));
  EXPECT_EQ(raw.Value("PRAGMA user_version"), absl::StrCat(LatestSchemaVersion()));
  EXPECT_EQ(raw.Value("PRAGMA journal_mode"), "wal");
  EXPECT_EQ(raw.Value("PRAGMA integrity_check"), "ok");
}

TEST_F(SqliteBackendTest, AnEmptyFileBecomesADatabase) {
  folder_.Write("test.db", "");
  EXPECT_OK(OpenSqliteBackend(path_));
}

TEST_F(SqliteBackendTest, APathThatLooksLikeAUriIsAPath) {
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_.path());
  EXPECT_OK(OpenSqliteBackend("file:odd.db?mode=memory"));
  std::filesystem::current_path(before);
  EXPECT_THAT(Files(), ElementsAre("file:odd.db?mode=memory"));
}

TEST_F(SqliteBackendTest, ASymbolicLinkLeadsToTheDatabase) {
  MakeDatabase();
  const std::string link = folder_.File("link.db");
  std::filesystem::create_symlink(path_, link);
  ASSERT_OK_AND_ASSIGN(const auto backend, OpenSqliteBackend(link));
  EXPECT_OK(GetOrganization(*backend, "acme"));
  EXPECT_THAT(OpenSqliteBackend(path_), StatusIs(kFailedPrecondition, HasSubstr("in use")));
}

TEST_F(SqliteBackendTest, AFileThatIsNoDatabaseIsRefusedUntouched) {
  folder_.Write("test.db", std::string(5000, 'x'));
  ExpectRefusedUntouched(kFailedPrecondition, HasSubstr("not an SQLite database"));
  folder_.Write("test.db", std::string("SQLite format 3\0and no more", 27));
  ExpectRefusedUntouched(kFailedPrecondition, HasSubstr("not an SQLite database"));
  folder_.Write("test.db", "x");
  ExpectRefusedUntouched(kFailedPrecondition, HasSubstr("not an SQLite database"));
}

TEST_F(SqliteBackendTest, AnotherProgramsDatabaseIsRefusedUntouched) {
  RawDatabase(path_).Execute("CREATE TABLE recipes (name TEXT)");
  ExpectRefusedUntouched(kFailedPrecondition, HasSubstr("not one of authurl"));
  RawDatabase(path_).Execute("PRAGMA journal_mode=WAL; PRAGMA user_version=1");
  ExpectRefusedUntouched(kFailedPrecondition, HasSubstr("not one of authurl"));
}

TEST_F(SqliteBackendTest, ADatabaseOfANewerVersionIsRefusedUntouched) {
  MakeDatabase();
  RawDatabase(path_).Execute(absl::StrCat("PRAGMA user_version=", LatestSchemaVersion() + 1));
  ExpectRefusedUntouched(kFailedPrecondition, HasSubstr("newer authurl"));
  RawDatabase(path_).Execute("PRAGMA user_version=-1");
  ExpectRefusedUntouched(kFailedPrecondition, HasSubstr("no valid authurl schema version"));
}

TEST_F(SqliteBackendTest, ANewerVersionThatIsStillInTheWriteAheadLogIsRefusedAsWell) {
  MakeDatabase();
  ASSERT_EQ(RunInChild([&] {
              const RawDatabase raw(path_);
              raw.Execute("PRAGMA user_version=99");
              _exit(0);  // Without closing: the log stays.
              return 1;
            }),
            0);
  const std::string log = ReadFile(path_ + "-wal");
  ASSERT_FALSE(log.empty());
  ExpectRefusedUntouched(kFailedPrecondition, HasSubstr("newer authurl"));
  EXPECT_TRUE(ReadFile(path_ + "-wal") == log);
}

TEST_F(SqliteBackendTest, AnEmptyFileWithAFullWriteAheadLogIsRefused) {
  folder_.Write("test.db", "");
  folder_.Write("test.db-wal", "all that is left of a database");
  ExpectRefusedUntouched(kFailedPrecondition, HasSubstr("write-ahead log"));
}

// Whether this process still has SQLite's shared lock on the file (at 1 GiB + 2, sqlite3's os.h).
// Without it the next program that closes the database takes the write-ahead log away from under
// us.
bool SqliteLocksAreHeld(const std::string& path) {
  return RunInChild([&] {
           const int fd = open(path.c_str(), O_RDWR);
           struct flock lock = {};
           lock.l_type = F_WRLCK;
           lock.l_whence = SEEK_SET;
           lock.l_start = 0x40000002;
           lock.l_len = 510;
           if (fd < 0 || fcntl(fd, F_GETLK, &lock) != 0) return 2;
           return lock.l_type == F_UNLCK ? 1 : 0;
         }) == 0;
}

TEST_F(SqliteBackendTest, ASecondBackendInThisProcessIsRefusedAndDoesNotBreakTheFirst) {
  ASSERT_OK_AND_ASSIGN(auto first, OpenSqliteBackend(path_));
  EXPECT_THAT(OpenSqliteBackend(path_), StatusIs(kFailedPrecondition, HasSubstr("in use")));
  EXPECT_TRUE(SqliteLocksAreHeld(path_));
  EXPECT_OK(InsertOrganization(*first, "acme"));
  first.reset();
  EXPECT_OK(OpenSqliteBackend(path_));
}

TEST_F(SqliteBackendTest, ASecondProcessIsRefusedUntilTheFirstIsGone) {
  ChildProcess owner([&](ChildProcess& self) {
    const auto backend = OpenSqliteBackend(path_);
    if (!backend.ok()) return 1;
    self.Tell();
    self.AwaitParent();
    return 0;
  });
  ASSERT_TRUE(owner.Await());
  EXPECT_THAT(OpenSqliteBackend(path_),
              StatusIs(kFailedPrecondition, AllOf(HasSubstr(path_), HasSubstr("in use"))));
  owner.Kill();
  EXPECT_OK(OpenSqliteBackend(path_));
}

TEST_F(SqliteBackendTest, AMissingFolderIsNamed) {
  const std::string path = folder_.File("missing/test.db");
  EXPECT_THAT(OpenSqliteBackend(path),
              StatusIs(kUnavailable, AllOf(HasSubstr(path), HasSubstr("folder does not exist"))));
}

TEST_F(SqliteBackendTest, AFileInPlaceOfTheFolderIsRefused) {
  const std::string file = folder_.Write("file", "content");
  EXPECT_THAT(OpenSqliteBackend(file + "/test.db"), StatusIs(kUnavailable, HasSubstr("folder")));
  EXPECT_EQ(ReadFile(file), "content");
}

TEST_F(SqliteBackendTest, AFolderInPlaceOfTheFileIsRefused) {
  std::filesystem::create_directory(path_);
  EXPECT_THAT(OpenSqliteBackend(path_),
              StatusIs(kFailedPrecondition, HasSubstr("not a regular file")));
  EXPECT_THAT(OpenSqliteBackend(""), StatusIs(kUnavailable, HasSubstr("cannot open")));
}

TEST_F(SqliteBackendTest, WhatMayNotBeReadOrWrittenIsRefused) {
  if (geteuid() == 0) GTEST_SKIP() << "permissions do not bind root";
  MakeDatabase();
  ASSERT_EQ(chmod(path_.c_str(), 0400), 0);
  EXPECT_THAT(OpenSqliteBackend(path_), StatusIs(kUnavailable, HasSubstr("permissions")));
  ASSERT_EQ(chmod(path_.c_str(), 0), 0);
  EXPECT_THAT(OpenSqliteBackend(path_), StatusIs(kUnavailable, HasSubstr("permissions")));
  ASSERT_EQ(chmod(path_.c_str(), 0600), 0);
  ASSERT_EQ(chmod(folder_.path().c_str(), 0500), 0);
  EXPECT_THAT(OpenSqliteBackend(path_), StatusIs(kUnavailable, HasSubstr("folder")));
  ASSERT_EQ(chmod(folder_.path().c_str(), 0700), 0);
  EXPECT_OK(OpenSqliteBackend(path_));
}

TEST_F(SqliteBackendTest, AFileRemovedUnderTheServerIsNoticedByEveryOperation) {
  ASSERT_OK_AND_ASSIGN(const auto backend, OpenSqliteBackend(path_));
  ASSERT_OK(InsertOrganization(*backend, "acme"));
  std::filesystem::rename(path_, folder_.File("away.db"));
  // Reads trust for a moment what the last look found; what looks itself ends that.
  for (const absl::Status& status :
       {InsertOrganization(*backend, "x"), GetOrganization(*backend, "acme").status(),
        backend->ListKeysInUse(kApiKeys).status(), backend->Probe(), backend->ProbeReads()}) {
    EXPECT_THAT(status, HasReason("STORAGE_UNAVAILABLE"));
    EXPECT_THAT(CauseOf(status), HasSubstr("removed or replaced"));
  }
  std::filesystem::rename(folder_.File("away.db"), path_);
  EXPECT_OK(GetOrganization(*backend, "acme"));
  EXPECT_OK(backend->Probe());
}

TEST_F(SqliteBackendTest, AFileReplacedUnderTheServerIsNoticed) {
  ASSERT_OK_AND_ASSIGN(const auto backend, OpenSqliteBackend(path_));
  std::filesystem::rename(folder_.Write("other.db", "another file"), path_);
  EXPECT_THAT(CauseOf(backend->Probe()), HasSubstr("removed or replaced"));
  EXPECT_THAT(CauseOf(InsertOrganization(*backend, "x")), HasSubstr("removed or replaced"));
}

TEST_F(SqliteBackendTest, AWriteAheadLogRemovedUnderTheServerIsNoticed) {
  ASSERT_OK_AND_ASSIGN(const auto backend, OpenSqliteBackend(path_));
  ASSERT_TRUE(std::filesystem::remove(path_ + "-wal"));
  EXPECT_THAT(CauseOf(InsertOrganization(*backend, "x")), HasSubstr("write-ahead log"));
}

TEST_F(SqliteBackendTest, AWriteThatReturnedOkSurvivesTheProcessBeingKilled) {
  std::mt19937 random(20260101);
  int acknowledged = 0;
  for (int round = 0; round < 10; ++round) {
    ChildProcess writer([&](ChildProcess& self) {
      const auto backend = OpenSqliteBackend(path_);
      if (!backend.ok()) return 1;
      for (int i = acknowledged;; ++i) {
        // One that was written but not acknowledged before may be there.
        const absl::Status status =
            InsertOrganization(**backend, absl::StrCat("org-", i), std::string(300, 'x'));
        if (!status.ok() && !absl::IsAlreadyExists(status)) return 2;
        if (!self.Tell()) return 0;
      }
    });
    const int writes = std::uniform_int_distribution(1, 60)(random);
    for (int i = 0; i < writes; ++i) {
      ASSERT_TRUE(writer.Await());
      ++acknowledged;
    }
    writer.Kill();
    ASSERT_OK_AND_ASSIGN(const auto backend, OpenSqliteBackend(path_));
    for (int i = 0; i < acknowledged; ++i) {
      ASSERT_OK(GetOrganization(*backend, absl::StrCat("org-", i)));
    }
  }
  EXPECT_EQ(RawDatabase(path_).Value("PRAGMA integrity_check"), "ok");
}

TEST_F(SqliteBackendTest, AWriteAheadLogLeftBehindIsRecovered) {
  ASSERT_EQ(RunInChild([&] {
              const auto backend = OpenSqliteBackend(path_);
              if (!backend.ok() || !InsertOrganization(**backend, "acme").ok()) {
                return 1;
              }
              _exit(0);
              return 2;
            }),
            0);
  ASSERT_GT(std::filesystem::file_size(path_ + "-wal"), 0u);
  ASSERT_OK_AND_ASSIGN(const auto backend, OpenSqliteBackend(path_));
  EXPECT_OK(GetOrganization(*backend, "acme"));
}

TEST_F(SqliteBackendTest, AFullDiskStopsWritesNotReadsAndIsOverWhenThereIsRoom) {
  ASSERT_OK_AND_ASSIGN(auto backend, OpenSqliteBackend(path_));
  ASSERT_OK(InsertOrganization(*backend, "before"));
  absl::Status write, probe, read;
  {
    const FullDisk full(std::filesystem::file_size(path_ + "-wal"));
    write = InsertOrganization(*backend, "during");
    probe = backend->Probe();
    read = GetOrganization(*backend, "before").status();
  }
  EXPECT_THAT(write, HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_THAT(probe, HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_OK(read);
  EXPECT_OK(backend->Probe());
  EXPECT_OK(InsertOrganization(*backend, "after"));
  backend.reset();
  ASSERT_OK_AND_ASSIGN(backend, OpenSqliteBackend(path_));
  EXPECT_OK(GetOrganization(*backend, "before"));
  EXPECT_OK(GetOrganization(*backend, "after"));
  EXPECT_THAT(GetOrganization(*backend, "during"), StatusIs(absl::StatusCode::kNotFound, _));
}

}  // namespace
}  // namespace authurl::testing
