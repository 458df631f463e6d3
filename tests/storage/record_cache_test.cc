#include "storage/record_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <latch>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "authurl/record/v1/record.pb.h"
#include "storage/record_size.h"
#include "tests/support/build_kind.h"
#include "tests/support/no_limit.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::_;

using record::v1::ApiKey;
using record::v1::Organization;
using record::v1::SocialNetworkSettings;

constexpr size_t kPlenty = size_t{64} << 20;
constexpr int kCallers = 64;

using Settings = std::shared_ptr<const SocialNetworkSettings>;

RecordId<SocialNetworkSettings> Id(absl::string_view org_id, absl::string_view network = "google",
                                   absl::string_view instance = "") {
  return RecordId<SocialNetworkSettings>(org_id, network, instance);
}

Settings MakeSettings(const std::string& client_key) {
  SocialNetworkSettings settings;
  settings.set_client_key(client_key);
  return std::make_shared<const SocialNetworkSettings>(std::move(settings));
}

LoadedRecord<SocialNetworkSettings> Loaded(const Settings& settings) {
  return {settings, settings == nullptr ? 0 : SharedBytes(*settings)};
}

absl::StatusOr<Settings> Load(RecordCache& cache, const RecordId<SocialNetworkSettings>& id,
                              absl::FunctionRef<absl::StatusOr<Settings>()> load) {
  return cache.Load(kNoLimit, id, [&]() -> absl::StatusOr<LoadedRecord<SocialNetworkSettings>> {
    const absl::StatusOr<Settings> settings = load();
    if (!settings.ok()) return settings.status();
    return Loaded(*settings);
  });
}

// A loader that must not be called.
absl::StatusOr<Settings> NoLoad() {
  ADD_FAILURE() << "loaded what should be kept";
  return absl::InternalError("loaded");
}

// Loads `settings` under an id, or what is kept there.
Settings Keep(RecordCache& cache, const std::string& org_id, const Settings& settings) {
  return Load(cache, Id(org_id), [&] { return settings; }).value();
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
  ASSERT_OK_AND_ASSIGN(const Settings again, Load(cache, Id("acme"), NoLoad));
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
  ASSERT_OK_AND_ASSIGN(const Settings none, Load(cache, Id("acme"), [] { return Settings(); }));
  EXPECT_EQ(none, nullptr);
  const std::optional<Settings> found = cache.Find(Id("acme"));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(*found, nullptr);
  ASSERT_OK_AND_ASSIGN(const Settings again, Load(cache, Id("acme"), NoLoad));
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
    ASSERT_OK(Load(cache, ids[i], [&] { return MakeSettings(absl::StrCat(i)); }));
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    ASSERT_TRUE(cache.Find(ids[i]).has_value());
    EXPECT_EQ((*cache.Find(ids[i]))->client_key(), absl::StrCat(i));
  }
  // Nor is a record of one kind ever taken for one of another.
  EXPECT_EQ(cache.Find(RecordId<ApiKey>{"abc"}), std::nullopt);
  EXPECT_EQ(cache.Find(RecordId<Organization>{"abc"}), std::nullopt);
}

// Records that nobody else knows.
struct Grant {
  int number = 0;
};
struct Account {
  std::string name;
};

TEST(RecordCacheTest, RecordsOfAnyTypeAreKeptAndNeverTakenForOnesOfAnother) {
  RecordCache cache(kPlenty);
  const RecordId<Grant> grant("acme", "google", "", "7", "x");
  const RecordId<Account> account("acme", "google", "", "7", "x");
  const auto owner = std::make_shared<const Account>(Account{"the account"});
  ASSERT_OK(cache.Load(kNoLimit, grant, [] {
    return LoadedRecord<Grant>{std::make_shared<const Grant>(Grant{7}), sizeof(Grant)};
  }));
  EXPECT_EQ(cache.Find(account), std::nullopt);
  ASSERT_OK(cache.Load(kNoLimit, account, [&] {
    return LoadedRecord<Account>{owner, sizeof(Account)};
  }));
  ASSERT_TRUE(cache.Find(grant).has_value());
  EXPECT_EQ((*cache.Find(grant))->number, 7);
  EXPECT_EQ(cache.Find(account), owner);
  // The record is let go as what it is.
  EXPECT_GT(owner.use_count(), 1);
  cache.Invalidate(account);
  EXPECT_EQ(owner.use_count(), 1);
  EXPECT_TRUE(cache.Find(grant).has_value());
}

TEST(RecordCacheTest, ARecordCountsAsManyBytesAsItsLoaderSays) {
  RecordCache cache(kPlenty);
  const auto bytes_of = [&](absl::string_view id, size_t charge) {
    const uint64_t before = cache.Snapshot().bytes;
    EXPECT_OK(cache.Load(kNoLimit, RecordId<Grant>(id), [&] {
      return LoadedRecord<Grant>{std::make_shared<const Grant>(), charge};
    }));
    return cache.Snapshot().bytes - before;
  };
  const uint64_t overhead = bytes_of("a", 0);
  EXPECT_GT(overhead, 0u);
  EXPECT_EQ(bytes_of("b", 1), overhead + 1);
  EXPECT_EQ(bytes_of("c", 100'000), overhead + 100'000);
  // What can't be true neither overflows nor pushes anything out.
  EXPECT_EQ(bytes_of("d", std::numeric_limits<size_t>::max()), 0u);
  EXPECT_EQ(bytes_of("e", std::numeric_limits<size_t>::max() - overhead), 0u);
  EXPECT_EQ(cache.Snapshot().evictions, 0u);
}

TEST(RecordCacheTest, AnErrorIsNotKept) {
  RecordCache cache(kPlenty);
  EXPECT_THAT(Load(cache, Id("acme"),
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

// Runs `lead` as the loader of an id and, meanwhile, `joiners` threads that ask for the same.
class SharedLoad final {
 public:
  SharedLoad(RecordCache& cache, int joiners,
             const std::function<absl::StatusOr<Settings>()>& lead) {
    const uint64_t misses = cache.Snapshot().misses;
    answers_.resize(static_cast<size_t>(joiners) + 1);
    threads_.emplace_back([&cache, lead, this] {
      answers_[0] = Load(cache, Id("acme"), [&] {
        ++loads_;
        began_.count_down();
        return lead();
      });
    });
    began_.wait();
    for (size_t i = 1; i < answers_.size(); ++i) {
      threads_.emplace_back([&cache, i, this] {
        answers_[i] = Load(cache, Id("acme"), [this]() -> absl::StatusOr<Settings> {
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
    SharedLoad load(cache, kCallers - 1, [&] {
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
    EXPECT_EQ(cache.Snapshot().misses, uint64_t{kCallers});
  }
}

TEST(RecordCacheTest, AnErrorOfTheLoadGoesToAllWhoWaitForItAndIsNotKept) {
  RecordCache cache(kPlenty);
  std::latch go{1};
  SharedLoad load(cache, kCallers - 1, [&]() -> absl::StatusOr<Settings> {
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

TEST(RecordCacheTest, WhoWaitsForALoadWaitsNoLongerThanItsOwnCallerDoes) {
  RecordCache cache(kPlenty);
  std::latch go{1};
  SharedLoad load(cache, 1, [&] {
    go.wait();
    return MakeSettings("key");
  });
  CallContext gone(absl::InfiniteFuture());
  gone.Cancel();
  const auto no_load = [] { return absl::StatusOr<LoadedRecord<SocialNetworkSettings>>(); };
  EXPECT_THAT(cache.Load(gone, Id("acme"), no_load), HasReason("CALL_CANCELLED"));
  const CallContext short_lived(absl::Now() + absl::Milliseconds(20));
  EXPECT_THAT(cache.Load(short_lived, Id("acme"), no_load), HasReason("DEADLINE_EXCEEDED"));
  go.count_down();
  for (const absl::StatusOr<Settings>& answer : load.Join()) EXPECT_OK(answer);
}

TEST(RecordCacheTest, ALoadWhoseCallerWentAwayHurtsNobodyWhoWaitsForIt) {
  RecordCache cache(kPlenty);
  std::latch began{1}, go{1};
  std::thread leader([&] {
    EXPECT_THAT(Load(cache, Id("acme"),
                     [&]() -> absl::StatusOr<Settings> {
                       began.count_down();
                       go.wait();
                       return absl::CancelledError("gone");
                     }),
                StatusIs(absl::StatusCode::kCancelled, "gone"));
  });
  began.wait();
  std::vector<std::thread> joiners;
  std::atomic<int> loads = 0;
  for (int i = 0; i < 4; ++i) {
    joiners.emplace_back([&] {
      EXPECT_OK(Load(cache, Id("acme"), [&] {
        ++loads;
        return MakeSettings("key");
      }));
    });
  }
  AwaitMisses(cache, 5);
  go.count_down();
  leader.join();
  for (std::thread& joiner : joiners) joiner.join();
  EXPECT_EQ(loads, 1);
}

TEST(RecordCacheTest, ALoadThatThrowsLeavesNobodyWaiting) {
  RecordCache cache(kPlenty);
  std::latch began{1}, go{1};
  std::thread leader([&] {
    EXPECT_THROW(Load(cache, Id("acme"),
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
    EXPECT_THAT(Load(cache, Id("acme"), NoLoad), StatusIs(absl::StatusCode::kInternal, _));
  });
  AwaitMisses(cache, 2);
  go.count_down();
  leader.join();
  joiner.join();
  EXPECT_EQ(Keep(cache, "acme", MakeSettings("key"))->client_key(), "key");
}

TEST(RecordCacheTest, WhatWasReadBeforeAnInvalidationIsNotKeptAfterIt) {
  RecordCache cache(kPlenty);
  for (const Settings& old : {MakeSettings("old"), Settings()}) {
    std::latch go{1};
    SharedLoad load(cache, 3, [&] {
      go.wait();
      return old;
    });
    cache.Invalidate(Id("acme"));
    go.count_down();
    for (const absl::StatusOr<Settings>& answer : load.Join()) {
      ASSERT_OK(answer);
      EXPECT_EQ(*answer, old);
    }
    EXPECT_FALSE(Keeps(cache, "acme"));
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

// --- writes ---

// What a lookup of "acme" is told where the database has `value` at that time.
std::string Ask(RecordCache& cache, const std::string& value) {
  const absl::StatusOr<Settings> answer =
      Load(cache, Id("acme"), [&] { return MakeSettings(value); });
  EXPECT_OK(answer);
  return answer.ok() ? (*answer)->client_key() : "";
}

// Whether an answer is kept again, as it must be when nothing is being written.
bool IsKeptAgain(RecordCache& cache) {
  return Ask(cache, "kept") == "kept" && Keeps(cache, "acme");
}

TEST(RecordCacheTest, DuringAWriteNothingIsFoundOrKeptUnderItsKeysAndOthersAreNotHeldUp) {
  RecordCache cache(kPlenty);
  Keep(cache, "acme", MakeSettings("old"));
  Keep(cache, "none", nullptr);
  Keep(cache, "other", MakeSettings("other"));
  const RecordId<Organization> organization("acme");
  ASSERT_OK(cache.Load(kNoLimit, organization, [] { return LoadedRecord<Organization>(); }));
  cache.RunWrite({Id("acme"), Id("none"), organization}, [&] {
    EXPECT_FALSE(Keeps(cache, "acme"));
    EXPECT_FALSE(Keeps(cache, "none"));
    EXPECT_EQ(cache.Find(organization), std::nullopt);
    // The first may have asked the database before the write took effect there.
    EXPECT_EQ(Ask(cache, "old"), "old");
    EXPECT_EQ(Ask(cache, "new"), "new");
    EXPECT_FALSE(Keeps(cache, "acme"));
    Keep(cache, "none", nullptr);
    EXPECT_FALSE(Keeps(cache, "none"));

    EXPECT_TRUE(Keeps(cache, "other"));
    EXPECT_EQ(Keep(cache, "another", MakeSettings("another"))->client_key(), "another");
    EXPECT_TRUE(Keeps(cache, "another"));
  });
  EXPECT_FALSE(Keeps(cache, "acme"));
  EXPECT_FALSE(Keeps(cache, "none"));
  EXPECT_TRUE(Keeps(cache, "other"));
  EXPECT_TRUE(Keeps(cache, "another"));
  EXPECT_EQ(Ask(cache, "new"), "new");
  EXPECT_TRUE(Keeps(cache, "acme"));
  Keep(cache, "none", nullptr);
  EXPECT_TRUE(Keeps(cache, "none"));
}

TEST(RecordCacheTest, WhatTheWriteReturnsIsReturned) {
  RecordCache cache(kPlenty);
  EXPECT_THAT(cache.RunWrite({Id("acme")}, [] { return absl::UnavailableError("no disk"); }),
              StatusIs(absl::StatusCode::kUnavailable, "no disk"));
  EXPECT_EQ(*cache.RunWrite({Id("acme")}, [] { return std::make_unique<int>(7); }), 7);
  EXPECT_EQ(cache.RunWrite({}, [] { return 8; }), 8);
  EXPECT_TRUE(IsKeptAgain(cache));
}

TEST(RecordCacheTest, AWriteThatThrowsLeavesNoMarkBehind) {
  RecordCache cache(kPlenty);
  Keep(cache, "acme", MakeSettings("old"));
  EXPECT_THROW(cache.RunWrite({Id("acme"), Id("other")}, [] { throw std::bad_alloc(); }),
               std::bad_alloc);
  // It may have taken effect all the same.
  EXPECT_FALSE(Keeps(cache, "acme"));
  EXPECT_TRUE(IsKeptAgain(cache));
}

TEST(RecordCacheTest, ALoadFromBeforeAWriteIsNeitherKeptNorJoinedWheneverItEnds) {
  for (const size_t budget : {kPlenty, size_t{0}}) {
    for (const bool ends_during_the_write : {true, false}) {
      RecordCache cache(budget);
      std::latch finish{1};
      SharedLoad before(cache, 3, [&] {
        finish.wait();
        return MakeSettings("old");
      });
      const auto end_load = [&] {
        finish.count_down();
        // Those who waited for it when the write began get it.
        for (const absl::StatusOr<Settings>& answer : before.Join()) {
          ASSERT_OK(answer);
          EXPECT_EQ((*answer)->client_key(), "old");
        }
        EXPECT_FALSE(Keeps(cache, "acme"));
      };
      cache.RunWrite({Id("acme")}, [&] {
        EXPECT_EQ(Ask(cache, "new"), "new");
        if (ends_during_the_write) end_load();
        EXPECT_EQ(Ask(cache, "newer"), "newer");
      });
      if (!ends_during_the_write) end_load();
      EXPECT_EQ(before.loads(), 1);
      EXPECT_EQ(IsKeptAgain(cache), budget > 0);
    }
  }
}

TEST(RecordCacheTest, ALoadThatBeganDuringAWriteIsNeitherKeptNorJoinedWheneverItEnds) {
  RecordCache cache(kPlenty);
  std::latch began{1}, finish{1};
  std::thread reader;
  cache.RunWrite({Id("acme")}, [&] {
    reader = std::thread([&] {
      EXPECT_OK(Load(cache, Id("acme"), [&] {
        began.count_down();
        finish.wait();
        return MakeSettings("read before the commit");
      }));
    });
    began.wait();
    // Whoever asks after the commit, which the cache can't see, asks the database.
    EXPECT_EQ(Ask(cache, "after the commit"), "after the commit");
  });
  EXPECT_EQ(Ask(cache, "after the write"), "after the write");
  finish.count_down();
  reader.join();
  ASSERT_TRUE(Keeps(cache, "acme"));
  EXPECT_EQ(Ask(cache, "not asked"), "after the write");

  // The same where it ends before anything else was kept.
  std::latch began_again{1}, finish_again{1};
  cache.RunWrite({Id("acme")}, [&] {
    reader = std::thread([&] {
      EXPECT_OK(Load(cache, Id("acme"), [&] {
        began_again.count_down();
        finish_again.wait();
        return MakeSettings("read before the commit");
      }));
    });
    began_again.wait();
  });
  finish_again.count_down();
  reader.join();
  EXPECT_FALSE(Keeps(cache, "acme"));
  EXPECT_TRUE(IsKeptAgain(cache));
}

TEST(RecordCacheTest, ALoadThatThrowsDuringAWriteIsTheProblemOfItsCallerAlone) {
  RecordCache cache(kPlenty);
  cache.RunWrite({Id("acme")}, [&] {
    EXPECT_THROW(
        Load(cache, Id("acme"), []() -> absl::StatusOr<Settings> { throw std::bad_alloc(); })
            .status()
            .IgnoreError(),
        std::bad_alloc);
    EXPECT_EQ(Ask(cache, "new"), "new");
  });
  EXPECT_TRUE(IsKeptAgain(cache));
}

TEST(RecordCacheTest, OfSeveralWritesOfAKeyTheLastToEndLetsItBeKeptAgain) {
  RecordCache cache(kPlenty);
  // One within the other, and the same key twice.
  cache.RunWrite({Id("acme"), Id("acme")}, [&] {
    cache.RunWrite({Id("acme")}, [&] { EXPECT_FALSE(IsKeptAgain(cache)); });
    EXPECT_FALSE(IsKeptAgain(cache));
    EXPECT_THROW(cache.RunWrite({Id("acme")}, [] { throw std::bad_alloc(); }), std::bad_alloc);
    EXPECT_FALSE(IsKeptAgain(cache));
  });
  EXPECT_TRUE(IsKeptAgain(cache));

  // One that ends while another one, which began later, goes on.
  std::latch second_began{1}, end_second{1};
  std::thread second;
  cache.RunWrite({Id("acme"), Id("other")}, [&] {
    second = std::thread([&] {
      cache.RunWrite({Id("acme")}, [&] {
        second_began.count_down();
        end_second.wait();
      });
    });
    second_began.wait();
  });
  EXPECT_FALSE(IsKeptAgain(cache));
  Keep(cache, "other", MakeSettings("other"));
  EXPECT_TRUE(Keeps(cache, "other"));
  end_second.count_down();
  second.join();
  EXPECT_TRUE(IsKeptAgain(cache));
}

TEST(RecordCacheTest, TheTextsOfTheKeysMayGoDuringTheWrite) {
  RecordCache cache(kPlenty);
  auto id = std::make_unique<std::string>("acme, with more characters than fit into a string");
  const std::string same = *id;
  cache.RunWrite({Id(*id)}, [&] {
    id.reset();
    Keep(cache, same, MakeSettings("new"));
    EXPECT_FALSE(Keeps(cache, same));
  });
  Keep(cache, same, MakeSettings("new"));
  EXPECT_TRUE(Keeps(cache, same));
}

// A database of a few numbers that only grow, behind a cache.
class Counters final {
 public:
  explicit Counters(size_t budget) : cache_(budget) {}

  static size_t Any(std::mt19937& random) { return random() % kCounters; }

  // Nobody is told less than what was in the database when he asked, whether the write of it has
  // ended or not.
  void Read(size_t i, std::mt19937& random) {
    const int known = database_[i];
    std::optional<std::shared_ptr<const Grant>> found = cache_.Find(IdOf(i));
    if (!found)
      found = cache_.Load(kNoLimit, IdOf(i), [&] { return FromDatabase(i, random); }).value();
    if ((*found)->number < known) ++wrong_;
  }

  void Write(size_t a, size_t b, std::mt19937& random) {
    cache_.RunWrite({IdOf(a), IdOf(b)}, [&] {
      Read(a, random);
      ++database_[a];
      Read(a, random);
      ++database_[b];
      Read(b, random);
    });
    Read(a, random);
  }

  int wrong() const { return wrong_; }
  uint64_t hits() const { return cache_.Snapshot().hits; }

 private:
  static constexpr size_t kCounters = 4;

  static RecordId<Grant> IdOf(size_t i) {
    static const std::array<std::string, kCounters> kIds = {"0", "1", "2", "3"};
    return RecordId<Grant>(kIds[i]);
  }

  // What is read gets old while others write.
  LoadedRecord<Grant> FromDatabase(size_t i, std::mt19937& random) {
    const auto grant = std::make_shared<const Grant>(Grant{database_[i]});
    for (unsigned n = random() % 1000; n > 0; --n) database_[i].load();
    return {grant, sizeof(Grant)};
  }

  RecordCache cache_;
  std::array<std::atomic<int>, kCounters> database_ = {};
  std::atomic<int> wrong_ = 0;
};

TEST(RecordCacheTest, NothingInMemoryIsOlderThanTheDatabaseWasWhenItWasAskedFor) {
  for (const size_t budget : {kPlenty, size_t{700}, size_t{0}}) {
    Counters counters(budget);
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 16; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(t);
        for (int i = 0; i < 10'000 / kSlowdown; ++i) {
          const size_t a = Counters::Any(random);
          if (random() % 16 == 0) counters.Write(a, Counters::Any(random), random);
          counters.Read(a, random);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(counters.wrong(), 0);
    EXPECT_EQ(counters.hits() > 0, budget > 0);
  }
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

// --- how much is done under a lock ---

// A cache filled up with absent records, or with present ones that say they take `charge` bytes.
class FullCache final {
 public:
  FullCache(size_t budget, size_t charge) : cache(budget), charge_(charge) {
    do {
      for (int i = 0; i < 1000; ++i) Insert();
    } while (cache.Snapshot().evictions < inserted_ / 8);
  }

  void Insert() {
    const std::string id = absl::StrCat(inserted_++);
    EXPECT_OK(cache.Load(kNoLimit, RecordId<Grant>(id), [this] {
      return charge_ == 0 ? LoadedRecord<Grant>() : LoadedRecord<Grant>{grant_, charge_};
    }));
  }
  // All are found, so that none is a better one to evict than the others.
  void UseAll() {
    for (uint64_t i = 0; i < inserted_; ++i) {
      const std::string id = absl::StrCat(i);
      cache.Find(RecordId<Grant>(id));
    }
  }

  RecordCache cache;

 private:
  const size_t charge_;
  const std::shared_ptr<const Grant> grant_ = std::make_shared<const Grant>();
  uint64_t inserted_ = 0;
};

TEST(RecordCacheTest, AnInsertLooksAtFewEntriesHoweverManyThereAreAndHoweverManyAreUsed) {
  const struct {
    size_t budget;
    size_t charge;
  } kCases[] = {{size_t{1} << 20, 0},
                {size_t{32} << 20, 0},
                {size_t{32} << 20, 500},
                {size_t{4} << 30, 60'000}};
  for (const auto& [budget, charge] : kCases) {
    FullCache full(budget, charge);
    EXPECT_GT(full.cache.Snapshot().bytes, budget / 2);
    const uint64_t full_entries = full.cache.Snapshot().entries;
    full.UseAll();
    const uint64_t evictions = full.cache.Snapshot().evictions;
    for (int i = 0; i < 1000; ++i) full.Insert();
    const RecordCache::Stats stats = full.cache.Snapshot();
    // Each evicts what it needs and no more, although all others were in use.
    EXPECT_GT(stats.evictions - evictions, 500u) << budget;
    EXPECT_GE(stats.entries, full_entries - 50) << budget;
    EXPECT_GT(stats.most_looked_at, 1u);
    EXPECT_LE(stats.most_looked_at, 20u) << budget;
    // A table that grows moves no more entries in a large cache than in a small one.
    EXPECT_LE(stats.entries_of_fullest_shard, 8'000u) << budget;
  }
}

TEST(RecordCacheTest, ALargeRecordTakesTheRoomOfManySmallOnesInStepsAndIsKept) {
  for (const size_t charge : {size_t{250'000}, size_t{900'000}}) {
    FullCache full(size_t{1} << 20, 0);
    full.UseAll();
    const RecordCache::Stats before = full.cache.Snapshot();
    ASSERT_OK(full.cache.Load(kNoLimit, RecordId<Grant>("large"), [&] {
      return LoadedRecord<Grant>{std::make_shared<const Grant>(), charge};
    }));
    EXPECT_TRUE(full.cache.Find(RecordId<Grant>("large")).has_value());
    const RecordCache::Stats after = full.cache.Snapshot();
    EXPECT_GT(after.evictions - before.evictions, charge / 300);
    EXPECT_GT(after.bytes, before.bytes - 1'000);
    EXPECT_LE(after.bytes, size_t{1} << 20);
    EXPECT_LE(after.most_looked_at, RecordCache::kMaxLookedAt);
  }
}

TEST(RecordCacheTest, WhatIsInUseSurvivesAFloodOfWhatIsAskedForOnce) {
  constexpr size_t kCharge = 1'000;
  FullCache full(size_t{8} << 20, kCharge);
  const uint64_t in_use = full.cache.Snapshot().entries * 4 / 5;
  const auto use = [&](uint64_t i) {
    const std::string id = absl::StrCat("in use ", i);
    const bool found = full.cache.Find(RecordId<Grant>(id)).has_value();
    EXPECT_OK(full.cache.Load(kNoLimit, RecordId<Grant>(id), [] {
      return LoadedRecord<Grant>{std::make_shared<const Grant>(), kCharge};
    }));
    return found;
  };
  for (int round = 0; round < 2; ++round) {
    for (uint64_t i = 0; i < in_use; ++i) use(i);
  }
  uint64_t lost = 0;
  constexpr int kRounds = kSanitized ? 3 : 20;
  for (int round = 0; round < kRounds; ++round) {
    for (uint64_t i = 0; i < in_use; ++i) {
      if (i % 10 == 0) full.Insert();
      if (!use(i)) ++lost;
    }
  }
  EXPECT_LT(lost, kRounds * in_use / 100);
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
    for (int i = 0; i < 20'000; ++i) cache.Invalidate(Id(absl::StrCat("org-", i)));
    EXPECT_EQ(cache.Snapshot().bytes, 0u);
    EXPECT_EQ(cache.Snapshot().entries, 0u);
  }
}

TEST(RecordCacheTest, TheBudgetIsNeverExceededByManyThreadsEither) {
  constexpr size_t kBudget = size_t{2} << 20;
  RecordCache cache(kBudget);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kCallers; ++t) {
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
  for (int i = 0; i < 4'000; ++i) cache.Invalidate(Id(absl::StrCat("org-", i)));
  EXPECT_EQ(cache.Snapshot().bytes, 0u);
  EXPECT_EQ(cache.Snapshot().entries, 0u);
}

TEST(RecordCacheTest, HitsOfManyThreadsDoNotHoldUpAnInvalidation) {
  RecordCache cache(kPlenty);
  std::atomic<bool> stop = false;
  std::atomic<int> stored = 0;
  const auto read = [&] { return MakeSettings(absl::StrCat(stored.load())); };
  std::vector<std::thread> readers;
  for (int t = 0; t < kCallers; ++t) {
    readers.emplace_back([&] {
      while (!stop) {
        if (Keeps(cache, "acme")) continue;
        EXPECT_OK(Load(cache, Id("acme"), read));
      }
    });
  }
  for (int i = 1; i <= 1000 / kSlowdown; ++i) {
    stored = i;
    cache.Invalidate(Id("acme"));
    const absl::StatusOr<Settings> settings = Load(cache, Id("acme"), read);
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
    RecordCache cache(kPlenty);
    for (const std::string& id : ids) {
      Keep(cache, id, present ? MakeSettings("a client key of some length") : nullptr);
    }
    EXPECT_NEAR(static_cast<double>(cache.Snapshot().bytes) / (in_use() - before), 1.0, 0.1);
  }
}

}  // namespace
}  // namespace authurl::testing
