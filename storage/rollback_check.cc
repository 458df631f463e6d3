#include "storage/rollback_check.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "storage/tables.h"

namespace authurl {
namespace {

constexpr absl::string_view kRollbackCheckName = "rollback_check";
constexpr absl::string_view kRollbackCheckContext = "authurl rollback check";

absl::Status CannotUse(const std::string& file, absl::string_view why) {
  return absl::UnavailableError(absl::StrCat("cannot use the file ", file, ": ", why));
}

absl::Status Failed(const std::string& file) { return CannotUse(file, std::strerror(errno)); }

bool Parse(absl::string_view text, std::string& id, int64_t& number) {
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(text, ' ');
  id = std::string(parts.first);
  return id.size() == 32 && absl::SimpleAtoi(parts.second, &number) && number > 0;
}

// Its name stands for the new content or for the old one, whenever the machine stops.
absl::Status Replace(const std::string& file, const std::string& content) {
  const std::string next = absl::StrCat(file, ".new");
  const int fd = open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Failed(file);
  const bool written =
      write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size()) &&
      fsync(fd) == 0;
  const int error = errno;
  close(fd);
  if (!written) return CannotUse(file, std::strerror(error));
  if (std::rename(next.c_str(), file.c_str()) != 0) return Failed(file);
  const std::string folder = std::filesystem::path(file).parent_path().string();
  const int folder_fd =
      open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_fd < 0) return Failed(file);
  const bool synced = fsync(folder_fd) == 0;
  close(folder_fd);
  return synced ? absl::OkStatus() : Failed(file);
}

}  // namespace

absl::StatusOr<RollbackCheck::Found> RollbackCheck::Start(
    absl::FunctionRef<absl::Status()> when_older) {
  absl::StatusOr<Mark> in_database = InDatabase();
  if (!in_database.ok()) return in_database.status();
  absl::StatusOr<Mark> in_file = InFile();
  if (!in_file.ok()) return in_file.status();
  if (in_database->database_id.empty()) {
    const auto keys =
        backend_.List(CallContext::Background(), kApiKeys, std::nullopt, "", {.rows = 1}, 0);
    if (!keys.ok()) return keys.status();
    // One that is not new but has no mark was made before there were marks, or somebody took it.
    if (keys->rows.empty()) in_file->number = 0;
    std::array<uint8_t, 16> id;
    random_(id);
    in_database->database_id = HexEncode(AsChars(id));
  } else if (in_file->database_id != in_database->database_id) {
    in_file->number = 0;
  }
  const Found found = {in_database->number, in_file->number};
  if (found.is_older()) {
    if (const absl::Status status = when_older(); !status.ok()) return status;
  }
  last_ = {in_database->database_id, std::max(in_database->number, in_file->number)};
  if (const absl::Status status = Advance(); !status.ok()) return status;
  return found;
}

absl::Status RollbackCheck::Advance() {
  const int64_t number = last_.number + 1;
  const std::string text = absl::StrCat(last_.database_id, " ", number);
  // The database first: a file that is ahead of it means an older copy.
  absl::Status status = backend_.PutMeta(
      kRollbackCheckName,
      sealer_.Seal(Purpose::kKeyRingCheck, NewNonce(random_), text, kRollbackCheckContext));
  if (status.ok()) status = Replace(file_, absl::StrCat(text, "\n"));
  if (status.ok()) last_.number = number;
  return status;
}

absl::StatusOr<RollbackCheck::Mark> RollbackCheck::InDatabase() const {
  const absl::StatusOr<std::optional<std::string>> stored = backend_.GetMeta(kRollbackCheckName);
  if (!stored.ok()) return stored.status();
  if (!*stored) return Mark{};
  const absl::StatusOr<std::string> opened =
      sealer_.Open(Purpose::kKeyRingCheck, **stored, kRollbackCheckContext);
  // One that was damaged, or is under a key that has left the ring, says nothing.
  Mark mark;
  if (!opened.ok() || !Parse(*opened, mark.database_id, mark.number)) return Mark{};
  return mark;
}

absl::StatusOr<RollbackCheck::Mark> RollbackCheck::InFile() const {
  const int fd = open(file_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return errno == ENOENT ? absl::StatusOr<Mark>(Mark{}) : Failed(file_);
  char content[128];
  const ssize_t size = read(fd, content, sizeof(content));
  const int error = errno;
  close(fd);
  if (size < 0) return CannotUse(file_, std::strerror(error));
  absl::string_view text(content, static_cast<size_t>(size));
  Mark mark;
  if (!absl::ConsumeSuffix(&text, "\n") || !Parse(text, mark.database_id, mark.number)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the file ", file_, " is damaged, or is another file: delete it, or name another one"));
  }
  return mark;
}

}  // namespace authurl
