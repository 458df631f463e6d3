#include "storage/resealer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/errors.h"
#include "tests/storage/child_process.h"
#include "tests/storage/forwarding_backend.h"
#include "tests/storage/sqlite/raw_database.h"
#include "tests/storage/store_fixture.h"

namespace authurl::testing {
namespace {

using ::testing::_;
using ::testing::AllOf;
using ::testing::HasSubstr;

// One that does not matter, and is another one each time.
absl::Status SomeChange(record::v1::SocialNetworkSettings& settings, absl::string_view) {
  std::string& value = (*settings.mutable_extra_params())["changes"];
  value.push_back('x');
  if (value.size() > 8) value.clear();
  return absl::OkStatus();
}

// Counts the rows that a pass is given, and fails one update of a test's choice.
class WatchedBackend final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;

  enum class Fault { kNotDone, kDone };
  // The update that comes after `skipped` others fails once, done or not.
  void FailUpdate(int skipped, Fault fault) {
    fail_after_ = skipped;
    fault_ = fault;
  }
  // The list that comes after `skipped` others fails once.
  void FailList(int skipped) { fail_list_after_ = skipped; }
  int rows() const { return rows_; }

  CommitResult Commit(const CallContext& context, const Batch& batch) override {
    if (fail_after_-- != 0) return ForwardingBackend::Commit(context, batch);
    if (fault_ == Fault::kDone) {
      ForwardingBackend::Commit(context, batch).status.IgnoreError();
    }
    return {StorageUnavailable("a disk that fails once")};
  }
  absl::StatusOr<RowPage> ListUnderKey(const Table& table, uint8_t key_id, absl::string_view from,
                                       PageLimit limit) override {
    absl::StatusOr<RowPage> page = ForwardingBackend::ListUnderKey(table, key_id, from, limit);
    if (fail_list_after_-- == 0) return StorageUnavailable("a disk that fails once");
    if (page.ok()) rows_ += static_cast<int>(page->rows.size());
    return page;
  }

 private:
  int fail_after_ = -1;
  Fault fault_ = Fault::kNotDone;
  int fail_list_after_ = -1;
  int rows_ = 0;
};

// The database after a key rotation. Key rings: first the old key only, then both, then the new one
// only.
class ResealerTest : public StoreTest {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(store_, OpenStore(keys_));
    Fill(*store_);
    // The last organisation; its ids lie before those of the others.
    ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("zeta")));
    for (const std::string network : {"google", "github", "gitlab"}) {
      const std::string id = absl::StrCat("a-", network);
      ASSERT_OK(store_->social_networks().Create(kNoLimit, TestSettings("zeta", id, network),
                                                 TestSecret(id)));
    }
    store_.reset();
    std::filesystem::copy_file(path_, filled_path_);
    ASSERT_OK_AND_ASSIGN(const std::string rotated, RotatedKeyRingText(key_text_, random_));
    both_ = std::make_unique<Keys>(rotated);
    std::vector<std::string> lines;
    for (const absl::string_view line : absl::StrSplit(rotated, '\n', absl::SkipEmpty())) {
      if (!absl::StartsWith(line, "#")) lines.emplace_back(line);
    }
    ASSERT_EQ(lines.size(), 2u);
    new_only_ = std::make_unique<Keys>(lines[0] + "\n");
    back_ = std::make_unique<Keys>(absl::StrCat(lines[1], "\n", lines[0], "\n"));
  }

  // With the database as it was.
  void StartOver() {
    store_.reset();
    std::filesystem::copy_file(filled_path_, path_,
                               std::filesystem::copy_options::overwrite_existing);
  }

  // Opens the store over a backend that the test watches.
  WatchedBackend& OpenWatched() {
    auto backend = std::make_unique<WatchedBackend>(OpenSqliteBackend(path_).value());
    WatchedBackend& watched = *backend;
    store_ = CredentialStore::Open(std::move(backend), both_->sealer, random_).value();
    return watched;
  }

  // Until no record is left. Fails the test on an error.
  void ResealTheRest(int batch = 3) {
    ResealStep step;
    for (int steps = 0; !step.done; ++steps) {
      ASSERT_LE(steps, 4 * kRecords);
      ASSERT_OK_AND_ASSIGN(step, store_->ResealNext(batch));
    }
  }

  // Opens the database without the old key, and looks at all that is in it.
  void ExpectThatTheOldKeyMayGo() {
    store_.reset();
    ASSERT_OK_AND_ASSIGN(store_, OpenStore(*new_only_));
    ASSERT_OK_AND_ASSIGN(const auto organizations,
                         store_->ListOrganizations(kNoLimit, "", {.rows = 100}));
    EXPECT_OK(store_->ListApiKeys(kNoLimit, std::nullopt, "", {.rows = 100}));
    for (const auto& organization : organizations.records) {
      const std::string& org = organization.org_id();
      ASSERT_OK_AND_ASSIGN(const auto configurations,
                           store_->social_networks().List(kNoLimit, org, "", {.rows = 100}));
      for (const auto& settings : configurations.records) {
        EXPECT_EQ(settings.client_key(), "client-key-of-" + settings.id());
        const auto secret = store_->social_networks().GetClientSecret(kNoLimit, org, settings.id(),
                                                                      settings.version());
        ASSERT_OK(secret);
        EXPECT_EQ(*secret, TestSecret(settings.id()));
      }
    }
  }

  static void ExpectEverythingReadable(CredentialStore& store) {
    for (const std::string org : {"acme", "other"}) {
      EXPECT_OK(store.GetOrganization(kNoLimit, org));
      EXPECT_OK(store.GetApiKey(kNoLimit, org + "-key"));
      for (const std::string network : {"google", "github"}) {
        const std::string id = absl::StrCat(org, "-", network);
        const auto settings = store.social_networks().Find(kNoLimit, org, network, "", "");
        ASSERT_OK(settings);
        EXPECT_EQ((*settings)->client_key(), "client-key-of-" + id);
        const auto secret =
            store.social_networks().GetClientSecret(kNoLimit, org, id, (*settings)->version());
        ASSERT_OK(secret);
        EXPECT_EQ(*secret, TestSecret(id));
      }
    }
    EXPECT_OK(store.GetApiKey(kNoLimit, "admin-key"));
  }

  static constexpr int kRecords = 13;
  const std::string filled_path_ = folder_.File("filled.db");
  std::unique_ptr<CredentialStore> store_;
  std::unique_ptr<Keys> both_, new_only_, back_;
};

TEST_F(ResealerTest, AfterResealingTheOldKeyMayGo) {
  ASSERT_OK_AND_ASSIGN(store_, OpenStore(*both_));
  ExpectEverythingReadable(*store_);
  ASSERT_OK_AND_ASSIGN(ResealStep step, store_->ResealNext(1000));
  EXPECT_EQ(step.resealed, kRecords);
  EXPECT_TRUE(step.done);
  ASSERT_OK_AND_ASSIGN(step, store_->ResealNext(1000));
  EXPECT_EQ(step.resealed, 0);
  EXPECT_TRUE(step.done);
  store_.reset();
  ASSERT_OK_AND_ASSIGN(store_, OpenStore(*new_only_));
  ExpectEverythingReadable(*store_);
  store_.reset();
  EXPECT_THAT(OpenStore(keys_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("not in the ring")));
}

TEST_F(ResealerTest, MayStopAnywhereAndGoOnInAnotherProcess) {
  int64_t resealed = 0;
  for (int calls = 1; resealed < kRecords; ++calls) {
    ASSERT_LE(calls, 2 * kRecords);
    ASSERT_OK_AND_ASSIGN(store_, OpenStore(*both_));
    ASSERT_OK_AND_ASSIGN(const ResealStep step, store_->ResealNext(2));
    EXPECT_LE(step.resealed, 2);
    resealed += step.resealed;
    ExpectEverythingReadable(*store_);
    store_.reset();
    if (step.done) break;
    EXPECT_THAT(OpenStore(*new_only_),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("put that key back")));
  }
  EXPECT_EQ(resealed, kRecords);
  ASSERT_OK_AND_ASSIGN(store_, OpenStore(*both_));
  ASSERT_OK_AND_ASSIGN(const ResealStep last, store_->ResealNext(1000));
  EXPECT_EQ(last.resealed, 0);
  EXPECT_TRUE(last.done);
  ExpectThatTheOldKeyMayGo();
  ExpectEverythingReadable(*store_);
}

TEST_F(ResealerTest, LosesNothingWhereTheProcessIsKilledBetweenAnyTwoSteps) {
  for (int steps = 0; steps <= kRecords + 1; ++steps) {
    SCOPED_TRACE(steps);
    StartOver();
    ASSERT_EQ(RunInChild([&] {
                auto store = OpenStore(*both_);
                bool ok = store.ok();
                for (int i = 0; ok && i < steps; ++i) ok = (*store)->ResealNext(1).ok();
                _exit(ok ? 0 : 1);  // Closes nothing.
                return 1;
              }),
              0);
    ASSERT_OK_AND_ASSIGN(store_, OpenStore(*both_));
    ResealTheRest();
    ExpectThatTheOldKeyMayGo();
    ExpectEverythingReadable(*store_);
  }
}

// The position of a pass once was that of a configuration within an organisation that was not
// named: when that one was deleted, the next one's configurations with smaller ids were passed
// over, and lost with the old key.
TEST_F(ResealerTest, LosesNothingWhereAnOrganizationIsDeletedBetweenAnyTwoSteps) {
  for (const std::string deleted : {"acme", "other", "zeta"}) {
    for (int steps = 0; steps <= kRecords; ++steps) {
      SCOPED_TRACE(absl::StrCat(deleted, " after ", steps));
      StartOver();
      ASSERT_OK_AND_ASSIGN(store_, OpenStore(*both_));
      for (int i = 0; i < steps; ++i) ASSERT_OK(store_->ResealNext(1));
      ASSERT_OK(store_->DeleteOrganization(kNoLimit, deleted, kNow));
      ResealTheRest();
      ExpectThatTheOldKeyMayGo();
      for (const std::string left : {"acme", "other", "zeta"}) {
        if (left == deleted) continue;
        EXPECT_OK(store_->GetOrganization(kNoLimit, left));
        ASSERT_OK_AND_ASSIGN(const auto configurations,
                             store_->social_networks().List(kNoLimit, left, "", {.rows = 10}));
        EXPECT_EQ(configurations.records.size(), left == "zeta" ? 3u : 2u);
      }
    }
  }
}

TEST_F(ResealerTest, LosesNothingWhereTheDatabaseFailsAtAnyWrite) {
  for (const auto fault : {WatchedBackend::Fault::kNotDone, WatchedBackend::Fault::kDone}) {
    for (int write = 0; write < kRecords; ++write) {
      SCOPED_TRACE(write);
      StartOver();
      WatchedBackend& backend = OpenWatched();
      backend.FailUpdate(write, fault);
      absl::StatusOr<ResealStep> step;
      int64_t resealed = 0;
      int failed = 0;
      do {
        step = store_->ResealNext(2);
        if (step.ok()) resealed += step->resealed;
        if (step.ok()) continue;
        EXPECT_THAT(step, HasReason("STORAGE_UNAVAILABLE"));
        ASSERT_EQ(++failed, 1);
      } while (!step.ok() || !step->done);
      EXPECT_EQ(failed, 1);
      // What a failing write has done after all is not counted.
      EXPECT_EQ(resealed, fault == WatchedBackend::Fault::kDone ? kRecords - 1 : kRecords);
      ExpectThatTheOldKeyMayGo();
      ExpectEverythingReadable(*store_);
    }
  }
}

TEST_F(ResealerTest, LosesNothingWhereTheDatabaseFailsAtAnyRead) {
  for (int list = 0; list < 6; ++list) {
    SCOPED_TRACE(list);
    StartOver();
    WatchedBackend& backend = OpenWatched();
    backend.FailList(list);
    int failed = 0;
    absl::StatusOr<ResealStep> step;
    do {
      step = store_->ResealNext(2);
      failed += step.ok() ? 0 : 1;
      ASSERT_LE(failed, 1);
    } while (!step.ok() || !step->done);
    EXPECT_EQ(failed, 1);
    ExpectThatTheOldKeyMayGo();
    ExpectEverythingReadable(*store_);
  }
}

// As an earlier version left it, whose resealing passed rows over and was noted as done.
TEST_F(ResealerTest, FindsWhatIsLeftThoughItIsNotedThatNothingIs) {
  ASSERT_OK_AND_ASSIGN(store_, OpenStore(*both_));
  ResealTheRest();
  store_.reset();
  RawDatabase(path_).Execute(absl::StrCat(
      "ATTACH '", filled_path_, "' AS filled; DELETE FROM social_networks WHERE org_id = 'zeta';",
      "INSERT INTO social_networks SELECT * FROM filled.social_networks WHERE org_id = 'zeta'"));

  // Without the key nothing opens, and the message says which key is missing.
  ASSERT_OK_AND_ASSIGN(store_, OpenStore(*new_only_));
  EXPECT_THAT(store_->social_networks().Get(kNoLimit, "zeta", "a-google"),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("under key 1, which is not in")));
  EXPECT_THAT(store_->ResealNext(100),
              StatusIs(absl::StatusCode::kInternal,
                       AllOf(HasSubstr("3 records"), HasSubstr("put that key back"))));
  store_.reset();

  ASSERT_OK_AND_ASSIGN(store_, OpenStore(*both_));
  ResealTheRest();
  ExpectThatTheOldKeyMayGo();
  EXPECT_OK(store_->social_networks().Get(kNoLimit, "zeta", "a-google"));
}

// A process that sealed the last record and ended before it could note that.
TEST_F(ResealerTest, ThatNothingIsLeftIsToldOnceAlsoByAnotherProcess) {
  ASSERT_OK_AND_ASSIGN(store_, OpenStore(*both_));
  store_.reset();
  const std::string noted = RawDatabase(path_).Value("SELECT hex(value) FROM meta");
  ASSERT_OK_AND_ASSIGN(store_, OpenStore(*both_));
  ResealTheRest();
  store_.reset();
  RawDatabase(path_).Execute(absl::StrCat("UPDATE meta SET value = x'", noted, "'"));

  ASSERT_OK_AND_ASSIGN(store_, OpenStore(*both_));
  ASSERT_OK_AND_ASSIGN(ResealStep step, store_->ResealNext(100));
  EXPECT_EQ(step.resealed, 0);
  EXPECT_TRUE(step.newly_done);
  ASSERT_OK_AND_ASSIGN(step, store_->ResealNext(100));
  EXPECT_TRUE(step.done);
  EXPECT_FALSE(step.newly_done);
  ExpectThatTheOldKeyMayGo();
  ASSERT_OK_AND_ASSIGN(step, store_->ResealNext(100));
  EXPECT_FALSE(step.newly_done);
}

TEST_F(ResealerTest, LooksAtNoRecordThatIsUnderTheFirstKey) {
  WatchedBackend& backend = OpenWatched();
  for (int i = 0; i < 300; ++i) {
    ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization(absl::StrCat("new-", i))));
  }
  ResealTheRest();
  EXPECT_EQ(backend.rows(), kRecords);
}

TEST_F(ResealerTest, AKeyThatSealedBeforeARotationWasTakenBackIsStillNeeded) {
  ASSERT_OK_AND_ASSIGN(store_, OpenStore(*both_));
  ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("new")));
  store_.reset();
  ASSERT_OK_AND_ASSIGN(store_, OpenStore(*back_));
  store_.reset();
  EXPECT_THAT(OpenStore(keys_), StatusIs(absl::StatusCode::kFailedPrecondition, _));
  ASSERT_OK_AND_ASSIGN(store_, OpenStore(*back_));
  ASSERT_OK_AND_ASSIGN(const ResealStep step, store_->ResealNext(100));
  EXPECT_EQ(step.resealed, 1);
  EXPECT_TRUE(step.done);
  store_.reset();
  ASSERT_OK_AND_ASSIGN(store_, OpenStore(keys_));
  EXPECT_OK(store_->GetOrganization(kNoLimit, "new"));
}

TEST_F(ResealerTest, DamagedRecordsAreReportedAfterAllOthersAreDoneAndKeepTheOldKey) {
  RawDatabase(path_).Execute(
      "UPDATE social_networks SET settings = substr(settings, 1, length(settings) - 1)"
      " WHERE id = 'acme-github';"
      "UPDATE organizations SET whole = substr(whole, 1, length(whole) - 1) WHERE id = "
      "'other'");
  WatchedBackend& backend = OpenWatched();
  int64_t resealed = 0;
  absl::StatusOr<ResealStep> step;
  while ((step = store_->ResealNext(3)).ok()) {
    ASSERT_FALSE(step->done);
    resealed += step->resealed;
  }
  EXPECT_THAT(step, AllOf(StatusIs(absl::StatusCode::kInternal,
                                   AllOf(HasSubstr("2 records"), HasSubstr("\"other\""))),
                          HasReason("")));
  EXPECT_GE(resealed, kRecords - 2 - 3);

  // Only the damaged ones are looked at again.
  const int rows = backend.rows();
  EXPECT_THAT(store_->ResealNext(100), StatusIs(absl::StatusCode::kInternal, _));
  EXPECT_EQ(backend.rows(), rows + 2);
  store_.reset();
  EXPECT_THAT(OpenStore(*new_only_), StatusIs(absl::StatusCode::kFailedPrecondition, _));

  ASSERT_OK_AND_ASSIGN(store_, OpenStore(*both_));
  ASSERT_OK(store_->social_networks().Delete(kNoLimit, "acme", "acme-github"));
  ASSERT_OK(store_->DeleteOrganization(kNoLimit, "other", kNow));
  ResealTheRest();
  ExpectThatTheOldKeyMayGo();
  EXPECT_OK(store_->social_networks().Find(kNoLimit, "acme", "google", "", ""));
}

TEST_F(ResealerTest, ReadsAndUpdatesGoOnMeanwhile) {
  ASSERT_OK_AND_ASSIGN(store_, OpenStore(*both_));
  std::atomic<bool> stop = false;
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (const char* network : {"google", "github"}) {
    threads.emplace_back([&, network] {
      const std::string id = absl::StrCat("acme-", network);
      while (!stop) {
        if (!store_->social_networks().Find(kNoLimit, "acme", network, "", "").ok()) ++failed;
        if (!store_->social_networks().GetClientSecret(kNoLimit, "acme", id, 1).ok()) ++failed;
        if (!store_->social_networks()
                 .Update(kNoLimit, "acme", id, kNow, SomeChange, std::nullopt)
                 .ok())
          ++failed;
      }
    });
  }
  absl::StatusOr<ResealStep> step;
  while ((step = store_->ResealNext(1)).ok() && !step->done) continue;
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_OK(step);
  EXPECT_EQ(failed, 0);
  ExpectThatTheOldKeyMayGo();
  ExpectEverythingReadable(*store_);
}

}  // namespace
}  // namespace authurl::testing
