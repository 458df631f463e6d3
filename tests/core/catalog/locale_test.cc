#include "core/catalog/locale.h"

#include <gtest/gtest.h>

namespace authurl {
namespace {

using catalog::v1::Locale;

TEST(LocaleTest, IsWrittenAsTheNetworkWritesIt) {
  Locale locale;
  EXPECT_EQ(LocaleFor(locale, "pt-BR"), "pt-BR");
  EXPECT_EQ(LocaleFor(locale, "PT-br"), "pt-BR");
  EXPECT_EQ(LocaleFor(locale, "zh-hant-tw"), "zh-Hant-TW");
  EXPECT_EQ(LocaleFor(locale, "de"), "de");
  locale.set_style(Locale::STYLE_UNDERSCORE);
  EXPECT_EQ(LocaleFor(locale, "pt-BR"), "pt_BR");
  EXPECT_EQ(LocaleFor(locale, "de"), "de");
  locale.set_style(Locale::STYLE_LANGUAGE);
  EXPECT_EQ(LocaleFor(locale, "pt-BR"), "pt");
  locale.set_style(Locale::STYLE_LOWER_CASE);
  EXPECT_EQ(LocaleFor(locale, "pt-BR"), "pt-br");
}

TEST(LocaleTest, OfThoseThatTheNetworkKnowsTheNearestIsTaken) {
  Locale locale;
  for (const char* known : {"en", "cn", "pt-PT", "pt-BR"}) locale.add_known(known);
  EXPECT_EQ(LocaleFor(locale, "pt-br"), "pt-BR");
  EXPECT_EQ(LocaleFor(locale, "pt"), "pt-PT");
  EXPECT_EQ(LocaleFor(locale, "en-GB"), "en");
  EXPECT_EQ(LocaleFor(locale, "ja"), "");
}

TEST(LocaleTest, TheRegionIsNearerThanTheLanguage) {
  Locale locale;
  locale.set_style(Locale::STYLE_UNDERSCORE);
  for (const char* known : {"zh_CN", "zh_TW", "pt_PT"}) locale.add_known(known);
  EXPECT_EQ(LocaleFor(locale, "zh-Hant-TW"), "zh_TW");
  EXPECT_EQ(LocaleFor(locale, "zh-Hans-SG"), "zh_CN");
  EXPECT_EQ(LocaleFor(locale, "zh"), "zh_CN");
  EXPECT_EQ(LocaleFor(locale, "pt-TW"), "pt_PT");
}

}  // namespace
}  // namespace authurl
