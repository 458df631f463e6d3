// The server is killed while it delivers events to webhooks, again and again. Whatever the moment:
// every event that a caller can know of comes at least once, and those of one account in order.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "authurl/v1/webhook_service.pb.h"
#include "tests/support/build_kind.h"
#include "tests/support/callers.h"
#include "tests/support/eventually.h"
#include "tests/support/local_flow_test.h"
#include "tests/support/raw_rpc.h"
#include "tests/support/status_matchers.h"
#include "tests/support/webhook_receiver.h"

namespace authurl::testing {
namespace {

constexpr int kWebhookKills = kSanitized ? 3 : 6;
constexpr int kConnecters = 4;
constexpr unsigned kWebhookKillMoments = 20261129;
// What a killed server had the lease of, nobody else delivers before it is over.
constexpr absl::Duration kLeasesAreOver = absl::Seconds(120);

class WebhookKillTest : public LocalFlowTest {
 protected:
  // What callers were told of.
  struct Known {
    int round;
    std::string account_id;
    bool is_disconnected;
  };

  void CreateWebhook(const WebhookReceiver& receiver) {
    const Rpc& rpc = FindRpc("CreateWebhook");
    const RawReply reply = CallRaw(
        grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()), PathOf(rpc),
        RequestBytes(rpc, absl::StrCat("url: '", receiver.Url(), "'")), Bearer(key_));
    ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
  }

  void ConnectManyAndKill(int round, absl::Duration delay) {
    std::vector<TestClient> clients;
    for (int i = 0; i < kConnecters; ++i) clients.emplace_back(server_->address(), key_);
    Callers load(kConnecters, [&](int caller) -> absl::Status {
      const TestClient& client = clients[static_cast<size_t>(caller)];
      const absl::StatusOr<Flow> flow = Begin(client);
      if (!flow.ok()) {
        absl::SleepFor(absl::Milliseconds(1));
        return flow.status();
      }
      const auto completed = Complete(client, flow->response);
      if (!completed.ok()) return completed.status();
      const std::string id = completed->accounts(0).id();
      const auto deleted = client.DeleteSocialAccount(id);
      const std::lock_guard lock(mutex_);
      known_.push_back({.round = round, .account_id = id, .is_disconnected = deleted.ok()});
      return absl::OkStatus();
    });
    ASSERT_TRUE(Eventually([&] { return load.ended() > 0; }));
    absl::SleepFor(delay);
    ASSERT_OK(server_->Kill());
    load.Stop();
  }

  // Types of an account's events, in the order in which each came first.
  static std::map<std::string, std::vector<std::string>> FirstTaken(
      const WebhookReceiver& receiver) {
    std::map<std::string, std::vector<std::string>> types;
    std::set<std::string> seen;
    for (const auto& delivery : receiver.taken()) {
      if (seen.insert(delivery.id).second) {
        types[delivery.Data("accountId")].push_back(delivery.type());
      }
    }
    return types;
  }

  std::mutex mutex_;
  std::vector<Known> known_;  // Guarded by mutex_.
};

TEST_F(WebhookKillTest, NoEventIsLostAndEachAccountsComeInOrder) {
  std::mt19937 moments(kWebhookKillMoments);
  // One for each round: nobody has a lease on the newest.
  std::vector<std::unique_ptr<WebhookReceiver>> receivers;
  for (int round = 0; round < kWebhookKills; ++round) {
    ASSERT_NO_FATAL_FAILURE(Start());
    receivers.push_back(std::make_unique<WebhookReceiver>());
    receivers.back()->AnswerBy([](const auto&) {
      absl::SleepFor(absl::Milliseconds(2));
      return "HTTP/1.1 204 No Content\r\n\r\n";
    });
    ASSERT_NO_FATAL_FAILURE(CreateWebhook(*receivers.back()));
    ASSERT_NO_FATAL_FAILURE(ConnectManyAndKill(round, absl::Milliseconds(50 + moments() % 400)));
  }
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_GT(known_.size(), static_cast<size_t>(kWebhookKills));
  for (size_t round = 0; round < receivers.size(); ++round) {
    const WebhookReceiver& receiver = *receivers[round];
    SCOPED_TRACE(round);
    EXPECT_TRUE(Eventually(
        [&] {
          const auto types = FirstTaken(receiver);
          return std::all_of(known_.begin(), known_.end(), [&](const Known& known) {
            if (known.round < static_cast<int>(round)) return true;
            const auto found = types.find(known.account_id);
            return found != types.end() &&
                   found->second.size() >= (known.is_disconnected ? 2u : 1u);
          });
        },
        kLeasesAreOver));
    for (const auto& [account_id, types] : FirstTaken(receiver)) {
      ASSERT_LE(types.size(), 2u) << account_id;
      if (types.size() == 2) {
        EXPECT_EQ(types[0], "account.connected") << account_id;
        EXPECT_EQ(types[1], "account.disconnected") << account_id;
      }
    }
  }
  EXPECT_EQ(*server_->Stop(), 0);
}

}  // namespace
}  // namespace authurl::testing
