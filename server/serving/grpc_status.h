// grpc_status.h: the one place where our statuses become gRPC's.
#pragma once

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"
#include "google/rpc/status.pb.h"

namespace authurl {

// Code, message and details (ErrorInfo, then BadRequest and RetryInfo where there are any). A
// status without a reason (core/errors.h) is our own fault: the caller gets INTERNAL and a fixed
// text, and its message belongs into the log.
google::rpc::Status ToRpcStatus(const absl::Status& status);
// The same as the outcome of a call, with the call's id (RequestInfo) behind the other details:
// clients that show an error often show nothing else of its call.
grpc::Status ToGrpcStatus(const absl::Status& status, const std::string& request_id);

}  // namespace authurl
