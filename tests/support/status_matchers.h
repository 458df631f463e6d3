// status_matchers.h: what Abseil 20220623 does not have yet: matchers for absl::Status and
// absl::StatusOr.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/errors.h"

namespace authurl::testing {

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

MATCHER(IsOk, "is OK") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).ok();
}

// Code and message: StatusIs(absl::StatusCode::kNotFound, HasSubstr("x")).
MATCHER_P2(StatusIs, code, message,
           "has code " + ::testing::PrintToString(code) + " and a message that " +
               ::testing::DescribeMatcher<std::string>(message)) {
  const absl::Status& status = StatusOf(arg);
  *result_listener << status.ToString();
  return status.code() == code &&
         ::testing::ExplainMatchResult(message, std::string(status.message()), result_listener);
}

// A StatusOr that is OK and has such a value: IsOkAndHolds(IsEmpty()).
MATCHER_P(IsOkAndHolds, value, "is OK and holds a value that fits") {
  if (!arg.ok()) {
    *result_listener << arg.status().ToString();
    return false;
  }
  return ::testing::ExplainMatchResult(value, *arg, result_listener);
}

// The reason that callers see: HasReason("INVALID_PAYLOAD").
MATCHER_P(HasReason, reason, "has the reason " + ::testing::PrintToString(reason)) {
  *result_listener << StatusOf(arg).ToString();
  return ReasonOf(StatusOf(arg)) == reason;
}

// A violation of a field: HasViolation("redirect_uri", HasSubstr("fragment")).
MATCHER_P2(HasViolation, field, description,
           "reports the field " + ::testing::PrintToString(field) + " as one that " +
               ::testing::DescribeMatcher<std::string>(description)) {
  *result_listener << StatusOf(arg).ToString();
  for (const FieldViolation& violation : ViolationsOf(StatusOf(arg))) {
    if (violation.field == field && ::testing::Matches(description)(violation.description))
      return true;
    *result_listener << " " << violation.field << ": " << violation.description;
  }
  return false;
}

}  // namespace authurl::testing

#define ASSERT_OK(expression) ASSERT_THAT(expression, ::authurl::testing::IsOk())
#define EXPECT_OK(expression) EXPECT_THAT(expression, ::authurl::testing::IsOk())
// Moves the value of a StatusOr into `declaration`, or fails the test.
#define ASSERT_OK_AND_ASSIGN(declaration, expression) \
  ASSERT_OK_AND_ASSIGN_(AUTHURL_CONCAT_(result_, __LINE__), declaration, expression)
#define ASSERT_OK_AND_ASSIGN_(result, declaration, expression) \
  auto result = (expression);                                  \
  ASSERT_OK(result);                                           \
  declaration = *std::move(result)
#define AUTHURL_CONCAT_(a, b) AUTHURL_CONCAT_2_(a, b)
#define AUTHURL_CONCAT_2_(a, b) a##b
