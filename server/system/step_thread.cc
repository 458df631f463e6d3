#include "server/system/step_thread.h"

#include <algorithm>
#include <utility>

namespace authurl {
namespace {

// So that a pause without end is no number that overflows.
constexpr absl::Duration kLongestStepPause = absl::Hours(1);

}  // namespace

StepThread::StepThread(Step step) : step_(std::move(step)), thread_([this] { Run(); }) {}

StepThread::~StepThread() {
  Stop();
  Join();
}

void StepThread::Wake() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_woken_ = true;
  }
  wake_.notify_all();
}

void StepThread::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
}

bool StepThread::WaitFor(absl::Duration patience) {
  std::unique_lock<std::mutex> lock(mutex_);
  return ended_.wait_for(lock, absl::ToChronoMicroseconds(std::max(patience, absl::ZeroDuration())),
                         [this] { return has_ended_; });
}

void StepThread::Join() {
  if (thread_.joinable()) thread_.join();
}

void StepThread::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    is_woken_ = false;
    lock.unlock();
    const absl::Duration pause = std::clamp(step_(), absl::ZeroDuration(), kLongestStepPause);
    lock.lock();
    wake_.wait_for(lock, absl::ToChronoMicroseconds(pause),
                   [this] { return is_woken_ || stopping_; });
  }
  has_ended_ = true;
  ended_.notify_all();
}

}  // namespace authurl
