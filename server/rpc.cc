#include "server/rpc.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/grpc_status.h"
#include "server/log.h"

namespace authurl {
namespace {

constexpr char kRequestIdKey[] = "x-request-id";

size_t SizeOf(const Metadata& metadata) {
  size_t size = 0;
  for (const auto& [key, value] : metadata) size += key.size() + value.size();
  return size;
}

bool IsRequestId(absl::string_view id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
  });
}

// The caller's, where it is fit for a log; else a new one.
std::string RequestId(const Metadata& metadata, const RandomSource& random) {
  const auto found = metadata.find(kRequestIdKey);
  if (found != metadata.end()) {
    const absl::string_view id(found->second.data(), found->second.size());
    if (IsRequestId(id)) return std::string(id);
  }
  std::array<uint8_t, 16> bytes;
  random(bytes);
  return HexEncode(AsChars(bytes));
}

// A call on its way through the pipeline.
class Call final {
 public:
  Call(const Method& method, IncomingCall incoming, std::string request_id)
      : method_(method), incoming_(std::move(incoming)), request_id_(std::move(request_id)) {}

  // What runs on a worker.
  absl::Status Do(CredentialStore& store, const Credentials& credentials) {
    const auto deadline = incoming_.context.deadline();
    if (std::chrono::system_clock::now() > deadline) {
      return MakeError(absl::StatusCode::kDeadlineExceeded, "DEADLINE_EXCEEDED",
                       "The deadline passed while the call was waiting");
    }
    // For the log, also when the key is refused: who tried.
    caller_.key_id = credentials.api_key.key_id;
    const absl::StatusOr<Caller> caller = Authorize(store, credentials, method_.access);
    if (!caller.ok()) return caller.status();
    caller_ = *caller;
    caller_.request_id = request_id_;
    caller_.deadline = absl::FromChrono(deadline);
    return method_.run(caller_, incoming_.request, incoming_.response);
  }

  // Sends the reply; `on_sent` follows once it is on the wire.
  void Finish(const absl::Status& status, absl::AnyInvocable<void()> on_sent) {
    const grpc::Status sent = ToGrpcStatus(status);
    const std::string cause = status.ok() ? "" : CauseOf(status);
    Log(cause.empty() ? LogLevel::kInfo : LogLevel::kError, "call",
        {{"method", method_.path},
         {"code", CodeName(sent.error_code())},
         {"reason", status.ok() ? "" : ReasonOf(status)},
         {"request_id", request_id_},
         {"key_id", caller_.key_id},
         {"org_id", caller_.org_id},
         {"microseconds", absl::ToInt64Microseconds(absl::Now() - started_)},
         {"cause", cause}});
    incoming_.finish(sent, std::move(on_sent));
  }

 private:
  const Method& method_;
  IncomingCall incoming_;
  const std::string request_id_;
  const absl::Time started_ = absl::Now();
  Caller caller_;
};

// Nothing that a handler or a library throws may end the process; the caller sees INTERNAL.
absl::Status DoWithoutThrowing(Call& call, CredentialStore& store, const Credentials& credentials) {
  try {
    return call.Do(store, credentials);
  } catch (const std::exception& exception) {
    return absl::InternalError(absl::StrCat("exception: ", exception.what()));
  } catch (...) {
    return absl::InternalError("exception of unknown type");
  }
}

}  // namespace

void Pipeline::Serve(const Method& method, IncomingCall incoming) {
  const Metadata& metadata = incoming.context.client_metadata();
  std::string request_id = RequestId(metadata, random_);
  incoming.context.AddInitialMetadata(kRequestIdKey, request_id);
  const size_t metadata_size = SizeOf(metadata);
  absl::StatusOr<Credentials> credentials = ReadCredentials(metadata);
  const auto call = std::make_shared<Call>(method, std::move(incoming), std::move(request_id));

  if (!admission_.TryEnter()) {
    call->Finish(MakeRetryableError(absl::StatusCode::kUnavailable, "SHUTTING_DOWN",
                                    "This server is stopping; call another one", absl::Seconds(1)),
                 [] {});
    return;
  }
  const auto leave = [this] { admission_.Leave(); };
  if (metadata_size > max_metadata_bytes_) {
    call->Finish(MakeError(absl::StatusCode::kResourceExhausted, "METADATA_TOO_LARGE",
                           absl::StrCat("The call's metadata are ", metadata_size,
                                        " bytes; at most ", max_metadata_bytes_, " are taken")),
                 leave);
    return;
  }
  if (!credentials.ok()) return call->Finish(credentials.status(), leave);
  const bool accepted =
      workers_.TrySubmit([this, call, leave, credentials = *std::move(credentials)] {
        call->Finish(DoWithoutThrowing(*call, store_, credentials), leave);
      });
  if (accepted) return;
  call->Finish(
      MakeRetryableError(absl::StatusCode::kResourceExhausted, "OVERLOADED",
                         "The server has too much to do; try again", absl::Milliseconds(100)),
      leave);
}

}  // namespace authurl
