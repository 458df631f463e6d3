// keygen.cc: makes and rotates the files that hold authurl's secrets.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/api_key.h"
#include "core/crypto/crypto.h"
#include "core/crypto/key_ring.h"
#include "core/version.h"

namespace authurl {
namespace {

constexpr absl::string_view kUsage =
    R"(usage: authurl-keygen key-ring FILE   makes a key ring for the server's --key_ring_file
       authurl-keygen rotate FILE     puts a new key first in a key ring; the old keys still open
       authurl-keygen retire FILE     leaves the first key of a key ring alone: once the server has logged "resealed", and
                                      a day has passed
       authurl-keygen api-key FILE    makes an API key for the server's --admin_key_file
       authurl-keygen init FOLDER     makes authurl-key-ring and authurl-admin-key there, where they are missing
       authurl-keygen --version

Files are made with mode 0600. key-ring, api-key and init never overwrite a file.
)";

absl::Status FileError(absl::string_view what, absl::string_view path) {
  return absl::UnknownError(absl::StrCat("can't ", what, " ", path, ": ", std::strerror(errno)));
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// A file that is written beside `path` and then takes its place in one step, so that nobody ever
// sees half a secret. It carries a fixed name, so that it is also the lock that keeps two rotations
// of one file apart.
class NewFile final {
 public:
  static absl::StatusOr<NewFile> Create(const std::string& path) {
    NewFile file(path);
    file.fd_ = open(file.temp_path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file.fd_ >= 0) return file;
    if (errno != EEXIST) return FileError("make", file.temp_path_);
    return absl::AlreadyExistsError(
        absl::StrCat(file.temp_path_, " exists: another authurl-keygen is at work on ", path,
                     ", or one was stopped half-way. If none is running, delete it and try again"));
  }
  ~NewFile() {
    if (fd_ < 0) return;
    close(fd_);
    unlink(temp_path_.c_str());
  }
  NewFile(NewFile&& other) noexcept
      : path_(std::move(other.path_)),
        temp_path_(std::move(other.temp_path_)),
        fd_(std::exchange(other.fd_, -1)) {}
  NewFile& operator=(NewFile&&) = delete;
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  absl::Status Write(absl::string_view text) {
    while (!text.empty()) {
      const ssize_t written = write(fd_, text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return FileError("write", temp_path_);
      text.remove_prefix(static_cast<size_t>(written));
    }
    return fsync(fd_) == 0 ? absl::OkStatus() : FileError("write", temp_path_);
  }

  // Gives it the owner of the file that it is to replace: the server's user must still be able to
  // read it.
  absl::Status TakeOwnerOf(const struct stat& old_file) {
    if (fchown(fd_, old_file.st_uid, old_file.st_gid) == 0) return absl::OkStatus();
    return FileError("keep the owner of", path_);
  }

  absl::Status MoveIntoPlace() {
    if (rename(temp_path_.c_str(), path_.c_str()) != 0) return FileError("replace", path_);
    close(std::exchange(fd_, -1));
    return SyncFolder();
  }

  // As MoveIntoPlace, but fails if `path` exists.
  absl::Status LinkIntoPlace() {
    if (link(temp_path_.c_str(), path_.c_str()) == 0) return SyncFolder();
    if (errno != EEXIST) return FileError("make", path_);
    return absl::AlreadyExistsError(
        absl::StrCat(path_, " exists already and is left as it was: name another file"));
  }

 private:
  explicit NewFile(const std::string& path) : path_(path), temp_path_(path + ".new") {}

  absl::Status SyncFolder() const {
    const int folder = open(FolderOf(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return FileError("open the folder of", path_);
    absl::Status status;
    if (fsync(folder) != 0) status = FileError("sync the folder of", path_);
    close(folder);
    return status;
  }

  std::string path_;
  std::string temp_path_;
  int fd_ = -1;
};

// Writes a secret into a file that must not exist yet, and wipes it.
absl::Status WriteNewFile(const std::string& path, std::string text) {
  absl::StatusOr<NewFile> file = NewFile::Create(path);
  absl::Status status = file.status();
  if (status.ok()) status = file->Write(text);
  if (status.ok()) status = file->LinkIntoPlace();
  Wipe(text);
  return status;
}

absl::Status MakeKeyRing(const std::string& path) {
  absl::Status status = WriteNewFile(path, NewKeyRingText(FillRandom));
  if (status.ok()) {
    std::cout << "made the key ring " << path
              << "; keep a copy in a safe place: without it the database can't be read\n";
  }
  return status;
}

absl::Status MakeApiKey(const std::string& path) {
  std::string key = NewApiKey(FillRandom);
  const std::optional<ParsedApiKey> parsed = ParseApiKey(key);
  absl::Status status = WriteNewFile(path, absl::StrCat(key, "\n"));
  Wipe(key);
  if (status.ok()) std::cout << "made the API key " << parsed->key_id << " in " << path << "\n";
  return status;
}

// Puts what `change` makes of a key ring in its place, and tells `what` there is now.
absl::Status ChangeKeyRing(
    const std::string& given_path,
    const std::function<absl::StatusOr<std::string>(absl::string_view)>& change,
    absl::string_view what) {
  // The file itself and not a link to it is what gets replaced.
  char* const real_path = realpath(given_path.c_str(), nullptr);
  if (real_path == nullptr) return FileError("find", given_path);
  const std::string path = real_path;
  free(real_path);

  // Before the old text is read: see NewFile.
  absl::StatusOr<NewFile> file = NewFile::Create(path);
  if (!file.ok()) return file.status();
  struct stat old_file;
  std::ifstream in(path, std::ios::binary);
  if (!in || stat(path.c_str(), &old_file) != 0) return FileError("read", path);
  std::string old_text{std::istreambuf_iterator<char>(in), {}};
  absl::StatusOr<std::string> text = change(old_text);
  Wipe(old_text);
  if (!text.ok())
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", text.status().message()));

  const absl::StatusOr<KeyRing> ring = KeyRing::Parse(*text);
  absl::Status status = ring.status();
  if (status.ok()) status = file->TakeOwnerOf(old_file);
  if (status.ok()) status = file->Write(*text);
  Wipe(*text);
  if (status.ok()) status = file->MoveIntoPlace();
  if (status.ok()) {
    std::cout << "key " << int{ring->primary_id()} << " is now " << what << " in " << path
              << "; keep a copy of the file, then restart the server\n";
  }
  return status;
}

absl::Status RotateKeyRing(const std::string& path) {
  return ChangeKeyRing(
      path, [](absl::string_view text) { return RotatedKeyRingText(text, FillRandom); }, "first");
}

// For a container whose secrets are on a volume of its own: it may be run before each start.
absl::Status MakeWhatIsMissing(const std::string& folder) {
  absl::Status status;
  const auto make = [&](absl::string_view name, absl::Status (*make_file)(const std::string&)) {
    const std::string path = absl::StrCat(folder, "/", name);
    struct stat there;
    if (status.ok() && stat(path.c_str(), &there) != 0) status = make_file(path);
  };
  make("authurl-key-ring", MakeKeyRing);
  make("authurl-admin-key", MakeApiKey);
  return status;
}

absl::Status Run(absl::string_view command, const std::string& path) {
  if (command == "init") return MakeWhatIsMissing(path);
  if (command == "retire") return ChangeKeyRing(path, FirstKeyText, "the only one");
  if (command == "key-ring") return MakeKeyRing(path);
  if (command == "rotate") return RotateKeyRing(path);
  return MakeApiKey(path);
}

}  // namespace
}  // namespace authurl

int main(int argc, char** argv) {
  const absl::string_view only = argc == 2 ? argv[1] : "";
  if (only == "--help" || only == "--version") {
    std::cout << (only == "--help" ? std::string(authurl::kUsage)
                                   : authurl::VersionLine("authurl-keygen"));
    return 0;
  }
  const absl::string_view command = argc == 3 ? argv[1] : "";
  constexpr std::array<absl::string_view, 5> kCommands = {"key-ring", "rotate", "retire", "api-key",
                                                          "init"};
  if (std::find(kCommands.begin(), kCommands.end(), command) == kCommands.end()) {
    std::cerr << authurl::kUsage;
    return 2;
  }
  absl::Status status = authurl::InitCrypto();
  if (status.ok()) status = authurl::Run(command, argv[2]);
  if (status.ok()) return 0;
  std::cerr << "authurl-keygen: " << status.message() << "\n";
  return 1;
}
