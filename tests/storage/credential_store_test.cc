#include "storage/credential_store.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
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

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/errors.h"
#include "core/flow/auth_state.h"
#include "storage/sqlite/migrations.h"
#include "tests/storage/child_process.h"
#include "tests/storage/sqlite/raw_database.h"
#include "tests/storage/store_fixture.h"

namespace authurl::testing {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::testing::_;
using ::testing::AllOf;
using ::testing::HasSubstr;

using record::v1::SocialNetworkSettings;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

MATCHER_P(EqualsProto, message, "equals " + message.ShortDebugString()) {
  return MessageDifferencer::Equals(arg, message);
}

absl::Status NoChange(SocialNetworkSettings&) { return absl::OkStatus(); }

// Matches what comes of a damaged record: an internal fault that callers learn nothing of.
auto DoesNotOpen(const std::string& table) {
  return AllOf(StatusIs(absl::StatusCode::kInternal, HasSubstr(table)), HasReason(""));
}

class CredentialStoreTest : public StoreTest {
 protected:
  void SetUp() override { Reopen(); }

  void Reopen() {
    store_.reset();
    ASSERT_OK_AND_ASSIGN(store_, OpenStore(keys_));
  }

  // Edits the file behind the store's back.
  void Edit(const std::string& sql) {
    store_.reset();
    RawDatabase(path_).Execute(sql);
    Reopen();
  }

  std::unique_ptr<CredentialStore> store_;
};

TEST_F(CredentialStoreTest, RecordsComeBackAsTheyWereCreated) {
  Fill(*store_);
  Reopen();
  ASSERT_OK_AND_ASSIGN(const auto organization, store_->GetOrganization("acme"));
  EXPECT_THAT(*organization, EqualsProto(TestOrganization("acme")));
  ASSERT_OK_AND_ASSIGN(const auto key, store_->GetApiKey("acme-key"));
  EXPECT_THAT(*key, EqualsProto(TestApiKey("acme-key", "acme")));
  const SocialNetworkSettings expected = TestSettings("acme", "acme-google", "google");
  ASSERT_OK_AND_ASSIGN(const auto by_id, store_->GetSocialNetwork("acme", "acme-google"));
  EXPECT_THAT(by_id, EqualsProto(expected));
  ASSERT_OK_AND_ASSIGN(const auto found, store_->FindSocialNetwork("acme", "google", "", ""));
  EXPECT_THAT(*found, EqualsProto(expected));
  ASSERT_OK_AND_ASSIGN(const auto secret, store_->GetClientSecret("acme", "acme-google", 1));
  EXPECT_EQ(secret, TestSecret("acme-google"));
  EXPECT_OK(store_->Probe());
  EXPECT_OK(store_->ProbeReads());
}

// The records of today in a file whose schema is the first version's.
TEST_F(CredentialStoreTest, RecordsOfAnOlderDatabaseComeBackAsTheyWereCreated) {
  // As they were before configurations had names and ranks.
  ASSERT_OK(store_->CreateOrganization(TestOrganization("acme")));
  ASSERT_OK(store_->CreateApiKey(TestApiKey("admin-key", "")));
  SocialNetworkSettings old = TestSettings("acme", "sn_old", "google");
  old.clear_default_rank();
  store_.reset();
  {
    ASSERT_OK_AND_ASSIGN(const auto backend, OpenSqliteBackend(path_));
    const RecordSealer records(keys_.sealer, random_);
    ASSERT_OK(backend->InsertSocialNetwork(records.Seal(old, ClientSecrets("old-secret")),
                                           Backend::Place::kLast));
  }
  const std::string newer = folder_.File("newer.db");
  std::filesystem::rename(path_, newer);
  {
    const RawDatabase db(path_);
    ASSERT_OK(Migrate(db.get(), Migrations().first(1)));
    db.Execute(absl::StrCat("ATTACH '", newer, "' AS newer"));
    for (const char* table : {"meta", "organizations", "api_keys"}) {
      db.Execute(absl::StrCat("INSERT INTO main.", table, " SELECT * FROM newer.", table));
    }
    constexpr const char* kColumns = "org_id, id, network, instance, version, settings, secret";
    db.Execute(absl::StrCat("INSERT INTO main.social_networks (", kColumns, ") SELECT ", kColumns,
                            " FROM newer.social_networks"));
  }
  Reopen();
  ASSERT_OK_AND_ASSIGN(const auto organization, store_->GetOrganization("acme"));
  EXPECT_THAT(*organization, EqualsProto(TestOrganization("acme")));
  ASSERT_OK_AND_ASSIGN(const auto key, store_->GetApiKey("admin-key"));
  EXPECT_THAT(*key, EqualsProto(TestApiKey("admin-key", "")));
  ASSERT_OK_AND_ASSIGN(const auto settings, store_->FindSocialNetwork("acme", "google", "", ""));
  EXPECT_THAT(*settings, EqualsProto(old));
  ASSERT_OK_AND_ASSIGN(const auto secret, store_->GetClientSecret("acme", "sn_old", 1));
  EXPECT_EQ(secret, "old-secret");
  // It is the first one still, when others come.
  SocialNetworkSettings another = TestSettings("acme", "sn_new", "google");
  another.set_name("new");
  ASSERT_OK(store_->CreateSocialNetwork(another, "secret"));
  ASSERT_OK_AND_ASSIGN(const std::string first,
                       store_->GetDefaultSocialNetworkId("acme", "google", ""));
  EXPECT_EQ(first, "sn_old");
}

// What the default one is of acme's configurations of google.
TEST_F(CredentialStoreTest, TheFirstConfigurationIsTheDefaultUntilAnotherIsMadeIt) {
  ASSERT_OK(store_->CreateOrganization(TestOrganization("acme")));
  const auto create = [&](const std::string& id, const std::string& name, int64_t created_at_ms,
                          bool make_default = false) {
    SocialNetworkSettings settings = TestSettings("acme", id, "google");
    settings.set_name(name);
    settings.set_created_at_ms(created_at_ms);
    return store_->CreateSocialNetwork(settings, TestSecret(id), make_default);
  };
  const auto default_id = [&]() -> std::string {
    const auto id = store_->GetDefaultSocialNetworkId("acme", "google", "");
    EXPECT_OK(id);
    const auto found = store_->FindSocialNetwork("acme", "google", "", "");
    if (id->empty()) {
      EXPECT_THAT(found, HasReason("NETWORK_NOT_CONFIGURED"));
    } else {
      EXPECT_EQ(found.ok() ? (*found)->id() : "", *id);
    }
    return *id;
  };
  const auto make_default = [&](const std::string& id) {
    return store_->UpdateSocialNetwork("acme", id, kNow, NoChange, std::nullopt, true).status();
  };
  EXPECT_EQ(default_id(), "");
  ASSERT_OK(create("sn_first", "", 1000));
  // Even where the clock went back.
  ASSERT_OK(create("sn_a_second", "second", 10));
  ASSERT_OK(create("sn_third", "third", 2000));
  EXPECT_EQ(default_id(), "sn_first");
  ASSERT_OK(make_default("sn_third"));
  EXPECT_EQ(default_id(), "sn_third");
  ASSERT_OK(make_default("sn_third"));
  EXPECT_EQ(default_id(), "sn_third");
  ASSERT_OK(create("sn_fourth", "fourth", 5, true));
  EXPECT_EQ(default_id(), "sn_fourth");
  ASSERT_OK(make_default("sn_a_second"));
  EXPECT_EQ(default_id(), "sn_a_second");
  ASSERT_OK(create("sn_fifth", "fifth", 1));
  EXPECT_EQ(default_id(), "sn_a_second");
  Reopen();
  EXPECT_EQ(default_id(), "sn_a_second");
  // The one that was the default before.
  ASSERT_OK(store_->DeleteSocialNetwork("acme", "sn_a_second"));
  EXPECT_EQ(default_id(), "sn_fourth");
  ASSERT_OK(store_->DeleteSocialNetwork("acme", "sn_fourth"));
  EXPECT_EQ(default_id(), "sn_third");
  ASSERT_OK(store_->DeleteSocialNetwork("acme", "sn_third"));
  EXPECT_EQ(default_id(), "sn_first");
  // And the others in the order of their creation.
  ASSERT_OK(store_->DeleteSocialNetwork("acme", "sn_first"));
  EXPECT_EQ(default_id(), "sn_fifth");
  ASSERT_OK(store_->DeleteSocialNetwork("acme", "sn_fifth"));
  EXPECT_EQ(default_id(), "");
}

TEST_F(CredentialStoreTest, AConfigurationIsFoundByItsNameAndItsIdAndNotByAnOldName) {
  ASSERT_OK(store_->CreateOrganization(TestOrganization("acme")));
  for (const std::string name : {"", "brand_b"}) {
    SocialNetworkSettings settings = TestSettings("acme", "sn_" + name + "1", "google");
    settings.set_name(name);
    ASSERT_OK(store_->CreateSocialNetwork(settings, "secret"));
  }
  const auto find = [&](const std::string& configuration, const std::string& network = "google",
                        const std::string& org = "acme") -> std::string {
    const auto found = store_->FindSocialNetwork(org, network, "", configuration);
    if (found.ok()) return (*found)->id();
    EXPECT_THAT(found, HasReason("NETWORK_NOT_CONFIGURED"));
    return "";
  };
  EXPECT_EQ(find("brand_b"), "sn_brand_b1");
  EXPECT_EQ(find("sn_brand_b1"), "sn_brand_b1");
  EXPECT_EQ(find("sn_1"), "sn_1");
  EXPECT_EQ(find("brand_c"), "");
  EXPECT_EQ(find("sn_none"), "");
  EXPECT_EQ(find("sn_1", "github"), "");
  EXPECT_EQ(find("sn_1", "google", "other"), "");

  const auto rename_to = [&](const std::string& name) {
    return store_
        ->UpdateSocialNetwork(
            "acme", "sn_brand_b1", kNow,
            [&](SocialNetworkSettings& settings) {
              settings.set_name(name);
              return absl::OkStatus();
            },
            std::nullopt)
        .status();
  };
  EXPECT_THAT(rename_to(""), HasReason("SOCIAL_NETWORK_EXISTS"));
  EXPECT_EQ(find("brand_b"), "sn_brand_b1");
  ASSERT_OK(rename_to("brand_c"));
  EXPECT_EQ(find("brand_b"), "");
  EXPECT_EQ(find("brand_c"), "sn_brand_b1");
  EXPECT_EQ(find("sn_brand_b1"), "sn_brand_b1");
  ASSERT_OK(store_->DeleteSocialNetwork("acme", "sn_brand_b1"));
  EXPECT_EQ(find("brand_c"), "");
  EXPECT_EQ(find("sn_brand_b1"), "");
  EXPECT_EQ(find(""), "sn_1");
}

TEST_F(CredentialStoreTest, NoErrorAboutATakenNameAdvisesToOverwrite) {
  ASSERT_OK(store_->CreateOrganization(TestOrganization("acme")));
  SocialNetworkSettings settings = TestSettings("acme", "sn_1", "google");
  ASSERT_OK(store_->CreateSocialNetwork(settings, "secret"));
  settings.set_id("sn_2");
  EXPECT_THAT(store_->CreateSocialNetwork(settings, "secret"),
              AllOf(HasReason("SOCIAL_NETWORK_EXISTS"),
                    StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("give this one a name"))));
  settings.set_name("page");
  ASSERT_OK(store_->CreateSocialNetwork(settings, "secret"));
  settings.set_id("sn_3");
  EXPECT_THAT(store_->CreateSocialNetwork(settings, "secret"),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("choose another name")));
}

TEST_F(CredentialStoreTest, ANetworkHasABoundedNumberOfConfigurations) {
  ASSERT_OK(store_->CreateOrganization(TestOrganization("acme")));
  SocialNetworkSettings settings = TestSettings("acme", "sn", "google");
  for (int i = 0; i < kMaxNamesOfNetwork; ++i) {
    settings.set_id(absl::StrCat("sn_", i));
    settings.set_name(absl::StrCat("name-", i));
    ASSERT_OK(store_->CreateSocialNetwork(settings, "secret"));
  }
  settings.set_id("sn_more");
  settings.set_name("more");
  EXPECT_THAT(store_->CreateSocialNetwork(settings, "secret"),
              HasReason("TOO_MANY_CONFIGURATIONS"));
  settings.set_instance("another.example");
  EXPECT_OK(store_->CreateSocialNetwork(settings, "secret"));
}

TEST_F(CredentialStoreTest, OfManyThatAreMadeTheDefaultAtOnceOneIsIt) {
  ASSERT_OK(store_->CreateOrganization(TestOrganization("acme")));
  constexpr int kConfigurations = 8;
  for (int i = 0; i < kConfigurations; ++i) {
    SocialNetworkSettings settings = TestSettings("acme", absl::StrCat("sn_", i), "google");
    settings.set_name(absl::StrCat("name-", i));
    ASSERT_OK(store_->CreateSocialNetwork(settings, "secret"));
  }
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kConfigurations; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 10; ++round) {
        const auto made = store_->UpdateSocialNetwork("acme", absl::StrCat("sn_", i), kNow,
                                                      NoChange, std::nullopt, true);
        const auto found = store_->FindSocialNetwork("acme", "google", "", "");
        if (!made.ok() || !found.ok()) ++failed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  ASSERT_OK_AND_ASSIGN(const std::string id,
                       store_->GetDefaultSocialNetworkId("acme", "google", ""));
  ASSERT_OK_AND_ASSIGN(const auto found, store_->FindSocialNetwork("acme", "google", "", ""));
  EXPECT_EQ(found->id(), id);
}

TEST_F(CredentialStoreTest, ListsHoldTheRecordsInOrder) {
  Fill(*store_);
  ASSERT_OK_AND_ASSIGN(const auto organizations, store_->ListOrganizations("", 10));
  ASSERT_EQ(organizations.size(), 2u);
  EXPECT_EQ(organizations[1].org_id(), "other");
  ASSERT_OK_AND_ASSIGN(const auto keys, store_->ListApiKeys(std::nullopt, "", 2));
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[1].key_id(), "admin-key");
  ASSERT_OK_AND_ASSIGN(const auto networks, store_->ListSocialNetworks("acme", "", 10));
  ASSERT_EQ(networks.size(), 2u);
  EXPECT_EQ(networks[0].id(), "acme-github");
}

TEST_F(CredentialStoreTest, WhatIsAbsentOrTakenHasAReason) {
  Fill(*store_);
  EXPECT_THAT(store_->GetOrganization("x"), HasReason("ORGANIZATION_NOT_FOUND"));
  EXPECT_THAT(store_->DeleteOrganization("x"), HasReason("ORGANIZATION_NOT_FOUND"));
  EXPECT_THAT(store_->CreateOrganization(TestOrganization("acme")),
              AllOf(HasReason("ORGANIZATION_EXISTS"),
                    StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("acme"))));
  EXPECT_THAT(store_->GetApiKey("x"), HasReason("API_KEY_NOT_FOUND"));
  EXPECT_THAT(store_->CreateApiKey(TestApiKey("k", "x")), HasReason("ORGANIZATION_NOT_FOUND"));
  EXPECT_THAT(store_->CreateApiKey(TestApiKey("acme-key", "acme")), HasReason("API_KEY_EXISTS"));
  EXPECT_THAT(store_->GetSocialNetwork("acme", "x"), HasReason("SOCIAL_NETWORK_NOT_FOUND"));
  EXPECT_THAT(store_->GetSocialNetwork("acme", "other-google"),
              HasReason("SOCIAL_NETWORK_NOT_FOUND"));
  EXPECT_THAT(store_->DeleteSocialNetwork("acme", "other-google"),
              HasReason("SOCIAL_NETWORK_NOT_FOUND"));
  EXPECT_THAT(store_->UpdateSocialNetwork("acme", "other-google", kNow, NoChange, std::nullopt),
              HasReason("SOCIAL_NETWORK_NOT_FOUND"));
  EXPECT_THAT(store_->GetClientSecret("acme", "other-google", 1),
              HasReason("SOCIAL_NETWORK_NOT_FOUND"));
  EXPECT_THAT(store_->FindSocialNetwork("acme", "tiktok", "", ""),
              HasReason("NETWORK_NOT_CONFIGURED"));
  EXPECT_THAT(store_->CreateSocialNetwork(TestSettings("acme", "new", "google"), "secret"),
              HasReason("SOCIAL_NETWORK_EXISTS"));
  EXPECT_THAT(store_->CreateSocialNetwork(TestSettings("x", "new", "google"), "secret"),
              HasReason("ORGANIZATION_NOT_FOUND"));
}

TEST_F(CredentialStoreTest, DeletingAnOrganizationTakesEverythingOfIt) {
  Fill(*store_);
  ASSERT_OK(store_->DeleteOrganization("acme"));
  EXPECT_THAT(store_->GetApiKey("acme-key"), HasReason("API_KEY_NOT_FOUND"));
  EXPECT_THAT(store_->FindSocialNetwork("acme", "google", "", ""),
              HasReason("NETWORK_NOT_CONFIGURED"));
  EXPECT_OK(store_->FindSocialNetwork("other", "google", "", ""));
}

TEST_F(CredentialStoreTest, InMemoryOnlyWhatWasReadBeforeIsFound) {
  Fill(*store_);
  EXPECT_FALSE(store_->FindApiKeyInMemory("acme-key").has_value());
  EXPECT_FALSE(store_->FindOrganizationInMemory("acme").has_value());
  EXPECT_FALSE(store_->FindSocialNetworkInMemory("acme", "google", "", "").has_value());
  ASSERT_OK(store_->GetApiKey("acme-key"));
  ASSERT_OK(store_->GetOrganization("acme"));
  ASSERT_OK(store_->FindSocialNetwork("acme", "google", "", ""));
  // That the file is gone is not noticed: it is not asked.
  std::filesystem::rename(path_, folder_.File("away.db"));
  const auto key = store_->FindApiKeyInMemory("acme-key");
  ASSERT_TRUE(key.has_value());
  ASSERT_OK(*key);
  EXPECT_THAT(***key, EqualsProto(TestApiKey("acme-key", "acme")));
  const auto organization = store_->FindOrganizationInMemory("acme");
  ASSERT_TRUE(organization.has_value());
  ASSERT_OK(*organization);
  EXPECT_THAT(***organization, EqualsProto(TestOrganization("acme")));
  const auto settings = store_->FindSocialNetworkInMemory("acme", "google", "", "");
  ASSERT_TRUE(settings.has_value());
  ASSERT_OK(*settings);
  EXPECT_THAT(***settings, EqualsProto(TestSettings("acme", "acme-google", "google")));
  EXPECT_FALSE(store_->FindSocialNetworkInMemory("acme", "github", "", "").has_value());
  EXPECT_THAT(store_->FindSocialNetwork("acme", "github", "", ""),
              HasReason("STORAGE_UNAVAILABLE"));
  // Trouble with the database is not kept.
  EXPECT_FALSE(store_->FindSocialNetworkInMemory("acme", "github", "", "").has_value());
}

TEST_F(CredentialStoreTest, ThatSomethingIsAbsentIsRememberedWithTheSameError) {
  const auto status_of = [](const auto& found) -> std::optional<absl::Status> {
    if (!found.has_value()) return std::nullopt;
    return found->status();
  };
  struct TwoReads {
    std::function<absl::Status()> read;
    std::function<std::optional<absl::Status>()> in_memory;
  };
  const TwoReads reads[] = {
      {[&] { return store_->GetApiKey("acme-key").status(); },
       [&] { return status_of(store_->FindApiKeyInMemory("acme-key")); }},
      {[&] { return store_->GetOrganization("acme").status(); },
       [&] { return status_of(store_->FindOrganizationInMemory("acme")); }},
      {[&] { return store_->FindSocialNetwork("acme", "google", "", "").status(); },
       [&] { return status_of(store_->FindSocialNetworkInMemory("acme", "google", "", "")); }}};
  for (const TwoReads& each : reads) {
    EXPECT_EQ(each.in_memory(), std::nullopt);
    const absl::Status first = each.read();
    EXPECT_THAT(first, StatusIs(absl::StatusCode::kNotFound, _));
    EXPECT_FALSE(ReasonOf(first).empty());
    EXPECT_EQ(each.in_memory(), first);
    EXPECT_EQ(each.read(), first);
  }
  EXPECT_EQ(store_->Snapshot().cache.negative_hits, 6u);
  Fill(*store_);
  for (const TwoReads& each : reads) EXPECT_OK(each.read());
}

TEST_F(CredentialStoreTest, ARecordThatDoesNotOpenIsNotRemembered) {
  Fill(*store_);
  Edit("UPDATE social_networks SET settings = x'00' WHERE id = 'acme-google'");
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(store_->FindSocialNetwork("acme", "google", "", ""),
                DoesNotOpen("social_networks"));
    EXPECT_FALSE(store_->FindSocialNetworkInMemory("acme", "google", "", "").has_value());
  }
  EXPECT_EQ(store_->Snapshot().cache.entries, 0u);
}

// Whoever holds a record keeps it as it was.
TEST_F(CredentialStoreTest, ARecordThatWasHandedOutOutlivesItsUpdateAndTheStore) {
  Fill(*store_);
  ASSERT_OK_AND_ASSIGN(const auto before, store_->FindSocialNetwork("acme", "google", "", ""));
  ASSERT_OK(store_->UpdateSocialNetwork("acme", "acme-google", kNow, NoChange, std::nullopt));
  ASSERT_OK_AND_ASSIGN(const auto after, store_->FindSocialNetwork("acme", "google", "", ""));
  EXPECT_EQ(after->version(), 2u);
  store_.reset();
  EXPECT_THAT(*before, EqualsProto(TestSettings("acme", "acme-google", "google")));
}

TEST_F(CredentialStoreTest, ARevokedKeyStaysRevokedSinceTheFirstTime) {
  Fill(*store_);
  EXPECT_THAT(store_->RevokeApiKey("acme-key", "other", kNow), HasReason("API_KEY_NOT_FOUND"));
  EXPECT_THAT(store_->RevokeApiKey("x", std::nullopt, kNow), HasReason("API_KEY_NOT_FOUND"));
  ASSERT_OK_AND_ASSIGN(auto key, store_->RevokeApiKey("acme-key", "acme", kNow));
  EXPECT_EQ(key.revoked_at_ms(), absl::ToUnixMillis(kNow));
  ASSERT_OK_AND_ASSIGN(key, store_->RevokeApiKey("acme-key", std::nullopt, kNow + absl::Hours(1)));
  EXPECT_EQ(key.revoked_at_ms(), absl::ToUnixMillis(kNow));
  Reopen();
  ASSERT_OK_AND_ASSIGN(const auto read, store_->GetApiKey("acme-key"));
  EXPECT_EQ(read->revoked_at_ms(), absl::ToUnixMillis(kNow));
}

TEST_F(CredentialStoreTest, AnUpdateChangesWhatItMayAndCountsTheVersion) {
  Fill(*store_);
  ASSERT_OK_AND_ASSIGN(const auto updated, store_->UpdateSocialNetwork(
                                               "acme", "acme-google", kNow,
                                               [](SocialNetworkSettings& settings) {
                                                 settings.set_client_key("new key");
                                                 settings.set_id("evil");
                                                 settings.set_org_id("other");
                                                 settings.set_network("evil");
                                                 settings.set_instance("evil");
                                                 settings.set_version(77);
                                                 settings.set_created_at_ms(5);
                                                 settings.set_default_rank(5);
                                                 return absl::OkStatus();
                                               },
                                               std::nullopt));
  SocialNetworkSettings expected = TestSettings("acme", "acme-google", "google");
  expected.set_client_key("new key");
  expected.set_version(2);
  expected.set_updated_at_ms(absl::ToUnixMillis(kNow));
  EXPECT_THAT(updated.settings, EqualsProto(expected));
  EXPECT_TRUE(updated.is_default);
  ASSERT_OK_AND_ASSIGN(const auto read, store_->FindSocialNetwork("acme", "google", "", ""));
  EXPECT_THAT(*read, EqualsProto(expected));
  ASSERT_OK_AND_ASSIGN(const auto secret, store_->GetClientSecret("acme", "acme-google", 2));
  EXPECT_EQ(secret, TestSecret("acme-google"));
}

TEST_F(CredentialStoreTest, AnUpdateThatIsRefusedByItsChangeStoresNothing) {
  Fill(*store_);
  EXPECT_THAT(store_->UpdateSocialNetwork(
                  "acme", "acme-google", kNow,
                  [](SocialNetworkSettings& settings) {
                    settings.set_client_key("new key");
                    return absl::InvalidArgumentError("no");
                  },
                  "new secret"),
              StatusIs(absl::StatusCode::kInvalidArgument, "no"));
  ASSERT_OK_AND_ASSIGN(const auto read, store_->GetSocialNetwork("acme", "acme-google"));
  EXPECT_THAT(read, EqualsProto(TestSettings("acme", "acme-google", "google")));
  ASSERT_OK_AND_ASSIGN(const auto secret, store_->GetClientSecret("acme", "acme-google", 1));
  EXPECT_EQ(secret, TestSecret("acme-google"));
}

TEST_F(CredentialStoreTest, AReplacedSecretIsKeptForAWhileAndThenDropped) {
  Fill(*store_);
  const auto update = [&](absl::Time now, std::optional<absl::string_view> secret) {
    return store_->UpdateSocialNetwork("acme", "acme-google", now, NoChange, secret).status();
  };
  ASSERT_OK(update(kNow, "second secret"));
  ASSERT_OK_AND_ASSIGN(std::string secret, store_->GetClientSecret("acme", "acme-google", 1));
  EXPECT_EQ(secret, TestSecret("acme-google"));
  ASSERT_OK_AND_ASSIGN(secret, store_->GetClientSecret("acme", "acme-google", 2));
  EXPECT_EQ(secret, "second secret");
  EXPECT_THAT(store_->GetClientSecret("acme", "acme-google", 3),
              HasReason("CLIENT_SECRET_NOT_FOUND"));
  EXPECT_THAT(store_->GetClientSecret("acme", "acme-google", 0),
              HasReason("CLIENT_SECRET_NOT_FOUND"));

  ASSERT_OK(update(kNow + kMaxStateLifetime + absl::Seconds(1), std::nullopt));
  EXPECT_THAT(store_->GetClientSecret("acme", "acme-google", 1),
              HasReason("CLIENT_SECRET_NOT_FOUND"));
  ASSERT_OK_AND_ASSIGN(secret, store_->GetClientSecret("acme", "acme-google", 3));
  EXPECT_EQ(secret, "second secret");
}

TEST_F(CredentialStoreTest, ConcurrentUpdatesAreAllApplied) {
  constexpr int kThreads = 8;
  constexpr int kUpdates = 50;
  Fill(*store_);
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kUpdates; ++i) {
        const auto count = [](SocialNetworkSettings& settings) {
          int value = 0;
          if (!absl::SimpleAtoi(settings.client_key(), &value)) value = 0;
          settings.set_client_key(absl::StrCat(value + 1));
          return absl::OkStatus();
        };
        if (!store_->UpdateSocialNetwork("acme", "acme-google", kNow, count, std::nullopt).ok() ||
            !store_->FindSocialNetwork("acme", "google", "", "").ok()) {
          ++failed;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  ASSERT_OK_AND_ASSIGN(const auto settings, store_->GetSocialNetwork("acme", "acme-google"));
  EXPECT_EQ(settings.version(), 401u);
  EXPECT_EQ(settings.client_key(), "400");
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
          EXPECT_THAT(store_->GetSocialNetwork(org, to), DoesNotOpen("social_networks"));
          EXPECT_THAT(store_->ListSocialNetworks(org, "", 10), DoesNotOpen("social_networks"));
        }
        if (to_part == "secret") {
          EXPECT_THAT(store_->GetClientSecret(org, to, 1), DoesNotOpen("social_networks"));
        }
        EXPECT_THAT(store_->UpdateSocialNetwork(org, to, kNow, NoChange, std::nullopt),
                    DoesNotOpen("social_networks"));
        Edit(absl::StrCat("UPDATE social_networks SET ", to_part, " = (SELECT ", to_part,
                          " FROM copy WHERE id = '", to, "') WHERE id = '", to, "'"));
        EXPECT_OK(store_->GetSocialNetwork(org, to));
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
    ASSERT_OK(store_->CreateOrganization(TestOrganization("third")));
    Edit(absl::StrCat("UPDATE social_networks SET ", edit, " WHERE id = 'acme-google'"));
    for (const std::string org : {"acme", "third"}) {
      for (const std::string network : {"google", "tiktok"}) {
        for (const std::string instance : {"", "x"}) {
          EXPECT_FALSE(store_->FindSocialNetwork(org, network, instance, "").ok()) << edit;
        }
      }
      for (const std::string id : {"acme-google", "x"}) {
        EXPECT_FALSE(store_->GetSocialNetwork(org, id).ok()) << edit;
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
      "UPDATE organizations SET sealed = (SELECT sealed FROM organizations WHERE org_id = 'other')"
      " WHERE org_id = 'acme'");
  EXPECT_THAT(store_->GetOrganization("acme"), DoesNotOpen("organizations"));
  EXPECT_THAT(store_->ListOrganizations("", 10), DoesNotOpen("organizations"));
  EXPECT_OK(store_->GetOrganization("other"));
  Edit(
      "UPDATE api_keys SET sealed = (SELECT sealed FROM api_keys WHERE key_id = 'admin-key')"
      " WHERE key_id = 'acme-key'");
  EXPECT_THAT(store_->GetApiKey("acme-key"), DoesNotOpen("api_keys"));
  // A key cannot be made one of no organisation, nor be given to another one, nor be rolled back.
  Edit("UPDATE api_keys SET org_id = NULL WHERE key_id = 'other-key'");
  EXPECT_THAT(store_->GetApiKey("other-key"), DoesNotOpen("api_keys"));
  Edit("UPDATE api_keys SET org_id = 'acme' WHERE key_id = 'other-key'");
  EXPECT_THAT(store_->GetApiKey("other-key"), DoesNotOpen("api_keys"));
  Edit("UPDATE api_keys SET version = 2 WHERE key_id = 'admin-key'");
  EXPECT_THAT(store_->GetApiKey("admin-key"), DoesNotOpen("api_keys"));
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
  EXPECT_THAT(store_->FindSocialNetwork("other", "github", "", ""), DoesNotOpen("social_networks"));
  EXPECT_THAT(store_->GetSocialNetwork("other", "other-github"), DoesNotOpen("social_networks"));
  EXPECT_THAT(store_->GetClientSecret("other", "other-github", 1), DoesNotOpen("social_networks"));
  EXPECT_THAT(store_->UpdateSocialNetwork("other", "other-github", kNow, NoChange, "evil").status(),
              DoesNotOpen("social_networks"));
  EXPECT_OK(store_->FindSocialNetwork("other", "google", "", ""));
}

TEST_F(CredentialStoreTest, NothingSecretOrPrivateIsReadableInTheFiles) {
  store_.reset();
  ASSERT_EQ(RunInChild([&] {
              Reopen();
              Fill(*store_);
              const absl::Status status =
                  store_->UpdateSocialNetwork("acme", "acme-google", kNow, NoChange, "fresh-secret")
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
