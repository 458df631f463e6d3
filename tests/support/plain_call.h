// plain_call.h: a call of the pipeline with no gRPC around it. The thread sanitizer sees all that
// happens to one, since everything it consists of was compiled with it.
#pragma once

#include <google/protobuf/message_lite.h>
#include <grpcpp/support/status.h>

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "server/serving/method.h"
#include "server/serving/pipeline.h"
#include "server/serving/reply.h"

namespace authurl::testing {

using PlainMetadata = std::multimap<std::string, std::string>;

// Keeps what is sent.
class KeptReply final : public Reply {
 public:
  void AddHeader(const char* key, const std::string& value) override { headers_[key] = value; }
  void AddTrailer(const char*, const std::string&) override {}
  void SetMessage(const google::protobuf::MessageLite& message) override {
    message_ = message.SerializeAsString();
  }
  void Send(const grpc::Status& status) override {
    // Whoever waits may destroy the reply as soon as it is told.
    const std::shared_ptr<Sent> sent = sent_;
    const std::lock_guard lock(sent->mutex);
    sent->status = std::make_unique<grpc::Status>(status);
    ++sent->times;
    sent->changed.notify_all();
  }

  // Waits for it.
  grpc::Status status() const {
    std::unique_lock lock(sent_->mutex);
    sent_->changed.wait(lock, [this] { return sent_->status != nullptr; });
    return *sent_->status;
  }
  int times_sent() const {
    const std::lock_guard lock(sent_->mutex);
    return sent_->times;
  }
  // Once it was sent.
  const std::string& message() const { return message_; }
  const std::map<std::string, std::string>& headers() const { return headers_; }

 private:
  struct Sent {
    std::mutex mutex;
    std::condition_variable changed;
    std::unique_ptr<grpc::Status> status;
    int times = 0;
  };
  const std::shared_ptr<Sent> sent_ = std::make_shared<Sent>();
  std::string message_;
  std::map<std::string, std::string> headers_;
};

// Its functions are for one thread.
class PlainCall final {
 public:
  PlainCall(Pipeline& pipeline, const Method& method, PlainMetadata metadata, std::string request,
            absl::Time deadline = absl::InfiniteFuture())
      : texts_(std::move(metadata)),
        request_(std::move(request)),
        metadata_(texts_.begin(), texts_.end()),
        call_(pipeline, method, {.metadata = metadata_, .request = request_, .deadline = deadline},
              reply_) {}
  // Waits for the reply, if the call was served. Then the call is counted and logged.
  ~PlainCall() {
    if (served_) (void)reply_.status();
  }
  PlainCall(const PlainCall&) = delete;
  PlainCall& operator=(const PlainCall&) = delete;

  void Serve() {
    served_ = true;
    call_.Serve();
  }
  void Cancel() { call_.CallerIsGone(); }
  const KeptReply& reply() const { return reply_; }

 private:
  const PlainMetadata texts_;
  const std::string request_;
  const Metadata metadata_;
  KeptReply reply_;
  bool served_ = false;
  Call call_;
};

// What a method answers to a caller, without a pipeline: one step after the other, on this thread.
inline absl::Status RunMethod(const Method& method, const Caller& caller,
                              const std::string& request, Reply& reply) {
  std::optional<Handled> handled;
  if (method.handle_in_memory) handled = method.handle_in_memory(caller, request, reply);
  if (!handled.has_value()) handled = method.handle(caller, request, reply);
  if (auto* write = std::get_if<WriteFirst>(&*handled)) return (*write)(reply).status;
  return std::get<Ending>(*handled).status;
}

}  // namespace authurl::testing
