// rpc.h: the one pipeline that every rpc goes through.
//
//   admit → authenticate → authorise → validate and do (the handler) → map the status → measure →
//   log → finish, exactly once
//
// A handler is a plain function from caller and request to status and response, and knows nothing
// of threads, queues or gRPC's ways of serving. It runs on a worker thread, where it may block on
// the store. A method that is mostly answered from memory is tried on gRPC's own thread first,
// where it may not (Caller::wait); only if it returns WouldBlock() is it run again on a worker.
#pragma once

#include <google/protobuf/arena.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/proto_buffer_writer.h>

#include <array>
#include <functional>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "core/crypto/crypto.h"
#include "core/errors.h"
#include "server/observe/metrics.h"
#include "server/serving/admission.h"
#include "server/serving/api_keys.h"
#include "server/serving/worker_pool.h"
#include "storage/credential_store.h"

namespace authurl {

// One rpc, free of its types.
struct Method {
  // "/authurl.v1.AuthUrlService/GetAuthUrl".
  std::string path;
  Access access = Access::kAdminister;
  // Whether to try it without a worker first.
  bool from_memory = false;
  // What it is counted under.
  MethodId metric{};
  // Parses the request, runs the handler, serialises the response.
  std::function<absl::Status(const Caller&, const grpc::ByteBuffer& request,
                             grpc::ByteBuffer& response)>
      run;
};

// Makes a Method of a handler. `service` must outlive it.
template <typename Service, typename Request, typename Response>
Method MakeMethod(std::string path, Access access, const Service* service,
                  absl::Status (Service::*handler)(const Caller&, const Request&, Response&) const,
                  bool from_memory = false) {
  const auto run = [service, handler](const Caller& caller, const grpc::ByteBuffer& request_bytes,
                                      grpc::ByteBuffer& response_bytes) {
    // What most messages need, so that they cost no allocation but for their long texts.
    alignas(8) std::array<char, 2048> memory;
    google::protobuf::ArenaOptions options;
    options.initial_block = memory.data();
    options.initial_block_size = memory.size();
    google::protobuf::Arena arena(options);
    auto& request = *google::protobuf::Arena::CreateMessage<Request>(&arena);
    // The deserialiser consumes what it reads; the copy shares the bytes.
    grpc::ByteBuffer bytes = request_bytes;
    if (!grpc::SerializationTraits<Request>::Deserialize(&bytes, &request).ok()) {
      FieldViolations violations;
      violations.Add(
          "",
          "The request is not a valid message: all text must be UTF-8, and the rpc the right one");
      return violations.ToStatus();
    }
    auto& response = *google::protobuf::Arena::CreateMessage<Response>(&arena);
    if (absl::Status status = (service->*handler)(caller, request, response); !status.ok()) {
      return status;
    }
    bool own_buffer = false;
    const grpc::Status written =
        grpc::SerializationTraits<Response>::Serialize(response, &response_bytes, &own_buffer);
    return written.ok() ? absl::OkStatus() : absl::InternalError("the response does not serialise");
  };
  return {std::move(path), access, from_memory, MethodId{}, run};
}

// What the serving frame hands in. Everything referred to stays good until `finish` returns.
struct IncomingCall {
  grpc::ServerContextBase& context;
  const grpc::ByteBuffer& request;
  grpc::ByteBuffer& response;
  // Sends the status, and the response when it is OK. Called exactly once, on any thread. The frame
  // calls `on_sent` once the reply is on the wire or the connection gone.
  absl::AnyInvocable<void(const grpc::Status&, absl::AnyInvocable<void()> on_sent)> finish;
};

// Safe to use from many threads at once. Everything it refers to must outlive it.
class Pipeline final {
 public:
  Pipeline(CredentialStore& store, WorkerPool& workers, Admission& admission, Metrics& metrics,
           RandomSource random, int max_metadata_bytes)
      : store_(store),
        workers_(workers),
        admission_(admission),
        metrics_(metrics),
        random_(std::move(random)),
        max_metadata_bytes_(static_cast<size_t>(max_metadata_bytes)) {}

  // Serves a call; may return before it is done.
  void Serve(const Method& method, IncomingCall incoming);

 private:
  CredentialStore& store_;
  WorkerPool& workers_;
  Admission& admission_;
  Metrics& metrics_;
  const RandomSource random_;
  const size_t max_metadata_bytes_;
};

}  // namespace authurl
