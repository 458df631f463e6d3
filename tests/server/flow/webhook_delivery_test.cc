#include "server/flow/webhook_delivery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/errors.h"

namespace authurl::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

std::string WrongWith(const std::string& url, const ReceiverRules& rules = {}) {
  FieldViolations violations;
  CheckWebhookUrl("url", url, rules, violations);
  return violations.empty() ? "" : violations.list()[0].description;
}

TEST(WebhookUrlTest, PublicHttpsIsTaken) {
  for (const char* url : {"https://hooks.example.com", "https://hooks.example.com/authurl?a=b",
                          "https://1.1.1.1/", "https://[2606:4700::1111]/x"}) {
    EXPECT_EQ(WrongWith(url), "") << url;
  }
}

TEST(WebhookUrlTest, WhatIsNotIsRefusedWithTheReason) {
  const std::pair<std::string, std::string> wrong[] = {
      {"", "Required"},
      {"http://hooks.example.com/", "https://"},
      {"ftp://hooks.example.com/", ""},
      {"https://user:secret@hooks.example.com/", ""},
      {"https://hooks.example.com/#part", "fragment"},
      {"https://hooks.example.com:8443/", "port"},
      {"https://localhost/", "public address"},
      {"https://127.0.0.1/", "public address"},
      {"https://10.1.2.3/", "public address"},
      {"https://169.254.169.254/", "public address"},
      {"https://[::1]/", "public address"},
      {"https://[fd00::1]/", "public address"},
      {absl::StrCat("https://hooks.example.com/", std::string(2048, 'a')), "at most 2048"},
  };
  for (const auto& [url, what] : wrong) {
    EXPECT_NE(WrongWith(url), "") << url;
    EXPECT_THAT(WrongWith(url), HasSubstr(what)) << url;
    EXPECT_THAT(WrongWith(url), Not(HasSubstr("secret")));
  }
}

TEST(WebhookUrlTest, WhereTheOperatorHasNetworksAnyPortIsTaken) {
  const ReceiverRules rules = {.has_networks = true};
  EXPECT_EQ(WrongWith("https://10.1.2.3:8443/hook", rules), "");
  EXPECT_NE(WrongWith("http://10.1.2.3:8080/hook", rules), "");
  EXPECT_NE(WrongWith("http://localhost:8080/hook", rules), "");
  EXPECT_EQ(WrongWith("http://localhost:8080/hook", {.allow_local = true}), "");
  EXPECT_NE(WrongWith("http://10.1.2.3:8080/hook", {.allow_local = true}), "");
}

DeliveryResult Read(int status, const std::string& retry_after = "") {
  HttpAnswer answer;
  answer.status = status;
  answer.body = "the receiver's own words";
  if (!retry_after.empty()) answer.headers.push_back({"Retry-After", retry_after});
  return ReadDelivery(std::move(answer), kNow);
}

TEST(WebhookDeliveryTest, OnlyA2xxIsADelivery) {
  for (const int status : {200, 201, 202, 204, 299}) EXPECT_TRUE(Read(status).is_delivered());
  for (const int status : {199, 300, 301, 302, 304, 307, 400, 401, 404, 429, 500, 503}) {
    const DeliveryResult result = Read(status);
    EXPECT_EQ(result.outcome, DeliveryOutcome::kRefused) << status;
    EXPECT_EQ(result.http_status, status);
    EXPECT_THAT(result.message, HasSubstr(absl::StrCat(status)));
    EXPECT_THAT(result.message, Not(HasSubstr("words")));
  }
  EXPECT_EQ(Read(410).outcome, DeliveryOutcome::kGone);
  EXPECT_THAT(Read(302).message, HasSubstr("redirects are not followed"));
}

TEST(WebhookDeliveryTest, WhatFailedWithoutAnAnswerIsToldInOurWordsOnly) {
  const DeliveryResult known = ReadDelivery(
      MakeError(absl::StatusCode::kUnavailable, "NETWORK_UNAVAILABLE", "webhook can't be reached"),
      kNow);
  EXPECT_EQ(known.outcome, DeliveryOutcome::kUnreachable);
  EXPECT_EQ(known.message, "webhook can't be reached");
  EXPECT_EQ(ReadDelivery(absl::InternalError("detail"), kNow).message,
            "the delivery could not be made");
}

TEST(WebhookDeliveryTest, RetryAfterIsSecondsOrADateWithinBounds) {
  EXPECT_EQ(Read(429, "120").retry_after, absl::Minutes(2));
  EXPECT_EQ(Read(503, "Fri, 15 Jan 2027 08:10:00 GMT").retry_after, absl::Minutes(10));
  EXPECT_EQ(Read(503, "Fri, 15 Jan 2027 07:10:00 GMT").retry_after, absl::ZeroDuration());
  EXPECT_EQ(Read(503, "99999999999").retry_after, kLongestRetryAfter);
  EXPECT_EQ(Read(503, "-5").retry_after, absl::ZeroDuration());
  for (const char* text : {"", "soon", "1.5", "99999999999999999999999"}) {
    EXPECT_EQ(Read(503, text).retry_after, std::nullopt) << text;
  }
}

TEST(WebhookDeliveryTest, PausesGrowToTwoHoursAndVaryByATenth) {
  const absl::Duration pauses[] = {absl::Seconds(5),  absl::Seconds(30), absl::Minutes(2),
                                   absl::Minutes(10), absl::Minutes(30), absl::Hours(1),
                                   absl::Hours(2),    absl::Hours(2)};
  int failures = 0;
  for (const absl::Duration pause : pauses) {
    ++failures;
    EXPECT_EQ(PauseAfter(failures, 0.5), pause) << failures;
    EXPECT_EQ(PauseAfter(failures, 0), 0.9 * pause) << failures;
    EXPECT_EQ(PauseAfter(failures, 1), 1.1 * pause) << failures;
  }
  EXPECT_EQ(PauseAfter(1'000'000, 0.5), absl::Hours(2));
}

TEST(WebhookDeliveryTest, TheNextAttemptComesAfterThePauseAndOneLastTimeAtTheEnd) {
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  EXPECT_EQ(NextAttempt(now, now, 3, 0.5), now + absl::Minutes(2));
  EXPECT_EQ(NextAttempt(now, now, 1, 0.5, absl::Hours(1)), now + absl::Hours(1));
  EXPECT_EQ(NextAttempt(now, now, 3, 0.5, absl::Seconds(1)), now + absl::Minutes(2));
  const absl::Time long_ago = now - kMaxFailingTime;
  EXPECT_EQ(NextAttempt(now, long_ago + absl::Hours(1), 9, 0.5), now + absl::Hours(1));
  EXPECT_EQ(NextAttempt(now, long_ago - absl::Hours(1), 9, 0.5), now + PauseAfter(1, 0));
}

}  // namespace
}  // namespace authurl::testing
