#include "tests/bench/load_client.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>
#include <sys/prctl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tests/bench/measured_window.h"

namespace authurl::bench {
namespace {

using Clock = std::chrono::steady_clock;

enum class Phase { kWarmup, kMeasure, kDrain };

// What all threads of a run share.
struct Run {
  const LoadOptions& options;
  std::atomic<Phase> phase = Phase::kWarmup;
  std::atomic<uint64_t> next_number = options.first_number;
};

// Room for one call at a time.
struct Slot {
  grpc::GenericStub* stub = nullptr;
  Call call;
  std::optional<grpc::ClientContext> context;  // Single use, hence rebuilt for each call.
  std::unique_ptr<grpc::ClientAsyncResponseReader<grpc::ByteBuffer>> reader;
  grpc::ByteBuffer response;
  grpc::Status status;
  Clock::time_point due;
  bool due_in_window = false;
};

// A completion queue, the thread that polls it, and the calls of some channels.
class Poller final {
 public:
  explicit Poller(Run& run) : run_(run) {}

  void AddChannel(const std::shared_ptr<grpc::Channel>& channel) {
    stubs_.push_back(std::make_unique<grpc::GenericStub>(channel));
  }

  void Start() {
    thread_ = std::thread([this] { Poll(); });
  }

  // Opens the slots of the closed loop.
  void OpenSlots() {
    for (const auto& stub : stubs_) {
      for (int i = 0; i < run_.options.in_flight_per_channel; ++i) Launch(*stub, Clock::now());
    }
  }

  // One call of the open loop.
  void LaunchDue(Clock::time_point due) {
    Launch(*stubs_[next_stub_], due);
    next_stub_ = (next_stub_ + 1) % stubs_.size();
  }

  int64_t in_flight() const { return in_flight_.load(std::memory_order_relaxed); }

  // Waits for the calls in flight. Nothing may be launched any more.
  void Finish() {
    for (int64_t left = in_flight_.load(); left != 0; left = in_flight_.load()) {
      in_flight_.wait(left);
    }
    queue_.Shutdown();
    thread_.join();
  }

  // REQUIRES: Finish() was called.
  void AddTo(LoadResult& result) const {
    result.calls += latency_.count();
    result.latency.Merge(latency_);
    result.response_bytes = std::max(result.response_bytes, response_bytes_);
  }
  uint64_t failed() const { return failed_; }
  const std::string& first_failure() const { return first_failure_; }

 private:
  void Launch(grpc::GenericStub& stub, Clock::time_point due) {
    in_flight_.fetch_add(1, std::memory_order_relaxed);
    auto slot = std::make_unique<Slot>();
    slot->stub = &stub;
    slot->due = due;
    slot->due_in_window = run_.phase.load(std::memory_order_relaxed) == Phase::kMeasure;
    Send(*slot.release());
  }

  void Send(Slot& slot) {
    run_.options.calls(run_.next_number.fetch_add(1, std::memory_order_relaxed), slot.call);
    slot.reader.reset();  // Refers to the context.
    slot.context.emplace();
    slot.response.Clear();
    for (const auto& [name, value] : slot.call.metadata) slot.context->AddMetadata(name, value);
    slot.context->set_deadline(std::chrono::system_clock::now() +
                               absl::ToChronoNanoseconds(run_.options.call_deadline));
    const grpc::Slice slice(slot.call.request);
    const grpc::ByteBuffer request(&slice, 1);
    slot.reader = slot.stub->PrepareUnaryCall(&*slot.context, slot.call.method, request, &queue_);
    slot.reader->StartCall();
    slot.reader->Finish(&slot.response, &slot.status, &slot);
  }

  void Poll() {
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
      Slot& slot = *static_cast<Slot*>(tag);
      const Phase phase = run_.phase.load(std::memory_order_relaxed);
      Record(slot, phase);
      if (run_.options.calls_per_second == 0 && phase != Phase::kDrain) {
        slot.due = Clock::now();
        Send(slot);
        continue;
      }
      delete &slot;
      if (in_flight_.fetch_sub(1) == 1) in_flight_.notify_all();
    }
  }

  void Record(const Slot& slot, Phase phase) {
    if (!slot.status.ok()) {
      if (failed_++ > 0) return;
      first_failure_ = absl::StrCat("code ", static_cast<int>(slot.status.error_code()), ": ",
                                    slot.status.error_message());
      return;
    }
    response_bytes_ = slot.response.Length();
    const bool counts =
        run_.options.calls_per_second == 0 ? phase == Phase::kMeasure : slot.due_in_window;
    if (!counts) return;
    const auto taken =
        std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - slot.due);
    latency_.Record(static_cast<uint64_t>(taken.count()));
  }

  Run& run_;
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  size_t next_stub_ = 0;
  grpc::CompletionQueue queue_;
  std::atomic<int64_t> in_flight_ = 0;
  // The thread's own until Finish().
  LatencyHistogram latency_;
  uint64_t failed_ = 0;
  std::string first_failure_;
  uint64_t response_bytes_ = 0;
  std::thread thread_;
};

using Pollers = std::vector<std::unique_ptr<Poller>>;

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& target) {
  grpc::ChannelArguments arguments;
  // Channels to one address otherwise share a single connection from the global pool.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

absl::StatusOr<Pollers> Connect(Run& run) {
  const LoadOptions& options = run.options;
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const int threads = options.threads > 0 ? options.threads : cores;
  Pollers pollers;
  for (int i = 0; i < std::min(threads, options.channels); ++i) {
    pollers.push_back(std::make_unique<Poller>(run));
  }
  for (int i = 0; i < options.channels; ++i) {
    const std::shared_ptr<grpc::Channel> channel = MakeChannel(options.target);
    if (!channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(10))) {
      return absl::UnavailableError(absl::StrCat("cannot connect to ", options.target));
    }
    pollers[static_cast<size_t>(i) % pollers.size()]->AddChannel(channel);
  }
  return pollers;
}

// Opens and closes the measured window.
class Window final {
 public:
  Window(Run& run, LoadResult& result)
      : run_(run), measured_(run.options.server, run.options.network, result) {}

  void Open() {
    measured_.Open();
    run_.phase.store(Phase::kMeasure, std::memory_order_relaxed);
  }

  void Close() {
    run_.phase.store(Phase::kDrain, std::memory_order_relaxed);
    measured_.Close();
  }

 private:
  Run& run_;
  MeasuredWindow measured_;
};

void RunClosedLoop(const LoadOptions& options, const Pollers& pollers, Window& window) {
  for (const auto& poller : pollers) poller->OpenSlots();
  std::this_thread::sleep_for(absl::ToChronoNanoseconds(options.warmup));
  window.Open();
  std::this_thread::sleep_for(absl::ToChronoNanoseconds(options.duration));
  window.Close();
}

absl::Status RunOpenLoop(const LoadOptions& options, const Pollers& pollers, Window& window) {
  constexpr int64_t kMaxWaiting = 10'000;
  // Timers are otherwise up to 50 microseconds late, which is as long as a call takes.
  prctl(PR_SET_TIMERSLACK, 1);
  const auto interval = std::chrono::duration<double>(1 / options.calls_per_second);
  const double warmup_calls = absl::ToDoubleSeconds(options.warmup) * options.calls_per_second;
  const double all_calls =
      warmup_calls + absl::ToDoubleSeconds(options.duration) * options.calls_per_second;
  const Clock::time_point begin = Clock::now();
  bool open = false;
  for (size_t i = 0; static_cast<double>(i) < all_calls; ++i) {
    const auto due =
        begin + std::chrono::duration_cast<Clock::duration>(interval * static_cast<double>(i));
    std::this_thread::sleep_until(due);
    if (!open && static_cast<double>(i) >= warmup_calls) {
      window.Open();
      open = true;
    }
    Poller& poller = *pollers[i % pollers.size()];
    if (poller.in_flight() > kMaxWaiting) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "the server does not keep up with ", options.calls_per_second, " calls a second"));
    }
    poller.LaunchDue(due);
  }
  window.Close();
  return absl::OkStatus();
}

}  // namespace

CallSource Always(Call call) {
  return [call = std::move(call)](uint64_t, Call& next) { next = call; };
}

absl::StatusOr<LoadResult> RunLoad(const LoadOptions& options) {
  Run run{options};
  const absl::StatusOr<Pollers> pollers = Connect(run);
  if (!pollers.ok()) return pollers.status();
  LoadResult result;
  Window window(run, result);
  absl::Status status;
  for (const auto& poller : *pollers) poller->Start();
  if (options.calls_per_second == 0) {
    RunClosedLoop(options, *pollers, window);
  } else {
    status = RunOpenLoop(options, *pollers, window);
  }
  for (const auto& poller : *pollers) poller->Finish();
  for (const auto& poller : *pollers) {
    poller->AddTo(result);
    if (poller->failed() == 0) continue;
    status.Update(absl::UnknownError(
        absl::StrCat(poller->failed(), " calls failed, the first with ", poller->first_failure())));
  }
  result.next_number = run.next_number.load();
  if (!status.ok()) return status;
  if (result.calls == 0) return absl::UnknownError("no call ended in the measured time");
  return result;
}

}  // namespace authurl::bench
