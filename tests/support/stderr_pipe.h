// stderr_pipe.h: the process's stderr as a pipe, which the test reads or leaves full.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <string>

namespace authurl::testing {

class StderrPipe final {
 public:
  StderrPipe() : stderr_(dup(STDERR_FILENO)) {
    EXPECT_EQ(pipe2(ends_.data(), O_CLOEXEC), 0);
    EXPECT_EQ(dup2(ends_[1], STDERR_FILENO), STDERR_FILENO);
  }
  // Whoever hangs in writing goes on: reads until nobody can write into the pipe any more.
  ~StderrPipe() {
    dup2(stderr_, STDERR_FILENO);
    close(stderr_);
    close(ends_[1]);
    while (ReadOnce() > 0) {
    }
    close(ends_[0]);
  }
  StderrPipe(const StderrPipe&) = delete;
  StderrPipe& operator=(const StderrPipe&) = delete;

  // From now on whoever writes to stderr waits for a reader.
  void Fill() const {
    const std::string bytes(4096, ' ');
    pollfd end = {ends_[1], POLLOUT, 0};
    while (poll(&end, 1, 0) == 1) ASSERT_GT(write(ends_[1], bytes.data(), bytes.size()), 0);
  }

  // What was written until now. Needs no new file descriptor.
  const std::string& Text() {
    pollfd end = {ends_[0], POLLIN, 0};
    while (poll(&end, 1, 0) == 1 && ReadOnce() > 0) {
    }
    return text_;
  }

 private:
  ssize_t ReadOnce() {
    std::array<char, 4096> buffer;
    const ssize_t size = read(ends_[0], buffer.data(), buffer.size());
    if (size > 0) text_.append(buffer.data(), static_cast<size_t>(size));
    return size;
  }

  const int stderr_;
  std::array<int, 2> ends_{};
  std::string text_;
};

}  // namespace authurl::testing
