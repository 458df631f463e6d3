// small_disk.h: a file system of a few MiB of its own, to be filled.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "tests/support/temp_dir.h"

namespace authurl::testing {

// Only this thread sees it, and the processes that it starts. Gone with the object.
class SmallDisk final {
 public:
  SmallDisk() = default;
  ~SmallDisk();
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  // PermissionDeniedError where this process may not mount anything.
  absl::Status Mount(int64_t bytes);
  std::string File(absl::string_view name) const { return folder_.File(name); }
  // How many bytes are free.
  int64_t Free() const;
  // Leaves about so many free, by a file that grows or shrinks.
  void Fill(int64_t leave);

 private:
  const TempDir folder_;
  bool mounted_ = false;
  int64_t filled_ = 0;
};

}  // namespace authurl::testing
