// What a deleted organisation leaves is taken back at the networks, and then goes.
#include "server/flow/purge_organizations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/flow/auth_state.h"
#include "tests/server/flow/stored_grant_fixture.h"
#include "tests/server/observe/log_lines.h"

namespace authurl::testing {
namespace {

using ::testing::_;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class OrganizationPurgerTest : public StoredGrantTest {
 protected:
  void SetUp() override {
    StoredGrantTest::SetUp();
    UseEntry(kRevocationPart);
  }

  // Of different people; they are known by the numbers from 1 on.
  void ConnectPeople(int count) {
    for (int i = 1; i <= count; ++i) {
      subject_ = absl::StrCat("person-", i);
      Connect(Tokens(absl::StrCat(i)), {subject_});
    }
  }
  void Delete() { ASSERT_OK(store_->DeleteOrganization(kNoLimit, "acme", Now())); }
  absl::Status MakeAgain() {
    record::v1::Organization acme;
    acme.set_org_id("acme");
    return store_->CreateOrganization(kNoLimit, acme);
  }
  bool IsPurged() {
    return Eventually([this] { return MakeAgain().ok(); });
  }
  // What was sent to be revoked.
  std::vector<std::string> Revoked() {
    std::vector<std::string> bodies;
    for (const SentRequest& each : http_.sent()) {
      EXPECT_EQ(each.url, "https://api.net.example/revoke");
      EXPECT_EQ(each.target.org_id, "acme");
      bodies.push_back(each.body);
    }
    return bodies;
  }
  static std::string RevocationOf(int number) {
    return absl::StrCat("token=refresh-canary-", number,
                        "&client_id=client-1&client_secret=", kOldSecret);
  }
};

TEST_F(OrganizationPurgerTest, ConsentsAreTakenBackBeforeAllOfItIsGone) {
  ConnectPeople(2);
  http_.Answer(200, "");
  http_.Answer(200, "");
  Delete();
  // Gone for callers at once; its id is not free before its grants are revoked.
  EXPECT_THAT(store_->grants().Get(kNoLimit, "acme", grant_id_), HasReason("GRANT_NOT_FOUND"));
  EXPECT_THAT(MakeAgain(), HasReason("ORGANIZATION_BEING_DELETED"));
  const OrganizationPurger purger(Tools());
  EXPECT_TRUE(IsPurged());
  EXPECT_THAT(Revoked(), UnorderedElementsAre(RevocationOf(1), RevocationOf(2)));
}

TEST_F(OrganizationPurgerTest, WhatALargeOneLeftGoesHoweverMuchItIs) {
  for (int i = 0; i < 1100; ++i) {
    ASSERT_OK(store_->PutAuthStates(
        kNoLimit, {{NewStateReference(FillRandom), "acme", Now() + absl::Minutes(10), "sealed"}}));
  }
  ConnectPeople(40);
  for (int i = 0; i < 40; ++i) http_.Answer(200, "");
  Delete();
  const OrganizationPurger purger(Tools());
  EXPECT_TRUE(IsPurged());
  EXPECT_THAT(http_.sent(), SizeIs(40));
  // States, and of each person a flow, a grant, an account and an event; configuration and
  // organisation.
  EXPECT_EQ(store_->Snapshot().purged_records, 1100u + 40 * 4 + 2);
}

TEST_F(OrganizationPurgerTest, EachIsAskedForOnceWhateverTheNetworkSays) {
  ConnectPeople(3);
  http_.Answer(500, "");
  http_.Fail(Lost());
  http_.Answer(200, "");
  Delete();
  const std::vector<std::string> lines = LoggedLines("info", [this] {
    const OrganizationPurger purger(Tools());
    EXPECT_TRUE(IsPurged());
  });
  EXPECT_THAT(http_.sent(), SizeIs(3));
  EXPECT_THAT(lines, SizeIs(2));
  EXPECT_THAT(lines, Each(AllOf(HasSubstr("revocation_failed"), Not(HasSubstr("canary")))));
}

TEST_F(OrganizationPurgerTest, WhereItWouldEndOtherConnectionsNothingIsSent) {
  UseEntry(absl::StrReplaceAll(kRevocationPart, {{"ENDS_GRANT", "ENDS_ALL_OF_PERSON"}}));
  ConnectPeople(2);
  Delete();
  const OrganizationPurger purger(Tools());
  EXPECT_TRUE(IsPurged());
  EXPECT_THAT(http_.sent(), IsEmpty());
}

TEST_F(OrganizationPurgerTest, WhatDoesNotOpenAndWhatNoClientIsLeftOfHoldsUpNothing) {
  ConnectPeople(2);
  ASSERT_OK(store_->social_networks().Delete(kNoLimit, "acme", "sn_1",
                                             SocialNetworkStore::Accounts::kKeep, Now()));
  Delete();
  const OrganizationPurger purger(Tools());
  EXPECT_TRUE(IsPurged());
  EXPECT_THAT(http_.sent(), IsEmpty());
}

// Of a network that was taken out of the catalog.
TEST_F(OrganizationPurgerTest, GrantsOfANetworkThatIsGoneHoldUpNothing) {
  ConnectPeople(1);
  catalog_ = NetworkCatalog();
  Delete();
  const OrganizationPurger purger(Tools());
  EXPECT_TRUE(IsPurged());
  EXPECT_THAT(http_.sent(), IsEmpty());
}

TEST_F(OrganizationPurgerTest, ADayLaterTheyGoUnrevokedAndTheirNumberIsTold) {
  ConnectPeople(3);
  Delete();
  Advance(DeletedOrganizations::kTimeToRevoke);
  const std::vector<std::string> lines = LoggedLines("info", [this] {
    const OrganizationPurger purger(Tools());
    EXPECT_TRUE(IsPurged());
  });
  EXPECT_THAT(http_.sent(), IsEmpty());
  EXPECT_THAT(lines, ElementsAre(HasSubstr(R"("event":"grants_left_unrevoked","grants":3)")));
}

// It is killed, say, after the network has heard of it.
TEST_F(OrganizationPurgerTest, WhatTheStoreCantRemoveNowIsRevokedAgain) {
  ConnectPeople(1);
  http_.Answer(200, "");
  http_.Meanwhile([this] { backend_->FailCommits(1, StorageUnavailable("a test")); });
  http_.Answer(200, "");
  Delete();
  {
    const OrganizationPurger purger(Tools());
    EXPECT_TRUE(Eventually([this] { return http_.sent().size() == 1; }));
  }
  EXPECT_THAT(MakeAgain(), HasReason("ORGANIZATION_BEING_DELETED"));
  const OrganizationPurger purger(Tools());
  EXPECT_TRUE(IsPurged());
  EXPECT_THAT(Revoked(), ElementsAre(RevocationOf(1), RevocationOf(1)));
}

// One that lives has nothing taken away, nor one that is made anew under the same id.
TEST_F(OrganizationPurgerTest, OnlyWhatWasDeletedIsOpened) {
  ConnectPeople(1);
  const GrantStore::OwnedGrant grant = {"acme", grant_id_};
  DeletedOrganizations& deleted = store_->deleted_organizations();
  EXPECT_THAT(deleted.OpenGrant(kNoLimit, grant), StatusIs(absl::StatusCode::kNotFound, _));
  EXPECT_OK(deleted.RemoveGrant(kNoLimit, grant));
  EXPECT_OK(store_->grants().Get(kNoLimit, "acme", grant_id_));
  ASSERT_OK_AND_ASSIGN(const auto purged, deleted.PurgeOne(kNoLimit, "acme", Now(), {}));
  EXPECT_EQ(purged.removed, 0);
  EXPECT_THAT(purged.to_revoke, IsEmpty());
}

}  // namespace
}  // namespace authurl::testing
