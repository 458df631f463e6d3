// Events are delivered to receivers that are down, that fail, hang, answer slowly or ask for time,
// over real connections, from a real database.
#include "server/flow/deliver_events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "core/crypto/webhook_signature.h"
#include "server/outbound/curl_client.h"
#include "server/outbound/outbound_metrics.h"
#include "tests/server/flow/stored_grant_fixture.h"
#include "tests/support/webhook_receiver.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::SizeIs;

using Delivery = WebhookReceiver::Delivery;

// Long enough for whatever is wrongly done to show.
constexpr absl::Duration kAWhile = absl::Milliseconds(100);

std::vector<std::string> IdsOf(const std::vector<Delivery>& deliveries) {
  std::vector<std::string> ids;
  for (const Delivery& delivery : deliveries) ids.push_back(delivery.id);
  return ids;
}

// The first delivery of each event is behind those of all earlier events of its account.
void ExpectInOrderPerAccount(const std::vector<Delivery>& taken) {
  std::map<std::string, std::string> last;
  std::set<std::string> seen;
  for (const Delivery& delivery : taken) {
    if (!seen.insert(delivery.id).second) continue;
    std::string& before = last[delivery.Data("accountId")];
    if (!delivery.Data("accountId").empty()) {
      EXPECT_LT(before, delivery.id);
    }
    before = delivery.id;
  }
}

class DeliverEventsTest : public StoredGrantTest {
 protected:
  static constexpr char kKey[] = "0123456789abcdef0123456789abcdef";

  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(StoredGrantTest::SetUp());
    outbound_.version = "1.2.3";
    outbound_.allow_local = true;
    outbound_metrics_.AddNetwork(kWebhookTarget);
  }
  void TearDown() override {
    Stop();
    StoredGrantTest::TearDown();
  }

  void Start() {
    ASSERT_OK_AND_ASSIGN(curl_, CurlClient::Start(outbound_, outbound_metrics_));
    deliverer_ =
        std::make_unique<EventDeliverer>(EventDeliverer::Tools{.http = *curl_,
                                                               .store = *store_,
                                                               .catalog = catalog_,
                                                               .clock = clock_,
                                                               .random = random_,
                                                               .metrics = webhook_metrics_},
                                         options_);
    deliverer_->Start();
  }
  void Stop() {
    if (deliverer_ != nullptr) deliverer_->BeginStop();
    if (curl_ != nullptr) curl_->Stop(absl::Now());
    deliverer_.reset();
    curl_.reset();
  }

  record::v1::Webhook Create(const std::string& url, const std::string& id = "wh_1",
                             const std::vector<std::string>& types = {},
                             const std::string& org_id = "acme") {
    record::v1::Webhook webhook;
    webhook.set_id(id);
    webhook.set_org_id(org_id);
    webhook.set_url(url);
    webhook.set_created_at_ms(now_ms_);
    webhook.mutable_event_types()->Assign(types.begin(), types.end());
    const auto created = store_->webhooks().Create(kNoLimit, webhook, kKey);
    EXPECT_OK(created);
    return created.ok() ? *created : webhook;
  }
  record::v1::Webhook Stored(const std::string& id = "wh_1") {
    const auto webhook = store_->webhooks().Get(kNoLimit, "acme", id);
    EXPECT_OK(webhook);
    return webhook.ok() ? *webhook : record::v1::Webhook();
  }
  // Nobody is at it.
  bool IsAtRest(const std::string& id = "wh_1") { return Stored(id).lease_holder().empty(); }

  // Three events of each of so many accounts, in turn.
  void MakeEvents(int accounts = 5) {
    std::vector<std::string> ids;
    for (int i = 0; i < accounts; ++i) ids.push_back(absl::StrCat("person-", i));
    Connect(Tokens("a"), ids);
    ASSERT_OK(store_->grants().MarkDead(kNoLimit, "acme", grant_id_, StoredGrant().generation(),
                                        "GRANT_REVOKED", Now()));
    Connect(Tokens("b"), ids);
  }
  // The ids of all events of the organisation.
  std::vector<std::string> AllEvents() {
    std::vector<std::string> ids;
    const auto page = store_->events().List(kNoLimit, "acme", 0, {.rows = 1000});
    EXPECT_OK(page);
    if (!page.ok()) return ids;
    for (const NumberedEvent& event : page->events) ids.push_back(EventIdOf(event.number));
    return ids;
  }
  void ExpectAllTaken(const WebhookReceiver& receiver) {
    const std::vector<std::string> events = AllEvents();
    EXPECT_TRUE(Eventually([&] {
      const std::vector<std::string> ids = IdsOf(receiver.taken());
      const std::set<std::string> taken(ids.begin(), ids.end());
      return std::all_of(events.begin(), events.end(),
                         [&](const std::string& id) { return taken.contains(id); });
    }));
    ExpectInOrderPerAccount(receiver.taken());
  }
  // Lets time go by, in steps that the deliverer sees.
  void Pass(absl::Duration time, absl::Duration step = absl::Seconds(20)) {
    for (absl::Duration gone; gone < time; gone += step) {
      Advance(step);
      absl::SleepFor(3 * options_.poll_interval);
      ASSERT_TRUE(Eventually([&] { return IsAtRest(); }));
    }
  }

  CurlClient::Options outbound_;
  EventDeliverer::Options options_ = {.poll_interval = absl::Milliseconds(4),
                                      .walk_interval = absl::Milliseconds(200)};
  OutboundMetrics outbound_metrics_;
  WebhookMetrics webhook_metrics_;
  std::unique_ptr<CurlClient> curl_;
  std::unique_ptr<EventDeliverer> deliverer_;
};

TEST_F(DeliverEventsTest, DeliversWhatHappensSignedAndInOrder) {
  WebhookReceiver receiver;
  Create(receiver.Url());
  Start();
  MakeEvents(1);
  ASSERT_TRUE(receiver.WaitForTaken(3));
  EXPECT_THAT(IdsOf(receiver.taken()), AllEvents());
  const std::vector<Delivery> taken = receiver.taken();
  EXPECT_EQ(taken[0].type(), "account.connected");
  EXPECT_EQ(taken[1].type(), "account.needs_reconnect");
  EXPECT_EQ(taken[2].type(), "account.updated");
  EXPECT_EQ(
      taken[0].body,
      absl::StrCat(R"({"type":"account.connected","timestamp":"2027-01-15T08:00:00.000Z","data":{)",
                   R"("id":")", taken[0].id,
                   R"(","type":"account.connected","createdAt":"2027-01-15T08:00:00.000Z",)",
                   R"("accountId":")", account_id_,
                   R"(","socialNetworkId":"sn_1","network":"net","tenantId":"tenant",)",
                   R"("message":"An account of Net was connected"}})"));
  EXPECT_EQ(taken[1].Data("reason"), "GRANT_REVOKED");
  EXPECT_EQ(taken[1].Data("message"),
            "The connection to Net no longer works. The person must connect again");
  for (const Delivery& delivery : taken) {
    EXPECT_EQ(delivery.timestamp, absl::StrCat(absl::ToUnixSeconds(Now())));
    EXPECT_EQ(delivery.signature, WebhookSignatures({absl::string_view(kKey)}, delivery.id,
                                                    absl::ToUnixSeconds(Now()), delivery.body));
    EXPECT_THAT(delivery.request, AllOf(HasSubstr("POST /hook HTTP/1.1\r\n"),
                                        HasSubstr("\r\nContent-Type: application/json\r\n"),
                                        HasSubstr("\r\nUser-Agent: authurl/1.2.3\r\n")));
  }
  ASSERT_TRUE(Eventually([&] { return IsAtRest(); }));
  const record::v1::Webhook stored = Stored();
  EXPECT_EQ(EventIdOf(stored.delivered_up_to()), taken[2].id);
  EXPECT_THAT(stored.delivered_beyond(), IsEmpty());
  EXPECT_EQ(stored.due_at_ms(), kDueWithEvents);
  EXPECT_EQ(stored.last_success_at_ms(), now_ms_);
  // Nothing comes twice where nothing failed.
  absl::SleepFor(kAWhile);
  EXPECT_THAT(receiver.received(), SizeIs(3));
}

TEST_F(DeliverEventsTest, WhatHappenedBeforeItWasMadeIsNotDelivered) {
  WebhookReceiver receiver;
  MakeEvents(1);
  Create(receiver.Url());
  Start();
  absl::SleepFor(kAWhile);
  EXPECT_THAT(receiver.received(), IsEmpty());
  MakeEvents(1);
  ASSERT_TRUE(receiver.WaitForTaken(2));
}

TEST_F(DeliverEventsTest, DeliversTheTypesThatAreWanted) {
  WebhookReceiver some;
  WebhookReceiver all;
  Create(some.Url(), "wh_1", {"account.needs_reconnect"});
  Create(all.Url(), "wh_2");
  Start();
  MakeEvents(2);
  ExpectAllTaken(all);
  ASSERT_TRUE(some.WaitForTaken(2));
  absl::SleepFor(kAWhile);
  EXPECT_THAT(some.received(), SizeIs(2));
  for (const Delivery& delivery : some.received()) {
    EXPECT_EQ(delivery.type(), "account.needs_reconnect");
  }
}

TEST_F(DeliverEventsTest, NothingIsLostWhileAReceiverIsDownForAnHour) {
  WebhookReceiver receiver;
  receiver.AnswerBy([](const Delivery&) { return ""; });
  Create(receiver.Url());
  Start();
  MakeEvents();
  // The time is that of the first failure.
  ASSERT_TRUE(Eventually([&] { return Stored().failures() == 1; }));
  ASSERT_NO_FATAL_FAILURE(Pass(absl::Hours(1)));
  // It is left alone for longer and longer: 16 the first time, then three at a time.
  const size_t while_down = receiver.received().size();
  EXPECT_THAT(while_down, AllOf(Ge(10), Le(45)));
  const record::v1::Webhook failing = Stored();
  EXPECT_THAT(failing.failures(), AllOf(Ge(4), Le(7)));
  EXPECT_EQ(failing.disabled_reason(), "");
  EXPECT_THAT(failing.last_failure(), HasSubstr("127.0.0.1 ended the connection"));
  EXPECT_EQ(failing.first_failed_at_ms(), absl::ToUnixMillis(kStart));

  receiver.TakeAll();
  ASSERT_NO_FATAL_FAILURE(Pass(absl::Minutes(70)));
  ExpectAllTaken(receiver);
  EXPECT_THAT(receiver.taken(), SizeIs(AllEvents().size()));
  EXPECT_EQ(Stored().failures(), 0);
  EXPECT_EQ(Stored().first_failed_at_ms(), 0);
}

TEST_F(DeliverEventsTest, ReceiversThatRefuseAreTriedAgain) {
  for (const int status : {500, 503, 400, 301, 302, 307, 308}) {
    SCOPED_TRACE(status);
    WebhookReceiver receiver;
    receiver.AnswerWith(status, "Location: https://elsewhere.example/\r\n");
    const std::string id = absl::StrCat("wh_", status);
    Create(receiver.Url(), id);
    Start();
    MakeEvents(2);
    ASSERT_TRUE(Eventually([&] { return Stored(id).failures() == 1; }));
    EXPECT_THAT(Stored(id).last_failure(),
                HasSubstr(absl::StrCat("answered with the status ", status)));
    // Not before its time.
    const size_t before = receiver.received().size();
    absl::SleepFor(kAWhile);
    EXPECT_THAT(receiver.received(), SizeIs(before));
    receiver.TakeAll();
    Advance(absl::Seconds(6));
    ASSERT_TRUE(Eventually([&] { return Stored(id).failures() == 0 && IsAtRest(id); }));
    ExpectInOrderPerAccount(receiver.taken());
    EXPECT_THAT(receiver.taken().size(), Ge(4u));
    Stop();
    ASSERT_OK(store_->webhooks().Delete(kNoLimit, "acme", id));
  }
}

TEST_F(DeliverEventsTest, RetryAfterIsHeeded) {
  WebhookReceiver receiver;
  receiver.AnswerWith(429, "Retry-After: 600\r\n");
  Create(receiver.Url());
  Start();
  MakeEvents(1);
  ASSERT_TRUE(Eventually([&] { return Stored().failures() == 1; }));
  EXPECT_EQ(Stored().due_at_ms(), now_ms_ + 600'000);
  receiver.TakeAll();
  Advance(absl::Seconds(599));
  MakeEvents(1);
  absl::SleepFor(kAWhile);
  EXPECT_THAT(receiver.taken(), IsEmpty());
  Advance(absl::Seconds(2));
  ExpectAllTaken(receiver);
}

TEST_F(DeliverEventsTest, ReceiversThatHangHoldUpNobody) {
  outbound_.timeout = absl::Seconds(2);
  WebhookReceiver hanging;
  WebhookReceiver good;
  hanging.Hang();
  for (int i = 0; i < 10; ++i) Create(hanging.Url(), absl::StrCat("wh_h", i));
  record::v1::Organization other;
  other.set_org_id("other");
  ASSERT_OK(store_->CreateOrganization(kNoLimit, other));
  options_.max_deliveries = 40;  // Of which those that hang get no more than 32.
  Create(good.Url());
  Start();
  const absl::Time begun = absl::Now();
  MakeEvents(8);
  ExpectAllTaken(good);
  // That of the same organisation waits for its share at the most.
  EXPECT_LT(absl::Now() - begun, absl::Seconds(20));
  ASSERT_TRUE(Eventually([&] { return Stored("wh_h0").failures() == 1; }));
  EXPECT_THAT(Stored("wh_h0").last_failure(), HasSubstr("did not answer in time"));
  hanging.TakeAll();
  Advance(absl::Seconds(6));
  EXPECT_TRUE(Eventually([&] { return Stored("wh_h0").failures() == 0; }));
}

TEST_F(DeliverEventsTest, SlowReceiversGetEverythingInOrder) {
  WebhookReceiver receiver;
  receiver.AnswerBy([](const Delivery&) {
    absl::SleepFor(absl::Milliseconds(20));
    return "HTTP/1.1 204 No Content\r\n\r\n";
  });
  Create(receiver.Url());
  Start();
  for (int i = 0; i < 3; ++i) MakeEvents(30);
  ExpectAllTaken(receiver);
  EXPECT_THAT(receiver.received(), SizeIs(AllEvents().size()));
}

TEST_F(DeliverEventsTest, OneThatIsGoneIsDisabledAtOnce) {
  WebhookReceiver gone;
  WebhookReceiver other;
  gone.AnswerWith(410);
  Create(gone.Url(), "wh_1");
  Create(other.Url(), "wh_2", {"webhook.disabled"});
  Start();
  MakeEvents(1);
  ASSERT_TRUE(other.WaitForTaken(1));
  EXPECT_EQ(other.taken()[0].Data("webhookId"), "wh_1");
  EXPECT_EQ(other.taken()[0].Data("reason"), "GONE");
  EXPECT_EQ(Stored().disabled_reason(), "GONE");
  EXPECT_EQ(Stored().due_at_ms(), kNeverDue);
  const size_t received = gone.received().size();
  Advance(absl::Hours(3));
  MakeEvents(1);
  absl::SleepFor(kAWhile);
  EXPECT_THAT(gone.received(), SizeIs(received));
}

TEST_F(DeliverEventsTest, OneThatFailsForThreeDaysIsDisabledAndGoesOnWhereItStood) {
  WebhookReceiver receiver;
  WebhookReceiver other;
  receiver.AnswerWith(500);
  Create(receiver.Url(), "wh_1", {"account.connected", "account.updated"});
  Create(other.Url(), "wh_2", {"webhook.disabled"});
  Start();
  MakeEvents(1);
  ASSERT_TRUE(Eventually([&] { return Stored().failures() == 1; }));
  ASSERT_NO_FATAL_FAILURE(Pass(absl::Hours(71), absl::Minutes(30)));
  EXPECT_EQ(Stored().disabled_reason(), "");
  EXPECT_THAT(other.taken(), IsEmpty());
  // Twice the longest pause: on a busy machine an attempt may be a step late.
  ASSERT_NO_FATAL_FAILURE(Pass(absl::Hours(4), absl::Minutes(30)));
  EXPECT_EQ(Stored().disabled_reason(), "DELIVERY_FAILED");
  ASSERT_TRUE(other.WaitForTaken(1));
  EXPECT_EQ(other.taken()[0].Data("reason"), "DELIVERY_FAILED");

  MakeEvents(1);
  receiver.TakeAll();
  absl::SleepFor(kAWhile);
  EXPECT_THAT(receiver.taken(), IsEmpty());
  ASSERT_OK(store_->webhooks().Update(kNoLimit, "acme", "wh_1", Now(), [](auto& webhook) {
    webhook.clear_disabled_reason();
    return absl::OkStatus();
  }));
  deliverer_->NoteChange("acme", "wh_1");
  ASSERT_TRUE(receiver.WaitForTaken(3));
  ExpectInOrderPerAccount(receiver.taken());
}

TEST_F(DeliverEventsTest, OneEventThatIsRefusedHoldsUpItsAccountAlone) {
  WebhookReceiver receiver;
  std::atomic<bool> takes_all = false;
  std::string refused;
  Create(receiver.Url());
  MakeEvents(4);
  refused = account_ids_[1];
  receiver.AnswerBy([&](const Delivery& delivery) -> std::string {
    if (delivery.Data("accountId") == refused && !takes_all) {
      return "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n";
    }
    return "HTTP/1.1 204 No Content\r\n\r\n";
  });
  Start();
  ASSERT_TRUE(receiver.WaitForTaken(9));
  ASSERT_TRUE(Eventually([&] { return Stored().failures() == 1 && IsAtRest(); }));
  EXPECT_THAT(receiver.received(), SizeIs(10));
  EXPECT_THAT(Stored().delivered_beyond().size(), Ge(8));
  // What is new goes on beside it.
  Advance(absl::Seconds(6));
  Connect(Tokens("c"), {"another"});
  ASSERT_TRUE(Eventually([&] {
    Advance(absl::Seconds(1));
    return receiver.taken().size() >= 10;
  }));
  takes_all = true;
  ASSERT_NO_FATAL_FAILURE(Pass(absl::Minutes(3)));
  ExpectAllTaken(receiver);
  EXPECT_THAT(receiver.taken(), SizeIs(AllEvents().size()));
  EXPECT_THAT(Stored().delivered_beyond(), IsEmpty());
}

// It is the only one there is when it is refused, and is refused again and again.
TEST_F(DeliverEventsTest, OneEventThatIsRefusedDelaysNoOtherAccount) {
  WebhookReceiver receiver;
  std::atomic<bool> takes_all = false;
  Create(receiver.Url());
  Connect(Tokens("a"), {"refused"});
  const std::string refused = account_id_;
  receiver.AnswerBy([&](const Delivery& delivery) -> std::string {
    if (delivery.Data("accountId") == refused && !takes_all) {
      return "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n";
    }
    return "HTTP/1.1 204 No Content\r\n\r\n";
  });
  Start();
  for (int failures = 1; failures <= 4; ++failures) {
    ASSERT_TRUE(Eventually([&] { return Stored().failures() == failures && IsAtRest(); }));
    if (failures < 4) Advance(failures == 1 ? absl::Seconds(6) : absl::Minutes(3));
  }
  EXPECT_THAT(receiver.received(), SizeIs(4));
  // While that waits for ten minutes no time has to go by for the others,
  for (size_t i = 1; i <= 5; ++i) {
    Connect(Tokens("b"), {absl::StrCat("other-", i)});
    ASSERT_TRUE(receiver.WaitForTaken(i));
  }
  ASSERT_TRUE(Eventually([&] { return IsAtRest(); }));
  absl::SleepFor(kAWhile);
  // and it is not tried more often.
  EXPECT_THAT(receiver.received(), SizeIs(9));
  EXPECT_EQ(Stored().failures(), 4);
  EXPECT_EQ(Stored().first_failed_at_ms(), absl::ToUnixMillis(kStart));
  ASSERT_THAT(Stored().refused(), SizeIs(1));
  EXPECT_EQ(Stored().refused(0).line(), refused);
  // More of the same account wait behind it.
  Connect(Tokens("c"), {"refused"});
  absl::SleepFor(kAWhile);
  EXPECT_THAT(receiver.received(), SizeIs(9));
  takes_all = true;
  Advance(absl::Minutes(12));
  ExpectAllTaken(receiver);
  ASSERT_TRUE(Eventually([&] { return Stored().failures() == 0 && IsAtRest(); }));
  EXPECT_THAT(Stored().refused(), IsEmpty());
  EXPECT_THAT(Stored().delivered_beyond(), IsEmpty());
  EXPECT_THAT(receiver.taken(), SizeIs(AllEvents().size()));
}

// One after the other, with nothing that is taken between them.
TEST_F(DeliverEventsTest, AReceiverThatRefusesEverythingIsLeftAlone) {
  WebhookReceiver receiver;
  receiver.AnswerWith(500);
  Create(receiver.Url());
  Start();
  for (size_t i = 1; i <= 3; ++i) {
    Connect(Tokens("a"), {absl::StrCat("person-", i)});
    ASSERT_TRUE(receiver.WaitForReceived(i));
    ASSERT_TRUE(Eventually([&] { return IsAtRest(); }));
  }
  for (int i = 4; i <= 20; ++i) Connect(Tokens("a"), {absl::StrCat("person-", i)});
  absl::SleepFor(kAWhile);
  EXPECT_THAT(receiver.received(), SizeIs(3));
  receiver.TakeAll();
  Advance(absl::Seconds(6));
  ExpectAllTaken(receiver);
}

TEST_F(DeliverEventsTest, WhatIsRefusedIsTriedAgainAlsoWithTooMuchDeliveredBehindIt) {
  WebhookReceiver receiver;
  Create(receiver.Url());
  MakeEvents(1);
  const int64_t last = *EventNumberOf(AllEvents().back());
  std::vector<int64_t> beyond(kMaxDeliveredBeyond);
  for (size_t i = 0; i < beyond.size(); ++i) beyond[i] = last + 1 + static_cast<int64_t>(i);
  ASSERT_OK(store_->webhooks().TakeLease(kNoLimit, "acme", "wh_1", "killed", Now()));
  ASSERT_OK(store_->webhooks().StoreProgress(
      kNoLimit, "acme", "wh_1", "killed", {.delivered_up_to = last - 1, .delivered_beyond = beyond},
      std::nullopt, Now()));
  Advance(kDeliveryLease);
  Start();
  ASSERT_TRUE(receiver.WaitForTaken(1));
  EXPECT_THAT(IdsOf(receiver.taken()), ElementsAre(EventIdOf(last)));
}

TEST_F(DeliverEventsTest, AClockThatWasAheadHoldsUpNothing) {
  constexpr absl::Duration kYear = absl::Hours(24 * 365);
  WebhookReceiver failed;
  WebhookReceiver killed;
  failed.AnswerWith(503);
  Create(failed.Url(), "wh_1");
  Create(killed.Url(), "wh_2");
  Advance(kYear);
  ASSERT_OK(store_->webhooks().TakeLease(kNoLimit, "acme", "wh_2", "killed", Now()));
  Start();
  MakeEvents(1);
  ASSERT_TRUE(Eventually([&] { return Stored("wh_1").failures() == 1 && IsAtRest("wh_1"); }));
  EXPECT_THAT(killed.received(), IsEmpty());
  failed.TakeAll();
  // Without anything that is new.
  Advance(-kYear);
  ExpectAllTaken(failed);
  ExpectAllTaken(killed);
  EXPECT_TRUE(Eventually([&] { return Stored("wh_1").failures() == 0; }));
}

// As after an older copy of the database was put back.
TEST_F(DeliverEventsTest, BehindAGapItGoesOnAndNotFromTheStart) {
  WebhookReceiver receiver;
  MakeEvents(1);
  Create(receiver.Url());
  ASSERT_OK(store_->events().SkipLostNumbers(Now() + absl::Hours(1)));
  Start();
  const size_t before = AllEvents().size();
  MakeEvents(2);
  const std::vector<std::string> all = AllEvents();
  ASSERT_TRUE(receiver.WaitForTaken(all.size() - before));
  absl::SleepFor(kAWhile);
  EXPECT_THAT(receiver.received(), SizeIs(all.size() - before));
  EXPECT_THAT(IdsOf(receiver.taken()), Each(Ge(all[before])));
}

TEST_F(DeliverEventsTest, ALargeOrSlowBodyBehindA200IsNone) {
  WebhookReceiver receiver;
  const std::string large(size_t{2} << 20, 'a');
  receiver.AnswerBy([&](const Delivery& delivery) {
    // One that has no end, or a large one.
    return delivery.type() == "account.connected"
               ? std::string("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\na")
               : absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length: ", large.size(), "\r\n\r\n",
                              large);
  });
  Create(receiver.Url());
  Start();
  MakeEvents(1);
  ExpectAllTaken(receiver);
  ASSERT_TRUE(Eventually(
      [&] { return IsAtRest() && EventIdOf(Stored().delivered_up_to()) == AllEvents().back(); }));
  EXPECT_EQ(Stored().failures(), 0);
  EXPECT_EQ(Stored().last_failure(), "");
  EXPECT_THAT(receiver.received(), SizeIs(3));
}

TEST_F(DeliverEventsTest, WhatHappenedWhileNobodyDeliveredIsFoundAtTheStart) {
  WebhookReceiver receiver;
  Create(receiver.Url());
  MakeEvents();
  Start();
  ExpectAllTaken(receiver);
}

TEST_F(DeliverEventsTest, StoppingLosesNothing) {
  WebhookReceiver receiver;
  receiver.AnswerBy([](const Delivery&) {
    absl::SleepFor(absl::Milliseconds(3));
    return "HTTP/1.1 204 No Content\r\n\r\n";
  });
  Create(receiver.Url());
  for (int round = 0; round < 4; ++round) {
    Start();
    MakeEvents(10);
    receiver.WaitForTaken(receiver.taken().size() + 5);
    Stop();
    // It is nobody's then, and nothing of it counts against the receiver.
    EXPECT_TRUE(IsAtRest());
    EXPECT_EQ(Stored().failures(), 0);
  }
  Start();
  ExpectAllTaken(receiver);
}

TEST_F(DeliverEventsTest, WhereAHolderWasKilledAnotherGoesOn) {
  WebhookReceiver receiver;
  Create(receiver.Url());
  ASSERT_OK(store_->webhooks().TakeLease(kNoLimit, "acme", "wh_1", "killed", Now()));
  Start();
  MakeEvents(1);
  absl::SleepFor(kAWhile);
  EXPECT_THAT(receiver.received(), IsEmpty());
  Advance(kDeliveryLease);
  ExpectAllTaken(receiver);
}

TEST_F(DeliverEventsTest, WhatCouldNotBeStoredIsDeliveredAgain) {
  WebhookReceiver receiver;
  Create(receiver.Url());
  MakeEvents(2);
  receiver.AnswerBy([&](const Delivery&) {
    backend_->FailCommits(1, StorageUnavailable("disk"));
    return "HTTP/1.1 204 No Content\r\n\r\n";
  });
  Start();
  ASSERT_TRUE(receiver.WaitForTaken(6));
  absl::SleepFor(kAWhile);
  receiver.TakeAll();
  Advance(kDeliveryLease);
  ASSERT_TRUE(Eventually([&] { return IsAtRest() && Stored().due_at_ms() == kDueWithEvents; }));
  ExpectAllTaken(receiver);
}

TEST_F(DeliverEventsTest, DeletedAndDisabledOnesGetNothingMore) {
  for (const bool is_deleted : {true, false}) {
    SCOPED_TRACE(is_deleted);
    WebhookReceiver receiver;
    const std::string id = is_deleted ? "wh_1" : "wh_2";
    Create(receiver.Url(), id);
    std::atomic<bool> is_over = false;
    std::atomic<size_t> until_then = 0;
    receiver.AnswerBy([&](const Delivery&) {
      if (!is_over.exchange(true)) {
        if (is_deleted) {
          EXPECT_OK(store_->webhooks().Delete(kNoLimit, "acme", id));
        } else {
          EXPECT_OK(store_->webhooks().Update(kNoLimit, "acme", id, Now(), [](auto& webhook) {
            webhook.set_disabled_reason(std::string(kDisabledByCaller));
            return absl::OkStatus();
          }));
        }
        deliverer_->NoteChange("acme", id);
        until_then = receiver.received().size();
      }
      return "HTTP/1.1 204 No Content\r\n\r\n";
    });
    MakeEvents(30);
    Start();
    ASSERT_TRUE(Eventually([&] { return until_then > 0; }));
    absl::SleepFor(kAWhile);
    // Those that were under way, of ninety.
    EXPECT_THAT(receiver.received().size(), Le(until_then + 16));
    EXPECT_THAT(receiver.received().size(), Le(80u));
    Stop();
  }
}

TEST_F(DeliverEventsTest, WebhooksOfADeletedOrganizationGetNothing) {
  WebhookReceiver receiver;
  receiver.AnswerWith(500);
  Create(receiver.Url());
  Start();
  MakeEvents(1);
  ASSERT_TRUE(Eventually([&] { return Stored().failures() == 1; }));
  receiver.TakeAll();
  ASSERT_OK(store_->DeleteOrganization(kNoLimit, "acme", Now()));
  Advance(absl::Hours(3));
  absl::SleepFor(kAWhile);
  EXPECT_THAT(receiver.taken(), IsEmpty());
}

TEST_F(DeliverEventsTest, EventsAreReplayed) {
  WebhookReceiver receiver;
  Create(receiver.Url());
  Start();
  MakeEvents(3);
  ExpectAllTaken(receiver);
  ASSERT_TRUE(Eventually([&] { return IsAtRest(); }));
  const std::vector<std::string> events = AllEvents();
  const size_t before = receiver.taken().size();
  const std::vector<int64_t> numbers = {*EventNumberOf(events[4]), *EventNumberOf(events[1])};
  ASSERT_OK(store_->webhooks().AddReplays(kNoLimit, "acme", "wh_1", numbers, Now()));
  deliverer_->NoteNews("acme");
  ASSERT_TRUE(receiver.WaitForTaken(before + 2));
  const std::vector<std::string> ids = IdsOf(receiver.taken());
  EXPECT_THAT(std::vector<std::string>(ids.end() - 2, ids.end()),
              AnyOf(ElementsAre(events[1], events[4]), ElementsAre(events[4], events[1])));
  ASSERT_TRUE(Eventually([&] { return IsAtRest(); }));
  EXPECT_THAT(Stored().replays(), IsEmpty());
  absl::SleepFor(kAWhile);
  EXPECT_THAT(receiver.taken(), SizeIs(before + 2));
}

// What waits to be delivered comes in its turn, whoever asks for it again.
TEST_F(DeliverEventsTest, AReplayOfWhatWaitsDoesNotComeFirst) {
  WebhookReceiver receiver;
  receiver.AnswerBy([](const Delivery&) { return ""; });
  Create(receiver.Url());
  Start();
  MakeEvents(1);
  const std::vector<std::string> events = AllEvents();
  ASSERT_TRUE(Eventually([&] { return Stored().failures() == 1 && IsAtRest(); }));
  ASSERT_OK(store_->webhooks().AddReplays(kNoLimit, "acme", "wh_1", {*EventNumberOf(events.back())},
                                          Now()));
  receiver.TakeAll();
  Advance(absl::Seconds(6));
  ASSERT_TRUE(receiver.WaitForTaken(events.size()));
  ASSERT_TRUE(Eventually([&] { return IsAtRest() && Stored().due_at_ms() == kDueWithEvents; }));
  EXPECT_EQ(IdsOf(receiver.taken()), events);
  EXPECT_THAT(Stored().replays(), IsEmpty());
}

TEST_F(DeliverEventsTest, BothKeysSignUntilTheOverlapIsOver) {
  WebhookReceiver receiver;
  Create(receiver.Url());
  const std::string next(32, 'n');
  ASSERT_OK(store_->webhooks().RotateKey(kNoLimit, "acme", "wh_1", next, absl::Hours(1), Now()));
  Start();
  Connect(Tokens("a"), {"one"});
  ASSERT_TRUE(receiver.WaitForTaken(1));
  const Delivery first = receiver.taken()[0];
  EXPECT_EQ(first.signature, WebhookSignatures({absl::string_view(next), absl::string_view(kKey)},
                                               first.id, absl::ToUnixSeconds(Now()), first.body));
  ASSERT_TRUE(Eventually([&] { return IsAtRest(); }));
  Advance(absl::Hours(1));
  Connect(Tokens("a"), {"two"});
  ASSERT_TRUE(receiver.WaitForTaken(2));
  const Delivery second = receiver.taken()[1];
  EXPECT_EQ(second.signature, WebhookSignatures({absl::string_view(next)}, second.id,
                                                absl::ToUnixSeconds(Now()), second.body));
}

TEST_F(DeliverEventsTest, AddressesThatAreNotPublicAreNotCalled) {
  outbound_.allow_local = false;
  WebhookReceiver receiver;
  Create("https://10.0.0.1/hook");
  Create(receiver.Url(), "wh_2");
  Create("https://169.254.169.254/latest/meta-data", "wh_3");
  Start();
  MakeEvents(1);
  for (const char* id : {"wh_1", "wh_3"}) {
    ASSERT_TRUE(Eventually([&] { return Stored(id).failures() == 1; }));
    EXPECT_THAT(Stored(id).last_failure(), HasSubstr("it has no public address"));
  }
  ASSERT_TRUE(Eventually([&] { return Stored("wh_2").failures() == 1; }));
  EXPECT_THAT(Stored("wh_2").last_failure(), HasSubstr("its URL is not https"));
  EXPECT_THAT(receiver.received(), IsEmpty());
}

TEST_F(DeliverEventsTest, ManyWebhooksOfManyOrganizationsGetTheirOwnEventsOnly) {
  WebhookReceiver acme;
  WebhookReceiver other;
  record::v1::Organization organization;
  organization.set_org_id("other");
  ASSERT_OK(store_->CreateOrganization(kNoLimit, organization));
  for (int i = 0; i < kMaxWebhooks; ++i) Create(acme.Url(), absl::StrCat("wh_", i));
  Create(other.Url(), "wh_1", {}, "other");
  Start();
  MakeEvents(4);
  ASSERT_TRUE(acme.WaitForTaken(12 * kMaxWebhooks));
  absl::SleepFor(kAWhile);
  EXPECT_THAT(acme.received(), SizeIs(12 * kMaxWebhooks));
  EXPECT_THAT(other.received(), IsEmpty());
}

TEST_F(DeliverEventsTest, MetricsTellHowItGoes) {
  WebhookReceiver receiver;
  receiver.AnswerWith(500);
  Create(receiver.Url());
  Start();
  MakeEvents(1);
  ASSERT_TRUE(Eventually([&] { return Stored().failures() == 1; }));
  Advance(absl::Seconds(3));
  const auto value = [&](const std::string& name) {
    for (const auto& family : webhook_metrics_.Collect()) {
      if (family.name == name) return family.metric.at(0).gauge.value;
    }
    return -1.0;
  };
  EXPECT_TRUE(Eventually([&] { return value("authurl_webhooks_failing") == 1; }));
  EXPECT_TRUE(Eventually([&] { return value("authurl_webhook_longest_failing_seconds") == 3; }));
  receiver.TakeAll();
  Advance(absl::Seconds(3));
  EXPECT_TRUE(Eventually([&] { return value("authurl_webhooks_failing") == 0; }));
}

}  // namespace
}  // namespace authurl::testing
