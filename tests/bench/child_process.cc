#include "child_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "absl/status/status.h"

namespace authurl::bench {

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(
    std::vector<std::string> arguments) {
  std::array<int, 2> to_child{};
  std::array<int, 2> from_child{};
  // Close-on-exec, or a later child would hold this one's stdin open and it would never end.
  if (pipe2(to_child.data(), O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "pipe2");
  if (pipe2(from_child.data(), O_CLOEXEC) != 0) {
    const int error = errno;
    close(to_child[0]);
    close(to_child[1]);
    return absl::ErrnoToStatus(error, "pipe2");
  }

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to_child[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, from_child[1], STDOUT_FILENO);

  arguments.insert(arguments.begin(), "rpc_floor");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  pid_t pid = -1;
  const int error = posix_spawn(&pid, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(to_child[0]);
  close(from_child[1]);
  if (error != 0) {
    close(to_child[1]);
    close(from_child[0]);
    return absl::ErrnoToStatus(error, "posix_spawn");
  }
  return std::unique_ptr<ChildProcess>(
      new ChildProcess(pid, fdopen(to_child[1], "w"), fdopen(from_child[0], "r")));
}

ChildProcess::~ChildProcess() { CloseAndWait(); }

void ChildProcess::WriteLine(std::string_view line) {
  std::fwrite(line.data(), 1, line.size(), to_child_);
  std::fputc('\n', to_child_);
  std::fflush(to_child_);
}

std::optional<std::string> ChildProcess::ReadLine() {
  std::string line;
  for (int c = std::fgetc(from_child_); c != EOF; c = std::fgetc(from_child_)) {
    if (c == '\n') return line;
    line.push_back(static_cast<char>(c));
  }
  return std::nullopt;
}

int ChildProcess::CloseAndWait() {
  if (pid_ < 0) return 0;
  std::fclose(to_child_);
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  std::fclose(from_child_);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace authurl::bench
