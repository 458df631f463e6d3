// What no vector shows: lifetimes that are none, and what stays from before.

#include "core/flow/token_response.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/catalog/network_catalog.h"
#include "core/errors.h"
#include "tests/core/flow/vectors.h"
#include "tests/support/catalog_text.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Optional;

class TokenResponseTest : public ::testing::Test {
 protected:
  absl::StatusOr<TokenSet> Exchanged(absl::string_view body, int status = 200,
                                     const std::string& entry = kFullEntry) {
    catalog_ = NetworkCatalog::Parse(entry).value();
    absl::StatusOr<TokenResponse> response =
        ParseExchange(*catalog_.Find("full"), {.status = status, .body = body}, kNow, {kCode});
    if (!response.ok()) return response.status();
    return std::move(response->tokens);
  }
  // The end of an access token whose answer has this member besides.
  std::optional<absl::Time> EndWith(absl::string_view member) {
    const auto tokens = Exchanged(absl::StrCat(R"({"access_token": "a", )", member, "}"), 200,
                                  FullEntryWith(kReading, kReadingOfTimes));
    EXPECT_OK(tokens.status());
    return tokens->access_token_expires_at;
  }

  static constexpr char kReading[] = R"(answer { subject: "/user/id" }
      errors {)";
  static constexpr char kReadingOfTimes[] =
      R"(answer { subject: "/user/id" expires_at: "/expires_at" } access_token_lifetime_s: 60
      errors {)";

  NetworkCatalog catalog_;
};

TEST_F(TokenResponseTest, ALifetimeIsANumberOrATextOfSeconds) {
  for (const absl::string_view good : {"3600", R"("3600")", "3600.0", "3.6e3"}) {
    EXPECT_EQ(EndWith(absl::StrCat(R"("expires_in": )", good)), kNow + absl::Hours(1)) << good;
  }
  EXPECT_EQ(EndWith(R"("expires_in": 0)"), std::nullopt);
  EXPECT_EQ(EndWith(R"("expires_in": 0.4)"), kNow + absl::Seconds(1));
  EXPECT_EQ(EndWith(R"("expires_at": 1800003600)"), kNow + absl::Hours(1));
  EXPECT_EQ(EndWith(R"("expires_at": 1800003600000)"), kNow + absl::Hours(1));
}

// Then the entry's own number counts, as where there is no answer.
TEST_F(TokenResponseTest, WhatIsNoLifetimeIsNotBelieved) {
  for (const absl::string_view bad :
       {"-1", "1e308", "99999999999999999999", "null", R"("")", R"("soon")", R"("nan")", R"("inf")",
        "[3600]", "{}", "true"}) {
    EXPECT_EQ(EndWith(absl::StrCat(R"("expires_in": )", bad)), kNow + absl::Seconds(60)) << bad;
    EXPECT_EQ(EndWith(absl::StrCat(R"("expires_at": )", bad)), kNow + absl::Seconds(60)) << bad;
  }
  // Beyond the year 9999, which Timestamp ends with.
  EXPECT_EQ(EndWith(R"("expires_at": 999999999999999)"), kNow + absl::Seconds(60));
}

// They go into headers, and to whoever asks for them.
TEST_F(TokenResponseTest, ATokenOfCharactersThatNoneHasIsRefusedAndNotQuoted) {
  for (const absl::string_view body :
       {R"({"access_token": "hush\r\nHost: a"})", R"({"access_token": "hush\u0000"})",
        R"({"access_token": "hush\u00e4"})", "access_token=hush%0d%0aHost:a",
        R"({"access_token": "a", "refresh_token": "hush\n"})",
        R"({"access_token": "a", "id_token": "hush\n"})"}) {
    const auto tokens = Exchanged(body);
    EXPECT_THAT(tokens, HasReason("NETWORK_ANSWER_INVALID")) << body;
    EXPECT_THAT(std::string(tokens.status().message()), Not(HasSubstr("hush")));
  }
  // Tumblr says `"id_token": false`.
  ASSERT_OK_AND_ASSIGN(
      const TokenSet tokens,
      Exchanged(R"({"access_token": "a", "refresh_token": false, "id_token": false})"));
  EXPECT_EQ(tokens.refresh_token, "");
  EXPECT_EQ(tokens.id_token, "");
  EXPECT_FALSE(Exchanged(R"({"access_token": false})").ok());
}

TEST_F(TokenResponseTest, ScopesAreAnAnswerOnlyWhereTheyAreTold) {
  EXPECT_EQ(Exchanged(R"({"access_token": "a"})")->scopes, std::nullopt);
  EXPECT_EQ(Exchanged(R"({"access_token": "a", "scope": ""})")->scopes, std::nullopt);
  EXPECT_THAT(Exchanged(R"({"access_token": "a", "scope": "r w"})")->scopes,
              Optional(ElementsAre("r", "w")));
  EXPECT_THAT(Exchanged(R"({"access_token": "a", "scope": ["r", "w x"]})")->scopes,
              Optional(ElementsAre("r", "w", "x")));
  EXPECT_THAT(Exchanged(R"({"access_token": "a", "scope": []})")->scopes, Optional(IsEmpty()));
  EXPECT_THAT(
      Exchanged(R"({"access_token": "a", "scope": "a, b,c,"})", 200,
                FullEntryWith(kReading,
                              R"(answer { subject: "/user/id" scope_separators: "," } errors {)"))
          ->scopes,
      Optional(ElementsAre("a", "b", "c")));
}

// RFC 6749 section 6: a refresh token that does not come is the old one.
TEST_F(TokenResponseTest, ARefreshKeepsWhatItDoesNotReplace) {
  ASSERT_OK_AND_ASSIGN(
      const TokenSet before,
      Exchanged(R"({"access_token": "a", "refresh_token": "r", "scope": "s", "user": {"id": 7}})"));
  const auto refreshed = [&](absl::string_view body) {
    return ParseRefresh(*catalog_.Find("full"), before, {.status = 200, .body = body}, kNow, {});
  };
  ASSERT_OK_AND_ASSIGN(const TokenSet same, refreshed(R"({"access_token": "b"})"));
  EXPECT_EQ(same.access_token, "b");
  EXPECT_EQ(same.refresh_token, "r");
  EXPECT_EQ(same.subject, "7");
  EXPECT_THAT(same.scopes, Optional(ElementsAre("s")));
  ASSERT_OK_AND_ASSIGN(const TokenSet empty,
                       refreshed(R"({"access_token": "b", "refresh_token": ""})"));
  EXPECT_EQ(empty.refresh_token, "r");
  ASSERT_OK_AND_ASSIGN(const TokenSet rotated,
                       refreshed(R"({"access_token": "b", "refresh_token": "r2"})"));
  EXPECT_EQ(rotated.refresh_token, "r2");
  EXPECT_THAT(refreshed(R"({"error": "invalid_grant"})").status(), HasReason("REFRESH_DEAD"));
}

// An end that is known stays known.
TEST_F(TokenResponseTest, TheEndOfARefreshTokenIsThatOfTheTokenOrOfTheConsent) {
  const std::string reading =
      R"(answer { subject: "/user/id" refresh_expires_in: "/refresh_expires_in" } errors {)";
  const auto end_after = [&](const std::string& rotation, absl::string_view body) {
    const auto before =
        Exchanged(R"({"access_token": "a", "refresh_token": "r", "refresh_expires_in": 3600})", 200,
                  absl::StrReplaceAll(FullEntryWith(kReading, reading),
                                      {{"rotation: ROTATION_ALWAYS", rotation}}));
    EXPECT_OK(before.status());
    return ParseRefresh(*catalog_.Find("full"), *before, {.status = 200, .body = body}, kNow, {})
        ->refresh_token_expires_at;
  };
  const std::string always = "rotation: ROTATION_ALWAYS";
  const absl::Time end = kNow + absl::Hours(1);
  EXPECT_EQ(end_after(always, R"({"access_token": "b"})"), end);
  EXPECT_EQ(end_after(always, R"({"access_token": "b", "refresh_token": "r"})"), end);
  EXPECT_EQ(end_after(always, R"({"access_token": "b", "refresh_token": "r2"})"), std::nullopt);
  EXPECT_EQ(end_after(always + " lifetime_from_consent: true",
                      R"({"access_token": "b", "refresh_token": "r2"})"),
            end);
}

TEST_F(TokenResponseTest, WithoutAnAccessTokenItIsAnError) {
  for (const absl::string_view body :
       {"{}", "[]", "null", "true", R"({"access_token": ""})", R"({"access_token": null})",
        R"({"access_token": {"x": 1}})"}) {
    const auto tokens = Exchanged(body);
    EXPECT_FALSE(tokens.ok()) << body;
    EXPECT_THAT(std::string(tokens.status().message()), HasSubstr("Full")) << body;
  }
  const auto quoted = Exchanged(
      absl::StrCat(R"({"error": "invalid_grant", "error_description": "no )", kCode, "\"}"), 400);
  EXPECT_THAT(
      quoted,
      AllOf(HasReason("CODE_REJECTED"),
            StatusIs(absl::StatusCode::kFailedPrecondition,
                     AllOf(HasSubstr("invalid_grant: no …"), Not(HasSubstr(std::string(kCode)))))));
}

// RFC 7009 section 2.2: what is revoked already is revoked.
TEST_F(TokenResponseTest, ATokenThatIsDeadAlreadyIsRevoked) {
  catalog_ = NetworkCatalog::Parse(kFullEntry).value();
  const auto revoked = [&](int status, absl::string_view body) {
    return ParseRevocation(*catalog_.Find("full"), {.status = status, .body = body}, {});
  };
  EXPECT_OK(revoked(200, ""));
  EXPECT_OK(revoked(204, ""));
  EXPECT_OK(revoked(400, R"({"error": "invalid_token"})"));
  EXPECT_OK(revoked(400, R"({"error": "invalid_grant"})"));
  EXPECT_THAT(revoked(400, R"({"error": "unsupported_token_type"})"), HasReason("NETWORK_REFUSED"));
  EXPECT_THAT(revoked(200, R"({"error": "server_error"})"), HasReason("NETWORK_REFUSED"));
  EXPECT_THAT(revoked(503, "<html>"), HasReason("NETWORK_UNAVAILABLE"));
  EXPECT_THAT(revoked(302, ""), HasReason("NETWORK_ANSWER_INVALID"));
  // The client's, where the client shows itself.
  EXPECT_THAT(revoked(401, "{}"), HasReason("NETWORK_REFUSED"));
}

// RFC 6750 section 3.1.
TEST_F(TokenResponseTest, ATokenThatIsShownAndRefusedIsRevoked) {
  catalog_ =
      NetworkCatalog::Parse(FullEntryWith("revocation {", "revocation { own_way: true")).value();
  const auto revoked = [&](int status) {
    return ParseRevocation(*catalog_.Find("full"), {.status = status, .body = "{}"}, {});
  };
  EXPECT_OK(revoked(401));
  EXPECT_THAT(revoked(403), HasReason("NETWORK_REFUSED"));
}

}  // namespace
}  // namespace authurl::testing
