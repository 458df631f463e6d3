#include "server/serving/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <thread>
#include <vector>

namespace authurl::testing {
namespace {

// Holds every thread of a pool until it is opened.
class Gate final {
 public:
  void Wait() { opened_.wait(); }
  void Open() { open_.set_value(); }

 private:
  std::promise<void> open_;
  std::shared_future<void> opened_ = open_.get_future().share();
};

TEST(WorkerPoolTest, RunsEveryTaskOnce) {
  std::atomic<int> ran = 0;
  {
    WorkerPool pool(4, 10'000);
    for (int i = 0; i < 1000; ++i) EXPECT_TRUE(pool.TrySubmit([&ran] { ++ran; }));
  }
  EXPECT_EQ(ran, 1000);
}

TEST(WorkerPoolTest, RefusesWhatDoesNotFitAndTakesTasksAgainLater) {
  Gate gate;
  std::promise<void> started;
  WorkerPool pool(1, 2);
  ASSERT_TRUE(pool.TrySubmit([&] {
    started.set_value();
    gate.Wait();
  }));
  started.get_future().wait();
  std::promise<void> last;
  EXPECT_TRUE(pool.TrySubmit([] {}));
  EXPECT_TRUE(pool.TrySubmit([&last] { last.set_value(); }));
  EXPECT_FALSE(pool.TrySubmit([] { FAIL() << "a task that was refused must not run"; }));
  gate.Open();
  last.get_future().wait();
  EXPECT_TRUE(pool.TrySubmit([] {}));
}

TEST(WorkerPoolTest, StopRunsWhatWaitsAndRefusesWhatComes) {
  Gate gate;
  std::atomic<int> ran = 0;
  WorkerPool pool(1, 10);
  ASSERT_TRUE(pool.TrySubmit([&gate] { gate.Wait(); }));
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(pool.TrySubmit([&ran] { ++ran; }));
  std::thread stopper([&pool] { pool.Stop(); });
  while (pool.TrySubmit([] {})) std::this_thread::yield();
  gate.Open();
  stopper.join();
  EXPECT_EQ(ran, 5);
  pool.Stop();
  EXPECT_FALSE(pool.TrySubmit([] {}));
}

TEST(WorkerPoolTest, TasksOfOneWorkerRunInTheOrderInWhichTheyCame) {
  std::vector<int> order;
  {
    WorkerPool pool(1, 100);
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(pool.TrySubmit([&order, i] { order.push_back(i); }));
  }
  ASSERT_EQ(order.size(), 50u);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(WorkerPoolTest, ManyThreadsMaySubmit) {
  std::atomic<int> ran = 0;
  std::atomic<int> accepted = 0;
  {
    WorkerPool pool(3, 64);
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 500; ++i) accepted += pool.TrySubmit([&ran] { ++ran; }) ? 1 : 0;
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(ran, accepted);
}

}  // namespace
}  // namespace authurl::testing
