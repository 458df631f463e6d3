#include "server/serving/lanes.h"

#include <algorithm>

#include "absl/time/clock.h"

namespace authurl {

namespace {

bool HasEnded(const CallContext& context) { return !context.Check().ok(); }

}  // namespace

absl::string_view LaneName(Lane lane) {
  switch (lane) {
    case Lane::kMemory:
      return "memory";
    case Lane::kReads:
      return "reads";
    case Lane::kWrites:
      return "writes";
    case Lane::kOutbound:
      return "outbound";
  }
  return "";
}

void ThreadLane::Queue::PushBack(LaneTask& task) {
  task.before_ = back_;
  task.after_ = nullptr;
  (back_ == nullptr ? front_ : back_->after_) = &task;
  back_ = &task;
  ++size_;
}

void ThreadLane::Queue::Remove(LaneTask& task) {
  (task.before_ == nullptr ? front_ : task.before_->after_) = task.after_;
  (task.after_ == nullptr ? back_ : task.after_->before_) = task.before_;
  --size_;
}

ThreadLane::ThreadLane(int threads, int max_queued) : max_queued_(static_cast<size_t>(max_queued)) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
}

ThreadLane::~ThreadLane() { Stop(); }

bool ThreadLane::TrySubmit(LaneTask& task) {
  Queue ended;
  bool taken = true;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (queue_.size() >= max_queued_) TakeEnded(ended);
    if (stopping_ || queue_.size() >= max_queued_) {
      ++shed_;
      taken = false;
    } else if (task.context().cancelled()) {
      // Withdraw() may have looked for it already.
      ++dropped_;
      ended.PushBack(task);
    } else {
      queue_.PushBack(task);
      task.waits_in_.store(this, std::memory_order_relaxed);
      earliest_deadline_ = std::min(earliest_deadline_, task.context().deadline());
    }
  }
  if (taken) wake_.notify_one();
  DropAll(ended);
  return taken;
}

void ThreadLane::Withdraw(LaneTask& task) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (task.waits_in_.load(std::memory_order_relaxed) != this) return;
    TakeOut(task);
    ++dropped_;
  }
  task.Drop();
}

void ThreadLane::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

LaneStats ThreadLane::stats() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return {.queued = queue_.size(),
          .capacity = max_queued_,
          .threads = threads_.size(),
          .shed = shed_,
          .dropped = dropped_};
}

void ThreadLane::Work() {
  while (true) {
    LaneTask* task = nullptr;
    bool is_wanted = true;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || queue_.size() > 0; });
      if (queue_.size() == 0) return;
      task = queue_.front();
      TakeOut(*task);
      is_wanted = !HasEnded(task->context());
      if (!is_wanted) ++dropped_;
    }
    if (is_wanted) {
      task->Run();
    } else {
      task->Drop();
    }
  }
}

void ThreadLane::TakeEnded(Queue& ended) {
  if (absl::Now() <= earliest_deadline_) return;
  earliest_deadline_ = absl::InfiniteFuture();
  for (LaneTask* task = queue_.front(); task != nullptr;) {
    LaneTask& each = *task;
    task = Queue::After(each);
    if (HasEnded(each.context())) {
      TakeOut(each);
      ended.PushBack(each);
      ++dropped_;
    } else {
      earliest_deadline_ = std::min(earliest_deadline_, each.context().deadline());
    }
  }
}

void ThreadLane::TakeOut(LaneTask& task) {
  queue_.Remove(task);
  task.waits_in_.store(nullptr, std::memory_order_relaxed);
}

void ThreadLane::DropAll(Queue& tasks) {
  while (tasks.size() > 0) {
    LaneTask& task = *tasks.front();
    tasks.Remove(task);
    task.Drop();
  }
}

bool OutboundLane::TryEnter() {
  if (calls_.fetch_add(1, std::memory_order_relaxed) < max_calls_) return true;
  Leave();
  shed_.fetch_add(1, std::memory_order_relaxed);
  return false;
}

LaneStats OutboundLane::stats() const {
  const int64_t calls = calls_.load(std::memory_order_relaxed);
  return {.queued = static_cast<size_t>(std::clamp<int64_t>(calls, 0, max_calls_)),
          .capacity = static_cast<size_t>(max_calls_),
          .shed = shed_.load(std::memory_order_relaxed)};
}

LaneStats Lanes::stats(Lane lane) const {
  switch (lane) {
    case Lane::kReads:
      return reads.stats();
    case Lane::kWrites:
      return writes.stats();
    case Lane::kOutbound:
      return outbound.stats();
    case Lane::kMemory:
      break;
  }
  return {};
}

}  // namespace authurl
