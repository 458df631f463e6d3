#include "server/system/thread_pool.h"

#include <utility>

namespace authurl {

ThreadPool::ThreadPool(int threads) {
  threads_.reserve(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
}

ThreadPool::~ThreadPool() { Stop(); }

void ThreadPool::Run(Task task) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!stopped_) {
      tasks_.push_back(std::move(task));
      wake_.notify_one();
      return;
    }
  }
  task();
}

void ThreadPool::Stop() {
  std::vector<std::thread> threads;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    threads.swap(threads_);
  }
  wake_.notify_all();
  for (std::thread& thread : threads) thread.join();
}

size_t ThreadPool::waiting() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return tasks_.size();
}

void ThreadPool::Work() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    // A task that runs may add others: none of the threads ends before the last of them has.
    wake_.wait(lock, [this] { return !tasks_.empty() || (stopping_ && running_ == 0); });
    if (tasks_.empty()) break;
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    ++running_;
    lock.unlock();
    task();
    task = nullptr;  // What it holds on to goes outside the lock.
    lock.lock();
    --running_;
    if (stopping_ && running_ == 0) wake_.notify_all();
  }
  stopped_ = true;
}

}  // namespace authurl
