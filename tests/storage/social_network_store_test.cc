#include "storage/social_network_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/errors.h"
#include "core/flow/auth_state.h"
#include "tests/storage/store_fixture.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using record::v1::SocialNetworkSettings;

class SocialNetworkStoreTest : public OpenStoreTest {};

// What the default one is of acme's configurations of google.
TEST_F(SocialNetworkStoreTest, TheFirstConfigurationIsTheDefaultUntilAnotherIsMadeIt) {
  ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("acme")));
  const auto create = [&](const std::string& id, const std::string& name, int64_t created_at_ms,
                          bool make_default = false) {
    SocialNetworkSettings settings = TestSettings("acme", id, "google");
    settings.set_name(name);
    settings.set_created_at_ms(created_at_ms);
    return store_->social_networks().Create(kNoLimit, settings, TestSecret(id), make_default);
  };
  const auto default_id = [&]() -> std::string {
    const auto id = store_->social_networks().GetDefaultId(kNoLimit, "acme", "google", "");
    EXPECT_OK(id);
    const auto found = store_->social_networks().Find(kNoLimit, "acme", "google", "", "");
    if (id->empty()) {
      EXPECT_THAT(found, HasReason("NETWORK_NOT_CONFIGURED"));
    } else {
      EXPECT_EQ(found.ok() ? (*found)->id() : "", *id);
    }
    return *id;
  };
  const auto make_default = [&](const std::string& id) {
    return store_->social_networks()
        .Update(kNoLimit, "acme", id, kNow, NoChange, std::nullopt, true)
        .status();
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
  ASSERT_OK(store_->social_networks().Delete(kNoLimit, "acme", "sn_a_second"));
  EXPECT_EQ(default_id(), "sn_fourth");
  ASSERT_OK(store_->social_networks().Delete(kNoLimit, "acme", "sn_fourth"));
  EXPECT_EQ(default_id(), "sn_third");
  ASSERT_OK(store_->social_networks().Delete(kNoLimit, "acme", "sn_third"));
  EXPECT_EQ(default_id(), "sn_first");
  // And the others in the order of their creation.
  ASSERT_OK(store_->social_networks().Delete(kNoLimit, "acme", "sn_first"));
  EXPECT_EQ(default_id(), "sn_fifth");
  ASSERT_OK(store_->social_networks().Delete(kNoLimit, "acme", "sn_fifth"));
  EXPECT_EQ(default_id(), "");
}

TEST_F(SocialNetworkStoreTest, AConfigurationIsFoundByItsNameAndItsIdAndNotByAnOldName) {
  ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("acme")));
  for (const std::string name : {"", "brand_b"}) {
    SocialNetworkSettings settings = TestSettings("acme", "sn_" + name + "1", "google");
    settings.set_name(name);
    ASSERT_OK(store_->social_networks().Create(kNoLimit, settings, "secret"));
  }
  const auto find = [&](const std::string& configuration, const std::string& network = "google",
                        const std::string& org = "acme") -> std::string {
    const auto found = store_->social_networks().Find(kNoLimit, org, network, "", configuration);
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
    return store_->social_networks()
        .Update(
            kNoLimit, "acme", "sn_brand_b1", kNow,
            [&](SocialNetworkSettings& settings, absl::string_view) {
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
  ASSERT_OK(store_->social_networks().Delete(kNoLimit, "acme", "sn_brand_b1"));
  EXPECT_EQ(find("brand_c"), "");
  EXPECT_EQ(find("sn_brand_b1"), "");
  EXPECT_EQ(find(""), "sn_1");
}

TEST_F(SocialNetworkStoreTest, NoErrorAboutATakenNameAdvisesToOverwrite) {
  ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("acme")));
  SocialNetworkSettings settings = TestSettings("acme", "sn_1", "google");
  ASSERT_OK(store_->social_networks().Create(kNoLimit, settings, "secret"));
  settings.set_id("sn_2");
  EXPECT_THAT(store_->social_networks().Create(kNoLimit, settings, "secret"),
              AllOf(HasReason("SOCIAL_NETWORK_EXISTS"),
                    StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("give this one a name"))));
  settings.set_name("page");
  ASSERT_OK(store_->social_networks().Create(kNoLimit, settings, "secret"));
  settings.set_id("sn_3");
  EXPECT_THAT(store_->social_networks().Create(kNoLimit, settings, "secret"),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("choose another name")));
}

TEST_F(SocialNetworkStoreTest, ANetworkHasABoundedNumberOfConfigurations) {
  ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("acme")));
  SocialNetworkSettings settings = TestSettings("acme", "sn", "google");
  for (int i = 0; i < kMaxNamesOfNetwork; ++i) {
    settings.set_id(absl::StrCat("sn_", i));
    settings.set_name(absl::StrCat("name-", i));
    ASSERT_OK(store_->social_networks().Create(kNoLimit, settings, "secret"));
  }
  settings.set_id("sn_more");
  settings.set_name("more");
  EXPECT_THAT(store_->social_networks().Create(kNoLimit, settings, "secret"),
              HasReason("TOO_MANY_CONFIGURATIONS"));
  settings.set_instance("another.example");
  EXPECT_OK(store_->social_networks().Create(kNoLimit, settings, "secret"));
}

TEST_F(SocialNetworkStoreTest, OfManyThatAreMadeTheDefaultAtOnceOneIsIt) {
  ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("acme")));
  constexpr int kConfigurations = 8;
  for (int i = 0; i < kConfigurations; ++i) {
    SocialNetworkSettings settings = TestSettings("acme", absl::StrCat("sn_", i), "google");
    settings.set_name(absl::StrCat("name-", i));
    ASSERT_OK(store_->social_networks().Create(kNoLimit, settings, "secret"));
  }
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kConfigurations; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 10; ++round) {
        const auto made = store_->social_networks().Update(kNoLimit, "acme", absl::StrCat("sn_", i),
                                                           kNow, NoChange, std::nullopt, true);
        const auto found = store_->social_networks().Find(kNoLimit, "acme", "google", "", "");
        if (!made.ok() || !found.ok()) ++failed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  ASSERT_OK_AND_ASSIGN(const std::string id,
                       store_->social_networks().GetDefaultId(kNoLimit, "acme", "google", ""));
  ASSERT_OK_AND_ASSIGN(const auto found,
                       store_->social_networks().Find(kNoLimit, "acme", "google", "", ""));
  EXPECT_EQ(found->id(), id);
}

TEST_F(SocialNetworkStoreTest, ManyConfigurationsOfOneNetworkAreMadeAtOnce) {
  ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("acme")));
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 48; ++i) {
    threads.emplace_back([&, i] {
      // All of the same millisecond.
      SocialNetworkSettings settings = TestSettings("acme", absl::StrCat("sn_", i), "google");
      settings.set_name(absl::StrCat("name-", i));
      if (!store_->social_networks().Create(kNoLimit, settings, "secret").ok()) ++failed;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
}

TEST_F(SocialNetworkStoreTest, ConfiguredNetworksAreListedThoughNoConfigurationOpens) {
  Fill(*store_);
  SocialNetworkSettings another = TestSettings("acme", "another", "google");
  another.set_name("another");
  ASSERT_OK(store_->social_networks().Create(kNoLimit, another, "secret"));
  Edit("UPDATE social_networks SET settings = x'00'");
  EXPECT_THAT(store_->social_networks().ListNetworks(kNoLimit, "acme"),
              IsOkAndHolds(ElementsAre("github", "google")));
  EXPECT_THAT(store_->social_networks().ListNetworks(kNoLimit, "nobody"), IsOkAndHolds(IsEmpty()));
}

TEST_F(SocialNetworkStoreTest, AnUpdateChangesWhatItMayAndCountsTheVersion) {
  Fill(*store_);
  ASSERT_OK_AND_ASSIGN(const auto updated,
                       store_->social_networks().Update(
                           kNoLimit, "acme", "acme-google", kNow,
                           [](SocialNetworkSettings& settings, absl::string_view) {
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
  ASSERT_OK_AND_ASSIGN(const auto read,
                       store_->social_networks().Find(kNoLimit, "acme", "google", "", ""));
  EXPECT_THAT(*read, EqualsProto(expected));
  ASSERT_OK_AND_ASSIGN(const auto secret, store_->social_networks().GetClientSecret(
                                              kNoLimit, "acme", "acme-google", 2));
  EXPECT_EQ(secret, TestSecret("acme-google"));
}

TEST_F(SocialNetworkStoreTest, AnUpdateThatChangesNothingWritesNothing) {
  Fill(*store_);
  SocialNetworkSettings second = TestSettings("acme", "sn_second", "google");
  second.set_name("second");
  ASSERT_OK(store_->social_networks().Create(kNoLimit, second, "secret"));
  const uint64_t commits = store_->Snapshot().backend.commits;
  const auto update = [&](const std::string& id, const SocialNetworkStore::Change& change,
                          bool make_default = false) {
    return store_->social_networks().Update(kNoLimit, "acme", id, kNow, change, std::nullopt,
                                            make_default);
  };
  const auto touch_what_is_the_stores = [](SocialNetworkSettings& settings, absl::string_view) {
    settings.set_version(77);
    settings.set_updated_at_ms(5);
    (*settings.mutable_extra_params())["prompt"] = "consent";
    return absl::OkStatus();
  };
  for (const bool make_default : {false, true}) {
    for (const SocialNetworkStore::Change& change :
         {SocialNetworkStore::Change(NoChange),
          SocialNetworkStore::Change(touch_what_is_the_stores)}) {
      ASSERT_OK_AND_ASSIGN(const auto same, update("acme-google", change, make_default));
      EXPECT_THAT(same.settings, EqualsProto(TestSettings("acme", "acme-google", "google")));
      EXPECT_TRUE(same.is_default);
    }
  }
  ASSERT_OK_AND_ASSIGN(const auto same, update("sn_second", NoChange));
  EXPECT_EQ(same.settings.version(), 1u);
  EXPECT_FALSE(same.is_default);
  EXPECT_EQ(store_->Snapshot().backend.commits, commits);
  // To become the default is a change.
  ASSERT_OK_AND_ASSIGN(const auto promoted, update("sn_second", NoChange, true));
  EXPECT_EQ(promoted.settings.version(), 2u);
  EXPECT_TRUE(promoted.is_default);
  // So is a secret, whatever it is.
  ASSERT_OK_AND_ASSIGN(const auto rotated,
                       store_->social_networks().Update(kNoLimit, "acme", "acme-google", kNow,
                                                        NoChange, TestSecret("acme-google")));
  EXPECT_EQ(rotated.settings.version(), 2u);
  EXPECT_EQ(rotated.settings.updated_at_ms(), absl::ToUnixMillis(kNow));
}

TEST_F(SocialNetworkStoreTest, AnUpdatesChangeIsShownTheSecretInUse) {
  Fill(*store_);
  std::string shown;
  const auto look = [&](SocialNetworkSettings&, absl::string_view client_secret) {
    shown = std::string(client_secret);
    return absl::OkStatus();
  };
  const auto update = [&](std::optional<absl::string_view> secret) {
    return store_->social_networks()
        .Update(kNoLimit, "acme", "acme-google", kNow, look, secret)
        .status();
  };
  ASSERT_OK(update("second secret"));
  EXPECT_EQ(shown, TestSecret("acme-google"));
  ASSERT_OK(update(std::nullopt));
  EXPECT_EQ(shown, "second secret");
}

TEST_F(SocialNetworkStoreTest, AnUpdateThatIsRefusedByItsChangeStoresNothing) {
  Fill(*store_);
  EXPECT_THAT(store_->social_networks().Update(
                  kNoLimit, "acme", "acme-google", kNow,
                  [](SocialNetworkSettings& settings, absl::string_view) {
                    settings.set_client_key("new key");
                    return absl::InvalidArgumentError("no");
                  },
                  "new secret"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no")));
  ASSERT_OK_AND_ASSIGN(const auto read,
                       store_->social_networks().Get(kNoLimit, "acme", "acme-google"));
  EXPECT_THAT(read, EqualsProto(TestSettings("acme", "acme-google", "google")));
  ASSERT_OK_AND_ASSIGN(const auto secret, store_->social_networks().GetClientSecret(
                                              kNoLimit, "acme", "acme-google", 1));
  EXPECT_EQ(secret, TestSecret("acme-google"));
}

TEST_F(SocialNetworkStoreTest, AReplacedSecretIsKeptForAWhileAndThenDropped) {
  Fill(*store_);
  const auto update = [&](absl::Time now, std::optional<absl::string_view> secret) {
    return store_->social_networks()
        .Update(kNoLimit, "acme", "acme-google", now, SomeChange, secret)
        .status();
  };
  ASSERT_OK(update(kNow, "second secret"));
  ASSERT_OK_AND_ASSIGN(std::string secret, store_->social_networks().GetClientSecret(
                                               kNoLimit, "acme", "acme-google", 1));
  EXPECT_EQ(secret, TestSecret("acme-google"));
  ASSERT_OK_AND_ASSIGN(
      secret, store_->social_networks().GetClientSecret(kNoLimit, "acme", "acme-google", 2));
  EXPECT_EQ(secret, "second secret");
  EXPECT_THAT(store_->social_networks().GetClientSecret(kNoLimit, "acme", "acme-google", 3),
              HasReason("CLIENT_SECRET_NOT_FOUND"));
  EXPECT_THAT(store_->social_networks().GetClientSecret(kNoLimit, "acme", "acme-google", 0),
              HasReason("CLIENT_SECRET_NOT_FOUND"));

  ASSERT_OK(update(kNow + kMaxStateLifetime + absl::Seconds(1), std::nullopt));
  EXPECT_THAT(store_->social_networks().GetClientSecret(kNoLimit, "acme", "acme-google", 1),
              HasReason("CLIENT_SECRET_NOT_FOUND"));
  ASSERT_OK_AND_ASSIGN(
      secret, store_->social_networks().GetClientSecret(kNoLimit, "acme", "acme-google", 3));
  EXPECT_EQ(secret, "second secret");
}

TEST_F(SocialNetworkStoreTest, ConcurrentUpdatesAreAllApplied) {
  constexpr int kThreads = 8;
  constexpr int kUpdates = 50;
  Fill(*store_);
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kUpdates; ++i) {
        const auto count = [](SocialNetworkSettings& settings, absl::string_view) {
          int value = 0;
          if (!absl::SimpleAtoi(settings.client_key(), &value)) value = 0;
          settings.set_client_key(absl::StrCat(value + 1));
          return absl::OkStatus();
        };
        if (!store_->social_networks()
                 .Update(kNoLimit, "acme", "acme-google", kNow, count, std::nullopt)
                 .ok() ||
            !store_->social_networks().Find(kNoLimit, "acme", "google", "", "").ok()) {
          ++failed;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  ASSERT_OK_AND_ASSIGN(const auto settings,
                       store_->social_networks().Get(kNoLimit, "acme", "acme-google"));
  EXPECT_EQ(settings.version(), 401u);
  EXPECT_EQ(settings.client_key(), "400");
}

}  // namespace
}  // namespace authurl::testing
