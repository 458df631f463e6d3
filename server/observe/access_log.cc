#include "server/observe/access_log.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "server/observe/log.h"

namespace authurl {
namespace {

// Of one thread; a few thousand lines.
constexpr size_t kMaxBufferBytes = 1024 * 1024;

struct Buffer {
  std::mutex mutex;  // Only its thread and the collector ever take it.
  std::string lines;
};

struct Buffers {
  std::mutex mutex;
  // A buffer outlives its thread until its last lines are taken.
  std::vector<std::shared_ptr<Buffer>> all;
};

std::atomic<uint64_t> dropped = 0;

std::string TakeLines();
uint64_t LinesDropped() { return dropped.load(std::memory_order_relaxed); }

// Never destroyed: threads may log until the very end.
Buffers& AllBuffers() {
  static Buffers& buffers = *[] {
    CollectLinesOf({.take = TakeLines, .dropped = LinesDropped});
    return new Buffers;
  }();
  return buffers;
}

std::string TakeLines() {
  Buffers& buffers = AllBuffers();
  const std::lock_guard<std::mutex> lock(buffers.mutex);
  std::string taken;
  std::erase_if(buffers.all, [&](const std::shared_ptr<Buffer>& buffer) {
    const std::lock_guard<std::mutex> buffer_lock(buffer->mutex);
    taken += buffer->lines;
    buffer->lines.clear();
    // Nobody but this list knows it: its thread has ended.
    return buffer.use_count() == 1;
  });
  return std::string(absl::StripSuffix(taken, "\n"));
}

Buffer& BufferOfThisThread() {
  thread_local const std::shared_ptr<Buffer> buffer = [] {
    auto made = std::make_shared<Buffer>();
    Buffers& buffers = AllBuffers();
    const std::lock_guard<std::mutex> lock(buffers.mutex);
    buffers.all.push_back(made);
    return made;
  }();
  return *buffer;
}

// "2026-11-23T10:00:00.123Z". The seconds are spelt once each, not for each line.
void AppendTime(absl::Time time, std::string& line) {
  thread_local int64_t spelt_second = -1;
  thread_local std::string spelt;
  const int64_t millis = absl::ToUnixMillis(time);
  if (millis / 1000 != spelt_second) {
    spelt_second = millis / 1000;
    spelt = absl::FormatTime("%Y-%m-%dT%H:%M:%S.", absl::FromUnixSeconds(spelt_second),
                             absl::UTCTimeZone());
  }
  const auto rest = static_cast<int>(millis % 1000);
  absl::StrAppend(&line, spelt, absl::Dec(rest, absl::kZeroPad3), "Z");
}

void AppendField(absl::string_view name, absl::string_view value, std::string& line) {
  if (value.empty()) return;
  absl::StrAppend(&line, ",\"", name, "\":\"", value, "\"");
}

}  // namespace

void LogCall(const ServedCall& call) {
  static const CallSubject& nothing = *new CallSubject;
  const CallSubject& subject = call.subject == nullptr ? nothing : *call.subject;
  if (!call.cause.empty()) {
    Log(LogLevel::kError, "call",
        {{"method", call.method},
         {"code", call.code},
         {"reason", call.reason},
         {"faulty_fields", call.faulty_fields},
         {"request_id", call.request_id},
         {"key_id", call.key_id},
         {"org_id", call.org_id},
         {"peer", call.peer},
         {"network", subject.network},
         {"target", subject.target},
         {"target_org_id", subject.target_org_id},
         {"changed_fields", subject.changed_fields},
         {"microseconds", absl::ToInt64Microseconds(call.duration)},
         {"cause", call.cause}});
    return;
  }
  if (!IsLogged(LogLevel::kInfo)) return;
  Buffer& buffer = BufferOfThisThread();
  const std::lock_guard<std::mutex> lock(buffer.mutex);
  std::string& line = buffer.lines;
  if (line.size() > kMaxBufferBytes) {
    dropped.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  absl::StrAppend(&line, "{\"time\":\"");
  AppendTime(absl::Now(), line);
  absl::StrAppend(&line, "\",\"level\":\"info\",\"event\":\"call\"");
  AppendField("method", call.method, line);
  AppendField("code", call.code, line);
  AppendField("reason", call.reason, line);
  AppendField("faulty_fields", call.faulty_fields, line);
  AppendField("request_id", call.request_id, line);
  AppendField("key_id", call.key_id, line);
  AppendField("org_id", call.org_id, line);
  AppendField("peer", call.peer, line);
  AppendField("network", subject.network, line);
  AppendField("target", subject.target, line);
  AppendField("target_org_id", subject.target_org_id, line);
  AppendField("changed_fields", subject.changed_fields, line);
  if (subject.results > 0) {
    absl::StrAppend(&line, ",\"results\":", subject.results,
                    ",\"failed_results\":", subject.failed_results);
  }
  absl::StrAppend(&line, ",\"microseconds\":", absl::ToInt64Microseconds(call.duration), "}\n");
}

}  // namespace authurl
