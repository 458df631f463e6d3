// callback_frame.h: how calls get from gRPC into the pipeline. The only place that knows that we
// serve through gRPC's callback API; tests/bench/README.md has the measurements behind that choice.
#pragma once

#include <google/protobuf/descriptor.h>
#include <grpcpp/impl/codegen/service_type.h>

#include <memory>
#include <vector>

#include "server/serving/method.h"
#include "server/serving/pipeline.h"

namespace authurl {

// A gRPC service whose methods all go through `pipeline`. `methods` must name every rpc of
// `service` once; anything else is a mistake in the program and ends it. `pipeline` must outlive
// the service.
std::unique_ptr<grpc::Service> MakeCallbackService(
    const google::protobuf::ServiceDescriptor& service, std::vector<Method> methods,
    Pipeline& pipeline);

}  // namespace authurl
