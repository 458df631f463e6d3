#include "server/observe/log.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace authurl {
namespace {

constexpr size_t kMaxWaitingLines = 8192;
constexpr std::chrono::milliseconds kCollectInterval(20);
constexpr std::chrono::seconds kStopPatience(1);
constexpr int kNothing = static_cast<int>(LogLevel::kError) + 1;

// Guarded by the mutex for writing; readers copy the pointers.
std::mutex mutex;
std::shared_ptr<spdlog::details::thread_pool> writer;
std::shared_ptr<spdlog::logger> logger;
// The least level that is written.
std::atomic<int> least_level = kNothing;
// By writers that are gone.
std::atomic<uint64_t> dropped_before = 0;

// Lines that are put together elsewhere (LineSource).
std::atomic<std::string (*)()> take_lines = nullptr;
std::atomic<uint64_t (*)()> lines_dropped = nullptr;

// Writes what the calls have put together, and in the end whatever is waiting. It belongs to its
// thread, which nobody may wait for if writing hangs.
struct Collector {
  // Writes to the same place as the other lines, but in the collector's own time: while that is
  // held up, lines stay in the threads' buffers, which are bounded.
  std::shared_ptr<spdlog::logger> call_logger;
  std::shared_ptr<spdlog::details::thread_pool> writer;
  bool stop = false;  // Guarded by the mutex.
  std::promise<void> ended;
};
std::condition_variable stop_collecting;
std::shared_ptr<Collector> collector;  // Guarded by the mutex.
std::thread collector_thread;          // Likewise.

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

absl::string_view NameOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

LogLevel LevelNamed(absl::string_view name) {
  for (const LogLevel level : {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning}) {
    if (name == NameOf(level)) return level;
  }
  return LogLevel::kError;
}

void WriteCallLines(spdlog::logger& call_logger) {
  const auto take = take_lines.load();
  const std::string lines = take == nullptr ? "" : take();
  if (!lines.empty()) call_logger.info(lines);
}

void Collect(Collector& self) {
  std::unique_lock<std::mutex> lock(mutex);
  while (!stop_collecting.wait_for(lock, kCollectInterval, [&] { return self.stop; })) {
    lock.unlock();
    WriteCallLines(*self.call_logger);
    lock.lock();
  }
  lock.unlock();
  WriteCallLines(*self.call_logger);
  dropped_before += self.writer->overrun_counter();
  // The pool writes out what is waiting before its thread ends.
  self.writer.reset();
  self.ended.set_value();
}

// gRPC logs at error level what strangers send (malformed headers, and so on): cut it, and let at
// most a few a second through.
void LogFromGrpc(gpr_log_func_args* args) {
  if (args->severity < GPR_LOG_SEVERITY_ERROR) return;
  constexpr size_t kMaxBytes = 300;
  constexpr int kMaxPerSecond = 10;
  static std::atomic<int64_t> current_second = 0;
  static std::atomic<int> in_second = 0;
  const int64_t second = absl::ToUnixSeconds(absl::Now());
  if (current_second.exchange(second) != second) in_second = 0;
  if (++in_second > kMaxPerSecond) return;
  Log(LogLevel::kError, "grpc",
      {{"message", absl::string_view(args->message).substr(0, kMaxBytes)}});
}

std::string ToText(absl::string_view view) { return std::string(view); }

}  // namespace

void StartLog(absl::string_view level) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (logger == nullptr) {
    writer = std::make_shared<spdlog::details::thread_pool>(kMaxWaitingLines, 1);
    const auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    sink->set_pattern("%v");
    logger = std::make_shared<spdlog::async_logger>("authurl", sink, writer,
                                                    spdlog::async_overflow_policy::overrun_oldest);
    // What is written is decided before it gets here.
    logger->set_level(spdlog::level::trace);
    gpr_set_log_function(LogFromGrpc);
    // Protobuf writes a line for every malformed message that a stranger sends; the access log has
    // it already.
    google::protobuf::SetLogHandler(nullptr);
    collector = std::make_shared<Collector>();
    collector->call_logger = std::make_shared<spdlog::logger>("calls", sink);
    collector->writer = writer;
    collector_thread = std::thread([self = collector] { Collect(*self); });
  }
  least_level = static_cast<int>(LevelNamed(level));
}

bool StopLog() {
  std::shared_ptr<Collector> stopping;
  std::thread thread;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    if (logger == nullptr) return true;
    least_level = kNothing;
    logger.reset();
    writer.reset();
    stopping = std::move(collector);
    stopping->stop = true;
    thread = std::move(collector_thread);
  }
  stop_collecting.notify_all();
  if (stopping->ended.get_future().wait_for(kStopPatience) == std::future_status::ready) {
    thread.join();
    return true;
  }
  thread.detach();
  return false;
}

bool IsLogged(LogLevel level) {
  return static_cast<int>(level) >= least_level.load(std::memory_order_relaxed);
}

uint64_t LogLinesDropped() {
  const auto of_source = lines_dropped.load();
  const std::lock_guard<std::mutex> lock(mutex);
  return dropped_before + (of_source == nullptr ? 0 : of_source()) +
         (writer == nullptr ? 0 : writer->overrun_counter());
}

void CollectLinesOf(LineSource source) {
  take_lines = source.take;
  lines_dropped = source.dropped;
}

void Log(LogLevel level, absl::string_view event, std::initializer_list<LogField> fields) {
  if (!IsLogged(level)) return;
  std::shared_ptr<spdlog::logger> target;
  std::shared_ptr<spdlog::details::thread_pool> keep;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    target = logger;
    keep = writer;
  }
  if (target == nullptr) return;
  nlohmann::ordered_json line;
  line["time"] = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
  line["level"] = ToText(NameOf(level));
  line["event"] = ToText(event);
  for (const LogField& field : fields) {
    const auto* text = std::get_if<absl::string_view>(&field.value);
    if (text != nullptr && text->empty()) continue;
    auto& value = line[ToText(field.name)];
    if (text != nullptr) value = ToText(*text);
    if (const auto* number = std::get_if<int64_t>(&field.value)) value = *number;
    if (const auto* number = std::get_if<double>(&field.value)) value = *number;
  }
  // Bytes that are not UTF-8 become U+FFFD: a log line must always be valid JSON.
  target->log(ToSpdlog(level), "{}",
              line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

}  // namespace authurl
