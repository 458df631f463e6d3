// pattern.h: the regular expressions of the catalog, RE2's syntax: linear time whatever the text.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace authurl {

// InvalidArgumentError unless `pattern` is an RE2 expression. The message continues a sentence that
// begins with the name of the field.
absl::Status CheckPattern(absl::string_view pattern);

// REQUIRES, both: CheckPattern(pattern) is OK. Safe to use from many threads at once. A pattern is
// compiled the first time it is asked for, and kept: for patterns of the catalog, of which there
// are few, not for texts that callers make up.
bool MatchesInFull(absl::string_view text, absl::string_view pattern);
bool MatchesSomewhere(absl::string_view text, absl::string_view pattern);

}  // namespace authurl
