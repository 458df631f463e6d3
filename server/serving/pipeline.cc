#include "server/serving/pipeline.h"

#include <algorithm>
#include <array>
#include <exception>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/errors.h"
#include "server/observe/code_name.h"
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

absl::Status Overloaded() {
  return MakeRetryableError(absl::StatusCode::kResourceExhausted, "OVERLOADED",
                            "The server has too much to do; try again", absl::Milliseconds(100));
}

}  // namespace

// The whole policy. Every call goes down this list once; a step that may wait is left to the lane
// it needs, and the list is taken up there.
Pipeline::Progress Pipeline::Proceed(Call& call, Lane here) {
  switch (call.step_) {
    case Call::Step::kAdmit: {
      if (absl::Status status = Admit(call); !status.ok()) return Ending{std::move(status)};
      if (call.method_.access == Access::kAnyone) {
        call.caller_.context = &call.context_;
        call.step_ = Call::Step::kHandle;
        return Handle(call, here);
      }
      if (absl::Status status = ReadTheCredentials(call); !status.ok()) {
        return Ending{std::move(status)};
      }
      call.step_ = Call::Step::kAuthorise;
      [[fallthrough]];
    }
    case Call::Step::kAuthorise: {
      std::optional<absl::Status> status = Authorise(call, here);
      if (!status.has_value()) return Lane::kReads;
      if (status->ok()) status = rate_limits_.Admit(call.caller_, absl::Now());
      if (!status->ok()) return Ending{*std::move(status)};
      call.step_ = Call::Step::kHandle;
      [[fallthrough]];
    }
    case Call::Step::kHandle:
      return Handle(call, here);
    case Call::Step::kWrite:
      return call.write_(call.reply_);
  }
  return Ending{absl::InternalError("a call stands at no step")};
}

absl::Status Pipeline::Admit(Call& call) {
  call.admitted_ = admission_.TryEnter();
  if (!call.admitted_) {
    return MakeRetryableError(absl::StatusCode::kUnavailable, "SHUTTING_DOWN",
                              "This server is stopping; call another one", absl::Seconds(1));
  }
  const size_t metadata_size = SizeOf(call.incoming_.metadata);
  if (metadata_size <= max_metadata_bytes_) return absl::OkStatus();
  return MakeError(absl::StatusCode::kResourceExhausted, "METADATA_TOO_LARGE",
                   absl::StrCat("The call's metadata are ", metadata_size, " bytes; at most ",
                                max_metadata_bytes_, " are taken"));
}

absl::Status Pipeline::ReadTheCredentials(Call& call) const {
  absl::StatusOr<Credentials> credentials = ReadCredentials(sealer_, call.incoming_.metadata);
  if (!credentials.ok()) return credentials.status();
  call.credentials_ = *std::move(credentials);
  call.key_id_ = std::string(call.credentials_.key_id);
  return absl::OkStatus();
}

// Authenticates as well. Nothing where another lane has to.
std::optional<absl::Status> Pipeline::Authorise(Call& call, Lane here) {
  const Requirement required = {call.method_.access, call.method_.tenant_action};
  std::optional<absl::StatusOr<Caller>> caller =
      here == Lane::kReads ? Authorize(call.context_, store_, clock_, call.credentials_, required)
                           : AuthorizeInMemory(store_, clock_, call.credentials_, required);
  if (!caller.has_value()) return std::nullopt;
  if (!caller->ok()) return caller->status();
  call.caller_ = **std::move(caller);
  call.caller_.context = &call.context_;
  return absl::OkStatus();
}

Pipeline::Progress Pipeline::Handle(Call& call, Lane here) {
  // Nothing is begun for a caller who no longer waits.
  if (absl::Status status = call.context_.Check(); !status.ok()) return Ending{std::move(status)};
  const Method& method = call.method_;
  std::optional<Handled> handled;
  const bool can_start = method.start != nullptr;
  if (method.lane == Lane::kMemory && (here == Lane::kMemory || can_start)) {
    handled = method.handle_in_memory(call.caller_, call.incoming_.request, call.reply_);
    if (!handled.has_value()) return can_start ? Lane::kOutbound : Lane::kReads;
  } else if (method.lane == here || method.lane == Lane::kMemory) {
    handled = method.handle(call.caller_, call.incoming_.request, call.reply_);
  } else {
    return method.lane;
  }
  if (auto* ending = std::get_if<Ending>(&*handled)) return std::move(*ending);
  call.write_ = std::get<WriteFirst>(*std::move(handled));
  call.step_ = Call::Step::kWrite;
  return Lane::kWrites;
}

// Nothing that a handler or a library throws may end the process; the caller sees INTERNAL.
void Pipeline::Advance(Unanswered unanswered, Call& call, Lane here) {
  std::string thrown;
  try {
    Progress progress = Proceed(call, here);
    if (const Lane* lane = std::get_if<Lane>(&progress)) {
      return HandOver(std::move(unanswered), call, *lane);
    }
    return unanswered.End(std::get<Ending>(std::move(progress)));
  } catch (const std::exception& exception) {
    thrown = absl::StrCat("exception: ", exception.what());
  } catch (...) {
    thrown = "exception of unknown type";
  }
  unanswered.End({absl::InternalError(thrown)});
}

void Pipeline::HandOver(Unanswered unanswered, Call& call, Lane lane) {
  if (lane == Lane::kOutbound) return StartOutbound(std::move(unanswered), call);
  call.lane_ = lane;
  // From here on the lane has the duty: the call may have ended before TrySubmit() returns.
  unanswered.Release();
  ThreadLane& threads = lane == Lane::kWrites ? lanes_.writes : lanes_.reads;
  if (!threads.TrySubmit(call)) Unanswered(call).End({Overloaded()});
}

void Pipeline::StartOutbound(Unanswered unanswered, Call& call) {
  if (!lanes_.outbound.TryEnter()) return unanswered.End({Overloaded()});
  call.method_.start(call.caller_, call.incoming_.request, call.reply_,
                     Completion(std::move(unanswered), lanes_.outbound));
}

Call::Call(Pipeline& pipeline, const Method& method, const IncomingCall& incoming, Reply& reply)
    : pipeline_(pipeline),
      method_(method),
      incoming_(incoming),
      reply_(reply),
      context_(incoming.deadline, RequestIdOf(incoming.metadata, pipeline.random_)) {
  pipeline_.metrics_.CallStarted(method_.metric);
}

void Call::Serve() { pipeline_.Advance(Unanswered(*this), *this, Lane::kMemory); }

void Call::Run() { pipeline_.Advance(Unanswered(*this), *this, lane_); }

void Call::Drop() { Unanswered(*this).End({context_.WhyEnded()}); }

void Call::End(Ending ending) {
  const absl::Time now = absl::Now();
  duration_ = now - started_;
  if (ending.further_calls > 0) {
    pipeline_.rate_limits_.Charge(caller_, ending.further_calls, now);
  }
  subject_ = std::move(ending.subject);
  if (ending.status.ok()) {
    when_sent_ = std::move(ending.when_sent);
    // Most calls: nothing to translate.
    reply_.AddHeader(kRequestIdKey, context_.request_id());
    reply_.Send(grpc::Status::OK);
    return;
  }
  const grpc::Status sent = ToGrpcStatus(ending.status, context_.request_id());
  code_ = sent.error_code();
  reason_ = ReasonOf(ending.status);
  const std::vector<FieldViolation> violations = ViolationsOf(ending.status);
  faulty_fields_ = FaultyFields(violations);
  ForgetFaulty(violations, subject_);
  cause_ = CauseOf(ending.status);
  reply_.AddTrailer(kRequestIdKey, context_.request_id());
  reply_.Send(sent);
}

void Call::CallerIsGone() {
  context_.Cancel();
  pipeline_.lanes_.Withdraw(*this);
  absl::AnyInvocable<void()> react;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    caller_is_gone_ = true;
    react = std::move(when_gone_);
    when_gone_ = nullptr;
  }
  if (react) react();
}

void Call::WhenCallerGoes(absl::AnyInvocable<void()> react) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!caller_is_gone_) {
      when_gone_ = std::move(react);
      return;
    }
  }
  react();
}

Call::~Call() {
  const grpc::StatusCode code = SentCode();
  if (code == grpc::StatusCode::OK && when_sent_) when_sent_();
  pipeline_.metrics_.CallFinished(method_.metric, code, duration_);
  if (code == code_ && !reason_.empty()) pipeline_.metrics_.ErrorSent(reason_);
  LogWhatWasSent(code);
  // Last: who waits until all calls have left finds them counted and logged.
  if (admitted_) pipeline_.admission_.Leave();
}

grpc::StatusCode Call::SentCode() const {
  if (!context_.cancelled()) return code_;
  return absl::Now() > context_.deadline() ? grpc::StatusCode::DEADLINE_EXCEEDED
                                           : grpc::StatusCode::CANCELLED;
}

void Call::LogWhatWasSent(grpc::StatusCode code) const {
  // A cause is told whatever became of the caller.
  const bool tells_why = code == code_ || !cause_.empty();
  LogCall({.method = method_.path,
           .code = CodeName(code),
           .reason = tells_why ? absl::string_view(reason_) : absl::string_view(),
           .faulty_fields = tells_why ? absl::string_view(faulty_fields_) : absl::string_view(),
           .request_id = context_.request_id(),
           .key_id = key_id_,
           .org_id = caller_.org_id,
           .peer = incoming_.peer,
           .subject = &subject_,
           .duration = duration_,
           .cause = cause_});
}

}  // namespace authurl
