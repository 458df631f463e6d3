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

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "server/observe/log.h"

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

// "127.0.0.1:50000", "[::1]:50000", "unix" of gRPC's "ipv4:127.0.0.1:50000",
// "ipv6:%5B::1%5D:50000", "unix:/path". Empty where it is of another form.
std::string ReadablePeer(absl::string_view peer) {
  constexpr size_t kMaxBytes = 64;
  if (absl::StartsWith(peer, "unix")) return "unix";
  if (!absl::ConsumePrefix(&peer, "ipv4:") && !absl::ConsumePrefix(&peer, "ipv6:")) return "";
  std::string readable = absl::StrReplaceAll(peer, {{"%5B", "["}, {"%5D", "]"}, {"%25", "%"}});
  const bool is_fit =
      readable.size() <= kMaxBytes && std::all_of(readable.begin(), readable.end(), [](char c) {
        return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("[]:.%", c);
      });
  return is_fit ? readable : "";
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
               .deadline = absl::FromChrono(context.deadline()),
               .peer = IsLogged(LogLevel::kInfo) ? ReadablePeer(context.peer()) : ""},
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
