// http_words.h: the words that HTTP messages are made of. Pure; safe to call from many threads at
// once.
#pragma once

#include <initializer_list>

#include "absl/strings/string_view.h"

namespace authurl {

// RFC 9110 section 5.6.2.
bool IsToken(absl::string_view text);

// Whether `text` is one of `others`, in whatever case.
bool IsAnyOf(absl::string_view text, std::initializer_list<absl::string_view> others);

}  // namespace authurl
