// percent_decode.h: the way back from core/uri.h's PercentEncode(), written apart from it.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "tests/fuzz/must.h"

namespace authurl::fuzz {

// Unreserved characters and %XX in upper case only.
inline std::string PercentDecode(absl::string_view text) {
  constexpr absl::string_view kUnreserved =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  constexpr absl::string_view kHex = "0123456789ABCDEF";
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      Must(kUnreserved.find(text[i]) != kUnreserved.npos, "only unreserved characters are raw");
      decoded.push_back(text[i]);
      continue;
    }
    Must(i + 2 < text.size() && kHex.find(text[i + 1]) != kHex.npos &&
             kHex.find(text[i + 2]) != kHex.npos,
         "% leads two upper-case hexadecimal digits");
    decoded.push_back(static_cast<char>(kHex.find(text[i + 1]) * 16 + kHex.find(text[i + 2])));
    i += 2;
  }
  return decoded;
}

}  // namespace authurl::fuzz
