// A whole session leaves no client secret and no API key in the database, the log or a reply.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "authurl/v1/social_account_service.pb.h"
#include "core/api_key.h"
#include "core/crypto/crypto.h"
#include "tests/support/canaries.h"
#include "tests/support/server_process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_client.h"

namespace authurl::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class SecretsTest : public ::testing::Test, protected Canaries {
 protected:
  void Start() {
    ASSERT_OK_AND_ASSIGN(server_,
                         ServerProcess::Start(folder_, {"--log_level=debug", "--reflection"}));
    admin_ = std::make_unique<TestClient>(server_->address(), folder_.admin_key());
    KeepKey(folder_.admin_key());
  }

  // Every way in which a secret may come in.
  void Configure() {
    const TestClient org = admin_->WithKey(NewKey(v1::ROLE_ORG, "acme"));
    const TestClient service = admin_->WithKey(NewKey(v1::ROLE_SERVICE, ""));
    ASSERT_OK_AND_ASSIGN(const auto created, Seen(org.CreateSocialNetwork(NewSocialNetworkRequest(
                                                 "instagram", "client-key", NewSecret("first")))));
    EXPECT_OK(Seen(service.WithMetadata({{"x-org-id", "acme"}})
                       .CreateSocialNetwork(
                           NewSocialNetworkRequest("tiktok", "client-key", NewSecret("second")))));
    v1::UpdateSocialNetworkRequest update;
    update.set_id(created.social_network().id());
    update.set_client_secret(NewSecret("replacement"));
    EXPECT_OK(Seen(org.UpdateSocialNetwork(update)));
    EXPECT_OK(Seen(org.GetSocialNetwork(update.id())));
    EXPECT_OK(Seen(org.ListSocialNetworks()));
    ASSERT_NO_FATAL_FAILURE(AskForUrls(org));
    EXPECT_OK(Seen(org.DeleteSocialNetwork(update.id())));
    EXPECT_OK(Seen(org.CreateSocialNetwork(
        NewSocialNetworkRequest("instagram", "client-key", NewSecret("again")))));
  }

  // Every way to ask for URLs, bound to a session whose cookie nobody else may learn.
  void AskForUrls(const TestClient& org) {
    EXPECT_OK(Seen(org.CreateSocialNetwork(
        NewSocialNetworkRequest("wechat", "client-key", NewSecret("stored")))));
    v1::GetAuthUrlRequest request = ExampleAuthUrlRequest();
    request.set_session_binding(NewSecret("cookie"));
    EXPECT_OK(Seen(org.GetAuthUrl(request)));
    v1::ExplainAuthUrlRequest explain;
    explain.set_network("instagram");
    explain.set_redirect_uri("https://app.example.com/cb");
    explain.set_session_binding(NewSecret("cookie"));
    EXPECT_OK(Seen(org.ExplainAuthUrl(explain)));
    v1::BatchGetAuthUrlsRequest batch;
    batch.set_redirect_uri("https://app.example.com/cb");
    batch.set_session_binding(NewSecret("cookie"));
    ASSERT_OK_AND_ASSIGN(const auto results, Seen(org.BatchGetAuthUrls(batch)));
    EXPECT_EQ(results.results_size(), 3);
    for (const auto& result : results.results()) EXPECT_TRUE(result.has_auth_url());
    EXPECT_OK(Seen(org.ListNetworks()));
  }

  // Calls that are refused although, or because, a client secret is in them.
  void FailWithSecrets() {
    const TestClient org = admin_->WithKey(NewKey(v1::ROLE_ORG, "acme"));
    const TestClient mint = admin_->WithKey(NewKey(v1::ROLE_MINT, "acme"));
    EXPECT_THAT(Seen(org.CreateSocialNetwork(
                    NewSocialNetworkRequest("instagram", "client-key", NewSecret("duplicate")))),
                HasReason("SOCIAL_NETWORK_EXISTS"));
    EXPECT_THAT(Seen(mint.CreateSocialNetwork(
                    NewSocialNetworkRequest("x", "client-key", NewSecret("forbidden")))),
                HasReason("ROLE_NOT_ALLOWED"));
    for (const std::string& wrong :
         {absl::StrCat(" ", NewSecret("padded")), absl::StrCat(NewSecret("control"), "\x01"),
          absl::StrCat(NewSecret("long"), std::string(5000, 'x'))}) {
      EXPECT_THAT(Seen(org.CreateSocialNetwork(NewSocialNetworkRequest("x", "client-key", wrong))),
                  HasReason("INVALID_PAYLOAD"));
    }
    v1::UpdateSocialNetworkRequest update;
    update.set_id("sn_absent");
    update.set_client_secret(NewSecret("nowhere"));
    EXPECT_THAT(Seen(org.UpdateSocialNetwork(update)), Not(IsOk()));
    for (const char* method : {"/authurl.v1.SocialNetworkService/CreateSocialNetwork",
                               "/authurl.v1.SocialNetworkService/Absent"}) {
      // Field 4 (client_secret) with a byte that is no UTF-8.
      const std::string secret = absl::StrCat(NewSecret("bytes"), "\xff");
      const char head[] = {'\x22', static_cast<char>(secret.size())};
      const absl::Status refused =
          org.CallBytes(method, absl::StrCat(absl::string_view(head, 2), secret)).status();
      EXPECT_THAT(refused, Not(IsOk()));
      Seen(refused);
    }
  }

  // Calls with keys that are not, or no longer, good, or are not where they belong.
  void FailWithKeys() {
    const TestClient nobody = admin_->WithKey("");
    const std::string revoked = NewKey(v1::ROLE_ORG, "acme");
    const std::vector<std::string> parts = absl::StrSplit(revoked, '_');
    EXPECT_OK(Seen(admin_->RevokeApiKey(parts[1])));
    std::string typo = NewKey(v1::ROLE_ORG, "acme");
    typo.back() = typo.back() == 'a' ? 'b' : 'a';
    KeepKey(typo);
    const std::string unknown = NewApiKey(FillRandom);
    KeepKey(unknown);
    for (const std::string& key : {revoked, typo, unknown}) {
      EXPECT_THAT(Seen(admin_->WithKey(key).ListSocialNetworks()), HasReason("API_KEY_INVALID"));
    }
    const std::string good = NewKey(v1::ROLE_ORG, "acme");
    for (const TestClient::Metadata& metadata : std::vector<TestClient::Metadata>{
             {{"authorization", good}},
             {{"authorization", absl::StrCat("Basic ", good)}},
             {{"authorization", absl::StrCat("Bearer ", good, " ", good)}},
             {{"x-api-key", good}},
             {{"x-request-id", good}},
             {{"x-org-id", good}}}) {
      EXPECT_THAT(Seen(nobody.WithMetadata(metadata).ListSocialNetworks()), Not(IsOk()));
    }
    // gRPC itself complains about these in the log.
    for (const size_t size : {size_t{16} << 10, size_t{1} << 20}) {
      EXPECT_THAT(Seen(TestClient(server_->address(), good)
                           .WithMetadata({{"x-noise", std::string(size, 'a')}})
                           .ListSocialNetworks()),
                  Not(IsOk()));
    }
    EXPECT_THAT(Seen(admin_->WithKey(good).ListOrganizations()), HasReason("ROLE_NOT_ALLOWED"));
  }

  // A token for a browser, where it is good, where it is not, and where it does not belong.
  void UseTenantToken() {
    const TestClient org = admin_->WithKey(NewKey(v1::ROLE_ORG, "acme"));
    v1::CreateTenantTokenRequest request;
    request.set_tenant_id("customer_42");
    request.add_actions(v1::CreateTenantTokenRequest::ACTION_CONNECT);
    ASSERT_OK_AND_ASSIGN(const std::string bytes,
                         org.CallBytes("/authurl.v1.SocialAccountService/CreateTenantToken",
                                       request.SerializeAsString()));
    v1::CreateTenantTokenResponse created;
    ASSERT_TRUE(created.ParseFromString(bytes));
    const std::string& token = created.token();
    ASSERT_TRUE(absl::StartsWith(token, "aut_")) << "no token";
    KeepSecret(token.substr(4));
    const TestClient browser = admin_->WithKey(token);
    v1::GetAuthUrlRequest mint = ExampleAuthUrlRequest();
    mint.clear_tenant_id();
    EXPECT_OK(Seen(browser.GetAuthUrl(mint)));
    EXPECT_THAT(Seen(browser.ListSocialNetworks()), HasReason("ROLE_NOT_ALLOWED"));
    std::string changed = token;
    changed[10] = changed[10] == 'a' ? 'b' : 'a';
    KeepSecret(changed.substr(4));
    EXPECT_THAT(Seen(admin_->WithKey(changed).GetAuthUrl(mint)), HasReason("API_KEY_INVALID"));
    // Who put it there reads a part of it again.
    EXPECT_THAT(org.GetSocialNetwork(token), Not(IsOk()));
    for (const TestClient::Metadata& metadata : std::vector<TestClient::Metadata>{
             {{"authorization", token}}, {{"x-request-id", token}}, {{"x-org-id", token}}}) {
      EXPECT_THAT(Seen(admin_->WithKey("").WithMetadata(metadata).GetAuthUrl(mint)), Not(IsOk()));
    }
  }

  // "auk_<key id>_<secret>": the id may be shown, the rest may not.
  void KeepKey(const std::string& key) {
    const std::vector<std::string> parts = absl::StrSplit(key, '_');
    ASSERT_EQ(parts.size(), 3) << key;
    KeepSecret(parts[2]);
  }
  std::string NewKey(v1::Role role, const std::string& org_id) {
    const absl::StatusOr<std::string> key = CreateKey(*admin_, role, org_id);
    EXPECT_OK(key);
    if (key.ok()) KeepKey(*key);
    return key.value_or("");
  }

  // Of the database and all that SQLite keeps beside it. Which files there are.
  std::vector<std::string> ExpectNoSecretInTheDatabase() const {
    return ExpectNoSecretInFiles(folder_.dir().path(), "authurl.sqlite3");
  }

  ServerFolder folder_;
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<TestClient> admin_;
};

TEST_F(SecretsTest, NoneIsInTheDatabaseTheLogOrAReply) {
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_OK(Seen(admin_->CreateOrganization("acme")));
  ASSERT_NO_FATAL_FAILURE(Configure());
  ASSERT_NO_FATAL_FAILURE(FailWithSecrets());
  ASSERT_NO_FATAL_FAILURE(FailWithKeys());
  ASSERT_NO_FATAL_FAILURE(UseTenantToken());
  EXPECT_OK(Seen(admin_->ListApiKeys()));
  EXPECT_OK(Seen(admin_->ListOrganizations()));
  EXPECT_THAT(ExpectNoSecretInTheDatabase(), Contains("authurl.sqlite3-wal"));

  EXPECT_OK(Seen(admin_->DeleteOrganization("acme")));
  ExpectNoSecretInTheDatabase();
  EXPECT_EQ(*server_->Stop(), 0);
  EXPECT_THAT(ExpectNoSecretInTheDatabase(), Contains("authurl.sqlite3"));
  ExpectNoSecretIn("the log", server_->Log());
  ExpectNoSecretIn("a reply", seen());
  // What was scanned is what we think.
  EXPECT_THAT(server_->Log(), HasSubstr("CreateSocialNetwork"));
  EXPECT_THAT(seen(), HasSubstr("client-key"));
}

TEST_F(SecretsTest, TheLogIsJsonWhateverIsSent) {
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_OK(admin_->CreateOrganization("acme"));
  ASSERT_NO_FATAL_FAILURE(Configure());
  FailWithSecrets();
  FailWithKeys();
  EXPECT_EQ(*server_->Stop(), 0);
  for (const absl::string_view line : absl::StrSplit(server_->Log(), '\n', absl::SkipEmpty())) {
    EXPECT_TRUE(absl::StartsWith(line, "{\"time\":\"") && absl::EndsWith(line, "}")) << line;
  }
}

}  // namespace
}  // namespace authurl::testing
