#include "storage/sqlite/group_commit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/call_context.h"
#include "core/errors.h"
#include "tests/storage/sqlite/full_disk.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace authurl::testing {
namespace {

using ::testing::_;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Body = std::function<absl::Status(SqliteConnection&)>;
using Role = SqliteConnection::Role;

class GroupCommitTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(file_, DatabaseFile::Open(path_));
    ASSERT_OK_AND_ASSIGN(auto writer, SqliteConnection::Open(file_->real_path(), Role::kWriter));
    ASSERT_OK(writer->Prepare());
    ASSERT_OK(file_->RememberLog());
    reserve_ = std::make_unique<DiskReserve>(file_->real_path());
    commits_ = std::make_unique<GroupCommit>(*file_, *reserve_, std::move(writer));
    ASSERT_OK_AND_ASSIGN(reader_, SqliteConnection::Open(file_->real_path(), Role::kReader));
  }

  // What inserts a row of that name.
  static Body Insert(const std::string& name) {
    return [name](SqliteConnection& db) {
      return db.Run("INSERT INTO meta (name, value) VALUES (?1, x'00')",
                    {SqliteConnection::Text{name}});
    };
  }

  std::vector<std::string> Names() {
    std::vector<std::string> names;
    EXPECT_OK(
        reader_->Run("SELECT name FROM meta ORDER BY name", {},
                     [&](const SqliteConnection::Row& row) { names.push_back(row.Bytes(0)); }));
    return names;
  }

  // Runs `bodies` as one group, in this order: they queue up while `first` runs alone, which is
  // before its commit. What each returned.
  std::vector<absl::Status> RunAsGroup(const std::vector<Body>& bodies,
                                       const Body& first = Insert("0")) {
    std::vector<absl::Status> answers(bodies.size());
    std::vector<std::thread> threads;
    const absl::Status alone =
        commits_->Write(CallContext::Background(), [&](SqliteConnection& db) {
          for (size_t i = 0; i < bodies.size(); ++i) {
            threads.emplace_back(
                [&, i] { answers[i] = commits_->Write(CallContext::Background(), bodies[i]); });
            while (commits_->stats().waiting < i + 1) std::this_thread::yield();
          }
          return first(db);
        });
    for (std::thread& thread : threads) thread.join();
    EXPECT_OK(alone);
    EXPECT_EQ(commits_->stats().waiting, 0u);
    return answers;
  }

  TempDir folder_;
  const std::string path_ = folder_.File("test.db");
  std::unique_ptr<DatabaseFile> file_;
  std::unique_ptr<DiskReserve> reserve_;
  std::unique_ptr<GroupCommit> commits_;
  std::unique_ptr<SqliteConnection> reader_;
};

TEST_F(GroupCommitTest, ALoneWriterDoesNotWaitForCompany) {
  EXPECT_OK(commits_->Write(CallContext::Background(), Insert("a")));
  EXPECT_OK(commits_->Write(CallContext::Background(), Insert("b")));
  EXPECT_THAT(Names(), ElementsAre("a", "b"));
  EXPECT_EQ(commits_->stats().commits, 2u);
  EXPECT_EQ(commits_->stats().writes, 2u);
  EXPECT_EQ(commits_->stats().largest_group, 1u);
}

TEST_F(GroupCommitTest, ALoneWriteThatFailsLeavesNothing) {
  EXPECT_THAT(commits_->Write(CallContext::Background(),
                              [](SqliteConnection& db) {
                                EXPECT_OK(Insert("a")(db));
                                return absl::AbortedError("no");
                              }),
              StatusIs(absl::StatusCode::kAborted, "no"));
  EXPECT_THAT(Names(), IsEmpty());
  EXPECT_EQ(commits_->stats().commits, 0u);
  EXPECT_FALSE(commits_->failed());
}

TEST_F(GroupCommitTest, WritersThatComeDuringACommitShareTheNextOne) {
  const auto seen_by_others = [this](SqliteConnection&) {
    EXPECT_THAT(Names(), ElementsAre("0"));
    return absl::OkStatus();
  };
  EXPECT_THAT(RunAsGroup({Insert("a"), Insert("b"), seen_by_others, Insert("c")}), Each(IsOk()));
  EXPECT_THAT(Names(), ElementsAre("0", "a", "b", "c"));
  EXPECT_EQ(commits_->stats().commits, 2u);
  EXPECT_EQ(commits_->stats().writes, 5u);
  EXPECT_EQ(commits_->stats().largest_group, 4u);
}

TEST_F(GroupCommitTest, AWriteThatFailsUndoesWhatItDidAndHurtsNoNeighbour) {
  const auto fail = [](SqliteConnection& db) {
    EXPECT_OK(Insert("half")(db));
    EXPECT_OK(db.Run("DELETE FROM meta WHERE name = 'a'"));
    return absl::AbortedError("no");
  };
  EXPECT_THAT(RunAsGroup({fail, Insert("a"), fail, Insert("a"), Insert("b"), fail}),
              ElementsAre(StatusIs(absl::StatusCode::kAborted, "no"), IsOk(),
                          StatusIs(absl::StatusCode::kAborted, "no"),
                          StatusIs(absl::StatusCode::kAlreadyExists, _), IsOk(),
                          StatusIs(absl::StatusCode::kAborted, "no")));
  EXPECT_THAT(Names(), ElementsAre("0", "a", "b"));
  EXPECT_EQ(commits_->stats().commits, 2u);
  EXPECT_EQ(commits_->stats().writes, 3u);
  EXPECT_FALSE(commits_->failed());
}

TEST_F(GroupCommitTest, AllIsRunAgainOnlyWhereAWriteFailsWithSomethingHalfDone) {
  int runs = 0;
  const auto counted = [&](SqliteConnection& db) {
    ++runs;
    return Insert("a")(db);
  };
  const auto refused = [](SqliteConnection&) { return absl::AbortedError("no"); };
  const auto taken = [](SqliteConnection& db) { return Insert("0")(db); };
  EXPECT_THAT(RunAsGroup({counted, refused, taken}),
              ElementsAre(IsOk(), StatusIs(absl::StatusCode::kAborted, "no"),
                          StatusIs(absl::StatusCode::kAlreadyExists, _)));
  EXPECT_EQ(runs, 1);

  EXPECT_OK(commits_->Write(CallContext::Background(),
                            [](SqliteConnection& db) { return db.Run("DELETE FROM meta"); }));
  runs = 0;
  const auto half_done = [](SqliteConnection& db) {
    EXPECT_OK(Insert("half")(db));
    return absl::AbortedError("no");
  };
  EXPECT_THAT(RunAsGroup({counted, half_done, refused}),
              ElementsAre(IsOk(), StatusIs(absl::StatusCode::kAborted, "no"),
                          StatusIs(absl::StatusCode::kAborted, "no")));
  EXPECT_EQ(runs, 2);
  EXPECT_THAT(Names(), ElementsAre("0", "a"));
}

TEST_F(GroupCommitTest, EachWriteSeesThoseBeforeItAndCountsItsOwnChanges) {
  std::vector<int> changes;
  const auto remove_all = [&](SqliteConnection& db) {
    const absl::Status status = db.Run("DELETE FROM meta");
    changes.push_back(db.changes());
    return status;
  };
  EXPECT_THAT(RunAsGroup({Insert("a"), remove_all, remove_all, Insert("b"), remove_all}),
              Each(IsOk()));
  EXPECT_THAT(changes, ElementsAre(2, 0, 1));
}

TEST_F(GroupCommitTest, AWriteThatTheDatabaseRefusesHurtsNoNeighbour) {
  const Body refused = [](SqliteConnection& db) {
    return db.Run("INSERT INTO meta (name, value) VALUES ('null', NULL)");
  };
  EXPECT_THAT(RunAsGroup({Insert("a"), refused, Insert("b")}),
              ElementsAre(IsOk(), HasReason("STORAGE_UNAVAILABLE"), IsOk()));
  EXPECT_THAT(Names(), ElementsAre("0", "a", "b"));
  EXPECT_TRUE(commits_->failed());
  EXPECT_OK(commits_->Write(CallContext::Background(), Insert("c")));
  EXPECT_FALSE(commits_->failed());
}

// After some errors (a full disk, no memory) SQLite itself ends the transaction, savepoints and
// all.
TEST_F(GroupCommitTest, WhoLosesItsTransactionIsToldAndThoseAfterGoOnInAnother) {
  const auto lose = [](SqliteConnection& db) {
    EXPECT_OK(Insert("lost")(db));
    db.RollBack();
    return StorageUnavailable("the disk is full");
  };
  // The second one's error speaks of a row that is lost, so it may not be told either.
  const std::vector<absl::Status> answers =
      RunAsGroup({Insert("a"), Insert("a"), lose, Insert("b"), Insert("b"), lose, Insert("c")});
  EXPECT_THAT(
      answers,
      ElementsAre(HasReason("STORAGE_UNAVAILABLE"), HasReason("STORAGE_UNAVAILABLE"),
                  HasReason("STORAGE_UNAVAILABLE"), HasReason("STORAGE_UNAVAILABLE"),
                  HasReason("STORAGE_UNAVAILABLE"), HasReason("STORAGE_UNAVAILABLE"), IsOk()));
  EXPECT_EQ(CauseOf(answers[0]), "the disk is full");
  EXPECT_THAT(Names(), ElementsAre("0", "c"));
  EXPECT_TRUE(commits_->failed());
}

TEST_F(GroupCommitTest, AWriteThatHidesTheLossOfItsTransactionIsNotTakenForDone) {
  const auto lose = [](SqliteConnection& db) {
    db.RollBack();
    return absl::OkStatus();
  };
  EXPECT_THAT(
      RunAsGroup({Insert("a"), lose, Insert("b")}),
      ElementsAre(HasReason("STORAGE_UNAVAILABLE"), HasReason("STORAGE_UNAVAILABLE"), IsOk()));
  EXPECT_THAT(commits_->Write(CallContext::Background(), lose), HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_THAT(Names(), ElementsAre("0", "b"));
}

TEST_F(GroupCommitTest, ACommitThatFailsFailsAllOfItsWritesAndNoneHasAnEffect) {
  ASSERT_OK(commits_->Write(CallContext::Background(), Insert("taken")));
  std::optional<FullDisk> full;
  const auto fill_disk = [&](SqliteConnection&) {
    full.emplace(std::filesystem::file_size(path_ + "-wal"));
    return absl::OkStatus();
  };
  const std::vector<absl::Status> answers =
      RunAsGroup({Insert("a"), fill_disk, Insert("taken"), Insert("b")});
  full.reset();
  EXPECT_THAT(answers, Each(HasReason("STORAGE_UNAVAILABLE")));
  EXPECT_THAT(Names(), ElementsAre("0", "taken"));
  EXPECT_TRUE(commits_->failed());
  EXPECT_OK(commits_->Write(CallContext::Background(), Insert("a")));
  EXPECT_FALSE(commits_->failed());
  EXPECT_THAT(Names(), ElementsAre("0", "a", "taken"));
}

TEST_F(GroupCommitTest, OnADiskThatWasFoundFullOnlyWhatMayUseTheReserveIsBegun) {
  ASSERT_OK(commits_->Write(CallContext::Background(), Insert("a")));
  reserve_->Use();
  int begun = 0;
  const auto counted = [&](SqliteConnection&) {
    ++begun;
    return absl::OkStatus();
  };
  EXPECT_THAT(commits_->Write(CallContext::Background(), counted),
              HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_EQ(begun, 0);
  EXPECT_TRUE(commits_->failed());
  const auto remove = [](SqliteConnection& db) { return db.Run("DELETE FROM meta"); };
  EXPECT_OK(commits_->Write(CallContext::Background(), remove, Room::kReserve));
  EXPECT_THAT(Names(), IsEmpty());
  EXPECT_OK(commits_->CheckRoom());
  EXPECT_OK(commits_->Write(CallContext::Background(), Insert("b")));
  EXPECT_FALSE(commits_->failed());
}

TEST_F(GroupCommitTest, AWriteThatChangedNothingDoesNotProveThatWritesWork) {
  EXPECT_THAT(commits_->Write(CallContext::Background(),
                              [](SqliteConnection&) { return StorageUnavailable("no"); }),
              HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_TRUE(commits_->failed());
  EXPECT_OK(commits_->Write(CallContext::Background(), [](SqliteConnection& db) {
    return db.Run("DELETE FROM meta WHERE name = 'none'");
  }));
  EXPECT_TRUE(commits_->failed());
  EXPECT_OK(commits_->Write(CallContext::Background(), Insert("a")));
  EXPECT_FALSE(commits_->failed());
}

TEST_F(GroupCommitTest, AWriteThatThrowsFailsAlone) {
  const auto throw_error = [](SqliteConnection&) -> absl::Status {
    throw std::runtime_error("no memory");
  };
  const std::vector<absl::Status> answers = RunAsGroup({Insert("a"), throw_error, Insert("b")});
  EXPECT_THAT(answers, ElementsAre(IsOk(), HasReason("STORAGE_UNAVAILABLE"), IsOk()));
  EXPECT_EQ(CauseOf(answers[1]), "no memory");
  EXPECT_THAT(commits_->Write(CallContext::Background(), throw_error),
              HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_THAT(Names(), ElementsAre("0", "a", "b"));
}

TEST_F(GroupCommitTest, NothingIsWrittenToAFileThatIsNoLongerInItsPlace) {
  int runs = 0;
  const auto count = [&](SqliteConnection&) {
    ++runs;
    return absl::OkStatus();
  };
  const std::string away = folder_.File("away.db");
  const std::vector<absl::Status> answers =
      RunAsGroup({count, count, count}, [&](SqliteConnection&) {
        std::filesystem::rename(path_, away);
        return absl::OkStatus();
      });
  for (const absl::Status& answer : answers) {
    EXPECT_THAT(answer, HasReason("STORAGE_UNAVAILABLE"));
    EXPECT_THAT(CauseOf(answer), HasSubstr("removed or replaced"));
  }
  EXPECT_EQ(runs, 0);
  std::filesystem::rename(away, path_);
  EXPECT_OK(commits_->Write(CallContext::Background(), Insert("a")));
}

TEST_F(GroupCommitTest, AWriteThatNobodyWaitsForAnyMoreIsNotBegun) {
  CallContext gone(absl::InfiniteFuture());
  int runs = 0;
  const auto count = [&](SqliteConnection&) {
    ++runs;
    return absl::OkStatus();
  };
  // One whose caller goes away while it is in the queue, which it leaves then and not later.
  absl::Status answer;
  const absl::Status alone = commits_->Write(CallContext::Background(), [&](SqliteConnection& db) {
    std::thread waiting([&] { answer = commits_->Write(gone, count); });
    while (commits_->stats().waiting < 1) std::this_thread::yield();
    gone.Cancel();
    waiting.join();
    EXPECT_EQ(commits_->stats().waiting, 0u);
    return Insert("a")(db);
  });
  EXPECT_OK(alone);
  EXPECT_THAT(answer, HasReason("CALL_CANCELLED"));
  // One that comes too late.
  EXPECT_THAT(commits_->Write(gone, count), HasReason("CALL_CANCELLED"));
  EXPECT_THAT(commits_->Write(CallContext(absl::InfinitePast()), count),
              HasReason("DEADLINE_EXCEEDED"));
  EXPECT_EQ(runs, 0);
  EXPECT_EQ(commits_->stats().writes, 1u);
  EXPECT_FALSE(commits_->failed());
}

TEST_F(GroupCommitTest, AGroupIsBoundedAndNobodyIsLeftWaiting) {
  constexpr size_t kWriters = GroupCommit::kMaxGroup + 44;
  std::vector<Body> bodies;
  for (size_t i = 0; i < kWriters; ++i) bodies.push_back(Insert(absl::StrCat("writer ", i)));
  EXPECT_THAT(RunAsGroup(bodies), Each(IsOk()));
  EXPECT_EQ(Names().size(), kWriters + 1);
  EXPECT_EQ(commits_->stats().commits, 3u);
  EXPECT_EQ(commits_->stats().largest_group, GroupCommit::kMaxGroup);
}

}  // namespace
}  // namespace authurl::testing
