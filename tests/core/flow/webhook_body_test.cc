#include "core/flow/webhook_body.h"

#include <gtest/gtest.h>

namespace authurl::testing {
namespace {

TEST(WebhookBodyTest, TheBodyHasWhatIsSetAndNothingElse) {
  record::v1::Event event;
  event.set_created_at_ms(1'800'000'000'123);
  event.set_account_id("sa_1");
  event.set_instance("a\"b\\\xff");
  event.add_changed("username");
  event.add_changed("scopes");
  EXPECT_EQ(WebhookBody("ev_1", "account.updated", "", event),
            R"({"type":"account.updated","timestamp":"2027-01-15T08:00:00.123Z","data":)"
            R"({"id":"ev_1","type":"account.updated","createdAt":"2027-01-15T08:00:00.123Z",)"
            "\"accountId\":\"sa_1\",\"instance\":\"a\\\"b\\\\\xef\xbf\xbd\","
            R"("changed":["username","scopes"]}})");
}

TEST(WebhookBodyTest, EveryMemberHasItsRestName) {
  record::v1::Event event;
  event.set_created_at_ms(0);
  event.set_account_id("a");
  event.set_social_network_id("b");
  event.set_network("c");
  event.set_instance("d");
  event.set_variant("e");
  event.set_tenant_id("f");
  event.set_flow_id("g");
  event.set_reason("h");
  event.set_webhook_id("i");
  event.add_changed("k");
  EXPECT_EQ(WebhookBody("ev_1", "t", "j", event),
            R"({"type":"t","timestamp":"1970-01-01T00:00:00.000Z","data":{"id":"ev_1","type":"t",)"
            R"("createdAt":"1970-01-01T00:00:00.000Z","accountId":"a","socialNetworkId":"b",)"
            R"("network":"c","instance":"d","variant":"e","tenantId":"f","flowId":"g",)"
            R"("reason":"h","webhookId":"i","changed":["k"],"message":"j"}})");
}

}  // namespace
}  // namespace authurl::testing
