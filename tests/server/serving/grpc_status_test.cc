#include "server/serving/grpc_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/errors.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace authurl::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

google::rpc::Status DetailsOf(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_EQ(details.code(), status.error_code());
  EXPECT_EQ(details.message(), status.error_message());
  return details;
}

TEST(GrpcStatusTest, OkIsOk) {
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus(), "req-7").ok());
  EXPECT_EQ(ToGrpcStatus(absl::OkStatus(), "req-7").error_details(), "");
}

TEST(GrpcStatusTest, ErrorCarriesItsReasonOnce) {
  const grpc::Status status = ToGrpcStatus(
      MakeError(absl::StatusCode::kNotFound, "NETWORK_NOT_CONFIGURED", "none"), "req-7");
  EXPECT_EQ(status.error_code(), grpc::NOT_FOUND);
  EXPECT_EQ(status.error_message(), "none");
  const google::rpc::Status details = DetailsOf(status);
  ASSERT_EQ(details.details_size(), 2);
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "NETWORK_NOT_CONFIGURED");
  EXPECT_EQ(info.domain(), "authurl");
  google::rpc::RequestInfo request;
  ASSERT_TRUE(details.details(1).UnpackTo(&request));
  EXPECT_EQ(request.request_id(), "req-7");
}

TEST(GrpcStatusTest, ViolationsBecomeABadRequest) {
  FieldViolations violations;
  violations.Add("network", "Required");
  violations.Add("scopes[1]", "is odd");
  const google::rpc::Status details = DetailsOf(ToGrpcStatus(violations.ToStatus(), "req-7"));
  ASSERT_EQ(details.details_size(), 3);
  google::rpc::BadRequest bad_request;
  ASSERT_TRUE(details.details(1).UnpackTo(&bad_request));
  ASSERT_EQ(bad_request.field_violations_size(), 2);
  EXPECT_EQ(bad_request.field_violations(1).field(), "scopes[1]");
  EXPECT_EQ(bad_request.field_violations(1).description(), "is odd");
}

TEST(GrpcStatusTest, RetryableErrorSaysWhenToRetry) {
  const google::rpc::Status details =
      DetailsOf(ToGrpcStatus(MakeRetryableError(absl::StatusCode::kResourceExhausted, "OVERLOADED",
                                                "later", absl::Milliseconds(1500)),
                             "req-7"));
  google::rpc::RetryInfo retry;
  ASSERT_EQ(details.details_size(), 3);
  ASSERT_TRUE(details.details(1).UnpackTo(&retry));
  EXPECT_EQ(retry.retry_delay().seconds(), 1);
  EXPECT_EQ(retry.retry_delay().nanos(), 500'000'000);
}

TEST(GrpcStatusTest, AsAMessageItIsWhatACallEndsWithButForTheCallsId) {
  FieldViolations violations;
  violations.Add("network", "Required");
  for (const absl::Status& status :
       {violations.ToStatus(), StorageUnavailable("/srv/db"), absl::InternalError("row 7")}) {
    google::rpc::Status ended = DetailsOf(ToGrpcStatus(status, "req-7"));
    ended.mutable_details()->RemoveLast();
    EXPECT_EQ(ToRpcStatus(status).SerializeAsString(), ended.SerializeAsString());
  }
  EXPECT_EQ(ToRpcStatus(absl::OkStatus()).code(), 0);
}

TEST(GrpcStatusTest, StatusWithoutReasonIsInternalAndItsMessageStaysInside) {
  for (const absl::Status& cause :
       {absl::InternalError("row 7 is torn"), absl::NotFoundError("row 7 is gone"),
        absl::UnknownError("row 7"), absl::PermissionDeniedError("/etc/row 7")}) {
    const grpc::Status status = ToGrpcStatus(cause, "req-7");
    EXPECT_EQ(status.error_code(), grpc::INTERNAL);
    EXPECT_THAT(status.error_message(), HasSubstr("x-request-id"));
    EXPECT_THAT(status.error_message() + status.error_details(), Not(HasSubstr("row 7")));
    google::rpc::ErrorInfo info;
    ASSERT_TRUE(DetailsOf(status).details(0).UnpackTo(&info));
    EXPECT_EQ(info.reason(), "INTERNAL");
  }
}

TEST(GrpcStatusTest, CauseOfAStorageFaultStaysInside) {
  const grpc::Status status =
      ToGrpcStatus(StorageUnavailable("disk I/O error in /srv/db"), "req-7");
  EXPECT_EQ(status.error_code(), grpc::UNAVAILABLE);
  EXPECT_THAT(status.error_message() + status.error_details(), Not(HasSubstr("/srv/db")));
}

}  // namespace
}  // namespace authurl::testing
