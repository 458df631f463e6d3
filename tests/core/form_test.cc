#include "core/form.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace authurl {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::Pair;

TEST(FormTest, DecodesWhatFormsEncode) {
  EXPECT_EQ(FormDecoded("a+b%20c%2Bd"), "a b c+d");
  EXPECT_EQ(FormDecoded("%e2%82%AC"), "€");
  // Not two digits: it stands for itself.
  EXPECT_EQ(FormDecoded("100%"), "100%");
  EXPECT_EQ(FormDecoded("%4"), "%4");
  EXPECT_EQ(FormDecoded("%zz%41"), "%zzA");
  // Once only: a code that looks encoded is what the network made.
  EXPECT_EQ(FormDecoded("4%252F0"), "4%2F0");
}

TEST(FormTest, ReadsFieldsInTheirOrder) {
  EXPECT_THAT(ParseForm("b=2&a=1&a=&=x&c", 10),
              Optional(ElementsAre(Pair("b", "2"), Pair("a", "1"), Pair("a", ""), Pair("", "x"),
                                   Pair("c", ""))));
  EXPECT_THAT(ParseForm("", 10), Optional(IsEmpty()));
  EXPECT_THAT(ParseForm("&&", 10), Optional(IsEmpty()));
  EXPECT_THAT(ParseForm("a=b=c", 10), Optional(ElementsAre(Pair("a", "b=c"))));
}

TEST(FormTest, RefusesMoreFieldsThanItIsTold) {
  EXPECT_TRUE(ParseForm("a&b", 2).has_value());
  EXPECT_FALSE(ParseForm("a&b&c", 2).has_value());
}

TEST(FormTest, WritesWhatItReads) {
  std::string form;
  AppendFormField("a b", "1+2&3=4%", form);
  AppendFormField("€", "", form);
  EXPECT_EQ(form, "a%20b=1%2B2%263%3D4%25&%E2%82%AC=");
  EXPECT_THAT(ParseForm(form, 2), Optional(ElementsAre(Pair("a b", "1+2&3=4%"), Pair("€", ""))));
}

}  // namespace
}  // namespace authurl
