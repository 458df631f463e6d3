#include "storage/rollback_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/storage/store_fixture.h"

namespace authurl::testing {
namespace {

using ::testing::HasSubstr;

class RollbackCheckTest : public StoreTest {
 protected:
  void SetUp() override { Open(); }
  void Open() {
    backend_.reset();
    auto backend = OpenSqliteBackend(path_);
    ASSERT_OK(backend);
    backend_ = *std::move(backend);
    check_ = std::make_unique<RollbackCheck>(*backend_, keys_.sealer, random_, file_);
  }
  absl::StatusOr<RollbackCheck::Found> Check() {
    return check_->Start([this] {
      ++told_;
      return when_older_;
    });
  }
  // The database as it is now, for later.
  void Keep() {
    backend_.reset();
    std::filesystem::copy_file(path_, path_ + ".kept",
                               std::filesystem::copy_options::overwrite_existing);
  }
  void PutBack() {
    backend_.reset();
    std::filesystem::copy_file(path_ + ".kept", path_,
                               std::filesystem::copy_options::overwrite_existing);
  }

  const std::string file_ = folder_.File("ring.rollback");
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<RollbackCheck> check_;
  int told_ = 0;  // How often that it is older.
  absl::Status when_older_;
};

TEST_F(RollbackCheckTest, AnOlderCopyIsFoundOnce) {
  ASSERT_OK_AND_ASSIGN(const auto fresh, Check());
  EXPECT_FALSE(fresh.is_older());
  Keep();
  Open();
  ASSERT_OK_AND_ASSIGN(const auto again, Check());
  EXPECT_FALSE(again.is_older());
  ASSERT_OK(check_->Advance());
  ASSERT_OK(check_->Advance());

  PutBack();
  Open();
  EXPECT_EQ(told_, 0);
  // Nothing is forgotten where what has to be done about it is not.
  when_older_ = absl::UnavailableError("disk");
  EXPECT_THAT(Check(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("disk")));
  when_older_ = absl::OkStatus();
  Open();
  ASSERT_OK_AND_ASSIGN(const auto older, Check());
  EXPECT_EQ(told_, 2);
  EXPECT_TRUE(older.is_older());
  EXPECT_EQ(older.in_database, 1);
  EXPECT_EQ(older.in_file, 4);
  Open();
  ASSERT_OK_AND_ASSIGN(const auto known, Check());
  EXPECT_FALSE(known.is_older());
  EXPECT_EQ(told_, 2);
}

TEST_F(RollbackCheckTest, AnotherDatabaseIsNoOlderOne) {
  ASSERT_OK(Check());
  for (int i = 0; i < 5; ++i) ASSERT_OK(check_->Advance());
  backend_.reset();
  std::filesystem::remove(path_);
  Open();
  ASSERT_OK_AND_ASSIGN(const auto other, Check());
  EXPECT_FALSE(other.is_older());
}

TEST_F(RollbackCheckTest, AStopBetweenTheDatabaseAndTheFileIsNoRollback) {
  ASSERT_OK(Check());
  const std::string before = ReadFile(file_);
  ASSERT_OK(check_->Advance());
  std::filesystem::remove(file_);
  folder_.Write("ring.rollback", before);
  Open();
  ASSERT_OK_AND_ASSIGN(const auto found, Check());
  EXPECT_FALSE(found.is_older());
}

TEST_F(RollbackCheckTest, AFileThatIsAnotherOneIsLeftAsItIs) {
  for (const std::string content :
       {"secret", "", "1 2\n", "0123456789abcdef0123456789abcdef -1\n"}) {
    std::filesystem::remove(file_);
    folder_.Write("ring.rollback", content);
    const auto refused = Check();
    EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("ring.rollback")));
    EXPECT_EQ(ReadFile(file_), content);
  }
}

TEST_F(RollbackCheckTest, AFolderThatIsNotThereIsNamed) {
  RollbackCheck check(*backend_, keys_.sealer, random_, folder_.File("none/ring.rollback"));
  EXPECT_THAT(check.Start([] { return absl::OkStatus(); }),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("none/ring.rollback")));
}

TEST_F(RollbackCheckTest, WhoTakesTheMarkOutOfADatabaseThatIsInUseHidesNothing) {
  ASSERT_OK(Check());
  ASSERT_OK(backend_->PutMeta("rollback_check", "noise"));
  ASSERT_OK_AND_ASSIGN(const auto unused, Check());
  EXPECT_FALSE(unused.is_older());

  backend_.reset();
  ASSERT_OK_AND_ASSIGN(auto store, OpenStore(keys_));
  ASSERT_NO_FATAL_FAILURE(Fill(*store));
  store.reset();
  Open();
  ASSERT_OK(backend_->PutMeta("rollback_check", "noise"));
  ASSERT_OK_AND_ASSIGN(const auto used, Check());
  EXPECT_TRUE(used.is_older());
  ASSERT_OK_AND_ASSIGN(const auto again, Check());
  EXPECT_FALSE(again.is_older());
}

}  // namespace
}  // namespace authurl::testing
