// utf8.h: texts of strangers, checked to be UTF-8 (RFC 3629).
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace authurl {

// The bytes of the character that `text`, which is not empty, begins with; 0 where it is none:
// overlong forms, surrogates and what is beyond Unicode are none.
size_t Utf8CharacterBytes(absl::string_view text);
bool IsUtf8(absl::string_view text);

// U+0000 to U+001F and U+007F to U+009F in what is UTF-8.
bool HasControlCharacters(absl::string_view text);

// As it may be shown and kept: what is no UTF-8 becomes "?", control characters spaces; cut, with
// "…" at its end, where it would be longer than `max_bytes`.
std::string CleanText(absl::string_view text, size_t max_bytes);

}  // namespace authurl
