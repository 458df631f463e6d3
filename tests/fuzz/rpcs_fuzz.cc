// Any calls of a server, one after the other: the handlers of all services over a real store. Each
// is answered, or refused with a reason; none hits upon an internal fault.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "core/api_key.h"
#include "core/catalog/network_catalog.h"
#include "core/crypto/crypto.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "inputs.pb.h"
#include "server/api/auth_url_service.h"
#include "server/api/organization_service.h"
#include "server/api/social_network_service.h"
#include "storage/credential_store.h"
#include "storage/sqlite/sqlite_backend.h"
#include "tests/fuzz/keys.h"
#include "tests/fuzz/message_input.h"
#include "tests/fuzz/must.h"
#include "tests/support/no_limit.h"
#include "tests/support/plain_call.h"
#include "tests/support/purge.h"

namespace authurl::fuzz {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// So that what can't be deleted does not pile up.
constexpr int kInputsPerDatabase = 5000;

// The text field of that name; null where there is none.
const FieldDescriptor* TextField(const Message& message, const std::string& name) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(name);
  return field != nullptr && field->cpp_type() == FieldDescriptor::CPPTYPE_STRING ? field : nullptr;
}

class Server final {
 public:
  Server() {
    std::string path = (std::filesystem::temp_directory_path() / "authurl-fuzz-XXXXXX").string();
    Must(mkdtemp(path.data()) != nullptr, "there is room for a folder");
    folder_ = path;
    auto backend = OpenSqliteBackend((folder_ / "authurl.db").string());
    Must(backend.ok(), backend.status().ToString());
    auto store = CredentialStore::Open(*std::move(backend), FixedSealer(), FillRandom);
    Must(store.ok(), store.status().ToString());
    store_ = *std::move(store);
    const Clock clock = [] { return absl::FromUnixSeconds(1'795'435'200); };
    auth_urls_ = std::make_unique<AuthUrlService>(
        catalog_, FixedSealer(), *store_, metrics_, clock, FillRandom,
        AuthUrlService::Options{.public_base_url = "", .state_ttl = absl::Minutes(10)});
    networks_ =
        std::make_unique<SocialNetworkService>(catalog_, FixedSealer(), *store_, clock, FillRandom);
    organizations_ =
        std::make_unique<OrganizationService>(FixedSealer(), *store_, clock, FillRandom);
    for (const auto& methods :
         {auth_urls_->Methods(), networks_->Methods(), organizations_->Methods()}) {
      for (const Method& method : methods) {
        methods_.emplace(method.path.substr(method.path.rfind('/') + 1), method);
      }
    }
  }
  ~Server() {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void Run(const Calls& calls) {
    Clear();
    for (const Call& call : calls.calls()) {
      const auto* request = call.GetReflection()->GetOneofFieldDescriptor(
          call, call.GetDescriptor()->FindOneofByName("request"));
      if (request == nullptr) continue;
      Run(call.org_id(), call.GetReflection()->GetMessage(call, request));
    }
  }

 private:
  void Clear() {
    const auto organizations = store_->ListOrganizations(testing::kNoLimit, "", {.rows = 1000});
    Must(organizations.ok(), "organisations can be listed");
    for (const auto& organization : organizations->records) {
      Must(store_->DeleteOrganization(testing::kNoLimit, organization.org_id(), absl::Now()).ok(),
           "and deleted");
    }
    absl::StatusOr<int> purged;
    do {
      purged = testing::PurgeOrganizations(*store_, 1000);
      Must(purged.ok(), "and purged");
    } while (*purged > 0);
    last_.clear();
  }

  void Run(const std::string& org_id, const Message& written) {
    const std::unique_ptr<Message> request(written.New());
    request->CopyFrom(written);
    for (const auto& [field, value] : last_) SetLast(field, value, *request);
    const std::string rpc(
        absl::StripSuffix(absl::string_view(request->GetDescriptor()->name()), "Request"));
    const auto method = methods_.find(rpc);
    Must(method != methods_.end(), "there is an rpc ", rpc);
    testing::KeptReply reply;
    const Caller caller = {.key_id = "AbCdEf012345", .org_id = org_id};
    const absl::Status status =
        testing::RunMethod(method->second, caller, request->SerializeAsString(), reply);
    if (!status.ok()) return MustBeForTheCaller(status);
    CheckResponse(rpc, reply.message());
  }

  static void SetLast(const std::string& name, const std::string& value, Message& request) {
    const FieldDescriptor* field = TextField(request, name);
    if (field == nullptr || request.GetReflection()->GetString(request, field) != "last") return;
    request.GetReflection()->SetString(&request, field, value);
  }

  void CheckResponse(const std::string& rpc, const std::string& bytes) {
    const auto* type = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(
        absl::StrCat("authurl.v1.", rpc, "Response"));
    Must(type != nullptr, rpc, " has a response");
    const std::unique_ptr<Message> response(
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
    Must(response->ParseFromString(bytes), "a response is a message, in UTF-8");
    Remember(*response);
    for (const auto& [field, value] : Fields(*response, "auth_url")) {
      Must(absl::StartsWith(value, "https://"), "a URL is one of https: ", value);
    }
    for (const auto& [field, value] : Fields(*response, "key")) {
      Must(ParseApiKey(value).has_value(), "a new key is a key");
    }
  }

  // The text of that name in the message itself, where there is any.
  static std::map<std::string, std::string> Fields(const Message& message,
                                                   const std::string& name) {
    const FieldDescriptor* field = TextField(message, name);
    if (field == nullptr || field->is_repeated()) return {};
    return {{name, message.GetReflection()->GetString(message, field)}};
  }

  void Remember(const Message& response) {
    for (const auto& [field, value] : Fields(response, "next_page_token")) {
      last_["page_token"] = value;
    }
    for (const char* holder : {"social_network", "api_key"}) {
      const FieldDescriptor* field = response.GetDescriptor()->FindFieldByName(holder);
      if (field == nullptr) continue;
      const Message& held = response.GetReflection()->GetMessage(response, field);
      for (const char* name : {"id", "key_id"}) {
        for (const auto& [id, value] : Fields(held, name)) last_[id] = value;
      }
      // Requests call a configuration by its id or its name.
      for (const auto& [id, value] : Fields(held, "id")) last_["configuration"] = value;
    }
  }

  std::filesystem::path folder_;
  const NetworkCatalog catalog_ = NetworkCatalog::Parse(BuiltInNetworksText()).value();
  std::unique_ptr<CredentialStore> store_;
  Metrics metrics_;
  std::unique_ptr<AuthUrlService> auth_urls_;
  std::unique_ptr<SocialNetworkService> networks_;
  std::unique_ptr<OrganizationService> organizations_;
  // By the name of the rpc.
  std::map<std::string, Method> methods_;
  // What stands for "last", by field.
  std::map<std::string, std::string> last_;
};

}  // namespace
}  // namespace authurl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static std::unique_ptr<authurl::fuzz::Server> server;
  static int inputs = 0;
  authurl::fuzz::Calls calls;
  if (!authurl::fuzz::ReadMessage(data, size, calls)) return 0;
  if (inputs++ % authurl::fuzz::kInputsPerDatabase == 0) {
    server = std::make_unique<authurl::fuzz::Server>();
  }
  server->Run(calls);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  authurl::fuzz::Calls calls;
  return authurl::fuzz::MutateMessage(data, size, max_size, seed, calls);
}
