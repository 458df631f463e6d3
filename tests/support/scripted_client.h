// scripted_client.h: an HttpClient that answers what a test has told it to.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/call_context.h"
#include "server/outbound/http_client.h"

namespace authurl::testing {

// What a request was when it was sent.
struct SentRequest {
  std::string method;
  std::string url;
  std::string body;
  CallTarget target;
};

// Answers in order, each at once. Safe to use from many threads at once.
class ScriptedClient final : public HttpClient {
 public:
  void Answer(int status, std::string body) {
    const std::lock_guard lock(mutex_);
    answers_.emplace_back(status, std::move(body));
  }
  void Fail(absl::Status error) {
    const std::lock_guard lock(mutex_);
    answers_.emplace_back(std::move(error));
  }
  // What is left of the script goes on without an end.
  void AnswerAlways(std::function<std::string(int)> body) {
    const std::lock_guard lock(mutex_);
    always_ = std::move(body);
  }
  // The same, by what was sent.
  void AnswerAlwaysBy(std::function<std::string(const SentRequest&)> body) {
    const std::lock_guard lock(mutex_);
    always_ = [this, body = std::move(body)](int) { return body(sent_.back()); };
  }
  // Runs while the next request is under way.
  void Meanwhile(std::function<void()> happens) {
    const std::lock_guard lock(mutex_);
    meanwhile_ = std::move(happens);
  }
  // From now on what is sent waits for its answer, until Release().
  void Hold() {
    const std::lock_guard lock(mutex_);
    is_holding_ = true;
  }
  void Release() {
    std::vector<std::function<void()>> held;
    {
      const std::lock_guard lock(mutex_);
      is_holding_ = false;
      held.swap(held_);
    }
    for (const auto& answer : held) answer();
  }

  void Send(HttpRequest request, CallTarget target, const CallContext&,
            Callback callback) override {
    std::function<void()> meanwhile;
    Scripted next;
    {
      const std::lock_guard lock(mutex_);
      sent_.push_back({request.method, request.url, request.body, std::move(target)});
      if (answers_.empty() && always_) {
        next = Scripted(200, always_(static_cast<int>(sent_.size())));
      } else if (!answers_.empty()) {
        next = std::move(answers_.front());
        answers_.pop_front();
      } else {
        ADD_FAILURE() << "not in the script: " << sent_.back().url;
        next = Scripted(absl::InternalError("not in the script"));
      }
      meanwhile = std::exchange(meanwhile_, nullptr);
      if (is_holding_) {
        // Functions are copied: a callback is not.
        const auto kept = std::make_shared<Callback>(std::move(callback));
        held_.emplace_back([kept, next] { (*kept)(next.Make()); });
        return;
      }
    }
    if (meanwhile) meanwhile();
    callback(next.Make());
  }

  std::vector<SentRequest> sent() const {
    const std::lock_guard lock(mutex_);
    return sent_;
  }
  bool is_done() const {
    const std::lock_guard lock(mutex_);
    return answers_.empty();
  }

 private:
  struct Scripted {
    Scripted() = default;
    Scripted(int of_status, std::string of_body) : status(of_status), body(std::move(of_body)) {}
    explicit Scripted(absl::Status of_error) : error(std::move(of_error)) {}

    absl::StatusOr<HttpAnswer> Make() const {
      if (!error.ok()) return error;
      HttpAnswer answer;
      answer.status = status;
      answer.body = body;
      return answer;
    }

    absl::Status error;
    int status = 0;
    std::string body;
  };

  mutable std::mutex mutex_;
  std::deque<Scripted> answers_;  // Guarded by mutex_, as all below.
  std::function<std::string(int)> always_;
  std::function<void()> meanwhile_;
  bool is_holding_ = false;
  std::vector<std::function<void()>> held_;
  std::vector<SentRequest> sent_;
};

}  // namespace authurl::testing
