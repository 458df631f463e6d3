// call.cc: calls one rpc of an authurl server from the command line. Arguments and output are those
// of grpcurl (https://github.com/fullstorydev/grpcurl), as far as it has them; this is for machines
// that have none. It knows the messages of authurl and of the health check by itself, so the server
// need not offer reflection.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "authurl/v1/auth_url_service.pb.h"
#include "authurl/v1/event_service.pb.h"
#include "authurl/v1/organization_service.pb.h"
#include "authurl/v1/social_account_service.pb.h"
#include "authurl/v1/social_network_service.pb.h"
#include "authurl/v1/webhook_service.pb.h"
#include "core/version.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace authurl {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;
using google::protobuf::Message;
using google::protobuf::MethodDescriptor;
using google::protobuf::ServiceDescriptor;

constexpr absl::string_view kUsage =
    R"(usage: authurl-call [flags] ADDRESS SERVICE/METHOD
       authurl-call [flags] ADDRESS list [SERVICE]
       authurl-call [flags] ADDRESS describe [NAME]
       authurl-call -version

ADDRESS is host:port or unix:/path. `list` lists the services that can be called, or the methods of one; `describe`
shows a service, a method, a message or an enum, or all services. Neither asks the server. The flags are grpcurl's:
  -plaintext          no TLS
  -cacert FILE        certificates of the authorities that the server's certificate may come from
  -cert FILE          certificate to show to the server (mTLS) ...
  -key FILE           ... and its private key
  -H 'name: value'    metadata to send; may be repeated
  -expand-headers     ${NAME} in a -H stands for the environment variable: keeps secrets out of `ps`
  -d JSON             the request; @ reads it from standard input; empty when the flag is missing
  -max-time SECONDS   gives up after so long
  -v                  shows what is sent and received besides the messages; credentials are left out

Exit code: 0, 1 when the call can't be made, or 64 + the gRPC status code of the reply. Methods:
)";

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

struct Arguments {
  bool plaintext = false;
  bool expand_headers = false;
  bool verbose = false;
  std::string cacert, cert, key, data, max_time;
  std::vector<std::string> headers;
  // `argument` is that of the words "list" and "describe"; empty for none.
  std::string address, method, argument;
};

bool IsWord(const std::string& method) { return method == "list" || method == "describe"; }

// As Go's flag package: "-name value", "-name=value", or either with two dashes; flags come first.
absl::StatusOr<Arguments> ParseArguments(const std::vector<std::string>& words) {
  Arguments arguments;
  std::string header;
  const std::map<std::string, bool*> switches = {{"plaintext", &arguments.plaintext},
                                                 {"expand-headers", &arguments.expand_headers},
                                                 {"v", &arguments.verbose}};
  const std::map<std::string, std::string*> values = {{"cacert", &arguments.cacert},
                                                      {"cert", &arguments.cert},
                                                      {"key", &arguments.key},
                                                      {"d", &arguments.data},
                                                      {"H", &header},
                                                      {"max-time", &arguments.max_time}};
  auto word = words.begin();
  for (; word != words.end() && word->size() > 1 && word->front() == '-'; ++word) {
    absl::string_view flag = *word;
    flag.remove_prefix(absl::StartsWith(flag, "--") ? 2 : 1);
    const std::pair<std::string, std::string> parts = absl::StrSplit(flag, absl::MaxSplits('=', 1));
    if (const auto found = switches.find(std::string(flag)); found != switches.end()) {
      *found->second = true;
      continue;
    }
    const auto found = values.find(parts.first);
    if (found == values.end()) return absl::InvalidArgumentError("unknown flag: " + *word);
    const bool has_value = parts.first.size() < flag.size();
    if (!has_value && ++word == words.end()) {
      return absl::InvalidArgumentError("this flag needs a value: -" + parts.first);
    }
    *found->second = has_value ? parts.second : *word;
    if (found->second == &header) arguments.headers.push_back(header);
  }
  const auto left = words.end() - word;
  if (left != 2 && !(left == 3 && IsWord(word[1]))) {
    return absl::InvalidArgumentError("give an address and a method after the flags; see -help");
  }
  arguments.address = word[0];
  arguments.method = word[1];
  if (left == 3) arguments.argument = word[2];
  if (arguments.plaintext && !(arguments.cacert + arguments.cert + arguments.key).empty()) {
    return absl::InvalidArgumentError("-plaintext excludes -cacert, -cert and -key");
  }
  if (arguments.cert.empty() != arguments.key.empty()) {
    return absl::InvalidArgumentError("-cert and -key belong together");
  }
  return arguments;
}

// The rpcs that can be called and their messages.
class Methods final {
 public:
  Methods() : pool_(DescriptorPool::generated_pool()) {
    google::protobuf::FileDescriptorProto health;
    google::protobuf::TextFormat::ParseFromString(kHealthFile, &health);
    for (const FileDescriptor* file :
         {v1::GetAuthUrlRequest::descriptor()->file(),
          v1::CreateOrganizationRequest::descriptor()->file(),
          v1::CreateSocialNetworkRequest::descriptor()->file(),
          v1::CompleteAuthRequest::descriptor()->file(),
          v1::ListEventsRequest::descriptor()->file(),
          v1::CreateWebhookRequest::descriptor()->file(), pool_.BuildFile(health)}) {
      services_.push_back(file->service(0));
    }
  }

  // Takes "service/method" and "service.method". Null if there is none.
  const MethodDescriptor* Find(const std::string& name) const {
    return pool_.FindMethodByName(absl::StrReplaceAll(name, {{"/", "."}}));
  }
  std::unique_ptr<Message> NewMessage(const google::protobuf::Descriptor* type) {
    return std::unique_ptr<Message>(factory_.GetPrototype(type)->New());
  }
  // The services, or the methods of the one of that name.
  absl::Status List(const std::string& service_name) const {
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
  // Shows what has that name, or every service.
  absl::Status Describe(const std::string& name) const {
    if (name.empty()) {
      absl::Status status;
      for (const ServiceDescriptor* service : services_) {
        status.Update(Show(*service, "a service"));
      }
      return status;
    }
    const std::string symbol = absl::StrReplaceAll(name, {{"/", "."}});
    if (const auto* service = pool_.FindServiceByName(symbol)) return Show(*service, "a service");
    if (const auto* method = pool_.FindMethodByName(symbol)) return Show(*method, "a method");
    if (const auto* message = pool_.FindMessageTypeByName(symbol)) {
      return Show(*message, "a message");
    }
    if (const auto* type = pool_.FindEnumTypeByName(symbol)) return Show(*type, "an enum");
    return absl::NotFoundError(absl::StrCat("there is no service, method, message or enum ", name,
                                            "; describe shows the services and their messages"));
  }
  void ListMethods() const {
    for (const ServiceDescriptor* service : services_) {
      for (int i = 0; i < service->method_count(); ++i) {
        std::cout << "  " << service->full_name() << "/" << service->method(i)->name() << "\n";
      }
    }
  }

 private:
  template <typename Descriptor>
  static absl::Status Show(const Descriptor& descriptor, absl::string_view kind) {
    std::cout << descriptor.full_name() << " is " << kind << ":\n"
              << absl::StripSuffix(descriptor.DebugString(), "\n") << "\n";
    return absl::OkStatus();
  }

  DescriptorPool pool_;
  google::protobuf::DynamicMessageFactory factory_;
  std::vector<const ServiceDescriptor*> services_;
};

// Reads a file into `content`; nothing when no file is named.
absl::Status ReadFile(const std::string& path, std::string& content) {
  if (path.empty()) return absl::OkStatus();
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::NotFoundError("can't read " + path);
  content.assign(std::istreambuf_iterator<char>(in), {});
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(const Arguments& arguments) {
  // gRPC would ask the proxy of http_proxy even for 127.0.0.1.
  grpc::ChannelArguments direct;
  direct.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  direct.SetUserAgentPrefix(absl::StrCat("authurl-call/", BuiltVersion().number));
  if (arguments.plaintext) {
    return grpc::CreateCustomChannel(arguments.address, grpc::InsecureChannelCredentials(), direct);
  }
  grpc::SslCredentialsOptions options;
  absl::Status status = ReadFile(arguments.cacert, options.pem_root_certs);
  status.Update(ReadFile(arguments.cert, options.pem_cert_chain));
  status.Update(ReadFile(arguments.key, options.pem_private_key));
  if (!status.ok()) return status;
  return grpc::CreateCustomChannel(arguments.address, grpc::SslCredentials(options), direct);
}

// Replaces every ${NAME} by the environment variable.
absl::StatusOr<std::string> ExpandVariables(std::string text) {
  for (size_t start = text.find("${"); start != std::string::npos; start = text.find("${", start)) {
    const size_t end = text.find('}', start);
    if (end == std::string::npos) break;
    const std::string name = text.substr(start + 2, end - start - 2);
    const char* const value = std::getenv(name.c_str());
    if (value == nullptr) return absl::NotFoundError("no such environment variable: " + name);
    text.replace(start, end + 1 - start, value);
    start += std::string(value).size();
  }
  return text;
}

bool IsCredential(absl::string_view name) { return name == "authorization"; }

void PrintMetadata(absl::string_view title,
                   const std::multimap<grpc::string_ref, grpc::string_ref>& metadata) {
  std::cout << title << ":\n";
  if (metadata.empty()) std::cout << "(empty)\n";
  for (const auto& [name, value] : metadata) {
    const bool is_binary = absl::EndsWith(absl::string_view(name.data(), name.size()), "-bin");
    const std::string text(value.data(), value.size());
    std::cout << absl::string_view(name.data(), name.size()) << ": "
              << (is_binary ? absl::Base64Escape(text) : text) << "\n";
  }
  std::cout << "\n";
}

void PrintCall(const MethodDescriptor& method,
               const std::vector<std::pair<std::string, std::string>>& headers) {
  std::cout << "\nResolved method descriptor:\n"
            << method.DebugString() << "\nRequest metadata to send:\n";
  if (headers.empty()) std::cout << "(empty)\n";
  for (const auto& [name, value] : headers) {
    std::cout << name << ": " << (IsCredential(name) ? "(not shown)" : value) << "\n";
  }
  std::cout << "\n";
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> Headers(
    const Arguments& arguments) {
  std::vector<std::pair<std::string, std::string>> headers;
  for (const std::string& header : arguments.headers) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(header, absl::MaxSplits(':', 1));
    absl::StatusOr<std::string> value(absl::StripAsciiWhitespace(parts.second));
    if (arguments.expand_headers) value = ExpandVariables(*std::move(value));
    if (!value.ok()) return value.status();
    headers.emplace_back(absl::AsciiStrToLower(absl::StripAsciiWhitespace(parts.first)), *value);
  }
  return headers;
}

absl::Status SetDeadline(const Arguments& arguments, grpc::ClientContext& context) {
  if (arguments.max_time.empty()) return absl::OkStatus();
  double seconds = 0;
  if (!absl::SimpleAtod(arguments.max_time, &seconds) || !(seconds > 0 && seconds < 1e6)) {
    return absl::InvalidArgumentError("-max-time must be a number of seconds greater than 0");
  }
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::microseconds(static_cast<int64_t>(seconds * 1e6)));
  return absl::OkStatus();
}

// What protobuf's sentence about an unknown value of an enum does not say.
std::string KnownValues(const google::protobuf::Descriptor& request, absl::string_view sentence) {
  for (int i = 0; i < request.field_count(); ++i) {
    const google::protobuf::EnumDescriptor* const type = request.field(i)->enum_type();
    if (type == nullptr || !absl::StrContains(sentence, type->full_name())) continue;
    std::vector<std::string> values;
    // The first one means that there is none.
    for (int j = 1; j < type->value_count(); ++j) values.push_back(type->value(j)->name());
    return absl::StrCat("; it takes ", absl::StrJoin(values, ", "));
  }
  return "";
}

absl::Status ReadRequest(const Arguments& arguments, Message& request) {
  std::string json = arguments.data;
  if (json == "@") json.assign(std::istreambuf_iterator<char>(std::cin), {});
  if (absl::StripAsciiWhitespace(json).empty()) return absl::OkStatus();
  const auto parsed = google::protobuf::util::JsonStringToMessage(json, &request);
  if (parsed.ok()) return absl::OkStatus();
  const std::string why = parsed.message().as_string();
  return absl::InvalidArgumentError(absl::StrCat("-d is not a valid ", request.GetTypeName(),
                                                 " in JSON: ", why,
                                                 KnownValues(*request.GetDescriptor(), why)));
}

// Indented by two spaces for each level; lines after the first begin with `prefix`.
std::string ToJson(const Message& message, absl::string_view prefix) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  // As grpcurl does with a server whose reflection tells no JSON names, such as gRPC's in C++.
  options.preserve_proto_field_names = true;
  std::string json;
  const auto printed = google::protobuf::util::MessageToJsonString(message, &json, options);
  if (!printed.ok()) return "(a message of an unknown type)";
  std::string indented;
  for (absl::string_view line : absl::StrSplit(absl::StripSuffix(json, "\n"), '\n')) {
    const std::string level(line.find_first_not_of(' '), ' ');
    absl::StrAppend(&indented, indented.empty() ? "" : absl::StrCat("\n", prefix), level, line);
  }
  return indented;
}

// Finds the id under which the server logs the call; empty if the server has not said it.
std::string RequestIdIn(const grpc::ClientContext& context) {
  for (const auto& metadata :
       {context.GetServerTrailingMetadata(), context.GetServerInitialMetadata()}) {
    const auto found = metadata.find("x-request-id");
    if (found != metadata.end()) return {found->second.data(), found->second.size()};
  }
  return "";
}

void PrintError(const grpc::Status& status, const std::string& request_id) {
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  std::string code_name;
  for (absl::string_view word : absl::StrSplit(absl::StatusCodeToString(code), '_')) {
    absl::StrAppend(&code_name, word.substr(0, 1), absl::AsciiStrToLower(word.substr(1)));
  }
  std::cerr << "ERROR:\n  Code: " << code_name << "\n  Message: " << status.error_message() << "\n";
  if (!request_id.empty()) std::cerr << "  Request id: " << request_id << "\n";
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details()) || details.details().empty()) return;
  std::cerr << "  Details:\n";
  for (int i = 0; i < details.details_size(); ++i) {
    std::cerr << "  " << i + 1 << ")\t" << ToJson(details.details(i), "    \t") << "\n";
  }
}

struct Outcome {
  grpc::Status status;
  std::string request_id;
};

// What the server says goes to `outcome`; an error means that the call could not be made.
absl::Status Run(const Arguments& arguments, Methods& methods, Outcome& outcome) {
  if (arguments.method == "list") return methods.List(arguments.argument);
  if (arguments.method == "describe") return methods.Describe(arguments.argument);
  const MethodDescriptor* const method = methods.Find(arguments.method);
  if (method == nullptr) {
    return absl::NotFoundError("there is no method " + arguments.method + "; -help lists them all");
  }
  const absl::StatusOr<std::shared_ptr<grpc::Channel>> channel = Connect(arguments);
  if (!channel.ok()) return channel.status();
  grpc::ClientContext context;
  const std::unique_ptr<Message> request = methods.NewMessage(method->input_type());
  const auto headers = Headers(arguments);
  absl::Status status = headers.status();
  status.Update(SetDeadline(arguments, context));
  status.Update(ReadRequest(arguments, *request));
  if (!status.ok()) return status;
  for (const auto& [name, value] : *headers) context.AddMetadata(name, value);
  if (arguments.verbose) PrintCall(*method, *headers);

  grpc::TemplatedGenericStub<Message, Message> stub(*channel);
  grpc::CompletionQueue queue;
  const std::string path = absl::StrCat("/", method->service()->full_name(), "/", method->name());
  const auto call = stub.PrepareUnaryCall(&context, path, *request, &queue);
  const std::unique_ptr<Message> reply = methods.NewMessage(method->output_type());
  call->StartCall();
  call->Finish(reply.get(), &outcome.status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  outcome.request_id = RequestIdIn(context);
  if (arguments.verbose) {
    PrintMetadata("Response headers received", context.GetServerInitialMetadata());
    if (outcome.status.ok()) std::cout << "Response contents:\n";
  }
  if (outcome.status.ok()) std::cout << ToJson(*reply, "") << std::endl;
  if (arguments.verbose) {
    std::cout << "\n";
    PrintMetadata("Response trailers received", context.GetServerTrailingMetadata());
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace authurl

int main(int argc, char** argv) {
  // Keeps the types that errors carry in the binary.
  google::rpc::ErrorInfo::descriptor();
  setenv("GRPC_VERBOSITY", "NONE", /*replace=*/0);
  const std::vector<std::string> words(argv + 1, argv + argc);
  authurl::Methods methods;
  if (words == std::vector<std::string>{"-version"} ||
      words == std::vector<std::string>{"--version"}) {
    std::cout << authurl::VersionLine("authurl-call");
    return 0;
  }
  if (words == std::vector<std::string>{"-help"} || words == std::vector<std::string>{"--help"}) {
    std::cout << authurl::kUsage;
    methods.ListMethods();
    return 0;
  }
  const absl::StatusOr<authurl::Arguments> arguments = authurl::ParseArguments(words);
  absl::Status status = arguments.status();
  authurl::Outcome outcome;
  if (status.ok()) status = authurl::Run(*arguments, methods, outcome);
  if (!status.ok()) {
    std::cerr << "authurl-call: " << status.message() << "\n";
    return 1;
  }
  if (outcome.status.ok()) return 0;
  authurl::PrintError(outcome.status, outcome.request_id);
  return 64 + outcome.status.error_code();
}
