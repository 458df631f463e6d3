#include "server/serving/lanes.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"

namespace authurl::testing {
namespace {

// Holds threads until it is opened.
class Gate final {
 public:
  void Wait() { opened_.wait(); }
  void Open() { open_.set_value(); }

 private:
  std::promise<void> open_;
  std::shared_future<void> opened_ = open_.get_future().share();
};

class Task final : public LaneTask {
 public:
  explicit Task(
      std::function<void()> run = [] {}, absl::Time deadline = absl::InfiniteFuture())
      : context_(deadline), run_(std::move(run)) {}

  const CallContext& context() const override { return context_; }
  void Run() override {
    ++ran;
    run_();
  }
  void Drop() override { ++dropped; }
  void Cancel() { context_.Cancel(); }

  std::atomic<int> ran = 0;
  std::atomic<int> dropped = 0;

 private:
  CallContext context_;
  const std::function<void()> run_;
};

// A lane whose one thread is held until the gate opens.
class HeldLane {
 public:
  explicit HeldLane(int max_queued) : lane(1, max_queued) {
    EXPECT_TRUE(lane.TrySubmit(holder_));
    started_.get_future().wait();
  }
  ~HeldLane() { Release(); }

  void Release() {
    if (!std::exchange(released_, true)) gate_.Open();
    lane.Stop();
  }

 private:
  Gate gate_;
  std::promise<void> started_;
  bool released_ = false;
  Task holder_{[this] {
    started_.set_value();
    gate_.Wait();
  }};

 public:
  ThreadLane lane;
};

TEST(LanesTest, RunsEveryTaskOnce) {
  std::deque<Task> tasks(1000);
  {
    ThreadLane lane(4, 10'000);
    for (Task& task : tasks) EXPECT_TRUE(lane.TrySubmit(task));
  }
  for (Task& task : tasks) EXPECT_EQ(task.ran, 1);
}

TEST(LanesTest, RefusesWhatDoesNotFitAndTakesTasksAgainLater) {
  Task first;
  Task second;
  Task third;
  HeldLane held(2);
  EXPECT_TRUE(held.lane.TrySubmit(first));
  EXPECT_TRUE(held.lane.TrySubmit(second));
  EXPECT_FALSE(held.lane.TrySubmit(third));
  const LaneStats stats = held.lane.stats();
  EXPECT_EQ(stats.queued, 2u);
  EXPECT_EQ(stats.capacity, 2u);
  EXPECT_EQ(stats.threads, 1u);
  EXPECT_EQ(stats.shed, 1u);
  held.Release();
  EXPECT_EQ(first.ran, 1);
  EXPECT_EQ(second.ran, 1);
  EXPECT_EQ(third.ran, 0);
}

TEST(LanesTest, TasksOfOneThreadRunInTheOrderInWhichTheyCame) {
  std::vector<int> order;
  std::deque<Task> tasks;
  for (int i = 0; i < 50; ++i) tasks.emplace_back([&order, i] { order.push_back(i); });
  {
    ThreadLane lane(1, 100);
    for (Task& task : tasks) ASSERT_TRUE(lane.TrySubmit(task));
  }
  ASSERT_EQ(order.size(), 50u);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(LanesTest, StopRunsWhatWaitsAndRefusesWhatComes) {
  std::deque<Task> tasks(5);
  Task late;
  HeldLane held(10);
  for (Task& task : tasks) ASSERT_TRUE(held.lane.TrySubmit(task));
  held.Release();
  for (Task& task : tasks) EXPECT_EQ(task.ran, 1);
  EXPECT_FALSE(held.lane.TrySubmit(late));
  EXPECT_EQ(late.ran + late.dropped, 0);
}

TEST(LanesTest, CancelledTaskGivesItsPlaceFreeAtOnceAndIsNeverBegun) {
  Task cancelled;
  Task next;
  HeldLane held(1);
  ASSERT_TRUE(held.lane.TrySubmit(cancelled));
  ASSERT_FALSE(held.lane.TrySubmit(next));
  cancelled.Cancel();
  held.lane.Withdraw(cancelled);
  EXPECT_EQ(cancelled.dropped, 1);
  EXPECT_EQ(held.lane.stats().queued, 0u);
  EXPECT_EQ(held.lane.stats().dropped, 1u);
  EXPECT_TRUE(held.lane.TrySubmit(next));
  held.Release();
  EXPECT_EQ(cancelled.ran, 0);
  EXPECT_EQ(cancelled.dropped, 1);
  EXPECT_EQ(next.ran, 1);
}

TEST(LanesTest, WithdrawingWhatDoesNotWaitDoesNothing) {
  Task task;
  Lanes lanes(LaneLimits{});
  lanes.Withdraw(task);
  EXPECT_EQ(task.dropped, 0);
}

TEST(LanesTest, TaskThatWasCancelledBeforeItCameIsDroppedAndNotQueued) {
  Task cancelled;
  HeldLane held(1);
  cancelled.Cancel();
  held.lane.Withdraw(cancelled);
  EXPECT_EQ(cancelled.dropped, 0);
  EXPECT_TRUE(held.lane.TrySubmit(cancelled));
  EXPECT_EQ(cancelled.dropped, 1);
  EXPECT_EQ(held.lane.stats().queued, 0u);
}

TEST(LanesTest, ExpiredTasksMakeRoomWhenTheQueueIsFull) {
  const auto run = [] {};
  // It passes while they wait, or has passed: nobody looks before the queue is full.
  std::deque<Task> expired;
  for (int i = 0; i < 3; ++i) expired.emplace_back(run, absl::Now() - absl::Seconds(1));
  Task alive(run, absl::Now() + absl::Hours(1));
  Task next;
  Task none;
  HeldLane held(4);
  ASSERT_TRUE(held.lane.TrySubmit(expired[0]));
  ASSERT_TRUE(held.lane.TrySubmit(alive));
  ASSERT_TRUE(held.lane.TrySubmit(expired[1]));
  ASSERT_TRUE(held.lane.TrySubmit(expired[2]));
  EXPECT_TRUE(held.lane.TrySubmit(next));
  for (Task& task : expired) EXPECT_EQ(task.dropped, 1);
  EXPECT_EQ(alive.dropped, 0);
  EXPECT_EQ(held.lane.stats().queued, 2u);
  EXPECT_EQ(held.lane.stats().dropped, 3u);
  held.Release();
  for (Task& task : expired) EXPECT_EQ(task.ran, 0);
  EXPECT_EQ(alive.ran, 1);
  EXPECT_EQ(next.ran, 1);
}

TEST(LanesTest, ExpiredTaskThatReachesAThreadIsDroppedThere) {
  Task expired([] {}, absl::Now() - absl::Seconds(1));
  HeldLane held(1);
  ASSERT_TRUE(held.lane.TrySubmit(expired));
  held.Release();
  EXPECT_EQ(expired.ran, 0);
  EXPECT_EQ(expired.dropped, 1);
}

TEST(LanesTest, BlockedWritesDoNotHoldUpReads) {
  Gate gate;
  std::deque<Task> writes;
  for (int i = 0; i < 3; ++i) writes.emplace_back([&gate] { gate.Wait(); });
  std::promise<void> read;
  Task reading([&read] { read.set_value(); });
  Lanes lanes({.read_workers = 1, .write_workers = 2, .max_queued_writes = 1});
  for (Task& write : writes) {
    while (!lanes.writes.TrySubmit(write)) std::this_thread::yield();
  }
  EXPECT_TRUE(lanes.reads.TrySubmit(reading));
  read.get_future().wait();
  gate.Open();
  lanes.Stop();
  for (Task& write : writes) EXPECT_EQ(write.ran, 1);
}

TEST(LanesTest, OutboundLaneIsBoundedByWhatIsUnderWay) {
  OutboundLane lane(2);
  EXPECT_TRUE(lane.TryEnter());
  EXPECT_TRUE(lane.TryEnter());
  EXPECT_FALSE(lane.TryEnter());
  EXPECT_EQ(lane.stats().queued, 2u);
  EXPECT_EQ(lane.stats().shed, 1u);
  lane.Leave();
  EXPECT_TRUE(lane.TryEnter());
}

TEST(LanesTest, DefaultsHoldAThousandOutboundCalls) {
  EXPECT_GE(LaneLimits{}.max_outbound_calls, 1000);
}

// Some are cancelled before they come, some while they wait, some while they run.
TEST(LanesTest, EveryTaskIsRunOrDroppedOnceWhoeverCancelsIt) {
  constexpr int kThreads = 4;
  constexpr size_t kTasks = 500;
  std::vector<std::deque<Task>> tasks(kThreads);
  for (auto& of_thread : tasks) of_thread.resize(kTasks);
  std::vector<std::deque<std::atomic<bool>>> taken(kThreads);
  for (auto& of_thread : taken) of_thread.resize(kTasks);
  {
    ThreadLane lane(2, 64);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      const auto thread = static_cast<size_t>(t);
      threads.emplace_back([&, thread] {
        for (size_t i = 0; i < kTasks; ++i) taken[thread][i] = lane.TrySubmit(tasks[thread][i]);
      });
      threads.emplace_back([&, thread] {
        for (size_t i = 0; i < kTasks; i += 2) {
          tasks[thread][i].Cancel();
          lane.Withdraw(tasks[thread][i]);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  for (size_t t = 0; t < kThreads; ++t) {
    for (size_t i = 0; i < kTasks; ++i) {
      EXPECT_EQ(tasks[t][i].ran + tasks[t][i].dropped, taken[t][i] ? 1 : 0) << t << " " << i;
    }
  }
}

}  // namespace
}  // namespace authurl::testing
