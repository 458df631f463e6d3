// Faults in settings, ids, masks and pages: a clear INVALID_ARGUMENT, and nothing changed by it.
#include <string>
#include <vector>

#include "tests/server/api/bad_input.h"

namespace authurl::testing {
namespace {

TEST_F(BadInputTest, ExtraParametersCanNeverReplaceAReservedOne) {
  std::vector<BadRequest> table;
  const auto extra = [&](const std::string& name, const std::string& value) {
    return absl::StrCat(tiktok_, "extra_params { key: '", name, "' value: '", value, "' } ");
  };
  for (const std::string name :
       {"client_id", "Client_Secret", "REDIRECT_URI", "response_type", "Response_Mode", "scope",
        "user_scope", "State", "nonce", "CODE_challenge", "code_challenge_method", "Request",
        "request_uri", "client_key"}) {
    table.push_back(
        {"UpdateSocialNetwork", extra(name, "v"), "extra_params." + name, "must be left out: "});
  }
  table.push_back({"UpdateSocialNetwork", extra("disable_auto_AUTH", "1"),
                   "extra_params.disable_auto_AUTH", "must be spelt disable_auto_auth"});
  for (const std::string name : {"", "a b", "a=b", "a\\nb", "\\303\\251"}) {
    table.push_back(
        {"UpdateSocialNetwork", extra(name, "v"), "extra_params", "not a valid parameter name"});
  }
  table.push_back({"UpdateSocialNetwork", extra(std::string(65, 'n'), "v"), "extra_params",
                   "not a valid parameter name"});
  table.push_back({"UpdateSocialNetwork", extra("ok", ""), "extra_params.ok", "must be 1 to 1024"});
  table.push_back({"UpdateSocialNetwork", extra("ok", std::string(1025, 'v')), "extra_params.ok",
                   "must be 1 to 1024"});
  table.push_back({"UpdateSocialNetwork", extra("ok", "a\\rb"), "extra_params.ok", "control"});
  table.push_back({"UpdateSocialNetwork",
                   extra("hl", "a") + "extra_params { key: 'HL' value: 'b' }", "extra_params.hl",
                   "differs from another parameter in case"});
  std::string many = tiktok_;
  for (int i = 0; i < 33; ++i) {
    absl::StrAppend(&many, "extra_params { key: 'p", i, "' value: 'v' } ");
  }
  table.push_back({"UpdateSocialNetwork", many, "extra_params", "has 33 entries; at most 32"});
  for (const char* rpc : {"GetAuthUrl", "ExplainAuthUrl"}) {
    table.push_back({rpc,
                     "network: 'github' redirect_uri: 'https://a.io/' "
                     "extra_params { key: 'state' value: 'v' }",
                     "extra_params", "can't be chosen by a request for GitHub"});
  }
  ExpectAllRefused(table);
}

TEST_F(BadInputTest, VariablesMustBeTheNetworksOwn) {
  const auto variable = [](const std::string& id, const std::string& name,
                           const std::string& value) {
    return absl::StrCat(id, "variables { key: '", name, "' value: '", value, "' }");
  };
  ExpectAllRefused({
      {"UpdateSocialNetwork", variable(facebook_, "version", "24"), "variables", "must match"},
      {"UpdateSocialNetwork", variable(facebook_, "version", ""), "variables", "must match"},
      {"UpdateSocialNetwork", variable(facebook_, "version", "v24.0/../x"), "variables",
       "must match"},
      {"UpdateSocialNetwork", variable(facebook_, "host", "evil.example"), "variables",
       "Facebook has no variable \"host\""},
      {"UpdateSocialNetwork", variable(tiktok_, "version", "v24.0"), "variables",
       "TikTok has no variable"},
  });
}

TEST_F(BadInputTest, IdsMasksAndPagesHaveTheirFormats) {
  std::vector<BadRequest> table = {
      {"GetSocialNetwork", "", "id", "Required"},
      {"UpdateSocialNetwork", "client_key: 'k'", "id", "Required"},
      {"DeleteSocialNetwork", "", "id", "Required"},
      {"RevokeApiKey", "", "key_id", "Required"},
      {"RevokeApiKey", "key_id: 'abc' org_id: 'a b'", "org_id", "1 to 64 characters"},
      {"CreateOrganization", "org_id: ''", "org_id", "1 to 64 characters"},
      {"CreateOrganization", "org_id: 'a b'", "org_id", "1 to 64 characters"},
      {"CreateOrganization", absl::StrCat("org_id: '", std::string(65, 'a'), "'"), "org_id",
       "1 to 64 characters"},
      {"CreateOrganization", "display_name: 'a\\nb'", "display_name", "control"},
      {"CreateOrganization", absl::StrCat("display_name: '", std::string(257, 'a'), "'"),
       "display_name", "must be 0 to 256"},
      {"DeleteOrganization", "", "org_id", "1 to 64 characters"},
      {"GetOrganization", "", "org_id", "1 to 64 characters"},
      {"UpdateOrganization", "display_name: 'x'", "org_id", "1 to 64 characters"},
      {"UpdateOrganization", "org_id: 'acme' display_name: 'a\\nb'", "display_name", "control"},
      {"CreateApiKey", "org_id: 'acme'", "role", "Required"},
      {"CreateApiKey", "org_id: 'acme' role: 99", "role", "Required"},
      {"CreateApiKey", "role: ROLE_ORG", "org_id", "Required"},
      {"CreateApiKey", "role: ROLE_MINT org_id: ''", "org_id", "1 to 64 characters"},
      {"CreateApiKey", "role: ROLE_ADMIN org_id: 'acme'", "org_id", "must be left out"},
      {"CreateApiKey", "role: ROLE_SERVICE org_id: 'acme'", "org_id", "must be left out"},
      {"CreateApiKey", "role: ROLE_ADMIN display_name: 'a\\033[0m'", "display_name", "control"},
      {"ListApiKeys", "org_id: ''", "org_id", "1 to 64 characters"},
  };
  for (const char* path :
       {"id", "network", "instance", "created_at", "*", "", "scopes.0", "variant.x"}) {
    table.push_back({"UpdateSocialNetwork",
                     absl::StrCat(facebook_, "update_mask { paths: '", path, "' }"), "update_mask",
                     "is not a field that can be changed"});
  }
  for (const char* rpc : {"ListOrganizations", "ListApiKeys", "ListSocialNetworks"}) {
    table.push_back({rpc, "page_size: -1", "page_size", "must not be negative"});
    table.push_back({rpc, "page_token: 'x'", "page_token", "start again without one"});
    table.push_back({rpc, "page_token: 'not base64!'", "page_token", "start again without one"});
    table.push_back({rpc, absl::StrCat("page_token: '", std::string(100'000, 'A'), "'"),
                     "page_token", "start again without one"});
  }
  ExpectAllRefused(table);
}

}  // namespace
}  // namespace authurl::testing
