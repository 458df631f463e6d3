#include "tests/bench/allocation_counter.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace authurl::bench {
namespace {

std::atomic<int64_t> count;
std::atomic<int64_t> bytes;

void* Allocate(std::size_t size, std::size_t alignment) {
  count.fetch_add(1, std::memory_order_relaxed);
  bytes.fetch_add(static_cast<int64_t>(size), std::memory_order_relaxed);
  void* memory = nullptr;
  if (alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
    memory = std::malloc(size);
  } else if (posix_memalign(&memory, alignment, size) != 0) {
    memory = nullptr;
  }
  // No exceptions here: whoever runs out of memory in a benchmark wants to see where.
  if (memory == nullptr) std::abort();
  return memory;
}

}  // namespace

Allocations AllocationsSoFar() { return {count.load(), bytes.load()}; }

}  // namespace authurl::bench

// The other forms of the standard library end in these.
void* operator new(std::size_t size) {
  return authurl::bench::Allocate(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return authurl::bench::Allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
