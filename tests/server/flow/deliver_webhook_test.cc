// What one go at a webhook is by itself; deliver_events_test.cc has what goes make together.
#include "server/flow/deliver_webhook.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <utility>

#include "tests/server/flow/stored_grant_fixture.h"

namespace authurl::testing {
namespace {

// Its answer is taken in, on another thread, before Send() returns; which it does once the run has
// ended.
class AnswerFirstClient final : public HttpClient {
 public:
  explicit AnswerFirstClient(const Notification& ended) : ended_(ended) {}

  void Send(HttpRequest, CallTarget, const CallContext&, Callback callback) override {
    ++sent_;
    std::thread([&callback] {
      HttpAnswer answer;
      answer.status = 204;
      callback(std::move(answer));
    }).join();
    EXPECT_TRUE(ended_.WaitForNotificationWithTimeout(kPatience));
  }

  int sent() const { return sent_; }

 private:
  const Notification& ended_;
  std::atomic<int> sent_ = 0;
};

class DeliverWebhookTest : public StoredGrantTest {
 protected:
  record::v1::Webhook Stored() const {
    const auto webhook = store_->webhooks().Get(kNoLimit, "acme", "wh_1");
    EXPECT_OK(webhook);
    return webhook.ok() ? *webhook : record::v1::Webhook();
  }
};

// Whoever has sent the last delivery looks whether the batch is over after whoever took its answer
// did, and ended the run.
TEST_F(DeliverWebhookTest, ARunEndsOnceThoughItsLastAnswerIsFasterThanWhoSentTheRequest) {
  record::v1::Webhook webhook;
  webhook.set_id("wh_1");
  webhook.set_org_id("acme");
  webhook.set_url("https://app.example.com/hook");
  ASSERT_OK(store_->webhooks().Create(kNoLimit, webhook, "0123456789abcdef0123456789abcdef"));
  Connect(Tokens("a"));

  Notification ended;
  AnswerFirstClient http(ended);
  DeliverySlots slots({.all = 4, .per_organization = 4});
  WebhookMetrics webhook_metrics;
  std::atomic<int> ends = 0;
  const auto run = std::make_shared<WebhookRun>(DeliveryTools{.http = http,
                                                              .store = *store_,
                                                              .catalog = catalog_,
                                                              .pool = pool_,
                                                              .slots = slots,
                                                              .metrics = webhook_metrics,
                                                              .clock = clock_,
                                                              .random = random_},
                                                "acme", "wh_1", [&](WebhookRun::End end) {
                                                  EXPECT_EQ(end, WebhookRun::End::kNothingLeft);
                                                  if (++ends == 1) ended.Notify();
                                                });
  run->Start();
  ASSERT_TRUE(ended.WaitForNotificationWithTimeout(kPatience));
  pool_.Stop();  // Does what is left to do.
  EXPECT_EQ(ends, 1);
  EXPECT_EQ(http.sent(), 1);
  EXPECT_EQ(slots.under_way(), 0);
  EXPECT_EQ(Stored().lease_holder(), "");
  EXPECT_EQ(Stored().last_success_at_ms(), now_ms_);
}

}  // namespace
}  // namespace authurl::testing
