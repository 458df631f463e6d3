#include "storage/webhook_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/errors.h"
#include "storage/event_store.h"
#include "tests/storage/connections_fixture.h"

namespace authurl::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using record::v1::Webhook;
using Result = WebhookStore::LeaseResult;

class WebhookStoreTest : public ConnectionsTest {
 protected:
  WebhookStore& Webhooks() { return store_->webhooks(); }

  absl::StatusOr<Webhook> Create(const std::string& id = "wh_1", const std::string& org = "acme") {
    Webhook webhook;
    webhook.set_id(id);
    webhook.set_org_id(org);
    webhook.set_url("https://hooks.example/");
    return Webhooks().Create(kNoLimit, webhook, std::string(32, 'k'));
  }
  Webhook Stored(const std::string& id = "wh_1") {
    const auto webhook = Webhooks().Get(kNoLimit, "acme", id);
    EXPECT_OK(webhook);
    return webhook.value_or(Webhook());
  }
  std::vector<std::string> Keys(absl::Time now) {
    std::vector<std::string> keys;
    const auto opened = Webhooks().GetWithKeys(kNoLimit, "acme", "wh_1", now);
    EXPECT_OK(opened);
    if (!opened.ok()) return keys;
    for (const absl::string_view key : opened->keys.views()) keys.emplace_back(key);
    return keys;
  }
  absl::Status Rotate(char key, absl::Duration overlap, absl::Time now = kNow) {
    return Webhooks()
        .RotateKey(kNoLimit, "acme", "wh_1", std::string(32, key), overlap, now)
        .status();
  }
  Result Take(const std::string& holder, absl::Time now = kNow) {
    const auto lease = Webhooks().TakeLease(kNoLimit, "acme", "wh_1", holder, now);
    EXPECT_OK(lease);
    return lease.ok() ? lease->result : Result::kNotDue;
  }
  absl::StatusOr<Webhook> Store(const std::string& holder, const DeliveryProgress& progress,
                                const std::optional<DeliveryEnd>& end = {}, absl::Time now = kNow) {
    return Webhooks().StoreProgress(kNoLimit, "acme", "wh_1", holder, progress, end, now);
  }
  static DeliveryEnd Failed(int32_t in_a_row, absl::Time due_at) {
    DeliveryEnd end;
    end.url = "https://hooks.example/";
    end.due_at = due_at;
    end.failure = DeliveryEnd::Failure{.in_a_row = in_a_row,
                                       .first_at = kNow,
                                       .first_number = 7,
                                       .last_at = kNow,
                                       .last = "it was down"};
    return end;
  }
  static DeliveryEnd Done() {
    DeliveryEnd end;
    end.url = "https://hooks.example/";
    return end;
  }
  int64_t LastEvent() { return store_->events().Last(kNoLimit, "acme").value_or(-1); }
};

TEST_F(WebhookStoreTest, BeginsBehindWhatHappenedBefore) {
  ASSERT_OK(Connect("a", "ann", {"p1"}));
  ASSERT_OK_AND_ASSIGN(const Webhook created, Create());
  EXPECT_EQ(created.delivered_up_to(), LastEvent());
  EXPECT_GT(LastEvent(), 0);
  EXPECT_EQ(Stored().due_at_ms(), kDueWithEvents);
}

TEST_F(WebhookStoreTest, AnOrganizationHasSoManyAndNoMore) {
  for (int i = 0; i < kMaxWebhooks; ++i) ASSERT_OK(Create(absl::StrCat("wh_", i)));
  EXPECT_THAT(Create("wh_more").status(), HasReason("TOO_MANY_WEBHOOKS"));
  EXPECT_OK(Create("wh_1", "other"));
  ASSERT_OK_AND_ASSIGN(const auto all, Webhooks().List(kNoLimit, "acme"));
  EXPECT_THAT(all.records, SizeIs(kMaxWebhooks));
  ASSERT_OK(Webhooks().Delete(kNoLimit, "acme", "wh_3"));
  EXPECT_OK(Create("wh_more"));
  EXPECT_THAT(Create("wh_1", "nobody").status(), HasReason("ORGANIZATION_NOT_FOUND"));
}

TEST_F(WebhookStoreTest, WhatIsNotThereIsNotFound) {
  ASSERT_OK(Create("wh_1", "other"));
  EXPECT_THAT(Webhooks().Get(kNoLimit, "acme", "wh_1").status(), HasReason("WEBHOOK_NOT_FOUND"));
  EXPECT_THAT(Webhooks().GetWithKeys(kNoLimit, "acme", "wh_1", kNow).status(),
              HasReason("WEBHOOK_NOT_FOUND"));
  EXPECT_THAT(Webhooks().Delete(kNoLimit, "acme", "wh_1"), HasReason("WEBHOOK_NOT_FOUND"));
  EXPECT_THAT(Rotate('n', absl::ZeroDuration()), HasReason("WEBHOOK_NOT_FOUND"));
  EXPECT_THAT(Webhooks().TakeLease(kNoLimit, "acme", "wh_1", "h", kNow).status(),
              HasReason("WEBHOOK_NOT_FOUND"));
  EXPECT_THAT(Store("h", {}).status(), HasReason("WEBHOOK_NOT_FOUND"));
  EXPECT_THAT(Webhooks().AddReplays(kNoLimit, "acme", "wh_1", {}, kNow),
              HasReason("WEBHOOK_NOT_FOUND"));
}

TEST_F(WebhookStoreTest, OldKeysSignUntilTheirOverlapIsOver) {
  const std::string k(32, 'k');
  const std::string l(32, 'l');
  const std::string m(32, 'm');
  ASSERT_OK(Create());
  ASSERT_OK(Rotate('l', absl::Hours(2)));
  EXPECT_THAT(Keys(kNow), ElementsAre(l, k));
  EXPECT_EQ(Stored().old_secret_until_ms(), absl::ToUnixMillis(kNow + absl::Hours(2)));
  ASSERT_OK(Rotate('m', absl::Hours(1)));
  EXPECT_THAT(Keys(kNow), ElementsAre(m, l, k));
  EXPECT_THAT(Keys(kNow + absl::Hours(1)), ElementsAre(m));
  // None at all.
  ASSERT_OK(Rotate('n', absl::ZeroDuration()));
  EXPECT_THAT(Keys(kNow), ElementsAre(std::string(32, 'n')));
  EXPECT_EQ(Stored().old_secret_until_ms(), 0);
  // Whoever goes on like this keeps a few.
  for (char key = 'o'; key < 'z'; ++key) ASSERT_OK(Rotate(key, absl::Hours(1)));
  EXPECT_THAT(Keys(kNow), SizeIs(4));
}

TEST_F(WebhookStoreTest, OneHolderAtATime) {
  ASSERT_OK(Create());
  EXPECT_EQ(Take("one"), Result::kTaken);
  EXPECT_EQ(Take("one"), Result::kTaken);
  EXPECT_EQ(Take("two"), Result::kHeld);
  EXPECT_EQ(Stored().due_at_ms(), absl::ToUnixMillis(kNow + kDeliveryLease));
  EXPECT_EQ(Take("two", kNow + kDeliveryLease), Result::kTaken);
  EXPECT_THAT(Store("one", {}).status(), StatusIs(absl::StatusCode::kAborted, ::testing::_));
  ASSERT_OK(Store("two", {.delivered_up_to = 5}, Done()));
  EXPECT_EQ(Stored().lease_holder(), "");
  EXPECT_EQ(Stored().delivered_up_to(), 5);
  EXPECT_EQ(Stored().due_at_ms(), kDueWithEvents);
  EXPECT_EQ(Take("one", kNow + kDeliveryLease), Result::kTaken);
}

TEST_F(WebhookStoreTest, StoringProgressRenewsTheLease) {
  ASSERT_OK(Create());
  ASSERT_EQ(Take("one"), Result::kTaken);
  const absl::Time later = kNow + absl::Seconds(30);
  ASSERT_OK(Store("one", {.delivered_up_to = 5, .delivered_beyond = {7, 9}}, std::nullopt, later));
  EXPECT_EQ(Take("two", kNow + kDeliveryLease), Result::kHeld);
  EXPECT_THAT(Stored().delivered_beyond(), ElementsAre(7, 9));
  EXPECT_EQ(Stored().due_at_ms(), absl::ToUnixMillis(later + kDeliveryLease));
}

TEST_F(WebhookStoreTest, OneThatFailedIsLeftAloneUntilItIsDue) {
  ASSERT_OK(Create());
  ASSERT_EQ(Take("one"), Result::kTaken);
  ASSERT_OK(Store("one", {.delivered_up_to = 5}, Failed(3, kNow + absl::Minutes(2))));
  EXPECT_EQ(Take("two"), Result::kNotDue);
  EXPECT_EQ(Take("two", kNow + absl::Minutes(2)), Result::kTaken);
  ASSERT_OK(Store("two", {.delivered_up_to = 9}, Done()));
  EXPECT_EQ(Stored().failures(), 0);
  EXPECT_EQ(Stored().last_failure(), "it was down");
}

TEST_F(WebhookStoreTest, WhatAClockThatWasAheadHasStoredHoldsUpNothing) {
  const absl::Time ahead = kNow + absl::Hours(24 * 365);
  ASSERT_OK(Create());
  ASSERT_EQ(Take("killed", ahead), Result::kTaken);
  ASSERT_OK(Webhooks().Update(kNoLimit, "acme", "wh_1", kNow, [](Webhook& webhook) {
    webhook.set_url("https://new.example/");
    return absl::OkStatus();
  }));
  EXPECT_EQ(Stored().due_at_ms(), absl::ToUnixMillis(kNow));
  EXPECT_EQ(Take("two"), Result::kTaken);
  // It failed a year, or some hours, ahead.
  for (const absl::Time failed_at : {ahead, kNow + absl::Hours(3)}) {
    ASSERT_EQ(Take("two", ahead), Result::kTaken);
    DeliveryEnd end = Failed(1, failed_at + absl::Seconds(5));
    end.url = "https://new.example/";
    end.failure->last_at = failed_at;
    ASSERT_OK(Store("two", {.delivered_up_to = 5}, end, failed_at));
    EXPECT_EQ(Take("two"), Result::kTaken);
  }
  // Clocks that differ a little are right, and so is a day's pause that a receiver asked for.
  EXPECT_EQ(Take("two", kNow + absl::Seconds(30)), Result::kTaken);
  EXPECT_EQ(Take("three"), Result::kHeld);
  DeliveryEnd end = Failed(1, kNow + kLongestPause);
  end.url = "https://new.example/";
  ASSERT_OK(Store("two", {.delivered_up_to = 5}, end));
  EXPECT_EQ(Take("three"), Result::kNotDue);
  EXPECT_EQ(Take("three", kNow + kLongestPause), Result::kTaken);
}

TEST_F(WebhookStoreTest, OneThatTakesOthersIsNotLeftAlone) {
  ASSERT_OK(Create());
  ASSERT_EQ(Take("one"), Result::kTaken);
  DeliveryEnd end = Failed(3, kNow + absl::Minutes(2));
  Webhook::RefusedLine line;
  line.set_line("sa_1");
  line.set_number(7);
  line.set_failures(3);
  end.failure->refused = {line};
  end.failure->passed_up_to = 9;
  ASSERT_OK(Store("one", {.delivered_up_to = 6}, end));
  EXPECT_THAT(Stored().refused(), ElementsAre(EqualsProto(line)));
  EXPECT_EQ(Stored().due_at_ms(), absl::ToUnixMillis(kNow + absl::Minutes(2)));
  EXPECT_EQ(Take("two"), Result::kTaken);
  ASSERT_OK(Webhooks().Update(kNoLimit, "acme", "wh_1", kNow, [](Webhook& webhook) {
    webhook.set_url("https://new.example/");
    return absl::OkStatus();
  }));
  EXPECT_THAT(Stored().refused(), IsEmpty());
  EXPECT_EQ(Stored().passed_up_to(), 0);
}

TEST_F(WebhookStoreTest, DisablingIsAnEventInTheSameCommit) {
  ASSERT_OK(Create());
  ASSERT_EQ(Take("one"), Result::kTaken);
  std::vector<std::string> told;
  const auto subscription =
      store_->events().Subscribe([&](absl::string_view org_id) { told.emplace_back(org_id); });
  DeliveryEnd end = Failed(9, kNow);
  end.disabled_reason = kDeliveryFailed;
  ASSERT_OK_AND_ASSIGN(const Webhook stored, Store("one", {.delivered_up_to = 5}, end));
  EXPECT_EQ(stored.disabled_reason(), kDeliveryFailed);
  EXPECT_EQ(Stored().due_at_ms(), kNeverDue);
  EXPECT_THAT(told, ElementsAre("acme"));
  ASSERT_OK_AND_ASSIGN(const auto event, store_->events().Get(kNoLimit, "acme", LastEvent()));
  EXPECT_EQ(event.type(), record::v1::EVENT_TYPE_WEBHOOK_DISABLED);
  EXPECT_EQ(event.webhook_id(), "wh_1");
  EXPECT_EQ(event.reason(), "DELIVERY_FAILED");
  EXPECT_EQ(Take("two", kNow + absl::Hours(100)), Result::kNotDue);
}

TEST_F(WebhookStoreTest, FailuresOfAnotherUrlDoNotCount) {
  ASSERT_OK(Create());
  ASSERT_EQ(Take("one"), Result::kTaken);
  ASSERT_OK(Webhooks().Update(kNoLimit, "acme", "wh_1", kNow, [](Webhook& webhook) {
    webhook.set_url("https://new.example/");
    return absl::OkStatus();
  }));
  DeliveryEnd end = Failed(9, kNow + absl::Hours(2));
  end.disabled_reason = kGone;
  ASSERT_OK_AND_ASSIGN(const Webhook stored, Store("one", {.delivered_up_to = 5}, end));
  EXPECT_EQ(stored.disabled_reason(), "");
  EXPECT_EQ(stored.failures(), 0);
  EXPECT_EQ(Take("two"), Result::kTaken);
}

TEST_F(WebhookStoreTest, EnabledAgainItGoesOnAtOnce) {
  ASSERT_OK(Create());
  ASSERT_EQ(Take("one"), Result::kTaken);
  ASSERT_OK(Store("one", {.delivered_up_to = 5}, Failed(7, kNow + absl::Hours(2))));
  const auto set_reason = [&](absl::string_view reason) {
    return Webhooks()
        .Update(kNoLimit, "acme", "wh_1", kNow,
                [&](Webhook& webhook) {
                  webhook.set_disabled_reason(std::string(reason));
                  return absl::OkStatus();
                })
        .status();
  };
  ASSERT_OK(set_reason(kDisabledByCaller));
  EXPECT_EQ(Stored().due_at_ms(), kNeverDue);
  ASSERT_OK(set_reason(""));
  EXPECT_EQ(Stored().failures(), 0);
  EXPECT_EQ(Stored().delivered_up_to(), 5);
  EXPECT_EQ(Take("two"), Result::kTaken);
}

TEST_F(WebhookStoreTest, ReplaysAreKeptUntilTheyAreDelivered) {
  ASSERT_OK(Create());
  ASSERT_OK(Connect("a", "ann", {"p1", "p2", "p3"}));
  const int64_t last = LastEvent();
  ASSERT_OK(Webhooks().AddReplays(kNoLimit, "acme", "wh_1", {last, last - 2}, kNow));
  EXPECT_THAT(Stored().replays(), ElementsAre(last - 2, last));
  EXPECT_EQ(Stored().due_at_ms(), absl::ToUnixMillis(kNow));
  EXPECT_THAT(Webhooks().AddReplays(kNoLimit, "acme", "wh_1", {last + 1}, kNow),
              HasReason("EVENT_NOT_FOUND"));
  ASSERT_EQ(Take("one"), Result::kTaken);
  ASSERT_OK(Webhooks().AddReplays(kNoLimit, "acme", "wh_1", {last - 1}, kNow));
  ASSERT_OK(Store("one", {.delivered_up_to = last, .replayed = {last, last - 2}}, Done()));
  EXPECT_THAT(Stored().replays(), ElementsAre(last - 1));
  // Somebody has to come for it.
  EXPECT_EQ(Stored().due_at_ms(), absl::ToUnixMillis(kNow));

  ASSERT_OK(Webhooks().Update(kNoLimit, "acme", "wh_1", kNow, [](Webhook& webhook) {
    webhook.set_disabled_reason("GONE");
    return absl::OkStatus();
  }));
  EXPECT_THAT(Webhooks().AddReplays(kNoLimit, "acme", "wh_1", {last}, kNow),
              HasReason("WEBHOOK_DISABLED"));
}

TEST_F(WebhookStoreTest, DueOnesAreListedInTheirOrder) {
  ASSERT_OK(Create("wh_1"));
  ASSERT_OK(Create("wh_2"));
  ASSERT_OK(Create("wh_1", "other"));
  const auto list = [&](const DuePosition& after, int64_t before, int limit) {
    std::vector<std::string> names;
    const auto due = Webhooks().ListDue(kNoLimit, after, before, limit);
    EXPECT_OK(due);
    if (!due.ok()) return names;
    for (const DueWebhook& each : *due) names.push_back(absl::StrCat(each.org_id, "/", each.id));
    return names;
  };
  EXPECT_THAT(list({}, absl::ToUnixMillis(kNow) + 1, 10), IsEmpty());
  EXPECT_THAT(list({}, kNeverDue, 10), ElementsAre("acme/wh_1", "acme/wh_2", "other/wh_1"));
  EXPECT_THAT(list({.due = kDueWithEvents, .org_id = "acme", .id = "wh_1"}, kNeverDue, 1),
              ElementsAre("acme/wh_2"));
  ASSERT_OK(Webhooks().Update(kNoLimit, "acme", "wh_2", kNow, [](Webhook& webhook) {
    webhook.set_url("https://new.example/");
    return absl::OkStatus();
  }));
  EXPECT_THAT(list({}, absl::ToUnixMillis(kNow) + 1, 10), ElementsAre("acme/wh_2"));
}

TEST_F(WebhookStoreTest, NoKeyIsInTheFile) {
  ASSERT_OK(Create());
  ASSERT_OK(Rotate('n', absl::Hours(1)));
  store_.reset();
  const std::string file = ReadFile(path_);
  EXPECT_EQ(file.find(std::string(32, 'k')), std::string::npos);
  EXPECT_EQ(file.find(std::string(32, 'n')), std::string::npos);
  EXPECT_EQ(file.find("hooks.example"), std::string::npos);
}

}  // namespace
}  // namespace authurl::testing
