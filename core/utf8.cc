#include "core/utf8.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace authurl {
namespace {

// Whether it is one character, and that a control: the C1 controls are C2 80 to C2 9F, and no other
// character has these bytes in it.
bool IsControl(absl::string_view character) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() == 1) return absl::ascii_iscntrl(byte(0));
  return character.size() == 2 && byte(0) == 0xc2 && byte(1) >= 0x80 && byte(1) < 0xa0;
}

}  // namespace

size_t Utf8CharacterBytes(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  size_t length = 0;
  if (first >= 0xc2 && first <= 0xdf) length = 2;
  if (first >= 0xe0 && first <= 0xef) length = 3;
  if (first >= 0xf0 && first <= 0xf4) length = 4;
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const unsigned char second = byte(1);
  const bool is_overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool is_surrogate = first == 0xed && second > 0x9f;
  const bool is_beyond = first == 0xf4 && second > 0x8f;
  return is_overlong || is_surrogate || is_beyond ? 0 : length;
}

bool IsUtf8(absl::string_view text) {
  while (!text.empty()) {
    const size_t length = Utf8CharacterBytes(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

bool HasControlCharacters(absl::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (IsControl(text.substr(i, 1)) || IsControl(text.substr(i, 2))) return true;
  }
  return false;
}

std::string CleanText(absl::string_view text, size_t max_bytes) {
  constexpr absl::string_view kCut = "…";
  std::string clean;
  // Where it would be cut, should more come.
  size_t last_cut = 0;
  while (!text.empty()) {
    const size_t length = Utf8CharacterBytes(text);
    absl::string_view shown = text.substr(0, length);
    if (length == 0) shown = "?";
    if (IsControl(shown)) shown = " ";
    if (clean.size() + shown.size() > max_bytes) {
      return absl::StrCat(clean.substr(0, last_cut), kCut);
    }
    absl::StrAppend(&clean, shown);
    if (clean.size() + kCut.size() <= max_bytes) last_cut = clean.size();
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return clean;
}

}  // namespace authurl
