#include "core/catalog/text_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

std::optional<std::string> ValueOf(absl::string_view name) {
  static const std::map<std::string, std::string, std::less<>> values = {
      {"code", "a/b c"}, {"parent", "accounts/12"}, {"query", "x?y"}, {"empty", ""}};
  const auto found = values.find(name);
  if (found == values.end()) return std::nullopt;
  return found->second;
}

TEST(TextTemplateTest, NamesAreReplaced) {
  EXPECT_THAT(ExpandTemplate("no names", ValueOf), Optional(std::string("no names")));
  EXPECT_THAT(ExpandTemplate("{code}|{parent}{empty}", ValueOf),
              Optional(std::string("a/b c|accounts/12")));
  EXPECT_EQ(ExpandTemplate("{code} {missing}", ValueOf), std::nullopt);
}

TEST(TextTemplateTest, InUrlsValuesAreEncodedUnlessTheyAreAPath) {
  EXPECT_THAT(ExpandUrlTemplate("https://a.example/{code}?p={parent}", ValueOf),
              Optional(std::string("https://a.example/a%2Fb%20c?p=accounts%2F12")));
  EXPECT_THAT(ExpandUrlTemplate("https://a.example/{+parent}/x", ValueOf),
              Optional(std::string("https://a.example/accounts/12/x")));
  // What ends a path is no path.
  EXPECT_EQ(ExpandUrlTemplate("https://a.example/{+query}", ValueOf), std::nullopt);
  EXPECT_EQ(ExpandUrlTemplate("https://a.example/{+code}", ValueOf), std::nullopt);
}

TEST(TextTemplateTest, BracesMustPair) {
  EXPECT_OK(ParseTemplate("a{b}c{+d}"));
  for (const char* text : {"{", "}", "a{b", "a}b", "{}", "{a{b}}", "{a}}"}) {
    EXPECT_FALSE(ParseTemplate(text).ok()) << text;
    EXPECT_EQ(ExpandTemplate(text, ValueOf), std::nullopt) << text;
  }
}

TEST(SelectorTest, IsAPointerOrATextWithPointers) {
  ASSERT_OK_AND_ASSIGN(const auto pointer, ParseSelector("/a/0/b~1c"));
  ASSERT_EQ(pointer.size(), 1u);
  EXPECT_TRUE(pointer[0].is_pointer);
  EXPECT_EQ(pointer[0].text, "/a/0/b~1c");
  EXPECT_EQ(pointer[0].root, SelectorRoot::kAnswer);

  ASSERT_OK_AND_ASSIGN(const auto text, ParseSelector("{/first} and {id_token:/last|html}."));
  ASSERT_EQ(text.size(), 4u);
  EXPECT_EQ(text[1].text, " and ");
  EXPECT_FALSE(text[1].is_pointer);
  EXPECT_EQ(text[2].root, SelectorRoot::kIdToken);
  EXPECT_EQ(text[2].filter, SelectorFilter::kHtml);
  EXPECT_EQ(text[2].text, "/last");

  ASSERT_OK_AND_ASSIGN(const auto whole, ParseSelector("token:/a|last_segment"));
  EXPECT_EQ(whole[0].root, SelectorRoot::kToken);
  EXPECT_EQ(whole[0].filter, SelectorFilter::kLastSegment);
}

TEST(SelectorTest, RefusesWhatIsNeither) {
  for (const char* text :
       {"", "a", "a/b", "other:/a", "/a|unknown", "/a~2", "/a~", "{a}", "{/a", "{/a}{}"}) {
    EXPECT_FALSE(ParseSelector(text).ok()) << text;
  }
  EXPECT_THAT(ParseSelector("data.id").status().message(), HasSubstr("JSON pointer"));
}

}  // namespace
}  // namespace authurl::testing
