#include "server/store_upkeep.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "core/flow/auth_state.h"
#include "storage/sqlite/sqlite_backend.h"
#include "tests/storage/rows.h"
#include "tests/support/no_limit.h"
#include "tests/support/server_process.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

class StoreUpkeepTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(store_, Open(sealer_));
    record::v1::Organization organization;
    organization.set_org_id("acme");
    ASSERT_OK(store_->CreateOrganization(kNoLimit, organization));
  }

  absl::StatusOr<std::unique_ptr<CredentialStore>> Open(const Sealer& sealer) {
    auto backend = OpenSqliteBackend(folder_.database());
    if (!backend.ok()) return backend.status();
    backend_ = backend->get();
    return CredentialStore::Open(*std::move(backend), sealer, FillRandom);
  }
  // The references of `count` states that expire then.
  std::vector<std::string> Store(int count, absl::Time expires_at) {
    std::vector<std::string> references;
    for (int i = 0; i < count; ++i) {
      references.push_back(NewStateReference(FillRandom));
      EXPECT_OK(
          store_->PutAuthStates(kNoLimit, {{references.back(), "acme", expires_at, "sealed"}}));
    }
    return references;
  }
  int CountStored(const std::vector<std::string>& references) {
    int stored = 0;
    for (const std::string& each : references)
      stored += store_->GetAuthState(kNoLimit, each).ok() ? 1 : 0;
    return stored;
  }
  std::unique_ptr<StoreUpkeep> Start() {
    return std::make_unique<StoreUpkeep>(
        *store_, [this] { return absl::FromUnixMillis(now_ms_); },
        [this](StoreHealth health) { health_ = health; });
  }

  const ServerFolder folder_;
  const KeyRing keys_ = folder_.key_ring();
  const Sealer sealer_{keys_};
  std::unique_ptr<CredentialStore> store_;
  Backend* backend_ = nullptr;  // The store's.
  std::atomic<int64_t> now_ms_ = 1'790'000'000'000;
  std::atomic<StoreHealth> health_ = StoreHealth::kGood;
};

TEST_F(StoreUpkeepTest, ExpiredStatesGoHoweverManyAndTheOthersStay) {
  const absl::Time now = absl::FromUnixMillis(now_ms_);
  const auto expired = Store(1100, now - absl::Seconds(1));
  const auto living = Store(20, now + absl::Minutes(10));
  const auto upkeep = Start();
  EXPECT_TRUE(Eventually([&] { return CountStored(expired) == 0; }));
  EXPECT_EQ(CountStored(living), 20);
  now_ms_ += absl::ToInt64Milliseconds(absl::Minutes(11));
  EXPECT_TRUE(Eventually([&] { return CountStored(living) == 0; }));
}

TEST_F(StoreUpkeepTest, FlowsThatAreLongOverGo) {
  const absl::Time now = absl::FromUnixMillis(now_ms_);
  record::v1::Flow flow;
  flow.set_id(std::string(64, 'a'));
  flow.set_org_id("acme");
  flow.set_state_expires_at_ms(absl::ToUnixMillis(now + absl::Minutes(30)));
  ASSERT_OK(store_->flows().Spend(kNoLimit, flow, now));
  const auto is_there = [&] {
    const auto found = store_->flows().Find(kNoLimit, "acme", flow.id());
    return found.ok() && found->has_value();
  };
  const auto upkeep = Start();
  EXPECT_TRUE(is_there());
  now_ms_ += absl::ToInt64Milliseconds(absl::Minutes(30) + kFlowGrace + absl::Seconds(1));
  EXPECT_TRUE(Eventually([&] { return !is_there(); }));
}

TEST_F(StoreUpkeepTest, LostAndFoundFileIsTold) {
  const auto upkeep = Start();
  const std::string path = folder_.database();
  std::filesystem::rename(path, path + ".away");
  EXPECT_TRUE(Eventually([&] { return health_ == StoreHealth::kFailed; }));
  std::filesystem::rename(path + ".away", path);
  EXPECT_TRUE(Eventually([&] { return health_ == StoreHealth::kGood; }));
}

TEST_F(StoreUpkeepTest, RecordsAreSealedAnewUnderTheFirstKey) {
  store_.reset();
  ASSERT_OK_AND_ASSIGN(const std::string rotated,
                       RotatedKeyRingText(ReadFile(folder_.key_ring_file()), FillRandom));
  const KeyRing keys = KeyRing::Parse(rotated).value();
  const Sealer sealer(keys);
  ASSERT_OK_AND_ASSIGN(store_, Open(sealer));
  const auto key_of_record = [this] {
    return ReadSealedHeader(GetOrganization(*backend_, "acme")->parts[0])->key_id;
  };
  ASSERT_NE(key_of_record(), keys.primary_id());
  {
    const auto upkeep = Start();
    EXPECT_TRUE(Eventually([&] { return key_of_record() == keys.primary_id(); }));
  }
  // The sealer goes before the store would.
  store_.reset();
}

TEST_F(StoreUpkeepTest, ItStopsAtOnceAndNotWhenItWouldWakeNext) {
  const absl::Time begin = absl::Now();
  for (int i = 0; i < 10; ++i) Start();
  EXPECT_LT(absl::Now() - begin, kPatience);
}

}  // namespace
}  // namespace authurl::testing
