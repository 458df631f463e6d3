#include "core/flow/answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace authurl {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;

SelectorList List(const std::vector<std::string>& selectors) {
  SelectorList list;
  for (const std::string& selector : selectors) *list.Add() = selector;
  return list;
}

std::optional<std::string> FindIn(absl::string_view body, absl::string_view pointer) {
  const std::optional<Answer> answer = Answer::Parse(body);
  return answer ? answer->Find(pointer) : std::nullopt;
}

TEST(AnswerTest, NumbersKeepEveryDigit) {
  const std::string body = R"({"id": 17841400000000001, "max": 18446744073709551615,
      "more": 123456789012345678901234567890, "less": -9007199254740993, "half": 1.50, "e": 1e3})";
  EXPECT_EQ(FindIn(body, "/id"), "17841400000000001");
  EXPECT_EQ(FindIn(body, "/max"), "18446744073709551615");
  EXPECT_EQ(FindIn(body, "/more"), "123456789012345678901234567890");
  EXPECT_EQ(FindIn(body, "/less"), "-9007199254740993");
  EXPECT_EQ(FindIn(body, "/half"), "1.50");
  EXPECT_EQ(FindIn(body, "/e"), "1e3");
}

TEST(AnswerTest, PointersAreThoseOfRfc6901AndTheLastElement) {
  // The examples of RFC 6901 section 5, with texts in place of numbers.
  const std::string body = R"({"foo": ["bar", "baz"], "": "e", "a/b": "1", "c%d": "2", "m~n": "8",
      " ": "7", "sizes": [{"url": "s"}, {"url": "l"}], "none": []})";
  EXPECT_EQ(FindIn(body, "/foo/0"), "bar");
  EXPECT_EQ(FindIn(body, "/"), "e");
  EXPECT_EQ(FindIn(body, "/a~1b"), "1");
  EXPECT_EQ(FindIn(body, "/c%d"), "2");
  EXPECT_EQ(FindIn(body, "/m~0n"), "8");
  EXPECT_EQ(FindIn(body, "/ "), "7");
  EXPECT_EQ(FindIn(body, "/foo/-"), "baz");
  EXPECT_EQ(FindIn(body, "/sizes/-/url"), "l");
  for (const char* pointer : {"", "/foo", "/foo/2", "/foo/x", "/foo/0/x", "/none/-", "/none/0",
                              "/nothing", "foo", "/foo/-1", "/foo/99999999999999999999"}) {
    EXPECT_EQ(FindIn(body, pointer), std::nullopt) << pointer;
  }
}

TEST(AnswerTest, NullAndWhatIsEmptyAreNothing) {
  const std::string body = R"({"a": null, "b": "", "c": {}, "d": false, "e": true, "f": 0})";
  for (const char* pointer : {"/a", "/b", "/c"}) {
    EXPECT_EQ(FindIn(body, pointer), std::nullopt) << pointer;
  }
  EXPECT_EQ(FindIn(body, "/d"), "false");
  EXPECT_EQ(FindIn(body, "/e"), "true");
  EXPECT_EQ(FindIn(body, "/f"), "0");
}

TEST(AnswerTest, AFormIsReadWhereItIsNoJson) {
  EXPECT_EQ(FindIn("access_token=gho%5F1&scope=a%2Cb+c", "/access_token"), "gho_1");
  EXPECT_EQ(FindIn("access_token=gho%5F1&scope=a%2Cb+c", "/scope"), "a,b c");
  EXPECT_FALSE(Answer::ParseJson("a=b").has_value());
  for (const char* body :
       {"", "Sorry", "{", "[1,]", "\xff", "{\"a\":1}x", R"({"data":[{"p":"https://x/?a=b")",
        R"(<html lang="en">Maintenance</html>)", "Sorry = no", "a=%FF", "a=\xff", "a=1&b"}) {
    EXPECT_FALSE(Answer::Parse(body).has_value()) << body;
  }
}

TEST(AnswerTest, IsBoundedInBytesDepthAndValues) {
  const std::string text(kMaxAnswerBytes - 10, 'x');
  EXPECT_TRUE(Answer::Parse(absl::StrCat("{\"a\":\"", text, "\"}")).has_value());
  EXPECT_FALSE(Answer::Parse(absl::StrCat("{\"a\":\"", text, "xxxxx\"}")).has_value());
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(Answer::Parse(nested(kMaxAnswerDepth)).has_value());
  EXPECT_FALSE(Answer::Parse(nested(kMaxAnswerDepth + 1)).has_value());
  EXPECT_FALSE(Answer::Parse(nested(500'000)).has_value());
  // The array is a value, too.
  const auto zeros = [](int count) {
    std::string list = "[0";
    for (int i = 1; i < count; ++i) absl::StrAppend(&list, ",0");
    return absl::StrCat(list, "]");
  };
  EXPECT_TRUE(Answer::Parse(zeros(kMaxAnswerValues - 1)).has_value());
  EXPECT_FALSE(Answer::Parse(zeros(kMaxAnswerValues)).has_value());
}

TEST(AnswerTest, WhatIsNotUtf8IsNoJson) {
  EXPECT_FALSE(Answer::ParseJson("{\"a\":\"\xff\"}").has_value());
  EXPECT_FALSE(Answer::ParseJson("{\"a\":\"\xed\xa0\x80\"}").has_value());
}

TEST(AnswerTest, OfANameTheLastCounts) { EXPECT_EQ(FindIn(R"({"a":1,"a":2})", "/a"), "2"); }

TEST(AnswerTest, ListsAreTakenApart) {
  const std::optional<Answer> answer =
      Answer::Parse(R"({"data": [{"id": 1}, {"id": 2}], "one": {"id": 3}, "t": ["a", null, "b"],
                        "text": "a"})");
  ASSERT_TRUE(answer.has_value());
  const auto elements = answer->Elements("/data");
  ASSERT_TRUE(elements.has_value());
  ASSERT_EQ(elements->size(), 2u);
  EXPECT_EQ((*elements)[1].Find("/id"), "2");
  ASSERT_TRUE(answer->Elements("/one").has_value());
  EXPECT_EQ(answer->Elements("/one")->front().Find("/id"), "3");
  EXPECT_EQ(answer->Elements("")->size(), 1u);
  EXPECT_FALSE(answer->Elements("/text").has_value());
  EXPECT_FALSE(answer->Elements("/nothing").has_value());
  EXPECT_THAT(answer->FindAll("/t"), ElementsAre("a", "b"));
  EXPECT_THAT(answer->FindAll("/text"), ElementsAre("a"));
  EXPECT_THAT(answer->FindAll("/data"), IsEmpty());
}

TEST(AnswerTest, SelectorsLookWhereTheySay) {
  const std::optional<Answer> own = Answer::Parse(
      R"({"first": "Jo", "last": "Example", "uri": "/users/12", "icon": "a?b&amp;c"})");
  const std::optional<Answer> token = Answer::Parse(R"({"open_id": "7"})");
  const Answer callback = Answer::OfParameters(
      {{"user", R"({"name":{"firstName":"Ann"}})"}, {"device_id", "d"}, {"broken", "{"}});
  const Sources sources = {.answer = &*own, .token = &*token, .callback = &callback};
  EXPECT_EQ(Select("{/first} {/last}", sources), "Jo Example");
  EXPECT_EQ(Select("{/first} {/middle}", sources), std::nullopt);
  EXPECT_EQ(Select("/uri|last_segment", sources), "12");
  EXPECT_EQ(Select("/icon|html", sources), "a?b&c");
  EXPECT_EQ(Select("token:/open_id", sources), "7");
  EXPECT_EQ(Select("callback:/user/name/firstName", sources), "Ann");
  EXPECT_EQ(Select("callback:/broken", sources), "{");
  EXPECT_EQ(Select("parent:/x", sources), std::nullopt);
  EXPECT_EQ(Select(List({"/nickname", "{/first} {/middle}", "/first"}), sources), "Jo");
  EXPECT_EQ(Select(List({}), sources), std::nullopt);
  EXPECT_THAT(SelectAll(List({"/nothing", "/first"}), sources), ElementsAre("Jo"));
}

}  // namespace
}  // namespace authurl
