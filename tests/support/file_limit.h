// file_limit.h: a process that may have no more file descriptors, for a test of its own process.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

namespace authurl::testing {

// Look at nothing while it lives: to tell whether memory can be read, UBSan opens a pipe.
//
// While it lives, no descriptor is given out whose number is `limit` or more. Those that are open
// stay; poll() refuses to look at more than `limit`.
class FileLimit final {
 public:
  explicit FileLimit(int limit) {
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before_), 0);
    const rlimit now = {static_cast<rlim_t>(limit), before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &now), 0);
  }
  ~FileLimit() { setrlimit(RLIMIT_NOFILE, &before_); }
  FileLimit(const FileLimit&) = delete;
  FileLimit& operator=(const FileLimit&) = delete;

 private:
  rlimit before_{};
};

// The number that the next descriptor gets.
inline int NextDescriptor() {
  const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  close(fd);
  return fd;
}

}  // namespace authurl::testing
