#include "storage/sqlite/disk_reserve.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "core/errors.h"

namespace authurl {
namespace {

// Less is no help: the log alone grows by more before it is emptied.
constexpr int64_t kMinBallastBytes = int64_t{1} << 20;

// Gives the blocks of a file to it, beyond its end: its content stays the same.
bool ReserveBlocks(const std::string& path, int64_t bytes) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return false;
  const bool done = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, bytes) == 0;
  close(fd);
  return done;
}

}  // namespace

DiskReserve::DiskReserve(const std::string& database)
    : folder_(std::filesystem::path(database).parent_path().string()),
      ballast_(absl::StrCat(database, "-ballast")) {
  // One that a killed process left is room, too.
  unlink(ballast_.c_str());
  // The most that is worth taking, and never more than a part of what is free: others need some.
  ReserveBlocks(absl::StrCat(database, "-wal"), std::min(kMaxLogBytes, FreeBytes() / 4));
  const int64_t bytes = std::min(kMaxBallastBytes, FreeBytes() / 4);
  if (bytes >= kMinBallastBytes && MakeBallast(bytes)) ballast_bytes_ = bytes;
}

DiskReserve::~DiskReserve() { unlink(ballast_.c_str()); }

void DiskReserve::Use() {
  unlink(ballast_.c_str());
  in_use_.store(true, std::memory_order_relaxed);
}

absl::Status DiskReserve::TakeAgain() {
  if (!in_use()) return absl::OkStatus();
  const int64_t bytes = std::max(ballast_bytes_, kMinBallastBytes);
  const int64_t free = FreeBytes();
  if (free < 2 * bytes || !MakeBallast(bytes)) {
    return StorageUnavailable(absl::StrCat("the disk is full: ", free, " bytes are free, and ",
                                           2 * bytes, " are needed before more is written"));
  }
  ballast_bytes_ = bytes;
  in_use_.store(false, std::memory_order_relaxed);
  return absl::OkStatus();
}

int64_t DiskReserve::FreeBytes() const {
  struct statvfs disk = {};
  if (statvfs(folder_.empty() ? "." : folder_.c_str(), &disk) != 0) return 0;
  const auto blocks = static_cast<int64_t>(geteuid() == 0 ? disk.f_bfree : disk.f_bavail);
  return blocks * static_cast<int64_t>(disk.f_frsize);
}

bool DiskReserve::MakeBallast(int64_t bytes) const {
  const int fd = open(ballast_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return false;
  const bool made = fallocate(fd, 0, 0, bytes) == 0;
  close(fd);
  if (!made) unlink(ballast_.c_str());
  return made;
}

}  // namespace authurl
