// The server is killed while flows are completed. Whatever the moment: no account is there without
// its spent state, or by half; none that was told of is lost; and no code is sent twice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "tests/support/build_kind.h"
#include "tests/support/callers.h"
#include "tests/support/eventually.h"
#include "tests/support/local_flow_test.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_client.h"

namespace authurl::testing {
namespace {

using ::testing::_;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Step = LocalNetwork::Step;

constexpr int kKillsAfterReply = kSanitized ? 2 : 5;
constexpr int kKillsAtRandom = kSanitized ? 4 : 20;
constexpr int kCompleters = 8;
constexpr unsigned kKillMoments = 20261128;

class CompleteAuthKillTest : public LocalFlowTest {
 protected:
  // A flow whose response was handed over, and the account that its caller was told of; empty where
  // the server was killed first.
  struct Attempt {
    Flow flow;
    std::string account_id;
  };

  // Ends with the first server while the network's answer to the step is waited for.
  void KillWhileItHangs(Step step, Flow& flow) {
    ASSERT_NO_FATAL_FAILURE(Start());
    ASSERT_OK_AND_ASSIGN(flow, Begin(*org_));
    network_.Hang(step);
    auto completing =
        std::async(std::launch::async, [&] { return Complete(*org_, flow.response); });
    EXPECT_TRUE(network_.WaitForRequests(step, 1));
    ASSERT_OK(server_->Kill());
    EXPECT_THAT(completing.get(), StatusIs(absl::StatusCode::kUnavailable, _));
    network_.Release();
  }
  // Of one that was killed after the code was sent, and before anything of the account was stored.
  void ExpectLostButNotRepeated(const Flow& flow) {
    ASSERT_NO_FATAL_FAILURE(Start());
    EXPECT_THAT(List(), IsEmpty());
    ASSERT_OK_AND_ASSIGN(const v1::GetAuthFlowResponse state, org_->GetAuthFlow(flow.flow_id));
    EXPECT_THAT(state.status(), AnyOf(v1::GetAuthFlowResponse::STATUS_COMPLETING,
                                      v1::GetAuthFlowResponse::STATUS_FAILED));
    ASSERT_NO_FATAL_FAILURE(ExpectWholeOrNothing({{.flow = flow, .account_id = ""}}));
    EXPECT_EQ(network_.sent(flow.code), 1);
    EXPECT_EQ(network_.requests(Step::kExchange), 1);
    EXPECT_THAT(List(), IsEmpty());

    // The person begins again.
    ASSERT_OK_AND_ASSIGN(const Flow next, Begin(*org_));
    EXPECT_OK(Complete(*org_, next.response));
    EXPECT_EQ(*server_->Stop(), 0);
  }

  // Lets many complete flows until the server is killed, `delay` after the first one is through.
  void CompleteManyAndKill(absl::Duration delay, std::vector<Attempt>& attempts) {
    std::mutex mutex;
    // Channels of their own, so that calls really arrive together.
    std::vector<TestClient> clients;
    for (int i = 0; i < kCompleters; ++i) clients.emplace_back(server_->address(), key_);
    Callers load(kCompleters, [&](int caller) {
      const TestClient& client = clients[static_cast<size_t>(caller)];
      const absl::StatusOr<Flow> flow = Begin(client);
      if (!flow.ok()) {
        // The server is gone.
        absl::SleepFor(absl::Milliseconds(1));
        return flow.status();
      }
      const auto completed = Complete(client, flow->response);
      const std::string account_id =
          completed.ok() && completed->accounts_size() == 1 ? completed->accounts(0).id() : "";
      const std::lock_guard lock(mutex);
      attempts.push_back({.flow = *flow, .account_id = account_id});
      return completed.status();
    });
    ASSERT_TRUE(Eventually([&] { return load.ended() > 0; }));
    absl::SleepFor(delay);
    ASSERT_OK(server_->Kill());
    for (const auto& [code, ending] : load.Stop()) {
      EXPECT_THAT(code, AnyOf(absl::StatusCode::kOk, absl::StatusCode::kUnavailable))
          << ending.calls << " calls: " << ending.first_message;
    }
  }

  // After a restart.
  void ExpectWholeOrNothing(const std::vector<Attempt>& attempts) {
    std::map<std::string, v1::SocialAccount> by_person;
    for (const v1::SocialAccount& account : List()) {
      const std::string& person = account.network_unique_id();
      EXPECT_TRUE(by_person.emplace(person, account).second) << person << " is there twice";
    }
    for (const Attempt& attempt : attempts) {
      SCOPED_TRACE(attempt.flow.person);
      const auto found = by_person.find(attempt.flow.person);
      if (found != by_person.end()) {
        ASSERT_NO_FATAL_FAILURE(ExpectWhole(attempt, found->second));
      } else {
        ASSERT_NO_FATAL_FAILURE(ExpectNothing(attempt));
      }
      // The state is spent by now, and nobody gets anything for another code.
      const std::string other =
          absl::StrReplaceAll(attempt.flow.response, {{attempt.flow.code, "another-code"}});
      EXPECT_THAT(Complete(*org_, other), HasReason("STATE_ALREADY_USED"));
      EXPECT_LE(network_.sent(attempt.flow.code), 1);
    }
  }
  void ExpectWhole(const Attempt& attempt, const v1::SocialAccount& account) {
    const Flow& flow = attempt.flow;
    connected_.insert(account.id());
    // The reply may not have come.
    EXPECT_THAT(attempt.account_id, AnyOf("", account.id()));
    ASSERT_OK_AND_ASSIGN(const v1::GetAuthFlowResponse state, org_->GetAuthFlow(flow.flow_id));
    EXPECT_EQ(state.status(), v1::GetAuthFlowResponse::STATUS_COMPLETED);
    EXPECT_THAT(state.account_ids(), ElementsAre(account.id()));
    ASSERT_OK_AND_ASSIGN(const v1::CompleteAuthResponse again, Complete(*org_, flow.response));
    EXPECT_TRUE(again.replayed());
    ASSERT_EQ(again.accounts_size(), 1);
    EXPECT_EQ(again.accounts(0).id(), account.id());
    ASSERT_OK_AND_ASSIGN(const auto token, org_->GetAccessToken(account.id()));
    EXPECT_EQ(token.access_token(), network_.AccessTokenOf(flow.person));
    EXPECT_EQ(network_.sent(flow.code), 1);
  }
  void ExpectNothing(const Attempt& attempt) {
    const Flow& flow = attempt.flow;
    EXPECT_EQ(attempt.account_id, "") << "is lost";
    ASSERT_OK_AND_ASSIGN(const v1::GetAuthFlowResponse state, org_->GetAuthFlow(flow.flow_id));
    const auto again = Complete(*org_, flow.response);
    if (state.status() != v1::GetAuthFlowResponse::STATUS_PENDING) {
      EXPECT_THAT(again,
                  AnyOf(HasReason("COMPLETION_IN_PROGRESS"), HasReason("COMPLETION_UNKNOWN")));
      return;
    }
    // The server was killed before the state was spent: the code was sent nowhere, and is good.
    ASSERT_OK(again);
    EXPECT_FALSE(again->replayed());
    ASSERT_EQ(again->accounts_size(), 1);
    EXPECT_EQ(again->accounts(0).network_unique_id(), flow.person);
    connected_.insert(again->accounts(0).id());
  }

  // All accounts that were found, or connected since.
  std::set<std::string> connected_;
};

TEST_F(CompleteAuthKillTest, WhileTheExchangeHangs) {
  Flow flow;
  ASSERT_NO_FATAL_FAILURE(KillWhileItHangs(Step::kExchange, flow));
  ASSERT_NO_FATAL_FAILURE(ExpectLostButNotRepeated(flow));
}

TEST_F(CompleteAuthKillTest, WhileTheProfileHangsAfterTheExchange) {
  Flow flow;
  ASSERT_NO_FATAL_FAILURE(KillWhileItHangs(Step::kProfile, flow));
  ASSERT_NO_FATAL_FAILURE(ExpectLostButNotRepeated(flow));
}

TEST_F(CompleteAuthKillTest, RightAfterTheReply) {
  ASSERT_NO_FATAL_FAILURE(Start());
  for (int i = 0; i < kKillsAfterReply; ++i) {
    SCOPED_TRACE(i);
    ASSERT_OK_AND_ASSIGN(const Flow flow, Begin(*org_));
    const auto completed = Complete(*org_, flow.response);
    ASSERT_OK(server_->Kill());
    ASSERT_OK(completed);
    ASSERT_EQ(completed->accounts_size(), 1);
    const std::string& id = completed->accounts(0).id();
    ASSERT_NO_FATAL_FAILURE(Start());
    ASSERT_NO_FATAL_FAILURE(ExpectWholeOrNothing({{.flow = flow, .account_id = id}}));
    EXPECT_EQ(network_.requests(Step::kExchange), i + 1);
  }
  EXPECT_EQ(*server_->Stop(), 0);
}

TEST_F(CompleteAuthKillTest, AtRandomMomentsOfManyFlows) {
  std::mt19937 random(kKillMoments);
  std::uniform_int_distribution<int> microseconds(0, 60'000);
  int acknowledged = 0;
  int cut_off = 0;
  ASSERT_NO_FATAL_FAILURE(Start());
  for (int i = 0; i < kKillsAtRandom; ++i) {
    SCOPED_TRACE(absl::StrCat("kill ", i + 1));
    std::vector<Attempt> attempts;
    ASSERT_NO_FATAL_FAILURE(
        CompleteManyAndKill(absl::Microseconds(microseconds(random)), attempts));
    ASSERT_NO_FATAL_FAILURE(Start());
    ASSERT_NO_FATAL_FAILURE(ExpectWholeOrNothing(attempts));
    for (const Attempt& attempt : attempts) ++(attempt.account_id.empty() ? cut_off : acknowledged);
  }
  // Later kills have not harmed what earlier ones had spared, and nothing else is there.
  std::set<std::string> listed;
  for (const v1::SocialAccount& account : List()) listed.insert(account.id());
  EXPECT_EQ(listed, connected_);
  EXPECT_EQ(*server_->Stop(), 0);

  RecordProperty("acknowledged", acknowledged);
  RecordProperty("cut_off", cut_off);
  EXPECT_GE(acknowledged, kKillsAtRandom);
  EXPECT_GT(cut_off, 0) << "no flow was ever cut off";
}

}  // namespace
}  // namespace authurl::testing
