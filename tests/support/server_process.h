// server_process.h: the real server binary as a child process, and the files it needs.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/crypto/key_ring.h"
#include "tests/support/eventually.h"
#include "tests/support/temp_dir.h"

namespace authurl::testing {

inline constexpr int64_t kMiB = int64_t{1} << 20;

// What a server needs on disk: a key ring, an admin key, and room for the database.
class ServerFolder final {
 public:
  ServerFolder();
  ServerFolder(const ServerFolder&) = delete;
  ServerFolder& operator=(const ServerFolder&) = delete;

  const TempDir& dir() const { return dir_; }
  std::string database() const { return dir_.File("authurl.sqlite3"); }
  std::string key_ring_file() const { return dir_.File("key_ring"); }
  std::string admin_key_file() const { return dir_.File("admin_key"); }
  // The text of the admin key.
  const std::string& admin_key() const { return admin_key_; }
  KeyRing key_ring() const;
  // Makes this folder's server another one with the same data and keys. No server may be running
  // in `other`.
  void CopyFrom(const ServerFolder& other);

 private:
  TempDir dir_;
  std::string admin_key_;
};

// How a start that was expected to fail did.
struct FailedStart {
  // The exit code, or minus the number of the signal that ended it.
  int exit_code = 0;
  // All that it wrote on stderr and stdout.
  std::string output;
};

// Start it from the thread that outlives it: the kernel kills it together with that thread, so that
// no server outlives its test, however that ends.
class ServerProcess final {
 public:
  using Flags = std::vector<std::string>;

  // Starts a server on `folder` that listens on any free port of 127.0.0.1 and drains without a
  // delay, unless `flags` say otherwise, and waits until it serves. `max_open_files` limits its
  // descriptors; 0 leaves them.
  static absl::StatusOr<std::unique_ptr<ServerProcess>> Start(const ServerFolder& folder,
                                                              const Flags& flags = {},
                                                              int max_open_files = 0);
  // Waits until a server that must not start has ended; ends it if it does not.
  static FailedStart StartExpectingFailure(const ServerFolder& folder, const Flags& flags = {});
  // Kills it if it still runs.
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // What it listens on: "host:port" or "unix:/path".
  const std::string& address() const { return address_; }

  void Signal(int signal) const;
  // Waits for its end: the exit code, or minus the number of the signal that ended it.
  // DeadlineExceededError if it still runs after `timeout`.
  absl::StatusOr<int> Wait(absl::Duration timeout = kPatience);
  // SIGTERM and Wait().
  absl::StatusOr<int> Stop();
  // SIGKILL and Wait().
  absl::StatusOr<int> Kill();

  // All that it has written on stderr.
  std::string Log() const;
  int64_t ResidentBytes() const;
  int Threads() const;
  // From now on every write of the server beyond that offset of a file fails, as on a full disk;
  // nothing: no longer. Its log is such a file too.
  absl::Status LimitFileSize(std::optional<int64_t> bytes) const;

 private:
  ServerProcess(pid_t pid, std::string log_file);
  bool HasEnded();
  // Reads the address from the log's "serving" line, when that is there.
  bool ReadAddress();

  const pid_t pid_;
  const std::string log_file_;
  std::string address_;
  bool ended_ = false;
  int exit_code_ = 0;
};

}  // namespace authurl::testing
