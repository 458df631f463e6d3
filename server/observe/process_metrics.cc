#include "server/observe/process_metrics.h"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "server/observe/metric_family.h"

namespace authurl {
namespace {

double ToSeconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double Now(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// From proc(5), /proc/PID/stat.
struct Stat {
  uint64_t start_ticks = 0;  // Since the machine booted.
  uint64_t virtual_bytes = 0;
  uint64_t resident_pages = 0;
};

std::optional<Stat> ReadStat() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  // The second field, the program's name in parentheses, may hold anything; the third follows the
  // last parenthesis.
  const size_t name_end = line.rfind(") ");
  if (name_end == std::string::npos) return std::nullopt;
  const std::vector<absl::string_view> fields =
      absl::StrSplit(absl::string_view(line).substr(name_end + 2), ' ');
  constexpr size_t kFirst = 3;
  Stat stat;
  if (fields.size() <= 24 - kFirst || !absl::SimpleAtoi(fields[22 - kFirst], &stat.start_ticks) ||
      !absl::SimpleAtoi(fields[23 - kFirst], &stat.virtual_bytes) ||
      !absl::SimpleAtoi(fields[24 - kFirst], &stat.resident_pages)) {
    return std::nullopt;
  }
  return stat;
}

double ReadStartTime() {
  const std::optional<Stat> stat = ReadStat();
  if (!stat.has_value()) return 0;
  // Not from the boot time in /proc/stat, which a sandbox may hide.
  const double age = Now(CLOCK_BOOTTIME) - static_cast<double>(stat->start_ticks) /
                                               static_cast<double>(sysconf(_SC_CLK_TCK));
  return Now(CLOCK_REALTIME) - age;
}

std::optional<double> CountOpenFds() {
  std::error_code error;
  double count = 0;
  std::filesystem::directory_iterator fds("/proc/self/fd", error);
  for (; !error && fds != std::filesystem::directory_iterator(); fds.increment(error)) ++count;
  if (error) return std::nullopt;
  return count - 1;  // Without the one that reads the folder.
}

}  // namespace

ProcessMetrics::ProcessMetrics() : start_time_(ReadStartTime()) {}

std::vector<prometheus::MetricFamily> ProcessMetrics::Collect() const {
  std::vector<prometheus::MetricFamily> families;
  rusage usage = {};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    families.push_back(MakeCounter("process_cpu_seconds_total", "CPU time spent.",
                                   ToSeconds(usage.ru_utime) + ToSeconds(usage.ru_stime)));
  }
  if (const std::optional<Stat> stat = ReadStat()) {
    families.push_back(MakeGauge(
        "process_resident_memory_bytes", "Resident memory.",
        static_cast<double>(stat->resident_pages) * static_cast<double>(sysconf(_SC_PAGESIZE))));
    families.push_back(MakeGauge("process_virtual_memory_bytes", "Virtual memory.",
                                 static_cast<double>(stat->virtual_bytes)));
  }
  if (const std::optional<double> open_fds = CountOpenFds()) {
    families.push_back(MakeGauge("process_open_fds", "Open file descriptors.", *open_fds));
  }
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    families.push_back(MakeGauge("process_max_fds", "File descriptors that may be open.",
                                 static_cast<double>(limit.rlim_cur)));
  }
  if (start_time_ > 0) {
    families.push_back(MakeGauge("process_start_time_seconds",
                                 "When the process started, in seconds since 1970.", start_time_));
  }
  return families;
}

}  // namespace authurl
