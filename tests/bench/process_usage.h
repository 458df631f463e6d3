// process_usage.h: what a process has consumed, asked from outside, so that every server is
// measured in the same way.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace authurl::bench {

// All since the process started. The processor time is that of getrusage(), user and system, in
// finer units.
double CpuUsOf(pid_t pid);
// Asks for each thread by itself, which takes some 50 us a thread: not for a process of hundreds
// while something is measured.
int64_t ContextSwitchesOf(pid_t pid);

// What all processes have consumed since the machine started, waiting for the disk left out.
double CpuOfAllUs();

struct ResidentMemory {
  int64_t now_bytes = 0;
  int64_t peak_bytes = 0;
};
ResidentMemory ResidentMemoryOf(pid_t pid);

}  // namespace authurl::bench
