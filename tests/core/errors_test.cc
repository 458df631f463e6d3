#include "core/errors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace authurl {
namespace {

using ::authurl::testing::HasReason;
using ::authurl::testing::HasViolation;
using ::authurl::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Optional;
using ::testing::SizeIs;

TEST(ErrorsTest, NoViolationsAreNoError) { EXPECT_OK(FieldViolations().ToStatus()); }

TEST(ErrorsTest, EveryViolationOfARequestIsReportedAtOnce) {
  FieldViolations violations;
  violations.Add("network", "Required");
  violations.Add("tenant_id", "is too long");
  const absl::Status status = violations.ToStatus();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                               "Invalid payload: network: Required; tenant_id: is too long"));
  EXPECT_THAT(status, HasReason("INVALID_PAYLOAD"));
  EXPECT_THAT(status, HasViolation("network", "Required"));
  EXPECT_THAT(ViolationsOf(status), SizeIs(2));
}

TEST(ErrorsTest, HoweverManyAndLongTheFaultsTheyStaySmallAndAreCounted) {
  FieldViolations violations;
  for (int i = 0; i < 1000; ++i) violations.Add("scopes", std::string(10'000, 'x'));
  const absl::Status status = violations.ToStatus();
  EXPECT_LT(status.message().size(), 2000u);
  EXPECT_LT(status.GetPayload("type.googleapis.com/google.rpc.BadRequest")->size(), 3500u);
  EXPECT_THAT(status, HasViolation("", HasSubstr("more faults are not shown")));
}

TEST(ErrorsTest, AFaultOfTheWholeMessageHasNoField) {
  FieldViolations violations;
  violations.Add("", "The request is not a valid message");
  EXPECT_EQ(violations.ToStatus().message(), "Invalid payload: The request is not a valid message");
}

TEST(ErrorsTest, AnErrorCarriesItsReasonAndWhenToRetry) {
  const absl::Status plain = MakeError(absl::StatusCode::kNotFound, "GONE", "It is gone");
  EXPECT_THAT(plain, HasReason("GONE"));
  EXPECT_EQ(RetryAfterOf(plain), std::nullopt);
  const absl::Status retryable = MakeRetryableError(
      absl::StatusCode::kResourceExhausted, "OVERLOADED", "Later", absl::Milliseconds(1500));
  EXPECT_THAT(RetryAfterOf(retryable), Optional(absl::Milliseconds(1500)));
}

TEST(ErrorsTest, TheCauseOfAStorageFaultIsForTheLogOnly) {
  const absl::Status status = StorageUnavailable("disk I/O error in /var/lib/authurl");
  EXPECT_THAT(status, HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable, Not(HasSubstr("disk"))));
  EXPECT_EQ(CauseOf(status), "disk I/O error in /var/lib/authurl");
}

TEST(ErrorsTest, AStatusWithoutReasonIsAllCause) {
  const absl::Status status = absl::InternalError("row 7 does not open");
  EXPECT_EQ(ReasonOf(status), "");
  EXPECT_EQ(CauseOf(status), "row 7 does not open");
  EXPECT_THAT(ViolationsOf(status), IsEmpty());
  EXPECT_EQ(CauseOf(MakeError(absl::StatusCode::kNotFound, "GONE", "It is gone")), "");
}

TEST(ErrorsTest, AQuotedValueIsShortAndPlain) {
  EXPECT_EQ(Quoted("instagran"), "\"instagran\"");
  EXPECT_EQ(Quoted("a\"\n\x01\xff"), "\"a\\\"\\n\\x01\\xff\"");
  EXPECT_EQ(Quoted(std::string(65, 'a')), absl::StrCat("\"", std::string(64, 'a'), "…\""));
}

}  // namespace
}  // namespace authurl
