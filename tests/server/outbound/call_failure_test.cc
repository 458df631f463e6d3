#include "server/outbound/call_failure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "server/outbound/http_client.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(CallFailureTest, EachHasANameAndASentenceOfItsOwn) {
  std::set<std::string> names;
  std::set<std::string> sentences;
  constexpr auto kEnd = static_cast<int>(CallFailure::kCallerGone);
  for (int i = 0; i < kEnd; ++i) {
    const auto failure = static_cast<CallFailure>(i);
    EXPECT_TRUE(names.emplace(FailureName(failure)).second) << FailureName(failure);
    const absl::Status status =
        NetworkUnavailable(failure, {.network = "x", .host = "api.x.com", .why = "why"});
    EXPECT_THAT(status,
                AllOf(StatusIs(absl::StatusCode::kUnavailable, StartsWith("x can't be reached: ")),
                      HasReason("NETWORK_UNAVAILABLE")));
    EXPECT_TRUE(sentences.emplace(status.message()).second) << status;
  }
  EXPECT_TRUE(names.emplace(FailureName(CallFailure::kCallerGone)).second);
}

TEST(CallFailureTest, OnlyConnectTlsAndTimeoutCountAgainstTheHost) {
  std::set<std::string> counted;
  for (int i = 0; i < static_cast<int>(CallFailure::kNumberOfValues); ++i) {
    const auto failure = static_cast<CallFailure>(i);
    if (HostResultOf(failure) == HostResult::kFails) counted.emplace(FailureName(failure));
  }
  EXPECT_THAT(counted, ::testing::ElementsAre("connect", "timeout", "tls"));
}

TEST(CallFailureTest, TellsWhetherItWasSentAndWhenToTryAgain) {
  const absl::Status unsent = NetworkUnavailable(
      CallFailure::kBreakerOpen, {.network = "x", .host = "h", .retry_after = absl::Seconds(5)});
  EXPECT_TRUE(IsUnsent(unsent));
  EXPECT_EQ(RetryAfterOf(unsent), absl::Seconds(5));
  const absl::Status sent = NetworkUnavailable(
      CallFailure::kTimeout, {.network = "x", .host = "h", .may_have_been_sent = true});
  EXPECT_FALSE(IsUnsent(sent));
  EXPECT_EQ(RetryAfterOf(sent), std::nullopt);
  EXPECT_FALSE(IsUnsent(absl::OkStatus()));
  EXPECT_TRUE(IsUnsent(Unsent(absl::CancelledError())));
}

TEST(HttpAnswerTest, HeadersAreFoundInAnyCase) {
  HttpAnswer answer;
  answer.headers = {{"content-type", "a/b"}, {"Content-Type", "c/d"}};
  EXPECT_EQ(answer.Header("CONTENT-TYPE"), "a/b");
  EXPECT_EQ(answer.Header("Content"), "");
  answer.status = 201;
  answer.body = "body";
  EXPECT_EQ(answer.response().status, 201);
  EXPECT_EQ(answer.response().body, "body");
}

}  // namespace
}  // namespace authurl::testing
