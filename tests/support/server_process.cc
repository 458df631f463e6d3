#include "tests/support/server_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/api_key.h"
#include "core/crypto/crypto.h"

namespace authurl::testing {
namespace {

constexpr char kServerBinary[] = AUTHURL_SERVER_BINARY;

// vfork and not fork: no handler of a library runs in the child, which would meet the locks of
// gRPC's threads. Between vfork and exec only calls that are safe in a signal handler are allowed.
pid_t Spawn(char* const* argv, int output_fd, rlim_t max_open_files) {
  const pid_t parent = getpid();
  const rlimit files = {max_open_files, max_open_files};
  const pid_t child = vfork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  if (files.rlim_cur != 0) setrlimit(RLIMIT_NOFILE, &files);
  dup2(output_fd, STDOUT_FILENO);
  dup2(output_fd, STDERR_FILENO);
  execv(argv[0], argv);
  _exit(127);
}

struct Spawned {
  pid_t pid;
  std::string log_file;
};

absl::StatusOr<Spawned> SpawnServer(const ServerFolder& folder, const ServerProcess::Flags& flags,
                                    int max_open_files) {
  static std::atomic<int> count = 0;
  const std::string log_file = folder.dir().File(absl::StrCat("server-", ++count, ".log"));
  std::vector<std::string> arguments = {
      kServerBinary,
      "--listen=127.0.0.1:0",
      "--drain_delay=0",
      // Tests ask faster than users; those of the limits set their own.
      "--rate_limit_key=0",
      "--rate_limit_organization=0",
      absl::StrCat("--database=", folder.database()),
      absl::StrCat("--key_ring_file=", folder.key_ring_file()),
      absl::StrCat("--admin_key_file=", folder.admin_key_file()),
  };
  // Of a flag that is there twice the last one counts.
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  const int fd = open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return absl::ErrnoToStatus(errno, log_file);
  const pid_t pid = Spawn(argv.data(), fd, static_cast<rlim_t>(max_open_files));
  const int error = errno;
  close(fd);
  if (pid < 0) return absl::ErrnoToStatus(error, "vfork");
  return Spawned{pid, log_file};
}

}  // namespace

ServerFolder::ServerFolder() {
  EXPECT_TRUE(InitCrypto().ok());
  admin_key_ = NewApiKey(FillRandom);
  dir_.Write("key_ring", NewKeyRingText(FillRandom));
  dir_.Write("admin_key", absl::StrCat(admin_key_, "\n"));
}

KeyRing ServerFolder::key_ring() const {
  absl::StatusOr<KeyRing> keys = KeyRing::Parse(ReadFile(key_ring_file()));
  EXPECT_TRUE(keys.ok()) << keys.status();
  return *std::move(keys);
}

void ServerFolder::CopyFrom(const ServerFolder& other) {
  for (const char* name : {"authurl.sqlite3", "key_ring", "admin_key"}) {
    dir_.Write(name, ReadFile(other.dir().File(name)));
  }
  admin_key_ = other.admin_key_;
}

ServerProcess::ServerProcess(pid_t pid, std::string log_file)
    : pid_(pid), log_file_(std::move(log_file)) {}

ServerProcess::~ServerProcess() {
  if (!HasEnded()) (void)Kill();
  if (!::testing::Test::HasFailure()) return;
  constexpr size_t kTail = 4000;
  const std::string log = Log();
  std::cerr << "The end of the server's log:\n"
            << log.substr(log.size() < kTail ? 0 : log.size() - kTail) << "\n";
}

absl::StatusOr<std::unique_ptr<ServerProcess>> ServerProcess::Start(const ServerFolder& folder,
                                                                    const Flags& flags,
                                                                    int max_open_files) {
  absl::StatusOr<Spawned> spawned = SpawnServer(folder, flags, max_open_files);
  if (!spawned.ok()) return spawned.status();
  std::unique_ptr<ServerProcess> server(new ServerProcess(spawned->pid, spawned->log_file));
  Eventually([&] { return server->ReadAddress() || server->HasEnded(); });
  if (!server->address_.empty()) return server;
  return absl::UnavailableError(absl::StrCat(
      "the server ",
      server->ended_ ? "ended instead of serving: " : "does not serve: ", server->Log()));
}

FailedStart ServerProcess::StartExpectingFailure(const ServerFolder& folder, const Flags& flags) {
  absl::StatusOr<Spawned> spawned = SpawnServer(folder, flags, 0);
  if (!spawned.ok()) return {-1, spawned.status().ToString()};
  ServerProcess server(spawned->pid, spawned->log_file);
  absl::StatusOr<int> exit_code = server.Wait();
  if (!exit_code.ok()) return {-SIGKILL, absl::StrCat("it did not end: ", server.Log())};
  return {*exit_code, server.Log()};
}

void ServerProcess::Signal(int signal) const {
  // Once it was waited for, its id may be another process's.
  if (!ended_) kill(pid_, signal);
}

bool ServerProcess::HasEnded() {
  if (ended_) return true;
  int status = 0;
  const pid_t changed = waitpid(pid_, &status, WNOHANG);
  if (changed == 0 || (changed < 0 && errno == EINTR)) return false;
  ended_ = true;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return true;
}

absl::StatusOr<int> ServerProcess::Wait(absl::Duration timeout) {
  if (Eventually([this] { return HasEnded(); }, timeout)) return exit_code_;
  return absl::DeadlineExceededError("the server still runs");
}

absl::StatusOr<int> ServerProcess::Stop() {
  Signal(SIGTERM);
  return Wait();
}

absl::StatusOr<int> ServerProcess::Kill() {
  Signal(SIGKILL);
  return Wait();
}

std::string ServerProcess::Log() const { return ReadFile(log_file_); }

int64_t ServerProcess::ResidentBytes() const {
  std::ifstream statm(absl::StrCat("/proc/", pid_, "/statm"));
  int64_t total_pages = 0;
  int64_t resident_pages = 0;
  statm >> total_pages >> resident_pages;
  EXPECT_TRUE(statm.good()) << "no /proc entry of the server";
  return resident_pages * sysconf(_SC_PAGESIZE);
}

int ServerProcess::Threads() const {
  const std::filesystem::directory_iterator tasks(absl::StrCat("/proc/", pid_, "/task"));
  return static_cast<int>(std::distance(begin(tasks), end(tasks)));
}

absl::Status ServerProcess::LimitFileSize(std::optional<int64_t> bytes) const {
  rlimit limit = {};
  if (prlimit(pid_, RLIMIT_FSIZE, nullptr, &limit) != 0)
    return absl::ErrnoToStatus(errno, "prlimit");
  limit.rlim_cur = bytes.has_value() ? static_cast<rlim_t>(*bytes) : limit.rlim_max;
  if (prlimit(pid_, RLIMIT_FSIZE, &limit, nullptr) != 0)
    return absl::ErrnoToStatus(errno, "prlimit");
  return absl::OkStatus();
}

bool ServerProcess::ReadAddress() {
  constexpr absl::string_view kBefore = "\"address\":\"";
  const std::string log = Log();
  const size_t event = log.find("\"event\":\"serving\"");
  if (event == std::string::npos) return false;
  const size_t line_end = log.find('\n', event);
  const size_t found = log.find(kBefore.data(), event);
  if (line_end == std::string::npos || found == std::string::npos) return false;
  const size_t begin = found + kBefore.size();
  address_ = log.substr(begin, log.find('"', begin) - begin);
  return true;
}

}  // namespace authurl::testing
