#include "server/serving/api_keys.h"

#include <map>
#include <set>
#include <string>

#include "storage/sqlite/sqlite_backend.h"
#include "tests/server/api/service_fixture.h"
#include "tests/support/no_limit.h"

namespace authurl::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A well-formed key with the id of `known` and the secret of another.
std::string WithSecretOf(const std::string& other, const std::string& known) {
  constexpr size_t kIdEnd = 16;
  constexpr size_t kChecksumChars = 6;
  constexpr char kAlphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string key = known.substr(0, kIdEnd) + other.substr(kIdEnd);
  key.resize(key.size() - kChecksumChars);
  const auto hash = Sha256(key);
  uint64_t number = uint64_t{hash[0]} << 24 | uint64_t{hash[1]} << 16 | uint64_t{hash[2]} << 8 |
                    uint64_t{hash[3]};
  std::string checksum(kChecksumChars, '0');
  for (auto c = checksum.rbegin(); c != checksum.rend(); ++c, number /= 62) {
    *c = kAlphabet[number % 62];
  }
  key += checksum;
  EXPECT_TRUE(ParseApiKey(key).has_value());
  return key;
}

class ApiKeysTest : public ServiceTest {
 protected:
  absl::Status List(const RawMetadata& metadata) const {
    return ToAbslStatus(server_->Call("ListSocialNetworks", "", metadata).status);
  }
  // With a tenant token, where tenant tokens are taken.
  absl::Status ListAccounts(const RawMetadata& metadata) const {
    return ToAbslStatus(server_->Call("ListSocialAccounts", "", metadata).status);
  }
  absl::StatusOr<std::string> NewTenantToken(const RawMetadata& maker) const {
    const auto made = server_->Call<v1::CreateTenantTokenResponse>(
        "CreateTenantToken", "tenant_id: 'a' actions: ACTION_LIST", maker);
    if (!made.ok()) return made.status();
    return made->token();
  }
};

TEST_F(ApiKeysTest, CallWithoutKeyIsToldHowToSendOne) {
  for (const RawMetadata& metadata : {RawMetadata{}, RawMetadata{{"x-org-id", "acme"}}}) {
    EXPECT_THAT(List(metadata), HasReason("API_KEY_MISSING"));
    EXPECT_THAT(List(metadata), StatusIs(absl::StatusCode::kUnauthenticated,
                                         HasSubstr("authorization: Bearer auk_")));
  }
}

TEST_F(ApiKeysTest, WhatIsNoKeyIsRefusedWithoutQuotingIt) {
  std::string typo = org_key_;
  typo[20] = typo[20] == 'a' ? 'b' : 'a';
  const std::vector<std::string> wrong = {
      "",
      "Bearer",
      "Bearer ",
      org_key_,
      absl::StrCat("Basic ", org_key_),
      "Bearer   ",
      absl::StrCat("Bearer ", org_key_, "x"),
      absl::StrCat("Bearer ", org_key_.substr(0, org_key_.size() - 1)),
      absl::StrCat("Bearer ", typo),
      "Bearer auk_",
      absl::StrCat("Bearer ", std::string(4000, 'a')),
  };
  for (const std::string& authorization : wrong) {
    const absl::Status status = List({{"authorization", authorization}});
    EXPECT_THAT(status, HasReason("API_KEY_INVALID")) << authorization;
    EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr(org_key_.substr(17, 20))));
  }
}

TEST_F(ApiKeysTest, UnknownKeyAndWrongSecretAndRevokedKeyAreTheSameToAStranger) {
  const std::string unknown = NewApiKey(FillRandom);
  const std::string forged = WithSecretOf(unknown, org_key_);
  ASSERT_OK(server_->Admin().RevokeApiKey(mint_key_.substr(4, 12)));
  const RawReply a = server_->Call("GetAuthUrl", "", Bearer(unknown));
  const RawReply b = server_->Call("GetAuthUrl", "", Bearer(forged));
  const RawReply c = server_->Call("GetAuthUrl", "", AsMint());
  EXPECT_THAT(ToAbslStatus(a.status), HasReason("API_KEY_INVALID"));
  EXPECT_EQ(ToAbslStatus(a.status), ToAbslStatus(b.status));
  EXPECT_EQ(ToAbslStatus(a.status), ToAbslStatus(c.status));
}

TEST_F(ApiKeysTest, RevokedKeyIsUselessFromTheNextCallOn) {
  EXPECT_OK(List(AsOrg()));
  ASSERT_OK(server_->Admin().RevokeApiKey(org_key_.substr(4, 12)));
  EXPECT_THAT(List(AsOrg()), HasReason("API_KEY_INVALID"));
}

TEST_F(ApiKeysTest, KeyOfADeletedOrganizationIsUseless) {
  ASSERT_OK(server_->Admin().DeleteOrganization("acme"));
  EXPECT_THAT(List(AsOrg()), HasReason("API_KEY_INVALID"));
}

TEST_F(ApiKeysTest, SchemeIsComparedWithoutRegardToCase) {
  for (const char* scheme : {"bearer ", "BEARER ", "Bearer ", "Bearer  ", "Bearer     "}) {
    EXPECT_OK(List({{"authorization", scheme + org_key_}})) << scheme;
  }
}

TEST_F(ApiKeysTest, TwoAuthorizationsAreRefused) {
  EXPECT_THAT(List({{"authorization", "Bearer " + org_key_}, {"authorization", "Bearer x"}}),
              HasReason("API_KEY_INVALID"));
  EXPECT_THAT(
      List({{"authorization", "Bearer " + org_key_}, {"authorization", "Bearer " + org_key_}}),
      StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("more than one")));
}

TEST_F(ApiKeysTest, ServiceKeyNamesTheOrganizationItActsFor) {
  EXPECT_OK(List(AsService("acme")));
  EXPECT_THAT(List(Bearer(service_key_)), HasReason("INVALID_PAYLOAD"));
  // Words that hold for gRPC and for REST.
  EXPECT_THAT(List(Bearer(service_key_)),
              HasViolation("x-org-id",
                           "Required with a key of role ROLE_SERVICE: the organisation "
                           "that it acts for"));
  EXPECT_THAT(List(AsService("a b")), HasViolation("x-org-id", HasSubstr("1 to 64")));
  EXPECT_THAT(List({{"authorization", "Bearer " + service_key_}, {"x-org-id", ""}}),
              HasViolation("x-org-id", HasSubstr("1 to 64")));
  EXPECT_THAT(List(AsService("nobody")), HasReason("ORGANIZATION_NOT_FOUND"));
  RawMetadata two = AsService("acme");
  two.emplace("x-org-id", "acme");
  EXPECT_THAT(List(two), HasViolation("x-org-id", "must be there once"));
}

TEST_F(ApiKeysTest, OtherKeysMayNameTheirOwnOrganizationOnly) {
  EXPECT_OK(List(Bearer(org_key_, "acme")));
  EXPECT_THAT(List(Bearer(org_key_, "other")), HasReason("ORGANIZATION_NOT_FOUND"));
  EXPECT_THAT(List({{"authorization", "Bearer " + org_key_}, {"x-org-id", ""}}),
              HasReason("ORGANIZATION_NOT_FOUND"));
}

TEST_F(ApiKeysTest, TenantTokenIsSentLikeAKey) {
  ASSERT_OK_AND_ASSIGN(const std::string token, NewTenantToken(AsOrg()));
  for (const char* scheme : {"bearer ", "BEARER ", "Bearer ", "Bearer  ", "Bearer     "}) {
    EXPECT_OK(ListAccounts({{"authorization", scheme + token}})) << scheme;
  }
  EXPECT_THAT(ListAccounts({{"authorization", "Bearer " + token}, {"authorization", "Bearer x"}}),
              HasReason("API_KEY_INVALID"));
  const absl::Status refused = ListAccounts({{"authorization", "Bearer aut_"}});
  EXPECT_THAT(refused, HasReason("API_KEY_INVALID"));
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("tenant token")));
  for (const std::string& wrong :
       {"Bearer " + token + "x", "Bearer " + token.substr(0, token.size() - 1),
        "Bearer AUT_" + token.substr(4), "Bearer aut_" + std::string(4000, 'a'), token,
        "Basic " + token}) {
    const absl::Status status = ListAccounts({{"authorization", wrong}});
    EXPECT_THAT(status, HasReason("API_KEY_INVALID")) << wrong;
    EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr(token.substr(10, 20))));
  }
}

TEST_F(ApiKeysTest, TenantTokenKnowsItsOrganization) {
  ASSERT_OK(Admin().CreateOrganization("other"));
  ASSERT_OK_AND_ASSIGN(const std::string token, NewTenantToken(AsOrg()));
  ASSERT_OK_AND_ASSIGN(const std::string by_service, NewTenantToken(AsService("acme")));
  for (const std::string& each : {token, by_service}) {
    EXPECT_OK(ListAccounts(Bearer(each)));
    EXPECT_OK(ListAccounts(Bearer(each, "acme")));
    EXPECT_THAT(ListAccounts(Bearer(each, "other")), HasReason("ORGANIZATION_NOT_FOUND"));
    EXPECT_THAT(ListAccounts(Bearer(each, "absent")), HasReason("ORGANIZATION_NOT_FOUND"));
  }
  RawMetadata two = Bearer(token, "acme");
  two.emplace("x-org-id", "acme");
  EXPECT_THAT(ListAccounts(two), HasViolation("x-org-id", "must be there once"));
}

TEST_F(ApiKeysTest, TenantTokenOutlivesItsKeyButNotItsOrganization) {
  ASSERT_OK_AND_ASSIGN(const std::string token, NewTenantToken(AsOrg()));
  ASSERT_OK(Admin().RevokeApiKey(org_key_.substr(4, 12)));
  EXPECT_OK(ListAccounts(Bearer(token)));
  ASSERT_OK(Admin().DeleteOrganization("acme"));
  EXPECT_THAT(ListAccounts(Bearer(token)), HasReason("ORGANIZATION_NOT_FOUND"));
  // Nor does it act for another one of that name.
  server_->SetTime(server_->now() + absl::Seconds(1));
  ASSERT_TRUE(Eventually([this] { return Admin().CreateOrganization("acme").ok(); }));
  EXPECT_THAT(ListAccounts(Bearer(token)), HasReason("ORGANIZATION_NOT_FOUND"));
}

TEST_F(ApiKeysTest, EveryRpcTakesTheRolesOfTheTableAndNoOthers) {
  const std::set<v1::Role> mint = {v1::ROLE_ORG, v1::ROLE_MINT, v1::ROLE_SERVICE};
  const std::set<v1::Role> configure = {v1::ROLE_ORG, v1::ROLE_SERVICE};
  const std::set<v1::Role> administer = {v1::ROLE_ADMIN};
  const std::set<v1::Role> anyone = {v1::ROLE_ADMIN, v1::ROLE_ORG, v1::ROLE_MINT, v1::ROLE_SERVICE};
  // None of the keys here was made with read_tokens.
  const std::set<v1::Role> read_tokens = {};
  const std::map<std::string, std::set<v1::Role>> table = {
      {"GetAuthUrl", mint},
      {"BatchGetAuthUrls", mint},
      {"ExplainAuthUrl", mint},
      {"ListNetworks", mint},
      {"CreateSocialNetwork", configure},
      {"ListSocialNetworks", configure},
      {"GetSocialNetwork", configure},
      {"UpdateSocialNetwork", configure},
      {"DeleteSocialNetwork", configure},
      {"CreateOrganization", administer},
      {"ListOrganizations", administer},
      {"GetOrganization", administer},
      {"UpdateOrganization", administer},
      {"DeleteOrganization", administer},
      {"CreateApiKey", administer},
      {"ListApiKeys", administer},
      {"RevokeApiKey", administer},
      {"CompleteAuth", mint},
      {"CompleteHostedAuth", anyone},
      {"OpenAuthResponse", mint},
      {"GetAuthFlow", mint},
      {"GetPendingConnection", anyone},
      {"FinalizePendingConnection", mint},
      {"ListSocialAccounts", configure},
      {"GetSocialAccount", configure},
      {"CheckSocialAccount", configure},
      {"DeleteSocialAccount", configure},
      {"DeleteSocialAccounts", configure},
      {"GetAccessToken", read_tokens},
      {"ImportSocialAccounts", configure},
      {"ExportSocialAccounts", read_tokens},
      {"CreateTenantToken", configure},
      {"ListEvents", configure},
      {"CreateWebhook", configure},
      {"GetWebhook", configure},
      {"ListWebhooks", configure},
      {"UpdateWebhook", configure},
      {"DeleteWebhook", configure},
      {"RotateWebhookSecret", configure},
      {"TestWebhook", configure},
      {"ReplayEvents", configure},
  };
  const std::map<v1::Role, RawMetadata> callers = {
      {v1::ROLE_ADMIN, AsAdmin()},
      {v1::ROLE_ORG, AsOrg()},
      {v1::ROLE_MINT, AsMint()},
      {v1::ROLE_SERVICE, AsService("acme")},
  };
  const std::vector<const Rpc*> rpcs = EveryRpc(Admin());
  EXPECT_EQ(rpcs.size(), table.size());
  for (const Rpc* rpc : rpcs) {
    ASSERT_EQ(table.count(rpc->name()), 1u) << "say who may call " << rpc->full_name();
    for (const auto& [role, metadata] : callers) {
      const RawReply reply = CallRaw(server_->channel(), PathOf(*rpc), "", metadata);
      SCOPED_TRACE(absl::StrCat(rpc->name(), " by ", v1::Role_Name(role)));
      if (table.at(rpc->name()).contains(role)) {
        EXPECT_NE(reply.status.error_code(), grpc::PERMISSION_DENIED);
        EXPECT_NE(reply.status.error_code(), grpc::UNAUTHENTICATED);
      } else {
        EXPECT_THAT(ToAbslStatus(reply.status), HasReason("ROLE_NOT_ALLOWED"));
        EXPECT_EQ(reply.status.error_code(), grpc::PERMISSION_DENIED);
      }
    }
  }
}

TEST_F(ApiKeysTest, PermissionIsCheckedBeforeAnythingElse) {
  EXPECT_THAT(ToAbslStatus(server_->Call("DeleteOrganization", "", AsOrg()).status),
              HasReason("ROLE_NOT_ALLOWED"));
  EXPECT_THAT(
      ToAbslStatus(
          server_->Call("GetSocialNetwork", "id: 'absent'", Bearer(mint_key_, "other")).status),
      HasReason("ROLE_NOT_ALLOWED"));
}

// What no method asks for, and no handler could make good.
class TenantAuthorizationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto backend = OpenSqliteBackend(folder_.database());
    ASSERT_OK(backend);
    ASSERT_OK_AND_ASSIGN(store_, CredentialStore::Open(*std::move(backend), sealer_, FillRandom));
    record::v1::Organization organization;
    organization.set_org_id("acme");
    organization.set_created_at_ms(1'780'000'000'000);
    ASSERT_OK(store_->CreateOrganization(kNoLimit, organization));
    token_.set_org_id("acme");
    token_.set_org_created_at_ms(organization.created_at_ms());
    token_.set_tenant_id("customer_42");
    token_.set_key_id("TheMaker0123");
    token_.set_expires_at(absl::ToUnixSeconds(now_ + absl::Minutes(1)));
    for (int action = 1; action <= 4; ++action) {
      token_.add_actions(static_cast<TenantAction>(action));
    }
  }

  absl::StatusOr<Caller> Authorized(const state::v1::TenantToken& token,
                                    const Requirement& required) {
    const std::string authorization =
        "Bearer " + SealTenantToken(sealer_, NewNonce(FillRandom), token);
    const Metadata metadata = {{"authorization", authorization}};
    const absl::StatusOr<Credentials> credentials = ReadCredentials(sealer_, metadata);
    if (!credentials.ok()) return credentials.status();
    EXPECT_EQ(credentials->key_id, token.key_id());
    EXPECT_EQ(credentials->api_key, "");
    absl::StatusOr<Caller> caller = Authorize(kNoLimit, *store_, clock_, *credentials, required);
    // Memory says the same, where it knows.
    const auto in_memory = AuthorizeInMemory(*store_, clock_, *credentials, required);
    if (in_memory.has_value()) {
      EXPECT_EQ(in_memory->status(), caller.status());
    }
    return caller;
  }

  const ServerFolder folder_;
  const KeyRing keys_ = folder_.key_ring();
  const Sealer sealer_{keys_};
  absl::Time now_ = absl::FromUnixSeconds(1'790'000'000);
  const Clock clock_ = [this] { return now_; };
  std::unique_ptr<CredentialStore> store_;
  state::v1::TenantToken token_;
};

constexpr TenantAction kListAction = state::v1::TenantToken::ACTION_LIST;

TEST_F(TenantAuthorizationTest, CallerIsBoundToTheTenant) {
  for (const Access access : {Access::kMint, Access::kConfigure}) {
    ASSERT_OK_AND_ASSIGN(const Caller caller, Authorized(token_, {access, kListAction}));
    EXPECT_EQ(caller.org_id, "acme");
    EXPECT_EQ(caller.tenant_id, "customer_42");
    EXPECT_EQ(caller.key_id, "TheMaker0123");
    EXPECT_EQ(caller.role, record::v1::ROLE_UNSPECIFIED);
  }
}

TEST_F(TenantAuthorizationTest, AdministrationAndAccessTokensAreNeverForTenantTokens) {
  for (const Access access : {Access::kAdminister, Access::kReadTokens}) {
    EXPECT_THAT(Authorized(token_, {access, kListAction}), HasReason("ROLE_NOT_ALLOWED"));
  }
  for (const Access access :
       {Access::kAdminister, Access::kReadTokens, Access::kMint, Access::kConfigure}) {
    EXPECT_THAT(Authorized(token_, {access}), HasReason("ROLE_NOT_ALLOWED"));
  }
}

TEST_F(TenantAuthorizationTest, AgeComesFirstThenTheActionThenTheOrganisation) {
  state::v1::TenantToken token = token_;
  token.set_org_id("absent");
  token.clear_actions();
  token.add_actions(state::v1::TenantToken::ACTION_CONNECT);
  EXPECT_THAT(Authorized(token, {Access::kConfigure, kListAction}), HasReason("ROLE_NOT_ALLOWED"));
  token.add_actions(kListAction);
  EXPECT_THAT(Authorized(token, {Access::kConfigure, kListAction}),
              HasReason("ORGANIZATION_NOT_FOUND"));
  token.set_org_id("acme");
  EXPECT_OK(Authorized(token, {Access::kConfigure, kListAction}));
  token.set_org_created_at_ms(token.org_created_at_ms() - 1);
  EXPECT_THAT(Authorized(token, {Access::kConfigure, kListAction}),
              HasReason("ORGANIZATION_NOT_FOUND"));
  token.clear_actions();
  now_ += absl::Minutes(1);
  EXPECT_THAT(Authorized(token, {Access::kConfigure, kListAction}),
              HasReason("TENANT_TOKEN_EXPIRED"));
}

// The store alone, without a server.
class EnsureAdminKeyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto backend = OpenSqliteBackend(folder_.database());
    ASSERT_OK(backend);
    backend_ = backend->get();
    ASSERT_OK_AND_ASSIGN(store_, CredentialStore::Open(*std::move(backend), sealer_, FillRandom));
  }

  absl::Status Ensure(const std::string& text) {
    return EnsureAdminKey(*store_, text, absl::FromUnixSeconds(1'790'000'000));
  }

  const ServerFolder folder_;
  const KeyRing keys_ = folder_.key_ring();
  const Sealer sealer_{keys_};
  Backend* backend_ = nullptr;  // The store's.
  std::unique_ptr<CredentialStore> store_;
};

TEST_F(EnsureAdminKeyTest, NewKeyIsStoredOnce) {
  EXPECT_OK(Ensure(folder_.admin_key()));
  EXPECT_OK(Ensure("  " + folder_.admin_key() + "\n\n"));
  ASSERT_OK_AND_ASSIGN(const auto keys,
                       store_->ListApiKeys(kNoLimit, std::nullopt, "", {.rows = 10}));
  ASSERT_EQ(keys.records.size(), 1u);
  EXPECT_EQ(keys.records[0].role(), record::v1::ROLE_ADMIN);
  EXPECT_EQ(keys.records[0].created_at_ms(), 1'790'000'000'000);
}

TEST_F(EnsureAdminKeyTest, SecondAdminKeyStandsBesideTheFirst) {
  EXPECT_OK(Ensure(folder_.admin_key()));
  EXPECT_OK(Ensure(NewApiKey(FillRandom)));
  EXPECT_EQ(store_->ListApiKeys(kNoLimit, std::nullopt, "", {.rows = 10})->records.size(), 2u);
}

TEST_F(EnsureAdminKeyTest, TextThatIsNoKeyIsRefusedWithoutQuotingIt) {
  for (const std::string& text :
       {std::string(), std::string("\n"), std::string("hush"), folder_.admin_key().substr(1),
        folder_.admin_key() + "x", folder_.admin_key() + "\n" + folder_.admin_key()}) {
    EXPECT_THAT(Ensure(text),
                StatusIs(absl::StatusCode::kInvalidArgument, "does not hold a valid API key"));
  }
}

TEST_F(EnsureAdminKeyTest, RevokedKeyAndKeyOfAnotherRoleAreRefused) {
  ASSERT_OK(Ensure(folder_.admin_key()));
  const std::string id = ParseApiKey(folder_.admin_key())->key_id;
  ASSERT_OK(store_->RevokeApiKey(kNoLimit, id, std::nullopt, absl::Now()));
  EXPECT_THAT(Ensure(folder_.admin_key()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("revoked")));

  const std::string service = NewApiKey(FillRandom);
  record::v1::ApiKey key;
  key.set_key_id(ParseApiKey(service)->key_id);
  key.set_digest(ParseApiKey(service)->digest);
  key.set_role(record::v1::ROLE_SERVICE);
  ASSERT_OK(store_->CreateApiKey(kNoLimit, key));
  EXPECT_THAT(Ensure(service),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another role")));
}

TEST_F(EnsureAdminKeyTest, RevokedKeyIsFineWhileAnotherAdminKeyLives) {
  ASSERT_OK(Ensure(folder_.admin_key()));
  const std::string another = NewApiKey(FillRandom);
  ASSERT_OK(Ensure(another));
  ASSERT_OK(store_->RevokeApiKey(kNoLimit, ParseApiKey(folder_.admin_key())->key_id, std::nullopt,
                                 absl::Now()));
  EXPECT_OK(Ensure(folder_.admin_key()));
  EXPECT_OK(Ensure(another));
  // It stays revoked.
  EXPECT_NE(
      (*store_->GetApiKey(kNoLimit, ParseApiKey(folder_.admin_key())->key_id))->revoked_at_ms(), 0);
  ASSERT_OK(
      store_->RevokeApiKey(kNoLimit, ParseApiKey(another)->key_id, std::nullopt, absl::Now()));
  EXPECT_THAT(Ensure(folder_.admin_key()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no other ADMIN key")));
}

TEST_F(EnsureAdminKeyTest, KeyThatWasRevokedWhenItWasDamagedIsARevokedOne) {
  ASSERT_OK(Ensure(folder_.admin_key()));
  ASSERT_OK(Ensure(NewApiKey(FillRandom)));
  const std::string key_id = ParseApiKey(folder_.admin_key())->key_id;
  const Row row = {.org_id = "", .id = key_id, .version = 2, .columns = {}, .parts = {"x"}};
  ASSERT_OK(backend_->Commit(kNoLimit, {Update{&kApiKeys, row, 1}}).status);
  ASSERT_OK(store_->RevokeApiKey(kNoLimit, key_id, std::nullopt, absl::Now()));
  EXPECT_OK(Ensure(folder_.admin_key()));
}

// More than a page of them, before the one that counts and without it.
TEST_F(EnsureAdminKeyTest, AdminKeyIsFoundAmongManyOthers) {
  ASSERT_OK(Ensure(folder_.admin_key()));
  ASSERT_OK(store_->RevokeApiKey(kNoLimit, ParseApiKey(folder_.admin_key())->key_id, std::nullopt,
                                 absl::Now()));
  record::v1::ApiKey key;
  key.set_digest(std::string(32, 'x'));
  key.set_role(record::v1::ROLE_SERVICE);
  for (int i = 0; i < 200; ++i) {
    key.set_key_id(absl::StrCat("000000000", i + 100));
    ASSERT_OK(store_->CreateApiKey(kNoLimit, key));
  }
  EXPECT_THAT(Ensure(folder_.admin_key()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no other ADMIN key")));
  key.set_key_id("zzzzzzzzzzzz");
  key.set_role(record::v1::ROLE_ADMIN);
  ASSERT_OK(store_->CreateApiKey(kNoLimit, key));
  EXPECT_OK(Ensure(folder_.admin_key()));
}

TEST_F(EnsureAdminKeyTest, KnownIdWithAnotherSecretIsRefused) {
  record::v1::ApiKey key;
  key.set_key_id(ParseApiKey(folder_.admin_key())->key_id);
  key.set_digest(std::string(32, 'x'));
  key.set_role(record::v1::ROLE_ADMIN);
  ASSERT_OK(store_->CreateApiKey(kNoLimit, key));
  EXPECT_THAT(Ensure(folder_.admin_key()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another key")));
}

}  // namespace
}  // namespace authurl::testing
