// log.h: one JSON object per line on stderr.
//
//   {"time":"2026-11-23T10:00:00.123Z","level":"info","event":"serving","address":"127.0.0.1:50051"}
//
// Lines are written by a thread of their own; when it can't keep up, the oldest waiting ones are
// dropped, so that no call ever waits for the log. Never pass a secret, a request or a URL. Safe to
// call from many threads at once.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <variant>

#include "absl/strings/string_view.h"

namespace authurl {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

struct LogField {
  absl::string_view name;
  std::variant<absl::string_view, int64_t, double> value;
};

// Starts the log at a level of config.h ("debug", "info", "warning", "error") and sends gRPC's own
// messages there. May be called again to change the level. Before the first call nothing is logged.
void StartLog(absl::string_view level);
// Writes out what is waiting and stops. Nothing is logged afterwards. False where that took longer
// than a second, because nobody reads stderr or its disk hangs: the rest is lost, and threads of
// the log hang in writing it.
bool StopLog();

// Whether lines of that level are written; cheap.
bool IsLogged(LogLevel level);
// How many lines were dropped because the log could not keep up, since the process started.
uint64_t LogLinesDropped();

// Lines that are put together elsewhere (access_log.h), for the log to fetch and write.
struct LineSource {
  // What was put together since the last time: whole lines without the last one's end; empty where
  // there is none.
  std::string (*take)();
  // How many lines it dropped since the process started.
  uint64_t (*dropped)();
};
// From now on the log takes these lines too, some fifty times a second. There is one such source.
void CollectLinesOf(LineSource source);

// Empty texts are left out.
void Log(LogLevel level, absl::string_view event, std::initializer_list<LogField> fields = {});

}  // namespace authurl
