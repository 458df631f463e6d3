#include "core/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace authurl {
namespace {

TEST(Utf8Test, TakesWhatRfc3629Takes) {
  for (const std::string text : {"", "a", "é", "€", "😀", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(IsUtf8(text)) << text;
  }
  // Overlong, surrogates, beyond Unicode, cut off, and bytes that begin nothing.
  for (const std::string text :
       {"\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xed\xa0\x80",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\xc3", "\x80", "\xff", "a\xffz"}) {
    EXPECT_FALSE(IsUtf8(text)) << text;
  }
}

TEST(Utf8Test, CleansWhatStrangersWrite) {
  EXPECT_EQ(CleanText("Jo\nExample\x01", 100), "Jo Example ");
  EXPECT_EQ(CleanText("a\xff€\xe2\x82", 100), "a?€??");
  EXPECT_EQ(CleanText("", 10), "");
  EXPECT_EQ(CleanText("a\xc2\x85z\xc2\xa0", 100), "a z\xc2\xa0");
}

TEST(Utf8Test, KnowsControlCharacters) {
  for (const absl::string_view text : {"a\nb", "\x7f", "\xc2\x80", "é\xc2\x9f"}) {
    EXPECT_TRUE(HasControlCharacters(text)) << text;
  }
  for (const absl::string_view text : {"", "a b", "\xc2\xa0", "\xc3\x80", "€\xc2"}) {
    EXPECT_FALSE(HasControlCharacters(text)) << text;
  }
}

TEST(Utf8Test, CutsBetweenCharacters) {
  EXPECT_EQ(CleanText("abcdef", 6), "abcdef");
  EXPECT_EQ(CleanText("abcdefg", 6), "abc…");
  EXPECT_EQ(CleanText("€€€", 9), "€€€");
  EXPECT_EQ(CleanText("€€€€", 9), "€€…");
  for (size_t bytes = 3; bytes < 40; ++bytes) {
    const std::string cut = CleanText("a€😀b€😀c€😀d€😀e€😀", bytes);
    EXPECT_LE(cut.size(), bytes);
    EXPECT_TRUE(IsUtf8(cut)) << cut;
  }
}

}  // namespace
}  // namespace authurl
