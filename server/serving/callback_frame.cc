#include "server/serving/callback_frame.h"

#include <grpcpp/impl/codegen/rpc_service_method.h>
#include <grpcpp/impl/codegen/server_callback.h>
#include <grpcpp/impl/codegen/server_callback_handlers.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace authurl {
namespace {

// The bytes of a request, in one piece. Nearly all come as one, and then nothing is copied.
grpc::Slice InOnePiece(const grpc::ByteBuffer& buffer) {
  grpc::Slice slice;
  if (!buffer.TrySingleSlice(&slice).ok()) (void)buffer.DumpToSingleSlice(&slice);
  return slice;
}

absl::string_view AsText(const grpc::Slice& slice) {
  return {reinterpret_cast<const char*>(slice.begin()), slice.size()};
}

// One call; lives until gRPC is done with it: until the reply was sent and a cancellation was told.
class UnaryCall final : public grpc::ServerUnaryReactor, private Reply {
 public:
  UnaryCall(Pipeline& pipeline, const Method& method, grpc::CallbackServerContext& context,
            const grpc::ByteBuffer& request, grpc::ByteBuffer& response)
      : context_(context),
        response_(response),
        request_(InOnePiece(request)),
        call_(pipeline, method,
              {.metadata = context.client_metadata(),
               .request = AsText(request_),
               .deadline = absl::FromChrono(context.deadline())},
              *this) {}

  void Serve() { call_.Serve(); }

 private:
  void AddHeader(const char* key, const std::string& value) override {
    context_.AddInitialMetadata(key, value);
  }

  void AddTrailer(const char* key, const std::string& value) override {
    context_.AddTrailingMetadata(key, value);
  }

  void SetMessage(const google::protobuf::MessageLite& message) override {
    grpc::Slice slice(static_cast<size_t>(message.GetCachedSize()));
    message.SerializeWithCachedSizesToArray(const_cast<uint8_t*>(slice.begin()));
    response_ = grpc::ByteBuffer(&slice, 1);
  }

  // May delete this.
  void Send(const grpc::Status& status) override { Finish(status); }

  // What the reactions do is short, so gRPC need not hand them to another thread.
  bool InternalInlineable() override { return true; }

  void OnCancel() override { call_.CallerIsGone(); }
  void OnDone() override { delete this; }

  grpc::CallbackServerContext& context_;
  grpc::ByteBuffer& response_;
  const grpc::Slice request_;
  Call call_;
};

class CallbackService final : public grpc::Service {
 public:
  CallbackService(const google::protobuf::ServiceDescriptor& service, std::vector<Method> methods,
                  Pipeline& pipeline)
      : methods_(std::move(methods)), pipeline_(pipeline) {
    for (int i = 0; i < service.method_count(); ++i) {
      const std::string path =
          absl::StrCat("/", service.full_name(), "/", service.method(i)->name());
      const auto method = std::find_if(methods_.begin(), methods_.end(),
                                       [&](const Method& m) { return m.path == path; });
      if (method == methods_.end()) {
        std::fprintf(stderr, "authurl-server: no handler for %s\n", path.c_str());
        std::abort();
      }
      Add(i, *method);
    }
  }

 private:
  void Add(int index, const Method& method) {
    AddMethod(new grpc::internal::RpcServiceMethod(method.path.c_str(),
                                                   grpc::internal::RpcMethod::NORMAL_RPC, nullptr));
    // Raw: we parse requests ourselves, so that one that is not a message gets a clear answer, and
    // one function serves every type.
    MarkMethodRawCallback(
        index, new grpc::internal::CallbackUnaryHandler<grpc::ByteBuffer, grpc::ByteBuffer>(
                   [this, &method](grpc::CallbackServerContext* context,
                                   const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
                     return Start(method, *context, *request, *response);
                   }));
  }

  grpc::ServerUnaryReactor* Start(const Method& method, grpc::CallbackServerContext& context,
                                  const grpc::ByteBuffer& request, grpc::ByteBuffer& response) {
    auto* call = new UnaryCall(pipeline_, method, context, request, response);
    call->Serve();
    return call;
  }

  const std::vector<Method> methods_;
  Pipeline& pipeline_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeCallbackService(
    const google::protobuf::ServiceDescriptor& service, std::vector<Method> methods,
    Pipeline& pipeline) {
  return std::make_unique<CallbackService>(service, std::move(methods), pipeline);
}

}  // namespace authurl
