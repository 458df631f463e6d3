// allocation_counter.h: counts what the program allocates. A program that links
// allocation_counter.cc has every `operator new` replaced by one that counts; malloc(), and with it
// all of gRPC's core and libsodium, is not counted.
#pragma once

#include <cstdint>

namespace authurl::bench {

struct Allocations {
  int64_t count = 0;
  int64_t bytes = 0;
};

// Of all threads, since the program started.
Allocations AllocationsSoFar();

// What one run of `work` allocates, on the average of `runs`.
template <typename Work>
double AllocationsPerRun(int runs, const Work& work) {
  const int64_t before = AllocationsSoFar().count;
  for (int i = 0; i < runs; ++i) work();
  return static_cast<double>(AllocationsSoFar().count - before) / runs;
}

}  // namespace authurl::bench
