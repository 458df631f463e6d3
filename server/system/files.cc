#include "server/system/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "core/crypto/crypto.h"

namespace authurl {
namespace {

constexpr size_t kMaxBytes = 1024 * 1024;

absl::StatusOr<std::string> Read(absl::string_view what, const std::string& path, mode_t refused) {
  const auto failed = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat("cannot read ", what, " ", path, ": ", why));
  };
  // Nonblocking, so that a pipe in the file's place can't hang the start.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return failed(strerror(errno));
  const absl::Cleanup close_fd = [fd] { close(fd); };
  struct stat file = {};
  if (fstat(fd, &file) != 0) return failed(strerror(errno));
  if (!S_ISREG(file.st_mode)) return failed("it is not a regular file");
  if ((file.st_mode & refused) != 0) {
    return failed(absl::StrCat("others than its owner have rights to it; run: chmod 600 ", path));
  }
  // It may be a secret: no copies of it are left behind.
  std::string content;
  content.reserve(static_cast<size_t>(std::clamp<off_t>(file.st_size, 0, kMaxBytes)));
  std::string buffer(4096, '\0');
  const absl::Cleanup wipe_buffer = [&buffer] { Wipe(buffer); };
  ssize_t size = 0;
  while ((size = read(fd, buffer.data(), buffer.size())) > 0) {
    content.append(buffer, 0, static_cast<size_t>(size));
    if (content.size() > kMaxBytes) return failed("it is larger than 1 MiB");
  }
  if (size < 0) return failed(strerror(errno));
  return content;
}

}  // namespace

absl::StatusOr<std::string> ReadSmallFile(absl::string_view what, const std::string& path) {
  return Read(what, path, 0);
}

absl::StatusOr<std::string> ReadSecretFile(absl::string_view what, const std::string& path) {
  return Read(what, path, S_IRWXG | S_IRWXO);
}

}  // namespace authurl
