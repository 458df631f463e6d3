// Tenant tokens over a real channel: what they may do, and what they may not.
#include "core/tenant_token.h"

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "core/flow/auth_state.h"
#include "server/observe/log.h"
#include "storage/digest_id.h"
#include "storage/sqlite/sqlite_backend.h"
#include "tests/server/api/service_fixture.h"
#include "tests/support/no_limit.h"

namespace authurl::testing {
namespace {

using state::v1::TenantToken;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAreArray;

constexpr char kAbsentAccount[] = "sa_00000000000000000000";
const absl::Time kServersTime = absl::FromUnixMillis(1'790'000'000'123);

// An organisation "shop" whose tenants "mine" and "yours" have accounts, and choices that wait; so
// has nobody, whose tenant is empty.
class TenantTokenServiceTest : public ServiceTest {
 protected:
  TenantTokenServiceTest()
      : ServiceTest([this](Config& config) {
          config.outbound_connect_to = "127.0.0.1:1";  // Nobody is asked.
          FillDatabase(config);
        }) {}

  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(ServiceTest::SetUp());
    ASSERT_OK_AND_ASSIGN(shop_key_, CreateKey(Admin(), v1::ROLE_ORG, "shop"));
  }

  // Before the server has the file.
  void FillDatabase(const Config& config) {
    const KeyRing keys = KeyRing::Parse(ReadFile(config.key_ring_file)).value();
    const Sealer sealer(keys);
    auto backend = OpenSqliteBackend(config.database);
    ASSERT_OK(backend);
    ASSERT_OK_AND_ASSIGN(const auto store,
                         CredentialStore::Open(*std::move(backend), sealer, FillRandom));
    record::v1::Organization shop;
    shop.set_org_id("shop");
    shop.set_created_at_ms(absl::ToUnixMillis(kServersTime - absl::Hours(24)));
    ASSERT_OK(store->CreateOrganization(kNoLimit, shop));
    settings_.set_id("sn_0123456789abcdefghjk");
    settings_.set_org_id("shop");
    settings_.set_network("x");
    settings_.set_version(1);
    settings_.set_client_key("the-client-key");
    settings_.set_default_redirect_uri("https://shop.example.com/cb");
    ASSERT_OK(store->social_networks().Create(kNoLimit, settings_, "the-client-secret"));
    for (const std::string tenant : {"mine", "yours", ""}) {
      ASSERT_NO_FATAL_FAILURE(Connect(*store, tenant));
      ASSERT_NO_FATAL_FAILURE(Offer(*store, tenant));
    }
  }

  static record::v1::Flow FlowNamed(const std::string& name, const std::string& tenant) {
    record::v1::Flow flow;
    flow.set_id(DigestId(name));
    flow.set_org_id("shop");
    flow.set_network("x");
    flow.set_social_network_id("sn_0123456789abcdefghjk");
    flow.set_social_network_version(1);
    flow.set_tenant_id(tenant);
    flow.set_state_expires_at_ms(absl::ToUnixMillis(kServersTime + absl::Minutes(20)));
    flow.set_code_digest(DigestId("code of " + name));
    flow.set_role(record::v1::ROLE_ORG);
    return flow;
  }
  static record::v1::Grant GrantOfPerson(const std::string& name) {
    record::v1::Grant grant;
    grant.set_org_id("shop");
    grant.set_social_network_id("sn_0123456789abcdefghjk");
    grant.set_social_network_version(1);
    grant.set_network("x");
    grant.set_client_id("the-client-key");
    grant.set_subject(name);
    return grant;
  }
  static record::v1::SocialAccount AccountNamed(const std::string& name,
                                                const std::string& tenant) {
    record::v1::SocialAccount account;
    account.set_social_network_id("sn_0123456789abcdefghjk");
    account.set_network("x");
    account.set_tenant_id(tenant);
    account.set_account_type(record::v1::ACCOUNT_TYPE_PERSONAL);
    account.set_network_unique_id(name);
    account.set_username("user-" + name);
    return account;
  }
  static TokenSet TokensNamed(const std::string& name) {
    TokenSet tokens;
    tokens.access_token = "access token of " + name;
    return tokens;
  }

  // Three accounts of one person.
  void Connect(CredentialStore& store, const std::string& tenant) {
    const std::string name = "person-of-" + tenant;
    ASSERT_OK(store.flows().Spend(kNoLimit, FlowNamed(name, tenant), kServersTime));
    const TokenSet tokens = TokensNamed(name);
    std::vector<NewAccount> accounts;
    for (int i = 0; i < 3; ++i) {
      accounts.push_back({AccountNamed(absl::StrCat("person-", i, "-of-", tenant), tenant), ""});
    }
    ASSERT_OK_AND_ASSIGN(
        const Connected connected,
        store.flows().Complete(kNoLimit, "shop", DigestId(name), {GrantOfPerson(name), tokens},
                               accounts, kServersTime));
    for (const auto& account : connected.accounts) ids_[tenant].push_back(account.id());
  }
  void Offer(CredentialStore& store, const std::string& tenant) {
    const std::string name = "chooser-of-" + tenant;
    ASSERT_OK(store.flows().Spend(kNoLimit, FlowNamed(name, tenant), kServersTime));
    const TokenSet tokens = TokensNamed(name);
    const std::vector<NewAccount> accounts = {{AccountNamed("page-1-of-" + tenant, tenant), ""},
                                              {AccountNamed("page-2-of-" + tenant, tenant), ""}};
    record::v1::PendingConnection pending;
    pending.set_tenant_id(tenant);
    ASSERT_OK(store.pending_connections().Offer(kNoLimit, "shop", DigestId(name), Session(tenant),
                                                pending, {GrantOfPerson(name), tokens}, accounts,
                                                kServersTime));
  }
  // The session token of the choice that waits.
  static std::string Session(const std::string& tenant) {
    return absl::StrCat("aus_", tenant, std::string(43 - tenant.size(), 's'));
  }

  RawMetadata AsShop() const { return Bearer(shop_key_); }
  absl::StatusOr<v1::CreateTenantTokenResponse> Create(const std::string& request) const {
    return server_->Call<v1::CreateTenantTokenResponse>("CreateTenantToken", request, AsShop());
  }
  // The metadata of a browser of the tenant.
  RawMetadata AsTenant(const std::vector<std::string>& actions,
                       const std::string& tenant = "mine") const {
    const auto created = Create(absl::StrCat("tenant_id: '", tenant, "' actions: [ACTION_",
                                             absl::StrJoin(actions, ", ACTION_"), "]"));
    EXPECT_OK(created);
    return Bearer(created.ok() ? created->token() : "");
  }

  absl::StatusOr<std::vector<std::string>> List(const RawMetadata& metadata,
                                                const std::string& request = "") const {
    const auto listed =
        server_->Call<v1::ListSocialAccountsResponse>("ListSocialAccounts", request, metadata);
    if (!listed.ok()) return listed.status();
    std::vector<std::string> ids;
    for (const v1::SocialAccount& account : listed->accounts()) ids.push_back(account.id());
    return ids;
  }
  absl::StatusOr<v1::GetSocialAccountResponse> Get(const RawMetadata& metadata,
                                                   const std::string& id) const {
    return server_->Call<v1::GetSocialAccountResponse>("GetSocialAccount",
                                                       absl::StrCat("id: '", id, "'"), metadata);
  }
  absl::StatusOr<v1::DeleteSocialAccountResponse> Delete(const RawMetadata& metadata,
                                                         const std::string& id) const {
    return server_->Call<v1::DeleteSocialAccountResponse>("DeleteSocialAccount",
                                                          absl::StrCat("id: '", id, "'"), metadata);
  }
  absl::StatusOr<v1::FinalizePendingConnectionResponse> Finalize(const RawMetadata& metadata,
                                                                 const std::string& session,
                                                                 const std::string& choice) const {
    return server_->Call<v1::FinalizePendingConnectionResponse>(
        "FinalizePendingConnection",
        absl::StrCat("session_token: '", session, "' choice_ids: '", choice, "'"), metadata);
  }
  absl::StatusOr<OpenedState> StateOf(const v1::GetAuthUrlResponse& minted) const {
    const std::string& url = minted.auth_url();
    const size_t begin = url.find("&state=") + 7;
    const KeyRing keys = server_->folder().key_ring();
    return OpenAuthState(Sealer(keys), url.substr(begin, url.find('&', begin) - begin),
                         server_->now(), "shop", "x");
  }
  absl::StatusOr<v1::GetAuthUrlResponse> Mint(const RawMetadata& metadata,
                                              const std::string& more = "") const {
    return server_->Call<v1::GetAuthUrlResponse>("GetAuthUrl", "network: 'x' " + more, metadata);
  }

  record::v1::SocialNetworkSettings settings_;
  // Of the accounts, by tenant.
  std::map<std::string, std::vector<std::string>> ids_;
  std::string shop_key_;
};

TEST_F(TenantTokenServiceTest, TokenEndsWhenItWasAskedTo) {
  ASSERT_OK_AND_ASSIGN(const auto usual, Create("tenant_id: 'a' actions: ACTION_LIST"));
  EXPECT_THAT(usual.token(), StartsWith("aut_"));
  EXPECT_LE(usual.token().size(), kMaxTenantTokenChars);
  const int64_t now = absl::ToUnixSeconds(server_->now());
  EXPECT_EQ(usual.expires_at().seconds(), now + 900);
  EXPECT_EQ(usual.expires_at().nanos(), 0);
  ASSERT_OK_AND_ASSIGN(const auto longest,
                       Create("tenant_id: 'a' actions: ACTION_LIST ttl { seconds: 3600 }"));
  EXPECT_EQ(longest.expires_at().seconds(), now + 3600);
  ASSERT_OK_AND_ASSIGN(const auto again, Create("tenant_id: 'a' actions: ACTION_LIST"));
  EXPECT_NE(usual.token(), again.token());
}

TEST_F(TenantTokenServiceTest, FaultyRequestIsToldAllItsFaults) {
  const auto refused = Create("tenant_id: 'a b' ttl { seconds: 3601 } actions: ACTION_UNSPECIFIED");
  EXPECT_THAT(refused, HasReason("INVALID_PAYLOAD"));
  EXPECT_THAT(refused, HasViolation("tenant_id", HasSubstr("1 to 128")));
  EXPECT_THAT(refused, HasViolation("ttl", HasSubstr("3600")));
  EXPECT_THAT(refused, HasViolation("actions[0]", HasSubstr("ACTION_CONNECT")));
  EXPECT_THAT(Create(""), HasViolation("actions", HasSubstr("Required")));
}

TEST_F(TenantTokenServiceTest, UrlIsForTheTenantWhetherTheRequestSaysSoOrNot) {
  const RawMetadata tenant = AsTenant({"CONNECT"});
  // At first the configuration comes from the database, then from memory.
  for (const char* more : {"", "", "tenant_id: 'mine'"}) {
    ASSERT_OK_AND_ASSIGN(const auto minted, Mint(tenant, more));
    ASSERT_OK_AND_ASSIGN(const OpenedState opened, StateOf(minted));
    EXPECT_EQ(opened.state.tenant_id(), "mine");
    EXPECT_EQ(opened.state.org_id(), "shop");
  }
  for (const char* other : {"tenant_id: 'yours'", "tenant_id: ''", "tenant_id: 'Mine'"}) {
    const auto refused = Mint(tenant, other);
    EXPECT_THAT(refused, HasReason("INVALID_PAYLOAD"));
    EXPECT_THAT(refused, HasViolation("tenant_id", HasSubstr("leave it out")));
  }
  // A key is bound to none.
  ASSERT_OK_AND_ASSIGN(const auto by_key, Mint(AsShop(), "tenant_id: 'yours'"));
  EXPECT_EQ(StateOf(by_key)->state.tenant_id(), "yours");
  ASSERT_OK_AND_ASSIGN(const auto of_nobody, Mint(AsShop()));
  EXPECT_EQ(StateOf(of_nobody)->state.tenant_id(), "");
}

TEST_F(TenantTokenServiceTest, ListHasTheTenantsAccountsOnly) {
  const RawMetadata tenant = AsTenant({"LIST"});
  for (const char* request : {"", "tenant_id: 'mine'", "network: 'x'",
                              "tenant_id: 'mine' social_network_id: 'sn_0123456789abcdefghjk'"}) {
    ASSERT_OK_AND_ASSIGN(const auto ids, List(tenant, request));
    EXPECT_THAT(ids, UnorderedElementsAreArray(ids_["mine"])) << request;
  }
  for (const char* request :
       {"network_unique_id: 'person-0-of-yours'", "username: 'user-person-0-of-yours'",
        "username: 'user-person-0-of-'", "network: 'linkedin'", "offset: 3"}) {
    EXPECT_THAT(List(tenant, request), IsOkAndHolds(IsEmpty())) << request;
  }
  ASSERT_OK_AND_ASSIGN(const auto named, List(tenant, "username: 'USER-person-1-of-mine'"));
  ASSERT_EQ(named.size(), 1u);
  EXPECT_EQ(Get(tenant, named[0])->account().network_unique_id(), "person-1-of-mine");
  for (const char* request : {"tenant_id: 'yours'", "tenant_id: ''", "tenant_id: 'nobody'"}) {
    EXPECT_THAT(List(tenant, request), HasViolation("tenant_id", HasSubstr("leave it out")));
  }
  EXPECT_THAT(List(AsTenant({"LIST"}, "nobody")), IsOkAndHolds(IsEmpty()));
  ASSERT_OK_AND_ASSIGN(const auto all, List(AsShop()));
  EXPECT_EQ(all.size(), 9u);
}

TEST_F(TenantTokenServiceTest, PagesAndTotalsAreOfTheTenantToo) {
  const RawMetadata tenant = AsTenant({"LIST"});
  std::vector<std::string> found;
  std::string page_token;
  do {
    ASSERT_OK_AND_ASSIGN(
        const auto page,
        server_->Call<v1::ListSocialAccountsResponse>(
            "ListSocialAccounts",
            absl::StrCat("page_size: 1 count_total: true page_token: '", page_token, "'"), tenant));
    EXPECT_EQ(page.total(), 3);
    for (const v1::SocialAccount& account : page.accounts()) found.push_back(account.id());
    page_token = page.next_page_token();
  } while (!page_token.empty());
  EXPECT_THAT(found, UnorderedElementsAreArray(ids_["mine"]));
  // Where somebody else's list goes on there is nothing else to see.
  ASSERT_OK_AND_ASSIGN(const auto first, server_->Call<v1::ListSocialAccountsResponse>(
                                             "ListSocialAccounts", "page_size: 1", AsShop()));
  ASSERT_OK_AND_ASSIGN(const auto rest,
                       List(tenant, absl::StrCat("page_token: '", first.next_page_token(), "'")));
  EXPECT_THAT(ids_["mine"], IsSupersetOf(rest));
}

TEST_F(TenantTokenServiceTest, AccountOfAnotherTenantAnswersAsOneThatIsNotThere) {
  const RawMetadata tenant = AsTenant({"LIST"});
  ASSERT_OK_AND_ASSIGN(const auto mine, Get(tenant, ids_["mine"][0]));
  EXPECT_EQ(mine.account().id(), ids_["mine"][0]);
  EXPECT_EQ(mine.account().tenant_id(), "mine");
  const absl::Status absent = Get(tenant, kAbsentAccount).status();
  EXPECT_THAT(absent, HasReason("SOCIAL_ACCOUNT_NOT_FOUND"));
  for (const std::string& id : {ids_["yours"][0], ids_[""][0]}) {
    const absl::Status other = Get(tenant, id).status();
    EXPECT_EQ(other.code(), absent.code());
    EXPECT_EQ(ReasonOf(other), ReasonOf(absent));
    EXPECT_EQ(absl::StrReplaceAll(other.message(), {{id, kAbsentAccount}}), absent.message());
    EXPECT_OK(Get(AsShop(), id));
  }
}

TEST_F(TenantTokenServiceTest, TheTenantsChoiceIsMadeAndNobodyElses) {
  const RawMetadata tenant = AsTenant({"FINALIZE"});
  const absl::Status unknown = Finalize(tenant, Session("unknown"), "page-1-of-mine").status();
  EXPECT_THAT(unknown, HasReason("SESSION_NOT_FOUND"));
  for (const std::string other : {"yours", ""}) {
    EXPECT_EQ(Finalize(tenant, Session(other), "page-1-of-" + other).status(), unknown) << other;
    // It waits as before.
    ASSERT_OK_AND_ASSIGN(const auto by_key,
                         Finalize(AsShop(), Session(other), "page-1-of-" + other));
    EXPECT_EQ(by_key.accounts(0).tenant_id(), other);
    EXPECT_EQ(Finalize(tenant, Session(other), "page-1-of-" + other).status(), unknown) << other;
  }
  EXPECT_THAT(Finalize(tenant, Session("mine"), "page-1-of-yours"), Not(IsOk()));
  ASSERT_OK_AND_ASSIGN(const auto first, Finalize(tenant, Session("mine"), "page-1-of-mine"));
  ASSERT_EQ(first.accounts_size(), 1);
  EXPECT_EQ(first.accounts(0).tenant_id(), "mine");
  EXPECT_EQ(first.accounts(0).network_unique_id(), "page-1-of-mine");
  ASSERT_OK_AND_ASSIGN(const auto again, Finalize(tenant, Session("mine"), "page-1-of-mine"));
  EXPECT_EQ(again.accounts(0).id(), first.accounts(0).id());
  EXPECT_THAT(Finalize(tenant, Session("mine"), "page-2-of-mine"),
              HasReason("SESSION_ALREADY_USED"));
}

TEST_F(TenantTokenServiceTest, TheTenantsAccountIsRemovedAndNobodyElses) {
  const RawMetadata tenant = AsTenant({"DISCONNECT"});
  const absl::Status absent = Delete(tenant, kAbsentAccount).status();
  EXPECT_THAT(absent, HasReason("SOCIAL_ACCOUNT_NOT_FOUND"));
  for (const std::string& id : {ids_["yours"][0], ids_[""][0]}) {
    const absl::Status other = Delete(tenant, id).status();
    EXPECT_EQ(other.code(), absent.code());
    EXPECT_EQ(ReasonOf(other), ReasonOf(absent));
    EXPECT_EQ(absl::StrReplaceAll(other.message(), {{id, kAbsentAccount}}), absent.message());
    EXPECT_OK(Get(AsShop(), id));
  }
  EXPECT_OK(Delete(tenant, ids_["mine"][0]));
  EXPECT_THAT(Get(AsShop(), ids_["mine"][0]), HasReason("SOCIAL_ACCOUNT_NOT_FOUND"));
  EXPECT_THAT(Delete(tenant, ids_["mine"][0]), HasReason("SOCIAL_ACCOUNT_NOT_FOUND"));
  // A key is bound to no tenant.
  EXPECT_OK(Delete(AsShop(), ids_["yours"][0]));
}

// Whoever has the session token may see the choices, with any token or none.
TEST_F(TenantTokenServiceTest, ChoicesAreShownWithoutAToken) {
  const std::string request = absl::StrCat("session_token: '", Session("mine"), "'");
  for (const RawMetadata& metadata :
       {RawMetadata(), AsTenant({"LIST"}), AsTenant({"LIST"}, "yours"), Bearer("aut_x")}) {
    ASSERT_OK_AND_ASSIGN(const auto shown, server_->Call<v1::GetPendingConnectionResponse>(
                                               "GetPendingConnection", request, metadata));
    EXPECT_EQ(shown.pending().choices_size(), 2);
  }
}

TEST_F(TenantTokenServiceTest, EveryRpcTakesTheActionOfTheTableAndNoOther) {
  const std::vector<std::string> actions = {"CONNECT", "LIST", "FINALIZE", "DISCONNECT"};
  const std::map<std::string, std::string> table = {
      {"GetAuthUrl", "CONNECT"},
      {"ListSocialAccounts", "LIST"},
      {"GetSocialAccount", "LIST"},
      {"FinalizePendingConnection", "FINALIZE"},
      {"DeleteSocialAccount", "DISCONNECT"},
  };
  const std::set<std::string> keyless = {"CompleteHostedAuth", "GetPendingConnection"};
  std::map<std::string, RawMetadata> tenants = {{"", AsTenant(actions)}};
  for (const std::string& action : actions) tenants[action] = AsTenant({action});
  for (const Rpc* rpc : EveryRpc(Admin())) {
    for (const auto& [action, metadata] : tenants) {
      SCOPED_TRACE(absl::StrCat(rpc->name(), " with ", action.empty() ? "all" : action));
      const absl::Status status =
          ToAbslStatus(CallRaw(server_->channel(), PathOf(*rpc), "", metadata).status);
      const auto taken = table.find(rpc->name());
      const bool is_taken = taken != table.end() && (action.empty() || action == taken->second);
      if (is_taken || keyless.contains(rpc->name())) {
        EXPECT_FALSE(absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status)) << status;
        continue;
      }
      EXPECT_THAT(status, HasReason("ROLE_NOT_ALLOWED"));
      EXPECT_THAT(status,
                  StatusIs(absl::StatusCode::kPermissionDenied,
                           HasSubstr(taken == table.end() ? "GetSocialAccount" : taken->second)));
    }
  }
}

TEST_F(TenantTokenServiceTest, TokenIsGoodUntilItsEnd) {
  ASSERT_OK_AND_ASSIGN(const auto created,
                       Create("tenant_id: 'mine' actions: ACTION_LIST ttl { seconds: 60 }"));
  const RawMetadata tenant = Bearer(created.token());
  EXPECT_OK(List(tenant));
  const absl::Time end = absl::FromUnixSeconds(created.expires_at().seconds());
  server_->SetTime(end - absl::Milliseconds(1));
  EXPECT_OK(List(tenant));
  for (const absl::Duration after : {absl::ZeroDuration(), absl::Hours(24)}) {
    server_->SetTime(end + after);
    const auto expired = List(tenant);
    EXPECT_THAT(expired, HasReason("TENANT_TOKEN_EXPIRED"));
    EXPECT_EQ(expired.status().code(), absl::StatusCode::kUnauthenticated);
  }
}

TEST_F(TenantTokenServiceTest, WhatIsNotWholeOrNotOursIsRefusedInOneWay) {
  ASSERT_OK_AND_ASSIGN(const auto created, Create("tenant_id: 'mine' actions: ACTION_LIST"));
  const std::string& token = created.token();
  ASSERT_OK_AND_ASSIGN(const KeyRing others, KeyRing::Parse(NewKeyRingText(FillRandom)));
  TenantToken forged;
  forged.set_org_id("shop");
  forged.set_tenant_id("mine");
  forged.add_actions(TenantToken::ACTION_LIST);
  forged.set_expires_at(absl::ToUnixSeconds(server_->now()) + 60);
  const absl::Status refused = List(Bearer("aut_A")).status();
  EXPECT_THAT(refused, HasReason("API_KEY_INVALID"));
  for (size_t place = 4; place < token.size(); place += 7) {
    std::string changed = token;
    changed[place] = changed[place] == 'A' ? 'B' : 'A';
    EXPECT_EQ(List(Bearer(changed)).status(), refused) << place;
  }
  for (const std::string& text : {token.substr(0, token.size() - 8), token + "AAAA",
                                  SealTenantToken(Sealer(others), NewNonce(FillRandom), forged)}) {
    EXPECT_EQ(List(Bearer(text)).status(), refused);
  }
}

TEST_F(TenantTokenServiceTest, TokenOfADeletedOrganisationIsOfNoUse) {
  const RawMetadata tenant = AsTenant({"CONNECT", "LIST", "FINALIZE"});
  EXPECT_OK(List(tenant));
  EXPECT_OK(Mint(tenant));
  ASSERT_OK(Admin().DeleteOrganization("shop"));
  EXPECT_THAT(List(tenant), HasReason("ORGANIZATION_NOT_FOUND"));
  EXPECT_THAT(Mint(tenant), HasReason("ORGANIZATION_NOT_FOUND"));
  EXPECT_THAT(Get(tenant, ids_["mine"][0]), HasReason("ORGANIZATION_NOT_FOUND"));
  EXPECT_THAT(Finalize(tenant, Session("mine"), "page-1-of-mine"),
              HasReason("ORGANIZATION_NOT_FOUND"));
}

TEST_F(TenantTokenServiceTest, TokenOfATenantOfOneOrganisationSeesNothingOfAnother) {
  const auto created = Call<v1::CreateTenantTokenResponse>(
      "CreateTenantToken", "tenant_id: 'mine' actions: [ACTION_LIST, ACTION_FINALIZE]");
  ASSERT_OK(created);
  const RawMetadata of_acme = Bearer(created->token());
  EXPECT_THAT(List(of_acme), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(Get(of_acme, ids_["mine"][0]), HasReason("SOCIAL_ACCOUNT_NOT_FOUND"));
  EXPECT_THAT(Finalize(of_acme, Session("mine"), "page-1-of-mine"), HasReason("SESSION_NOT_FOUND"));
}

TEST_F(TenantTokenServiceTest, NoLogHasAToken) {
  std::vector<std::string> tokens;
  ::testing::internal::CaptureStderr();
  StartLog("debug");
  for (const char* actions : {"CONNECT", "LIST, ACTION_FINALIZE"}) {
    const auto created = Create(absl::StrCat("tenant_id: 'mine' actions: [ACTION_", actions, "]"));
    ASSERT_OK(created);
    tokens.push_back(created->token());
    const RawMetadata tenant = Bearer(created->token());
    for (const Rpc* rpc : EveryRpc(Admin())) {
      CallRaw(server_->channel(), PathOf(*rpc), "", tenant);
    }
    // Where it does not belong.
    const std::string quoted = absl::StrCat("'", created->token(), "'");
    EXPECT_THAT(Get(AsShop(), created->token()), Not(IsOk()));
    EXPECT_THAT(Finalize(AsShop(), created->token(), created->token()), Not(IsOk()));
    server_->Call("ListSocialAccounts", "tenant_id: " + quoted, AsShop());
    server_->Call("GetAuthUrl", "network: 'x' tenant_id: " + quoted, AsShop());
    RawMetadata odd = Bearer(created->token(), created->token());
    odd.emplace("x-request-id", created->token());
    EXPECT_THAT(List(odd), Not(IsOk()));
  }
  server_->SetTime(server_->now() + absl::Hours(1));
  for (const std::string& token : tokens) EXPECT_THAT(List(Bearer(token)), Not(IsOk()));
  server_->Close();
  EXPECT_TRUE(StopLog());
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("CreateTenantToken"));
  EXPECT_THAT(log, HasSubstr(absl::StrCat("\"key_id\":\"", shop_key_.substr(4, 12), "\"")));
  for (const std::string& token : tokens) {
    EXPECT_THAT(log, Not(HasSubstr(token)));
    EXPECT_THAT(log, Not(HasSubstr(token.substr(4, 24))));
    EXPECT_THAT(log, Not(HasSubstr(token.substr(token.size() - 24))));
  }
}

}  // namespace
}  // namespace authurl::testing
