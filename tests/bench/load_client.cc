#include "load_client.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "process_usage.h"

namespace authurl::bench {
namespace {

using Clock = std::chrono::steady_clock;

enum class Phase { kWarmup, kMeasure, kDrain };

// One completion queue, its thread, and the calls of the channels assigned to it. All state is
// private to the thread while it runs, so that workers share nothing but `phase`.
class Worker {
 public:
  Worker(const LoadOptions& options, const std::vector<grpc::ByteBuffer>& requests,
         const std::atomic<Phase>& phase)
      : options_(options), requests_(requests), phase_(phase) {}

  void AddChannel(const std::shared_ptr<grpc::Channel>& channel, size_t first_request) {
    stubs_.push_back(std::make_unique<grpc::GenericStub>(channel));
    for (int i = 0; i < options_.in_flight_per_channel; ++i) {
      auto slot = std::make_unique<Slot>();
      slot->stub = stubs_.back().get();
      slot->next_request = (first_request + static_cast<size_t>(i)) % requests_.size();
      slots_.push_back(std::move(slot));
    }
  }

  void Start() {
    thread_ = std::thread([this] { Run(); });
  }

  void Join() { thread_.join(); }

  void AddTo(LoadResult& result) const {
    result.succeeded += latency_.count();
    result.failed += failed_;
    if (result.first_failure.empty()) result.first_failure = first_failure_;
    result.latency.Merge(latency_);
  }

 private:
  struct Slot {
    grpc::GenericStub* stub = nullptr;
    size_t next_request = 0;
    std::optional<grpc::ClientContext> context;  // single use, hence rebuilt for each call
    std::unique_ptr<grpc::ClientAsyncResponseReader<grpc::ByteBuffer>> reader;
    grpc::ByteBuffer response;
    grpc::Status status;
    Clock::time_point started;
  };

  void Run() {
    for (const auto& slot : slots_) StartCall(*slot);
    size_t outstanding = slots_.size();
    void* tag = nullptr;
    bool ok = false;
    while (outstanding > 0 && queue_.Next(&tag, &ok)) {
      Slot& slot = *static_cast<Slot*>(tag);
      const Phase phase = phase_.load(std::memory_order_relaxed);
      RecordCall(slot, phase);
      if (phase == Phase::kDrain) {
        --outstanding;
      } else {
        StartCall(slot);
      }
    }
    queue_.Shutdown();
    while (queue_.Next(&tag, &ok)) {
    }
  }

  void StartCall(Slot& slot) {
    slot.reader.reset();  // refers to the context
    slot.context.emplace();
    slot.response.Clear();
    slot.started = Clock::now();
    slot.context->set_deadline(std::chrono::system_clock::now() +
                               absl::ToChronoNanoseconds(options_.call_deadline));
    slot.reader = slot.stub->PrepareUnaryCall(&*slot.context, options_.method,
                                              requests_[slot.next_request], &queue_);
    slot.next_request = (slot.next_request + 1) % requests_.size();
    slot.reader->StartCall();
    slot.reader->Finish(&slot.response, &slot.status, &slot);
  }

  void RecordCall(const Slot& slot, Phase phase) {
    if (!slot.status.ok()) {
      if (failed_++ == 0) {
        first_failure_ = absl::StrCat("status ", static_cast<int>(slot.status.error_code()), ": ",
                                      slot.status.error_message());
      }
    } else if (phase == Phase::kMeasure) {
      const auto elapsed =
          std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - slot.started);
      latency_.Record(static_cast<uint64_t>(elapsed.count()));
    }
  }

  const LoadOptions& options_;
  const std::vector<grpc::ByteBuffer>& requests_;
  const std::atomic<Phase>& phase_;
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<Slot>> slots_;
  LatencyHistogram latency_;
  uint64_t failed_ = 0;
  std::string first_failure_;
  std::thread thread_;
};

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& target) {
  grpc::ChannelArguments arguments;
  // Channels to one address otherwise share a single connection from the global pool.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

absl::StatusOr<LoadResult> RunLoad(const LoadOptions& options) {
  if (options.channels < 1 || options.in_flight_per_channel < 1 || options.threads < 1 ||
      options.serialized_requests.empty()) {
    return absl::InvalidArgumentError("a load needs channels, calls, threads and a request");
  }

  std::vector<grpc::ByteBuffer> requests;
  for (const std::string& bytes : options.serialized_requests) {
    const grpc::Slice slice(bytes);
    requests.emplace_back(&slice, 1);
  }

  std::atomic<Phase> phase{Phase::kWarmup};
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < std::min(options.threads, options.channels); ++i) {
    workers.push_back(std::make_unique<Worker>(options, requests, phase));
  }
  for (int i = 0; i < options.channels; ++i) {
    const std::shared_ptr<grpc::Channel> channel = MakeChannel(options.target);
    if (!channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(10))) {
      return absl::UnavailableError(absl::StrCat("cannot connect to ", options.target));
    }
    const auto first_request = static_cast<size_t>(i) *
                               static_cast<size_t>(options.in_flight_per_channel) % requests.size();
    workers[static_cast<size_t>(i) % workers.size()]->AddChannel(channel, first_request);
  }

  for (const auto& worker : workers) worker->Start();
  absl::SleepFor(options.warmup);

  options.on_window_begin();
  const ProcessUsage usage_before = CurrentProcessUsage();
  const auto begin = Clock::now();
  phase.store(Phase::kMeasure, std::memory_order_relaxed);
  absl::SleepFor(options.duration);
  phase.store(Phase::kDrain, std::memory_order_relaxed);
  const auto end = Clock::now();
  const ProcessUsage usage_after = CurrentProcessUsage();
  options.on_window_end();

  LoadResult result;
  for (const auto& worker : workers) worker->Join();
  for (const auto& worker : workers) worker->AddTo(result);
  result.seconds = std::chrono::duration<double>(end - begin).count();
  result.client_cpu_us = static_cast<double>(usage_after.cpu_us() - usage_before.cpu_us());
  return result;
}

}  // namespace authurl::bench
