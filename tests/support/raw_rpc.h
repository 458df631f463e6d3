// raw_rpc.h: one unary call without generated code: any method, any bytes, any metadata, and all
// that comes back.
#pragma once

#include <google/protobuf/descriptor.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/support/eventually.h"
#include "tests/support/test_client.h"

namespace authurl::testing {

using RawMetadata = std::multimap<std::string, std::string>;

// The metadata of a caller who shows `api_key` and, if `org_id` is not empty, names it.
RawMetadata Bearer(const std::string& api_key, const std::string& org_id = "");

struct RawReply {
  grpc::Status status;
  std::string response;
  // The server's metadata, ahead of the message and with the status.
  RawMetadata headers;
  RawMetadata trailers;
};

RawReply CallRaw(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
                 const std::string& request, const RawMetadata& metadata,
                 absl::Duration timeout = kPatience);

// The same under a context of the test's, which may be cancelled meanwhile.
RawReply CallRaw(grpc::ClientContext& context, const std::shared_ptr<grpc::Channel>& channel,
                 const std::string& path, const std::string& request, const RawMetadata& metadata);

using Rpc = google::protobuf::MethodDescriptor;

// The rpcs of every service of ours that the server serves, found by its reflection.
std::vector<const Rpc*> EveryRpc(const TestClient& client);
// The rpc of that name ("GetAuthUrl"); no two services of ours have one of the same name.
const Rpc& FindRpc(const std::string& name);
// "/authurl.v1.AuthUrlService/GetAuthUrl".
std::string PathOf(const Rpc& rpc);
// The bytes of the rpc's request, from protobuf text; fails the test if the text is none.
std::string RequestBytes(const Rpc& rpc, const std::string& text);

}  // namespace authurl::testing
