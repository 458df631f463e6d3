#include "tests/bench/process_usage.h"

#include <time.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace authurl::bench {
namespace {

// The number in the line "name: number …" of a file in /proc; 0 if there is none.
int64_t ReadNumber(const std::string& file, absl::string_view name) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::ByAnyChar(": \t"), absl::SkipEmpty());
    int64_t number = 0;
    if (words.size() >= 2 && words[0] == name && absl::SimpleAtoi(words[1], &number)) return number;
  }
  return 0;
}

}  // namespace

double CpuUsOf(pid_t pid) {
  clockid_t clock{};
  timespec time{};
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0) return 0;
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

int64_t ContextSwitchesOf(pid_t pid) {
  int64_t switches = 0;
  std::error_code ended;
  const std::filesystem::directory_iterator threads(absl::StrCat("/proc/", pid, "/task"), ended);
  if (ended) return 0;
  for (const auto& thread : threads) {
    const std::string file = thread.path() / "status";
    switches += ReadNumber(file, "voluntary_ctxt_switches") +
                ReadNumber(file, "nonvoluntary_ctxt_switches");
  }
  return switches;
}

double CpuOfAllUs() {
  std::ifstream in("/proc/stat");
  std::string cpu;
  double user = 0, nice = 0, system = 0, idle = 0, disk = 0, irq = 0, softirq = 0, stolen = 0;
  in >> cpu >> user >> nice >> system >> idle >> disk >> irq >> softirq >> stolen;
  const double ticks = user + nice + system + irq + softirq + stolen;
  return ticks * 1e6 / static_cast<double>(sysconf(_SC_CLK_TCK));
}

ResidentMemory ResidentMemoryOf(pid_t pid) {
  const std::string file = absl::StrCat("/proc/", pid, "/status");
  return {.now_bytes = 1024 * ReadNumber(file, "VmRSS"),
          .peak_bytes = 1024 * ReadNumber(file, "VmHWM")};
}

}  // namespace authurl::bench
