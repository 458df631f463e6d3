// version.h: which authurl this is. Programs alone link it (authurl_version) and hand it down: a
// new commit links them anew, and compiles one small file.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace authurl {

struct Version {
  std::string number;    // Of the release, such as "0.2.0": project() in CMakeLists.txt.
  std::string revision;  // Of the sources (core/revision.sh); empty where nobody knows it.
};

Version BuiltVersion();

// What --version prints: "authurl-server 0.2.0 (v0.2.0-3-g1a2b3c4d5e6f)" and a line's end.
std::string VersionLine(absl::string_view program);

}  // namespace authurl
