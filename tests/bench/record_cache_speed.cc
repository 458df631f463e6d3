// record_cache_speed.cc: what one insert into a full record cache takes, for caches of different
// sizes: an insert holds its shard's lock, so whoever looks something up there waits as long.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "authurl/record/v1/record.pb.h"
#include "storage/record_cache.h"
#include "storage/record_size.h"
#include "tests/bench/example_call.h"

namespace authurl::bench {
namespace {

using record::v1::SocialNetworkSettings;

// The processor time that this thread has used: what others on the machine do is not in it.
double CpuSeconds() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// A cache of `budget` bytes, filled up. All its entries share one record, so that a large one takes
// less memory than it counts.
class FullCache final {
 public:
  explicit FullCache(size_t budget) : cache_(budget) {
    do {
      for (int i = 0; i < 50'000; ++i) while_filling_.push_back(Insert());
    } while (cache_.Snapshot().evictions < inserted_ / 8);
  }

  // Returns the seconds it took.
  double Insert() {
    const std::string org_id = absl::StrCat("organisation-", inserted_++);
    const double begin = CpuSeconds();
    benchmark::DoNotOptimize(cache_.Load(CallContext::Background(),
                                         RecordId<SocialNetworkSettings>{org_id, "x"},
                                         [this] { return Loaded(); }));
    return CpuSeconds() - begin;
  }

  // Looks all entries up, so that none is a better one to evict than the others.
  void UseAll() {
    for (uint64_t i = 0; i < inserted_; ++i) {
      const std::string org_id = absl::StrCat("organisation-", i);
      benchmark::DoNotOptimize(cache_.Find(RecordId<SocialNetworkSettings>{org_id, "x"}));
    }
  }

  // The slowest but one in 10,000 of the inserts that filled it: where the kernel had to find
  // memory meanwhile, it shows in single ones.
  double SlowWhileFilling() {
    const auto slow =
        while_filling_.end() - 1 - static_cast<ptrdiff_t>(while_filling_.size() / 10'000);
    std::nth_element(while_filling_.begin(), slow, while_filling_.end());
    return *slow;
  }
  uint64_t entries() const { return cache_.Snapshot().entries; }

 private:
  LoadedRecord<SocialNetworkSettings> Loaded() const { return {record_, SharedBytes(*record_)}; }

  const std::shared_ptr<const SocialNetworkSettings> record_ =
      std::make_shared<const SocialNetworkSettings>(
          ExampleSettings("acme-corporation", "sn_0123456789abcdefghjk", "x"));
  RecordCache cache_;
  uint64_t inserted_ = 0;
  std::vector<double> while_filling_;
};

void InsertWhereAllAreUsed(benchmark::State& state) {
  FullCache cache(static_cast<size_t>(state.range(0)) << 20);
  double slowest = 0;
  while (state.KeepRunning()) {
    cache.UseAll();
    const double seconds = cache.Insert();
    slowest = std::max(slowest, seconds);
    state.SetIterationTime(seconds);
  }
  state.counters["entries"] = static_cast<double>(cache.entries());
  state.counters["slowest_us"] = slowest * 1e6;
  state.counters["slow_while_filling_us"] = cache.SlowWhileFilling() * 1e6;
}

// What every request does, where nothing has to be fetched from memory.
void Find(benchmark::State& state) {
  RecordCache cache(size_t{64} << 20);
  const std::string org_id = "acme-corporation";
  const RecordId<SocialNetworkSettings> id{org_id, "x", "", "*"};
  const auto record = std::make_shared<const SocialNetworkSettings>();
  cache
      .Load(CallContext::Background(), id,
            [&] { return LoadedRecord<SocialNetworkSettings>{record}; })
      .IgnoreError();
  while (state.KeepRunning()) benchmark::DoNotOptimize(cache.Find(id));
}

BENCHMARK(Find);
BENCHMARK(InsertWhereAllAreUsed)
    ->ArgName("MiB")
    ->Arg(64)
    ->Arg(1024)
    ->Arg(4096)
    ->UseManualTime()
    ->Iterations(9)
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace authurl::bench

BENCHMARK_MAIN();
