// method.h: one rpc, free of its types: what it needs of its caller, which lane it takes, and its
// handler between bytes and bytes.
//
// A handler is a plain function from caller and request to status and response; it knows nothing of
// threads, queues or gRPC. There are five kinds, and a function for each that makes a Method of it:
//
//   MakeReadMethod      one function, on kReads, where it may wait for the database to answer
//   MakeWriteMethod     one function, on kWrites, where it may wait for it to commit
//   MakeMemoryMethod    two steps: a look-up, first in memory alone and only where that does not do
//                       in the database, and the rest, without I/O
//   MakeOutboundMethod  is started, on a thread that must not wait, and completes when it can
//   MakeMemoryOrOutboundMethod  two steps as well, without I/O; where memory does not do, it is
//                       started as an outbound one in their place
//
// Reads and memory methods may answer that something must be written first: only that is done on
// kWrites. No handler is ever run twice.
#pragma once

#include <google/protobuf/arena.h>

#include <algorithm>
#include <array>
#include <climits>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/tenant_token.h"
#include "server/observe/metrics.h"
#include "server/serving/api_keys.h"
#include "server/serving/call_subject.h"
#include "server/serving/ending.h"
#include "server/serving/lanes.h"
#include "server/serving/reply.h"

namespace authurl {

// What is left of a call that must write before it may be answered. Run once, on kWrites, or not at
// all.
using WriteFirst = absl::AnyInvocable<Ending(Reply&)>;
using Handled = std::variant<Ending, WriteFirst>;

// The same of a handler: it sees its response again and may change it.
template <typename Response>
using HandledAs = std::variant<Ending, absl::AnyInvocable<Ending(Response&)>>;

struct Method {
  // "/authurl.v1.AuthUrlService/GetAuthUrl".
  std::string path;
  Access access = Access::kAdminister;
  // What a tenant token must be for to be taken in place of an API key; nothing: none is.
  std::optional<TenantAction> tenant_action = {};
  // Where it is handled.
  Lane lane = Lane::kReads;
  // What it is counted under.
  MethodId metric{};

  // All of these parse the request, and put the response into the reply where they end with OK.
  // Caller, request and reply stay until the call has ended.
  //
  // kMemory only: nothing where the database would have to be asked.
  std::function<std::optional<Handled>(const Caller&, absl::string_view request, Reply&)>
      handle_in_memory = {};
  // kReads and kWrites, and kMemory on a thread of kReads, unless it can be started.
  std::function<Handled(const Caller&, absl::string_view request, Reply&)> handle = {};
  // kOutbound, and kMemory where memory did not do.
  std::function<void(const Caller&, absl::string_view request, Reply&, Completion)> start = {};
};

// The method, which takes tenant tokens of that action, too. Its handler then heeds
// Caller::tenant_id.
inline Method TakingTenantTokens(TenantAction action, Method method) {
  method.tenant_action = action;
  return method;
}

// INVALID_ARGUMENT INVALID_PAYLOAD for bytes that are no message.
absl::Status NotAMessage();

// Puts the response of an OK `ending` into the reply. RESOURCE_EXHAUSTED REPLY_TOO_LARGE where it
// is larger than kMaxReplyBytes.
Ending PutResponse(Ending ending, const google::protobuf::MessageLite& response, Reply& reply);

// A request and its response. Most fit into the memory that comes with it, so that they cost no
// allocation but for their long texts.
template <typename Request, typename Response>
class Exchange final {
 public:
  Exchange() : arena_(Options(memory_)) {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // Whether the bytes are a message.
  bool Parse(absl::string_view bytes) {
    return bytes.size() <= INT_MAX &&
           request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  }
  // Puts the answer into the reply, or keeps the response for when it has been written.
  Handled Finish(HandledAs<Response> answer, Reply& reply) {
    if (auto* ending = std::get_if<Ending>(&answer)) {
      ending->subject = SubjectOf(request);
      AddResponse(response, ending->subject);
      return PutResponse(std::move(*ending), response, reply);
    }
    return [subject = SubjectOf(request), kept = std::make_unique<Response>(response),
            write = std::get<1>(std::move(answer))](Reply& to) mutable {
      Ending ending = write(*kept);
      AddResponse(*kept, subject);
      ending.subject = std::move(subject);
      return PutResponse(std::move(ending), *kept, to);
    };
  }

 private:
  using Memory = std::array<char, 2048>;

  static google::protobuf::ArenaOptions Options(Memory& memory) {
    google::protobuf::ArenaOptions options;
    options.initial_block = memory.data();
    options.initial_block_size = memory.size();
    return options;
  }

  alignas(8) Memory memory_;
  google::protobuf::Arena arena_;

 public:
  Request& request = *google::protobuf::Arena::CreateMessage<Request>(&arena_);
  Response& response = *google::protobuf::Arena::CreateMessage<Response>(&arena_);
};

// In all of these `service` must outlive the Method.
template <typename Service, typename Request, typename Response>
Method MakeReadMethod(std::string path, Access access, const Service* service,
                      HandledAs<Response> (Service::*handler)(const Caller&, const Request&,
                                                              Response&) const) {
  const auto handle = [service, handler](const Caller& caller, absl::string_view bytes,
                                         Reply& reply) -> Handled {
    Exchange<Request, Response> exchange;
    if (!exchange.Parse(bytes)) return Ending{NotAMessage()};
    return exchange.Finish((service->*handler)(caller, exchange.request, exchange.response), reply);
  };
  return {.path = std::move(path), .access = access, .lane = Lane::kReads, .handle = handle};
}

template <typename Service, typename Request, typename Response>
Method MakeReadMethod(std::string path, Access access, const Service* service,
                      absl::Status (Service::*handler)(const Caller&, const Request&, Response&)
                          const) {
  const auto handle = [service, handler](const Caller& caller, absl::string_view bytes,
                                         Reply& reply) -> Handled {
    Exchange<Request, Response> exchange;
    if (!exchange.Parse(bytes)) return Ending{NotAMessage()};
    return exchange.Finish(Ending{(service->*handler)(caller, exchange.request, exchange.response)},
                           reply);
  };
  return {.path = std::move(path), .access = access, .lane = Lane::kReads, .handle = handle};
}

template <typename Service, typename Request, typename Response>
Method MakeWriteMethod(std::string path, Access access, const Service* service,
                       absl::Status (Service::*handler)(const Caller&, const Request&, Response&)
                           const) {
  Method method = MakeReadMethod(std::move(path), access, service, handler);
  method.lane = Lane::kWrites;
  return method;
}

// Method::handle_in_memory. What a look-up found may refer to its request.
template <typename Service, typename Request, typename Response, typename Found>
auto HandlerInMemory(const Service* service,
                     std::optional<absl::StatusOr<Found>> (Service::*look_up_in_memory)(
                         const Caller&, const Request&) const,
                     HandledAs<Response> (Service::*handler)(const Caller&, const Found&, Response&)
                         const) {
  return [service, look_up_in_memory, handler](const Caller& caller, absl::string_view bytes,
                                               Reply& reply) -> std::optional<Handled> {
    Exchange<Request, Response> exchange;
    if (!exchange.Parse(bytes)) return Ending{NotAMessage()};
    const std::optional<absl::StatusOr<Found>> found =
        (service->*look_up_in_memory)(caller, exchange.request);
    if (!found.has_value()) return std::nullopt;
    if (!found->ok()) return exchange.Finish(Ending{found->status()}, reply);
    return exchange.Finish((service->*handler)(caller, **found, exchange.response), reply);
  };
}

template <typename Service, typename Request, typename Response, typename Found>
Method MakeMemoryMethod(
    std::string path, Access access, const Service* service,
    std::optional<absl::StatusOr<Found>> (Service::*look_up_in_memory)(const Caller&,
                                                                       const Request&) const,
    absl::StatusOr<Found> (Service::*look_up)(const Caller&, const Request&) const,
    HandledAs<Response> (Service::*handler)(const Caller&, const Found&, Response&) const) {
  const auto handle = [service, look_up, handler](const Caller& caller, absl::string_view bytes,
                                                  Reply& reply) -> Handled {
    Exchange<Request, Response> exchange;
    if (!exchange.Parse(bytes)) return Ending{NotAMessage()};
    const absl::StatusOr<Found> found = (service->*look_up)(caller, exchange.request);
    if (!found.ok()) return exchange.Finish(Ending{found.status()}, reply);
    return exchange.Finish((service->*handler)(caller, *found, exchange.response), reply);
  };
  return {.path = std::move(path),
          .access = access,
          .lane = Lane::kMemory,
          .handle_in_memory = HandlerInMemory(service, look_up_in_memory, handler),
          .handle = handle};
}

// Ends an outbound call: with its response, or with an error. To be called once, on any thread;
// where it is destroyed instead, the call ends with INTERNAL.
template <typename Response>
class ResponseCompletion final {
 public:
  ResponseCompletion(Completion completion, CallSubject subject, Reply& reply)
      : completion_(std::move(completion)), subject_(std::move(subject)), reply_(&reply) {}

  void operator()(const absl::StatusOr<Response>& response) {
    Ending ending = {response.status()};
    if (response.ok()) AddResponse(*response, subject_);
    // Each of several is worth a call.
    ending.further_calls = std::max(subject_.results - 1, 0);
    ending.subject = std::move(subject_);
    if (!response.ok()) return completion_.End(std::move(ending));
    completion_.End(PutResponse(std::move(ending), *response, *reply_));
  }
  void WhenCallerGoes(absl::AnyInvocable<void()> react) {
    completion_.WhenCallerGoes(std::move(react));
  }

 private:
  Completion completion_;
  CallSubject subject_;
  Reply* reply_;
};

// The request is good until `start` returns, the caller until the call has ended.
template <typename Service, typename Request, typename Response>
Method MakeOutboundMethod(std::string path, Access access, const Service* service,
                          void (Service::*starter)(const Caller&, const Request&,
                                                   ResponseCompletion<Response>) const) {
  const auto start = [service, starter](const Caller& caller, absl::string_view bytes, Reply& reply,
                                        Completion completion) {
    Exchange<Request, Response> exchange;
    if (!exchange.Parse(bytes)) return completion.End({NotAMessage()});
    (service->*starter)(
        caller, exchange.request,
        ResponseCompletion<Response>(std::move(completion), SubjectOf(exchange.request), reply));
  };
  return {.path = std::move(path), .access = access, .lane = Lane::kOutbound, .start = start};
}

template <typename Service, typename Request, typename Response, typename Found>
Method MakeMemoryOrOutboundMethod(
    std::string path, Access access, const Service* service,
    std::optional<absl::StatusOr<Found>> (Service::*look_up_in_memory)(const Caller&,
                                                                       const Request&) const,
    HandledAs<Response> (Service::*handler)(const Caller&, const Found&, Response&) const,
    void (Service::*starter)(const Caller&, const Request&, ResponseCompletion<Response>) const) {
  Method method = MakeOutboundMethod(std::move(path), access, service, starter);
  method.lane = Lane::kMemory;
  method.handle_in_memory = HandlerInMemory(service, look_up_in_memory, handler);
  return method;
}

}  // namespace authurl
