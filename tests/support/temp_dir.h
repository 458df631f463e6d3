// temp_dir.h: a folder of a test's own, gone with the test.
#pragma once

#include <filesystem>
#include <string>

#include "absl/strings/string_view.h"

namespace authurl::testing {

class TempDir final {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  // The path of a file in it, which need not exist.
  std::string File(absl::string_view name) const;
  // Writes a file into it and returns the path.
  std::string Write(absl::string_view name, absl::string_view content,
                    std::filesystem::perms mode = std::filesystem::perms::owner_read |
                                                  std::filesystem::perms::owner_write) const;

 private:
  std::string path_;
};

// The whole content of a file; fails the test if it cannot be read.
std::string ReadFile(const std::string& path);

}  // namespace authurl::testing
