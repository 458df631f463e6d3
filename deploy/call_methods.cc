#include "deploy/call_methods.h"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/text_format.h>

#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "authurl/v1/auth_url_service.pb.h"
#include "authurl/v1/event_service.pb.h"
#include "authurl/v1/organization_service.pb.h"
#include "authurl/v1/social_account_service.pb.h"
#include "authurl/v1/social_network_service.pb.h"
#include "authurl/v1/webhook_service.pb.h"

namespace authurl {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;
using google::protobuf::ServiceDescriptor;

// No Debian package has the health check's .proto; this is what we need of it.
// https://github.com/grpc/grpc/blob/master/doc/health-checking.md
constexpr char kHealthFile[] = R"(
  name: "grpc/health/v1/health.proto" package: "grpc.health.v1" syntax: "proto3"
  message_type { name: "HealthCheckRequest"
    field { name: "service" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING } }
  message_type { name: "HealthCheckResponse"
    field { name: "status" number: 1 label: LABEL_OPTIONAL
            type: TYPE_ENUM type_name: ".grpc.health.v1.HealthCheckResponse.ServingStatus" }
    enum_type { name: "ServingStatus"
      value { name: "UNKNOWN" number: 0 } value { name: "SERVING" number: 1 }
      value { name: "NOT_SERVING" number: 2 } value { name: "SERVICE_UNKNOWN" number: 3 } } }
  service { name: "Health"
    method { name: "Check" input_type: ".grpc.health.v1.HealthCheckRequest"
             output_type: ".grpc.health.v1.HealthCheckResponse" } })";

template <typename Descriptor>
absl::Status Show(const Descriptor& descriptor, absl::string_view kind) {
  std::cout << descriptor.full_name() << " is " << kind << ":\n"
            << absl::StripSuffix(descriptor.DebugString(), "\n") << "\n";
  return absl::OkStatus();
}

}  // namespace

CallMethods::CallMethods() : pool_(DescriptorPool::generated_pool()) {
  google::protobuf::FileDescriptorProto health;
  google::protobuf::TextFormat::ParseFromString(kHealthFile, &health);
  for (const FileDescriptor* file :
       {v1::GetAuthUrlRequest::descriptor()->file(),
        v1::CreateOrganizationRequest::descriptor()->file(),
        v1::CreateSocialNetworkRequest::descriptor()->file(),
        v1::CompleteAuthRequest::descriptor()->file(), v1::ListEventsRequest::descriptor()->file(),
        v1::CreateWebhookRequest::descriptor()->file(), pool_.BuildFile(health)}) {
    services_.push_back(file->service(0));
  }
}

const google::protobuf::MethodDescriptor* CallMethods::Find(const std::string& name) const {
  return pool_.FindMethodByName(absl::StrReplaceAll(name, {{"/", "."}}));
}

std::unique_ptr<google::protobuf::Message> CallMethods::NewMessage(
    const google::protobuf::Descriptor* type) {
  return std::unique_ptr<google::protobuf::Message>(factory_.GetPrototype(type)->New());
}

absl::Status CallMethods::List(const std::string& service_name) const {
  if (service_name.empty()) {
    for (const ServiceDescriptor* service : services_) std::cout << service->full_name() << "\n";
    return absl::OkStatus();
  }
  const ServiceDescriptor* const service = pool_.FindServiceByName(service_name);
  if (service == nullptr) {
    return absl::NotFoundError("there is no service " + service_name + "; list names them all");
  }
  for (int i = 0; i < service->method_count(); ++i) {
    std::cout << service->method(i)->full_name() << "\n";
  }
  return absl::OkStatus();
}

absl::Status CallMethods::Describe(const std::string& name) const {
  if (name.empty()) {
    absl::Status status;
    for (const ServiceDescriptor* service : services_) status.Update(Show(*service, "a service"));
    return status;
  }
  const std::string symbol = absl::StrReplaceAll(name, {{"/", "."}});
  if (const auto* service = pool_.FindServiceByName(symbol)) return Show(*service, "a service");
  if (const auto* method = pool_.FindMethodByName(symbol)) return Show(*method, "a method");
  if (const auto* message = pool_.FindMessageTypeByName(symbol)) return Show(*message, "a message");
  if (const auto* type = pool_.FindEnumTypeByName(symbol)) return Show(*type, "an enum");
  return absl::NotFoundError(absl::StrCat("there is no service, method, message or enum ", name,
                                          "; describe shows the services and their messages"));
}

void CallMethods::ListMethods() const {
  for (const ServiceDescriptor* service : services_) {
    for (int i = 0; i < service->method_count(); ++i) {
      std::cout << "  " << service->full_name() << "/" << service->method(i)->name() << "\n";
    }
  }
}

}  // namespace authurl
