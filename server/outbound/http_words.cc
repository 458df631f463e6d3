#include "server/outbound/http_words.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace authurl {

bool IsToken(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || absl::StrContains("!#$%&'*+-.^_`|~", static_cast<char>(c));
  });
}

bool IsAnyOf(absl::string_view text, std::initializer_list<absl::string_view> others) {
  return std::any_of(others.begin(), others.end(), [text](absl::string_view other) {
    return absl::EqualsIgnoreCase(text, other);
  });
}

}  // namespace authurl
