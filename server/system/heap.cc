#include "server/system/heap.h"

#include <malloc.h>

namespace authurl {

HeapTrimmer::HeapTrimmer(std::chrono::milliseconds interval)
    : interval_(interval), thread_([this] { Run(); }) {}

HeapTrimmer::~HeapTrimmer() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  thread_.join();
}

void HeapTrimmer::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stop_.wait_for(lock, interval_, [this] { return stopping_; })) malloc_trim(0);
}

}  // namespace authurl
