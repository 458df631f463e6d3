// Flows that succeed, fail at each step, and are cut off leave no code, verifier, token or client
// secret anywhere but where they belong: not in the log, the metrics, the files or an error.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "authurl/v1/webhook_service.pb.h"
#include "tests/support/canaries.h"
#include "tests/support/local_flow_test.h"
#include "tests/support/metrics_page.h"
#include "tests/support/raw_rpc.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_client.h"
#include "tests/support/webhook_receiver.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

using Step = LocalNetwork::Step;

// How a network refuses; without an error code in words alone.
struct QuotingRefusal {
  int status;
  const char* error;
};

class FlowSecretsTest : public LocalFlowTest, protected Canaries {
 protected:
  void StartTalkative() {
    ASSERT_NO_FATAL_FAILURE(
        Start({"--log_level=debug", "--metrics_listen=127.0.0.1:0", "--reflection"}));
  }

  // The person's account.
  void Connect(v1::SocialAccount& account) {
    ASSERT_OK_AND_ASSIGN(const Flow flow, Begin(*org_));
    ASSERT_OK_AND_ASSIGN(const auto completed, Seen(Complete(*org_, flow.response)));
    EXPECT_OK(Seen(Complete(*org_, flow.response)));
    EXPECT_OK(Seen(org_->GetAuthFlow(flow.flow_id)));
    ASSERT_EQ(completed.accounts_size(), 1);
    account = completed.accounts(0);
  }
  void ExpectToken(const v1::SocialAccount& account, const ::testing::Matcher<std::string>& token) {
    ASSERT_OK_AND_ASSIGN(const auto got,
                         SeenWithout(&v1::GetAccessTokenResponse::clear_access_token,
                                     org_->GetAccessToken(account.id())));
    EXPECT_THAT(got.access_token(), token);
  }

  // An account that lives, whose token is renewed, and that is disconnected.
  void UseAnAccount() {
    v1::SocialAccount account;
    ASSERT_NO_FATAL_FAILURE(Connect(account));
    const std::string first = network_.AccessTokenOf(account.network_unique_id());
    ExpectToken(account, first);
    network_.RefuseQuoting(Step::kProfile, 401, "invalid_token", 1);
    ASSERT_OK_AND_ASSIGN(const auto checked, Seen(org_->CheckSocialAccount(account.id())));
    EXPECT_TRUE(checked.healthy());
    ExpectToken(account, AllOf(Not(first), network_.AccessTokenOf(account.network_unique_id())));
    EXPECT_OK(Seen(org_->GetSocialAccount(account.id())));
    EXPECT_OK(Seen(org_->ListSocialAccounts()));
    // Whoever puts it there reads it again.
    EXPECT_THAT(org_->GetSocialAccount(first), Not(IsOk()));
    EXPECT_THAT(org_->GetAccessToken(first), Not(IsOk()));
    EXPECT_THAT(org_->GetAuthFlow(first), Not(IsOk()));

    network_.RefuseQuoting(Step::kRevocation, 400, "invalid_request", 1);
    ASSERT_OK_AND_ASSIGN(const auto deleted, Seen(org_->DeleteSocialAccount(account.id())));
    EXPECT_EQ(deleted.revocation(), v1::REVOCATION_RESULT_FAILED);
  }

  // Of the last step that is reached. What was granted before it is revoked, which fails as well.
  void FailAt(Step step, const std::vector<QuotingRefusal>& refusals,
              const std::string& network = LocalNetwork::kPeople) {
    for (const QuotingRefusal& refusal : refusals) {
      SCOPED_TRACE(absl::StrCat(refusal.status, " ", refusal.error));
      const int revoked = network_.requests(Step::kRevocation);
      network_.RefuseQuoting(step, refusal.status, refusal.error, 1);
      network_.RefuseQuoting(Step::kRevocation, 503, "", 1);
      ASSERT_OK_AND_ASSIGN(const Flow flow, Begin(*org_, network));
      EXPECT_THAT(Seen(Complete(*org_, flow.response)), Not(IsOk()));
      EXPECT_THAT(Seen(Complete(*org_, flow.response)), Not(IsOk()));
      ASSERT_OK_AND_ASSIGN(const auto state, Seen(org_->GetAuthFlow(flow.flow_id)));
      EXPECT_EQ(state.status(), v1::GetAuthFlowResponse::STATUS_FAILED);
      if (step != Step::kExchange) {
        EXPECT_TRUE(network_.WaitForRequests(Step::kRevocation, revoked + 1));
      }
      network_.RefuseQuoting(Step::kRevocation, 0, "", 0);
    }
  }
  void FailAtEveryStep() {
    FailAt(Step::kExchange, {{400, "invalid_grant"},
                             {401, "invalid_client"},
                             {200, "server_error"},
                             {503, "temporarily_unavailable"},
                             {400, "made_up"},
                             {400, ""},
                             {500, ""}});
    FailAt(Step::kProfile,
           {{401, "invalid_token"}, {403, "insufficient_scope"}, {400, "made_up"}, {500, ""}});
    FailAt(Step::kPages, {{400, "made_up"}, {400, ""}}, LocalNetwork::kPages);
  }

  // A connection that dies, because its refresh token is refused.
  void LoseAnAccount() {
    v1::SocialAccount account;
    ASSERT_NO_FATAL_FAILURE(Connect(account));
    network_.RefuseQuoting(Step::kProfile, 401, "invalid_token", 1);
    network_.RefuseQuoting(Step::kRefresh, 400, "invalid_grant", 1);
    ASSERT_OK_AND_ASSIGN(const auto checked, Seen(org_->CheckSocialAccount(account.id())));
    EXPECT_FALSE(checked.healthy());
    EXPECT_THAT(Seen(org_->GetAccessToken(account.id())), HasReason("NEEDS_RECONNECT"));
    EXPECT_OK(Seen(org_->GetSocialAccount(account.id())));
  }

  // Tokens that are handed to another product, and taken over again.
  void TakeOver() {
    v1::SocialAccount account;
    ASSERT_NO_FATAL_FAILURE(Connect(account));
    ASSERT_OK_AND_ASSIGN(const auto exported,
                         SeenWithout(&v1::ExportSocialAccountsResponse::clear_accounts,
                                     org_->ExportSocialAccounts()));
    v1::ImportSocialAccountsRequest request;
    for (const v1::ExportedAccount& each : exported.accounts()) {
      if (each.account().id() != account.id()) continue;
      v1::ImportedAccount& imported = *request.add_accounts();
      imported.set_network(each.account().network());
      imported.set_tenant_id("customer_43");
      *imported.mutable_tokens() = each.tokens();
    }
    ASSERT_EQ(request.accounts_size(), 1);
    v1::AccountTokens& tokens = *request.mutable_accounts(0)->mutable_tokens();
    EXPECT_EQ(tokens.access_token(), network_.AccessTokenOf(account.network_unique_id()));
    const auto refused = [&](Step step, int status, const char* error) {
      network_.RefuseQuoting(step, status, error, 1);
      ASSERT_OK_AND_ASSIGN(const auto response, Seen(org_->ImportSocialAccounts(request)));
      EXPECT_EQ(response.results(0).accounts_size(), 0) << error;
    };
    refused(Step::kProfile, 400, "made_up");
    tokens.mutable_access_token_expires_at()->set_seconds(1);
    refused(Step::kRefresh, 400, "invalid_grant");
    refused(Step::kRefresh, 400, "made_up");
    refused(Step::kProfile, 500, "");
    ASSERT_OK_AND_ASSIGN(const auto imported, Seen(org_->ImportSocialAccounts(request)));
    EXPECT_EQ(imported.results(0).accounts_size(), 1) << imported.results(0).message();
    // Whoever puts a token where it does not belong reads it again.
    request.mutable_accounts(0)->set_tenant_id(absl::StrCat(NewSecret("token"), "!"));
    request.mutable_accounts(0)->add_network_unique_ids(NewSecret("token"));
    EXPECT_THAT(Seen(org_->ImportSocialAccounts(request)), HasReason("INVALID_PAYLOAD"));
    tokens.set_refresh_token(absl::StrCat(NewSecret("token"), "\n"));
    EXPECT_THAT(Seen(org_->ImportSocialAccounts(request)), HasReason("INVALID_PAYLOAD"));
  }

  // A choice of pages, whose session token is the credential.
  void Choose() {
    ASSERT_OK_AND_ASSIGN(const Flow flow, Begin(*org_, LocalNetwork::kPages));
    ASSERT_OK_AND_ASSIGN(v1::CompleteAuthResponse completed, Complete(*org_, flow.response));
    const std::string session = completed.pending().session_token();
    ASSERT_TRUE(absl::StartsWith(session, "aus_")) << "no token";
    KeepSecret(session.substr(4));
    completed.mutable_pending()->clear_session_token();
    Seen(completed.SerializeAsString());
    EXPECT_OK(Seen(org_->GetAuthFlow(flow.flow_id)));

    const TestClient anybody = org_->WithKey("");
    EXPECT_OK(Seen(anybody.GetPendingConnection(session)));
    EXPECT_THAT(Seen(anybody.GetPendingConnection(Changed(session))),
                HasReason("SESSION_NOT_FOUND"));
    EXPECT_THAT(Seen(org_->WithKey(session).ListSocialAccounts()), HasReason("API_KEY_INVALID"));
    EXPECT_THAT(org_->GetSocialAccount(session), Not(IsOk()));
    v1::FinalizePendingConnectionRequest request;
    request.set_session_token(session);
    request.add_choice_ids("a page of somebody else's");
    EXPECT_THAT(Seen(org_->FinalizePendingConnection(request)), Not(IsOk()));
    request.set_choice_ids(0, completed.pending().choices(0).id());
    ASSERT_OK_AND_ASSIGN(const auto finalized, Seen(org_->FinalizePendingConnection(request)));
    ASSERT_EQ(finalized.accounts_size(), 1);
    ExpectToken(finalized.accounts(0), StartsWith("canary-page-token-"));
    request.set_choice_ids(0, completed.pending().choices(1).id());
    EXPECT_THAT(Seen(org_->FinalizePendingConnection(request)), HasReason("SESSION_ALREADY_USED"));
  }

  void UseATenantToken() {
    v1::SocialAccount account;
    ASSERT_NO_FATAL_FAILURE(Connect(account));
    v1::CreateTenantTokenRequest request;
    request.set_tenant_id("customer_42");
    request.add_actions(v1::CreateTenantTokenRequest::ACTION_LIST);
    request.add_actions(v1::CreateTenantTokenRequest::ACTION_FINALIZE);
    ASSERT_OK_AND_ASSIGN(
        const auto created,
        SeenWithout(&v1::CreateTenantTokenResponse::clear_token, org_->CreateTenantToken(request)));
    const std::string& token = created.token();
    ASSERT_TRUE(absl::StartsWith(token, "aut_")) << "no token";
    KeepSecret(token.substr(4));
    const TestClient browser = org_->WithKey(token);
    EXPECT_OK(Seen(browser.ListSocialAccounts()));
    EXPECT_OK(Seen(browser.GetSocialAccount(account.id())));
    EXPECT_THAT(Seen(browser.DeleteSocialAccount(account.id())), HasReason("ROLE_NOT_ALLOWED"));
    EXPECT_THAT(Seen(browser.GetAccessToken(account.id())), HasReason("ROLE_NOT_ALLOWED"));
    EXPECT_THAT(Seen(org_->WithKey(Changed(token)).ListSocialAccounts()),
                HasReason("API_KEY_INVALID"));
    EXPECT_THAT(Seen(browser.GetPendingConnection(token)), HasReason("SESSION_NOT_FOUND"));
    EXPECT_THAT(Seen(Complete(*org_, token)), HasReason("RESPONSE_INVALID"));
  }

  // Responses that are none, and those that are handed out.
  void HandOverResponses() {
    ASSERT_OK_AND_ASSIGN(const Flow flow, Begin(*org_));
    const std::string& url = flow.response;
    for (const std::string& wrong :
         {url.substr(0, url.find("&state=")), absl::StrCat(url, "&code=", flow.code),
          url.substr(0, url.size() - 9), absl::StrCat(url, "\x01"),
          absl::StrReplaceAll(url, {{"app.example.com", "other.example.com"}})}) {
      EXPECT_THAT(Seen(Complete(*org_, wrong)), Not(IsOk())) << "was taken";
    }
    EXPECT_EQ(network_.sent(flow.code), 0);
    EXPECT_OK(Seen(Complete(*org_, url)));
    const std::string other = absl::StrReplaceAll(url, {{flow.code, NewSecret("other-code")}});
    EXPECT_THAT(Seen(Complete(*org_, other)), HasReason("STATE_ALREADY_USED"));

    v1::GetAuthUrlRequest bound;
    bound.set_network(LocalNetwork::kPeople);
    bound.set_session_binding(NewSecret("cookie"));
    ASSERT_OK_AND_ASSIGN(const Flow of_session, Begin(*org_, bound));
    v1::CompleteAuthRequest request;
    request.set_response(of_session.response);
    request.set_session_binding(NewSecret("other-cookie"));
    EXPECT_THAT(Seen(org_->CompleteAuth(request)), HasReason("SESSION_BINDING_MISMATCH"));
    request.set_session_binding(bound.session_binding());
    EXPECT_OK(Seen(org_->CompleteAuth(request)));

    ASSERT_OK_AND_ASSIGN(const Flow handed_out, Begin(*org_));
    v1::OpenAuthResponseRequest open;
    open.set_response(handed_out.response);
    ASSERT_OK_AND_ASSIGN(v1::OpenAuthResponseResponse opened, org_->OpenAuthResponse(open));
    EXPECT_EQ(opened.code(), handed_out.code);
    KeepSecret(opened.code_verifier());
    opened.clear_code();
    opened.clear_code_verifier();
    Seen(opened.SerializeAsString());
    EXPECT_THAT(Seen(org_->OpenAuthResponse(open)), HasReason("STATE_ALREADY_USED"));
  }

  // The typed reply of WebhookService, for the organisation.
  template <typename Response>
  Response CallWebhooks(const std::string& name, const std::string& request) {
    const Rpc& rpc = FindRpc(name);
    const RawReply reply =
        CallRaw(grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()),
                PathOf(rpc), RequestBytes(rpc, request), Bearer(key_));
    EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
    Response response;
    EXPECT_TRUE(response.ParseFromString(reply.response));
    return response;
  }
  void KeepWebhookSecret(const std::string& secret) {
    ASSERT_TRUE(absl::StartsWith(secret, "whsec_")) << "no secret";
    KeepSecret(secret.substr(6));
    std::string key;
    ASSERT_TRUE(absl::Base64Unescape(secret.substr(6), &key));
    KeepSecret(key);
  }
  // Events that are delivered, refused in words that quote what was signed, and delivered again.
  void UseAWebhook() {
    auto created = CallWebhooks<v1::CreateWebhookResponse>(
        "CreateWebhook", absl::StrCat("url: '", receiver_.Url(), "'"));
    ASSERT_NO_FATAL_FAILURE(KeepWebhookSecret(created.secret()));
    created.clear_secret();
    Seen(created.SerializeAsString());
    const std::string id = absl::StrCat("id: '", created.webhook().id(), "'");
    v1::SocialAccount account;
    ASSERT_NO_FATAL_FAILURE(Connect(account));
    ASSERT_TRUE(receiver_.WaitForTaken(1));
    auto rotated = CallWebhooks<v1::RotateWebhookSecretResponse>("RotateWebhookSecret", id);
    ASSERT_NO_FATAL_FAILURE(KeepWebhookSecret(rotated.secret()));
    rotated.clear_secret();
    Seen(rotated.SerializeAsString());
    receiver_.AnswerBy([&](const WebhookReceiver::Delivery& delivery) {
      for (const absl::string_view signature : absl::StrSplit(delivery.signature, ' ')) {
        KeepSecret(signature.substr(3));
      }
      return absl::StrCat("HTTP/1.1 500 ", delivery.signature,
                          "\r\nContent-Length: ", delivery.signature.size(), "\r\n\r\n",
                          delivery.signature);
    });
    const auto tested = CallWebhooks<v1::TestWebhookResponse>("TestWebhook", id);
    EXPECT_EQ(tested.http_status(), 500);
    Seen(tested.SerializeAsString());
    receiver_.TakeAll();
    ASSERT_OK(Seen(org_->DeleteSocialAccount(account.id())));
    ASSERT_TRUE(receiver_.WaitForTaken(2));
    Seen(CallWebhooks<v1::ListWebhooksResponse>("ListWebhooks", "").SerializeAsString());
    for (const auto& delivery : receiver_.taken()) Seen(delivery.body);
  }

  static std::string Changed(std::string token) {
    token[10] = token[10] == 'a' ? 'b' : 'a';
    return token;
  }

  void ReadTheMetrics() {
    constexpr absl::string_view kBefore = "\"event\":\"serving_metrics\",\"address\":\"";
    const std::string log = server_->Log();
    const size_t found = log.find(kBefore.data());
    ASSERT_NE(found, log.npos) << log;
    const size_t begin = found + kBefore.size();
    ASSERT_OK_AND_ASSIGN(const std::string page,
                         ExchangeHttp(log.substr(begin, log.find('"', begin) - begin),
                                      "GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n"));
    EXPECT_THAT(page, AllOf(HasSubstr("HTTP/1.1 200 OK"), HasSubstr(LocalNetwork::kPeople)));
    absl::StrAppend(&metrics_, page);
  }
  void KeepTheNetworksSecrets() {
    for (const std::string& secret : network_.secrets()) KeepSecret(secret);
  }
  void ExpectNoSecret() const {
    ExpectNoSecretIn("a reply", seen());
    ExpectNoSecretIn("a page of metrics", metrics_);
    // With the log, and with what SQLite keeps beside the database.
    EXPECT_THAT(ExpectNoSecretInFiles(folder_.dir().path()), Contains("authurl.sqlite3"));
  }

  std::string metrics_;
  WebhookReceiver receiver_;
};

TEST_F(FlowSecretsTest, NoneIsInAFileTheMetricsOrAnErrorThoughNetworksQuoteThem) {
  ASSERT_NO_FATAL_FAILURE(StartTalkative());
  ASSERT_NO_FATAL_FAILURE(UseAnAccount());
  ASSERT_NO_FATAL_FAILURE(FailAtEveryStep());
  ASSERT_NO_FATAL_FAILURE(LoseAnAccount());
  ASSERT_NO_FATAL_FAILURE(TakeOver());
  ASSERT_NO_FATAL_FAILURE(Choose());
  ASSERT_NO_FATAL_FAILURE(UseATenantToken());
  ASSERT_NO_FATAL_FAILURE(UseAWebhook());
  ASSERT_NO_FATAL_FAILURE(HandOverResponses());
  ASSERT_NO_FATAL_FAILURE(ReadTheMetrics());
  KeepTheNetworksSecrets();
  const std::string wal = "authurl.sqlite3-wal";
  EXPECT_THAT(ExpectNoSecretInFiles(folder_.dir().path(), wal), Contains(wal));
  EXPECT_EQ(*server_->Stop(), 0);
  ExpectNoSecret();
  // What was scanned is what we think.
  for (const char* event :
       {"SocialAccountService/CompleteAuth", "revocation_failed", "connection_dead",
        "tokens_exported", "NETWORK_UNAVAILABLE", "CODE_REJECTED"}) {
    EXPECT_THAT(server_->Log(), HasSubstr(event));
  }
  EXPECT_THAT(seen(), AllOf(HasSubstr("not with"), HasSubstr("invalid_client")));
}

TEST_F(FlowSecretsTest, NoneIsLeftByAServerThatIsKilledWithAllOfThemAtHand) {
  ASSERT_NO_FATAL_FAILURE(StartTalkative());
  v1::SocialAccount account;
  ASSERT_NO_FATAL_FAILURE(Connect(account));
  std::vector<std::future<absl::StatusOr<v1::CompleteAuthResponse>>> completing;
  // One at each step, the last step first: no flow gets past one that hangs.
  for (const Step step : {Step::kPages, Step::kProfile, Step::kExchange}) {
    const int before = network_.requests(step);
    ASSERT_OK_AND_ASSIGN(const Flow flow, Begin(*org_, LocalNetwork::kPages));
    network_.Hang(step);
    completing.push_back(std::async(
        std::launch::async, [&, response = flow.response] { return Complete(*org_, response); }));
    ASSERT_TRUE(network_.WaitForRequests(step, before + 1));
  }
  ASSERT_OK(server_->Kill());
  for (auto& each : completing) EXPECT_THAT(Seen(each.get()), Not(IsOk()));
  network_.Release();
  KeepTheNetworksSecrets();
  ExpectNoSecret();
}

}  // namespace
}  // namespace authurl::testing
