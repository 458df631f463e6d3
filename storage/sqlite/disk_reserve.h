// disk_reserve.h: room on the disk for what must never be refused because it is full: deleting,
// revoking, purging. Without it a full disk stays full: a deletion is first written to the log, and
// the log is only emptied into a database file that can grow.
//
// Two things take room before it is needed. The write-ahead log has its blocks from the start and
// is never made shorter while the database is open. And a file beside the database, the ballast,
// holds nothing: it is dropped when a write finds the disk full. From then on only writes that free
// room are let through, until there is room for the ballast and as much again.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace authurl {

// Its functions are for one thread at a time, but for in_use().
class DiskReserve final {
 public:
  // Takes a part of what is free, but no more than these.
  static constexpr int64_t kMaxBallastBytes = int64_t{16} << 20;
  static constexpr int64_t kMaxLogBytes = int64_t{8} << 20;

  // Takes the room. `database` is the path of the file; its log must exist. Where the disk has too
  // little, or the file system can't promise room, there is less reserve, or none.
  explicit DiskReserve(const std::string& database);
  // Leaves no ballast behind.
  ~DiskReserve();
  DiskReserve(const DiskReserve&) = delete;
  DiskReserve& operator=(const DiskReserve&) = delete;

  // The disk was found full: drops the ballast.
  void Use();
  // Whether it was, and no room has been found since. For any thread.
  bool in_use() const { return in_use_.load(std::memory_order_relaxed); }
  // Takes the ballast again, where the disk has room for it and as much for others. Else
  // UNAVAILABLE STORAGE_UNAVAILABLE, with how much is missing.
  absl::Status TakeAgain();

 private:
  int64_t FreeBytes() const;
  // Whether the ballast could be made.
  bool MakeBallast(int64_t bytes) const;

  const std::string folder_;
  const std::string ballast_;
  int64_t ballast_bytes_ = 0;  // 0: none could be taken.
  std::atomic<bool> in_use_ = false;
};

}  // namespace authurl
