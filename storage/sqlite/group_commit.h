// group_commit.h: lets writers that come at the same time share a transaction, because each commit
// waits for the disk.
//
// The first writer to come leads: it runs the writes of all who have queued up by then and commits
// them together. Who comes meanwhile forms the next group, so a lone writer never waits for
// company.
//
// Savepoints are dear: SQLite then keeps a copy of each page that a write changes. Most writes that
// are refused are refused before they have changed anything, so a group runs without. Where one
// fails with something half done, all is undone and run again, each under a savepoint of its own.
//
// After a commit that failed the next ones go on, on purpose. What the failed one had written to
// the log is not part of it: the next transaction writes over it and syncs anew, and nothing that
// was committed before lies in what it wrote. A checkpoint that fails leaves the log in place and
// is done again from the start.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "core/call_context.h"
#include "storage/sqlite/database_file.h"
#include "storage/sqlite/disk_reserve.h"
#include "storage/sqlite/sqlite_connection.h"

namespace authurl {

// What a write may do to a disk that is full.
enum class Room {
  kOrdinary,
  kReserve,  // It may use the reserve (disk_reserve.h).
};

// Safe to use from many threads at once.
class GroupCommit final {
 public:
  using Body = absl::FunctionRef<absl::Status(SqliteConnection&)>;

  static constexpr size_t kMaxGroup = 256;

  struct Stats {
    uint64_t commits = 0;        // Transactions that were committed.
    uint64_t writes = 0;         // Writes in them that succeeded.
    uint64_t largest_group = 0;  // The most of these in one.
    uint64_t waiting = 0;        // Writers that wait now, without those whose writes run.
  };

  // `file` and `reserve` must outlive this. REQUIRES: `connection` is a writer and prepared.
  GroupCommit(DatabaseFile& file, DiskReserve& reserve,
              std::unique_ptr<SqliteConnection> connection);
  GroupCommit(const GroupCommit&) = delete;
  GroupCommit& operator=(const GroupCommit&) = delete;

  // Runs `body`, maybe on another thread and after other writes in the same transaction, whose
  // effects it sees; maybe again, after all that it did was undone. OK once what it did is
  // committed. An error of `body` undoes what it did and nothing else. When the transaction itself
  // fails, none of its writes has had an effect (or it is unknown), and all of them return its
  // error, UNAVAILABLE. A write whose context ends before it has begun is not begun. `body` must
  // not call this.
  absl::Status Write(const CallContext& context, Body body, Room room = Room::kOrdinary);
  // OK where the disk has room for ordinary writes (again).
  absl::Status CheckRoom();

  // Whether the last transaction failed, or a write in it with UNAVAILABLE.
  bool failed() const { return failed_.load(std::memory_order_relaxed); }
  Stats stats() const;
  const SqliteConnection& connection() const { return *connection_; }

 private:
  struct Writer;
  using Group = std::span<const std::shared_ptr<Writer>>;

  // Those at the front of the queue. REQUIRES: the lock.
  std::vector<std::shared_ptr<Writer>> TakeGroup();

  // The functions below are for the thread that leads, without the lock.

  // Gives every one its status.
  void Run(Group group);
  // The same for those that a full disk lets through, once it was found full.
  void RunWithReserve(Group group);
  // The same for as many of the first ones as one transaction takes. Returns how many.
  size_t Transact(Group group);
  // Sets what the body came to.
  void RunBody(Writer& writer);
  // The same. An error if the transaction is lost with it.
  absl::Status RunWithSavepoint(Writer& writer);
  static bool HasFailed(const std::shared_ptr<Writer>& writer);
  // Whether the transaction can go on after it.
  bool LeftNothingHalfDone(const Writer& writer) const;
  void CountCommit(Group group);

  DatabaseFile& file_;
  DiskReserve& reserve_;  // For the thread that leads.
  const std::unique_ptr<SqliteConnection> connection_;
  std::atomic<bool> failed_ = false;
  std::atomic<uint64_t> commits_ = 0;
  std::atomic<uint64_t> writes_ = 0;
  std::atomic<uint64_t> largest_group_ = 0;

  mutable std::mutex mutex_;
  bool led_ = false;                           // Whether somebody leads. Guarded by mutex_.
  std::deque<std::shared_ptr<Writer>> queue_;  // Without those that are led. Guarded by mutex_.
};

}  // namespace authurl
