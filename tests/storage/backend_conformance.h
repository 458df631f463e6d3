// backend_conformance.h: the obligations of storage/backend.h as tests that every backend must
// pass. They use tables of their own, of which no backend knows more than the description. A
// backend's own test file instantiates the suite:
//
//   INSTANTIATE_TEST_SUITE_P(Sqlite, BackendConformanceTest,
//   ::testing::Values(&MakeSqliteDatabase));
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "storage/backend.h"
#include "storage/table.h"

namespace authurl::testing {

// A database that is new at first and gone with this object.
class TestDatabase {
 public:
  virtual ~TestDatabase() = default;
  // REQUIRES: what an earlier call returned is closed.
  virtual absl::StatusOr<std::unique_ptr<Backend>> Open(absl::Span<const Table* const> tables) = 0;
  // While the result lives, the open database can be read but not written.
  virtual std::shared_ptr<void> StopWrites() = 0;
};

using MakeTestDatabase = std::unique_ptr<TestDatabase> (*)();

class BackendConformanceTest : public ::testing::TestWithParam<MakeTestDatabase> {
 protected:
  void SetUp() override;
  // Closes the backend and opens it again.
  void Reopen();

  CommitResult Commit(const Batch& batch);
  absl::Status InsertRow(const Table& table, const Row& row);
  absl::Status UpdateRow(const Table& table, const Row& row, uint64_t expected_version);
  absl::Status DeleteRow(const Table& table, const std::string& org_id, const std::string& id,
                         std::optional<uint64_t> expected_version = std::nullopt);
  // With all its parts.
  absl::StatusOr<Row> GetRow(const Table& table, const std::string& org_id, const std::string& id);
  // "a b": the ids of a page.
  std::string Ids(const absl::StatusOr<RowPage>& page);
  std::string List(const Table& table, std::optional<std::string> org_id, const std::string& after,
                   int rows);

  std::unique_ptr<TestDatabase> database_;
  std::unique_ptr<Backend> backend_;
};

}  // namespace authurl::testing
