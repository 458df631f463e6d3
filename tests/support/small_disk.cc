#include "tests/support/small_disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace authurl::testing {

SmallDisk::~SmallDisk() {
  if (mounted_) umount2(folder_.path().c_str(), MNT_DETACH);
}

absl::Status SmallDisk::Mount(int64_t bytes) {
  const std::string options = absl::StrCat("size=", bytes);
  // In a mount namespace of its own, which nothing leaks out of.
  if (unshare(CLONE_NEWNS) != 0 ||
      mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("small-disk", folder_.path().c_str(), "tmpfs", 0, options.c_str()) != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat("nothing can be mounted here (errno ", errno, ")"));
  }
  mounted_ = true;
  return absl::OkStatus();
}

int64_t SmallDisk::Free() const {
  struct statvfs disk = {};
  EXPECT_EQ(statvfs(folder_.path().c_str(), &disk), 0);
  return static_cast<int64_t>(disk.f_bavail) * static_cast<int64_t>(disk.f_frsize);
}

void SmallDisk::Fill(int64_t leave) {
  filled_ += Free() - leave;
  const int fd = open(File("filler").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(ftruncate(fd, filled_), 0);
  EXPECT_EQ(posix_fallocate(fd, 0, filled_), 0);
  close(fd);
}

}  // namespace authurl::testing
