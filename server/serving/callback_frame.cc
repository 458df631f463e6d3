#include "server/serving/callback_frame.h"

#include <grpcpp/impl/codegen/rpc_service_method.h>
#include <grpcpp/impl/codegen/server_callback.h>
#include <grpcpp/impl/codegen/server_callback_handlers.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"

namespace authurl {
namespace {

// One call; lives until gRPC is done with it.
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  void FinishThen(const grpc::Status& status, absl::AnyInvocable<void()> on_sent) {
    on_sent_ = std::move(on_sent);
    // May delete this.
    Finish(status);
  }

 private:
  // What OnDone() does is short, so gRPC need not hand it to another thread.
  bool InternalInlineable() override { return true; }

  void OnDone() override {
    if (on_sent_) on_sent_();
    delete this;
  }

  absl::AnyInvocable<void()> on_sent_;
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
    auto* call = new UnaryCall;
    pipeline_.Serve(method,
                    {context, request, response,
                     [call](const grpc::Status& status, absl::AnyInvocable<void()> on_sent) {
                       call->FinishThen(status, std::move(on_sent));
                     }});
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
