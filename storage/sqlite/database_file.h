// database_file.h: the database as a file on the disk: ours alone, of our kind, and still in its
// place.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace authurl {

// Holds the exclusive lock (flock) on a database file.
//
// Must outlive every SQLite connection to the file: SQLite's own locks are POSIX record locks, and
// closing any descriptor of a file drops all those that the process holds on it. For the same
// reason nothing else in this process may open the file meanwhile.
class DatabaseFile final {
 public:
  // Opens the file at `path`, or makes an empty one (mode 0600), and locks it. Refuses, without
  // changing a byte of it, a file that is not an authurl database of a version we know, and one
  // that is in use. Errors are those of OpenSqliteBackend() in storage/sqlite/sqlite_backend.h.
  static absl::StatusOr<std::unique_ptr<DatabaseFile>> Open(const std::string& path);
  ~DatabaseFile();
  DatabaseFile(const DatabaseFile&) = delete;
  DatabaseFile& operator=(const DatabaseFile&) = delete;

  // The file itself, symbolic links resolved.
  const std::string& real_path() const { return real_path_; }
  // Remembers the write-ahead log, which must exist, for CheckInPlace().
  absl::Status RememberLog();
  // StorageUnavailable when the path no longer leads to the file, or its write-ahead log is not the
  // remembered one: what is written then is lost. Asks the system twice.
  absl::Status CheckInPlace();
  // The same for reads, which lose nothing: as it was found within the last tenth of a second,
  // where it was good.
  absl::Status CheckInPlaceLately();

 private:
  using FileId = std::pair<dev_t, ino_t>;

  DatabaseFile(std::string path, std::string real_path, int descriptor)
      : path_(std::move(path)), real_path_(std::move(real_path)), fd_(descriptor) {}
  static std::optional<FileId> Identify(const std::string& path);

  const std::string path_;
  const std::string real_path_;
  const std::string log_path_ = real_path_ + "-wal";
  int fd_;
  FileId id_{};
  std::optional<FileId> log_id_;
  // When it was last found in its place, in nanoseconds of the steady clock; 0: it was not.
  std::atomic<int64_t> found_in_place_at_ = 0;
  // Whether the process's list of open database files has this one.
  bool registered_ = false;
};

}  // namespace authurl
