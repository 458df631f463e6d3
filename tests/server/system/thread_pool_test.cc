#include "server/system/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

namespace authurl::testing {
namespace {

TEST(ThreadPoolTest, RunsWhatWaitsInOrderBeforeItStops) {
  std::vector<int> ran;
  ThreadPool pool(1);
  std::promise<void> open;
  pool.Run([&] { open.get_future().wait(); });
  for (int i = 0; i < 5; ++i) pool.Run([&ran, i] { ran.push_back(i); });
  EXPECT_GE(pool.waiting(), 5U);
  open.set_value();
  pool.Stop();
  EXPECT_EQ(ran, (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ(pool.waiting(), 0U);
}

TEST(ThreadPoolTest, ATaskThatAddsAnotherWhileItStopsIsNotTheLast) {
  std::atomic<int> ran = 0;
  ThreadPool pool(2);
  for (int i = 0; i < 8; ++i) {
    pool.Run([&] {
      ++ran;
      pool.Run([&] {
        ++ran;
        pool.Run([&] { ++ran; });
      });
    });
  }
  pool.Stop();
  EXPECT_EQ(ran, 24);
}

TEST(ThreadPoolTest, AfterItHasStoppedATaskRunsWhereItComesFrom) {
  ThreadPool pool(2);
  pool.Stop();
  std::thread::id ran_on;
  pool.Run([&] { ran_on = std::this_thread::get_id(); });
  EXPECT_EQ(ran_on, std::this_thread::get_id());
}

TEST(ThreadPoolTest, TasksOfManyThreadsRunOnceEach) {
  std::atomic<int> ran = 0;
  {
    ThreadPool pool(4);
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; ++i) {
      callers.emplace_back([&] {
        for (int k = 0; k < 500; ++k) pool.Run([&] { ++ran; });
      });
    }
    for (std::thread& caller : callers) caller.join();
  }
  EXPECT_EQ(ran, 2000);
}

}  // namespace
}  // namespace authurl::testing
