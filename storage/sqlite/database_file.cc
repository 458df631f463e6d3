#include "storage/sqlite/database_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <set>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/errors.h"
#include "storage/sqlite/migrations.h"

namespace authurl {
namespace {

// https://www.sqlite.org/fileformat.html, section 1.3.
constexpr size_t kHeaderBytes = 100;
constexpr absl::string_view kMagic("SQLite format 3\0", 16);
constexpr size_t kUserVersionOffset = 60;
constexpr size_t kApplicationIdOffset = 68;
constexpr mode_t kOwnerOnly = 0600;

// The database files that this process has open. A second descriptor of one must not even be
// opened: closing it would drop the locks of the first one's connections.
struct OpenFiles {
  std::mutex mutex;
  std::set<std::pair<dev_t, ino_t>> ids;
};

OpenFiles& Opened() {
  static OpenFiles& files = *new OpenFiles;
  return files;
}

std::string ErrorText(int error) { return std::system_category().message(error); }

absl::Status InUse(const std::string& path) {
  return absl::FailedPreconditionError(absl::StrCat(
      "the database ", path,
      " is in use by another process, and only one may have it open; stop that process or name "
      "another file"));
}

absl::Status NotOurs(const std::string& path, absl::string_view what) {
  return absl::FailedPreconditionError(
      absl::StrCat(path, " ", what, " and was left as it is; name another file"));
}

absl::Status CannotOpen(const std::string& path, int error) {
  if (error == ENOENT || error == ENOTDIR) {
    return absl::UnavailableError(absl::StrCat("cannot open the database ", path,
                                               ": its folder does not exist; make it first"));
  }
  return absl::UnavailableError(absl::StrCat("cannot open the database ", path,
                                             " for reading and writing: ", ErrorText(error),
                                             "; check the permissions of the file and its folder"));
}

// SQLite makes the write-ahead log beside the database.
absl::Status CheckFolder(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  if (faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) == 0) return absl::OkStatus();
  if (errno == ENOENT || errno == ENOTDIR) return CannotOpen(path, errno);
  return absl::UnavailableError(
      absl::StrCat("cannot write to the folder of the database ", path, ": ", ErrorText(errno),
                   "; let the server write there, or name a file in another folder"));
}

int32_t BigEndian(const uint8_t* bytes) {
  return static_cast<int32_t>(static_cast<uint32_t>(bytes[0]) << 24 |
                              static_cast<uint32_t>(bytes[1]) << 16 |
                              static_cast<uint32_t>(bytes[2]) << 8 | bytes[3]);
}

// Decides from the bytes of the file alone, before SQLite may recover, convert or create anything.
absl::Status CheckHeader(const std::string& path, int fd) {
  std::array<uint8_t, kHeaderBytes> header;
  const ssize_t size = pread(fd, header.data(), header.size(), 0);
  if (size < 0) return CannotOpen(path, errno);
  struct stat log;
  if (size == 0 && stat(absl::StrCat(path, "-wal").c_str(), &log) == 0 && log.st_size > 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("the database ", path, " is empty but its write-ahead log ", path,
                     "-wal is not; restore the database, or move the log away to start a new one"));
  }
  if (size == 0) return absl::OkStatus();
  const absl::string_view text(reinterpret_cast<const char*>(header.data()),
                               static_cast<size_t>(size));
  if (text.size() < kHeaderBytes || !absl::StartsWith(text, kMagic)) {
    return NotOurs(path, "is not an SQLite database");
  }
  if (BigEndian(&header[kApplicationIdOffset]) != kApplicationId) {
    return NotOurs(path, "is an SQLite database, but not one of authurl,");
  }
  const int version = BigEndian(&header[kUserVersionOffset]);
  if (version < 1) return NotOurs(path, "has no valid authurl schema version");
  if (version > LatestSchemaVersion()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the database ", path, " was made by a newer authurl (schema ", version,
                     "; this one knows ", LatestSchemaVersion(),
                     ") and was left as it is; run that version or a newer one"));
  }
  return absl::OkStatus();
}

int64_t SteadyNanoseconds() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

std::optional<DatabaseFile::FileId> DatabaseFile::Identify(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return std::nullopt;
  return FileId(info.st_dev, info.st_ino);
}

absl::StatusOr<std::unique_ptr<DatabaseFile>> DatabaseFile::Open(const std::string& given_path) {
  std::error_code error;
  // Absolute, so that it stays right when the working directory changes and is never taken for a
  // "file:" URI.
  const std::string path = std::filesystem::absolute(given_path, error).string();
  if (error) return CannotOpen(given_path, error.value());
  const std::string real_path = std::filesystem::weakly_canonical(path, error).string();
  if (error) return CannotOpen(path, error.value());
  if (const absl::Status status = CheckFolder(real_path); !status.ok()) return status;

  const std::lock_guard lock(Opened().mutex);
  struct stat before;
  if (stat(path.c_str(), &before) == 0) {
    if (!S_ISREG(before.st_mode)) return NotOurs(path, "is not a regular file");
    if (Opened().ids.contains(FileId(before.st_dev, before.st_ino))) return InUse(path);
  }
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kOwnerOnly);
  // The folder is there, so a file that "does not exist" is one that can't be made (as in /proc).
  if (fd < 0) return CannotOpen(path, errno == ENOENT ? EACCES : errno);
  std::unique_ptr<DatabaseFile> file(new DatabaseFile(path, real_path, fd));

  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return errno == EWOULDBLOCK ? InUse(path) : CannotOpen(path, errno);
  }
  struct stat info;
  if (fstat(fd, &info) != 0) return CannotOpen(path, errno);
  file->id_ = FileId(info.st_dev, info.st_ino);
  if (const absl::Status status = file->CheckInPlace(); !status.ok()) return status;
  if (const absl::Status status = CheckHeader(real_path, fd); !status.ok()) return status;
  Opened().ids.insert(file->id_);
  file->registered_ = true;
  return file;
}

DatabaseFile::~DatabaseFile() {
  if (!registered_) {
    close(fd_);
    return;
  }
  const std::lock_guard lock(Opened().mutex);
  close(fd_);
  Opened().ids.erase(id_);
}

absl::Status DatabaseFile::RememberLog() {
  log_id_ = Identify(log_path_);
  if (!log_id_) return StorageUnavailable("there is no write-ahead log");
  return absl::OkStatus();
}

absl::Status DatabaseFile::CheckInPlace() {
  const int64_t now = SteadyNanoseconds();
  found_in_place_at_.store(0, std::memory_order_relaxed);
  if (Identify(path_) != id_) {
    return StorageUnavailable("the database file was removed or replaced");
  }
  if (log_id_ && Identify(log_path_) != log_id_) {
    return StorageUnavailable("the database's write-ahead log was removed or replaced");
  }
  found_in_place_at_.store(now, std::memory_order_relaxed);
  return absl::OkStatus();
}

absl::Status DatabaseFile::CheckInPlaceLately() {
  constexpr int64_t kLately = 100'000'000;
  const int64_t found_at = found_in_place_at_.load(std::memory_order_relaxed);
  if (found_at != 0 && SteadyNanoseconds() - found_at < kLately) return absl::OkStatus();
  return CheckInPlace();
}

}  // namespace authurl
