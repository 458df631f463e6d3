#include "server/api/social_network_service.h"

#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_split.h"
#include "server/observe/log.h"
#include "storage/sqlite/sqlite_backend.h"
#include "tests/server/api/service_fixture.h"
#include "tests/support/equals_proto.h"
#include "tests/support/network_configurations.h"
#include "tests/support/no_limit.h"
#include "tests/support/signing_key.h"

namespace authurl::testing {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

constexpr char kAllSettings[] =
    "default_redirect_uri: 'https://app.example.com/a' "
    "allowed_redirect_uris: ['https://app.example.com/a', 'https://app.example.com/b'] "
    "scopes: ['one', 'two'] extra_params { key: 'hl' value: 'de' } "
    "variables { key: 'version' value: 'v20.0' } "
    "allowed_return_uris: ['https://app.example.com/r', 'myapp://r'] "
    "default_return_uri: 'https://app.example.com/d' "
    "session_binding_policy: SESSION_BINDING_POLICY_REQUIRED return_profile: true ";

class SocialNetworkServiceTest : public ServiceTest {
 protected:
  absl::StatusOr<v1::SocialNetwork> Update(const std::string& id,
                                           const std::string& changes) const {
    const auto updated = Call<v1::UpdateSocialNetworkResponse>(
        "UpdateSocialNetwork", absl::StrCat("id: '", id, "' ", changes));
    if (!updated.ok()) return updated.status();
    return updated->social_network();
  }
  absl::StatusOr<v1::SocialNetwork> Get(const std::string& id) const {
    const auto found = Org().GetSocialNetwork(id);
    if (!found.ok()) return found.status();
    return found->social_network();
  }
};

TEST_F(SocialNetworkServiceTest, NewConfigurationIsShownAsItWasAskedWithoutTheSecret) {
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork created, Configure("facebook", kAllSettings));
  EXPECT_THAT(created.id(), StartsWith("sn_"));
  EXPECT_EQ(created.network(), "facebook");
  EXPECT_EQ(created.instance(), "");
  EXPECT_EQ(created.client_key(), "facebook-client-key");
  EXPECT_EQ(created.default_redirect_uri(), "https://app.example.com/a");
  EXPECT_THAT(created.allowed_redirect_uris(),
              ElementsAre("https://app.example.com/a", "https://app.example.com/b"));
  EXPECT_THAT(created.scopes(), ElementsAre("one", "two"));
  EXPECT_THAT(created.extra_params(), UnorderedElementsAre(Pair("hl", "de")));
  EXPECT_THAT(created.variables(), UnorderedElementsAre(Pair("version", "v20.0")));
  EXPECT_THAT(created.allowed_return_uris(), ElementsAre("https://app.example.com/r", "myapp://r"));
  EXPECT_EQ(created.default_return_uri(), "https://app.example.com/d");
  EXPECT_EQ(created.session_binding_policy(), v1::SESSION_BINDING_POLICY_REQUIRED);
  EXPECT_TRUE(created.return_profile());
  EXPECT_EQ(created.created_at().seconds(), absl::ToUnixSeconds(server_->now()));
  EXPECT_EQ(created.updated_at().SerializeAsString(), created.created_at().SerializeAsString());
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork found, Get(created.id()));
  EXPECT_THAT(found, EqualsProto(created));
}

TEST_F(SocialNetworkServiceTest, TheLogSaysWhatWasManagedAndWhatFailed) {
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork x, Configure("x"));
  ::testing::internal::CaptureStderr();
  StartLog("info");
  ASSERT_OK(Call<v1::UpdateSocialNetworkResponse>(
      "UpdateSocialNetwork", absl::StrCat("id: '", x.id(), "' client_secret: 'NEW-SECRET'")));
  ASSERT_OK(Call<v1::BatchGetAuthUrlsResponse>(
      "BatchGetAuthUrls", "networks: ['x', 'vimeo'] redirect_uri: 'https://app.example.com/cb'"));
  EXPECT_FALSE(GetAuthUrl("network: 'x' tenant_id: 'IN A FIELD' redirect_uri: 'http://x'").ok());
  // Calls are logged once they have left.
  server_->Close();
  StopLog();
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr(absl::StrCat("\"network\":\"x\",\"target\":\"", x.id(), "\"")));
  EXPECT_THAT(log, HasSubstr("\"results\":2,\"failed_results\":1"));
  EXPECT_THAT(log, HasSubstr("\"faulty_fields\":\"redirect_uri,tenant_id\""));
  EXPECT_THAT(log, Not(HasSubstr("NEW-SECRET")));
  EXPECT_THAT(log, Not(HasSubstr("IN A FIELD")));
}

TEST_F(SocialNetworkServiceTest, NoReplyHoldsTheSecretOrTheSecretBefore) {
  const std::string create = "network: 'x' client_key: 'k' client_secret: 'SECRET-OF-X-1' ";
  std::string replies;
  const auto call = [&](const std::string& rpc, const std::string& request) {
    const RawReply reply = server_->Call(rpc, request, AsOrg());
    absl::StrAppend(&replies, reply.response, reply.status.error_message(),
                    reply.status.error_details());
    for (const auto& [name, value] : reply.headers) absl::StrAppend(&replies, name, value);
    for (const auto& [name, value] : reply.trailers) absl::StrAppend(&replies, name, value);
    return reply;
  };
  v1::CreateSocialNetworkResponse created;
  ASSERT_TRUE(created.ParseFromString(call("CreateSocialNetwork", create).response));
  const std::string id = absl::StrCat("id: '", created.social_network().id(), "' ");
  call("CreateSocialNetwork", create);
  call("CreateSocialNetwork", create + "scopes: ''");
  call("GetSocialNetwork", id);
  call("UpdateSocialNetwork", id + "client_secret: 'SECRET-OF-X-2'");
  call("UpdateSocialNetwork", id + "client_secret: 'SECRET-OF-X-3' scopes: ''");
  call("UpdateSocialNetwork", id + "client_secret: '" + std::string(4097, 'S') + "'");
  call("ListSocialNetworks", "");
  call("GetAuthUrl", "network: 'x' redirect_uri: 'https://app.example.com/cb'");
  call("DeleteSocialNetwork", id);
  EXPECT_THAT(replies, HasSubstr("SOCIAL_NETWORK_EXISTS"));
  EXPECT_THAT(replies, Not(HasSubstr("SECRET-OF")));
  EXPECT_THAT(replies, Not(HasSubstr("SSSSSSSSSS")));
}

TEST_F(SocialNetworkServiceTest, WithoutAMaskEveryFieldThatIsSetChangesAndNoOther) {
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork before, Configure("facebook", kAllSettings));
  server_->SetTime(server_->now() + absl::Seconds(5));
  ASSERT_OK_AND_ASSIGN(v1::SocialNetwork after, Update(before.id(), "client_key: 'new' "));
  EXPECT_EQ(after.client_key(), "new");
  EXPECT_EQ(after.updated_at().seconds(), before.updated_at().seconds() + 5);
  after.set_client_key(before.client_key());
  *after.mutable_updated_at() = before.updated_at();
  EXPECT_THAT(after, EqualsProto(before));

  ASSERT_OK_AND_ASSIGN(after,
                       Update(before.id(), "scopes: 'three' extra_params { key: 'x' value: 'y' }"));
  EXPECT_THAT(after.scopes(), ElementsAre("three"));
  EXPECT_THAT(after.extra_params(), UnorderedElementsAre(Pair("x", "y")));
  EXPECT_EQ(after.client_key(), "new");
}

TEST_F(SocialNetworkServiceTest, UpdateThatSetsNothingChangesNothing) {
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork before, Configure("facebook", kAllSettings));
  for (const std::string changes :
       {"", "update_mask {}", "client_key: 'facebook-client-key'", "is_default: true",
        "update_mask { paths: ['name', 'variant'] }", kAllSettings}) {
    server_->SetTime(server_->now() + absl::Seconds(5));
    ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork after, Update(before.id(), changes));
    EXPECT_THAT(after, EqualsProto(before)) << changes;
  }
}

TEST_F(SocialNetworkServiceTest, APrivateKeyKeepsTheIdsThatItSignsWith) {
  const std::string ids =
      "extra_params { key: 'team_id' value: 'ABCDE12345' } "
      "extra_params { key: 'key_id' value: 'KEY1234567' } ";
  const std::string key =
      absl::StrCat("client_secret: '", absl::CEscape(NewSigningKey("P-256").pem), "' ");
  v1::CreateSocialNetworkResponse created;
  ASSERT_OK_AND_ASSIGN(
      created, Call<v1::CreateSocialNetworkResponse>(
                   "CreateSocialNetwork",
                   absl::StrCat("network: 'apple' client_key: 'com.example.web' ", key, ids)));
  const std::string& id = created.social_network().id();
  const auto required = HasSubstr("Required with a private key as client_secret");
  for (const char* changes : {"update_mask { paths: 'extra_params' }",
                              "extra_params { key: 'team_id' value: 'ABCDE12345' }"}) {
    EXPECT_THAT(Update(id, changes), HasViolation("extra_params.key_id", required)) << changes;
    EXPECT_THAT(*Get(id), EqualsProto(created.social_network()));
  }
  // With the other faults of the request.
  const auto faulty = Update(id, "update_mask { paths: ['extra_params', 'scopes'] } scopes: 'a b'");
  EXPECT_THAT(faulty, HasViolation("extra_params.team_id", required));
  EXPECT_THAT(faulty, HasViolation("extra_params.key_id", required));
  EXPECT_THAT(faulty, HasViolation("scopes[0]", HasSubstr("must be one scope")));
  // What has nothing to do with it, another key, and a secret that needs no ids.
  EXPECT_OK(Update(id, "client_key: 'com.example.app'"));
  EXPECT_OK(Update(id, key + ids));
  EXPECT_THAT(Update(id, key + "update_mask { paths: ['client_secret', 'extra_params'] }"),
              HasViolation("extra_params.team_id", required));
  EXPECT_OK(Update(id,
                   "client_secret: 'abcd.abcd.abcd' "
                   "update_mask { paths: ['client_secret', 'extra_params'] }"));
  EXPECT_OK(Update(id, "client_key: 'com.example.web'"));
}

TEST_F(SocialNetworkServiceTest, MaskEmptiesWhatItNamesAndLeavesTheRest) {
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork before, Configure("facebook", kAllSettings));
  ASSERT_OK_AND_ASSIGN(
      const v1::SocialNetwork after,
      Update(before.id(),
             "update_mask { paths: ['default_redirect_uri', 'allowed_redirect_uris', 'scopes', "
             "'extra_params', 'variables', 'allowed_return_uris', 'default_return_uri', "
             "'session_binding_policy', 'return_profile'] } client_key: 'not named'"));
  EXPECT_EQ(after.default_redirect_uri(), "");
  EXPECT_THAT(after.allowed_redirect_uris(), IsEmpty());
  EXPECT_THAT(after.scopes(), IsEmpty());
  EXPECT_THAT(after.extra_params(), IsEmpty());
  EXPECT_THAT(after.variables(), IsEmpty());
  EXPECT_THAT(after.allowed_return_uris(), IsEmpty());
  EXPECT_EQ(after.default_return_uri(), "");
  EXPECT_EQ(after.session_binding_policy(), v1::SESSION_BINDING_POLICY_OPTIONAL);
  EXPECT_FALSE(after.return_profile());
  EXPECT_EQ(after.client_key(), before.client_key());
}

TEST_F(SocialNetworkServiceTest, VariantIsShownAndCanBeChangedAndTakenBack) {
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork plain, Configure("linkedin"));
  EXPECT_EQ(plain.variant(), "");
  const std::string request = "network: 'linkedin' redirect_uri: 'https://app.example.com/cb'";
  EXPECT_THAT(GetAuthUrl(request)->auth_url(), HasSubstr("w_member_social"));

  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork page, Update(plain.id(), "variant: 'page'"));
  EXPECT_EQ(page.variant(), "page");
  EXPECT_EQ(Get(plain.id())->variant(), "page");
  EXPECT_THAT(GetAuthUrl(request)->auth_url(), HasSubstr("w_organization_social"));

  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork kept, Update(plain.id(), "client_key: 'k'"));
  EXPECT_EQ(kept.variant(), "page");
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork taken_back,
                       Update(plain.id(), "update_mask { paths: 'variant' }"));
  EXPECT_EQ(taken_back.variant(), "");
  EXPECT_THAT(GetAuthUrl(request)->auth_url(), HasSubstr("w_member_social"));

  ASSERT_OK(Org().DeleteSocialNetwork(plain.id()));
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork made, Configure("linkedin", "variant: 'page'"));
  EXPECT_EQ(made.variant(), "page");
  EXPECT_EQ(Org().ListSocialNetworks()->social_networks(0).variant(), "page");
}

TEST_F(SocialNetworkServiceTest, WarningsOfAConfigurationAreInTheLogOnceItIsStored) {
  ::testing::internal::CaptureStderr();
  StartLog("warning");
  const auto refused = Configure("x", "scopes: ['tweet.read', 'tweet.read']");
  const auto created = Configure("x", "scopes: ['tweet.read', 'users.read']");
  const auto again = Configure("x", "scopes: ['tweet.read', 'users.read']");
  absl::StatusOr<v1::SocialNetwork> updated = absl::UnknownError("not called");
  if (created.ok()) updated = Update(created->id(), "scopes: ['tweet.write', 'offline.access']");
  if (created.ok()) (void)Update(created->id(), "update_mask { paths: 'scopes' }");
  StopLog();
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(refused, HasReason("INVALID_PAYLOAD"));
  EXPECT_THAT(again, HasReason("SOCIAL_NETWORK_EXISTS"));
  ASSERT_OK(created);
  ASSERT_OK(updated);
  const std::vector<std::string> lines = absl::StrSplit(log, '\n', absl::SkipEmpty());
  const std::string start =
      absl::StrCat(R"("level":"warning","event":"configuration_warning","social_network":")",
                   created->id(), R"(","network":"x","org_id":"acme","text":")");
  EXPECT_THAT(lines, Each(HasSubstr(start)));
  const std::string looks = "The client_key does not look like";
  EXPECT_THAT(lines,
              ElementsAre(HasSubstr("no refresh token"), HasSubstr(looks), HasSubstr("tweet.read"),
                          HasSubstr("users.read"), HasSubstr(looks), HasSubstr(looks)));
  EXPECT_THAT(log, Not(HasSubstr("client-key")));
  EXPECT_THAT(log, Not(HasSubstr("the-client-secret")));
}

TEST_F(SocialNetworkServiceTest, UpdateThatIsRefusedChangesNothing) {
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork before, Configure("facebook", kAllSettings));
  for (const char* changes :
       {"client_key: 'new' scopes: 'a b'", "allowed_redirect_uris: 'https://app.example.com/c'",
        "client_key: 'new' client_secret: ''", "client_key: 'new' default_redirect_uri: ''"}) {
    EXPECT_THAT(Update(before.id(), changes), HasReason("INVALID_PAYLOAD")) << changes;
    EXPECT_THAT(*Get(before.id()), EqualsProto(before)) << changes;
  }
}

TEST_F(SocialNetworkServiceTest, NewSecretReplacesTheOldWhichServesFlowsThatAreUnderWay) {
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork created, Configure("x"));
  server_->SetTime(server_->now() + absl::Minutes(1));
  ASSERT_OK(Update(created.id(), "client_key: 'k2'"));
  ASSERT_OK(Update(created.id(), "client_secret: 'second-secret'"));
  const KeyRing keys = server_->folder().key_ring();
  // The store lets go of its file with the server.
  server_->Close();
  const Sealer sealer(keys);
  auto backend = OpenSqliteBackend(server_->folder().database());
  ASSERT_OK(backend);
  ASSERT_OK_AND_ASSIGN(const auto store,
                       CredentialStore::Open(*std::move(backend), sealer, FillRandom));
  const std::string& id = created.id();
  EXPECT_EQ(*store->social_networks().GetClientSecret(kNoLimit, "acme", id, 1),
            "the-client-secret");
  EXPECT_EQ(*store->social_networks().GetClientSecret(kNoLimit, "acme", id, 2),
            "the-client-secret");
  EXPECT_EQ(*store->social_networks().GetClientSecret(kNoLimit, "acme", id, 3), "second-secret");
}

TEST_F(SocialNetworkServiceTest, DeletedConfigurationIsGoneAndMayBeMadeAgain) {
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork first, Configure("x"));
  ASSERT_OK(Org().DeleteSocialNetwork(first.id()));
  EXPECT_THAT(Get(first.id()), HasReason("SOCIAL_NETWORK_NOT_FOUND"));
  EXPECT_THAT(Update(first.id(), "client_key: 'k'"), HasReason("SOCIAL_NETWORK_NOT_FOUND"));
  EXPECT_THAT(Org().DeleteSocialNetwork(first.id()), HasReason("SOCIAL_NETWORK_NOT_FOUND"));
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork second, Configure("x"));
  EXPECT_NE(second.id(), first.id());
}

TEST_F(SocialNetworkServiceTest, OddIdsAreNotFound) {
  for (const std::string& id : {std::string("'"), std::string("a\" OR 1=1 --"),
                                std::string("sn_\0x", 5), std::string(60'000, 'i')}) {
    EXPECT_THAT(Org().GetSocialNetwork(id), HasReason("SOCIAL_NETWORK_NOT_FOUND"));
  }
}

TEST_F(SocialNetworkServiceTest, ListsArePagedToTheEndInTheOrderOfIds) {
  ASSERT_OK_AND_ASSIGN(const auto networks, Org().ListNetworks());
  std::set<std::string> all;
  for (const NetworkUse& use : UsesWithAuthUrls(networks)) {
    if (!use.variant.empty()) continue;
    ASSERT_OK_AND_ASSIGN(const auto created, Org().CreateSocialNetwork(ConfigurationFor(use)));
    all.insert(created.social_network().id());
  }
  for (const int size : {1, 2, static_cast<int>(all.size()), 100}) {
    std::vector<std::string> listed;
    std::string token;
    do {
      ASSERT_OK_AND_ASSIGN(const auto page,
                           Call<v1::ListSocialNetworksResponse>(
                               "ListSocialNetworks",
                               absl::StrCat("page_size: ", size, " page_token: '", token, "'")));
      ASSERT_LE(page.social_networks_size(), size);
      for (const auto& each : page.social_networks()) listed.push_back(each.id());
      token = page.next_page_token();
    } while (!token.empty());
    EXPECT_EQ(listed, std::vector<std::string>(all.begin(), all.end())) << size;
  }
}

}  // namespace
}  // namespace authurl::testing
