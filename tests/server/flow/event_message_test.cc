#include "server/flow/event_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "server/flow/needs_reconnect.h"
#include "storage/event_store.h"
#include "storage/webhook_store.h"

namespace authurl::testing {
namespace {

using record::v1::Event;
using record::v1::EventType;
using ::testing::AnyOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class EventMessageTest : public ::testing::Test {
 protected:
  std::string MessageOf(EventType type, absl::string_view reason,
                        const std::vector<std::string>& changed = {}) const {
    Event event;
    event.set_type(type);
    event.set_network("github");
    event.set_reason(std::string(reason));
    event.mutable_changed()->Assign(changed.begin(), changed.end());
    return EventMessage(catalog_, event);
  }

  const NetworkCatalog catalog_ = NetworkCatalog::Parse(BuiltInNetworksText()).value();
};

TEST_F(EventMessageTest, EachTypeAndReasonHasASentenceOfItsOwn) {
  std::set<std::string> sentences;
  const auto expect = [&](EventType type, absl::string_view reason) {
    const std::string message = MessageOf(type, reason);
    EXPECT_THAT(message, AnyOf(HasSubstr("GitHub"), HasSubstr("webhook"))) << reason;
    EXPECT_THAT(message, Not(AnyOf(EndsWith("."), HasSubstr("$"), HasSubstr("github"))));
    EXPECT_TRUE(absl::ascii_isupper(static_cast<unsigned char>(message[0]))) << message;
    EXPECT_TRUE(sentences.insert(message).second) << reason << ": " << message;
  };
  expect(record::v1::EVENT_TYPE_ACCOUNT_CONNECTED, "");
  for (const absl::string_view reason : {"DELETED", "TENANT_DELETED", "CONFIGURATION_DELETED"}) {
    expect(record::v1::EVENT_TYPE_ACCOUNT_DISCONNECTED, reason);
  }
  for (const absl::string_view reason : {kDeliveryFailed, kGone}) {
    expect(record::v1::EVENT_TYPE_WEBHOOK_DISABLED, reason);
  }
  // The manual of CompleteAuth has them all. The last is what no reason is known of: our own fault.
  for (const absl::string_view reason :
       {"CONFIGURATION_OUTDATED", "SOCIAL_NETWORK_NOT_FOUND", "USER_DENIED", "CLIENT_REJECTED",
        "CLIENT_SECRET_UNUSABLE", "CODE_REJECTED", "NETWORK_REFUSED", "NETWORK_UNAVAILABLE",
        "NETWORK_ANSWER_INVALID", "ACCESS_TOKEN_DEAD", "REFRESH_DEAD", "SCOPE_MISSING",
        "NO_ACCOUNT", "NOT_AN_ACCOUNT", "ACCOUNT_MISMATCH", "SOCIAL_ACCOUNT_NOT_FOUND",
        "TOO_MANY_ACCOUNTS", "RATE_LIMITED", ""}) {
    expect(record::v1::EVENT_TYPE_CONNECTION_FAILED, reason);
  }
}

TEST_F(EventMessageTest, WhyAnAccountNeedsThePersonIsSaidAsTheAccountSaysIt) {
  for (const absl::string_view reason : {kRefreshDead, kConfigurationGone}) {
    EXPECT_EQ(MessageOf(record::v1::EVENT_TYPE_ACCOUNT_NEEDS_RECONNECT, reason),
              WhyReconnect(catalog_, "github", reason));
  }
}

TEST_F(EventMessageTest, WhatIsAnotherNowIsListed) {
  EXPECT_EQ(MessageOf(record::v1::EVENT_TYPE_ACCOUNT_UPDATED, "",
                      {"connection", "status", "username", "display_name", "avatar_url", "scopes",
                       "of_a_later_version"}),
            "An account of GitHub was updated: it was connected anew, it works again, another user "
            "name, another name, another picture, other scopes, of_a_later_version");
}

TEST_F(EventMessageTest, WhyTokensCantBeRefreshedIsSaidAsTheAccountSaysIt) {
  EXPECT_EQ(MessageOf(record::v1::EVENT_TYPE_ACCOUNT_UPDATED, "CLIENT_REJECTED", {"status_reason"}),
            WhyNotRefreshed(catalog_, "github", kClientRejected));
  EXPECT_EQ(MessageOf(record::v1::EVENT_TYPE_ACCOUNT_UPDATED, "", {"status_reason"}),
            "An account of GitHub was updated: its tokens can be refreshed again");
}

TEST_F(EventMessageTest, WhatALaterVersionStoredHasASentenceWhereItsTypeIsKnown) {
  EXPECT_EQ(MessageOf(record::v1::EVENT_TYPE_CONNECTION_FAILED, "SOMETHING_NEW"),
            MessageOf(record::v1::EVENT_TYPE_CONNECTION_FAILED, ""));
  EXPECT_EQ(MessageOf(record::v1::EVENT_TYPE_ACCOUNT_DISCONNECTED, "SOMETHING_NEW"),
            "An account of GitHub was removed");
  EXPECT_EQ(MessageOf(record::v1::EVENT_TYPE_WEBHOOK_DISABLED, "SOMETHING_NEW"),
            "The webhook was disabled");
  EXPECT_THAT(MessageOf(static_cast<EventType>(99), "SOMETHING_NEW"), IsEmpty());
  Event gone;
  gone.set_type(record::v1::EVENT_TYPE_ACCOUNT_CONNECTED);
  gone.set_network("gone");
  EXPECT_EQ(EventMessage(catalog_, gone), "An account of gone was connected");
}

}  // namespace
}  // namespace authurl::testing
