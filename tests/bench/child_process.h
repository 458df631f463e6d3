#pragma once

#include <sys/types.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace authurl::bench {

// This program, started again with other arguments; spoken to in lines over its stdin and stdout.
class ChildProcess {
 public:
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(std::vector<std::string> arguments);

  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess();

  void WriteLine(std::string_view line);
  std::optional<std::string> ReadLine();  // without the newline; none when the child closed stdout

  // Closes the child's stdin, which asks it to end, and waits. Returns its exit status, or the
  // negated signal number.
  int CloseAndWait();

 private:
  ChildProcess(pid_t pid, FILE* to_child, FILE* from_child)
      : pid_(pid), to_child_(to_child), from_child_(from_child) {}

  pid_t pid_;
  FILE* to_child_;
  FILE* from_child_;
};

}  // namespace authurl::bench
