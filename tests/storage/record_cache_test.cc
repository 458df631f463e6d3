#include "storage/record_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <latch>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tests/support/build_kind.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::_;

using record::v1::ApiKey;
using record::v1::Organization;
using record::v1::SocialNetworkSettings;

constexpr size_t kPlenty = size_t{64} << 20;
constexpr int kThreads = 64;

using Settings = std::shared_ptr<const SocialNetworkSettings>;

RecordId<SocialNetworkSettings> Id(absl::string_view org_id, absl::string_view network = "google",
                                   absl::string_view instance = "") {
  return {org_id, network, instance};
}

Settings MakeSettings(const std::string& client_key) {
  SocialNetworkSettings settings;
  settings.set_client_key(client_key);
  return std::make_shared<const SocialNetworkSettings>(std::move(settings));
}

// A loader that must not be called.
absl::StatusOr<Settings> NoLoad() {
  ADD_FAILURE() << "loaded what should be kept";
  return absl::InternalError("loaded");
}

// Loads `settings` under an id, or what is kept there.
Settings Keep(RecordCache& cache, const std::string& org_id, const Settings& settings) {
  return cache.Load(Id(org_id), [&] { return settings; }).value();
}

bool Keeps(RecordCache& cache, const std::string& org_id) {
  return cache.Find(Id(org_id)).has_value();
}

// Lets others run until so many lookups have missed.
void AwaitMisses(const RecordCache& cache, uint64_t misses) {
  while (cache.Snapshot().misses < misses) std::this_thread::yield();
}

// What one entry of a client key of that length takes.
size_t BytesOfOne(size_t length) {
  RecordCache cache(kPlenty);
  Keep(cache, "org", MakeSettings(std::string(length, 'x')));
  return cache.Snapshot().bytes;
}

TEST(RecordCacheTest, WhatWasLoadedIsFoundAndSharedAndNotLoadedAgain) {
  RecordCache cache(kPlenty);
  EXPECT_EQ(cache.Find(Id("acme")), std::nullopt);
  const Settings loaded = Keep(cache, "acme", MakeSettings("key"));
  ASSERT_NE(loaded, nullptr);
  EXPECT_EQ(cache.Find(Id("acme")), loaded);
  ASSERT_OK_AND_ASSIGN(const Settings again, cache.Load(Id("acme"), NoLoad));
  EXPECT_EQ(again, loaded);
  const RecordCache::Stats stats = cache.Snapshot();
  EXPECT_EQ(stats.misses, 1u);
  EXPECT_EQ(stats.hits, 2u);
  EXPECT_EQ(stats.negative_hits, 0u);
  EXPECT_EQ(stats.evictions, 0u);
  EXPECT_EQ(stats.entries, 1u);
  EXPECT_GT(stats.bytes, sizeof(SocialNetworkSettings));
}

TEST(RecordCacheTest, ThatThereIsNoneIsKeptAsWell) {
  RecordCache cache(kPlenty);
  ASSERT_OK_AND_ASSIGN(const Settings none, cache.Load(Id("acme"), [] { return Settings(); }));
  EXPECT_EQ(none, nullptr);
  const std::optional<Settings> found = cache.Find(Id("acme"));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(*found, nullptr);
  ASSERT_OK_AND_ASSIGN(const Settings again, cache.Load(Id("acme"), NoLoad));
  EXPECT_EQ(again, nullptr);
  EXPECT_EQ(cache.Snapshot().hits, 0u);
  EXPECT_EQ(cache.Snapshot().negative_hits, 2u);
  EXPECT_EQ(cache.Snapshot().entries, 1u);
}

TEST(RecordCacheTest, IdsThatOnlyLookAlikeAreDifferent) {
  RecordCache cache(kPlenty);
  const std::vector<RecordId<SocialNetworkSettings>> ids = {
      Id("ab", "c", ""), Id("a", "bc", ""),
      Id("a", "b", "c"), Id("", "abc", ""),
      Id("", "", "abc"), Id("abc", "", ""),
      Id("ab", "", "c"), Id(absl::string_view("ab\0", 3), "c")};
  for (size_t i = 0; i < ids.size(); ++i) {
    ASSERT_OK(cache.Load(ids[i], [&] { return MakeSettings(absl::StrCat(i)); }));
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    ASSERT_TRUE(cache.Find(ids[i]).has_value());
    EXPECT_EQ((*cache.Find(ids[i]))->client_key(), absl::StrCat(i));
  }
  // Nor is a record of one kind ever taken for one of another.
  EXPECT_EQ(cache.Find(RecordId<ApiKey>{"abc"}), std::nullopt);
  EXPECT_EQ(cache.Find(RecordId<Organization>{"abc"}), std::nullopt);
}

TEST(RecordCacheTest, AnErrorIsNotKept) {
  RecordCache cache(kPlenty);
  EXPECT_THAT(cache.Load(Id("acme"),
                         []() -> absl::StatusOr<Settings> { return absl::DataLossError("no"); }),
              StatusIs(absl::StatusCode::kDataLoss, "no"));
  EXPECT_FALSE(Keeps(cache, "acme"));
  EXPECT_EQ(cache.Snapshot().entries, 0u);
  EXPECT_EQ(Keep(cache, "acme", MakeSettings("key"))->client_key(), "key");
}

TEST(RecordCacheTest, WhatWasInvalidatedIsLoadedAgainAndOnlyThat) {
  RecordCache cache(kPlenty);
  Keep(cache, "acme", MakeSettings("old"));
  Keep(cache, "other", MakeSettings("other"));
  Keep(cache, "none", nullptr);
  cache.Invalidate(Id("acme"));
  cache.Invalidate(Id("none"));
  cache.Invalidate(Id("never seen"));
  cache.Invalidate(Id("other", "google", "instance"));
  cache.Invalidate(RecordId<Organization>{"other"});
  EXPECT_FALSE(Keeps(cache, "acme"));
  EXPECT_FALSE(Keeps(cache, "none"));
  EXPECT_TRUE(Keeps(cache, "other"));
  EXPECT_EQ(Keep(cache, "acme", MakeSettings("new"))->client_key(), "new");
  cache.Invalidate(Id("acme"));
  cache.Invalidate(Id("other"));
  EXPECT_EQ(cache.Snapshot().entries, 0u);
  EXPECT_EQ(cache.Snapshot().bytes, 0u);
  EXPECT_EQ(cache.Snapshot().evictions, 0u);
}

TEST(RecordCacheTest, AllThatMatchesIsInvalidatedAtOnce) {
  RecordCache cache(kPlenty);
  for (int i = 0; i < 500; ++i) {
    Keep(cache, absl::StrCat("org-", i), i % 3 == 0 ? nullptr : MakeSettings(absl::StrCat(i % 2)));
  }
  ASSERT_OK(cache.Load(RecordId<Organization>{"org-0"},
                       [] { return std::make_shared<const Organization>(); }));
  int seen = 0;
  cache.InvalidateIf([&](const RecordCache::Key& key, const google::protobuf::Message* record) {
    ++seen;
    if (key.kind != RecordKind::kSocialNetwork) return false;
    EXPECT_EQ(key.network, "google");
    if (record == nullptr) return true;
    return static_cast<const SocialNetworkSettings*>(record)->client_key() == "1";
  });
  EXPECT_EQ(seen, 501);
  for (int i = 0; i < 500; ++i) {
    EXPECT_EQ(Keeps(cache, absl::StrCat("org-", i)), i % 3 != 0 && i % 2 == 0) << i;
  }
  EXPECT_TRUE(cache.Find(RecordId<Organization>{"org-0"}).has_value());
}

// Runs `lead` as the loader of an id and, meanwhile, `joiners` threads that ask for the same.
class SharedLoad final {
 public:
  SharedLoad(RecordCache& cache, int joiners,
             const std::function<absl::StatusOr<Settings>()>& lead) {
    const uint64_t misses = cache.Snapshot().misses;
    answers_.resize(static_cast<size_t>(joiners) + 1);
    threads_.emplace_back([&cache, lead, this] {
      answers_[0] = cache.Load(Id("acme"), [&] {
        ++loads_;
        began_.count_down();
        return lead();
      });
    });
    began_.wait();
    for (size_t i = 1; i < answers_.size(); ++i) {
      threads_.emplace_back([&cache, i, this] {
        answers_[i] = cache.Load(Id("acme"), [this]() -> absl::StatusOr<Settings> {
          ++loads_;
          return absl::InternalError("a second load");
        });
      });
    }
    AwaitMisses(cache, misses + answers_.size());
  }
  ~SharedLoad() { Join(); }
  SharedLoad(const SharedLoad&) = delete;
  SharedLoad& operator=(const SharedLoad&) = delete;

  // The answers of all, the leader's first.
  const std::vector<absl::StatusOr<Settings>>& Join() {
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
    return answers_;
  }
  int loads() const { return loads_; }

 private:
  std::vector<absl::StatusOr<Settings>> answers_;
  std::atomic<int> loads_ = 0;
  std::latch began_{1};
  std::vector<std::thread> threads_;
};

TEST(RecordCacheTest, OfManyWhoMissTheSameOneLoadsAndAllGetWhatItLoaded) {
  for (const size_t budget : {kPlenty, size_t{0}}) {
    RecordCache cache(budget);
    std::latch go{1};
    SharedLoad load(cache, kThreads - 1, [&] {
      go.wait();
      return MakeSettings("key");
    });
    go.count_down();
    const auto& answers = load.Join();
    EXPECT_EQ(load.loads(), 1);
    for (const absl::StatusOr<Settings>& answer : answers) {
      ASSERT_OK(answer);
      EXPECT_EQ(*answer, *answers.front());
    }
    EXPECT_EQ(Keeps(cache, "acme"), budget > 0);
    EXPECT_EQ(cache.Snapshot().misses, uint64_t{kThreads});
  }
}

TEST(RecordCacheTest, AnErrorOfTheLoadGoesToAllWhoWaitForItAndIsNotKept) {
  RecordCache cache(kPlenty);
  std::latch go{1};
  SharedLoad load(cache, kThreads - 1, [&]() -> absl::StatusOr<Settings> {
    go.wait();
    return absl::UnavailableError("no disk");
  });
  go.count_down();
  for (const absl::StatusOr<Settings>& answer : load.Join()) {
    EXPECT_THAT(answer, StatusIs(absl::StatusCode::kUnavailable, "no disk"));
  }
  EXPECT_EQ(load.loads(), 1);
  EXPECT_FALSE(Keeps(cache, "acme"));
}

TEST(RecordCacheTest, ALoadThatThrowsLeavesNobodyWaiting) {
  RecordCache cache(kPlenty);
  std::latch began{1}, go{1};
  std::thread leader([&] {
    EXPECT_THROW(cache
                     .Load(Id("acme"),
                           [&]() -> absl::StatusOr<Settings> {
                             began.count_down();
                             go.wait();
                             throw std::bad_alloc();
                           })
                     .status()
                     .IgnoreError(),
                 std::bad_alloc);
  });
  began.wait();
  std::thread joiner([&] {
    EXPECT_THAT(cache.Load(Id("acme"), NoLoad), StatusIs(absl::StatusCode::kInternal, _));
  });
  AwaitMisses(cache, 2);
  go.count_down();
  leader.join();
  joiner.join();
  EXPECT_EQ(Keep(cache, "acme", MakeSettings("key"))->client_key(), "key");
}

TEST(RecordCacheTest, WhatWasReadBeforeAnInvalidationIsNotKeptAfterIt) {
  RecordCache cache(kPlenty);
  for (const bool all : {false, true}) {
    for (const Settings& old : {MakeSettings("old"), Settings()}) {
      std::latch go{1};
      SharedLoad load(cache, 3, [&] {
        go.wait();
        return old;
      });
      if (all) cache.InvalidateIf([](const auto&, const auto*) { return false; });
      if (!all) cache.Invalidate(Id("acme"));
      go.count_down();
      for (const absl::StatusOr<Settings>& answer : load.Join()) {
        ASSERT_OK(answer);
        EXPECT_EQ(*answer, old);
      }
      EXPECT_FALSE(Keeps(cache, "acme"));
    }
  }
}

TEST(RecordCacheTest, WhoAsksAfterAnInvalidationIsNotGivenALoadThatBeganBefore) {
  RecordCache cache(kPlenty);
  std::latch finish_first{1}, finish_second{1};
  SharedLoad first(cache, 5, [&] {
    finish_first.wait();
    return MakeSettings("old");
  });
  cache.Invalidate(Id("acme"));
  SharedLoad second(cache, 5, [&] {
    finish_second.wait();
    return MakeSettings("new");
  });
  // The overtaken load ends while the new one is under way, and must not disturb it.
  finish_first.count_down();
  for (const absl::StatusOr<Settings>& answer : first.Join()) {
    ASSERT_OK(answer);
    EXPECT_EQ((*answer)->client_key(), "old");
  }
  EXPECT_FALSE(Keeps(cache, "acme"));
  finish_second.count_down();
  for (const absl::StatusOr<Settings>& answer : second.Join()) {
    ASSERT_OK(answer);
    EXPECT_EQ((*answer)->client_key(), "new");
  }
  EXPECT_EQ(second.loads(), 1);
  ASSERT_TRUE(Keeps(cache, "acme"));
  EXPECT_EQ((*cache.Find(Id("acme")))->client_key(), "new");
}

TEST(RecordCacheTest, AnOvertakenLoadThatEndsLastDoesNotReplaceWhatIsKept) {
  RecordCache cache(kPlenty);
  std::latch finish{1};
  SharedLoad first(cache, 1, [&] {
    finish.wait();
    return MakeSettings("old");
  });
  cache.Invalidate(Id("acme"));
  Keep(cache, "acme", MakeSettings("new"));
  finish.count_down();
  first.Join();
  EXPECT_EQ((*cache.Find(Id("acme")))->client_key(), "new");
  EXPECT_EQ(cache.Snapshot().entries, 1u);
}

TEST(RecordCacheTest, WithoutABudgetNothingIsKept) {
  RecordCache cache(0);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Keep(cache, "acme", MakeSettings(absl::StrCat(i)))->client_key(), absl::StrCat(i));
    EXPECT_EQ(Keep(cache, "none", nullptr), nullptr);
    EXPECT_FALSE(Keeps(cache, "acme"));
    EXPECT_FALSE(Keeps(cache, "none"));
  }
  EXPECT_EQ(cache.Snapshot().bytes, 0u);
  EXPECT_EQ(cache.Snapshot().misses, 6u);
}

TEST(RecordCacheTest, WhatIsLargerThanTheBudgetIsNotKeptAndPushesNothingOut) {
  RecordCache cache(10'000);
  Keep(cache, "small", MakeSettings("key"));
  EXPECT_NE(Keep(cache, "large", MakeSettings(std::string(10'000, 'x'))), nullptr);
  EXPECT_TRUE(Keeps(cache, "small"));
  EXPECT_FALSE(Keeps(cache, "large"));
}

TEST(RecordCacheTest, WhatWasFoundSinceStaysLongerThanWhatWasNot) {
  constexpr int kFit = 10;
  RecordCache cache(kFit * BytesOfOne(100));
  const auto keep = [&](int i) {
    Keep(cache, absl::StrCat("o-", i % 10), MakeSettings(std::string(100, 'x')));
  };
  for (int i = 0; i < kFit; ++i) keep(i);
  ASSERT_EQ(cache.Snapshot().entries, uint64_t{kFit});
  // Two of the oldest are found again; then new ones need room.
  ASSERT_TRUE(Keeps(cache, "o-0"));
  ASSERT_TRUE(Keeps(cache, "o-2"));
  for (const std::string id : {"n-0", "n-1", "n-2"}) {
    Keep(cache, id, MakeSettings(std::string(100, 'x')));
  }
  EXPECT_EQ(cache.Snapshot().evictions, 3u);
  EXPECT_EQ(cache.Snapshot().entries, uint64_t{kFit});
  for (const std::string id : {"o-0", "o-2", "o-5", "o-9", "n-0", "n-1", "n-2"}) {
    EXPECT_TRUE(Keeps(cache, id)) << id;
  }
  for (const std::string id : {"o-1", "o-3", "o-4"}) EXPECT_FALSE(Keeps(cache, id)) << id;
}

TEST(RecordCacheTest, AFloodOfAbsentOnesDoesNotPushOutRecordsNorRecordsAllAbsentOnes) {
  constexpr int kRecords = 1000;
  const size_t budget = kRecords * BytesOfOne(100);
  RecordCache cache(budget);
  const auto kept = [&](const std::string& prefix, int count) {
    int result = 0;
    for (int i = 0; i < count; ++i) result += Keeps(cache, absl::StrCat(prefix, i)) ? 1 : 0;
    return result;
  };
  // While there is room, absent ones may take it.
  for (int i = 0; i < kRecords; ++i) Keep(cache, absl::StrCat("early-", i), nullptr);
  EXPECT_EQ(cache.Snapshot().evictions, 0u);
  // Records then win most of it back ...
  for (int i = 0; i < kRecords; ++i) {
    Keep(cache, absl::StrCat("record-", i), MakeSettings(std::string(100, 'x')));
  }
  const int records = kept("record-", kRecords);
  EXPECT_GE(records, kRecords * 14 / 16);
  EXPECT_GT(kept("early-", kRecords), 0);
  // ... and keep it.
  for (int i = 0; i < 100 * kRecords; ++i) Keep(cache, absl::StrCat("late-", i), nullptr);
  EXPECT_GE(kept("record-", kRecords), records - 1);
  EXPECT_GT(kept("late-", 100 * kRecords), 0);
  EXPECT_LE(cache.Snapshot().bytes, budget);
}

TEST(RecordCacheTest, TheBudgetIsNeverExceededAndAlwaysUsed) {
  std::mt19937 random(20260401);
  for (const size_t budget : {size_t{1}, size_t{500}, size_t{5'000}, size_t{3} << 20}) {
    RecordCache cache(budget);
    uint64_t kept = 0;
    uint64_t dropped = 0;
    const int rounds = 40'000 / kSlowdown;
    for (int i = 0; i < rounds; ++i) {
      const std::string id = absl::StrCat("org-", random() % 20'000);
      const RecordCache::Stats before = cache.Snapshot();
      if (random() % 10 == 0) {
        cache.Invalidate(Id(id));
        dropped += before.entries - cache.Snapshot().entries;
        continue;
      }
      Keep(cache, id, random() % 5 == 0 ? nullptr : MakeSettings(std::string(random() % 700, 'x')));
      const RecordCache::Stats after = cache.Snapshot();
      ASSERT_LE(after.bytes, budget);
      kept += after.entries + after.evictions - before.entries - before.evictions;
      ASSERT_EQ(after.entries + after.evictions + dropped, kept);
    }
    if (budget > 1000 && !kSanitized) {
      EXPECT_GT(cache.Snapshot().bytes, budget * 7 / 10);
    }
    cache.InvalidateIf([](const auto&, const auto*) { return true; });
    EXPECT_EQ(cache.Snapshot().bytes, 0u);
    EXPECT_EQ(cache.Snapshot().entries, 0u);
  }
}

TEST(RecordCacheTest, TheBudgetIsNeverExceededByManyThreadsEither) {
  constexpr size_t kBudget = size_t{2} << 20;
  RecordCache cache(kBudget);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (int i = 0; i < 4'000 / kSlowdown; ++i) {
        const std::string id = absl::StrCat("org-", random() % 4'000);
        const Settings settings =
            random() % 5 == 0 ? nullptr : MakeSettings(absl::StrCat(id, std::string(800, 'x')));
        if (random() % 20 == 0) cache.Invalidate(Id(id));
        const Settings kept = Keep(cache, id, settings);
        if (kept != nullptr && kept->client_key().substr(0, id.size()) != id) ++wrong;
        if (cache.Snapshot().bytes > kBudget) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  cache.InvalidateIf([](const auto&, const auto*) { return true; });
  EXPECT_EQ(cache.Snapshot().bytes, 0u);
  EXPECT_EQ(cache.Snapshot().entries, 0u);
}

TEST(RecordCacheTest, HitsOfManyThreadsDoNotHoldUpAnInvalidation) {
  RecordCache cache(kPlenty);
  std::atomic<bool> stop = false;
  std::atomic<int> stored = 0;
  const auto read = [&] { return MakeSettings(absl::StrCat(stored.load())); };
  std::vector<std::thread> readers;
  for (int t = 0; t < kThreads; ++t) {
    readers.emplace_back([&] {
      while (!stop) {
        if (Keeps(cache, "acme")) continue;
        EXPECT_OK(cache.Load(Id("acme"), read));
      }
    });
  }
  for (int i = 1; i <= 1000 / kSlowdown; ++i) {
    stored = i;
    cache.Invalidate(Id("acme"));
    const absl::StatusOr<Settings> settings = cache.Load(Id("acme"), read);
    EXPECT_OK(settings);
    EXPECT_EQ(settings.ok() ? (*settings)->client_key() : "", absl::StrCat(i));
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
}

TEST(RecordCacheTest, TheBytesAreThoseThatTheEntriesReallyTake) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's allocator takes more";
  constexpr int kEntries = 20'000;
  std::vector<std::string> ids;
  for (int i = 0; i < kEntries; ++i) ids.push_back(absl::StrCat("organisation-", i));
  const auto in_use = [] { return static_cast<double>(mallinfo2().uordblks); };
  for (const bool present : {false, true}) {
    const double before = in_use();
    RecordCache cache(size_t{1} << 30);
    for (const std::string& id : ids) {
      Keep(cache, id, present ? MakeSettings("a client key of some length") : nullptr);
    }
    EXPECT_NEAR(static_cast<double>(cache.Snapshot().bytes) / (in_use() - before), 1.0, 0.1);
  }
}

}  // namespace
}  // namespace authurl::testing
