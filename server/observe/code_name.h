// code_name.h: status codes as logs and metrics show them.
#pragma once

#include <grpcpp/support/status_code_enum.h>

namespace authurl {

// The name of a code as gRPC writes it ("INVALID_ARGUMENT").
const char* CodeName(grpc::StatusCode code);

}  // namespace authurl
