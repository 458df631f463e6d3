#include "server/serving/grpc_status.h"

#include <string>

#include "absl/strings/cord.h"
#include "core/errors.h"
#include "google/rpc/error_details.pb.h"

namespace authurl {
namespace {

// Numerically the same by definition; a few are enough to notice should that ever change.
static_assert(static_cast<int>(absl::StatusCode::kInvalidArgument) == grpc::INVALID_ARGUMENT);
static_assert(static_cast<int>(absl::StatusCode::kUnavailable) == grpc::UNAVAILABLE);
static_assert(static_cast<int>(absl::StatusCode::kUnauthenticated) == grpc::UNAUTHENTICATED);

absl::Status Internal() {
  return MakeError(absl::StatusCode::kInternal, "INTERNAL",
                   "Internal error; the server's log has the cause under this call's x-request-id");
}

}  // namespace

google::rpc::Status ToRpcStatus(const absl::Status& status) {
  google::rpc::Status rpc_status;
  if (status.ok()) return rpc_status;
  const absl::Status shown = ReasonOf(status).empty() ? Internal() : status;
  rpc_status.set_code(static_cast<int>(shown.code()));
  rpc_status.set_message(std::string(shown.message()));
  for (const char* detail : {"ErrorInfo", "BadRequest", "RetryInfo"}) {
    const std::string url = std::string("type.googleapis.com/google.rpc.") + detail;
    const auto payload = shown.GetPayload(url);
    if (!payload.has_value()) continue;
    auto* any = rpc_status.add_details();
    any->set_type_url(url);
    any->set_value(std::string(*payload));
  }
  return rpc_status;
}

grpc::Status ToGrpcStatus(const absl::Status& status, const std::string& request_id) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::Status rpc_status = ToRpcStatus(status);
  google::rpc::RequestInfo info;
  info.set_request_id(request_id);
  rpc_status.add_details()->PackFrom(info);
  return grpc::Status(static_cast<grpc::StatusCode>(rpc_status.code()), rpc_status.message(),
                      rpc_status.SerializeAsString());
}

}  // namespace authurl
