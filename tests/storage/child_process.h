// child_process.h: runs a piece of a test in a process of its own.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>

namespace authurl::testing {

// A forked process that runs `body` and leaves without any clean-up, as if it had been killed. Must
// be made while this process has one thread. The two sides are connected by a pipe each way.
class ChildProcess final {
 public:
  explicit ChildProcess(const std::function<int(ChildProcess&)>& body) {
    EXPECT_EQ(pipe(to_child_.data()), 0);
    EXPECT_EQ(pipe(to_parent_.data()), 0);
    pid_ = fork();
    EXPECT_GE(pid_, 0);
    if (pid_ != 0) {
      close(to_child_[0]);
      close(to_parent_[1]);
      return;
    }
    close(to_child_[1]);
    close(to_parent_[0]);
    _exit(body(*this));
  }
  ~ChildProcess() {
    if (pid_ <= 0) return;
    close(to_child_[1]);
    close(to_parent_[0]);
    if (!waited_) Kill();
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // In the child: false when the parent is gone.
  bool Tell() const { return write(to_parent_[1], "x", 1) == 1; }
  void AwaitParent() const {
    char byte;
    while (read(to_child_[0], &byte, 1) > 0) continue;
  }

  // In the parent: false when the child is gone.
  bool Await() const {
    char byte;
    return read(to_parent_[0], &byte, 1) == 1;
  }
  // Waits for its end. Its exit code, or -1 if a signal ended it.
  int Wait() {
    int status = 0;
    EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
    waited_ = true;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  void Kill() {
    kill(pid_, SIGKILL);
    Wait();
  }

 private:
  pid_t pid_ = -1;
  bool waited_ = false;
  std::array<int, 2> to_child_;
  std::array<int, 2> to_parent_;
};

// Runs `body` to its end; its exit code.
inline int RunInChild(const std::function<int()>& body) {
  ChildProcess child([&](ChildProcess&) { return body(); });
  return child.Wait();
}

}  // namespace authurl::testing
