// From a URL that was handed out to the accounts that are connected, over a real database; what
// networks answer is scripted.
#include "server/flow/complete_auth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/errors.h"
#include "core/flow/auth_request.h"
#include "core/flow/auth_url.h"
#include "core/flow/session_token.h"
#include "core/form.h"
#include "server/flow/return_location.h"
#include "tests/storage/connections_fixture.h"
#include "tests/support/eventually.h"
#include "tests/support/scripted_client.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kXTokens[] =
    R"({"token_type": "bearer", "expires_in": 7200, "access_token": "access-canary",
        "refresh_token": "refresh-canary", "scope": "tweet.read users.read"})";
constexpr char kXPerson[] =
    R"({"data": {"id": "2244994945", "name": "Example Person", "username": "example"}})";
constexpr char kCallback[] = "https://app.example.com/cb";
constexpr char kPublicBaseUrl[] = "https://connect.example.com";

class CompleteAuthTest : public ConnectionsTest {
 protected:
  void SetUp() override {
    ConnectionsTest::SetUp();
    Configure("x");
    StartAnew();
  }
  void TearDown() override { End(); }

  void StartAnew(AuthCompleter::Options options = {}) {
    End();
    pool_.emplace(4);
    const FlowTools tools = {.http = http_,
                             .store = *store_,
                             .catalog = catalog_,
                             .pool = *pool_,
                             .clock = clock_,
                             .random = shared_random_,
                             .metrics = metrics_};
    completer_ = std::make_unique<AuthCompleter>(tools, keys_.sealer, options);
  }
  void End() {
    if (pool_) pool_->Stop();
    completer_.reset();
    pool_.reset();
  }

  void Configure(const std::string& network, const std::string& instance = "") {
    record::v1::SocialNetworkSettings settings;
    settings.set_id(absl::StrCat("sn_", network, instance));
    settings.set_org_id("acme");
    settings.set_network(network);
    settings.set_instance(instance);
    settings.set_version(1);
    settings.set_client_key("client-key");
    settings.set_default_redirect_uri(kCallback);
    settings.add_allowed_return_uris("https://app.example.com/connected?tab=1");
    ASSERT_OK(store_->social_networks().Create(kNoLimit, settings, "client-secret-canary"));
  }

  // What a network would send back for a URL that is handed out now.
  struct Minted {
    std::string state;
    std::string redirect_uri;
    std::string flow_id;
    std::string Response(const std::string& code) const {
      return absl::StrCat(redirect_uri, absl::StrContains(redirect_uri, "?") ? "&" : "?",
                          "state=", state, "&code=", code);
    }
  };
  Minted Mint(v1::GetAuthUrlRequest request) {
    if (request.network().empty()) request.set_network("x");
    const auto settings =
        store_->social_networks().Find(kNoLimit, "acme", request.network(), request.instance(), "");
    EXPECT_OK(settings);
    const auto valid = ValidateAuthRequest(catalog_, request);
    EXPECT_OK(valid);
    const auto fitting = ForConfiguration(catalog_, *valid, **settings);
    EXPECT_OK(fitting);
    const auto uri = ChooseRedirectUri(*fitting, **settings, kPublicBaseUrl, keys_.ring);
    EXPECT_OK(uri);
    const auto url = MintAuthUrl(keys_.sealer, *fitting, **settings, *uri, shared_random_,
                                 absl::FromUnixMillis(now_ms_.load()), absl::Minutes(30));
    EXPECT_OK(url);
    Minted minted = {.state = "", .redirect_uri = std::string(uri->uri()), .flow_id = url->flow_id};
    const FormFields fields = *ParseForm(url->url.substr(url->url.find('?') + 1), 64);
    for (const auto& [name, value] : fields) {
      if (name == "state") minted.state = value;
    }
    if (url->to_store) {
      EXPECT_OK(store_->PutAuthStates(kNoLimit, {*url->to_store}));
    }
    return minted;
  }
  Minted Mint() {
    v1::GetAuthUrlRequest request;
    request.set_tenant_id("customer_42");
    return Mint(std::move(request));
  }
  Minted MintHosted(const std::string& return_state = "") {
    v1::GetAuthUrlRequest request;
    request.set_return_uri("https://app.example.com/connected?tab=1");
    if (!return_state.empty()) request.set_return_state(return_state);
    return Mint(std::move(request));
  }

  static ReceivedResponse Received(std::string text) {
    ReceivedResponse received;
    received.text = std::move(text);
    received.org_id = "acme";
    received.role = record::v1::ROLE_MINT;
    return received;
  }
  static ReceivedResponse ReceivedHosted(const Minted& minted, const std::string& code) {
    ReceivedResponse received;
    received.redirect_uri = minted.redirect_uri;
    received.text = absl::StrCat("state=", minted.state, "&code=", code);
    return received;
  }

  std::future<CompletedAuth> Begin(ReceivedResponse received, bool is_wanted = true) {
    auto promise = std::make_shared<std::promise<CompletedAuth>>();
    auto context = std::make_shared<const CallContext>(absl::InfiniteFuture(), "request-1");
    completer_->Complete(
        std::move(received), context, [is_wanted] { return is_wanted; },
        [promise](CompletedAuth completed) { promise->set_value(std::move(completed)); });
    return promise->get_future();
  }
  CompletedAuth Complete(ReceivedResponse received) { return Begin(std::move(received)).get(); }
  CompletedAuth Complete(const std::string& text) { return Complete(Received(text)); }

  // "network callback outcome reason: count".
  std::vector<std::string> Counted() const {
    std::vector<std::string> lines;
    const std::vector<prometheus::MetricFamily> families = metrics_.Collect();
    for (const prometheus::ClientMetric& metric : families[0].metric) {
      std::string line;
      for (const auto& label : metric.label) {
        if (!label.value.empty()) absl::StrAppend(&line, line.empty() ? "" : " ", label.value);
      }
      lines.push_back(absl::StrCat(line, ": ", metric.counter.value));
    }
    return lines;
  }

  void ScriptX() {
    http_.Answer(200, kXTokens);
    http_.Answer(200, kXPerson);
  }

  const NetworkCatalog catalog_ = NetworkCatalog::Parse(BuiltInNetworksText()).value();
  std::atomic<int64_t> now_ms_ = absl::ToUnixMillis(kNow);
  const Clock clock_ = [this] { return absl::FromUnixMillis(now_ms_.load()); };
  const RandomSource shared_random_ = FillRandom;
  FlowMetrics metrics_;
  ScriptedClient http_;
  std::optional<ThreadPool> pool_;
  std::unique_ptr<AuthCompleter> completer_;
};

TEST_F(CompleteAuthTest, ConnectsThePersonUnderTheTenant) {
  ScriptX();
  const Minted minted = Mint();
  const CompletedAuth completed = Complete(minted.Response("code-canary"));
  ASSERT_OK(completed.status);
  ASSERT_THAT(completed.accounts, SizeIs(1));
  const record::v1::SocialAccount& account = completed.accounts[0];
  EXPECT_EQ(account.tenant_id(), "customer_42");
  EXPECT_EQ(account.network(), "x");
  EXPECT_EQ(account.network_unique_id(), "2244994945");
  EXPECT_EQ(account.username(), "example");
  EXPECT_EQ(account.account_type(), record::v1::ACCOUNT_TYPE_PERSONAL);
  EXPECT_EQ(account.status(), record::v1::ACCOUNT_STATUS_ACTIVE);
  EXPECT_THAT(account.granted_scopes(), ElementsAre("tweet.read", "users.read"));
  EXPECT_THAT(account.missing_scopes(),
              ElementsAre("tweet.write", "media.write", "offline.access"));
  EXPECT_EQ(completed.flow_id, minted.flow_id);
  EXPECT_FALSE(completed.is_replayed);

  const auto sent = http_.sent();
  ASSERT_THAT(sent, SizeIs(2));
  EXPECT_THAT(sent[0].body, AllOf(HasSubstr("code=code-canary"), HasSubstr("code_verifier="),
                                  HasSubstr("redirect_uri=https%3A%2F%2Fapp.example.com%2Fcb")));
  EXPECT_EQ(AccessTokenOf(account.grant_id()), "access-canary");
}

TEST_F(CompleteAuthTest, TheSameResponseAgainHasTheSameOutcomeAndSendsNothing) {
  ScriptX();
  const Minted minted = Mint();
  const CompletedAuth first = Complete(minted.Response("c"));
  ASSERT_OK(first.status);
  // The state's own time is over by then.
  for (const absl::Duration later : {absl::ZeroDuration(), absl::Hours(23)}) {
    now_ms_ = absl::ToUnixMillis(kNow + later);
    const CompletedAuth again = Complete(minted.Response("c"));
    ASSERT_OK(again.status);
    EXPECT_TRUE(again.is_replayed);
    ASSERT_THAT(again.accounts, SizeIs(1));
    EXPECT_EQ(again.accounts[0].id(), first.accounts[0].id());
  }
  EXPECT_THAT(Counted(), ElementsAre("x own connected: 1"));
  EXPECT_THAT(Complete(minted.Response("another")).status, HasReason("STATE_ALREADY_USED"));
  ReceivedResponse by_another_role = Received(minted.Response("c"));
  by_another_role.role = record::v1::ROLE_ORG;
  EXPECT_THAT(Complete(by_another_role).status, HasReason("STATE_ALREADY_USED"));
  EXPECT_THAT(http_.sent(), SizeIs(2));
}

TEST_F(CompleteAuthTest, OfManyCodesForOneStateOneIsSent) {
#if defined(AUTHURL_SOAK)
  constexpr int kStates = 10'000;
#else
  constexpr int kStates = 20;
#endif
  constexpr int kCodes = 64;
  for (int state = 0; state < kStates && !HasFailure(); ++state) {
    ScriptX();
    const Minted minted = Mint();
    std::vector<std::future<CompletedAuth>> all;
    for (int i = 0; i < kCodes; ++i) {
      all.push_back(Begin(Received(minted.Response(absl::StrCat("c", i)))));
    }
    int connected = 0;
    for (auto& each : all) {
      const CompletedAuth completed = each.get();
      if (completed.status.ok()) {
        ++connected;
      } else {
        EXPECT_THAT(completed.status, HasReason("STATE_ALREADY_USED"));
      }
    }
    EXPECT_EQ(connected, 1);
    EXPECT_THAT(http_.sent(), SizeIs(2 * (state + 1)));
  }
}

TEST_F(CompleteAuthTest, WhatIsUnderWayIsToldAsSuch) {
  ScriptX();
  http_.Hold();
  const Minted minted = Mint();
  auto first = Begin(Received(minted.Response("c")));
  ASSERT_TRUE(Eventually([&] { return http_.sent().size() == 1; }));
  const CompletedAuth again = Complete(minted.Response("c"));
  EXPECT_THAT(again.status, HasReason("COMPLETION_IN_PROGRESS"));
  EXPECT_TRUE(RetryAfterOf(again.status).has_value());
  http_.Release();
  EXPECT_OK(first.get().status);
  EXPECT_OK(Complete(minted.Response("c")).status);
}

TEST_F(CompleteAuthTest, AStateThatIsNotGoodIsRefusedAndNothingIsSent) {
  const Minted minted = Mint();
  const std::string good = minted.Response("c");
  EXPECT_THAT(Complete("").status, HasReason("RESPONSE_INVALID"));
  EXPECT_THAT(Complete("https://app.example.com/cb?code=c").status, HasReason("RESPONSE_INVALID"));
  EXPECT_THAT(Complete(good + "&code=d").status, HasReason("RESPONSE_INVALID"));
  EXPECT_THAT(Complete(absl::StrCat(kCallback, "?code=c&state=forged")).status,
              HasReason("STATE_INVALID"));
  EXPECT_THAT(Complete(absl::StrReplaceAll(good, {{"app.example.com", "evil.example"}})).status,
              HasReason("STATE_INVALID"));
  EXPECT_THAT(Complete(absl::StrCat(kCallback, "?state=", minted.state)).status,
              HasReason("RESPONSE_INVALID"));
  ReceivedResponse others = Received(good);
  others.org_id = "other";
  EXPECT_THAT(Complete(others).status, HasReason("STATE_INVALID"));
  ReceivedResponse elsewhere = Received(absl::StrCat("code=c&state=", minted.state));
  elsewhere.redirect_uri = "https://app.example.com/other";
  EXPECT_THAT(Complete(elsewhere).status, HasReason("STATE_INVALID"));
  now_ms_ += absl::ToInt64Milliseconds(absl::Minutes(31));
  EXPECT_THAT(Complete(good).status, HasReason("STATE_EXPIRED"));
  EXPECT_THAT(http_.sent(), IsEmpty());
  EXPECT_EQ(Rows(), "0 flows, 0 grants, 0 social_accounts, 0 pending_connections");
}

// RFC 9207 section 2.4: what another one sent goes to nobody, and the flow may still succeed.
TEST_F(CompleteAuthTest, WhatAnotherIssuerSentIsRefusedAndSpendsNothing) {
  v1::GetAuthUrlRequest request;
  request.set_network("github");
  const Minted minted = Mint(std::move(request));
  const std::string denial =
      absl::StrCat(minted.redirect_uri, "?error=access_denied&state=", minted.state);
  for (const std::string& response : {minted.Response("c"), denial}) {
    EXPECT_THAT(Complete(response + "&iss=https%3A%2F%2Fevil.example").status,
                HasReason("ISSUER_MISMATCH"))
        << response;
  }
  EXPECT_THAT(http_.sent(), IsEmpty());
  EXPECT_EQ(Rows(), "0 flows, 0 grants, 0 social_accounts, 0 pending_connections");
}

// RFC 9700 section 4.4.2: an instance is anybody's server, known by where it sent the person.
TEST_F(CompleteAuthTest, WhatOneInstanceSentIsNotTakenForAnothers) {
  Configure("mastodon", "one.example");
  Configure("mastodon", "two.example");
  v1::GetAuthUrlRequest request;
  request.set_network("mastodon");
  request.set_instance("one.example");
  request.set_return_uri("https://app.example.com/connected?tab=1");
  const Minted one = Mint(request);
  request.set_instance("two.example");
  const Minted two = Mint(request);
  EXPECT_NE(one.redirect_uri, two.redirect_uri);
  ReceivedResponse mixed_up = ReceivedHosted(one, "c");
  mixed_up.redirect_uri = two.redirect_uri;
  EXPECT_THAT(Complete(mixed_up).status, HasReason("STATE_INVALID"));
  // At a callback of the organisation's own, too, somebody has to say where it came.
  request.clear_return_uri();
  const Minted own = Mint(request);
  ASSERT_EQ(own.redirect_uri, kCallback);
  EXPECT_THAT(Complete(absl::StrCat("code=c&state=", own.state)).status,
              HasReason("INVALID_PAYLOAD"));
  EXPECT_THAT(http_.sent(), IsEmpty());
}

TEST_F(CompleteAuthTest, TheBindingOfTheFlowMustComeBack) {
  ScriptX();
  v1::GetAuthUrlRequest request;
  request.set_session_binding("cookie-of-browser-1");
  const Minted bound = Mint(std::move(request));
  ReceivedResponse received = Received(bound.Response("c"));
  EXPECT_THAT(Complete(received).status, HasReason("SESSION_BINDING_MISMATCH"));
  received.session_binding = "cookie-of-browser-2";
  EXPECT_THAT(Complete(received).status, HasReason("SESSION_BINDING_MISMATCH"));
  received.session_binding = "cookie-of-browser-1";
  EXPECT_OK(Complete(received).status);
  // One that the flow was not begun with is as wrong.
  ReceivedResponse unbound = Received(Mint().Response("c"));
  unbound.session_binding = "cookie-of-browser-1";
  EXPECT_THAT(Complete(unbound).status, HasReason("SESSION_BINDING_MISMATCH"));
}

TEST_F(CompleteAuthTest, ADenialSpendsTheStateAndIsKept) {
  const Minted minted = Mint();
  const std::string denial = absl::StrCat(kCallback, "?error=access_denied&state=", minted.state);
  EXPECT_THAT(Complete(denial).status, HasReason("USER_DENIED"));
  const CompletedAuth again = Complete(denial);
  EXPECT_THAT(again.status, HasReason("USER_DENIED"));
  EXPECT_TRUE(again.is_replayed);
  EXPECT_THAT(Complete(minted.Response("c")).status, HasReason("STATE_ALREADY_USED"));
  EXPECT_THAT(http_.sent(), IsEmpty());
}

TEST_F(CompleteAuthTest, ARejectedCodeIsToldAgainAndNotSentAgain) {
  http_.Answer(400, R"({"error": "invalid_grant"})");
  const Minted minted = Mint();
  const CompletedAuth first = Complete(minted.Response("code-canary"));
  EXPECT_THAT(first.status, HasReason("CODE_REJECTED"));
  EXPECT_THAT(std::string(first.status.message()), Not(HasSubstr("code-canary")));
  const CompletedAuth again = Complete(minted.Response("code-canary"));
  EXPECT_EQ(again.status.code(), first.status.code());
  EXPECT_EQ(again.status.message(), first.status.message());
  EXPECT_THAT(again.status, HasReason("CODE_REJECTED"));
  EXPECT_THAT(http_.sent(), SizeIs(1));
  EXPECT_EQ(Rows(), "1 flows, 0 grants, 0 social_accounts, 0 pending_connections");
}

TEST_F(CompleteAuthTest, NetworksThatAreDownAreNoFaultOfTheCaller) {
  http_.Fail(
      MakeError(absl::StatusCode::kUnavailable, "NETWORK_UNAVAILABLE", "X can't be reached"));
  EXPECT_THAT(Complete(Mint().Response("c")).status, HasReason("NETWORK_UNAVAILABLE"));
  http_.Fail(MakeError(absl::StatusCode::kDeadlineExceeded, "DEADLINE_EXCEEDED", "too late"));
  EXPECT_THAT(Complete(Mint().Response("c")).status, HasReason("NETWORK_UNAVAILABLE"));
}

TEST_F(CompleteAuthTest, WithoutAnybodyWhoWaitsNothingIsBegun) {
  const Minted minted = Mint();
  const CompletedAuth unwanted = Begin(Received(minted.Response("c")), /*is_wanted=*/false).get();
  EXPECT_TRUE(absl::IsCancelled(unwanted.status));
  ScriptX();
  EXPECT_OK(Complete(minted.Response("c")).status);
}

TEST_F(CompleteAuthTest, AConfigurationThatIsGoneEndsItsFlowsBeforeTheyAreSpent) {
  const Minted minted = Mint();
  ASSERT_OK(store_->social_networks().Delete(kNoLimit, "acme", "sn_x"));
  EXPECT_THAT(Complete(minted.Response("c")).status, HasReason("CONFIGURATION_OUTDATED"));
  EXPECT_THAT(http_.sent(), IsEmpty());
}

TEST_F(CompleteAuthTest, ReconnectingKeepsTheAccountAndTakesNoOther) {
  ScriptX();
  const CompletedAuth first = Complete(Mint().Response("c1"));
  ASSERT_OK(first.status);
  v1::GetAuthUrlRequest request;
  request.set_reconnect_account_id(first.accounts[0].id());
  ScriptX();
  const CompletedAuth again = Complete(Mint(request).Response("c2"));
  ASSERT_OK(again.status);
  EXPECT_EQ(again.accounts[0].id(), first.accounts[0].id());
  EXPECT_EQ(again.accounts[0].tenant_id(), "customer_42");
  http_.Answer(200, kXTokens);
  http_.Answer(200, R"({"data": {"id": "999", "name": "Another", "username": "another"}})");
  http_.Answer(200, "{}");  // What is of no use is revoked.
  const CompletedAuth other = Complete(Mint(request).Response("c3"));
  EXPECT_THAT(other.status, HasReason("ACCOUNT_MISMATCH"));
  EXPECT_EQ(Rows(), "3 flows, 1 grants, 1 social_accounts, 0 pending_connections");
}

TEST_F(CompleteAuthTest, TheHostedCallbackCompletesItsOwnFlowsAndSendsTheBrowserOn) {
  ScriptX();
  const Minted minted = MintHosted("a/b");
  ASSERT_THAT(minted.redirect_uri, StartsWith(kPublicBaseUrl));
  const CompletedAuth completed = Complete(ReceivedHosted(minted, "c"));
  ASSERT_OK(completed.status);
  EXPECT_EQ(
      ReturnLocation(completed),
      absl::StrCat("https://app.example.com/connected?tab=1&success=true&account_id=",
                   completed.accounts[0].id(), "&flow_id=", minted.flow_id, "&return_state=a%2Fb"));
  // A flow of the organisation's own redirect URI is none of its business.
  EXPECT_THAT(Complete(ReceivedHosted(Mint(), "c")).status, HasReason("STATE_INVALID"));
  EXPECT_THAT(Counted(), ElementsAre("x hosted_unbound connected: 1",
                                     "x hosted_unbound failed STATE_INVALID: 1"));
  ReceivedResponse elsewhere = ReceivedHosted(MintHosted(), "c");
  elsewhere.redirect_uri += "/ctx";
  EXPECT_THAT(Complete(elsewhere).status, HasReason("STATE_INVALID"));
}

TEST_F(CompleteAuthTest, AnOrganizationsHostedResponsesAreBoundedAndSpendNothingBeyond) {
  StartAnew({.hosted_flows = {.per_second = 1, .capacity = 2}});
  for (int i = 0; i < 2; ++i) {
    ScriptX();
    EXPECT_OK(Complete(ReceivedHosted(MintHosted(), "c")).status);
  }
  const Minted minted = MintHosted();
  const CompletedAuth refused = Complete(ReceivedHosted(minted, "c"));
  EXPECT_THAT(refused.status, HasReason("RATE_LIMITED"));
  EXPECT_EQ(RetryAfterOf(refused.status), absl::Seconds(1));
  // Reloading the page doesn't help.
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(Complete(ReceivedHosted(minted, "c")).status, HasReason("RATE_LIMITED"));
  }
  // Those with an API key have its limits.
  ScriptX();
  EXPECT_OK(Complete(Mint().Response("c")).status);
  // The state was not spent.
  now_ms_ += 10'000;
  ScriptX();
  EXPECT_OK(Complete(ReceivedHosted(minted, "c")).status);
}

TEST_F(CompleteAuthTest, AReturnUriThatIsNoLongerAllowedIsNotGoneTo) {
  ScriptX();
  const Minted minted = MintHosted();
  ASSERT_OK(store_->social_networks().Update(
      kNoLimit, "acme", "sn_x", kNow,
      [](record::v1::SocialNetworkSettings& settings, absl::string_view) {
        settings.clear_allowed_return_uris();
        return absl::OkStatus();
      },
      std::nullopt));
  const CompletedAuth completed = Complete(ReceivedHosted(minted, "c"));
  ASSERT_OK(completed.status);
  EXPECT_EQ(ReturnLocation(completed), "");
}

TEST_F(CompleteAuthTest, ABoundHostedFlowWaitsForWhoeverHasTheBinding) {
  ScriptX();
  v1::GetAuthUrlRequest request;
  request.set_return_uri("https://app.example.com/connected?tab=1");
  request.set_session_binding("cookie-of-browser-1");
  request.set_tenant_id("customer_42");
  const Minted minted = Mint(std::move(request));
  const CompletedAuth completed = Complete(ReceivedHosted(minted, "c"));
  ASSERT_OK(completed.status);
  EXPECT_THAT(completed.accounts, IsEmpty());
  ASSERT_TRUE(completed.pending.has_value());
  EXPECT_TRUE(IsSessionToken(completed.session_token));
  EXPECT_THAT(ReturnLocation(completed), HasSubstr("&session=aus_"));
  // What is left in a browser's history is no session.
  EXPECT_THAT(Complete(ReceivedHosted(minted, "c")).status, HasReason("STATE_ALREADY_USED"));

  const std::vector<std::string> ids = {"2244994945"};
  auto& pending = store_->pending_connections();
  EXPECT_THAT(pending.Finalize(kNoLimit, "acme", PendingConnectionId(completed.session_token), "",
                               ids, kNow),
              HasReason("SESSION_BINDING_MISMATCH"));
  const std::string binding(AsChars(Sha256("cookie-of-browser-1")));
  ASSERT_OK_AND_ASSIGN(
      const auto finalized,
      pending.Finalize(kNoLimit, "acme", PendingConnectionId(completed.session_token), binding, ids,
                       kNow));
  EXPECT_EQ(finalized.connected.accounts[0].tenant_id(), "customer_42");
}

TEST_F(CompleteAuthTest, OfSeveralPagesSomebodyChooses) {
  Configure("facebook");
  http_.Answer(200, R"({"access_token": "short", "token_type": "bearer", "expires_in": 3600})");
  http_.Answer(200, R"({"access_token": "access-canary", "token_type": "bearer"})");
  http_.Answer(200, R"({"id": "1", "name": "Example Person"})");
  http_.AnswerAlways([](int) {
    return R"({"data": [
        {"id": "101", "name": "First page", "access_token": "page-canary-1", "tasks": ["CREATE_CONTENT"]},
        {"id": "102", "name": "Second page", "access_token": "page-canary-2", "tasks": ["CREATE_CONTENT"]}]})";
  });
  v1::GetAuthUrlRequest request;
  request.set_network("facebook");
  request.set_tenant_id("customer_42");
  const Minted minted = Mint(std::move(request));
  const CompletedAuth completed = Complete(minted.Response("c"));
  ASSERT_OK(completed.status);
  EXPECT_THAT(completed.accounts, IsEmpty());
  ASSERT_TRUE(completed.pending.has_value());
  ASSERT_EQ(completed.pending->choices_size(), 2);
  EXPECT_EQ(completed.pending->choices(0).display_name(), "First page");
  // Whoever hands over the same response may have the session again.
  const CompletedAuth again = Complete(minted.Response("c"));
  ASSERT_OK(again.status);
  EXPECT_EQ(again.session_token, completed.session_token);

  ASSERT_OK_AND_ASSIGN(const auto finalized,
                       store_->pending_connections().Finalize(
                           kNoLimit, "acme", PendingConnectionId(completed.session_token), "",
                           std::vector<std::string>{"102"}, kNow));
  ASSERT_THAT(finalized.connected.accounts, SizeIs(1));
  EXPECT_EQ(finalized.connected.accounts[0].network_unique_id(), "102");
  ASSERT_OK_AND_ASSIGN(
      const AccountWithToken with_token,
      store_->accounts().GetWithToken(kNoLimit, "acme", finalized.connected.accounts[0].id()));
  EXPECT_EQ(with_token.access_token, "page-canary-2");
  const CompletedAuth later = Complete(minted.Response("c"));
  ASSERT_OK(later.status);
  EXPECT_THAT(later.accounts, SizeIs(1));
}

TEST_F(CompleteAuthTest, AConsentThatCannotBeStoredIsKeptUntilItCan) {
  DeafBackend& backend = ReopenOverDeafBackend();
  StartAnew();
  ScriptX();
  http_.Hold();
  const Minted minted = Mint();
  auto first = Begin(Received(minted.Response("c")));
  ASSERT_TRUE(Eventually([&] { return http_.sent().size() == 1; }));
  backend.refused_commits = 1;
  http_.Release();
  const CompletedAuth told = first.get();
  EXPECT_THAT(told.status, HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_THAT(std::string(told.status.message()), HasSubstr("kept"));
  EXPECT_TRUE(Eventually([&] { return completer_->kept() == 0; }));
  const CompletedAuth again = Complete(minted.Response("c"));
  ASSERT_OK(again.status);
  EXPECT_THAT(again.accounts, SizeIs(1));
  EXPECT_THAT(http_.sent(), SizeIs(2));
}

TEST_F(CompleteAuthTest, NoMoreFlowsAreUnderWayThanMay) {
  StartAnew({.max_flows = 1});
  ScriptX();
  http_.Hold();
  auto first = Begin(Received(Mint().Response("c")));
  ASSERT_TRUE(Eventually([&] { return http_.sent().size() == 1; }));
  EXPECT_THAT(Complete(Mint().Response("c")).status, HasReason("OVERLOADED"));
  http_.Release();
  EXPECT_OK(first.get().status);
}

TEST_F(CompleteAuthTest, ACodeIsHandedOutOnce) {
  const Minted minted = Mint();
  OpenedResponse opened;
  ASSERT_OK(completer_->HandOut(kNoLimit, Received(minted.Response("code-1")), opened));
  EXPECT_EQ(opened.response.Get("code"), "code-1");
  EXPECT_THAT(opened.CodeVerifier(keys_.sealer), SizeIs(43));
  OpenedResponse again;
  EXPECT_THAT(completer_->HandOut(kNoLimit, Received(minted.Response("code-1")), again),
              HasReason("STATE_ALREADY_USED"));
  EXPECT_THAT(Complete(minted.Response("code-1")).status, HasReason("STATE_ALREADY_USED"));
  EXPECT_THAT(http_.sent(), IsEmpty());
}

}  // namespace
}  // namespace authurl::testing
