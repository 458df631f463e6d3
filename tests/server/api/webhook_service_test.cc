#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "authurl/v1/social_account_service.pb.h"
#include "authurl/v1/webhook_service.pb.h"
#include "core/crypto/webhook_signature.h"
#include "tests/server/api/bad_input.h"
#include "tests/server/api/service_fixture.h"
#include "tests/support/eventually.h"
#include "tests/support/webhook_receiver.h"

namespace authurl::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

using Delivery = WebhookReceiver::Delivery;

class WebhookServiceTest : public ServiceTest {
 protected:
  WebhookServiceTest() : ServiceTest([](Config& config) { config.allow_local_instances = true; }) {}

  absl::StatusOr<v1::CreateWebhookResponse> Create(const std::string& url,
                                                   const std::string& more = "") const {
    return Call<v1::CreateWebhookResponse>("CreateWebhook",
                                           absl::StrCat("url: '", url, "' ", more));
  }
  absl::StatusOr<v1::Webhook> Get(const std::string& id) const {
    const auto got = Call<v1::GetWebhookResponse>("GetWebhook", absl::StrCat("id: '", id, "'"));
    if (!got.ok()) return got.status();
    return got->webhook();
  }
  absl::StatusOr<v1::Webhook> Update(const std::string& id, const std::string& change) const {
    const auto updated =
        Call<v1::UpdateWebhookResponse>("UpdateWebhook", absl::StrCat("id: '", id, "' ", change));
    if (!updated.ok()) return updated.status();
    return updated->webhook();
  }

  // A person who refuses: an event without any network.
  void MakeEvent() {
    if (!configured_) {
      ASSERT_OK(Configure("x"));
      configured_ = true;
    }
    ASSERT_OK_AND_ASSIGN(const auto minted,
                         GetAuthUrl("network: 'x' redirect_uri: 'https://app.example.com/cb'"));
    std::string state = minted.auth_url().substr(minted.auth_url().find("&state=") + 7);
    state = state.substr(0, state.find('&'));
    EXPECT_THAT(Call<v1::CompleteAuthResponse>(
                    "CompleteAuth",
                    absl::StrCat("response: 'https://app.example.com/cb?error=access_denied&state=",
                                 state, "'")),
                HasReason("USER_DENIED"));
  }

  // The key behind a secret.
  static std::string KeyOf(const std::string& secret) {
    EXPECT_THAT(secret, StartsWith("whsec_"));
    std::string key;
    EXPECT_TRUE(absl::Base64Unescape(secret.substr(6), &key));
    return key;
  }

  bool configured_ = false;
};

TEST_F(WebhookServiceTest, DeliversEventsSignedWithTheSecretThatWasShownOnce) {
  WebhookReceiver receiver;
  ASSERT_OK_AND_ASSIGN(
      const auto created,
      Create(receiver.Url(), "description: 'our backend' event_types: 'connection.failed'"));
  EXPECT_THAT(created.webhook().id(), StartsWith("wh_"));
  EXPECT_TRUE(created.webhook().enabled());
  EXPECT_EQ(created.webhook().description(), "our backend");
  EXPECT_EQ(created.webhook().url(), receiver.Url());
  EXPECT_EQ(created.webhook().created_at().seconds(), absl::ToUnixSeconds(server_->now()));
  const std::string key = KeyOf(created.secret());
  EXPECT_EQ(key.size(), 32u);
  ASSERT_NO_FATAL_FAILURE(MakeEvent());
  ASSERT_TRUE(receiver.WaitForTaken(1));
  const Delivery delivery = receiver.taken()[0];
  EXPECT_EQ(delivery.type(), "connection.failed");
  EXPECT_EQ(delivery.Data("reason"), "USER_DENIED");
  EXPECT_EQ(delivery.Data("network"), "x");
  EXPECT_EQ(delivery.signature,
            WebhookSignatures({absl::string_view(key)}, delivery.id,
                              absl::ToUnixSeconds(server_->now()), delivery.body));
  ASSERT_TRUE(Eventually([&] {
    const auto shown = Get(created.webhook().id());
    return shown.ok() && shown->delivered_up_to() == delivery.id;
  }));
  const RawReply list = server_->Call("ListWebhooks", "", AsOrg());
  EXPECT_THAT(list.response, HasSubstr(created.webhook().id()));
  EXPECT_THAT(list.response, Not(HasSubstr(created.secret().substr(6))));
}

TEST_F(WebhookServiceTest, ChangesWhatTheRequestSetsAndNothingElse) {
  ASSERT_OK_AND_ASSIGN(const auto created, Create("https://hooks.example/",
                                                  "description: 'a' event_types: "
                                                  "['account.connected', 'account.updated']"));
  const std::string id = created.webhook().id();
  ASSERT_OK_AND_ASSIGN(v1::Webhook webhook, Update(id, "url: 'https://other.example/'"));
  EXPECT_EQ(webhook.url(), "https://other.example/");
  EXPECT_EQ(webhook.description(), "a");
  EXPECT_THAT(webhook.event_types(), SizeIs(2));
  ASSERT_OK_AND_ASSIGN(webhook, Update(id, "update_mask { paths: 'event_types' }"));
  EXPECT_THAT(webhook.event_types(), IsEmpty());
  ASSERT_OK_AND_ASSIGN(webhook, Update(id, "enabled: false description: ''"));
  EXPECT_FALSE(webhook.enabled());
  EXPECT_EQ(webhook.disabled_reason(), "DISABLED_BY_CALLER");
  EXPECT_EQ(webhook.description(), "");
  ASSERT_OK_AND_ASSIGN(webhook, Update(id, "enabled: true"));
  EXPECT_TRUE(webhook.enabled());
  EXPECT_EQ(webhook.disabled_reason(), "");
}

TEST_F(WebhookServiceTest, DisabledOnesCatchUpWhenTheyAreEnabled) {
  WebhookReceiver receiver;
  ASSERT_OK_AND_ASSIGN(const auto created, Create(receiver.Url()));
  const std::string id = created.webhook().id();
  ASSERT_OK(Update(id, "enabled: false"));
  ASSERT_NO_FATAL_FAILURE(MakeEvent());
  absl::SleepFor(absl::Milliseconds(100));
  EXPECT_THAT(receiver.received(), IsEmpty());
  ASSERT_OK(Update(id, "enabled: true"));
  EXPECT_TRUE(receiver.WaitForTaken(1));
}

TEST_F(WebhookServiceTest, DeletedOnesAreGone) {
  WebhookReceiver receiver;
  ASSERT_OK_AND_ASSIGN(const auto created, Create(receiver.Url()));
  const std::string id = absl::StrCat("id: '", created.webhook().id(), "'");
  ASSERT_OK(Call<v1::DeleteWebhookResponse>("DeleteWebhook", id));
  EXPECT_THAT(Call<v1::DeleteWebhookResponse>("DeleteWebhook", id), HasReason("WEBHOOK_NOT_FOUND"));
  EXPECT_THAT(Get(created.webhook().id()), HasReason("WEBHOOK_NOT_FOUND"));
  ASSERT_NO_FATAL_FAILURE(MakeEvent());
  absl::SleepFor(absl::Milliseconds(100));
  EXPECT_THAT(receiver.received(), IsEmpty());
}

TEST_F(WebhookServiceTest, ANewSecretSignsBesideTheOldOneForAWhile) {
  WebhookReceiver receiver;
  ASSERT_OK_AND_ASSIGN(const auto created, Create(receiver.Url()));
  const std::string id = absl::StrCat("id: '", created.webhook().id(), "' ");
  ASSERT_OK_AND_ASSIGN(const auto rotated,
                       Call<v1::RotateWebhookSecretResponse>("RotateWebhookSecret", id));
  EXPECT_NE(rotated.secret(), created.secret());
  EXPECT_EQ(rotated.webhook().old_secret_expires_at().seconds(),
            absl::ToUnixSeconds(server_->now() + absl::Hours(24)));
  ASSERT_NO_FATAL_FAILURE(MakeEvent());
  ASSERT_TRUE(receiver.WaitForTaken(1));
  const Delivery delivery = receiver.taken()[0];
  const std::string old_key = KeyOf(created.secret());
  const std::string new_key = KeyOf(rotated.secret());
  EXPECT_EQ(delivery.signature,
            WebhookSignatures({absl::string_view(new_key), absl::string_view(old_key)}, delivery.id,
                              absl::ToUnixSeconds(server_->now()), delivery.body));
  ASSERT_OK_AND_ASSIGN(
      const auto at_once,
      Call<v1::RotateWebhookSecretResponse>("RotateWebhookSecret", id + "overlap { seconds: 0 }"));
  EXPECT_FALSE(at_once.webhook().has_old_secret_expires_at());
}

TEST_F(WebhookServiceTest, ATestTellsHowItWent) {
  WebhookReceiver receiver;
  ASSERT_OK_AND_ASSIGN(const auto created, Create(receiver.Url()));
  const std::string id = absl::StrCat("id: '", created.webhook().id(), "' ");
  const auto test = [&] { return Call<v1::TestWebhookResponse>("TestWebhook", id); };
  ASSERT_OK_AND_ASSIGN(v1::TestWebhookResponse told, test());
  EXPECT_TRUE(told.delivered());
  EXPECT_EQ(told.http_status(), 204);
  EXPECT_EQ(told.message(), "");
  EXPECT_TRUE(told.has_took());
  ASSERT_THAT(receiver.taken(), SizeIs(1));
  const Delivery delivery = receiver.taken()[0];
  EXPECT_EQ(delivery.type(), "webhook.test");
  EXPECT_EQ(delivery.Data("webhookId"), created.webhook().id());
  EXPECT_EQ(delivery.Data("id"), delivery.id);
  EXPECT_EQ(delivery.Data("message"), "This is a test of the webhook: nothing has happened");
  const std::string key = KeyOf(created.secret());
  EXPECT_EQ(delivery.signature,
            WebhookSignatures({absl::string_view(key)}, delivery.id,
                              absl::ToUnixSeconds(server_->now()), delivery.body));

  ASSERT_OK(Update(created.webhook().id(), "enabled: false"));
  receiver.AnswerWith(302, "Location: https://elsewhere.example/\r\n");
  ASSERT_OK_AND_ASSIGN(told, test());
  EXPECT_FALSE(told.delivered());
  EXPECT_EQ(told.http_status(), 302);
  EXPECT_THAT(told.message(), HasSubstr("redirects are not followed"));
  receiver.AnswerBy([](const Delivery&) { return ""; });
  ASSERT_OK_AND_ASSIGN(told, test());
  EXPECT_EQ(told.http_status(), 0);
  EXPECT_THAT(told.message(), HasSubstr("ended the connection"));
  // Nothing of it counts.
  EXPECT_EQ(Get(created.webhook().id())->failures(), 0);
}

TEST_F(WebhookServiceTest, EventsAreReplayedById) {
  WebhookReceiver receiver;
  ASSERT_OK_AND_ASSIGN(const auto created, Create(receiver.Url()));
  const std::string id = absl::StrCat("id: '", created.webhook().id(), "' ");
  for (int i = 0; i < 3; ++i) ASSERT_NO_FATAL_FAILURE(MakeEvent());
  ASSERT_TRUE(receiver.WaitForTaken(3));
  const std::string event = receiver.taken()[1].id;
  ASSERT_OK(
      Call<v1::ReplayEventsResponse>("ReplayEvents", absl::StrCat(id, "event_ids: '", event, "'")));
  ASSERT_TRUE(receiver.WaitForTaken(4));
  EXPECT_EQ(receiver.taken()[3].id, event);
  EXPECT_EQ(receiver.taken()[3].body, receiver.taken()[1].body);
  EXPECT_THAT(
      Call<v1::ReplayEventsResponse>("ReplayEvents", id + "event_ids: 'ev_0000000000000001'"),
      HasReason("EVENT_NOT_FOUND"));
  ASSERT_OK(Update(created.webhook().id(), "enabled: false"));
  EXPECT_THAT(
      Call<v1::ReplayEventsResponse>("ReplayEvents", absl::StrCat(id, "event_ids: '", event, "'")),
      HasReason("WEBHOOK_DISABLED"));
}

TEST_F(WebhookServiceTest, ThereAreAtMostSixteen) {
  for (int i = 0; i < 16; ++i) ASSERT_OK(Create("https://hooks.example/"));
  EXPECT_THAT(Create("https://hooks.example/"), HasReason("TOO_MANY_WEBHOOKS"));
}

TEST_F(WebhookServiceTest, WhatFailsIsShown) {
  WebhookReceiver receiver;
  receiver.AnswerWith(503, "Retry-After: 60\r\n");
  ASSERT_OK_AND_ASSIGN(const auto created, Create(receiver.Url()));
  ASSERT_NO_FATAL_FAILURE(MakeEvent());
  v1::Webhook shown;
  ASSERT_TRUE(Eventually([&] {
    shown = Get(created.webhook().id()).value_or(shown);
    return shown.failures() == 1;
  }));
  EXPECT_EQ(shown.last_failure(), "the receiver answered with the status 503");
  EXPECT_EQ(shown.last_failure_at().seconds(), absl::ToUnixSeconds(server_->now()));
  EXPECT_EQ(shown.next_attempt_at().seconds(), absl::ToUnixSeconds(server_->now()) + 60);
  receiver.TakeAll();
  server_->SetTime(server_->now() + absl::Seconds(61));
  EXPECT_TRUE(receiver.WaitForTaken(1));
}

class BadWebhookTest : public BadInputTest {};

TEST_F(BadWebhookTest, FaultsAreNamed) {
  ASSERT_OK_AND_ASSIGN(const auto created, Call<v1::CreateWebhookResponse>(
                                               "CreateWebhook", "url: 'https://hooks.example/'"));
  const std::string id = absl::StrCat("id: '", created.webhook().id(), "' ");
  const std::string url = "url: 'https://hooks.example/' ";
  std::vector<BadRequest> table = {
      {"CreateWebhook", "", "url", "Required"},
      {"CreateWebhook", "url: 'hooks.example'", "url", "https://"},
      {"CreateWebhook", "url: 'http://hooks.example/'", "url", "must begin with https://"},
      {"CreateWebhook", "url: 'https://a:b@hooks.example/'", "url", "user name"},
      {"CreateWebhook", "url: 'https://hooks.example/#x'", "url", "fragment"},
      {"CreateWebhook", "url: 'https://hooks.example:8443/'", "url", "port 443"},
      {"CreateWebhook", "url: 'https://127.0.0.1/'", "url", "public address"},
      {"CreateWebhook", "url: 'https://169.254.169.254/'", "url", "public address"},
      {"CreateWebhook", "url: 'https://localhost/'", "url", "public address"},
      {"CreateWebhook", absl::StrCat("url: 'https://h.example/", std::string(2048, 'x'), "'"),
       "url", "2066 bytes"},
      {"CreateWebhook", url + "event_types: 'account.conquered'", "event_types[0]",
       "\"account.conquered\" is not a type of event"},
      {"CreateWebhook", url + "event_types: ['account.updated', 'account.updated']",
       "event_types[1]", "named twice"},
      {"CreateWebhook", url + absl::StrCat("description: '", std::string(257, 'd'), "'"),
       "description", "256"},
      {"CreateWebhook", url + "description: 'a\\nb'", "description", ""},
      {"UpdateWebhook", id + "url: ''", "url", "Required"},
      {"UpdateWebhook", id + "update_mask { paths: 'url' }", "url", "Required"},
      {"UpdateWebhook", id + "update_mask { paths: 'id' }", "update_mask",
       "\"id\" is not a field that can be changed"},
      {"UpdateWebhook", id + "event_types: ''", "event_types[0]", "is not a type of event"},
      {"RotateWebhookSecret", id + "overlap { seconds: -1 }", "overlap", "0 to 168h"},
      {"RotateWebhookSecret", id + "overlap { seconds: 604801 }", "overlap", "0 to 168h"},
      {"ReplayEvents", id, "event_ids", "1 to 100"},
      {"ReplayEvents", id + Times(101, "event_ids: 'ev_000643f1a2b3c4d5'"), "event_ids",
       "1 to 100"},
      {"ReplayEvents", id + "event_ids: 'sa_1'", "event_ids[0]", "is not an event's id"},
  };
  for (const char* rpc : {"GetWebhook", "UpdateWebhook", "DeleteWebhook", "RotateWebhookSecret",
                          "TestWebhook", "ReplayEvents"}) {
    table.push_back({rpc, "", "id", "Required"});
  }
  ExpectAllRefused(table);
  ASSERT_OK_AND_ASSIGN(const auto all, Call<v1::ListWebhooksResponse>("ListWebhooks", ""));
  ASSERT_EQ(all.webhooks_size(), 1);
  EXPECT_EQ(all.webhooks(0).url(), "https://hooks.example/");
}

}  // namespace
}  // namespace authurl::testing
