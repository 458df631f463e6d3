// backend_conformance.h: the obligations of storage/backend.h as tests that every backend must
// pass. A backend's own test file instantiates the suite:
//
//   INSTANTIATE_TEST_SUITE_P(Sqlite, BackendConformanceTest,
//   ::testing::Values(&MakeSqliteDatabase));
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "absl/status/statusor.h"
#include "storage/backend.h"

namespace authurl::testing {

// A database that is new at first and gone with this object.
class TestDatabase {
 public:
  virtual ~TestDatabase() = default;
  // REQUIRES: what an earlier call returned is closed.
  virtual absl::StatusOr<std::unique_ptr<Backend>> Open() = 0;
  // While the result lives, the open database can be read but not written.
  virtual std::shared_ptr<void> StopWrites() = 0;
};

using MakeTestDatabase = std::unique_ptr<TestDatabase> (*)();

class BackendConformanceTest : public ::testing::TestWithParam<MakeTestDatabase> {
 protected:
  void SetUp() override;
  // Closes the backend and opens it again.
  void Reopen();

  std::unique_ptr<TestDatabase> database_;
  std::unique_ptr<Backend> backend_;
};

}  // namespace authurl::testing
