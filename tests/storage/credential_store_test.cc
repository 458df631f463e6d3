#include "storage/credential_store.h"

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
#include "absl/time/time.h"
#include "core/errors.h"
#include "core/flow/auth_state.h"
#include "storage/sqlite/migrations.h"
#include "tests/storage/child_process.h"
#include "tests/storage/forwarding_backend.h"
#include "tests/storage/store_fixture.h"
#include "tests/support/purge.h"

namespace authurl::testing {
namespace {

using ::testing::_;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using record::v1::SocialNetworkSettings;

// Matches what comes of a damaged record: an internal fault that callers learn nothing of.
auto DoesNotOpen(const std::string& table) {
  return AllOf(StatusIs(absl::StatusCode::kInternal, HasSubstr(table)), HasReason(""));
}

// Lets others come before the next commit, or between it and its end.
class LateBackend final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;

  CommitResult Commit(const CallContext& context, const Batch& batch) override {
    if (const auto before = std::exchange(before_next, nullptr)) before();
    CommitResult result = ForwardingBackend::Commit(context, batch);
    if (const auto after = std::exchange(after_next, nullptr)) after();
    return result;
  }

  absl::Status PutMeta(absl::string_view name, absl::string_view value) override {
    absl::Status status = ForwardingBackend::PutMeta(name, value);
    if (const auto after = std::exchange(after_next_meta, nullptr)) after();
    return status;
  }

  std::function<void()> before_next;
  std::function<void()> after_next;
  std::function<void()> after_next_meta;
};

class CredentialStoreTest : public OpenStoreTest {
 protected:
  LateBackend& ReopenOverLateBackend() {
    store_.reset();
    auto late = std::make_unique<LateBackend>(OpenSqliteBackend(path_).value());
    LateBackend& backend = *late;
    store_ = CredentialStore::Open(std::move(late), keys_.sealer, random_).value();
    return backend;
  }
};

TEST_F(CredentialStoreTest, RecordsComeBackAsTheyWereCreated) {
  Fill(*store_);
  Reopen();
  ASSERT_OK_AND_ASSIGN(const auto organization, store_->GetOrganization(kNoLimit, "acme"));
  EXPECT_THAT(*organization, EqualsProto(TestOrganization("acme")));
  ASSERT_OK_AND_ASSIGN(const auto key, store_->GetApiKey(kNoLimit, "acme-key"));
  EXPECT_THAT(*key, EqualsProto(TestApiKey("acme-key", "acme")));
  const SocialNetworkSettings expected = TestSettings("acme", "acme-google", "google");
  ASSERT_OK_AND_ASSIGN(const auto by_id,
                       store_->social_networks().Get(kNoLimit, "acme", "acme-google"));
  EXPECT_THAT(by_id, EqualsProto(expected));
  ASSERT_OK_AND_ASSIGN(const auto found,
                       store_->social_networks().Find(kNoLimit, "acme", "google", "", ""));
  EXPECT_THAT(*found, EqualsProto(expected));
  ASSERT_OK_AND_ASSIGN(const auto secret, store_->social_networks().GetClientSecret(
                                              kNoLimit, "acme", "acme-google", 1));
  EXPECT_EQ(secret, TestSecret("acme-google"));
  EXPECT_OK(store_->Probe());
  EXPECT_OK(store_->ProbeReads());
}

// A file as the last version before names, ranks and generations left it.
TEST_F(CredentialStoreTest, RecordsOfAnOlderDatabaseComeBackAsTheyWereCreated) {
  store_.reset();
  const std::string proof = RawDatabase(path_).Value("SELECT hex(value) FROM meta");
  std::filesystem::remove(path_);
  SocialNetworkSettings old = TestSettings("acme", "sn_old", "google");
  old.clear_default_rank();
  const StoredAuthState state =
      SealStoredAuthState(keys_.sealer, NewNonce(random_), NewStateReference(random_),
                          TestAuthState("acme", "wechat", kNow));
  {
    const RawDatabase db(path_);
    ASSERT_OK(Migrate(db.get(), Migrations().first(2)));
    const RecordSealer records(keys_.sealer, random_);
    const auto sealed = [](const Row& row, size_t part = 0) {
      return absl::StrCat("x'", HexEncode(row.parts[part]), "'");
    };
    const Row configuration = records.Seal(old, 0, ClientSecrets("old-secret"));
    db.Execute(absl::StrCat("INSERT INTO meta VALUES ('key_ring_check', x'", proof, "')"));
    db.Execute(absl::StrCat("INSERT INTO organizations VALUES ('acme', ",
                            sealed(records.Seal(TestOrganization("acme"), 0, 1)), ")"));
    db.Execute(absl::StrCat("INSERT INTO api_keys VALUES ('admin-key', NULL, 1, ",
                            sealed(records.Seal(TestApiKey("admin-key", ""), 0, 1)), ")"));
    db.Execute(absl::StrCat("INSERT INTO api_keys VALUES ('acme-key', 'acme', 3, ",
                            sealed(records.Seal(TestApiKey("acme-key", "acme"), 0, 3)), ")"));
    db.Execute(
        absl::StrCat("INSERT INTO social_networks VALUES ('acme', 'sn_old', 'google', '', 1, ",
                     sealed(configuration, 0), ", ", sealed(configuration, 1), ")"));
    db.Execute(absl::StrCat("INSERT INTO auth_states VALUES (x'",
                            HexEncode(AsChars(Sha256(state.reference))), "', 'acme', 5, x'",
                            HexEncode(state.sealed), "')"));
  }
  Reopen();
  ASSERT_OK_AND_ASSIGN(const auto organization, store_->GetOrganization(kNoLimit, "acme"));
  EXPECT_THAT(*organization, EqualsProto(TestOrganization("acme")));
  ASSERT_OK_AND_ASSIGN(const auto key, store_->GetApiKey(kNoLimit, "admin-key"));
  EXPECT_THAT(*key, EqualsProto(TestApiKey("admin-key", "")));
  ASSERT_OK_AND_ASSIGN(const auto revoked,
                       store_->RevokeApiKey(kNoLimit, "acme-key", "acme", kNow));
  EXPECT_EQ(revoked.revoked_at_ms(), absl::ToUnixMillis(kNow));
  ASSERT_OK_AND_ASSIGN(const auto kept, store_->GetAuthState(kNoLimit, state.reference));
  EXPECT_EQ(kept, state.sealed);
  ASSERT_OK_AND_ASSIGN(const auto settings,
                       store_->social_networks().Find(kNoLimit, "acme", "google", "", ""));
  EXPECT_THAT(*settings, EqualsProto(old));
  ASSERT_OK_AND_ASSIGN(const auto secret,
                       store_->social_networks().GetClientSecret(kNoLimit, "acme", "sn_old", 1));
  EXPECT_EQ(secret, "old-secret");
  // It is the first one still, when others come.
  SocialNetworkSettings another = TestSettings("acme", "sn_new", "google");
  another.set_name("new");
  ASSERT_OK(store_->social_networks().Create(kNoLimit, another, "secret"));
  ASSERT_OK_AND_ASSIGN(const std::string first,
                       store_->social_networks().GetDefaultId(kNoLimit, "acme", "google", ""));
  EXPECT_EQ(first, "sn_old");
}

TEST_F(CredentialStoreTest, AWriteDuringAStepOfTheRollbackCheckNeedsTheNextOne) {
  LateBackend& backend = ReopenOverLateBackend();
  const std::string file = folder_.File("ring.rollback");
  ASSERT_OK(store_->StartRollbackCheck(file, kNow));
  const std::string at_start = ReadFile(file);
  ASSERT_OK(store_->AdvanceRollbackCheck());
  EXPECT_EQ(ReadFile(file), at_start);

  ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("acme")));
  backend.after_next_meta = [&] {
    ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("other")));
  };
  ASSERT_OK(store_->AdvanceRollbackCheck());
  const std::string first = ReadFile(file);
  EXPECT_NE(first, at_start);
  ASSERT_OK(store_->AdvanceRollbackCheck());
  const std::string second = ReadFile(file);
  EXPECT_NE(second, first);
  ASSERT_OK(store_->AdvanceRollbackCheck());
  EXPECT_EQ(ReadFile(file), second);
}

TEST_F(CredentialStoreTest, AnOrganisationHasABoundedNumberOfConfigurationsAndApiKeys) {
  store_.reset();
  auto backend = OpenSqliteBackend(path_);
  ASSERT_OK(backend);
  ASSERT_OK_AND_ASSIGN(store_, CredentialStore::Open(*std::move(backend), keys_.sealer, random_,
                                                     CredentialStore::kDefaultCacheBytes,
                                                     {.configurations = 7, .api_keys = 5}));
  for (const std::string org : {"acme", "other"}) {
    ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization(org)));
    SocialNetworkSettings settings = TestSettings(org, "sn", "mastodon");
    const auto create = [&](int i) {
      settings.set_id(absl::StrCat("sn_", i));
      settings.set_instance(absl::StrCat("m", i, ".example"));
      return store_->social_networks().Create(kNoLimit, settings, "secret").status();
    };
    for (int i = 0; i < 7; ++i) ASSERT_OK(create(i)) << i;
    EXPECT_THAT(create(7), AllOf(HasReason("TOO_MANY_CONFIGURATIONS"),
                                 StatusIs(absl::StatusCode::kFailedPrecondition,
                                          HasSubstr("has 7 configurations"))));
    ASSERT_OK(store_->social_networks().Delete(kNoLimit, org, "sn_3"));
    EXPECT_OK(create(8));
    EXPECT_THAT(create(9), HasReason("TOO_MANY_CONFIGURATIONS"));

    const auto add_key = [&](int i) {
      return store_->CreateApiKey(kNoLimit, TestApiKey(absl::StrCat(org, "-", i), org));
    };
    for (int i = 0; i < 5; ++i) ASSERT_OK(add_key(i)) << i;
    EXPECT_THAT(add_key(5), HasReason("TOO_MANY_API_KEYS"));
    ASSERT_OK(store_->RevokeApiKey(kNoLimit, org + "-2", org, absl::Now()));
    EXPECT_THAT(add_key(5), HasReason("TOO_MANY_API_KEYS"));
  }
  // Those of no organisation are the operator's own.
  for (int i = 0; i < 20; ++i) {
    EXPECT_OK(store_->CreateApiKey(kNoLimit, TestApiKey(absl::StrCat("admin-", i), "")));
  }
}

TEST_F(CredentialStoreTest, ListsHoldTheRecordsInOrder) {
  Fill(*store_);
  ASSERT_OK_AND_ASSIGN(const auto organizations,
                       store_->ListOrganizations(kNoLimit, "", {.rows = 10}));
  ASSERT_EQ(organizations.records.size(), 2u);
  EXPECT_EQ(organizations.records[1].org_id(), "other");
  ASSERT_OK_AND_ASSIGN(const auto keys,
                       store_->ListApiKeys(kNoLimit, std::nullopt, "", {.rows = 2}));
  ASSERT_EQ(keys.records.size(), 2u);
  EXPECT_EQ(keys.records[1].key_id(), "admin-key");
  ASSERT_OK_AND_ASSIGN(const auto networks,
                       store_->social_networks().List(kNoLimit, "acme", "", {.rows = 10}));
  ASSERT_EQ(networks.records.size(), 2u);
  EXPECT_EQ(networks.records[0].id(), "acme-github");
}

TEST_F(CredentialStoreTest, WhatIsAbsentOrTakenHasAReason) {
  Fill(*store_);
  EXPECT_THAT(store_->GetOrganization(kNoLimit, "x"), HasReason("ORGANIZATION_NOT_FOUND"));
  EXPECT_THAT(store_->DeleteOrganization(kNoLimit, "x", kNow), HasReason("ORGANIZATION_NOT_FOUND"));
  EXPECT_THAT(store_->CreateOrganization(kNoLimit, TestOrganization("acme")),
              AllOf(HasReason("ORGANIZATION_EXISTS"),
                    StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("acme"))));
  EXPECT_THAT(store_->GetApiKey(kNoLimit, "x"), HasReason("API_KEY_NOT_FOUND"));
  EXPECT_THAT(store_->CreateApiKey(kNoLimit, TestApiKey("k", "x")),
              HasReason("ORGANIZATION_NOT_FOUND"));
  EXPECT_THAT(store_->CreateApiKey(kNoLimit, TestApiKey("acme-key", "acme")),
              HasReason("API_KEY_EXISTS"));
  EXPECT_THAT(store_->social_networks().Get(kNoLimit, "acme", "x"),
              HasReason("SOCIAL_NETWORK_NOT_FOUND"));
  EXPECT_THAT(store_->social_networks().Get(kNoLimit, "acme", "other-google"),
              HasReason("SOCIAL_NETWORK_NOT_FOUND"));
  EXPECT_THAT(store_->social_networks().Delete(kNoLimit, "acme", "other-google"),
              HasReason("SOCIAL_NETWORK_NOT_FOUND"));
  EXPECT_THAT(store_->social_networks().Update(kNoLimit, "acme", "other-google", kNow, NoChange,
                                               std::nullopt),
              HasReason("SOCIAL_NETWORK_NOT_FOUND"));
  EXPECT_THAT(store_->social_networks().GetClientSecret(kNoLimit, "acme", "other-google", 1),
              HasReason("SOCIAL_NETWORK_NOT_FOUND"));
  EXPECT_THAT(store_->social_networks().Find(kNoLimit, "acme", "tiktok", "", ""),
              HasReason("NETWORK_NOT_CONFIGURED"));
  EXPECT_THAT(
      store_->social_networks().Create(kNoLimit, TestSettings("acme", "new", "google"), "secret"),
      HasReason("SOCIAL_NETWORK_EXISTS"));
  EXPECT_THAT(
      store_->social_networks().Create(kNoLimit, TestSettings("x", "new", "google"), "secret"),
      HasReason("ORGANIZATION_NOT_FOUND"));
}

TEST_F(CredentialStoreTest, DeletingAnOrganizationTakesEverythingOfIt) {
  Fill(*store_);
  ASSERT_OK(store_->DeleteOrganization(kNoLimit, "acme", kNow));
  EXPECT_THAT(store_->GetApiKey(kNoLimit, "acme-key"), HasReason("API_KEY_NOT_FOUND"));
  EXPECT_THAT(store_->social_networks().Find(kNoLimit, "acme", "google", "", ""),
              HasReason("NETWORK_NOT_CONFIGURED"));
  EXPECT_OK(store_->social_networks().Find(kNoLimit, "other", "google", "", ""));
}

TEST_F(CredentialStoreTest, ADeletedOrganizationIsPurgedInStepsAndItsIdIsFreeThen) {
  Fill(*store_);
  ASSERT_OK(store_->DeleteOrganization(kNoLimit, "acme", kNow));
  const auto expect_gone = [&] {
    EXPECT_THAT(store_->GetOrganization(kNoLimit, "acme"), HasReason("ORGANIZATION_NOT_FOUND"));
    EXPECT_THAT(store_->GetApiKey(kNoLimit, "acme-key"), HasReason("API_KEY_NOT_FOUND"));
    EXPECT_THAT(store_->RevokeApiKey(kNoLimit, "acme-key", std::nullopt, kNow),
                HasReason("API_KEY_NOT_FOUND"));
    EXPECT_THAT(store_->social_networks().Find(kNoLimit, "acme", "google", "", ""),
                HasReason("NETWORK_NOT_CONFIGURED"));
    EXPECT_THAT(store_->social_networks().Get(kNoLimit, "acme", "acme-google"),
                HasReason("SOCIAL_NETWORK_NOT_FOUND"));
    EXPECT_THAT(store_->social_networks().GetClientSecret(kNoLimit, "acme", "acme-google", 1),
                HasReason("SOCIAL_NETWORK_NOT_FOUND"));
    ASSERT_OK_AND_ASSIGN(const auto networks,
                         store_->social_networks().List(kNoLimit, "acme", "", {.rows = 10}));
    EXPECT_THAT(networks.records, IsEmpty());
    EXPECT_THAT(networks.unreadable, IsEmpty());
    ASSERT_OK_AND_ASSIGN(const auto keys,
                         store_->ListApiKeys(kNoLimit, std::nullopt, "", {.rows = 10}));
    EXPECT_EQ(keys.records.size(), 2u);
    ASSERT_OK_AND_ASSIGN(const auto organizations,
                         store_->ListOrganizations(kNoLimit, "", {.rows = 10}));
    EXPECT_EQ(organizations.records.size(), 1u);
    EXPECT_THAT(store_->CreateApiKey(kNoLimit, TestApiKey("new-key", "acme")),
                HasReason("ORGANIZATION_NOT_FOUND"));
    EXPECT_THAT(store_->DeleteOrganization(kNoLimit, "acme", kNow),
                HasReason("ORGANIZATION_NOT_FOUND"));
  };
  // A key, two configurations and the organisation itself.
  for (int left = 4; left > 0; --left) {
    expect_gone();
    EXPECT_THAT(store_->CreateOrganization(kNoLimit, TestOrganization("acme")),
                AllOf(HasReason("ORGANIZATION_BEING_DELETED"),
                      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("acme"))));
    // Whatever becomes of the process in between.
    if (left % 2 == 0) Reopen();
    EXPECT_EQ(PurgeOrganizations(*store_, 1).value_or(-1), 1);
  }
  EXPECT_EQ(PurgeOrganizations(*store_, 1).value_or(-1), 0);
  EXPECT_EQ(store_->Snapshot().purged_records, 2u);
  expect_gone();
  ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("acme")));
  EXPECT_OK(store_->GetOrganization(kNoLimit, "acme"));
  EXPECT_THAT(store_->GetApiKey(kNoLimit, "acme-key"), HasReason("API_KEY_NOT_FOUND"));
  EXPECT_OK(store_->social_networks().Create(
      kNoLimit, TestSettings("acme", "acme-google", "google"), "secret"));
  EXPECT_OK(store_->social_networks().Find(kNoLimit, "other", "google", "", ""));
  EXPECT_OK(store_->GetApiKey(kNoLimit, "other-key"));
}

// What memory has of an organisation is not found under a later one of the same id.
TEST_F(CredentialStoreTest, AnOrganizationThatIsMadeAgainMeetsNothingOfTheFirst) {
  Fill(*store_);
  for (int round = 0; round < 2; ++round) {
    ASSERT_OK(store_->social_networks().Find(kNoLimit, "acme", "google", "", ""));
    ASSERT_OK(store_->GetApiKey(kNoLimit, "acme-key"));
    ASSERT_OK(store_->DeleteOrganization(kNoLimit, "acme", kNow));
    while (PurgeOrganizations(*store_, 100).value() > 0) continue;
    ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("acme")));
    ASSERT_OK(store_->GetOrganization(kNoLimit, "acme"));
    EXPECT_THAT(store_->GetApiKey(kNoLimit, "acme-key"), HasReason("API_KEY_NOT_FOUND"));
    EXPECT_THAT(store_->social_networks().Find(kNoLimit, "acme", "google", "", ""),
                HasReason("NETWORK_NOT_CONFIGURED"));
    ASSERT_OK(store_->CreateApiKey(kNoLimit, TestApiKey("acme-key", "acme")));
    ASSERT_OK(store_->social_networks().Create(
        kNoLimit, TestSettings("acme", "acme-google", "google"), "secret"));
  }
}

// Once the database says it, memory does not deny it: also before the write has returned.
TEST_F(CredentialStoreTest, NothingInMemoryContradictsACommitThatHasNotReturned) {
  LateBackend& backend = ReopenOverLateBackend();
  Fill(*store_);
  const auto remember = [&] {
    ASSERT_OK(store_->GetApiKey(kNoLimit, "acme-key"));
    ASSERT_OK(store_->social_networks().Find(kNoLimit, "acme", "google", "", ""));
    ASSERT_OK(store_->social_networks().Find(kNoLimit, "acme", "github", "", ""));
  };
  int looks = 0;
  remember();
  backend.after_next = [&] {
    ++looks;
    EXPECT_THAT(store_->social_networks().Get(kNoLimit, "acme", "acme-github"),
                HasReason("SOCIAL_NETWORK_NOT_FOUND"));
    EXPECT_EQ(store_->social_networks().FindInMemory("acme", "github", "", ""), std::nullopt);
    EXPECT_THAT(store_->social_networks().Find(kNoLimit, "acme", "github", "", ""),
                HasReason("NETWORK_NOT_CONFIGURED"));
    EXPECT_TRUE(store_->social_networks().FindInMemory("acme", "google", "", "").has_value());
  };
  ASSERT_OK(store_->social_networks().Delete(kNoLimit, "acme", "acme-github"));
  backend.after_next = [&] {
    ++looks;
    ASSERT_OK_AND_ASSIGN(const auto keys, store_->ListApiKeys(kNoLimit, "acme", "", {.rows = 1}));
    EXPECT_NE(keys.records.at(0).revoked_at_ms(), 0);
    EXPECT_EQ(store_->FindApiKeyInMemory("acme-key"), std::nullopt);
    ASSERT_OK_AND_ASSIGN(const auto key, store_->GetApiKey(kNoLimit, "acme-key"));
    EXPECT_NE(key->revoked_at_ms(), 0);
  };
  ASSERT_OK(store_->RevokeApiKey(kNoLimit, "acme-key", "acme", kNow));
  backend.after_next = [&] {
    ++looks;
    EXPECT_THAT(store_->DeleteOrganization(kNoLimit, "acme", kNow),
                HasReason("ORGANIZATION_NOT_FOUND"));
    EXPECT_EQ(store_->FindApiKeyInMemory("acme-key"), std::nullopt);
    EXPECT_THAT(store_->GetApiKey(kNoLimit, "acme-key"), HasReason("API_KEY_NOT_FOUND"));
    EXPECT_EQ(store_->social_networks().FindInMemory("acme", "google", "", ""), std::nullopt);
    EXPECT_THAT(store_->social_networks().Find(kNoLimit, "acme", "google", "", ""),
                HasReason("NETWORK_NOT_CONFIGURED"));
    EXPECT_THAT(store_->GetOrganization(kNoLimit, "acme"), HasReason("ORGANIZATION_NOT_FOUND"));
  };
  ASSERT_OK(store_->DeleteOrganization(kNoLimit, "acme", kNow));
  EXPECT_EQ(looks, 3);
}

// A write that was prepared for the first of two organisations of one id does not reach the second,
// however late it comes.
TEST_F(CredentialStoreTest, AWriteForAnOrganizationNeverReachesALaterOneOfTheSameId) {
  LateBackend& backend = ReopenOverLateBackend();
  Fill(*store_);
  const auto make_again = [&] {
    ASSERT_OK(store_->DeleteOrganization(kNoLimit, "acme", kNow));
    while (PurgeOrganizations(*store_, 100).value() > 0) continue;
    ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("acme")));
  };
  // It is made for the organisation that there is then.
  backend.before_next = make_again;
  ASSERT_OK(
      store_->social_networks().Create(kNoLimit, TestSettings("acme", "sn_1", "x"), "secret"));
  EXPECT_OK(store_->social_networks().Find(kNoLimit, "acme", "x", "", ""));
  EXPECT_OK(store_->social_networks().Get(kNoLimit, "acme", "sn_1"));
  backend.before_next = make_again;
  ASSERT_OK(store_->CreateApiKey(kNoLimit, TestApiKey("new-key", "acme")));
  EXPECT_OK(store_->GetApiKey(kNoLimit, "new-key"));
  // A deletion of the first is over with it, or deletes the second, but never breaks it.
  backend.before_next = make_again;
  EXPECT_OK(store_->DeleteOrganization(kNoLimit, "acme", kNow));
  EXPECT_THAT(store_->GetOrganization(kNoLimit, "acme"), HasReason("ORGANIZATION_NOT_FOUND"));
  // Nor does a purge of the first that comes late: it was done by others.
  backend.before_next = [&] {
    while (PurgeOrganizations(*store_, 100).value() > 0) continue;
    ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("acme")));
    ASSERT_OK(
        store_->social_networks().Create(kNoLimit, TestSettings("acme", "sn_2", "x"), "secret"));
    ASSERT_OK(store_->DeleteOrganization(kNoLimit, "acme", kNow));
  };
  ASSERT_OK(PurgeOrganizations(*store_, 100));
  while (PurgeOrganizations(*store_, 100).value() > 0) continue;
  ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("acme")));
  ASSERT_OK(
      store_->social_networks().Create(kNoLimit, TestSettings("acme", "sn_2", "x"), "secret"));
  EXPECT_OK(store_->social_networks().Find(kNoLimit, "acme", "x", "", ""));
}

TEST_F(CredentialStoreTest, NothingIsPurgedForADamagedColumnAndOthersAreNotHeldUp) {
  Fill(*store_);
  ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("gone")));
  ASSERT_OK(store_->DeleteOrganization(kNoLimit, "gone", kNow));
  Edit("UPDATE organizations SET purge_at_ms = 5 WHERE id = 'acme'");
  EXPECT_THAT(store_->GetOrganization(kNoLimit, "acme"), DoesNotOpen("organizations"));
  EXPECT_EQ(PurgeOrganizations(*store_, 100).value_or(-1), 1);
  EXPECT_THAT(PurgeOrganizations(*store_, 100), DoesNotOpen("organizations"));
  EXPECT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("gone")));
  ASSERT_OK_AND_ASSIGN(const auto list, store_->ListOrganizations(kNoLimit, "", {.rows = 10}));
  EXPECT_THAT(list.unreadable, ElementsAre("acme"));
  // Nothing of it was lost.
  Edit("UPDATE organizations SET purge_at_ms = 9223372036854775807 WHERE id = 'acme'");
  EXPECT_OK(store_->GetApiKey(kNoLimit, "acme-key"));
  EXPECT_OK(store_->social_networks().GetClientSecret(kNoLimit, "acme", "acme-google", 1));
}

TEST_F(CredentialStoreTest, AnOrganizationWhoseRecordIsDamagedCanBeDeleted) {
  Fill(*store_);
  Edit("UPDATE organizations SET whole = x'00' WHERE id = 'acme'");
  EXPECT_THAT(store_->GetOrganization(kNoLimit, "acme"), DoesNotOpen("organizations"));
  ASSERT_OK(store_->DeleteOrganization(kNoLimit, "acme", kNow));
  EXPECT_THAT(store_->GetOrganization(kNoLimit, "acme"), HasReason("ORGANIZATION_NOT_FOUND"));
  while (PurgeOrganizations(*store_, 100).value() > 0) continue;
  EXPECT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("acme")));
}

TEST_F(CredentialStoreTest, AKeyWhoseRecordIsDamagedCanBeRevokedForGood) {
  Fill(*store_);
  store_.reset();
  const std::string sound = RawDatabase(path_).Value(
      "SELECT hex(whole) FROM api_keys"
      " WHERE id = 'acme-key'");
  Edit("UPDATE api_keys SET whole = x'00' WHERE id = 'acme-key'");
  EXPECT_THAT(store_->GetApiKey(kNoLimit, "acme-key"), DoesNotOpen("api_keys"));
  ASSERT_OK_AND_ASSIGN(const auto revoked,
                       store_->RevokeApiKey(kNoLimit, "acme-key", "acme", kNow));
  EXPECT_EQ(revoked.key_id(), "acme-key");
  EXPECT_EQ(revoked.revoked_at_ms(), absl::ToUnixMillis(kNow));
  ASSERT_OK_AND_ASSIGN(const auto key, store_->GetApiKey(kNoLimit, "acme-key"));
  EXPECT_NE(key->revoked_at_ms(), 0);
  // Not even the old bytes bring it back.
  Edit(absl::StrCat("UPDATE api_keys SET whole = x'", sound, "' WHERE id = 'acme-key'"));
  EXPECT_THAT(store_->GetApiKey(kNoLimit, "acme-key"), DoesNotOpen("api_keys"));
}

TEST_F(CredentialStoreTest, ThatThereAreKeysIsKnownThoughNoneOpens) {
  EXPECT_THAT(store_->HasApiKeys(kNoLimit), IsOkAndHolds(false));
  Fill(*store_);
  Edit("UPDATE api_keys SET whole = x'00'");
  EXPECT_THAT(store_->HasApiKeys(kNoLimit), IsOkAndHolds(true));
  ASSERT_OK_AND_ASSIGN(const auto keys,
                       store_->ListApiKeys(kNoLimit, std::nullopt, "", {.rows = 10}));
  EXPECT_THAT(keys.records, IsEmpty());
  EXPECT_THAT(keys.unreadable, ElementsAre("acme-key", "admin-key", "other-key"));
}

TEST_F(CredentialStoreTest, FromMemoryOnlyWhatIsThereIsAnswered) {
  Fill(*store_);
  Reopen();
  const auto key = [&] { return store_->FindApiKeyInMemory("acme-key"); };
  const auto organization = [&] { return store_->FindOrganizationInMemory("acme"); };
  const auto settings = [&] {
    return store_->social_networks().FindInMemory("acme", "google", "", "");
  };
  EXPECT_EQ(key(), std::nullopt);
  EXPECT_EQ(organization(), std::nullopt);
  EXPECT_EQ(settings(), std::nullopt);
  ASSERT_OK(store_->GetApiKey(kNoLimit, "acme-key"));
  ASSERT_OK(store_->GetOrganization(kNoLimit, "acme"));
  ASSERT_OK(store_->social_networks().Find(kNoLimit, "acme", "google", "", ""));
  // That the file is gone is not noticed: it is not asked.
  std::filesystem::rename(path_, folder_.File("away.db"));
  EXPECT_THAT(store_->ProbeReads(), HasReason("STORAGE_UNAVAILABLE"));
  ASSERT_OK_AND_ASSIGN(const auto the_key, *key());
  EXPECT_THAT(*the_key, EqualsProto(TestApiKey("acme-key", "acme")));
  ASSERT_OK_AND_ASSIGN(const auto the_organization, *organization());
  EXPECT_THAT(*the_organization, EqualsProto(TestOrganization("acme")));
  ASSERT_OK_AND_ASSIGN(const auto the_settings, *settings());
  EXPECT_THAT(*the_settings, EqualsProto(TestSettings("acme", "acme-google", "google")));
  for (int i = 0; i < 2; ++i) {
    // Trouble with the database is not kept.
    EXPECT_EQ(store_->social_networks().FindInMemory("acme", "github", "", ""), std::nullopt);
    EXPECT_THAT(store_->social_networks().Find(kNoLimit, "acme", "github", "", ""),
                HasReason("STORAGE_UNAVAILABLE"));
  }
}

// A read from memory, and the same from the database.
struct ReadBothWays {
  std::function<std::optional<absl::Status>()> from_memory;
  std::function<absl::Status()> read;
};

TEST_F(CredentialStoreTest, ThatSomethingIsAbsentIsRememberedWithTheSameError) {
  const auto status_of = [](const auto& found) -> std::optional<absl::Status> {
    if (!found) return std::nullopt;
    return found->status();
  };
  const std::vector<ReadBothWays> reads = {
      {[&] { return status_of(store_->FindApiKeyInMemory("acme-key")); },
       [&] { return store_->GetApiKey(kNoLimit, "acme-key").status(); }},
      {[&] { return status_of(store_->FindOrganizationInMemory("acme")); },
       [&] { return store_->GetOrganization(kNoLimit, "acme").status(); }},
      {[&] { return status_of(store_->social_networks().FindInMemory("acme", "google", "", "")); },
       [&] {
         return store_->social_networks().Find(kNoLimit, "acme", "google", "", "").status();
       }}};
  for (const auto& [from_memory, read] : reads) {
    EXPECT_EQ(from_memory(), std::nullopt);
    const absl::Status first = read();
    EXPECT_THAT(first, StatusIs(absl::StatusCode::kNotFound, _));
    EXPECT_FALSE(ReasonOf(first).empty());
    EXPECT_EQ(from_memory(), first);
    EXPECT_EQ(read(), first);
  }
  EXPECT_EQ(store_->Snapshot().cache.negative_hits, 6u);
  Fill(*store_);
  for (const auto& [from_memory, read] : reads) EXPECT_OK(read());
}

TEST_F(CredentialStoreTest, ARecordThatDoesNotOpenIsNotRemembered) {
  Fill(*store_);
  Edit("UPDATE social_networks SET settings = x'00' WHERE id = 'acme-google'");
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(store_->social_networks().Find(kNoLimit, "acme", "google", "", ""),
                DoesNotOpen("social_networks"));
    EXPECT_EQ(store_->social_networks().FindInMemory("acme", "google", "", ""), std::nullopt);
  }
  // The organisation's own.
  EXPECT_LE(store_->Snapshot().cache.entries, 1u);
}

// Whoever holds a record keeps it as it was.
TEST_F(CredentialStoreTest, ARecordThatWasHandedOutOutlivesItsUpdateAndTheStore) {
  Fill(*store_);
  ASSERT_OK_AND_ASSIGN(const auto before,
                       store_->social_networks().Find(kNoLimit, "acme", "google", "", ""));
  ASSERT_OK(store_->social_networks().Update(kNoLimit, "acme", "acme-google", kNow, SomeChange,
                                             std::nullopt));
  ASSERT_OK_AND_ASSIGN(const auto after,
                       store_->social_networks().Find(kNoLimit, "acme", "google", "", ""));
  EXPECT_EQ(after->version(), 2u);
  store_.reset();
  EXPECT_THAT(*before, EqualsProto(TestSettings("acme", "acme-google", "google")));
}

TEST_F(CredentialStoreTest, ARevokedKeyStaysRevokedSinceTheFirstTime) {
  Fill(*store_);
  EXPECT_THAT(store_->RevokeApiKey(kNoLimit, "acme-key", "other", kNow),
              HasReason("API_KEY_NOT_FOUND"));
  EXPECT_THAT(store_->RevokeApiKey(kNoLimit, "x", std::nullopt, kNow),
              HasReason("API_KEY_NOT_FOUND"));
  ASSERT_OK_AND_ASSIGN(auto key, store_->RevokeApiKey(kNoLimit, "acme-key", "acme", kNow));
  EXPECT_EQ(key.revoked_at_ms(), absl::ToUnixMillis(kNow));
  ASSERT_OK_AND_ASSIGN(
      key, store_->RevokeApiKey(kNoLimit, "acme-key", std::nullopt, kNow + absl::Hours(1)));
  EXPECT_EQ(key.revoked_at_ms(), absl::ToUnixMillis(kNow));
  Reopen();
  ASSERT_OK_AND_ASSIGN(const auto read, store_->GetApiKey(kNoLimit, "acme-key"));
  EXPECT_EQ(read->revoked_at_ms(), absl::ToUnixMillis(kNow));
}

TEST_F(CredentialStoreTest, AnOrganizationIsRenamedAndStaysTheSame) {
  Fill(*store_);
  ASSERT_OK_AND_ASSIGN(const auto before, store_->GetOrganization(kNoLimit, "acme"));
  const auto rename = [this](absl::string_view org_id) {
    return store_->UpdateOrganization(kNoLimit, org_id, [](record::v1::Organization& changed) {
      changed.set_display_name("Renamed");
      changed.set_org_id("other");
      changed.set_created_at_ms(1);
      changed.set_deleted_at_ms(1);
      return absl::OkStatus();
    });
  };
  ASSERT_OK(rename("acme"));
  Reopen();
  ASSERT_OK_AND_ASSIGN(const auto after, store_->GetOrganization(kNoLimit, "acme"));
  EXPECT_EQ(after->display_name(), "Renamed");
  EXPECT_EQ(after->org_id(), "acme");
  EXPECT_EQ(after->created_at_ms(), before->created_at_ms());
  // What belongs to it still does.
  EXPECT_OK(store_->GetApiKey(kNoLimit, "acme-key"));
  EXPECT_THAT(store_->UpdateOrganization(kNoLimit, "acme",
                                         [](auto&) { return absl::InvalidArgumentError("no"); }),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no")));
  EXPECT_THAT(rename("x"), HasReason("ORGANIZATION_NOT_FOUND"));
  ASSERT_OK(store_->DeleteOrganization(kNoLimit, "acme", kNow));
  EXPECT_THAT(rename("acme"), HasReason("ORGANIZATION_NOT_FOUND"));
}

TEST_F(CredentialStoreTest, UpdatesOfAnOrganizationAtOnceAreAllApplied) {
  Fill(*store_);
  constexpr int kThreads = 4;
  constexpr int kUpdates = 8;
  ASSERT_OK(store_->UpdateOrganization(kNoLimit, "acme", [](record::v1::Organization& changed) {
    changed.clear_display_name();
    return absl::OkStatus();
  }));
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this] {
      for (int i = 0; i < kUpdates; ++i) {
        EXPECT_OK(
            store_->UpdateOrganization(kNoLimit, "acme", [](record::v1::Organization& changed) {
              changed.set_display_name(changed.display_name() + "x");
              return absl::OkStatus();
            }));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_OK_AND_ASSIGN(const auto after, store_->GetOrganization(kNoLimit, "acme"));
  EXPECT_EQ(after->display_name(), std::string(kThreads * kUpdates, 'x'));
}

TEST_F(CredentialStoreTest, NoSealedPartOpensInPlaceOfAnother) {
  Fill(*store_);
  const std::vector<std::string> ids = {"acme-google", "acme-github", "other-google",
                                        "other-github"};
  store_.reset();
  RawDatabase(path_).Execute("CREATE TABLE copy AS SELECT * FROM social_networks");
  for (const std::string& to : ids) {
    const std::string org = to.substr(0, to.find('-'));
    for (const std::string& from : ids) {
      for (const auto& [to_part, from_part] :
           std::vector<std::pair<std::string, std::string>>{{"settings", "settings"},
                                                            {"secret", "secret"},
                                                            {"settings", "secret"},
                                                            {"secret", "settings"}}) {
        if (to == from && to_part == from_part) continue;
        Edit(absl::StrCat("UPDATE social_networks SET ", to_part, " = (SELECT ", from_part,
                          " FROM copy WHERE id = '", from, "') WHERE id = '", to, "'"));
        if (to_part == "settings") {
          EXPECT_THAT(store_->social_networks().Get(kNoLimit, org, to),
                      DoesNotOpen("social_networks"));
          // One record that does not open spoils nothing else, and is named.
          ASSERT_OK_AND_ASSIGN(const auto list,
                               store_->social_networks().List(kNoLimit, org, "", {.rows = 10}));
          EXPECT_THAT(list.unreadable, ElementsAre(to));
          EXPECT_EQ(list.records.size(), 1u);
        }
        if (to_part == "secret") {
          EXPECT_THAT(store_->social_networks().GetClientSecret(kNoLimit, org, to, 1),
                      DoesNotOpen("social_networks"));
        }
        EXPECT_THAT(
            store_->social_networks().Update(kNoLimit, org, to, kNow, NoChange, std::nullopt),
            DoesNotOpen("social_networks"));
        Edit(absl::StrCat("UPDATE social_networks SET ", to_part, " = (SELECT ", to_part,
                          " FROM copy WHERE id = '", to, "') WHERE id = '", to, "'"));
        EXPECT_OK(store_->social_networks().Get(kNoLimit, org, to));
      }
    }
  }
}

TEST_F(CredentialStoreTest, ARowWhoseIdentityWasEditedDoesNotOpen) {
  Fill(*store_);
  for (const char* edit : {"network = 'tiktok'", "instance = 'x'", "id = 'x'", "version = 2",
                           "org_id = 'third'", "name = 'x'", "default_rank = 7"}) {
    store_.reset();
    const std::string saved = ReadFile(path_);
    Reopen();
    ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("third")));
    Edit(absl::StrCat("UPDATE social_networks SET ", edit, " WHERE id = 'acme-google'"));
    for (const std::string org : {"acme", "third"}) {
      for (const std::string network : {"google", "tiktok"}) {
        for (const std::string instance : {"", "x"}) {
          EXPECT_FALSE(store_->social_networks().Find(kNoLimit, org, network, instance, "").ok())
              << edit;
        }
      }
      for (const std::string id : {"acme-google", "x"}) {
        EXPECT_FALSE(store_->social_networks().Get(kNoLimit, org, id).ok()) << edit;
      }
    }
    store_.reset();
    folder_.Write("test.db", saved);
    Reopen();
  }
}

TEST_F(CredentialStoreTest, OrganizationsAndKeysDoNotOpenInPlaceOfOthers) {
  Fill(*store_);
  Edit(
      "UPDATE organizations SET whole = (SELECT whole FROM organizations WHERE id = 'other')"
      " WHERE id = 'acme'");
  EXPECT_THAT(store_->GetOrganization(kNoLimit, "acme"), DoesNotOpen("organizations"));
  ASSERT_OK_AND_ASSIGN(const auto organizations,
                       store_->ListOrganizations(kNoLimit, "", {.rows = 10}));
  EXPECT_EQ(organizations.records.size(), 1u);
  EXPECT_THAT(organizations.unreadable, ElementsAre("acme"));
  EXPECT_OK(store_->GetOrganization(kNoLimit, "other"));
  Edit(
      "UPDATE api_keys SET whole = (SELECT whole FROM api_keys WHERE id = 'admin-key')"
      " WHERE id = 'acme-key'");
  EXPECT_THAT(store_->GetApiKey(kNoLimit, "acme-key"), DoesNotOpen("api_keys"));
  // A key cannot be made one of no organisation, nor be given to another one, nor be rolled back.
  Edit("UPDATE api_keys SET org_id = '' WHERE id = 'other-key'");
  EXPECT_THAT(store_->GetApiKey(kNoLimit, "other-key"), DoesNotOpen("api_keys"));
  Edit("UPDATE api_keys SET org_id = 'acme' WHERE id = 'other-key'");
  EXPECT_THAT(store_->GetApiKey(kNoLimit, "other-key"), DoesNotOpen("api_keys"));
  Edit("UPDATE api_keys SET version = 2 WHERE id = 'admin-key'");
  EXPECT_THAT(store_->GetApiKey(kNoLimit, "admin-key"), DoesNotOpen("api_keys"));
}

TEST_F(CredentialStoreTest, ADamagedIndexThatLeadsToASoundRowServesNothing) {
  Fill(*store_);
  store_.reset();
  // Entries of the two unique indexes for the fourth row: their columns and, last, the row's
  // number. Now they lead to the third row, which is of another network.
  std::string bytes = ReadFile(path_);
  for (const std::string entry : {"othergithub\x04", "otherother-github\x04"}) {
    const size_t found = bytes.find(entry);
    ASSERT_NE(found, std::string::npos);
    bytes[found + entry.size() - 1] = 3;
  }
  folder_.Write("test.db", bytes);
  Reopen();
  EXPECT_THAT(store_->social_networks().Find(kNoLimit, "other", "github", "", ""),
              DoesNotOpen("social_networks"));
  EXPECT_THAT(store_->social_networks().Get(kNoLimit, "other", "other-github"),
              DoesNotOpen("social_networks"));
  EXPECT_THAT(store_->social_networks().GetClientSecret(kNoLimit, "other", "other-github", 1),
              DoesNotOpen("social_networks"));
  EXPECT_THAT(store_->social_networks()
                  .Update(kNoLimit, "other", "other-github", kNow, NoChange, "evil")
                  .status(),
              DoesNotOpen("social_networks"));
  EXPECT_OK(store_->social_networks().Find(kNoLimit, "other", "google", "", ""));
}

TEST_F(CredentialStoreTest, NothingSecretOrPrivateIsReadableInTheFiles) {
  store_.reset();
  ASSERT_EQ(RunInChild([&] {
              Reopen();
              Fill(*store_);
              const absl::Status status =
                  store_->social_networks()
                      .Update(kNoLimit, "acme", "acme-google", kNow, NoChange, "fresh-secret")
                      .status();
              _exit(status.ok() && !HasFailure() ? 0 : 1);  // The write-ahead log stays.
              return 1;
            }),
            0);
  const std::string log = ReadFile(path_ + "-wal");
  ASSERT_THAT(log, HasSubstr("acme-google"));
  Reopen();
  store_.reset();
  const std::string file = ReadFile(path_);
  ASSERT_THAT(file, HasSubstr("acme-google"));
  for (const std::string& bytes : {log, file}) {
    for (const char* secret : {"client-secret-of", "fresh-secret", "client-key-of", "digest-of",
                               "https://", "callback", "The people", "test key", "consent"}) {
      EXPECT_EQ(bytes.find(secret), std::string::npos) << secret;
    }
  }
}

TEST_F(CredentialStoreTest, AWrongKeyRingIsRefusedWithASentence) {
  Fill(*store_);
  store_.reset();
  const Keys other_bytes(NewKeyRingText(random_));
  EXPECT_THAT(OpenStore(other_bytes),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another one")));
  ASSERT_OK_AND_ASSIGN(const std::string text,
                       RotatedKeyRingText(NewKeyRingText(random_), random_));
  const Keys other_rotated(text);
  EXPECT_THAT(OpenStore(other_rotated),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another one")));
  EXPECT_OK(OpenStore(keys_));
}

TEST_F(CredentialStoreTest, ADatabaseThatLostItsProofOfTheKeyRingIsRefused) {
  Fill(*store_);
  store_.reset();
  RawDatabase(path_).Execute("UPDATE meta SET value = substr(value, 1, 30)");
  EXPECT_THAT(OpenStore(keys_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("damaged")));
  RawDatabase(path_).Execute("DELETE FROM meta");
  EXPECT_THAT(OpenStore(keys_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("missing")));
}

}  // namespace
}  // namespace authurl::testing
