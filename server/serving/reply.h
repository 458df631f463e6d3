// reply.h: where the reply of one call goes. Whoever brings calls to the pipeline implements it
// (callback_frame.h, and tests).
#pragma once

#include <google/protobuf/message_lite.h>
#include <grpcpp/support/status.h>

#include <cstddef>
#include <string>

namespace authurl {

// What clients take unless they are told otherwise. A larger message is not sent.
inline constexpr size_t kMaxReplyBytes = size_t{4} * 1024 * 1024;

// Used by one thread at a time.
class Reply {
 public:
  Reply() = default;
  Reply(const Reply&) = delete;
  Reply& operator=(const Reply&) = delete;

  // Metadata that goes ahead of the message, and metadata that goes with the status. To be called
  // before Send(). A reply that has headers is never retried by gRPC's clients, whatever their
  // retry policy (gRFC A6: with the first header a call is committed), so errors have none.
  virtual void AddHeader(const char* key, const std::string& value) = 0;
  virtual void AddTrailer(const char* key, const std::string& value) = 0;
  // Keeps the bytes of the message for Send(). REQUIRES: message.ByteSizeLong() was called, and is
  // at most kMaxReplyBytes.
  virtual void SetMessage(const google::protobuf::MessageLite& message) = 0;
  // Sends the status, and the message when it is OK. Called once, on any thread; afterwards the
  // reply may be gone.
  virtual void Send(const grpc::Status& status) = 0;

 protected:
  ~Reply() = default;
};

}  // namespace authurl
