// Events over a real channel: what is listed, and who waits for what comes.
#include "server/api/event_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "authurl/v1/social_account_service.pb.h"
#include "core/errors.h"
#include "tests/server/api/service_fixture.h"
#include "tests/support/eventually.h"

namespace authurl::testing {
namespace {

using ::testing::_;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class EventServiceTest : public ServiceTest {
 protected:
  EventServiceTest()
      : ServiceTest([](Config& config) { config.shutdown_grace = absl::Seconds(8); }) {}

  void SetUp() override {
    ServiceTest::SetUp();
    ASSERT_OK(Configure("github"));
  }

  absl::StatusOr<v1::ListEventsResponse> List(const std::string& request) const {
    return Call<v1::ListEventsResponse>("ListEvents", request);
  }

  // A person who says no, which asks no network: an event. Returns the flow's id.
  std::string Deny(const std::string& tenant = "customer_42") const {
    const auto url = GetAuthUrl(absl::StrCat(
        "network: 'github' redirect_uri: 'https://app.example.com/cb' tenant_id: '", tenant, "'"));
    EXPECT_OK(url);
    if (!url.ok()) return "";
    const std::string& text = url->auth_url();
    const size_t state = text.find("&state=") + 1;
    const std::string query = text.substr(state, text.find('&', state) - state);
    EXPECT_THAT(
        Call<v1::CompleteAuthResponse>(
            "CompleteAuth",
            absl::StrCat("response: 'https://app.example.com/cb?error=access_denied&", query, "'")),
        HasReason("USER_DENIED"));
    return url->flow_id();
  }
};

TEST_F(EventServiceTest, WhatHappenedIsListedInItsOrder) {
  ASSERT_OK_AND_ASSIGN(const v1::ListEventsResponse none, List(""));
  EXPECT_THAT(none.events(), IsEmpty());
  EXPECT_EQ(none.next_after(), "");
  const std::vector<std::string> flows = {Deny("a"), Deny("b"), Deny("c")};
  ASSERT_OK_AND_ASSIGN(const v1::ListEventsResponse all, List(""));
  ASSERT_THAT(all.events(), SizeIs(3));
  for (int i = 0; i < 3; ++i) {
    const v1::Event& event = all.events(i);
    EXPECT_EQ(event.type(), "connection.failed");
    EXPECT_EQ(event.reason(), "USER_DENIED");
    EXPECT_EQ(event.message(), "The person did not allow the connection at GitHub");
    EXPECT_EQ(event.network(), "github");
    EXPECT_EQ(event.tenant_id(), std::string(1, static_cast<char>('a' + i)));
    EXPECT_EQ(event.flow_id(), flows[static_cast<size_t>(i)]);
    EXPECT_EQ(event.created_at().seconds(), absl::ToUnixSeconds(server_->now()));
  }
  EXPECT_LT(all.events(0).id(), all.events(1).id());
  EXPECT_LT(all.events(1).id(), all.events(2).id());
  EXPECT_EQ(all.next_after(), all.events(2).id());
  EXPECT_FALSE(all.has_more());

  ASSERT_OK_AND_ASSIGN(v1::ListEventsResponse page, List("page_size: 2"));
  EXPECT_THAT(page.events(), SizeIs(2));
  EXPECT_TRUE(page.has_more());
  ASSERT_OK_AND_ASSIGN(page, List(absl::StrCat("after: '", page.next_after(), "'")));
  ASSERT_THAT(page.events(), SizeIs(1));
  EXPECT_EQ(page.events(0).id(), all.events(2).id());
  ASSERT_OK_AND_ASSIGN(page, List(absl::StrCat("after: '", page.next_after(), "'")));
  EXPECT_THAT(page.events(), IsEmpty());
  EXPECT_EQ(page.next_after(), all.next_after());
}

TEST_F(EventServiceTest, FiltersLetThroughWhatPassesAllOfThem) {
  Deny("a");
  Deny("b");
  Deny("a");
  const auto count = [&](const std::string& request) {
    const auto listed = List(request);
    EXPECT_OK(listed);
    return listed.ok() ? listed->events_size() : -1;
  };
  EXPECT_EQ(count("tenant_id: 'a'"), 2);
  EXPECT_EQ(count("types: 'connection.failed' tenant_id: 'b'"), 1);
  EXPECT_EQ(count("types: 'account.connected'"), 0);
  EXPECT_EQ(count("account_id: 'sa_1'"), 0);
  // A page goes on behind what it has shown, and says how far it has looked.
  ASSERT_OK_AND_ASSIGN(const v1::ListEventsResponse all, List(""));
  ASSERT_OK_AND_ASSIGN(const v1::ListEventsResponse page, List("tenant_id: 'a' page_size: 1"));
  EXPECT_EQ(page.next_after(), all.events(0).id());
  EXPECT_TRUE(page.has_more());
  ASSERT_OK_AND_ASSIGN(const v1::ListEventsResponse nothing, List("account_id: 'sa_1'"));
  EXPECT_EQ(nothing.next_after(), all.next_after());
  EXPECT_FALSE(nothing.has_more());
}

TEST_F(EventServiceTest, WhatIsWrongIsSaid) {
  for (const auto& [request, text] : std::vector<std::pair<std::string, std::string>>{
           {"after: 'x'", "\"x\" is not the id of an event"},
           {"after: 'ev_ffffffffffffffff'", "is not the id of an event"},
           {"page_size: -1", "must not be negative"},
           {"types: 'account.conquered'", "is not a type of events"},
           {"account_id: ''", "account_id"},
           {"account_id: 'a\\n'", "account_id"},
           {"tenant_id: ''", "tenant_id"},
           {"tenant_id: 'a b'", "tenant_id"},
           {"wait { seconds: 16 }", "must be from 0 to 15 s"},
           {"wait { seconds: -1 }", "must be from 0 to 15 s"},
           {"wait { seconds: 315576000000 }", "must be from 0 to 15 s"}}) {
    EXPECT_THAT(List(request), AllOf(HasReason("INVALID_PAYLOAD"),
                                     StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(text))))
        << request;
  }
  Deny();
  for (const char* after : {"ev_0000000000000001", "ev_7fffffffffffffff"}) {
    EXPECT_THAT(List(absl::StrCat("after: '", after, "'")), HasReason("EVENTS_EXPIRED"));
    EXPECT_THAT(List(absl::StrCat("after: '", after, "' wait { seconds: 15 }")),
                HasReason("EVENTS_EXPIRED"));
  }
}

TEST_F(EventServiceTest, WhoWaitsIsToldAsSoonAsThereIsNews) {
  auto waiting =
      std::async(std::launch::async, [&] { return List("wait { seconds: 15 } tenant_id: 'b'"); });
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  // Which does not pass the filter, and is none of this organisation's.
  Deny("a");
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  Deny("b");
  ASSERT_OK_AND_ASSIGN(const v1::ListEventsResponse told, waiting.get());
  ASSERT_THAT(told.events(), SizeIs(1));
  EXPECT_EQ(told.events(0).tenant_id(), "b");
}

TEST_F(EventServiceTest, WithoutNewsTheWaitingEndsInTime) {
  ASSERT_OK_AND_ASSIGN(const v1::ListEventsResponse none, List("wait { nanos: 50000000 }"));
  EXPECT_THAT(none.events(), IsEmpty());
  Deny();
  ASSERT_OK_AND_ASSIGN(const v1::ListEventsResponse all, List("wait { seconds: 15 }"));
  EXPECT_THAT(all.events(), SizeIs(1));
}

TEST_F(EventServiceTest, OfOneKeyFourWaitAtATimeAndThatOfAnotherDoesNotCount) {
  std::vector<std::future<absl::StatusOr<v1::ListEventsResponse>>> waiting;
  for (int i = 0; i < 5; ++i) {
    waiting.push_back(std::async(std::launch::async, [&] { return List("wait { seconds: 15 }"); }));
  }
  // The one that comes last has no place.
  const auto has_ended = [](const auto& each) {
    return each.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  };
  const auto refused = [&] { return std::find_if(waiting.begin(), waiting.end(), has_ended); };
  ASSERT_TRUE(Eventually([&] { return refused() != waiting.end(); }));
  const auto last = refused();
  EXPECT_THAT(last->get(), HasReason("TOO_MANY_WAITING"));
  waiting.erase(last);
  EXPECT_OK(List(""));
  EXPECT_OK(
      server_->Call<v1::ListEventsResponse>("ListEvents", "wait { nanos: 1 }", AsService("acme")));
  Deny();
  for (auto& each : waiting) {
    const auto told = each.get();
    ASSERT_OK(told);
    EXPECT_THAT(told->events(), SizeIs(1));
  }
  EXPECT_OK(List("wait { nanos: 1 }"));
}

TEST_F(EventServiceTest, AServerThatStopsAnswersThoseWhoWait) {
  auto waiting = std::async(std::launch::async, [&] { return List("wait { seconds: 15 }"); });
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(200)), std::future_status::timeout);
  const absl::Time began = absl::Now();
  server_->Close();
  ASSERT_OK_AND_ASSIGN(const v1::ListEventsResponse told, waiting.get());
  EXPECT_THAT(told.events(), IsEmpty());
  // Its grace was not needed.
  EXPECT_LT(absl::Now() - began, absl::Seconds(8));
}

}  // namespace
}  // namespace authurl::testing
