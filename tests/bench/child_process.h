// child_process.h: a child of this process. The kernel ends it together with the thread that
// started it, so that nothing is left behind however a benchmark ends.
#pragma once

#include <sys/types.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"

namespace authurl::bench {

class ChildProcess final {
 public:
  // Runs `body` in a copy of this process, which ends with the exit code that it returns. What it
  // writes is read with ReadLine() and ReadAll(). REQUIRES: this process has one thread and has
  // never used gRPC, whose threads a copy lacks.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Fork(
      absl::FunctionRef<int(FILE* to_parent)> body);
  // Runs a program. What it writes goes to `output_file`.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Run(std::vector<std::string> command,
                                                           const std::string& output_file);
  // Kills it if it still runs.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }

  // Without the newline; nothing when there is no further line.
  std::optional<std::string> ReadLine();
  // All that it writes until it ends.
  std::string ReadAll();

  // Asks it to end (SIGTERM) and waits. The exit code, or minus the number of the signal that ended
  // it.
  int Stop();
  int Wait();
  bool HasEnded();

 private:
  ChildProcess(pid_t pid, FILE* from_child) : pid_(pid), from_child_(from_child) {}
  void Reaped(int status);

  const pid_t pid_;
  FILE* const from_child_;  // Null where output goes to a file.
  std::optional<int> exit_code_;
};

}  // namespace authurl::bench
