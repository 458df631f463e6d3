// files.h: reading the small files that flags name.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace authurl {

// The whole content, at most 1 MiB. `what` names the file to the operator ("the key ring").
absl::StatusOr<std::string> ReadSmallFile(absl::string_view what, const std::string& path);

// The same for a file that nobody but its owner may read: refused when group or others have any
// right to it.
absl::StatusOr<std::string> ReadSecretFile(absl::string_view what, const std::string& path);

}  // namespace authurl
