// What no vector shows: what strangers write into their profiles.

#include "core/flow/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/catalog/network_catalog.h"
#include "core/errors.h"
#include "tests/support/catalog_text.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::EndsWith;
using ::testing::SizeIs;

class ProfileTest : public ::testing::Test {
 protected:
  absl::StatusOr<ProfileData> Parse(absl::string_view body, absl::string_view subject = "",
                                    int status = 200) {
    return ParseProfile(*catalog_.Find("full"), {.status = status, .body = body}, {}, subject, {});
  }

  const NetworkCatalog catalog_ =
      NetworkCatalog::Parse(FullEntryWith(R"(username: "/login")",
                                          R"(id: "/id" username: "/login" display_name: "/name"
                           avatar_url: "/picture"
                           not_an_account { where: "/kind" equals: "bot" why: "A bot" })"))
          .value();
};

TEST_F(ProfileTest, TheIdIsTheProfilesElseTheTokenAnswers) {
  EXPECT_EQ(Parse(R"({"id": 9007199254740993})")->id, "9007199254740993");
  EXPECT_EQ(Parse("{}", "subject-1")->id, "subject-1");
  EXPECT_THAT(Parse("{}"), HasReason("NETWORK_ANSWER_INVALID"));
}

TEST_F(ProfileTest, AnIdThatCannotBeOneIsRefusedRatherThanCut) {
  EXPECT_OK(Parse(absl::StrCat(R"({"id": ")", std::string(256, '1'), "\"}")).status());
  EXPECT_THAT(Parse(absl::StrCat(R"({"id": ")", std::string(257, '1'), "\"}")),
              HasReason("NETWORK_ANSWER_INVALID"));
  EXPECT_THAT(Parse(R"({"id": "1\r\n2"})"), HasReason("NETWORK_ANSWER_INVALID"));
  EXPECT_THAT(Parse(R"({"id": "1\u0085"})"), HasReason("NETWORK_ANSWER_INVALID"));
  EXPECT_THAT(Parse(R"({"id": {"id": 1}})"), HasReason("NETWORK_ANSWER_INVALID"));
}

// OpenID Connect Core section 5.3.2.
TEST_F(ProfileTest, TheProfileIsThatOfTheIdToken) {
  const auto parse = [&](absl::string_view claims, absl::string_view body) {
    const std::optional<Answer> id_token = Answer::ParseJson(claims);
    return ParseProfile(*catalog_.Find("full"), {.status = 200, .body = body},
                        {.id_token = &*id_token}, "", {})
        .status();
  };
  EXPECT_OK(parse(R"({"sub": "1"})", R"({"sub": 1, "id": 1})"));
  EXPECT_OK(parse("{}", R"({"sub": 2, "id": 2})"));
  EXPECT_THAT(parse(R"({"sub": "1"})", R"({"sub": "2", "id": 1})"),
              HasReason("NETWORK_ANSWER_INVALID"));
}

TEST_F(ProfileTest, NamesAreCutAndCleaned) {
  ASSERT_OK_AND_ASSIGN(const ProfileData profile,
                       Parse(absl::StrCat(R"({"id": 1, "login": "a\nb\u0000", "name": ")",
                                          std::string(5000, 'n'), "\"}")));
  EXPECT_EQ(profile.username, "a b ");
  EXPECT_THAT(profile.display_name, SizeIs(kMaxProfileTextBytes));
  EXPECT_THAT(profile.display_name, EndsWith("…"));
}

// It ends in somebody's <img src>.
TEST_F(ProfileTest, APictureIsAnHttpsUrlOrNone) {
  EXPECT_EQ(CleanPictureUrl("https://cdn.example/1.png?x=1"), "https://cdn.example/1.png?x=1");
  for (const absl::string_view bad :
       {"http://cdn.example/1.png", "javascript:alert(1)", "//cdn.example/1.png", "https://a/\"b",
        "https://a/<b>", "https://a/ b", "https://a/\nb", "https://a\\b", "https://ä/", ""}) {
    EXPECT_EQ(CleanPictureUrl(bad), "") << bad;
  }
  EXPECT_EQ(CleanPictureUrl(absl::StrCat("https://a/", std::string(2048, 'p'))), "");
}

TEST_F(ProfileTest, WhatIsNoAccountIsSaidToBeNone) {
  EXPECT_THAT(Parse(R"({"id": 1, "kind": "bot"})"), HasReason("NOT_AN_ACCOUNT"));
  EXPECT_OK(Parse(R"({"id": 1, "kind": "person"})").status());
}

TEST_F(ProfileTest, AnErrorMayComeWithStatus200AndAProfileWithoutOneIsNone) {
  EXPECT_THAT(Parse(R"({"id": 1, "error": "invalid_token"})"), HasReason("ACCESS_TOKEN_DEAD"));
  EXPECT_THAT(Parse(R"({"id": 1})", "", 500), HasReason("NETWORK_UNAVAILABLE"));
  EXPECT_THAT(Parse("<html>"), HasReason("NETWORK_ANSWER_INVALID"));
}

}  // namespace
}  // namespace authurl::testing
