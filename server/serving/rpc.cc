#include "server/serving/rpc.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <memory>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/observe/access_log.h"
#include "server/observe/code_name.h"
#include "server/observe/log.h"
#include "server/serving/grpc_status.h"

namespace authurl {
namespace {

constexpr char kRequestIdKey[] = "x-request-id";

// Whether a caller's own request id can go into the log as it is.
bool IsFitForLog(absl::string_view id) {
  constexpr size_t kMaxBytes = 64;
  return !id.empty() && id.size() <= kMaxBytes &&
         std::all_of(id.begin(), id.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
         });
}

// The caller's, or a new one.
std::string RequestIdOf(const Metadata& metadata, const RandomSource& random) {
  const auto found = metadata.find(kRequestIdKey);
  if (found != metadata.end()) {
    const absl::string_view given(found->second.data(), found->second.size());
    if (IsFitForLog(given)) return std::string(given);
  }
  std::array<uint8_t, 16> bytes;
  random(bytes);
  return HexEncode(AsChars(bytes));
}

size_t SizeOf(const Metadata& metadata) {
  size_t size = 0;
  for (const auto& [key, value] : metadata) size += key.size() + value.size();
  return size;
}

// A call on its way through the pipeline: first on the stack of gRPC's thread, and in a place of
// its own if it has to wait for a worker. Because it moves, no member may be a view of another one:
// short texts move with it.
class Call final {
 public:
  Call(const Method& method, IncomingCall incoming, const RandomSource& random, Metrics& metrics)
      : method_(method),
        incoming_(std::move(incoming)),
        request_id_(RequestIdOf(incoming_.context.client_metadata(), random)),
        metrics_(metrics) {
    metrics_.CallStarted(method_.metric);
    incoming_.context.AddInitialMetadata(kRequestIdKey, request_id_);
  }
  Call(Call&&) = default;

  absl::Status ReadCredentials() {
    absl::StatusOr<Credentials> credentials =
        authurl::ReadCredentials(incoming_.context.client_metadata());
    if (!credentials.ok()) return credentials.status();
    credentials_ = *credentials;
    return absl::OkStatus();
  }

  absl::Status Handle(CredentialStore& store, Wait wait) {
    const auto deadline = incoming_.context.deadline();
    if (std::chrono::system_clock::now() > deadline) {
      return MakeError(absl::StatusCode::kDeadlineExceeded, "DEADLINE_EXCEEDED",
                       "The deadline passed while the call was waiting");
    }
    // For the log, also when the key is refused: who tried.
    key_id_ = std::string(credentials_.key_id);
    absl::StatusOr<Caller> caller = Authorize(store, credentials_, method_.access, wait);
    if (!caller.ok()) return caller.status();
    caller->request_id = request_id_;
    caller->deadline = absl::FromChrono(deadline);
    caller->wait = wait;
    // For the log, also when the handler throws.
    const absl::Cleanup keep_org_id = [&] { org_id_ = std::move(caller->org_id); };
    return method_.run(*caller, incoming_.request, incoming_.response);
  }

  // Sends the reply; `on_sent` follows once it is on the wire.
  void Finish(const absl::Status& status, absl::AnyInvocable<void()> on_sent) {
    const absl::Duration duration = absl::Now() - started_;
    if (status.ok()) {
      // Most calls: nothing to translate.
      metrics_.CallFinished(method_.metric, grpc::StatusCode::OK, duration);
      LogCall(Served("OK", "", duration));
      incoming_.finish(grpc::Status::OK, std::move(on_sent));
      return;
    }
    const grpc::Status sent = ToGrpcStatus(status);
    metrics_.CallFinished(method_.metric, sent.error_code(), duration);
    const std::string cause = CauseOf(status);
    const std::string reason = ReasonOf(status);
    if (cause.empty()) {
      LogCall(Served(CodeName(sent.error_code()), reason, duration));
    } else {
      Log(LogLevel::kError, "call",
          {{"method", method_.path},
           {"code", CodeName(sent.error_code())},
           {"reason", reason},
           {"request_id", request_id_},
           {"key_id", key_id_},
           {"org_id", org_id_},
           {"microseconds", absl::ToInt64Microseconds(duration)},
           {"cause", cause}});
    }
    incoming_.finish(sent, std::move(on_sent));
  }

 private:
  ServedCall Served(absl::string_view code, absl::string_view reason,
                    absl::Duration duration) const {
    return {.method = method_.path,
            .code = code,
            .reason = reason,
            .request_id = request_id_,
            .key_id = key_id_,
            .org_id = org_id_,
            .duration = duration};
  }

  const Method& method_;
  IncomingCall incoming_;
  std::string request_id_;
  Metrics& metrics_;
  const absl::Time started_ = absl::Now();
  Credentials credentials_;  // Views of the metadata, which are the context's.
  std::string key_id_;
  std::string org_id_;
};

// Nothing that a handler or a library throws may end the process; the caller sees INTERNAL.
absl::Status HandleWithoutThrowing(Call& call, CredentialStore& store, Wait wait) {
  try {
    return call.Handle(store, wait);
  } catch (const std::exception& exception) {
    return absl::InternalError(absl::StrCat("exception: ", exception.what()));
  } catch (...) {
    return absl::InternalError("exception of unknown type");
  }
}

}  // namespace

void Pipeline::Serve(const Method& method, IncomingCall incoming) {
  const size_t metadata_size = SizeOf(incoming.context.client_metadata());
  Call call(method, std::move(incoming), random_, metrics_);
  if (!admission_.TryEnter()) {
    call.Finish(MakeRetryableError(absl::StatusCode::kUnavailable, "SHUTTING_DOWN",
                                   "This server is stopping; call another one", absl::Seconds(1)),
                [] {});
    return;
  }
  const auto leave = [this] { admission_.Leave(); };
  if (metadata_size > max_metadata_bytes_) {
    call.Finish(MakeError(absl::StatusCode::kResourceExhausted, "METADATA_TOO_LARGE",
                          absl::StrCat("The call's metadata are ", metadata_size,
                                       " bytes; at most ", max_metadata_bytes_, " are taken")),
                leave);
    return;
  }
  if (const absl::Status status = call.ReadCredentials(); !status.ok()) {
    return call.Finish(status, leave);
  }
  if (method.from_memory) {
    const absl::Status status = HandleWithoutThrowing(call, store_, Wait::kNo);
    if (!IsWouldBlock(status)) return call.Finish(status, leave);
  }
  const auto waiting = std::make_shared<Call>(std::move(call));
  const bool accepted = workers_.TrySubmit([this, waiting, leave] {
    waiting->Finish(HandleWithoutThrowing(*waiting, store_, Wait::kYes), leave);
  });
  if (accepted) return;
  waiting->Finish(
      MakeRetryableError(absl::StatusCode::kResourceExhausted, "OVERLOADED",
                         "The server has too much to do; try again", absl::Milliseconds(100)),
      leave);
}

}  // namespace authurl
