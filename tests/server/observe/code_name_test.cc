#include "server/observe/code_name.h"

#include <gtest/gtest.h>

namespace authurl {
namespace {

TEST(CodeNameTest, EveryCodeHasTheNameThatGrpcWrites) {
  EXPECT_STREQ(CodeName(grpc::OK), "OK");
  EXPECT_STREQ(CodeName(grpc::CANCELLED), "CANCELLED");
  EXPECT_STREQ(CodeName(grpc::INVALID_ARGUMENT), "INVALID_ARGUMENT");
  EXPECT_STREQ(CodeName(grpc::RESOURCE_EXHAUSTED), "RESOURCE_EXHAUSTED");
  EXPECT_STREQ(CodeName(grpc::UNAVAILABLE), "UNAVAILABLE");
  EXPECT_STREQ(CodeName(grpc::UNAUTHENTICATED), "UNAUTHENTICATED");
  EXPECT_STREQ(CodeName(static_cast<grpc::StatusCode>(17)), "UNKNOWN");
  EXPECT_STREQ(CodeName(static_cast<grpc::StatusCode>(-1)), "UNKNOWN");
}

}  // namespace
}  // namespace authurl
