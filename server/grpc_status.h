// grpc_status.h: the one place where our statuses become gRPC's.
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace authurl {

// Code, message and details (google.rpc.Status with ErrorInfo, then BadRequest and RetryInfo where
// there are any). A status without a reason (core/errors.h) is our own fault: the caller gets
// INTERNAL and a fixed text, and its message belongs into the log.
grpc::Status ToGrpcStatus(const absl::Status& status);

// The name of a code as gRPC writes it ("INVALID_ARGUMENT").
const char* CodeName(grpc::StatusCode code);

}  // namespace authurl
