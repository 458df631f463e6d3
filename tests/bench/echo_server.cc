#include "tests/bench/echo_server.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "echo.grpc.pb.h"

namespace authurl::bench {
namespace {

constexpr std::chrono::seconds kShutdownGrace{2};
constexpr char kAnyLoopbackPort[] = "127.0.0.1:0";
constexpr uint32_t kLargestResponse = 1 << 20;

// The same work in every frame.
void FillResponse(const v1::EchoRequest& request, v1::EchoResponse& response) {
  std::string& payload = *response.mutable_payload();
  payload = request.payload();
  payload.resize(std::min(request.response_payload_bytes(), kLargestResponse), '.');
}

// --- callback API ---

class CallbackEchoServer final : public EchoServer {
 public:
  bool Start() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(kAnyLoopbackPort, grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    return server_ != nullptr;
  }

  int port() const override { return port_; }
  uint64_t calls_answered() const override { return service_.answered.load(); }

  void Shutdown() override {
    server_->Shutdown(std::chrono::system_clock::now() + kShutdownGrace);
    server_->Wait();
  }

 private:
  struct Service final : v1::EchoService::CallbackService {
    grpc::ServerUnaryReactor* Echo(grpc::CallbackServerContext* context,
                                   const v1::EchoRequest* request,
                                   v1::EchoResponse* response) override {
      FillResponse(*request, *response);
      answered.fetch_add(1, std::memory_order_relaxed);
      grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
      reactor->Finish(grpc::Status::OK);
      return reactor;
    }

    std::atomic<uint64_t> answered{0};
  };

  Service service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// --- completion queues ---

// A completion queue and the number of calls that may still produce an event on it. Aligned so
// that queues of different threads do not share a cache line.
struct alignas(64) Queue {
  std::unique_ptr<grpc::ServerCompletionQueue> queue;
  std::atomic<int64_t> live_calls{0};
  std::atomic<uint64_t> answered{0};
};

// One call, from waiting for a client to having sent the answer. Owns itself.
class QueueCall {
 public:
  QueueCall(v1::EchoService::AsyncService& service, Queue& queue)
      : service_(service), queue_(queue), responder_(&context_) {
    queue_.live_calls.fetch_add(1, std::memory_order_relaxed);
    service_.RequestEcho(&context_, &request_, &responder_, queue_.queue.get(), queue_.queue.get(),
                         this);
  }

  void OnEvent(bool ok) {
    if (finishing_ || !ok) {  // answered, or the server is shutting down
      Delete();
      return;
    }
    new QueueCall(service_, queue_);  // takes this one's place in the queue
    FillResponse(request_, response_);
    queue_.answered.fetch_add(1, std::memory_order_relaxed);
    finishing_ = true;
    responder_.Finish(response_, grpc::Status::OK, this);
  }

 private:
  void Delete() {
    Queue& queue = queue_;
    delete this;
    if (queue.live_calls.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      queue.live_calls.notify_all();
    }
  }

  v1::EchoService::AsyncService& service_;
  Queue& queue_;
  bool finishing_ = false;
  grpc::ServerContext context_;
  v1::EchoRequest request_;
  v1::EchoResponse response_;
  grpc::ServerAsyncResponseWriter<v1::EchoResponse> responder_;
};

class QueueEchoServer final : public EchoServer {
 public:
  bool Start(int queues, int threads_per_queue, int requests_posted) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(kAnyLoopbackPort, grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&service_);
    queues_ = std::vector<Queue>(static_cast<size_t>(queues));
    for (Queue& queue : queues_) queue.queue = builder.AddCompletionQueue();
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) {
      for (Queue& queue : queues_) queue.queue->Shutdown();
      return false;
    }
    for (Queue& queue : queues_) {
      for (int i = 0; i < requests_posted * threads_per_queue; ++i) new QueueCall(service_, queue);
      for (int i = 0; i < threads_per_queue; ++i) {
        threads_.emplace_back([&queue] { Poll(*queue.queue); });
      }
    }
    return true;
  }

  int port() const override { return port_; }

  uint64_t calls_answered() const override {
    uint64_t sum = 0;
    for (const Queue& queue : queues_) sum += queue.answered.load();
    return sum;
  }

  void Shutdown() override {
    server_->Shutdown(std::chrono::system_clock::now() + kShutdownGrace);
    // Posting a request on a queue that was shut down aborts the process, and a thread may be
    // about to do so. On a server that was shut down it merely fails, so wait here until no call
    // is left that could post another.
    for (Queue& queue : queues_) {
      for (int64_t left = queue.live_calls.load(); left != 0; left = queue.live_calls.load()) {
        queue.live_calls.wait(left);
      }
      queue.queue->Shutdown();
    }
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  static void Poll(grpc::ServerCompletionQueue& queue) {
    void* tag = nullptr;
    bool ok = false;
    while (queue.Next(&tag, &ok)) static_cast<QueueCall*>(tag)->OnEvent(ok);
  }

  v1::EchoService::AsyncService service_;
  int port_ = 0;
  std::vector<Queue> queues_;
  std::unique_ptr<grpc::Server> server_;
  std::vector<std::thread> threads_;
};

int CoreCount() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

}  // namespace

absl::StatusOr<Frame> ParseFrame(std::string_view text) {
  const auto invalid = [&] {
    return absl::InvalidArgumentError(absl::StrCat("not a frame: ", std::string(text)));
  };
  const size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  Frame frame;
  if (kind == "callback" && colon == std::string_view::npos) return frame;
  if (kind == "cq") {
    frame.kind = Frame::Kind::kQueuePerThread;
  } else if (kind == "cq-shared") {
    frame.kind = Frame::Kind::kSharedQueue;
  } else {
    return invalid();
  }
  frame.threads = CoreCount();
  if (colon != std::string_view::npos &&
      (!absl::SimpleAtoi(std::string(text.substr(colon + 1)), &frame.threads) ||
       frame.threads < 1)) {
    return invalid();
  }
  return frame;
}

absl::StatusOr<std::unique_ptr<EchoServer>> StartEchoServer(const Frame& frame,
                                                            int requests_posted) {
  if (frame.kind == Frame::Kind::kCallback) {
    auto server = std::make_unique<CallbackEchoServer>();
    if (server->Start()) return server;
  } else {
    const bool shared = frame.kind == Frame::Kind::kSharedQueue;
    auto server = std::make_unique<QueueEchoServer>();
    if (server->Start(shared ? 1 : frame.threads, shared ? frame.threads : 1, requests_posted)) {
      return server;
    }
  }
  return absl::UnavailableError("the echo server did not start");
}

}  // namespace authurl::bench
