// That all that is due is refreshed, at the pace of its network, and nothing holds up the rest.
#include "server/flow/refresh_due.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/server/flow/stored_grant_fixture.h"

namespace authurl::testing {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

// By the network's clock, which test advance together with the other or by itself.
class RefreshDueTest : public StoredGrantTest {
 protected:
  struct Worker {
    Worker(const FlowTools& tools, const Clock& steady, double per_second = 5)
        : refresher(tools, steady),
          pace({.per_second = per_second}, steady),
          refreshes(tools, refresher, pace, {.steady = steady}) {}

    GrantRefresher refresher;
    NetworkPace pace;
    DueRefreshes refreshes;
  };

  void SetUp() override {
    StoredGrantTest::SetUp();
    record::v1::SocialNetworkSettings settings;
    settings.set_id("sn_2");
    settings.set_org_id("acme");
    settings.set_network("other");
    settings.set_version(1);
    settings.set_client_key("client-1");
    ASSERT_OK(store_->social_networks().Create(kNoLimit, settings, kOldSecret));
    UseEntries("refresh { rotation: ROTATION_ALWAYS refresh_token_lifetime_s: 864000 }");
    worker_ = std::make_unique<Worker>(Tools(), steady_clock_);
  }
  void TearDown() override {
    worker_.reset();
    StoredGrantTest::TearDown();
  }

  // The networks "net" and "other", with the same parts.
  void UseEntries(const std::string& parts) {
    std::string text;
    for (const char* const id : {"net", "other"}) {
      absl::StrAppend(&text, "networks { id: \"", id, "\" display_name: \"", id, "\" ",
                      R"pb(
                        status: STATUS_LIVE
                        authorization_endpoint: "https://net.example/authorize"
                        pkce { mode: MODE_SUPPORTED }
                        documentation: "https://net.example/docs"
                        checked_on: "2026-11-23"
                      )pb",
                      "exchange { request { url: \"https://", id, ".example/token\" ",
                      "client_auth: CLIENT_AUTH_SECRET_POST } } ", parts, "}");
    }
    ASSERT_OK_AND_ASSIGN(catalog_, NetworkCatalog::Parse(text));
  }
  // So many grants, due from kStart + 100 hours on.
  void ConnectMany(int count, const std::string& network = "net") {
    network_ = network;
    configuration_ = network == "net" ? "sn_1" : "sn_2";
    for (int i = 0; i < count; ++i) {
      subject_ = absl::StrCat(network, " ", ++people_);
      Connect(Tokens(subject_), {subject_});
      grant_ids_.push_back(grant_id_);
    }
  }

  void AdvanceBoth(absl::Duration by) {
    Advance(by);
    steady_ms_ += absl::ToInt64Milliseconds(by);
  }
  // All that can be done now. Returns how long until there is more.
  static absl::Duration Work(DueRefreshes& refreshes) {
    while (true) {
      const bool was_idle = refreshes.under_way() == 0;
      const absl::Duration wait = refreshes.Step();
      if (was_idle && refreshes.under_way() == 0 && wait > absl::ZeroDuration()) return wait;
      EXPECT_TRUE(Eventually([&] { return refreshes.under_way() == 0; }));
    }
  }
  absl::Duration Work() { return Work(worker_->refreshes); }
  // With time going on as it is wanted to.
  void WorkFor(absl::Duration time) {
    const int64_t until = steady_ms_ + absl::ToInt64Milliseconds(time);
    while (steady_ms_ < until) {
      const absl::Duration wait = Work();
      const absl::Duration left = absl::Milliseconds(until - steady_ms_);
      AdvanceBoth(std::max(std::min(wait, left), absl::Milliseconds(1)));
    }
  }
  void AnswerAll() {
    http_.AnswerAlways([](int n) { return TokensBody(absl::StrCat("new-", n)); });
  }
  std::vector<std::string> SentBodies() const {
    std::vector<std::string> bodies;
    for (const SentRequest& sent : http_.sent()) bodies.push_back(sent.body);
    return bodies;
  }
  // Another organisation, of which what follows is.
  void UseOtherOrganization() {
    org_id_ = "zenith";
    record::v1::Organization other;
    other.set_org_id(org_id_);
    ASSERT_OK(store_->CreateOrganization(kNoLimit, other));
    record::v1::SocialNetworkSettings settings;
    settings.set_id("sn_1");
    settings.set_org_id(org_id_);
    settings.set_network("net");
    settings.set_version(1);
    settings.set_client_key("client-1");
    ASSERT_OK(store_->social_networks().Create(kNoLimit, settings, kOldSecret));
  }
  int64_t SentTo(const std::string& network) const {
    const std::vector<SentRequest> sent = http_.sent();
    return std::count_if(sent.begin(), sent.end(),
                         [&](const SentRequest& one) { return one.target.network == network; });
  }

  std::atomic<int64_t> steady_ms_ = 1'000'000;
  const Clock steady_clock_ = [this] { return absl::FromUnixMillis(steady_ms_); };
  std::unique_ptr<Worker> worker_;
  int people_ = 0;
  std::vector<std::string> grant_ids_;
};

TEST_F(RefreshDueTest, RefreshesWhatIsDueOnceAndNothingElse) {
  ConnectMany(3);
  AdvanceBoth(absl::Hours(99));
  ConnectMany(1);
  AnswerAll();
  WorkFor(absl::Minutes(30));
  EXPECT_THAT(http_.sent(), IsEmpty());
  WorkFor(absl::Hours(2));
  const std::vector<std::string> bodies = SentBodies();
  EXPECT_EQ(std::set<std::string>(bodies.begin(), bodies.end()).size(), 3u);
  EXPECT_THAT(bodies, SizeIs(3));
  for (int i = 0; i < 3; ++i) {
    grant_id_ = grant_ids_[i];
    EXPECT_EQ(StoredGrant().generation(), 2u);
  }
}

TEST_F(RefreshDueTest, KeepsToTheRateHoweverManyAreDue) {
  ConnectMany(40);
  AnswerAll();
  // As when the clock jumps.
  Advance(absl::Hours(24 * 30));
  Work();
  EXPECT_THAT(http_.sent(), SizeIs(1));
  WorkFor(absl::Seconds(2));
  EXPECT_LE(http_.sent().size(), 11u);
  EXPECT_GE(http_.sent().size(), 9u);
  WorkFor(absl::Minutes(1));
  EXPECT_THAT(http_.sent(), SizeIs(40));
}

TEST_F(RefreshDueTest, MoreThanAQueueHoldsComesWithLaterRounds) {
  ConnectMany(450);
  AnswerAll();
  AdvanceBoth(absl::Hours(101));
  WorkFor(absl::Minutes(2));
  EXPECT_THAT(http_.sent(), SizeIs(450));
}

TEST_F(RefreshDueTest, AHighRateIsReached) {
  ConnectMany(800);
  AnswerAll();
  worker_ = std::make_unique<Worker>(Tools(), steady_clock_, 200);
  AdvanceBoth(absl::Hours(101));
  WorkFor(absl::Seconds(6));
  EXPECT_THAT(http_.sent(), SizeIs(800));
}

TEST_F(RefreshDueTest, OneOrganizationWithManyHoldsUpNoOther) {
  ConnectMany(400);
  AdvanceBoth(absl::Seconds(1));
  UseOtherOrganization();
  ConnectMany(1);
  AnswerAll();
  AdvanceBoth(absl::Hours(101));
  WorkFor(absl::Seconds(3));
  EXPECT_LE(http_.sent().size(), 17u);
  EXPECT_EQ(StoredGrant().generation(), 2u);
}

// As Kick and Spotify say of living ones, too, so such a refusal is not believed at once.
TEST_F(RefreshDueTest, DeadGrantsOfANetworkThatMayErrHoldUpNoLivingOne) {
  UseEntries(
      "refresh { rotation: ROTATION_ALWAYS refresh_token_lifetime_s: 864000 may_err: true }");
  ConnectMany(20);
  AdvanceBoth(absl::Seconds(1));
  UseOtherOrganization();
  ConnectMany(1);
  AdvanceBoth(absl::Hours(101));
  http_.AnswerAlwaysBy([&](const SentRequest& sent) -> std::string {
    return absl::StrContains(sent.body, "net%2021") || absl::StrContains(sent.body, "net+21")
               ? TokensBody("new")
               : R"({"error":"invalid_grant"})";
  });
  WorkFor(absl::Seconds(10));
  EXPECT_THAT(http_.sent(), SizeIs(21));
  EXPECT_EQ(StoredGrant().generation(), 2u);
  EXPECT_FALSE(worker_->pace.IsPaused("net"));
}

TEST_F(RefreshDueTest, WhatTheConfigurationIsToBlameForIsTriedAgainOnceThatIsMended) {
  ConnectMany(3);
  AdvanceBoth(absl::Hours(101));
  http_.AnswerAlways([](int) { return R"({"error":"invalid_client"})"; });
  WorkFor(absl::Hours(10));
  // At once, and 1, 3 and 7 hours later.
  EXPECT_EQ(SentTo("net"), 3 * 4);
  AnswerAll();
  ASSERT_OK(store_->social_networks().Update(
      kNoLimit, "acme", "sn_1", Now(),
      [](record::v1::SocialNetworkSettings&, absl::string_view) { return absl::OkStatus(); },
      "client-secret-canary-2"));
  WorkFor(absl::Minutes(3));
  EXPECT_EQ(SentTo("net"), 3 * 5);
  for (const std::string& id : grant_ids_) {
    grant_id_ = id;
    EXPECT_EQ(StoredGrant().generation(), 2u);
  }
  EXPECT_EQ(Account().status_reason(), "");
}

TEST_F(RefreshDueTest, OfTwoProcessesOneRefreshesEach) {
  ConnectMany(20);
  AnswerAll();
  AdvanceBoth(absl::Hours(101));
  // Another store, of another process, over the same backend.
  const std::shared_ptr<Backend> lent(std::shared_ptr<void>(), backend_);
  ASSERT_OK_AND_ASSIGN(
      const auto other_store,
      CredentialStore::Open(std::make_unique<ForwardingBackend>(lent), sealer_, random_));
  FlowTools tools = {http_, *other_store, catalog_, pool_, clock_, random_, metrics_};
  Worker other(tools, steady_clock_);
  for (int i = 0; i < 2000; ++i, AdvanceBoth(absl::Milliseconds(100))) {
    worker_->refreshes.Step();
    other.refreshes.Step();
    ASSERT_TRUE(Eventually(
        [&] { return worker_->refreshes.under_way() == 0 && other.refreshes.under_way() == 0; }));
  }
  const std::vector<std::string> bodies = SentBodies();
  EXPECT_THAT(bodies, SizeIs(20));
  EXPECT_EQ(std::set<std::string>(bodies.begin(), bodies.end()).size(), 20u);
  for (const std::string& id : grant_ids_) {
    grant_id_ = id;
    EXPECT_EQ(StoredGrant().generation(), 2u);
  }
}

TEST_F(RefreshDueTest, AnOutageCostsFewCallsAndHoldsUpNoOtherNetwork) {
  ConnectMany(300);
  ConnectMany(10, "other");
  AdvanceBoth(absl::Hours(101));
  std::atomic<bool> has_outage = true;
  http_.AnswerAlwaysBy([&](const SentRequest& sent) -> std::string {
    return sent.target.network == "net" && has_outage ? R"({"error":"temporarily_unavailable"})"
                                                      : TokensBody("new");
  });
  WorkFor(absl::Minutes(5));
  EXPECT_EQ(SentTo("other"), 10);
  EXPECT_LE(SentTo("net"), 3 + 5);
  WorkFor(absl::Hours(24));
  EXPECT_LE(SentTo("net"), 8 + 24 * 5);
  has_outage = false;
  WorkFor(absl::Hours(2));
  for (const std::string& id : grant_ids_) {
    grant_id_ = id;
    EXPECT_EQ(StoredGrant().generation(), 2u);
  }
}

TEST_F(RefreshDueTest, OneThatFailsIsTriedEverMoreSeldom) {
  ConnectMany(1);
  AdvanceBoth(absl::Hours(101));
  http_.AnswerAlways([](int) { return R"({"error":"temporarily_unavailable"})"; });
  WorkFor(absl::Hours(24));
  EXPECT_GE(SentTo("net"), 24);
  EXPECT_LE(SentTo("net"), 24 + 8);
}

TEST_F(RefreshDueTest, WhatCantBeRefreshedHoldsNothingUp) {
  ConnectMany(300, "other");
  AdvanceBoth(absl::Minutes(1));
  ConnectMany(3);
  ASSERT_OK(store_->accounts().Delete(kNoLimit, "acme", account_id_, Now()));
  UseEntry("refresh { rotation: ROTATION_ALWAYS refresh_token_lifetime_s: 864000 }");
  ASSERT_EQ(catalog_.Find("other"), nullptr);
  AnswerAll();
  AdvanceBoth(absl::Hours(101));
  WorkFor(absl::Minutes(5));
  EXPECT_EQ(SentTo("net"), 2);
  EXPECT_THAT(http_.sent(), SizeIs(2));
  grant_id_ = grant_ids_[0];
  EXPECT_LE(StoredGrant().due_at_ms(), absl::ToUnixMillis(Now()));
}

TEST_F(RefreshDueTest, AStoreThatFailsForAWhileIsAskedAgain) {
  ConnectMany(2);
  AdvanceBoth(absl::Hours(101));
  AnswerAll();
  backend_->FailCommits(1, StorageUnavailable("a test"));
  WorkFor(absl::Minutes(3));
  EXPECT_THAT(http_.sent(), SizeIs(2));
}

TEST_F(RefreshDueTest, AfterTheClockWasPutBackTokensOfATimeToComeAreRefreshed) {
  ConnectMany(1);
  WorkFor(absl::Hours(1));
  Advance(absl::Hours(24 * 40));
  ConnectMany(2);
  AnswerAll();
  // The first one is due.
  WorkFor(absl::Hours(1));
  EXPECT_THAT(http_.sent(), SizeIs(1));
  Advance(-absl::Hours(24 * 40));
  WorkFor(absl::Minutes(2));
  EXPECT_THAT(http_.sent(), SizeIs(4));
  for (const std::string& id : grant_ids_) {
    grant_id_ = id;
    EXPECT_LT(StoredGrant().due_at_ms(), absl::ToUnixMillis(Now() + absl::Hours(144)));
  }
  WorkFor(absl::Hours(24));
  EXPECT_THAT(http_.sent(), SizeIs(4));
}

TEST_F(RefreshDueTest, TheThreadRefreshesAndStopsAtOnce) {
  ConnectMany(2);
  Advance(absl::Hours(101));
  AnswerAll();
  GrantRefresher refresher(Tools(), steady_clock_);
  NetworkPace pace({.per_second = 1000}, SteadyNow);
  DueRefresher due(Tools(), refresher, pace, SteadyNow);
  EXPECT_TRUE(Eventually([this] { return http_.sent().size() == 2; }));
  due.Stop();
}

TEST_F(RefreshDueTest, ItsEndWaitsForWhatIsUnderWay) {
  ConnectMany(1);
  Advance(absl::Hours(101));
  http_.Hold();
  http_.Answer(200, TokensBody("new"));
  GrantRefresher refresher(Tools(), steady_clock_);
  NetworkPace pace({.per_second = 1000}, SteadyNow);
  auto due = std::make_unique<DueRefresher>(Tools(), refresher, pace, SteadyNow);
  ASSERT_TRUE(Eventually([this] { return http_.sent().size() == 1; }));
  due->Stop();
  http_.Release();
  due.reset();
  EXPECT_EQ(StoredAccessToken(), "access-canary-new");
}

}  // namespace
}  // namespace authurl::testing
