#include "tests/storage/backend_conformance.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::_;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;

constexpr absl::StatusCode kNotFound = absl::StatusCode::kNotFound;
constexpr absl::StatusCode kAlreadyExists = absl::StatusCode::kAlreadyExists;
constexpr absl::StatusCode kAborted = absl::StatusCode::kAborted;

// Every byte value, so that nothing on the way may take it for text.
std::string AllBytes() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}

SocialNetworkRow NetworkRow(const std::string& org_id, const std::string& id,
                            const std::string& network, const std::string& instance = "") {
  return {.id = id,
          .org_id = org_id,
          .network = network,
          .instance = instance,
          .name = "",
          .default_rank = 0,
          .version = 1,
          .settings = absl::StrCat("settings of ", id),
          .secret = absl::StrCat("secret of ", id)};
}

ApiKeyRow KeyRow(const std::string& key_id, const std::string& org_id) {
  return {.key_id = key_id, .org_id = org_id, .version = 1, .sealed = "sealed " + key_id};
}

AuthStateRow StateRow(const std::string& digest, const std::string& org_id, int64_t expires_at_ms) {
  return {.digest = digest,
          .org_id = org_id,
          .expires_at_ms = expires_at_ms,
          .sealed = absl::StrCat("sealed ", digest)};
}

std::vector<std::string> OrgIds(const absl::StatusOr<std::vector<OrganizationRow>>& rows) {
  EXPECT_OK(rows);
  std::vector<std::string> ids;
  if (rows.ok()) {
    for (const auto& row : *rows) ids.push_back(row.org_id);
  }
  return ids;
}

std::vector<std::string> KeyIds(const absl::StatusOr<std::vector<ApiKeyRow>>& rows) {
  EXPECT_OK(rows);
  std::vector<std::string> ids;
  if (rows.ok()) {
    for (const auto& row : *rows) ids.push_back(row.key_id);
  }
  return ids;
}

std::vector<std::string> NetworkIds(const absl::StatusOr<std::vector<SocialNetworkRow>>& rows) {
  EXPECT_OK(rows);
  std::vector<std::string> ids;
  if (rows.ok()) {
    for (const auto& row : *rows) ids.push_back(row.id);
  }
  return ids;
}

}  // namespace

void BackendConformanceTest::SetUp() {
  database_ = GetParam()();
  Reopen();
}

void BackendConformanceTest::Reopen() {
  backend_.reset();
  ASSERT_OK_AND_ASSIGN(backend_, database_->Open());
}

TEST_P(BackendConformanceTest, ANewDatabaseHasNothing) {
  EXPECT_OK(backend_->Probe());
  EXPECT_OK(backend_->ProbeReads());
  EXPECT_THAT(backend_->GetAuthState("digest"), StatusIs(kNotFound, _));
  EXPECT_THAT(OrgIds(backend_->ListOrganizations("", 10)), IsEmpty());
  EXPECT_THAT(KeyIds(backend_->ListApiKeys(std::nullopt, "", 10)), IsEmpty());
  EXPECT_THAT(NetworkIds(backend_->ListSocialNetworks("acme", "", 10)), IsEmpty());
}

TEST_P(BackendConformanceTest, AMetaValueIsAbsentUntilItIsPutAndPuttingReplacesIt) {
  ASSERT_OK_AND_ASSIGN(std::optional<std::string> value, backend_->GetMeta("name"));
  EXPECT_EQ(value, std::nullopt);
  ASSERT_OK(backend_->PutMeta("name", "first"));
  ASSERT_OK(backend_->PutMeta("name", AllBytes()));
  ASSERT_OK(backend_->PutMeta("empty", ""));
  ASSERT_OK_AND_ASSIGN(value, backend_->GetMeta("name"));
  EXPECT_THAT(value, Optional(AllBytes()));
  ASSERT_OK_AND_ASSIGN(value, backend_->GetMeta("empty"));
  EXPECT_THAT(value, Optional(std::string()));
  ASSERT_OK_AND_ASSIGN(value, backend_->GetMeta("Name"));
  EXPECT_EQ(value, std::nullopt);
}

TEST_P(BackendConformanceTest, AnOrganizationComesBackAsItWasInserted) {
  ASSERT_OK(backend_->InsertOrganization({"acme", AllBytes()}));
  ASSERT_OK(backend_->InsertOrganization({"empty", ""}));
  ASSERT_OK_AND_ASSIGN(OrganizationRow row, backend_->GetOrganization("acme"));
  EXPECT_EQ(row.org_id, "acme");
  EXPECT_EQ(row.sealed, AllBytes());
  ASSERT_OK_AND_ASSIGN(row, backend_->GetOrganization("empty"));
  EXPECT_EQ(row.sealed, "");
}

TEST_P(BackendConformanceTest, IdsAreComparedByteForByte) {
  ASSERT_OK(backend_->InsertOrganization({"acme", "lower"}));
  ASSERT_OK(backend_->InsertOrganization({"ACME", "upper"}));
  EXPECT_THAT(backend_->GetOrganization("Acme"), StatusIs(kNotFound, _));
  EXPECT_THAT(backend_->GetOrganization("acme "), StatusIs(kNotFound, _));
  EXPECT_THAT(backend_->GetOrganization(absl::string_view("acme\0", 5)), StatusIs(kNotFound, _));
  ASSERT_OK_AND_ASSIGN(const OrganizationRow row, backend_->GetOrganization("ACME"));
  EXPECT_EQ(row.sealed, "upper");
}

TEST_P(BackendConformanceTest, AnIdIsAValueAndNeverPartOfAQuery) {
  const std::string id = "a'; DROP TABLE organizations; --\" %_*?\n";
  ASSERT_OK(backend_->InsertOrganization({id, "sealed"}));
  ASSERT_OK(backend_->GetOrganization(id));
  EXPECT_THAT(OrgIds(backend_->ListOrganizations("", 10)), ElementsAre(id));
}

TEST_P(BackendConformanceTest, ATakenOrganizationIdIsRefusedAndTheFirstStays) {
  ASSERT_OK(backend_->InsertOrganization({"acme", "first"}));
  EXPECT_THAT(backend_->InsertOrganization({"acme", "second"}), StatusIs(kAlreadyExists, _));
  ASSERT_OK_AND_ASSIGN(const OrganizationRow row, backend_->GetOrganization("acme"));
  EXPECT_EQ(row.sealed, "first");
}

TEST_P(BackendConformanceTest, AnOrganizationIsUpdatedOnlyFromTheExpectedBytes) {
  ASSERT_OK(backend_->InsertOrganization({"acme", "first"}));
  EXPECT_THAT(backend_->UpdateOrganization({"acme", "third"}, "second"), StatusIs(kAborted, _));
  EXPECT_THAT(backend_->UpdateOrganization({"other", "x"}, "first"), StatusIs(kNotFound, _));
  ASSERT_OK(backend_->UpdateOrganization({"acme", "second"}, "first"));
  ASSERT_OK_AND_ASSIGN(const OrganizationRow row, backend_->GetOrganization("acme"));
  EXPECT_EQ(row.sealed, "second");
}

TEST_P(BackendConformanceTest, ListsAreInByteOrderAndCutIntoPages) {
  for (const char* id : {"b", "a", "B", "\xC3\xA9", "_", "aa", "1"}) {
    ASSERT_OK(backend_->InsertOrganization({id, "sealed"}));
  }
  EXPECT_THAT(OrgIds(backend_->ListOrganizations("", 10)),
              ElementsAre("1", "B", "_", "a", "aa", "b", "\xC3\xA9"));
  EXPECT_THAT(OrgIds(backend_->ListOrganizations("", 3)), ElementsAre("1", "B", "_"));
  EXPECT_THAT(OrgIds(backend_->ListOrganizations("_", 3)), ElementsAre("a", "aa", "b"));
  EXPECT_THAT(OrgIds(backend_->ListOrganizations("ab", 3)), ElementsAre("b", "\xC3\xA9"));
  EXPECT_THAT(OrgIds(backend_->ListOrganizations("\xC3\xA9", 3)), IsEmpty());
  EXPECT_THAT(OrgIds(backend_->ListOrganizations("", 0)), IsEmpty());
  EXPECT_THAT(OrgIds(backend_->ListOrganizations("", -1)), IsEmpty());
}

TEST_P(BackendConformanceTest, DeletingAnOrganizationTakesWhatIsItsAndNothingElse) {
  for (const char* org : {"acme", "other"}) {
    ASSERT_OK(backend_->InsertOrganization({org, "sealed"}));
    ASSERT_OK(backend_->InsertApiKey(KeyRow(absl::StrCat("key-", org), org)));
    ASSERT_OK(backend_->InsertSocialNetwork(NetworkRow(org, absl::StrCat("sn-", org), "google"),
                                            Backend::Place::kLast));
    ASSERT_OK(backend_->InsertAuthState(StateRow(absl::StrCat("state-1-", org), org, 1)));
    ASSERT_OK(backend_->InsertAuthState(StateRow(absl::StrCat("state-2-", org), org, 2)));
  }
  ASSERT_OK(backend_->InsertApiKey(KeyRow("key-admin", "")));
  ASSERT_OK(backend_->DeleteOrganization("acme"));

  EXPECT_THAT(backend_->GetOrganization("acme"), StatusIs(kNotFound, _));
  EXPECT_THAT(backend_->GetApiKey("key-acme"), StatusIs(kNotFound, _));
  EXPECT_THAT(backend_->GetSocialNetwork("acme", "sn-acme"), StatusIs(kNotFound, _));
  EXPECT_THAT(backend_->FindSocialNetwork("acme", "google", "", ""), StatusIs(kNotFound, _));
  EXPECT_THAT(KeyIds(backend_->ListApiKeys(std::nullopt, "", 10)),
              ElementsAre("key-admin", "key-other"));
  EXPECT_OK(backend_->GetSocialNetwork("other", "sn-other"));
  for (const char* state : {"state-1-", "state-2-"}) {
    EXPECT_THAT(backend_->GetAuthState(absl::StrCat(state, "acme")), StatusIs(kNotFound, _));
    EXPECT_OK(backend_->GetAuthState(absl::StrCat(state, "other")));
  }
  EXPECT_THAT(backend_->DeleteOrganization("acme"), StatusIs(kNotFound, _));

  // Nothing of the first one comes back with a second of that name.
  ASSERT_OK(backend_->InsertOrganization({"acme", "sealed"}));
  EXPECT_THAT(NetworkIds(backend_->ListSocialNetworks("acme", "", 10)), IsEmpty());
  EXPECT_THAT(backend_->GetAuthState("state-1-acme"), StatusIs(kNotFound, _));
}

TEST_P(BackendConformanceTest, AnApiKeyComesBackAsItWasInserted) {
  ASSERT_OK(backend_->InsertOrganization({"acme", "sealed"}));
  ASSERT_OK(backend_->InsertApiKey({"k1", "acme", 7, AllBytes()}));
  ASSERT_OK(backend_->InsertApiKey({"k2", "", 1, "sealed"}));
  ASSERT_OK_AND_ASSIGN(ApiKeyRow row, backend_->GetApiKey("k1"));
  EXPECT_EQ(row.key_id, "k1");
  EXPECT_EQ(row.org_id, "acme");
  EXPECT_EQ(row.version, 7u);
  EXPECT_EQ(row.sealed, AllBytes());
  ASSERT_OK_AND_ASSIGN(row, backend_->GetApiKey("k2"));
  EXPECT_EQ(row.org_id, "");
  EXPECT_THAT(backend_->GetApiKey("k3"), StatusIs(kNotFound, _));
}

TEST_P(BackendConformanceTest, AnApiKeyNeedsItsOrganizationAndAFreeId) {
  EXPECT_THAT(backend_->InsertApiKey(KeyRow("k1", "acme")), StatusIs(kNotFound, _));
  EXPECT_THAT(backend_->GetApiKey("k1"), StatusIs(kNotFound, _));
  ASSERT_OK(backend_->InsertApiKey(KeyRow("k1", "")));
  EXPECT_THAT(backend_->InsertApiKey(KeyRow("k1", "")), StatusIs(kAlreadyExists, _));
}

TEST_P(BackendConformanceTest, ApiKeysAreListedOfAllOfOneOrOfNoOrganization) {
  ASSERT_OK(backend_->InsertOrganization({"acme", "sealed"}));
  ASSERT_OK(backend_->InsertOrganization({"other", "sealed"}));
  for (const char* id : {"c", "a", "e"}) ASSERT_OK(backend_->InsertApiKey(KeyRow(id, "acme")));
  ASSERT_OK(backend_->InsertApiKey(KeyRow("b", "other")));
  ASSERT_OK(backend_->InsertApiKey(KeyRow("d", "")));
  EXPECT_THAT(KeyIds(backend_->ListApiKeys(std::nullopt, "", 10)),
              ElementsAre("a", "b", "c", "d", "e"));
  EXPECT_THAT(KeyIds(backend_->ListApiKeys(std::nullopt, "b", 2)), ElementsAre("c", "d"));
  EXPECT_THAT(KeyIds(backend_->ListApiKeys("acme", "", 10)), ElementsAre("a", "c", "e"));
  EXPECT_THAT(KeyIds(backend_->ListApiKeys("acme", "a", 1)), ElementsAre("c"));
  EXPECT_THAT(KeyIds(backend_->ListApiKeys("", "", 10)), ElementsAre("d"));
  EXPECT_THAT(KeyIds(backend_->ListApiKeys("nobody", "", 10)), IsEmpty());
}

TEST_P(BackendConformanceTest, AnApiKeyIsUpdatedOnlyFromTheExpectedVersion) {
  ASSERT_OK(backend_->InsertApiKey(KeyRow("k", "")));
  EXPECT_THAT(backend_->UpdateApiKey({"k", "", 3, "third"}, 2), StatusIs(kAborted, _));
  EXPECT_THAT(backend_->UpdateApiKey({"x", "", 2, "second"}, 1), StatusIs(kNotFound, _));
  ASSERT_OK(backend_->UpdateApiKey({"k", "", 2, "second"}, 1));
  ASSERT_OK_AND_ASSIGN(const ApiKeyRow row, backend_->GetApiKey("k"));
  EXPECT_EQ(row.version, 2u);
  EXPECT_EQ(row.sealed, "second");
}

TEST_P(BackendConformanceTest, AConfigurationIsFoundByItsIdAndByItsNetwork) {
  ASSERT_OK(backend_->InsertOrganization({"acme", "sealed"}));
  SocialNetworkRow inserted = NetworkRow("acme", "sn", "mastodon", "example.social");
  inserted.settings = AllBytes();
  inserted.secret = AllBytes() + "secret";
  ASSERT_OK(backend_->InsertSocialNetwork(inserted, Backend::Place::kLast));
  for (const absl::StatusOr<SocialNetworkRow>& row :
       {backend_->GetSocialNetwork("acme", "sn"),
        backend_->FindSocialNetwork("acme", "mastodon", "example.social", ""),
        backend_->GetSocialNetworkSecret("acme", "sn")}) {
    ASSERT_OK(row);
    EXPECT_EQ(row->id, "sn");
    EXPECT_EQ(row->org_id, "acme");
    EXPECT_EQ(row->network, "mastodon");
    EXPECT_EQ(row->instance, "example.social");
    EXPECT_EQ(row->version, 1u);
    EXPECT_EQ(row->settings, AllBytes());
  }
}

TEST_P(BackendConformanceTest, TheSecretComesOnlyWhenItIsAskedFor) {
  ASSERT_OK(backend_->InsertOrganization({"acme", "sealed"}));
  ASSERT_OK(
      backend_->InsertSocialNetwork(NetworkRow("acme", "sn", "google"), Backend::Place::kLast));
  ASSERT_OK_AND_ASSIGN(SocialNetworkRow row, backend_->GetSocialNetwork("acme", "sn"));
  EXPECT_EQ(row.secret, "");
  ASSERT_OK_AND_ASSIGN(row, backend_->FindSocialNetwork("acme", "google", "", ""));
  EXPECT_EQ(row.secret, "");
  ASSERT_OK_AND_ASSIGN(const auto rows, backend_->ListSocialNetworks("acme", "", 10));
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].secret, "");
  ASSERT_OK_AND_ASSIGN(row, backend_->GetSocialNetworkSecret("acme", "sn"));
  EXPECT_EQ(row.secret, "secret of sn");
}

TEST_P(BackendConformanceTest, AConfigurationBelongsToOneOrganization) {
  ASSERT_OK(backend_->InsertOrganization({"acme", "sealed"}));
  ASSERT_OK(backend_->InsertOrganization({"other", "sealed"}));
  ASSERT_OK(
      backend_->InsertSocialNetwork(NetworkRow("acme", "sn", "google"), Backend::Place::kLast));
  EXPECT_THAT(backend_->GetSocialNetwork("other", "sn"), StatusIs(kNotFound, _));
  EXPECT_THAT(backend_->GetSocialNetworkSecret("other", "sn"), StatusIs(kNotFound, _));
  EXPECT_THAT(backend_->FindSocialNetwork("other", "google", "", ""), StatusIs(kNotFound, _));
  EXPECT_THAT(backend_->DeleteSocialNetwork("other", "sn"), StatusIs(kNotFound, _));
  SocialNetworkRow update = NetworkRow("other", "sn", "google");
  EXPECT_THAT(backend_->UpdateSocialNetwork(update, 1), StatusIs(kNotFound, _));
  // Neither ids nor networks of one organisation are in the way of another.
  EXPECT_OK(
      backend_->InsertSocialNetwork(NetworkRow("other", "sn", "google"), Backend::Place::kLast));
}

TEST_P(BackendConformanceTest, AnOrganizationHasOneConfigurationPerNetworkAndInstance) {
  ASSERT_OK(backend_->InsertOrganization({"acme", "sealed"}));
  ASSERT_OK(backend_->InsertSocialNetwork(NetworkRow("acme", "s1", "mastodon", "a.example"),
                                          Backend::Place::kLast));
  EXPECT_THAT(backend_->InsertSocialNetwork(NetworkRow("acme", "s2", "mastodon", "a.example"),
                                            Backend::Place::kLast),
              StatusIs(kAlreadyExists, _));
  EXPECT_THAT(
      backend_->InsertSocialNetwork(NetworkRow("acme", "s1", "google"), Backend::Place::kLast),
      StatusIs(kAlreadyExists, _));
  EXPECT_THAT(
      backend_->InsertSocialNetwork(NetworkRow("nobody", "s3", "google"), Backend::Place::kLast),
      StatusIs(kNotFound, _));
  ASSERT_OK(backend_->InsertSocialNetwork(NetworkRow("acme", "s4", "mastodon", "b.example"),
                                          Backend::Place::kLast));
  ASSERT_OK(
      backend_->InsertSocialNetwork(NetworkRow("acme", "s5", "mastodon"), Backend::Place::kLast));
  EXPECT_THAT(NetworkIds(backend_->ListSocialNetworks("acme", "", 10)),
              ElementsAre("s1", "s4", "s5"));
  ASSERT_OK_AND_ASSIGN(const SocialNetworkRow row,
                       backend_->FindSocialNetwork("acme", "mastodon", "", ""));
  EXPECT_EQ(row.id, "s5");
  EXPECT_THAT(backend_->FindSocialNetwork("acme", "Mastodon", "", ""), StatusIs(kNotFound, _));
}

TEST_P(BackendConformanceTest, ConfigurationsAreListedInPages) {
  ASSERT_OK(backend_->InsertOrganization({"acme", "sealed"}));
  for (int i = 9; i >= 0; --i) {
    ASSERT_OK(backend_->InsertSocialNetwork(
        NetworkRow("acme", absl::StrCat("s", i), absl::StrCat("network", i)),
        Backend::Place::kLast));
  }
  EXPECT_THAT(NetworkIds(backend_->ListSocialNetworks("acme", "", 2)), ElementsAre("s0", "s1"));
  EXPECT_THAT(NetworkIds(backend_->ListSocialNetworks("acme", "s7", 5)), ElementsAre("s8", "s9"));
  EXPECT_THAT(NetworkIds(backend_->ListSocialNetworks("acme", "", 0)), IsEmpty());
}

TEST_P(BackendConformanceTest, AConfigurationIsUpdatedOnlyFromTheExpectedVersion) {
  ASSERT_OK(backend_->InsertOrganization({"acme", "sealed"}));
  ASSERT_OK(
      backend_->InsertSocialNetwork(NetworkRow("acme", "sn", "google"), Backend::Place::kLast));
  SocialNetworkRow update = NetworkRow("acme", "sn", "google");
  update.version = 2;
  update.settings = "new settings";
  update.secret = "new secret";
  EXPECT_THAT(backend_->UpdateSocialNetwork(update, 5), StatusIs(kAborted, _));
  ASSERT_OK_AND_ASSIGN(SocialNetworkRow row, backend_->GetSocialNetworkSecret("acme", "sn"));
  EXPECT_EQ(row.version, 1u);
  EXPECT_EQ(row.settings, "settings of sn");
  ASSERT_OK(backend_->UpdateSocialNetwork(update, 1));
  ASSERT_OK_AND_ASSIGN(row, backend_->GetSocialNetworkSecret("acme", "sn"));
  EXPECT_EQ(row.version, 2u);
  EXPECT_EQ(row.settings, "new settings");
  EXPECT_EQ(row.secret, "new secret");
  EXPECT_THAT(backend_->UpdateSocialNetwork(update, 1), StatusIs(kAborted, _));
}

TEST_P(BackendConformanceTest, ADeletedConfigurationIsGoneAndItsNetworkFree) {
  ASSERT_OK(backend_->InsertOrganization({"acme", "sealed"}));
  ASSERT_OK(
      backend_->InsertSocialNetwork(NetworkRow("acme", "sn", "google"), Backend::Place::kLast));
  ASSERT_OK(backend_->DeleteSocialNetwork("acme", "sn"));
  EXPECT_THAT(backend_->GetSocialNetwork("acme", "sn"), StatusIs(kNotFound, _));
  EXPECT_THAT(backend_->DeleteSocialNetwork("acme", "sn"), StatusIs(kNotFound, _));
  EXPECT_OK(
      backend_->InsertSocialNetwork(NetworkRow("acme", "sn", "google"), Backend::Place::kLast));
}

TEST_P(BackendConformanceTest, AnAuthStateComesBackAsItWasInserted) {
  ASSERT_OK(backend_->InsertOrganization({"acme", "sealed"}));
  constexpr int64_t kLatest = std::numeric_limits<int64_t>::max();
  ASSERT_OK(backend_->InsertAuthState({AllBytes(), "acme", kLatest, AllBytes() + "sealed"}));
  ASSERT_OK(backend_->InsertAuthState({"empty", "acme", -1, ""}));
  ASSERT_OK_AND_ASSIGN(AuthStateRow row, backend_->GetAuthState(AllBytes()));
  EXPECT_EQ(row.digest, AllBytes());
  EXPECT_EQ(row.org_id, "acme");
  EXPECT_EQ(row.expires_at_ms, kLatest);
  EXPECT_EQ(row.sealed, AllBytes() + "sealed");
  ASSERT_OK_AND_ASSIGN(row, backend_->GetAuthState("empty"));
  EXPECT_EQ(row.expires_at_ms, -1);
  EXPECT_EQ(row.sealed, "");
}

TEST_P(BackendConformanceTest, AnAuthStateNeedsItsOrganizationAndAFreeDigest) {
  EXPECT_THAT(backend_->InsertAuthState(StateRow("d", "acme", 1)), StatusIs(kNotFound, _));
  EXPECT_THAT(backend_->GetAuthState("d"), StatusIs(kNotFound, _));
  ASSERT_OK(backend_->InsertOrganization({"acme", "sealed"}));
  ASSERT_OK(backend_->InsertOrganization({"other", "sealed"}));
  ASSERT_OK(backend_->InsertAuthState(StateRow("d", "acme", 1)));
  AuthStateRow second = StateRow("d", "other", 2);
  second.sealed = "second";
  EXPECT_THAT(backend_->InsertAuthState(second), StatusIs(kAlreadyExists, _));
  ASSERT_OK_AND_ASSIGN(const AuthStateRow row, backend_->GetAuthState("d"));
  EXPECT_EQ(row.org_id, "acme");
  EXPECT_EQ(row.sealed, "sealed d");
}

TEST_P(BackendConformanceTest, DigestsAreComparedByteForByte) {
  ASSERT_OK(backend_->InsertOrganization({"acme", "sealed"}));
  const std::string digest("d\0\xFF", 3);
  ASSERT_OK(backend_->InsertAuthState(StateRow(digest, "acme", 1)));
  for (const std::string& other : {std::string("d"), std::string("D\0\xFF", 3),
                                   std::string("d\0\xFE", 3), std::string("d\0\xFF ", 4)}) {
    EXPECT_THAT(backend_->GetAuthState(other), StatusIs(kNotFound, _));
    EXPECT_OK(backend_->InsertAuthState(StateRow(other, "acme", 1)));
  }
  EXPECT_OK(backend_->GetAuthState(digest));
}

TEST_P(BackendConformanceTest, ExpiredAuthStatesAreDeletedInStepsThoseThatExpiredFirstFirst) {
  ASSERT_OK(backend_->InsertOrganization({"acme", "sealed"}));
  ASSERT_OK(backend_->InsertOrganization({"other", "sealed"}));
  const auto left = [&] {
    std::string digests;
    for (const char* digest : {"a", "b", "c", "d", "e"}) {
      if (backend_->GetAuthState(digest).ok()) digests += digest;
    }
    return digests;
  };
  const auto purge = [&](int64_t before_ms, int limit) {
    const absl::StatusOr<int> deleted = backend_->DeleteExpiredAuthStates(before_ms, limit);
    EXPECT_OK(deleted);
    return deleted.value_or(-1);
  };
  EXPECT_EQ(purge(std::numeric_limits<int64_t>::max(), 10), 0);
  ASSERT_OK(backend_->InsertAuthState(StateRow("a", "acme", 30)));
  ASSERT_OK(backend_->InsertAuthState(StateRow("b", "acme", -10)));
  ASSERT_OK(backend_->InsertAuthState(StateRow("c", "other", 40)));
  ASSERT_OK(backend_->InsertAuthState(StateRow("d", "acme", 20)));
  ASSERT_OK(backend_->InsertAuthState(StateRow("e", "other", std::numeric_limits<int64_t>::max())));
  EXPECT_EQ(purge(35, 0), 0);
  EXPECT_EQ(purge(35, -1), 0);
  EXPECT_EQ(left(), "abcde");
  EXPECT_EQ(purge(35, 2), 2);
  EXPECT_EQ(left(), "ace");
  EXPECT_EQ(purge(30, 2), 0);
  EXPECT_EQ(left(), "ace");
  EXPECT_EQ(purge(31, 2), 1);
  EXPECT_EQ(left(), "ce");
  EXPECT_EQ(purge(std::numeric_limits<int64_t>::max(), 10), 1);
  EXPECT_EQ(left(), "e");
}

TEST_P(BackendConformanceTest, WhileAuthStatesComeInOnlyExpiredOnesAreDeletedAndAllOfThem) {
  constexpr int kThreads = 4;
  constexpr int kStates = 40;
  constexpr int kStep = 3;
  constexpr int64_t kPast = 1000;
  constexpr int64_t kNowMs = 2000;
  constexpr int64_t kFuture = 3000;
  ASSERT_OK(backend_->InsertOrganization({"acme", "sealed"}));
  std::atomic<int> wrong = 0;
  std::atomic<int> writing = kThreads;
  std::vector<std::thread> writers;
  for (int t = 0; t < kThreads; ++t) {
    writers.emplace_back([&, t] {
      for (int i = 0; i < kStates; ++i) {
        const std::string id = absl::StrCat(t, "-", i);
        if (!backend_->InsertAuthState(StateRow("expired-" + id, "acme", kPast)).ok()) ++wrong;
        if (!backend_->InsertAuthState(StateRow("living-" + id, "acme", kFuture)).ok()) ++wrong;
        if (!backend_->GetAuthState("living-" + id).ok()) ++wrong;
      }
      --writing;
    });
  }
  int deleted = 0;
  while (true) {
    const bool last = writing == 0;
    const absl::StatusOr<int> step = backend_->DeleteExpiredAuthStates(kNowMs, kStep);
    if (!step.ok() || *step > kStep) ++wrong;
    if (step.ok()) deleted += *step;
    if (!step.ok() || (last && *step == 0)) break;
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(deleted, kThreads * kStates);
  for (int t = 0; t < kThreads; ++t) {
    for (int i = 0; i < kStates; ++i) {
      EXPECT_OK(backend_->GetAuthState(absl::StrCat("living-", t, "-", i)));
      EXPECT_THAT(backend_->GetAuthState(absl::StrCat("expired-", t, "-", i)),
                  StatusIs(kNotFound, _));
    }
  }
}

TEST_P(BackendConformanceTest, WhileNothingCanBeWrittenReadsGoOnAndTheProbesTellThemApart) {
  ASSERT_OK(backend_->InsertOrganization({"acme", "sealed"}));
  ASSERT_OK(backend_->InsertAuthState(StateRow("state", "acme", 5)));
  absl::Status write, probe, probe_after_purge, probe_reads, organization, state;
  {
    const std::shared_ptr<void> stopped = database_->StopWrites();
    write = backend_->InsertAuthState(StateRow("another", "acme", 5));
    probe = backend_->Probe();
    // Whether or not this needs to write, that it finds nothing to delete proves nothing.
    backend_->DeleteExpiredAuthStates(0, 10).status().IgnoreError();
    probe_after_purge = backend_->Probe();
    probe_reads = backend_->ProbeReads();
    organization = backend_->GetOrganization("acme").status();
    state = backend_->GetAuthState("state").status();
  }
  EXPECT_THAT(write, HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_THAT(probe, HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_THAT(probe_after_purge, HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_OK(probe_reads);
  EXPECT_OK(organization);
  EXPECT_OK(state);
  EXPECT_OK(backend_->Probe());
  EXPECT_OK(backend_->ProbeReads());
  EXPECT_OK(backend_->InsertAuthState(StateRow("another", "acme", 5)));
}

TEST_P(BackendConformanceTest, VersionsAndValuesMayBeLarge) {
  ASSERT_OK(backend_->InsertOrganization({"acme", std::string(1 << 20, '\xFF')}));
  ASSERT_OK_AND_ASSIGN(const OrganizationRow organization, backend_->GetOrganization("acme"));
  EXPECT_EQ(organization.sealed.size(), size_t{1} << 20);
  constexpr uint64_t kLargest = std::numeric_limits<uint64_t>::max();
  ASSERT_OK(backend_->InsertApiKey({"k", "", kLargest, "sealed"}));
  ASSERT_OK(backend_->UpdateApiKey({"k", "", kLargest - 1, "sealed"}, kLargest));
  ASSERT_OK_AND_ASSIGN(const ApiKeyRow key, backend_->GetApiKey("k"));
  EXPECT_EQ(key.version, kLargest - 1);
}

TEST_P(BackendConformanceTest, WhatWasWrittenIsThereAfterReopening) {
  ASSERT_OK(backend_->PutMeta("name", "value"));
  ASSERT_OK(backend_->InsertOrganization({"acme", "sealed"}));
  ASSERT_OK(backend_->InsertApiKey(KeyRow("k", "acme")));
  ASSERT_OK(
      backend_->InsertSocialNetwork(NetworkRow("acme", "sn", "google"), Backend::Place::kLast));
  ASSERT_OK(backend_->InsertAuthState(StateRow("state", "acme", 1)));
  Reopen();
  ASSERT_OK_AND_ASSIGN(const std::optional<std::string> value, backend_->GetMeta("name"));
  EXPECT_THAT(value, Optional(std::string("value")));
  EXPECT_OK(backend_->GetOrganization("acme"));
  EXPECT_OK(backend_->GetApiKey("k"));
  ASSERT_OK_AND_ASSIGN(const auto row, backend_->GetSocialNetworkSecret("acme", "sn"));
  EXPECT_EQ(row.secret, "secret of sn");
  EXPECT_OK(backend_->GetAuthState("state"));
}

TEST_P(BackendConformanceTest, EveryThreadReadsWhatItHasWritten) {
  constexpr int kThreads = 8;
  constexpr int kWrites = 25;
  std::atomic<int> missing = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kWrites; ++i) {
        const std::string id = absl::StrCat(t, "-", i);
        if (!backend_->InsertOrganization({id, "sealed"}).ok()) ++missing;
        if (!backend_->GetOrganization(id).ok()) ++missing;
        if (!backend_->ListOrganizations("", 5).ok()) ++missing;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(missing, 0);
  EXPECT_EQ(OrgIds(backend_->ListOrganizations("", 1000)).size(), size_t{kThreads} * kWrites);
}

// Backends may put writes that come at the same time into one transaction.
TEST_P(BackendConformanceTest, OfManyWritesAtOnceEachIsDoneOrNotOnItsOwn) {
  constexpr int kThreads = 32;
  constexpr int kRounds = 20;
  ASSERT_OK(backend_->InsertOrganization({"acme", "sealed"}));
  ASSERT_OK(backend_->InsertApiKey(KeyRow("shared", "acme")));
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const auto expect = [&](const absl::Status& status, absl::StatusCode code) {
        if (status.code() != code) ++wrong;
      };
      for (int i = 0; i < kRounds; ++i) {
        const std::string id = absl::StrCat(t, "-", i);
        expect(backend_->InsertApiKey(KeyRow(id, "acme")), absl::StatusCode::kOk);
        expect(backend_->InsertApiKey(KeyRow("shared", "acme")), kAlreadyExists);
        expect(backend_->InsertApiKey(KeyRow("orphan-" + id, "nobody")), kNotFound);
        expect(backend_->InsertSocialNetwork(NetworkRow("acme", id, id), Backend::Place::kLast)
                   .status(),
               absl::StatusCode::kOk);
        expect(
            backend_
                ->InsertSocialNetwork(NetworkRow("acme", "twin-" + id, id), Backend::Place::kLast)
                .status(),
            kAlreadyExists);
        expect(backend_->UpdateApiKey({id, "acme", 3, "third"}, 2), kAborted);
        expect(backend_->UpdateApiKey({id, "acme", 2, "second"}, 1), absl::StatusCode::kOk);
        expect(backend_->DeleteSocialNetwork("acme", "twin-" + id), kNotFound);
        if (i % 2 == 0) expect(backend_->DeleteSocialNetwork("acme", id), absl::StatusCode::kOk);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  Reopen();
  const int all = kThreads * kRounds;
  ASSERT_OK_AND_ASSIGN(const auto keys, backend_->ListApiKeys("acme", "", 2 * all));
  EXPECT_EQ(keys.size(), static_cast<size_t>(all) + 1);
  for (const ApiKeyRow& key : keys) {
    EXPECT_EQ(key.sealed, key.key_id == "shared" ? "sealed shared" : "second") << key.key_id;
  }
  ASSERT_OK_AND_ASSIGN(const auto networks, backend_->ListSocialNetworks("acme", "", 2 * all));
  EXPECT_EQ(networks.size(), static_cast<size_t>(all / 2));
}

TEST_P(BackendConformanceTest, WritesAreCounted) {
  const BackendStats before = backend_->Stats();
  ASSERT_OK(backend_->InsertOrganization({"acme", "sealed"}));
  ASSERT_OK(backend_->InsertOrganization({"other", "sealed"}));
  EXPECT_THAT(backend_->InsertOrganization({"acme", "sealed"}), StatusIs(kAlreadyExists, _));
  const BackendStats after = backend_->Stats();
  EXPECT_EQ(after.writes - before.writes, 2u);
  EXPECT_EQ(after.commits - before.commits, 2u);
  EXPECT_EQ(after.largest_commit, 1u);
  EXPECT_EQ(after.waiting_writes, 0u);
  EXPECT_EQ(after.errors, 0u);
  const std::shared_ptr<void> stopped = database_->StopWrites();
  EXPECT_THAT(backend_->InsertOrganization({"third", "sealed"}), HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_EQ(backend_->Stats().writes, after.writes);
  EXPECT_GT(backend_->Stats().errors, 0u);
}

TEST_P(BackendConformanceTest, ConfigurationsOfOneNetworkAreToldApartByTheirNames) {
  ASSERT_OK(backend_->InsertOrganization({"acme", "sealed"}));
  const auto row_of = [](const std::string& id, const std::string& name, int64_t default_rank) {
    SocialNetworkRow row = NetworkRow("acme", id, "google");
    row.name = name;
    row.default_rank = default_rank;
    return row;
  };
  const auto find = [&](std::optional<absl::string_view> name) {
    const auto row = backend_->FindSocialNetwork("acme", "google", "", name);
    return row.ok() ? row->id : std::string(row.status().message());
  };
  const auto insert = [&](const SocialNetworkRow& row) {
    return backend_->InsertSocialNetwork(row, Backend::Place::kLast);
  };
  EXPECT_EQ(insert(row_of("c", "page", 5)).value_or(-1), 0);
  EXPECT_EQ(insert(row_of("b", "", 6)).value_or(-1), 1);
  EXPECT_EQ(insert(row_of("a", "Page", 7)).value_or(-1), 2);
  EXPECT_THAT(insert(row_of("d", "page", 1)), StatusIs(kAlreadyExists, _));
  for (const int64_t not_last : {4, 5, 6, 7}) {
    EXPECT_THAT(insert(row_of("d", "other", not_last)), StatusIs(kAborted, _));
  }
  for (const int64_t not_first : {5, 6, 7, 8}) {
    EXPECT_THAT(
        backend_->InsertSocialNetwork(row_of("d", "other", not_first), Backend::Place::kFirst),
        StatusIs(kAborted, _));
  }
  EXPECT_EQ(
      backend_->InsertSocialNetwork(row_of("d", "first", 4), Backend::Place::kFirst).value_or(-1),
      3);
  EXPECT_EQ(find(std::nullopt), "d");
  ASSERT_OK(backend_->DeleteSocialNetwork("acme", "d"));
  EXPECT_EQ(find(std::nullopt), "c");
  SocialNetworkRow tie = row_of("b", "", 5);
  tie.version = 2;
  ASSERT_OK(backend_->UpdateSocialNetwork(tie, 1));
  EXPECT_EQ(find(""), "b");
  EXPECT_EQ(find("page"), "c");
  EXPECT_EQ(find("Page"), "a");
  EXPECT_THAT(backend_->FindSocialNetwork("acme", "google", "", "pag"), StatusIs(kNotFound, _));
  // The lowest rank, then the lowest id.
  EXPECT_EQ(find(std::nullopt), "b");
  ASSERT_OK_AND_ASSIGN(const int64_t highest,
                       backend_->GetHighestDefaultRank("acme", "google", ""));
  EXPECT_EQ(highest, 7);
  EXPECT_THAT(backend_->GetHighestDefaultRank("acme", "google", "x"), StatusIs(kNotFound, _));
  EXPECT_THAT(backend_->FindSocialNetwork("acme", "github", "", std::nullopt),
              StatusIs(kNotFound, _));

  SocialNetworkRow update = row_of("a", "", std::numeric_limits<int64_t>::min());
  update.version = 2;
  EXPECT_THAT(backend_->UpdateSocialNetwork(update, 1), StatusIs(kAlreadyExists, _));
  EXPECT_EQ(find("Page"), "a");
  update.name = "other";
  ASSERT_OK(backend_->UpdateSocialNetwork(update, 1));
  EXPECT_EQ(find(std::nullopt), "a");
  EXPECT_EQ(find("other"), "a");
  EXPECT_THAT(backend_->FindSocialNetwork("acme", "google", "", "Page"), StatusIs(kNotFound, _));
  ASSERT_OK_AND_ASSIGN(const SocialNetworkRow row, backend_->GetSocialNetworkSecret("acme", "a"));
  EXPECT_EQ(row.name, "other");
  EXPECT_EQ(row.default_rank, std::numeric_limits<int64_t>::min());
  ASSERT_OK(backend_->DeleteSocialNetwork("acme", "a"));
  EXPECT_EQ(find(std::nullopt), "b");
}

TEST_P(BackendConformanceTest, ANetworkTakesABoundedNumberOfNames) {
  for (const std::string org : {"acme", "other"}) {
    ASSERT_OK(backend_->InsertOrganization({org, "sealed"}));
  }
  SocialNetworkRow row = NetworkRow("acme", "id", "mastodon", "a.example");
  for (int i = 0; i < kMaxNamesOfNetwork; ++i) {
    row.id = absl::StrCat("id-", i);
    row.name = absl::StrCat("name-", i);
    row.default_rank = i;
    ASSERT_OK(backend_->InsertSocialNetwork(row, Backend::Place::kLast));
  }
  row.id = "more";
  row.name = "more";
  row.default_rank = kMaxNamesOfNetwork;
  EXPECT_THAT(backend_->InsertSocialNetwork(row, Backend::Place::kLast),
              StatusIs(absl::StatusCode::kResourceExhausted, _));
  EXPECT_THAT(backend_->GetSocialNetwork("acme", "more"), StatusIs(kNotFound, _));
  row.name = "name-7";
  EXPECT_THAT(backend_->InsertSocialNetwork(row, Backend::Place::kLast),
              StatusIs(kAlreadyExists, _));
  row.name = "more";
  row.instance = "b.example";
  EXPECT_OK(backend_->InsertSocialNetwork(row, Backend::Place::kLast));
  row.org_id = "other";
  row.instance = "a.example";
  EXPECT_OK(backend_->InsertSocialNetwork(row, Backend::Place::kLast));
  ASSERT_OK(backend_->DeleteSocialNetwork("acme", "id-0"));
  row.org_id = "acme";
  row.id = "again";
  EXPECT_OK(backend_->InsertSocialNetwork(row, Backend::Place::kLast));
}

// A sealed value as far as a backend can read it.
std::string Under(uint8_t key_id, absl::string_view rest = "rest") {
  return absl::StrCat(std::string({'\1', static_cast<char>(key_id)}), rest);
}

TEST_P(BackendConformanceTest, KeysInUseAreThoseThatAnyTableHasRowsUnder) {
  ASSERT_OK_AND_ASSIGN(std::vector<uint8_t> keys, backend_->ListKeysInUse());
  EXPECT_THAT(keys, IsEmpty());
  ASSERT_OK(backend_->InsertOrganization({"acme", Under(200)}));
  ASSERT_OK(backend_->InsertOrganization({"bolt", Under(7)}));
  ASSERT_OK(backend_->InsertOrganization({"short", "\1"}));
  ASSERT_OK(backend_->InsertOrganization({"empty", ""}));
  for (const std::string id : {"a", "b", "c"}) {
    ASSERT_OK(
        backend_->InsertApiKey({.key_id = id, .org_id = "acme", .version = 1, .sealed = Under(7)}));
  }
  SocialNetworkRow row = NetworkRow("acme", "n", "google");
  row.settings = Under(255);
  row.secret = Under(9);
  ASSERT_OK(backend_->InsertSocialNetwork(row, Backend::Place::kLast));
  ASSERT_OK(backend_->InsertAuthState(
      {.digest = "d", .org_id = "acme", .expires_at_ms = 1, .sealed = Under(11)}));
  ASSERT_OK_AND_ASSIGN(keys, backend_->ListKeysInUse());
  EXPECT_THAT(keys, ElementsAre(7, 200, 255));
  row.settings = Under(8);
  ASSERT_OK(backend_->UpdateSocialNetwork(row, 1));
  ASSERT_OK(backend_->DeleteOrganization("bolt"));
  ASSERT_OK_AND_ASSIGN(keys, backend_->ListKeysInUse());
  EXPECT_THAT(keys, ElementsAre(7, 8, 200));
  ASSERT_OK(backend_->DeleteOrganization("acme"));
  ASSERT_OK_AND_ASSIGN(keys, backend_->ListKeysInUse());
  EXPECT_THAT(keys, IsEmpty());
}

TEST_P(BackendConformanceTest, RowsUnderAKeyComeWholeAndOnceWhateverIsDeletedInBetween) {
  constexpr int kRows = 7;
  for (int i = 0; i < kRows; ++i) {
    const std::string org = absl::StrCat("org-", kRows - i);
    const uint8_t key = i == 3 ? 2 : 1;
    ASSERT_OK(backend_->InsertOrganization({org, Under(key, org)}));
    ASSERT_OK(backend_->InsertApiKey(
        {.key_id = "key-" + org, .org_id = org, .version = 5, .sealed = Under(key, org)}));
    SocialNetworkRow row = NetworkRow(org, "n", "mastodon", "example.social");
    row.settings = Under(key, org);
    row.secret = AllBytes();
    ASSERT_OK(backend_->InsertSocialNetwork(row, Backend::Place::kLast));
  }
  std::vector<std::string> organizations, keys, networks;
  std::string from;
  do {
    ASSERT_OK_AND_ASSIGN(const auto page, backend_->ListOrganizationsUnder(1, from, 2));
    for (const auto& row : page.rows) {
      EXPECT_EQ(row.sealed, Under(1, row.org_id));
      organizations.push_back(row.org_id);
    }
    from = page.next;
  } while (!from.empty());
  do {
    ASSERT_OK_AND_ASSIGN(const auto page, backend_->ListApiKeysUnder(1, from, 2));
    for (const auto& row : page.rows) {
      EXPECT_EQ(row.sealed, Under(1, row.org_id));
      EXPECT_EQ(row.version, 5u);
      keys.push_back(row.org_id);
    }
    from = page.next;
  } while (!from.empty());
  int pages = 0;
  do {
    ASSERT_OK_AND_ASSIGN(const auto page, backend_->ListSocialNetworksUnder(1, from, 2));
    for (const auto& row : page.rows) {
      EXPECT_EQ(row.settings, Under(1, row.org_id));
      EXPECT_EQ(row.secret, AllBytes());
      EXPECT_EQ(row.instance, "example.social");
      networks.push_back(row.org_id);
    }
    // The row that the position is made of, and rows before and behind it.
    if (pages++ == 0) {
      ASSERT_EQ(networks.size(), 2u);
      ASSERT_OK(backend_->DeleteOrganization(networks[0]));
      ASSERT_OK(backend_->DeleteOrganization(networks[1]));
    }
    from = page.next;
  } while (!from.empty());
  for (auto* found : {&organizations, &keys, &networks}) {
    std::sort(found->begin(), found->end());
    EXPECT_THAT(*found, ElementsAre("org-1", "org-2", "org-3", "org-5", "org-6", "org-7"));
  }
  ASSERT_OK_AND_ASSIGN(const auto other, backend_->ListSocialNetworksUnder(2, "", 2));
  EXPECT_EQ(other.rows.size(), 1u);
  EXPECT_EQ(other.next, "");
}

TEST_P(BackendConformanceTest, OfTwoUpdatesFromOneVersionExactlyOneWins) {
  constexpr int kThreads = 8;
  constexpr uint64_t kVersions = 50;
  ASSERT_OK(backend_->InsertApiKey(KeyRow("k", "")));
  std::atomic<uint64_t> won = 0;
  std::atomic<int> odd = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (uint64_t version = 1; version <= kVersions; ++version) {
        const absl::Status status =
            backend_->UpdateApiKey({"k", "", version + 1, "sealed"}, version);
        if (status.ok()) ++won;
        if (!status.ok() && !absl::IsAborted(status)) ++odd;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(odd, 0);
  ASSERT_OK_AND_ASSIGN(const ApiKeyRow row, backend_->GetApiKey("k"));
  EXPECT_EQ(row.version, won + 1);
}

}  // namespace authurl::testing
