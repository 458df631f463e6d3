#include "server/api/organization_service.h"

#include <set>
#include <string>

#include "tests/server/api/service_fixture.h"
#include "tests/support/equals_proto.h"

namespace authurl::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class OrganizationServiceTest : public ServiceTest {
 protected:
  absl::StatusOr<v1::CreateOrganizationResponse> Create(const std::string& request) const {
    return CallAsAdmin<v1::CreateOrganizationResponse>("CreateOrganization", request);
  }
  absl::StatusOr<v1::ListOrganizationsResponse> List(const std::string& request) const {
    return CallAsAdmin<v1::ListOrganizationsResponse>("ListOrganizations", request);
  }
  absl::StatusOr<v1::CreateApiKeyResponse> CreateKeyWith(const std::string& request) const {
    return CallAsAdmin<v1::CreateApiKeyResponse>("CreateApiKey", request);
  }
  absl::StatusOr<v1::ListApiKeysResponse> ListKeys(const std::string& request) const {
    return CallAsAdmin<v1::ListApiKeysResponse>("ListApiKeys", request);
  }
  absl::StatusOr<v1::RevokeApiKeyResponse> Revoke(const std::string& request) const {
    return CallAsAdmin<v1::RevokeApiKeyResponse>("RevokeApiKey", request);
  }
};

TEST_F(OrganizationServiceTest, NewOrganizationIsShownAsItWasAsked) {
  ASSERT_OK_AND_ASSIGN(const auto created,
                       Create("org_id: 'Big-Corp_1' display_name: 'Big Corp \\303\\251'"));
  EXPECT_EQ(created.organization().org_id(), "Big-Corp_1");
  EXPECT_EQ(created.organization().display_name(), "Big Corp \xc3\xa9");
  EXPECT_EQ(created.organization().created_at().seconds(), absl::ToUnixSeconds(server_->now()));
  EXPECT_EQ(created.organization().created_at().nanos(), 123'000'000);
}

TEST_F(OrganizationServiceTest, IdIsMadeWhereNoneIsGiven) {
  ASSERT_OK_AND_ASSIGN(const auto first, Create(""));
  ASSERT_OK_AND_ASSIGN(const auto second, Create(""));
  EXPECT_THAT(first.organization().org_id(), StartsWith("org_"));
  EXPECT_NE(first.organization().org_id(), second.organization().org_id());
}

TEST_F(OrganizationServiceTest, TakenIdIsRefused) {
  const auto again = Create("org_id: 'acme'");
  EXPECT_THAT(again, HasReason("ORGANIZATION_EXISTS"));
  EXPECT_THAT(again, StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("acme")));
  EXPECT_OK(Create("org_id: 'Acme'"));
}

TEST_F(OrganizationServiceTest, IsFoundByItsIdAndCanBeRenamed) {
  ASSERT_OK(Create("org_id: 'big' display_name: 'Big'"));
  const auto get = [this] {
    return CallAsAdmin<v1::GetOrganizationResponse>("GetOrganization", "org_id: 'big'");
  };
  const auto update = [this](const std::string& request) {
    return CallAsAdmin<v1::UpdateOrganizationResponse>("UpdateOrganization", request);
  };
  ASSERT_OK_AND_ASSIGN(const auto before, get());
  EXPECT_EQ(before.organization().org_id(), "big");
  EXPECT_EQ(before.organization().display_name(), "Big");
  ASSERT_OK_AND_ASSIGN(const auto renamed, update("org_id: 'big' display_name: 'Bigger'"));
  EXPECT_EQ(renamed.organization().display_name(), "Bigger");
  // What is not set stays; what is set to nothing is removed.
  ASSERT_OK(update("org_id: 'big'"));
  ASSERT_OK_AND_ASSIGN(auto after, get());
  EXPECT_EQ(after.organization().display_name(), "Bigger");
  EXPECT_EQ(after.organization().created_at().seconds(),
            before.organization().created_at().seconds());
  ASSERT_OK(update("org_id: 'big' display_name: ''"));
  ASSERT_OK_AND_ASSIGN(after, get());
  EXPECT_EQ(after.organization().display_name(), "");
  ASSERT_OK(Admin().DeleteOrganization("big"));
  EXPECT_THAT(get(), HasReason("ORGANIZATION_NOT_FOUND"));
  EXPECT_THAT(update("org_id: 'big' display_name: 'x'"), HasReason("ORGANIZATION_NOT_FOUND"));
}

TEST_F(OrganizationServiceTest, DeletingTakesKeysAndConfigurationsAlong) {
  ASSERT_OK(Configure("x"));
  ASSERT_OK(Admin().DeleteOrganization("acme"));
  EXPECT_THAT(Org().ListSocialNetworks(), HasReason("API_KEY_INVALID"));
  ASSERT_OK_AND_ASSIGN(const auto keys, ListKeys(""));
  for (const v1::ApiKey& key : keys.api_keys()) EXPECT_EQ(key.org_id(), "");
  EXPECT_THAT(Admin().DeleteOrganization("acme"), HasReason("ORGANIZATION_NOT_FOUND"));

  ASSERT_OK(Create("org_id: 'acme'"));
  ASSERT_OK_AND_ASSIGN(const auto list, server_->Call<v1::ListSocialNetworksResponse>(
                                            "ListSocialNetworks", "", AsService("acme")));
  EXPECT_EQ(list.social_networks_size(), 0);
}

TEST_F(OrganizationServiceTest, KeyIsShownOnceAndIsTheOneThatWorks) {
  ASSERT_OK_AND_ASSIGN(const auto created,
                       CreateKeyWith("org_id: 'acme' role: ROLE_MINT display_name: 'web tier'"));
  EXPECT_THAT(created.key(), StartsWith("auk_" + created.api_key().key_id() + "_"));
  EXPECT_EQ(created.api_key().org_id(), "acme");
  EXPECT_EQ(created.api_key().role(), v1::ROLE_MINT);
  EXPECT_EQ(created.api_key().display_name(), "web tier");
  EXPECT_FALSE(created.api_key().has_revoked_at());
  EXPECT_THAT(
      server_->Call<v1::GetAuthUrlResponse>("GetAuthUrl", "network: 'x'", Bearer(created.key())),
      HasReason("NETWORK_NOT_CONFIGURED"));
  const RawReply list = server_->Call("ListApiKeys", "org_id: 'acme'", AsAdmin());
  EXPECT_THAT(list.response, HasSubstr(created.api_key().key_id()));
  EXPECT_THAT(list.response, Not(HasSubstr(created.key().substr(17))));
}

TEST_F(OrganizationServiceTest, NewAdminKeyAdministers) {
  ASSERT_OK_AND_ASSIGN(const auto created, CreateKeyWith("role: ROLE_ADMIN"));
  EXPECT_EQ(created.api_key().org_id(), "");
  EXPECT_OK(server_->WithKey(created.key()).ListOrganizations());
}

TEST_F(OrganizationServiceTest, KeysOfAnAbsentOrganizationAreNotFound) {
  EXPECT_THAT(CreateKeyWith("org_id: 'nobody' role: ROLE_ORG"),
              HasReason("ORGANIZATION_NOT_FOUND"));
  EXPECT_THAT(ListKeys("org_id: 'nobody'"), HasReason("ORGANIZATION_NOT_FOUND"));
}

TEST_F(OrganizationServiceTest, RevokingSaysWhenAndIsDoneOnce) {
  const std::string request =
      absl::StrCat("key_id: '", mint_key_.substr(4, 12), "' org_id: 'acme'");
  ASSERT_OK_AND_ASSIGN(const auto revoked, Revoke(request));
  EXPECT_EQ(revoked.api_key().revoked_at().seconds(), absl::ToUnixSeconds(server_->now()));
  server_->SetTime(server_->now() + absl::Hours(1));
  ASSERT_OK_AND_ASSIGN(const auto again, Revoke(request));
  EXPECT_THAT(again, EqualsProto(revoked));
  ASSERT_OK_AND_ASSIGN(const auto list, ListKeys("org_id: 'acme'"));
  EXPECT_EQ(list.api_keys_size(), 2);
}

TEST_F(OrganizationServiceTest, RevokingAnAbsentKeyIsNotFound) {
  EXPECT_THAT(Revoke("key_id: 'absent'"), HasReason("API_KEY_NOT_FOUND"));
  EXPECT_THAT(Revoke(absl::StrCat("key_id: '", std::string(50'000, 'x'), "'")),
              HasReason("API_KEY_NOT_FOUND"));
}

TEST_F(OrganizationServiceTest, ListsArePagedToTheEndInTheOrderOfIds) {
  constexpr int kOrganizations = 250;
  std::set<std::string> all = {"acme"};
  for (int i = 0; i < kOrganizations; ++i) {
    ASSERT_OK_AND_ASSIGN(const auto created, Create(""));
    all.insert(created.organization().org_id());
  }
  for (const int size : {1, 7, 100, 1000, 5000, 0}) {
    SCOPED_TRACE(size);
    std::vector<std::string> listed;
    std::string token;
    int pages = 0;
    do {
      ASSERT_OK_AND_ASSIGN(const auto page,
                           List(absl::StrCat("page_size: ", size, " page_token: '", token, "'")));
      for (const auto& each : page.organizations()) listed.push_back(each.org_id());
      token = page.next_page_token();
      ++pages;
    } while (!token.empty());
    EXPECT_EQ(listed, std::vector<std::string>(all.begin(), all.end()));
    const int page_size = size == 0 ? 100 : size;
    EXPECT_EQ(pages, (kOrganizations + 1 + page_size - 1) / page_size);
  }
}

TEST_F(OrganizationServiceTest, PageTokenIsGoodForItsOwnListOnly) {
  ASSERT_OK(Create("org_id: 'other'"));
  ASSERT_OK(CreateKeyWith("org_id: 'other' role: ROLE_ORG"));
  ASSERT_OK(CreateKeyWith("org_id: 'other' role: ROLE_ORG"));
  ASSERT_OK_AND_ASSIGN(const auto organizations, List("page_size: 1"));
  ASSERT_OK_AND_ASSIGN(const auto all_keys, ListKeys("page_size: 1"));
  ASSERT_OK_AND_ASSIGN(const auto acme_keys, ListKeys("page_size: 1 org_id: 'acme'"));
  const auto with = [](const std::string& token) { return "page_token: '" + token + "' "; };
  EXPECT_OK(ListKeys(with(acme_keys.next_page_token()) + "org_id: 'acme'"));
  for (const std::string& request :
       {with(organizations.next_page_token()), with(acme_keys.next_page_token()),
        with(all_keys.next_page_token()) + "org_id: 'acme'",
        with(acme_keys.next_page_token()) + "org_id: 'other'"}) {
    EXPECT_THAT(ListKeys(request), HasViolation("page_token", HasSubstr("start again")));
  }
  EXPECT_THAT(List(with(all_keys.next_page_token())),
              HasViolation("page_token", HasSubstr("start again")));
}

TEST_F(OrganizationServiceTest, PageGoesOnAfterARecordThatIsGone) {
  for (const char* id : {"a", "b", "c"}) ASSERT_OK(Create(absl::StrCat("org_id: '", id, "'")));
  ASSERT_OK_AND_ASSIGN(const auto first, List("page_size: 2"));
  ASSERT_EQ(first.organizations(1).org_id(), "acme");
  ASSERT_OK(Admin().DeleteOrganization("acme"));
  ASSERT_OK_AND_ASSIGN(const auto second, List(absl::StrCat("page_size: 2 page_token: '",
                                                            first.next_page_token(), "'")));
  ASSERT_EQ(second.organizations_size(), 2);
  EXPECT_EQ(second.organizations(0).org_id(), "b");
  EXPECT_EQ(second.organizations(1).org_id(), "c");
  EXPECT_EQ(second.next_page_token(), "");
}

}  // namespace
}  // namespace authurl::testing
