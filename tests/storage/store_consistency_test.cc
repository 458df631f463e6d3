// What the credential store answers from its cache, against a model, while many threads read and
// write the same few records.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/errors.h"
#include "storage/credential_store.h"
#include "storage/digest_id.h"
#include "storage/store_errors.h"
#include "tests/storage/flaky_backend.h"
#include "tests/storage/store_fixture.h"
#include "tests/support/build_kind.h"
#include "tests/support/purge.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using record::v1::ApiKey;
using record::v1::Organization;
using record::v1::SocialAccount;
using record::v1::SocialNetworkSettings;

constexpr absl::string_view kNetwork = "google";
// The state of a record that is not there.
constexpr char kAbsent[] = "absent";

// All the states that one record went through, each known by a text that comes only once (except
// for absence). Its writes come one after the other; reads at any time.
class History final {
 public:
  // A write begins that leads to `state`.
  void Begin(const std::string& state) {
    const std::lock_guard lock(mutex_);
    states_.push_back({state, true});
  }
  // It returned.
  void End(bool took_effect) {
    const std::lock_guard lock(mutex_);
    states_.back().possible = took_effect;
    if (took_effect) acknowledged_ = states_.size() - 1;
  }
  // The number of the state that is there until a new write begins.
  size_t acknowledged() const {
    const std::lock_guard lock(mutex_);
    return acknowledged_;
  }
  std::string state() const {
    const std::lock_guard lock(mutex_);
    return states_[acknowledged_].name;
  }
  // Whether a read that began when number `from` was acknowledged, and has just ended, may have
  // seen `state`.
  bool Explains(size_t from, const std::string& state) const {
    const std::lock_guard lock(mutex_);
    return std::any_of(states_.begin() + static_cast<ptrdiff_t>(from), states_.end(),
                       [&](const State& each) { return each.possible && each.name == state; });
  }

 private:
  struct State {
    std::string name;
    bool possible;
  };
  mutable std::mutex mutex_;
  std::vector<State> states_ = {{kAbsent, true}};
  size_t acknowledged_ = 0;
};

// An organisation with one key, one configuration, and an account with its token.
struct Family {
  std::string org_id;
  std::mutex writing;
  int writes = 0;
  History organization, key, settings, token;

  std::string key_id() const { return "key-of-" + org_id; }
  std::string network_id() const { return "network-of-" + org_id; }
  // Of another configuration than the one that is changed all the time.
  std::string app_id() const { return "app-of-" + org_id; }

  // The account as it was connected last.
  SocialAccount account() const {
    const std::lock_guard lock(mutex);
    return last_account;
  }
  void set_account(const SocialAccount& account) {
    const std::lock_guard lock(mutex);
    last_account = account;
  }
  mutable std::mutex mutex;
  SocialAccount last_account;
};

class StoreConsistencyTest : public StoreTest, public ::testing::WithParamInterface<size_t> {
 protected:
  void SetUp() override {
    Open();
    for (int i = 0; i < kFamilies; ++i) families_[i].org_id = absl::StrCat("org-", i);
  }

  void Open() {
    store_.reset();
    ASSERT_OK_AND_ASSIGN(auto sqlite, OpenSqliteBackend(path_));
    auto flaky = std::make_unique<FlakyBackend>(std::move(sqlite));
    flaky_ = flaky.get();
    ASSERT_OK_AND_ASSIGN(
        store_, CredentialStore::Open(std::move(flaky), keys_.sealer, random_, GetParam()));
  }

  // Runs one write and enters it into the histories that it changes if it is done.
  void Write(const std::vector<std::pair<History*, std::string>>& changes,
             const std::function<absl::Status()>& write) {
    for (const auto& [history, state] : changes) history->Begin(state);
    FlakyBackend::TookEffect();
    const absl::Status status = write();
    const bool took_effect = FlakyBackend::TookEffect();
    for (const auto& [history, state] : changes) history->End(took_effect);
    const bool sound = status.ok() ? took_effect
                                   : absl::IsUnavailable(status) ||
                                         ReasonOf(status) == "ORGANIZATION_BEING_DELETED";
    if (!sound) Wrong(absl::StrCat("a write returned ", status.ToString()));
  }

  void WriteOrganization(Family& family, bool remove) {
    if (family.organization.state() == kAbsent) {
      const std::string name = absl::StrCat("organisation ", ++family.writes);
      Organization organization = TestOrganization(family.org_id);
      organization.set_display_name(name);
      Write({{&family.organization, name}},
            [&] { return store_->CreateOrganization(kNoLimit, organization); });
      return;
    }
    if (!remove) return;
    Write({{&family.organization, kAbsent},
           {&family.key, kAbsent},
           {&family.settings, kAbsent},
           {&family.token, kAbsent}},
          [&] { return store_->DeleteOrganization(kNoLimit, family.org_id, kNow); });
  }

  void WriteKey(Family& family) {
    if (family.organization.state() == kAbsent) return;
    const std::string before = family.key.state();
    if (before == kAbsent) {
      const std::string name = absl::StrCat("key ", ++family.writes);
      ApiKey key = TestApiKey(family.key_id(), family.org_id);
      key.set_display_name(name);
      Write({{&family.key, name}}, [&] { return store_->CreateApiKey(kNoLimit, key); });
      return;
    }
    if (before.back() == '!') return;
    Write({{&family.key, before + "!"}}, [&] {
      return store_->RevokeApiKey(kNoLimit, family.key_id(), family.org_id, kNow).status();
    });
  }

  void WriteSettings(Family& family, bool remove) {
    if (family.organization.state() == kAbsent) return;
    const std::string name = absl::StrCat("settings ", ++family.writes);
    if (family.settings.state() == kAbsent) {
      SocialNetworkSettings settings = TestSettings(family.org_id, family.network_id(), kNetwork);
      settings.set_client_key(name);
      Write({{&family.settings, name}}, [&] {
        return store_->social_networks().Create(kNoLimit, settings, "secret").status();
      });
      return;
    }
    if (remove) {
      Write({{&family.settings, kAbsent}}, [&] {
        return store_->social_networks().Delete(kNoLimit, family.org_id, family.network_id());
      });
      return;
    }
    const auto rename = [&](SocialNetworkSettings& settings, absl::string_view) {
      settings.set_client_key(name);
      return absl::OkStatus();
    };
    Write({{&family.settings, name}}, [&] {
      return store_->social_networks()
          .Update(kNoLimit, family.org_id, family.network_id(), kNow, rename, std::nullopt)
          .status();
    });
  }

  // Connects the account, again where it is connected; or gives its grant other tokens.
  void WriteToken(Family& family, bool refresh) {
    if (family.organization.state() == kAbsent) return;
    const std::string name = absl::StrCat("token ", ++family.writes);
    // No lease lasts from one write to the next.
    const absl::Time now = kNow + 2 * kRefreshLease * family.writes;
    TokenSet tokens;
    tokens.access_token = name;
    if (refresh) {
      if (family.token.state() == kAbsent) return;
      const std::string grant_id = family.account().grant_id();
      const auto lease = store_->grants().TakeLease(kNoLimit, family.org_id, grant_id, name, now);
      if (!lease.ok() || !lease->is_taken) return;
      Write({{&family.token, name}}, [&] {
        return store_->grants()
            .StoreRefreshed(kNoLimit, family.org_id, grant_id, name, tokens, std::nullopt, now)
            .status();
      });
      return;
    }
    store_->social_networks()
        .Create(kNoLimit, TestSettings(family.org_id, family.app_id(), "github"), "secret")
        .status()
        .IgnoreError();
    record::v1::Flow flow;
    flow.set_id(DigestId(absl::StrCat(family.org_id, name)));
    flow.set_org_id(family.org_id);
    flow.set_network("github");
    flow.set_social_network_id(family.app_id());
    flow.set_state_expires_at_ms(absl::ToUnixMillis(now + absl::Minutes(20)));
    if (!store_->flows().Spend(kNoLimit, flow, now).ok()) return;
    if (!store_->social_networks().Get(kNoLimit, family.org_id, family.app_id()).ok()) return;
    record::v1::Grant grant;
    grant.set_org_id(family.org_id);
    grant.set_social_network_id(family.app_id());
    grant.set_network("github");
    grant.set_client_id(TestSettings(family.org_id, family.app_id(), "github").client_key());
    grant.set_subject("person");
    SocialAccount account;
    account.set_social_network_id(family.app_id());
    account.set_network("github");
    account.set_network_unique_id("person");
    Write({{&family.token, name}}, [&] {
      const auto connected = store_->flows().Complete(kNoLimit, family.org_id, flow.id(),
                                                      {grant, tokens}, {{account, ""}}, now);
      // Though its end was not heard, it may be connected.
      const auto listed =
          store_->accounts().List(kNoLimit, family.org_id, {.network = "github"}, "", {.rows = 2});
      if (listed.ok() && !listed->records.empty()) family.set_account(listed->records[0]);
      if (connected.ok()) family.set_account(connected->accounts[0]);
      return connected.status();
    });
  }

  void DeleteAccount(Family& family) {
    if (family.token.state() == kAbsent) return;
    const std::string id = family.account().id();
    Write({{&family.token, kAbsent}},
          [&] { return store_->accounts().Delete(kNoLimit, family.org_id, id, kNow).status(); });
  }

  void WriteSomething(Family& family, uint32_t dice) {
    const std::lock_guard lock(family.writing);
    if (dice & 16) {
      if (dice % 8 == 0) return DeleteAccount(family);
      return WriteToken(family, dice % 8 < 5);
    }
    switch (dice % 16) {
      case 0:
        return WriteOrganization(family, true);
      case 1:
      case 2:
        return WriteOrganization(family, false);
      case 3:
      case 4:
      case 5:
      case 6:
        return WriteKey(family);
      case 7:
      case 8:
        return WriteSettings(family, true);
      default:
        return WriteSettings(family, false);
    }
  }

  // The state that a read shows; nothing where it shows none.
  template <typename Record>
  std::optional<std::string> StateOf(const absl::StatusOr<std::shared_ptr<const Record>>& record,
                                     const std::function<std::string(const Record&)>& name) {
    if (record.ok()) return name(**record);
    if (absl::IsNotFound(record.status()) && !ReasonOf(record.status()).empty()) return kAbsent;
    if (!absl::IsUnavailable(record.status())) {
      Wrong(absl::StrCat("a read returned ", record.status().ToString()));
    }
    return std::nullopt;
  }

  // At first from memory, as the request path does, or not.
  template <typename Record>
  void Read(const History& history, bool from_memory,
            const std::function<std::optional<CredentialStore::Found<Record>>()>& find,
            const std::function<CredentialStore::Found<Record>()>& load,
            const std::function<std::string(const Record&)>& name) {
    ReadFrom<Record>(history, history.acknowledged(), from_memory, find, load, name);
  }
  // The same of a read that began when number `from` was acknowledged.
  template <typename Record>
  void ReadFrom(const History& history, size_t from, bool from_memory,
                const std::function<std::optional<CredentialStore::Found<Record>>()>& find,
                const std::function<CredentialStore::Found<Record>()>& load,
                const std::function<std::string(const Record&)>& name) {
    std::optional<CredentialStore::Found<Record>> record;
    if (from_memory) record = find();
    if (!record) record = load();
    const std::optional<std::string> state = StateOf<Record>(*record, name);
    if (!state) return;
    ++reads_;
    if (*state == kAbsent) ++absences_;
    if (!history.Explains(from, *state)) {
      Wrong(absl::StrCat("a read showed \"", *state, "\" after \"", history.state(),
                         "\" was acknowledged"));
    }
  }

  // The token of the account as it was connected last: as GetAccessToken reads it.
  CredentialStore::Found<std::string> LoadToken(const Family& family, const std::string& id) {
    const auto account = store_->accounts().ReadWithToken(kNoLimit, family.org_id, id);
    if (!account.ok()) return account.status();
    const auto opened =
        store_->grants().ReadWithTokens(kNoLimit, family.org_id, account->account.grant_id());
    // Removed in between.
    if (opened.ok() && opened->grant.disconnected_at_ms() != 0) return SocialAccountNotFound(id);
    if (!opened.ok()) return opened.status();
    return std::make_shared<const std::string>(opened->tokens.access_token);
  }
  std::optional<CredentialStore::Found<std::string>> FindToken(const Family& family,
                                                               const std::string& id) {
    const auto account = store_->accounts().FindInMemory(family.org_id, id);
    if (!account) return std::nullopt;
    if (!account->ok()) return account->status();
    const auto grant = store_->grants().FindInMemory(***account);
    if (grant == nullptr || grant->record.disconnected_at_ms() != 0) return std::nullopt;
    const auto token = store_->grants().OpenAccessToken(*grant);
    if (!token.ok()) return token.status();
    return std::make_shared<const std::string>(token->token());
  }

  void ReadSomething(const Family& family, uint32_t dice) {
    const bool from_memory = dice & 4;
    const std::string& org_id = family.org_id;
    if (dice & 8) {
      const size_t from = family.token.acknowledged();
      const std::string id = family.account().id();
      return ReadFrom<std::string>(
          family.token, from, from_memory, [&] { return FindToken(family, id); },
          [&] { return LoadToken(family, id); }, [](const std::string& token) { return token; });
    }
    switch (dice % 4) {
      case 0:
        return Read<Organization>(
            family.organization, from_memory,
            [&] { return store_->FindOrganizationInMemory(org_id); },
            [&] { return store_->GetOrganization(kNoLimit, org_id); },
            [](const Organization& organization) { return organization.display_name(); });
      case 1:
        return Read<ApiKey>(
            family.key, from_memory, [&] { return store_->FindApiKeyInMemory(family.key_id()); },
            [&] { return store_->GetApiKey(kNoLimit, family.key_id()); },
            [](const ApiKey& key) {
              return absl::StrCat(key.display_name(), key.revoked_at_ms() == 0 ? "" : "!");
            });
      default:
        return Read<SocialNetworkSettings>(
            family.settings, from_memory,
            [&] { return store_->social_networks().FindInMemory(org_id, kNetwork, "", ""); },
            [&] { return store_->social_networks().Find(kNoLimit, org_id, kNetwork, "", ""); },
            [](const SocialNetworkSettings& settings) { return settings.client_key(); });
    }
  }

  void ReadAllOnce() {
    for (const Family& family : families_) {
      for (uint32_t dice = 0; dice < 16; ++dice) ReadSomething(family, dice);
    }
  }

  void Wrong(const std::string& what) {
    if (++wrong_ == 1) ADD_FAILURE() << what;
  }

  static constexpr int kFamilies = 8;
  std::array<Family, kFamilies> families_;
  std::unique_ptr<CredentialStore> store_;
  FlakyBackend* flaky_ = nullptr;
  std::atomic<int64_t> reads_ = 0;
  std::atomic<int64_t> absences_ = 0;
  std::atomic<int> wrong_ = 0;
};

// Large enough for all, for a few, and for none.
INSTANTIATE_TEST_SUITE_P(Cache, StoreConsistencyTest,
                         ::testing::Values(CredentialStore::kDefaultCacheBytes, 8'000, 0),
                         [](const auto& test) { return absl::StrCat(test.param, "Bytes"); });

TEST_P(StoreConsistencyTest, AReadThatBeginsAfterAWriteReturnedNeverShowsWhatWasBefore) {
  constexpr int kWriters = 2 * kFamilies;
  constexpr int kReaders = 64 - kWriters;
  constexpr int kWrites = kSanitized ? 40 : 120;
  flaky_->set_flaky(true);
  std::atomic<int> writing = kWriters;
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < kWriters; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < kWrites; ++i) WriteSomething(families_[t % kFamilies], random());
      --writing;
    });
  }
  for (uint32_t t = 0; t < kReaders; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(1000 + t);
      while (writing > 0) {
        ReadSomething(families_[random() % kFamilies], random());
        std::this_thread::yield();
      }
    });
  }
  // What deleted organisations left is purged meanwhile, so that they can be made again.
  threads.emplace_back([&] {
    while (writing > 0) {
      PurgeOrganizations(*store_, 1).status().IgnoreError();
      std::this_thread::yield();
    }
  });
  for (std::thread& thread : threads) thread.join();
  flaky_->set_flaky(false);
  ReadAllOnce();
  EXPECT_EQ(wrong_, 0);
  EXPECT_GT(reads_, 1000);
  EXPECT_GT(absences_, 0);

  const CredentialStore::Stats stats = store_->Snapshot();
  EXPECT_LE(stats.cache.bytes, GetParam());
  EXPECT_EQ(stats.cache.hits > 0, GetParam() > 0);
  EXPECT_EQ(stats.cache.negative_hits > 0, GetParam() > 0);
  EXPECT_EQ(stats.cache.evictions > 0, GetParam() == 8'000);
  // Whoever asks the file itself finds the same.
  Open();
  ReadAllOnce();
  EXPECT_EQ(wrong_, 0);
}

// What one call has learnt, the next one never denies, also where many write to one organisation at
// once: who was told that a key is not there is not shown it afterwards, unless somebody began to
// make it.
TEST_P(StoreConsistencyTest, NothingThatWasSaidToBeGoneIsShownAfterwards) {
  constexpr int kThreads = 12;
  constexpr int kRounds = kSanitized ? 60 : 300;
  const std::string org_id = "acme";
  const std::string key_id = "key";
  const std::string id = "sn_1";
  // Calls that make the record.
  struct Makers {
    std::atomic<int> begun = 0;
    std::atomic<int> ended = 0;
    // How many there were if none is under way, else -1.
    int Settled() const {
      const int before = ended;
      return begun == before ? before : -1;
    }
    void Make(const std::function<void()>& make) {
      ++begun;
      make();
      ++ended;
    }
  };
  Makers key_makers;
  Makers settings_makers;
  std::vector<std::thread> threads;
  std::atomic<int> working = kThreads;
  for (uint32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      const auto is_not_found = [](const absl::Status& status) { return absl::IsNotFound(status); };
      for (int i = 0; i < kRounds; ++i) {
        const int keys_before = key_makers.Settled();
        const int settings_before = settings_makers.Settled();
        absl::Status key_status = absl::OkStatus();
        absl::Status settings_status = absl::OkStatus();
        switch (random() % 8) {
          case 0:
            key_status = store_->DeleteOrganization(kNoLimit, org_id, kNow);
            settings_status = key_status;
            if (key_status.ok()) {
              key_status = settings_status = absl::NotFoundError("deleted");
            }
            break;
          case 1:
            store_->CreateOrganization(kNoLimit, TestOrganization(org_id)).IgnoreError();
            break;
          case 2:
            key_makers.Make(
                [&] { store_->CreateApiKey(kNoLimit, TestApiKey(key_id, org_id)).IgnoreError(); });
            break;
          case 3:
            key_status = store_->RevokeApiKey(kNoLimit, key_id, std::nullopt, kNow).status();
            break;
          case 4:
            settings_makers.Make([&] {
              store_->social_networks()
                  .Create(kNoLimit, TestSettings(org_id, id, kNetwork), "secret")
                  .status()
                  .IgnoreError();
            });
            break;
          case 5:
            settings_status = store_->social_networks().Delete(kNoLimit, org_id, id);
            if (settings_status.ok()) settings_status = absl::NotFoundError("deleted");
            break;
          case 6:
            settings_status = store_->social_networks()
                                  .Update(kNoLimit, org_id, id, kNow, SomeChange, std::nullopt)
                                  .status();
            break;
          default:
            key_status = store_->GetApiKey(kNoLimit, key_id).status();
            settings_status =
                store_->social_networks().Find(kNoLimit, org_id, kNetwork, "", "").status();
        }
        const auto key_in_memory = store_->FindApiKeyInMemory(key_id);
        const bool key_is_shown =
            (key_in_memory && key_in_memory->ok()) || store_->GetApiKey(kNoLimit, key_id).ok();
        if (is_not_found(key_status) && key_is_shown && key_makers.Settled() == keys_before &&
            keys_before >= 0) {
          Wrong(absl::StrCat("a key is shown after ", key_status.ToString()));
        }
        const auto in_memory = store_->social_networks().FindInMemory(org_id, kNetwork, "", "");
        const bool is_shown =
            (in_memory && in_memory->ok()) ||
            store_->social_networks().Find(kNoLimit, org_id, kNetwork, "", "").ok();
        if (is_not_found(settings_status) && is_shown &&
            settings_makers.Settled() == settings_before && settings_before >= 0) {
          Wrong(absl::StrCat("a configuration is shown after ", settings_status.ToString()));
        }
      }
      --working;
    });
  }
  threads.emplace_back([&] {
    while (working > 0) PurgeOrganizations(*store_, 10).status().IgnoreError();
  });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong_, 0);
}

TEST_P(StoreConsistencyTest, NoReadShowsAnOlderVersionThanOneThatWasAcknowledged) {
  constexpr int kThreads = 64;
  constexpr int kWrites = kSanitized ? 10 : 40;
  constexpr size_t kRecords = 3;
  std::array<std::atomic<uint64_t>, kRecords> acknowledged;
  const auto id_of = [](size_t i) { return absl::StrCat("id-", i); };
  const auto network_of = [](size_t i) { return absl::StrCat("network-", i); };
  ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("acme")));
  for (size_t i = 0; i < kRecords; ++i) {
    ASSERT_OK(store_->social_networks().Create(
        kNoLimit, TestSettings("acme", id_of(i), network_of(i)), "secret"));
    acknowledged[i] = 1;
  }
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < kWrites; ++i) {
        const size_t record = random() % kRecords;
        const auto updated = store_->social_networks().Update(
            kNoLimit, "acme", id_of(record), kNow,
            [](SocialNetworkSettings& settings, absl::string_view) {
              settings.set_client_key(absl::StrCat("key of version ", settings.version() + 1));
              return absl::OkStatus();
            },
            std::nullopt);
        if (!updated.ok()) return Wrong(updated.status().ToString());
        uint64_t newest = acknowledged[record];
        while (newest < updated->settings.version() &&
               !acknowledged[record].compare_exchange_weak(newest, updated->settings.version())) {
        }
        for (size_t other = 0; other < kRecords; ++other) {
          const uint64_t from = acknowledged[other];
          const auto found =
              store_->social_networks().Find(kNoLimit, "acme", network_of(other), "", "");
          if (!found.ok()) return Wrong(found.status().ToString());
          if ((*found)->version() < from) {
            Wrong(absl::StrCat("version ", (*found)->version(), " after ", from));
          }
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong_, 0);
  uint64_t versions = 0;
  for (size_t i = 0; i < kRecords; ++i) {
    ASSERT_OK_AND_ASSIGN(const auto found,
                         store_->social_networks().Find(kNoLimit, "acme", network_of(i), "", ""));
    EXPECT_EQ(found->version(), acknowledged[i]);
    EXPECT_EQ(found->client_key(), absl::StrCat("key of version ", found->version()));
    versions += found->version() - 1;
  }
  EXPECT_EQ(versions, uint64_t{kThreads} * kWrites);
}

}  // namespace
}  // namespace authurl::testing
