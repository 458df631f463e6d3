#pragma once

#include <sys/resource.h>

#include <cstdint>

namespace authurl::bench {

// What this process has consumed since it started.
struct ProcessUsage {
  int64_t user_us = 0;
  int64_t system_us = 0;
  int64_t context_switches = 0;

  int64_t cpu_us() const { return user_us + system_us; }
};

inline ProcessUsage CurrentProcessUsage() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto to_us = [](const timeval& time) {
    return int64_t{time.tv_sec} * 1'000'000 + int64_t{time.tv_usec};
  };
  return {.user_us = to_us(usage.ru_utime),
          .system_us = to_us(usage.ru_stime),
          .context_switches = int64_t{usage.ru_nvcsw} + int64_t{usage.ru_nivcsw}};
}

}  // namespace authurl::bench
