// rollback_check.h: notices that a database is an older copy of itself: keys that were revoked live
// again in it, and what was deleted is back.
//
// The database has a random id and a number, sealed together; the number grows as it is written to.
// A file outside of it (beside the key ring, and in no backup that the database is in) remembers
// the highest number. Not noticed: both put back together, what changed within the last step, and a
// single row. Another database has another id and is none of the file's business; one that has keys
// and no mark counts as older than what the file knows.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/crypto/crypto.h"
#include "core/crypto/sealer.h"
#include "storage/backend.h"

namespace authurl {

// For one thread at a time.
class RollbackCheck final {
 public:
  // Everything referred to must outlive it.
  RollbackCheck(Backend& backend, const Sealer& sealer, RandomSource random, std::string file)
      : backend_(backend), sealer_(sealer), random_(std::move(random)), file_(std::move(file)) {}
  RollbackCheck(const RollbackCheck&) = delete;
  RollbackCheck& operator=(const RollbackCheck&) = delete;

  struct Found {
    int64_t in_database = 0;
    int64_t in_file = 0;  // 0: the file knows nothing of this database.
    bool is_older() const { return in_database < in_file; }
  };
  // At the start, before anything is written. What it finds is found once: the next number is
  // higher than both. So where it is an older copy `when_older` is called before that is stored.
  // Errors: that of the file (UNAVAILABLE, or INVALID_ARGUMENT where it is no such file), of the
  // database, or of `when_older`.
  absl::StatusOr<Found> Start(absl::FunctionRef<absl::Status()> when_older);
  // The next number. REQUIRES: Start() returned OK.
  absl::Status Advance();

 private:
  struct Mark {
    std::string database_id;
    int64_t number = 0;
  };
  // Empty where there is none.
  absl::StatusOr<Mark> InDatabase() const;
  absl::StatusOr<Mark> InFile() const;

  Backend& backend_;
  const Sealer& sealer_;
  const RandomSource random_;
  const std::string file_;
  Mark last_;
};

}  // namespace authurl
