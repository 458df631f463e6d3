#include "tests/support/raw_rpc.h"

#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/text_format.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <gtest/gtest.h>

#include <future>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "authurl/v1/event_service.pb.h"
#include "authurl/v1/social_account_service.pb.h"
#include "authurl/v1/webhook_service.pb.h"

namespace authurl::testing {
namespace {

using google::protobuf::FileDescriptor;

std::string Text(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  std::string text;
  if (!bytes.Dump(&slices).ok()) return text;
  for (const grpc::Slice& slice : slices) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

std::string Text(grpc::string_ref text) { return {text.data(), text.size()}; }

}  // namespace

RawMetadata Bearer(const std::string& api_key, const std::string& org_id) {
  RawMetadata metadata = {{"authorization", absl::StrCat("Bearer ", api_key)}};
  if (!org_id.empty()) metadata.emplace("x-org-id", org_id);
  return metadata;
}

RawReply CallRaw(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
                 const std::string& request, const RawMetadata& metadata, absl::Duration timeout) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  return CallRaw(context, channel, path, request, metadata);
}

RawReply CallRaw(grpc::ClientContext& context, const std::shared_ptr<grpc::Channel>& channel,
                 const std::string& path, const std::string& request, const RawMetadata& metadata) {
  grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer> stub(channel);
  for (const auto& [name, value] : metadata) context.AddMetadata(name, value);
  const grpc::Slice slice(request);
  const grpc::ByteBuffer request_bytes(&slice, 1);
  grpc::ByteBuffer response_bytes;
  std::promise<grpc::Status> done;
  stub.UnaryCall(&context, path, grpc::StubOptions(), &request_bytes, &response_bytes,
                 [&done](grpc::Status status) { done.set_value(std::move(status)); });
  RawReply reply;
  reply.status = done.get_future().get();
  reply.response = Text(response_bytes);
  for (const auto& [name, value] : context.GetServerInitialMetadata()) {
    reply.headers.emplace(Text(name), Text(value));
  }
  for (const auto& [name, value] : context.GetServerTrailingMetadata()) {
    reply.trailers.emplace(Text(name), Text(value));
  }
  return reply;
}

std::vector<const Rpc*> EveryRpc(const TestClient& client) {
  std::vector<const Rpc*> rpcs;
  const auto services = client.ReflectedServices();
  EXPECT_TRUE(services.ok()) << services.status();
  if (!services.ok()) return rpcs;
  for (const std::string& name : *services) {
    if (!absl::StartsWith(name, "authurl.")) continue;
    const auto* service =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    EXPECT_NE(service, nullptr) << name;
    for (int i = 0; service != nullptr && i < service->method_count(); ++i) {
      rpcs.push_back(service->method(i));
    }
  }
  return rpcs;
}

const Rpc& FindRpc(const std::string& name) {
  for (const FileDescriptor* file :
       {v1::GetAuthUrlRequest::descriptor()->file(), v1::SocialNetwork::descriptor()->file(),
        v1::Organization::descriptor()->file(), v1::SocialAccount::descriptor()->file(),
        v1::Event::descriptor()->file(), v1::Webhook::descriptor()->file()}) {
    for (int i = 0; i < file->service_count(); ++i) {
      const Rpc* rpc = file->service(i)->FindMethodByName(name);
      if (rpc != nullptr) return *rpc;
    }
  }
  ADD_FAILURE() << "there is no rpc " << name;
  std::abort();
}

std::string PathOf(const Rpc& rpc) {
  return absl::StrCat("/", rpc.service()->full_name(), "/", rpc.name());
}

std::string RequestBytes(const Rpc& rpc, const std::string& text) {
  // Not the generated type: reading text into its maps crashes under the thread sanitizer, where
  // their layout is another one than in a protobuf library that was built without it.
  google::protobuf::DynamicMessageFactory types;
  const std::unique_ptr<google::protobuf::Message> request(
      types.GetPrototype(rpc.input_type())->New());
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, request.get())) << text;
  return request->SerializeAsString();
}

}  // namespace authurl::testing
