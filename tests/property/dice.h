// dice.h: random choices that depend on a seed alone, the same with every standard library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace authurl::testing {

inline constexpr absl::string_view kLowerAlphanumeric = "abcdefghijklmnopqrstuvwxyz0123456789";
inline constexpr absl::string_view kAlphanumeric =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
// With the space.
inline constexpr absl::string_view kPrintableAscii =
    " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`"
    "abcdefghijklmnopqrstuvwxyz{|}~";

class Dice final {
 public:
  explicit Dice(uint64_t seed) : generator_(seed) {}

  // 0 to n - 1. REQUIRES: n > 0.
  size_t Below(size_t n) { return generator_() % n; }
  bool OneIn(size_t n) { return Below(n) == 0; }
  // One of them.
  template <typename List>
  auto Of(const List& list) {
    return *(list.begin() + static_cast<std::ptrdiff_t>(Below(list.size())));
  }
  std::string Of(std::initializer_list<absl::string_view> list) {
    return std::string(*(list.begin() + Below(list.size())));
  }
  // `min` to `max` characters of the alphabet.
  std::string Text(size_t min, size_t max, absl::string_view alphabet) {
    std::string text;
    for (size_t left = min + Below(max - min + 1); left > 0; --left) text.push_back(Of(alphabet));
    return text;
  }
  void Shuffle(std::string& text) {
    for (size_t i = text.size(); i > 1; --i) std::swap(text[i - 1], text[Below(i)]);
  }

 private:
  std::mt19937_64 generator_;
};

}  // namespace authurl::testing
