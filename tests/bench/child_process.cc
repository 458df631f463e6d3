#include "tests/bench/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "absl/status/status.h"

namespace authurl::bench {
namespace {

// In the child, first thing.
void DieWith(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Fork(
    absl::FunctionRef<int(FILE*)> body) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "pipe2");
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) {
    DieWith(parent);
    close(ends[0]);
    FILE* const to_parent = fdopen(ends[1], "w");
    const int exit_code = body(to_parent);
    fclose(to_parent);
    // Not exit(): what waits in the buffers of stdout is the parent's to write.
    _exit(exit_code);
  }
  const int error = errno;
  close(ends[1]);
  if (pid < 0) {
    close(ends[0]);
    return absl::ErrnoToStatus(error, "fork");
  }
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid, fdopen(ends[0], "r")));
}

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Run(std::vector<std::string> command,
                                                                const std::string& output_file) {
  std::vector<char*> argv;
  argv.reserve(command.size() + 1);
  for (std::string& argument : command) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const int output = open(output_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (output < 0) return absl::ErrnoToStatus(errno, output_file);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) {
    DieWith(parent);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  const int error = errno;
  close(output);
  if (pid < 0) return absl::ErrnoToStatus(error, "fork");
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid, nullptr));
}

ChildProcess::~ChildProcess() {
  if (!HasEnded()) {
    kill(pid_, SIGKILL);
    Wait();
  }
  if (from_child_ != nullptr) fclose(from_child_);
}

std::optional<std::string> ChildProcess::ReadLine() {
  std::string line;
  for (int c = fgetc(from_child_); c != EOF; c = fgetc(from_child_)) {
    if (c == '\n') return line;
    line.push_back(static_cast<char>(c));
  }
  return std::nullopt;
}

std::string ChildProcess::ReadAll() {
  std::string all;
  std::array<char, 4096> chunk;
  for (size_t size = 0; (size = fread(chunk.data(), 1, chunk.size(), from_child_)) > 0;) {
    all.append(chunk.data(), size);
  }
  return all;
}

int ChildProcess::Stop() {
  // Once it was waited for, its id may be another process's.
  if (!HasEnded()) kill(pid_, SIGTERM);
  return Wait();
}

int ChildProcess::Wait() {
  while (!exit_code_.has_value()) {
    int status = 0;
    if (waitpid(pid_, &status, 0) == pid_) Reaped(status);
  }
  return *exit_code_;
}

bool ChildProcess::HasEnded() {
  int status = 0;
  if (!exit_code_.has_value() && waitpid(pid_, &status, WNOHANG) == pid_) Reaped(status);
  return exit_code_.has_value();
}

void ChildProcess::Reaped(int status) {
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace authurl::bench
