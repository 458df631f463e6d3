#ifndef AUTHURL_DEPLOY_CALL_METHODS_H_
#define AUTHURL_DEPLOY_CALL_METHODS_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/message.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace authurl {

// The rpcs that authurl-call can make, and their messages: authurl's and the health check's. It
// knows them by itself, so the server need not offer reflection.
class CallMethods final {
 public:
  CallMethods();

  // Takes "service/method" and "service.method". Null if there is none.
  const google::protobuf::MethodDescriptor* Find(const std::string& name) const;
  std::unique_ptr<google::protobuf::Message> NewMessage(const google::protobuf::Descriptor* type);

  // The three print to standard output. NOT_FOUND where nothing has that name.
  // The services, or the methods of the one of that name.
  absl::Status List(const std::string& service_name) const;
  // What has that name: a service, a method, a message or an enum. Every service, where it is
  // empty.
  absl::Status Describe(const std::string& name) const;
  // Every method, as a command line names it.
  void ListMethods() const;

 private:
  google::protobuf::DescriptorPool pool_;
  google::protobuf::DynamicMessageFactory factory_;
  std::vector<const google::protobuf::ServiceDescriptor*> services_;
};

}  // namespace authurl

#endif  // AUTHURL_DEPLOY_CALL_METHODS_H_
