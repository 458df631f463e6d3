#include "storage/event_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/errors.h"
#include "tests/storage/connections_fixture.h"
#include "tests/support/purge.h"

namespace authurl::testing {
namespace {

using ::testing::_;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::Ge;
using ::testing::Gt;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using record::v1::Event;
using record::v1::Flow;
using record::v1::SocialAccount;

class EventStoreTest : public ConnectionsTest {
 protected:
  EventPage Page(int64_t after = 0, PageLimit limit = {.rows = 100},
                 absl::string_view org = "acme") {
    const auto page = store_->events().List(kNoLimit, org, after, limit);
    EXPECT_OK(page);
    return page.value_or(EventPage{});
  }

  // "account.connected", or with what changed or the reason behind it: "account.updated status".
  std::vector<std::string> Told(int64_t after = 0) {
    std::vector<std::string> told;
    for (const NumberedEvent& each : Page(after).events) {
      std::string text(EventTypeName(each.event.type()));
      for (const std::string& what : each.event.changed()) absl::StrAppend(&text, " ", what);
      if (!each.event.reason().empty()) absl::StrAppend(&text, " ", each.event.reason());
      told.push_back(text);
    }
    return told;
  }

  int64_t Last(absl::string_view org = "acme") {
    return store_->events().Last(kNoLimit, org).value_or(-1);
  }
};

TEST(EventIdTest, IsTheNumberInHexadecimalDigitsAndOrderedAsNumbersAre) {
  EXPECT_EQ(EventIdOf(0x643f1a2b3c4d5), "ev_000643f1a2b3c4d5");
  for (const int64_t number : {int64_t{1}, int64_t{0x643f1a2b3c4d5}, kNeverDue}) {
    EXPECT_THAT(EventNumberOf(EventIdOf(number)), Eq(number));
  }
  EXPECT_LT(EventIdOf(9), EventIdOf(10));
  EXPECT_LT(EventIdOf(255), EventIdOf(256));
  for (const char* text :
       {"", "ev_", "ev_1", "ev_000643f1a2b3c4d", "ev_000643f1a2b3c4d55", "sa_000643f1a2b3c4d5",
        "ev_000643f1a2b3c4dg", "ev_+00643f1a2b3c4d5", "ev_-00643f1a2b3c4d5", "ev_0x0643f1a2b3c4d5",
        "ev_ 00643f1a2b3c4d5", "ev_ffffffffffffffff", "ev_8000000000000000"}) {
    EXPECT_EQ(EventNumberOf(text), std::nullopt) << text;
  }
}

TEST(EventTypeTest, EveryTypeHasAName) {
  for (int type = 1; type < record::v1::EventType_ARRAYSIZE; ++type) {
    const auto of = static_cast<record::v1::EventType>(type);
    EXPECT_THAT(EventTypeOf(EventTypeName(of)), Eq(of));
  }
  EXPECT_EQ(EventTypeName(record::v1::EVENT_TYPE_UNSPECIFIED), "");
  EXPECT_EQ(EventTypeOf(""), std::nullopt);
  EXPECT_EQ(EventTypeOf("account.conquered"), std::nullopt);
}

TEST_F(EventStoreTest, EachAccountThatIsConnectedIsToldWithItsFlow) {
  EXPECT_THAT(Page().events, IsEmpty());
  EXPECT_EQ(Last(), 0);
  Flow flow = TestFlow("a");
  flow.set_public_id("flow-of-a");
  ASSERT_OK(store_->flows().Spend(kNoLimit, flow, kNow));
  ASSERT_OK_AND_ASSIGN(const Connected connected,
                       Complete("a", TestGrant("ann"),
                                {{TestAccount("p1"), ""}, {TestAccount("p2", "other"), "own"}}));
  const EventPage page = Page();
  ASSERT_THAT(page.events, SizeIs(2));
  EXPECT_EQ(page.events[1].number, page.events[0].number + 1);
  EXPECT_EQ(page.last, page.events[1].number);
  EXPECT_EQ(page.last, Last());
  EXPECT_FALSE(page.has_more);
  for (size_t i = 0; i < 2; ++i) {
    const Event& event = page.events[i].event;
    EXPECT_EQ(event.type(), record::v1::EVENT_TYPE_ACCOUNT_CONNECTED);
    EXPECT_EQ(event.account_id(), connected.accounts[i].id());
    EXPECT_EQ(event.social_network_id(), "acme-google");
    EXPECT_EQ(event.network(), "google");
    EXPECT_EQ(event.tenant_id(), i == 0 ? "tenant" : "other");
    EXPECT_EQ(event.flow_id(), "flow-of-a");
    EXPECT_EQ(event.created_at_ms(), absl::ToUnixMillis(kNow));
    ASSERT_OK_AND_ASSIGN(const Event alone,
                         store_->events().Get(kNoLimit, "acme", page.events[i].number));
    EXPECT_THAT(alone, EqualsProto(event));
  }
  EXPECT_THAT(store_->events().Get(kNoLimit, "acme", page.last + 1), HasReason("EVENT_NOT_FOUND"));
  EXPECT_THAT(store_->events().Get(kNoLimit, "other", page.last), HasReason("EVENT_NOT_FOUND"));
}

TEST_F(EventStoreTest, WhatBecomesOfAConnectionIsTold) {
  ASSERT_OK_AND_ASSIGN(const Connected connected, Connect("a", "ann", {"p1", "p2"}));
  int64_t seen = Last();
  ASSERT_OK(
      store_->grants().MarkDead(kNoLimit, "acme", connected.grant_id, 1, "REFRESH_DEAD", kNow));
  EXPECT_THAT(Told(seen), ElementsAre("account.needs_reconnect REFRESH_DEAD",
                                      "account.needs_reconnect REFRESH_DEAD"));
  // Nothing that callers see changes by that.
  seen = Last();
  ASSERT_OK(store_->accounts().MarkNeedsReconnect(kNoLimit, "acme", connected.accounts[0].id(),
                                                  "REFRESH_DEAD", kNow));
  EXPECT_THAT(Told(seen), IsEmpty());
  // One is connected anew, the other one lives again.
  ASSERT_OK(Connect("b", "ann", {"p1"}));
  EXPECT_THAT(Told(seen),
              ElementsAre("account.updated connection status", "account.updated status"));

  seen = Last();
  const auto update = [&](const AccountStore::Change& change) {
    EXPECT_OK(
        store_->accounts().Update(kNoLimit, "acme", connected.accounts[0].id(), change, kNow));
  };
  update([](SocialAccount& account) {
    account.set_checked_at_ms(7);
    return absl::OkStatus();
  });
  EXPECT_THAT(Told(seen), IsEmpty());
  update([](SocialAccount& account) {
    account.set_username("another");
    account.set_display_name("another");
    account.set_avatar_url("another");
    account.add_missing_scopes("email");
    return absl::OkStatus();
  });
  EXPECT_THAT(Told(seen), ElementsAre("account.updated username display_name avatar_url scopes"));
}

TEST_F(EventStoreTest, TheConfirmationOfAnAccountFollowsItsStatus) {
  ASSERT_OK_AND_ASSIGN(const Connected connected, Connect("a", "ann", {"p1"}));
  const std::string& id = connected.accounts[0].id();
  const auto confirmed = [&] {
    return store_->accounts().Get(kNoLimit, "acme", id)->confirmed_at_ms();
  };
  EXPECT_EQ(confirmed(), absl::ToUnixMillis(kNow));
  ASSERT_OK(store_->accounts().MarkNeedsReconnect(kNoLimit, "acme", id, "REFRESH_DEAD", kNow));
  EXPECT_EQ(confirmed(), kNeverDue);
  const auto revive = [](SocialAccount& account) {
    account.set_status(record::v1::ACCOUNT_STATUS_ACTIVE);
    return absl::OkStatus();
  };
  ASSERT_OK(store_->accounts().Update(kNoLimit, "acme", id, revive, kNow + absl::Hours(1)));
  EXPECT_EQ(confirmed(), absl::ToUnixMillis(kNow + absl::Hours(1)));
}

TEST_F(EventStoreTest, WhatIsRemovedIsToldWithTheReason) {
  ASSERT_OK_AND_ASSIGN(const Connected one, Connect("a", "ann", {"p1", "p2"}));
  ASSERT_OK(Connect("b", "bob", {"p3"}, "leaving"));
  int64_t seen = Last();
  ASSERT_OK(store_->accounts().Delete(kNoLimit, "acme", one.accounts[0].id(), kNow));
  ASSERT_OK(store_->accounts().DeleteOfTenant(kNoLimit, "acme", "leaving", kNow, 10));
  ASSERT_OK(store_->accounts().DeleteOfConfiguration(kNoLimit, "acme", "acme-google", kNow, 10));
  EXPECT_THAT(Told(seen),
              ElementsAre("account.disconnected DELETED", "account.disconnected TENANT_DELETED",
                          "account.disconnected CONFIGURATION_DELETED"));
  const Event event = Page(seen).events[0].event;
  EXPECT_EQ(event.account_id(), one.accounts[0].id());
  EXPECT_EQ(event.network(), "google");
  EXPECT_EQ(event.social_network_id(), "acme-google");
  EXPECT_EQ(event.tenant_id(), "tenant");
}

TEST_F(EventStoreTest, AFlowThatFailsIsToldOnce) {
  Flow flow = TestFlow("a");
  flow.set_public_id("flow-of-a");
  ASSERT_OK(store_->flows().Spend(kNoLimit, flow, kNow));
  const absl::Status error =
      MakeError(absl::StatusCode::kPermissionDenied, "USER_DENIED", "the person said no");
  for (int i = 0; i < 2; ++i) {
    ASSERT_OK(store_->flows().Fail(kNoLimit, "acme", FlowId("a"), error, kNow));
  }
  ASSERT_THAT(Told(), ElementsAre("connection.failed USER_DENIED"));
  const Event event = Page().events[0].event;
  EXPECT_EQ(event.flow_id(), "flow-of-a");
  EXPECT_EQ(event.tenant_id(), "tenant");
  EXPECT_EQ(event.network(), "google");
  EXPECT_EQ(event.account_id(), "");
  // That it is forgotten is no news; what was handed out did not fail.
  ASSERT_OK(Spend("b"));
  ASSERT_OK(store_->flows().HandOut(kNoLimit, "acme", FlowId("b"), kNow));
  EXPECT_THAT(store_->flows().Purge(kNow + absl::Hours(48), 10), IsOkAndHolds(2));
  EXPECT_THAT(Told(), SizeIs(1));
}

TEST_F(EventStoreTest, AFlowThatCameToNoOutcomeIsToldWhenItIsForgotten) {
  ASSERT_OK(Spend("a"));
  ASSERT_OK(Spend("b", "other"));
  ASSERT_OK(store_->DeleteOrganization(kNoLimit, "other", kNow));
  EXPECT_THAT(store_->flows().Purge(kNow + absl::Hours(48), 10), IsOkAndHolds(2));
  EXPECT_THAT(Told(), ElementsAre("connection.failed COMPLETION_UNKNOWN"));
  EXPECT_EQ(Rows(), "0 flows, 0 grants, 0 social_accounts, 0 pending_connections");
}

TEST_F(EventStoreTest, AChoiceThatNobodyMadeIsAFlowThatFailed) {
  ASSERT_OK(Spend("a"));
  const TokenSet tokens = TestTokens("a");
  const std::vector<NewAccount> choices = {{TestAccount("p1"), ""}};
  ASSERT_OK(store_->pending_connections().Offer(kNoLimit, "acme", FlowId("a"), "session", {},
                                                {TestGrant("ann"), tokens}, choices, kNow));
  EXPECT_THAT(Told(), IsEmpty());
  ASSERT_OK(store_->pending_connections().Purge(kNow + absl::Hours(1), 10));
  EXPECT_THAT(Told(), ElementsAre("connection.failed SESSION_EXPIRED"));
}

TEST_F(EventStoreTest, ThereIsNoEventOfWhatWasNotDone) {
  DeafBackend& backend = ReopenOverDeafBackend();
  ASSERT_OK(Spend("a"));
  backend.refused_commits = 1;
  EXPECT_FALSE(Complete("a", TestGrant("ann"), {{TestAccount("p1"), ""}}).ok());
  EXPECT_THAT(Told(), IsEmpty());
  // What was done, and not heard of, is told once.
  backend.deaf_commits = 1;
  EXPECT_FALSE(Complete("a", TestGrant("ann"), {{TestAccount("p1"), ""}}).ok());
  ASSERT_OK(Complete("a", TestGrant("ann"), {{TestAccount("p1"), ""}}));
  EXPECT_THAT(Told(), ElementsAre("account.connected"));
}

TEST_F(EventStoreTest, PagesFollowEachOther) {
  ASSERT_OK(Connect("a", "ann", {"p1", "p2", "p3"}));
  std::vector<std::string> ids;
  int64_t after = 0;
  for (const bool has_more : {true, false}) {
    const EventPage page = Page(after, {.rows = 2});
    EXPECT_EQ(page.has_more, has_more);
    for (const NumberedEvent& each : page.events) ids.push_back(each.event.account_id());
    after = page.last;
  }
  EXPECT_THAT(ids, SizeIs(3));
  const EventPage none = Page(after, {.rows = 2});
  EXPECT_THAT(none.events, IsEmpty());
  EXPECT_EQ(none.last, after);
  EXPECT_THAT(Page(0, {.rows = 0}).events, IsEmpty());
  // By their bytes, too.
  const EventPage small = Page(0, {.rows = 10, .bytes = 1});
  EXPECT_THAT(small.events, SizeIs(1));
  EXPECT_TRUE(small.has_more);
}

TEST_F(EventStoreTest, WhoFollowsThemIsToldThatSomeAreGoneAndNeverWithoutReason) {
  ASSERT_OK(Connect("a", "ann", {"p1", "p2"}));
  const int64_t first = Page().events[0].number;
  const absl::Time later = kNow + kEventLifetime + absl::Seconds(1);
  EXPECT_THAT(store_->events().Purge(kNow + kEventLifetime, 10), IsOkAndHolds(0));
  EXPECT_THAT(store_->events().Purge(later, 10), IsOkAndHolds(2));
  // The last one is kept, so that numbers go on without a gap.
  EXPECT_THAT(store_->events().Purge(later, 10), IsOkAndHolds(0));
  EXPECT_THAT(Page().events, ElementsAre(::testing::Field(&NumberedEvent::number, first + 1)));
  EXPECT_THAT(Page(first).events, SizeIs(1));
  EXPECT_THAT(store_->events().List(kNoLimit, "acme", first - 1, {.rows = 10}),
              AllOf(StatusIs(absl::StatusCode::kOutOfRange, _), HasReason("EVENTS_EXPIRED")));
  // Long afterwards, for whoever has seen all of them.
  const absl::Time much_later = later + 2 * kEventLifetime;
  EXPECT_THAT(store_->events().Purge(much_later, 10), IsOkAndHolds(1));
  const int64_t seen = Last();
  EXPECT_EQ(seen, first + 1);
  ASSERT_OK(Connect("b", "bob", {"p3"}));
  EXPECT_THAT(Told(seen), ElementsAre("account.connected"));
}

// An older copy of the database is put back: what is new in it has ids of its own, and nobody
// follows on in silence.
TEST_F(EventStoreTest, NumbersOfEventsThatAreLostAreNotGivenAgain) {
  const std::string file = folder_.File("ring.rollback");
  const std::string kept = path_ + ".kept";
  ASSERT_OK(store_->StartRollbackCheck(file, kNow));
  ASSERT_OK(Connect("a", "ann", {"p1", "p2"}));
  const int64_t before = Last();
  store_.reset();
  std::filesystem::copy_file(path_, kept);
  Reopen();
  ASSERT_OK(store_->StartRollbackCheck(file, kNow));
  ASSERT_OK(Connect("b", "bob", {"p3", "p4", "p5"}));
  ASSERT_OK(Connect("c", "cat", {"p6"}, "tenant", "other"));
  ASSERT_OK(store_->AdvanceRollbackCheck());
  const int64_t lost = Last();
  ASSERT_EQ(lost, before + 3);
  const int64_t lost_of_other = Last("other");

  store_.reset();
  std::filesystem::copy_file(kept, path_, std::filesystem::copy_options::overwrite_existing);
  Reopen();
  const absl::Time later = kNow + absl::Minutes(1);
  ASSERT_OK_AND_ASSIGN(const RollbackCheck::Found found, store_->StartRollbackCheck(file, later));
  ASSERT_TRUE(found.is_older());
  EXPECT_EQ(Last(), before);
  // Even before there is something new.
  EXPECT_THAT(store_->events().List(kNoLimit, "acme", lost, {.rows = 10}),
              AllOf(StatusIs(absl::StatusCode::kOutOfRange, _), HasReason("EVENTS_EXPIRED")));
  ASSERT_OK(Connect("d", "dan", {"p7", "p8", "p9", "p10"}));
  ASSERT_OK(Connect("e", "eve", {"p11"}, "tenant", "other"));
  EXPECT_THAT(Last(), Ge(lost + 4));
  EXPECT_THAT(Last("other"), Gt(lost_of_other));
  const EventPage all = Page();
  ASSERT_THAT(all.events, SizeIs(6));
  EXPECT_EQ(all.events[1].number, before);
  EXPECT_THAT(all.events[2].number, Gt(lost));
  for (int64_t after = before + 1; after <= lost; ++after) {
    EXPECT_THAT(store_->events().List(kNoLimit, "acme", after, {.rows = 10}),
                HasReason("EVENTS_EXPIRED"));
  }
  // Whoever begins anew gets beyond, though a page may end in front of the gap.
  EXPECT_THAT(Page(before).events, SizeIs(4));
  // Whoever has no use for what is lost goes on behind it.
  ASSERT_OK_AND_ASSIGN(const EventPage behind,
                       store_->events().ListKept(kNoLimit, "acme", before, {.rows = 10}));
  EXPECT_THAT(behind.events, SizeIs(4));
  EXPECT_THAT(Page(all.last).events, IsEmpty());

  // Another start changes nothing.
  const int64_t last = Last();
  Reopen();
  ASSERT_OK(store_->StartRollbackCheck(file, later + absl::Hours(1)));
  ASSERT_OK(Connect("f", "fay", {"p12"}));
  EXPECT_EQ(Last(), last + 1);
}

TEST_F(EventStoreTest, NothingIsKnownBehindWhatThereIs) {
  EXPECT_THAT(store_->events().List(kNoLimit, "acme", 1, {.rows = 10}),
              HasReason("EVENTS_EXPIRED"));
  ASSERT_OK(Connect("a", "ann", {"p1"}));
  EXPECT_THAT(Page(Last()).events, IsEmpty());
  for (const int64_t after : {Last() + 1, kNeverDue}) {
    EXPECT_THAT(store_->events().List(kNoLimit, "acme", after, {.rows = 10}),
                HasReason("EVENTS_EXPIRED"));
  }
}

TEST_F(EventStoreTest, ThoseOfALaterOrganizationAreAboveThoseOfTheOneBefore) {
  ASSERT_OK(Connect("a", "ann", {"p1"}, "tenant", "other"));
  const int64_t before = Last("other");
  ASSERT_OK(store_->DeleteOrganization(kNoLimit, "other", kNow));
  EXPECT_THAT(Page(0, {.rows = 10}, "other").events, IsEmpty());
  while (PurgeOrganizations(*store_, 100).value_or(0) > 0) {
  }
  EXPECT_EQ(Last("other"), 0);
  const absl::Time later = kNow + absl::Minutes(1);
  ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("other")));
  ASSERT_OK(store_->flows().Spend(kNoLimit, TestFlow("b", "other"), later));
  ASSERT_OK(store_->flows().Fail(kNoLimit, "other", FlowId("b"), absl::CancelledError(), later));
  EXPECT_THAT(Last("other"), Gt(before));
}

TEST_F(EventStoreTest, OneThatIsDamagedIsCountedAndHidesNoOther) {
  ASSERT_OK(Connect("a", "ann", {"p1", "p2", "p3"}));
  const int64_t second = Page().events[1].number;
  store_.reset();
  RawDatabase(path_).Execute(
      absl::StrCat("UPDATE events SET whole = x'0101' WHERE number = ", second));
  Reopen();
  const EventPage page = Page();
  EXPECT_THAT(page.events, SizeIs(2));
  EXPECT_EQ(page.unreadable, 1);
  EXPECT_EQ(page.last, second + 1);
  EXPECT_THAT(store_->events().Get(kNoLimit, "acme", second),
              StatusIs(absl::StatusCode::kInternal, _));
  // Purged with the others.
  EXPECT_THAT(store_->events().Purge(kNow + 2 * kEventLifetime, 10), IsOkAndHolds(3));
  EXPECT_THAT(Page().events, SizeIs(1));
}

TEST_F(EventStoreTest, ListenersHearOfCommitsWithEventsAsLongAsTheyListen) {
  std::vector<std::string> heard;
  auto subscription =
      store_->events().Subscribe([&](absl::string_view org_id) { heard.emplace_back(org_id); });
  ASSERT_OK(Spend("a"));
  EXPECT_THAT(heard, IsEmpty());
  ASSERT_OK(Complete("a", TestGrant("ann"), {{TestAccount("p1"), ""}}));
  EXPECT_THAT(heard, ElementsAre("acme"));
  subscription.reset();
  ASSERT_OK(Connect("b", "bob", {"p2"}));
  EXPECT_THAT(heard, SizeIs(1));
}

}  // namespace
}  // namespace authurl::testing
