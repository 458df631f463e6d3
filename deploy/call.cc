// call.cc: calls one rpc of an authurl server from the command line. Arguments and output are those
// of grpcurl (https://github.com/fullstorydev/grpcurl), as far as it has them; this is for machines
// that have none.
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
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "core/version.h"
#include "deploy/call_arguments.h"
#include "deploy/call_methods.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace authurl {
namespace {

using google::protobuf::Message;
using google::protobuf::MethodDescriptor;

// Reads a file into `content`; nothing when no file is named.
absl::Status ReadFile(const std::string& path, std::string& content) {
  if (path.empty()) return absl::OkStatus();
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::NotFoundError("can't read " + path);
  content.assign(std::istreambuf_iterator<char>(in), {});
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(const CallArguments& arguments) {
  grpc::ChannelArguments settings;
  // gRPC would ask the proxy of http_proxy even for 127.0.0.1.
  settings.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  settings.SetUserAgentPrefix(absl::StrCat("authurl-call/", BuiltVersion().number));
  if (arguments.max_reply_bytes > 0) settings.SetMaxReceiveMessageSize(arguments.max_reply_bytes);
  if (!arguments.authority.empty()) {
    settings.SetString(GRPC_ARG_DEFAULT_AUTHORITY, arguments.authority);
  }
  if (arguments.plaintext) {
    return grpc::CreateCustomChannel(arguments.address, grpc::InsecureChannelCredentials(),
                                     settings);
  }
  grpc::SslCredentialsOptions options;
  absl::Status status = ReadFile(arguments.cacert, options.pem_root_certs);
  status.Update(ReadFile(arguments.cert, options.pem_cert_chain));
  status.Update(ReadFile(arguments.key, options.pem_private_key));
  if (!status.ok()) return status;
  return grpc::CreateCustomChannel(arguments.address, grpc::SslCredentials(options), settings);
}

// Waits until the channel is connected, or the call is to tell that it can't be.
absl::Status AwaitConnection(const CallArguments& arguments, grpc::Channel& channel) {
  if (!arguments.connect_timeout) return absl::OkStatus();
  const auto end = std::chrono::system_clock::now() + *arguments.connect_timeout;
  grpc_connectivity_state state = channel.GetState(/*try_to_connect=*/true);
  while (state != GRPC_CHANNEL_READY && state != GRPC_CHANNEL_TRANSIENT_FAILURE) {
    if (!channel.WaitForStateChange(state, end)) {
      return absl::DeadlineExceededError(
          absl::StrCat(arguments.address, " does not answer within -connect-timeout"));
    }
    state = channel.GetState(/*try_to_connect=*/true);
  }
  return absl::OkStatus();
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

absl::Status ReadRequest(const CallArguments& arguments, Message& request) {
  std::string json = arguments.data;
  if (json == "@") json.assign(std::istreambuf_iterator<char>(std::cin), {});
  if (absl::StripAsciiWhitespace(json).empty()) return absl::OkStatus();
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = arguments.allow_unknown_fields;
  const auto parsed = google::protobuf::util::JsonStringToMessage(json, &request, options);
  if (parsed.ok()) return absl::OkStatus();
  const std::string why = parsed.message().as_string();
  return absl::InvalidArgumentError(absl::StrCat("-d is not a valid ", request.GetTypeName(),
                                                 " in JSON: ", why,
                                                 KnownValues(*request.GetDescriptor(), why)));
}

// Indented by two spaces for each level; lines after the first begin with `prefix`.
std::string ToJson(const Message& message, absl::string_view prefix, bool emit_defaults = false) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = emit_defaults;
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
absl::Status Run(const CallArguments& arguments, CallMethods& methods, Outcome& outcome) {
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
  absl::Status status = ReadRequest(arguments, *request);
  if (status.ok()) status = AwaitConnection(arguments, **channel);
  if (!status.ok()) return status;
  for (const auto& [name, value] : arguments.headers) context.AddMetadata(name, value);
  if (arguments.max_time) {
    context.set_deadline(std::chrono::system_clock::now() + *arguments.max_time);
  }
  if (arguments.verbose) PrintCall(*method, arguments.headers);

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
  if (outcome.status.ok()) {
    std::cout << ToJson(*reply, "", arguments.emit_defaults) << std::endl;
  }
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
  authurl::CallMethods methods;
  if (words == std::vector<std::string>{"-version"} ||
      words == std::vector<std::string>{"--version"}) {
    std::cout << authurl::VersionLine("authurl-call");
    return 0;
  }
  if (words == std::vector<std::string>{"-help"} || words == std::vector<std::string>{"--help"}) {
    std::cout << authurl::CallUsage();
    methods.ListMethods();
    return 0;
  }
  const absl::StatusOr<authurl::CallArguments> arguments = authurl::ParseCallArguments(words);
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
