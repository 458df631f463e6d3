#include "server/serving/method.h"

#include "absl/strings/str_cat.h"
#include "core/errors.h"

namespace authurl {

absl::Status NotAMessage() {
  FieldViolations violations;
  violations.Add(
      "", "The request is not a valid message: all text must be UTF-8, and the rpc the right one");
  return violations.ToStatus();
}

Ending PutResponse(Ending ending, const google::protobuf::MessageLite& response, Reply& reply) {
  if (!ending.status.ok()) return ending;
  const size_t bytes = response.ByteSizeLong();
  if (bytes > kMaxReplyBytes) {
    ending.status =
        MakeError(absl::StatusCode::kResourceExhausted, "REPLY_TOO_LARGE",
                  absl::StrCat("The reply is ", bytes, " bytes; at most ", kMaxReplyBytes,
                               " are sent. Ask for less at once: for a smaller page, or for "
                               "fewer networks"));
    ending.when_sent = nullptr;
    return ending;
  }
  reply.SetMessage(response);
  return ending;
}

}  // namespace authurl
