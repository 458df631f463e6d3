// Faults in what every caller sends: a clear INVALID_ARGUMENT, and nothing changed by it.
#include <string>
#include <vector>

#include "tests/server/api/bad_input.h"

namespace authurl::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(BadInputTest, NetworkMustBeAKnownOne) {
  std::vector<BadRequest> table;
  for (const char* rpc : {"GetAuthUrl", "ExplainAuthUrl", "CreateSocialNetwork"}) {
    table.push_back({rpc, "", "network", "Required"});
    table.push_back({rpc, "network: ''", "network", "Required"});
    table.push_back({rpc, "network: 'instagrm'", "network", "did you mean \"instagram\"?"});
    table.push_back({rpc, "network: 'tik_tok'", "network", "did you mean \"tiktok\"?"});
    table.push_back({rpc, "network: 'zzzzzzzz'", "network", "is not a known network"});
    table.push_back({rpc, "network: 'twitter'", "network", "did you mean \"x\"?"});
    table.push_back({rpc, "network: 'Instagram'", "network",
                     "is not a valid network id: 1 to 32 characters of a-z, 0-9 and _; did you "
                     "mean \"instagram\"?"});
    table.push_back({rpc, "network: ' instagram'", "network", "did you mean \"instagram\"?"});
    table.push_back({rpc, "network: 'google-business'", "network",
                     "is not a valid network id: 1 to 32 characters of a-z, 0-9 and _; did you "
                     "mean \"google_business\"?"});
    table.push_back({rpc, "network: 'tik-tok'", "network", "did you mean \"tiktok\"?"});
    table.push_back({rpc, "network: 'No Such Network'", "network", "is not a valid network id"});
    table.push_back({rpc, "network: 'insta\\0gram'", "network", "is not a valid network id"});
    table.push_back({rpc, absl::StrCat("network: '", std::string(1 << 20, 'a'), "'"), "network",
                     "is not a valid network id"});
  }
  ExpectAllRefused(table);
}

TEST_F(BadInputTest, TenantIdMustBeShortAndPlain) {
  std::vector<BadRequest> table;
  for (const std::string& tenant :
       {std::string(), std::string(129, 'a'), std::string("a b"), std::string("caf\\303\\251"),
        std::string("a\\nb"), std::string("a.b"), std::string(100'000, 'a')}) {
    const std::string field = absl::StrCat("tenant_id: '", tenant, "'");
    for (const char* rpc : {"GetAuthUrl", "ExplainAuthUrl"}) {
      table.push_back({rpc, "network: 'instagram' " + field, "tenant_id", "1 to 128 characters"});
    }
    table.push_back({"BatchGetAuthUrls", field, "tenant_id", "1 to 128 characters"});
  }
  ExpectAllRefused(table);
}

TEST_F(BadInputTest, RedirectUriMustBeAbsoluteAndSafe) {
  const struct {
    std::string uri, text;
  } bad[] = {
      {"", "must not be empty"},
      {"/cb", "absolute URI"},
      {"app.example.com/cb", "absolute URI"},
      {"//app.example.com/cb", "absolute URI"},
      {"https://app.example.com/cb#top", "must not have a fragment"},
      {"https://user:pw@app.example.com/cb", "must not have a user name"},
      {"http://app.example.com/cb", "must begin with https://"},
      {"javascript:alert(1)", "which browsers run: it is never taken"},
      {"data:text/html,x", "which browsers run: it is never taken"},
      {"ftp://app.example.com/cb", "which browsers run: it is never taken"},
      {"localhost:3000/cb", "must begin with https://"},
      {"https://${HOST}/cb", "the variable that it is made of was not set"},
      {absl::StrCat("https://app.example.com/", std::string(2976, 'p')), "3000 bytes"},
      {"https://app.example.com/%", "% without two hexadecimal digits"},
      {"https://app.example.com/%4", "% without two hexadecimal digits"},
      {"https://app.example.com/%zz", "% without two hexadecimal digits"},
      {"https://app.example.com/%2f", "upper case"},
      {"https://APP.example.com/cb", "lower case"},
      {"https://app.example.com/a b", "space"},
      {"https://app.example.com/\\n", "line break: remove it"},
      {"https://\\303\\251.example.com/", "ASCII"},
      {"https://app.example.com/a/../b", "\"..\""},
      {"https://app.example.com:443/cb", "remove \":443\""},
      {"https://app.example.com\\\\@evil.example/", "must not contain \\"},
  };
  std::vector<BadRequest> table;
  for (const auto& [uri, text] : bad) {
    table.push_back({"GetAuthUrl", absl::StrCat("network: 'reddit' redirect_uri: '", uri, "'"),
                     "redirect_uri", text});
    table.push_back({"ExplainAuthUrl", absl::StrCat("network: 'reddit' redirect_uri: '", uri, "'"),
                     "redirect_uri", text});
    // http for the local machine depends on the network.
    if (text != "must begin with https://") {
      table.push_back(
          {"BatchGetAuthUrls", absl::StrCat("redirect_uri: '", uri, "'"), "redirect_uri", text});
    }
    table.push_back({"CreateSocialNetwork",
                     absl::StrCat("network: 'reddit' client_key: 'k' client_secret: 's' "
                                  "allowed_redirect_uris: ['https://ok.example.com/', '",
                                  uri, "']"),
                     "allowed_redirect_uris[1]", text});
    table.push_back({"UpdateSocialNetwork",
                     absl::StrCat(facebook_, "default_redirect_uri: '", uri, "'"),
                     "default_redirect_uri", text});
  }
  table.push_back({"GetAuthUrl",
                   "network: 'instagram' redirect_uri: 'https://app.example.com/other'",
                   "redirect_uri", "is not among the allowed_redirect_uris"});
  ExpectAllRefused(table);
}

TEST_F(BadInputTest, RedirectUriMustFollowTheRulesOfTheNetwork) {
  const std::string long_uri = absl::StrCat("https://a.example.com/", std::string(500, 'p'));
  const std::string create = "network: 'x' client_key: 'k' client_secret: 's' ";
  ExpectAllRefused({
      {"GetAuthUrl", "network: 'tiktok' redirect_uri: 'https://a.example.com/cb?a=b'",
       "redirect_uri", "TikTok does not take a query"},
      {"GetAuthUrl", absl::StrCat("network: 'tiktok' redirect_uri: '", long_uri, "'"),
       "redirect_uri", "TikTok takes at most 511"},
      {"UpdateSocialNetwork", tiktok_ + "default_redirect_uri: 'https://a.example.com/cb?a=b'",
       "default_redirect_uri", "TikTok does not take a query"},
      {"GetAuthUrl", "network: 'instagram' redirect_uri: 'https://localhost/cb'", "redirect_uri",
       "Instagram does not take local addresses"},
      {"CreateSocialNetwork",
       "network: 'spotify' client_key: 'k' client_secret: 's' "
       "default_redirect_uri: 'http://localhost/cb'",
       "default_redirect_uri", "Spotify takes only 127.0.0.1"},
      {"CreateSocialNetwork", create + "default_redirect_uri: 'com.example.app:/cb'",
       "default_redirect_uri",
       "for X, authurl takes an app's own scheme only from the configuration's "
       "allowed_redirect_uris"},
      {"GetAuthUrl", "network: 'tiktok' redirect_uri: 'com.example.app:/cb'", "redirect_uri",
       "for TikTok, authurl takes an app's own scheme only"},
      {"CreateSocialNetwork",
       create + "default_redirect_uri: 'https://a.io/1' allowed_redirect_uris: 'https://a.io/2'",
       "default_redirect_uri", "is not among the allowed_redirect_uris"},
      {"CreateSocialNetwork", create + Times(65, "allowed_redirect_uris: 'https://a.io/'"),
       "allowed_redirect_uris", "has 65 entries; at most 64"},
  });
}

TEST_F(BadInputTest, CredentialsMustBeThereAndPrintable) {
  std::vector<BadRequest> table;
  for (const char* field : {"client_key", "client_secret"}) {
    const std::string other =
        std::string(field) == "client_key" ? "client_secret: 's' " : "client_key: 'k' ";
    const std::string create = "network: 'linkedin' " + other;
    const std::string set = absl::StrCat(field, ": '");
    const std::string mask = absl::StrCat("update_mask { paths: '", field, "' }");
    table.push_back({"CreateSocialNetwork", create, field, "Required"});
    table.push_back({"CreateSocialNetwork", create + set + "'", field, "Required"});
    table.push_back({"CreateSocialNetwork", create + set + " a'", field, "space"});
    table.push_back({"CreateSocialNetwork", create + set + "a '", field, "space"});
    table.push_back({"CreateSocialNetwork", create + set + "a\\nb'", field, "printable"});
    table.push_back({"CreateSocialNetwork", create + set + "\\303\\251'", field, "printable"});
    table.push_back({"CreateSocialNetwork", create + set + std::string(4097, 'a') + "'", field,
                     "at most 4096"});
    table.push_back({"UpdateSocialNetwork", facebook_ + set + "'", field, "Required"});
    table.push_back({"UpdateSocialNetwork", facebook_ + mask, field, "Required"});
    table.push_back({"UpdateSocialNetwork", facebook_ + set + "a\\tb'", field, "printable"});
  }
  ExpectAllRefused(table);
}

TEST_F(BadInputTest, AClientSecretIsNeverQuotedBack) {
  for (const char* rpc : {"CreateSocialNetwork", "UpdateSocialNetwork"}) {
    const RawReply reply = server_->Call(
        rpc,
        absl::StrCat(std::string(rpc) == "CreateSocialNetwork" ? "network: 'x' " : facebook_,
                     "client_key: ' hush-hush-key' client_secret: ' hush-hush-secret'"),
        AsOrg());
    EXPECT_EQ(reply.status.error_code(), grpc::INVALID_ARGUMENT);
    EXPECT_THAT(reply.status.error_message(), Not(HasSubstr("hush")));
    EXPECT_THAT(reply.status.error_details(), Not(HasSubstr("hush")));
  }
}

TEST_F(BadInputTest, ScopesHintsAndBindingsHaveTheirFormats) {
  const std::string get = "network: 'facebook' redirect_uri: 'https://a.io/' ";
  const std::string long_scope = absl::StrCat("scopes: '", std::string(257, 's'), "'");
  ExpectAllRefused({
      {"GetAuthUrl", get + Times(65, "scopes: 'a'"), "scopes", "has 65 entries; at most 64"},
      {"GetAuthUrl", get + "scopes: ['ok', '']", "scopes[1]", "1 to 256"},
      {"GetAuthUrl", get + long_scope, "scopes[0]", "1 to 256"},
      {"GetAuthUrl", get + "scopes: 'a b'", "scopes[0]",
       "must be one scope without spaces: give each scope as an entry of its own"},
      {"GetAuthUrl", get + "scopes: 'a\"b'", "scopes[0]", "without space"},
      {"GetAuthUrl", get + "scopes: 'a\\\\b'", "scopes[0]", "without space"},
      {"GetAuthUrl", get + "scopes: '\\303\\251'", "scopes[0]", "ASCII"},
      {"GetAuthUrl", get + "scopes: 'a,b'", "scopes[0]", "Facebook separates scopes by \",\""},
      {"ExplainAuthUrl", "network: 'x' scopes: 'tweet.read,tweet.write'", "scopes[0]",
       "must be one scope: X separates scopes by blanks; give each scope as an entry of its own"},
      {"GetAuthUrl", get + "scopes: ['a', 'b', 'a']", "scopes[2]", "repeats \"a\""},
      {"UpdateSocialNetwork", facebook_ + "scopes: 'a b'", "scopes[0]", "without space"},
      {"GetAuthUrl", get + "login_hint: ''", "login_hint", "must be 1 to 256"},
      {"GetAuthUrl", absl::StrCat(get, "login_hint: '", std::string(257, 'a'), "'"), "login_hint",
       "must be 1 to 256"},
      {"GetAuthUrl", get + "login_hint: 'a\\177'", "login_hint", "control"},
      {"GetAuthUrl", get + "login_hint: 'a\\302\\205'", "login_hint", "control"},
      {"GetAuthUrl", get + "session_binding: ''", "session_binding", "must be 16 to 256"},
      {"GetAuthUrl", get + "session_binding: '123456789012345'", "session_binding",
       "is 15 bytes long; must be 16 to 256"},
      {"GetAuthUrl", absl::StrCat(get, "session_binding: '", std::string(257, 'a'), "'"),
       "session_binding", "is 257 bytes long"},
      {"GetAuthUrl", get + "return_uri: ''", "return_uri", "must not be empty"},
      {"GetAuthUrl", get + "return_uri: 'http://app.example.com/'", "return_uri", "https://"},
      {"GetAuthUrl", get + "return_uri: 'https://a.io/?account_id=1'", "return_uri",
       "must not have \"account_id\" in its query"},
      {"GetAuthUrl", get + "return_uri: 'https://app.example.com/'", "return_uri",
       "has no allowed_return_uris"},
      {"ExplainAuthUrl", get + "return_uri: 'https://app.example.com/'", "return_uri",
       "has no allowed_return_uris"},
      {"GetAuthUrl", get + "return_state: ''", "return_state", "must be 1 to 256"},
      {"GetAuthUrl", get + "return_state: 'a\\177'", "return_state", "control"},
      {"GetAuthUrl", get + "reconnect_account_id: 'sn_1'", "reconnect_account_id",
       "is not the id of an account"},
      {"BatchGetAuthUrls", "return_uri: 'x'", "return_uri", "must be an absolute URI"},
      {"BatchGetAuthUrls", absl::StrCat("return_state: '", std::string(257, 'a'), "'"),
       "return_state", "must be 1 to 256"},
      {"UpdateSocialNetwork", facebook_ + "allowed_return_uris: 'https://a.io/?code=1'",
       "allowed_return_uris[0]", "must not have \"code\" in its query"},
      {"UpdateSocialNetwork", facebook_ + "default_return_uri: 'data:text/html,x'",
       "default_return_uri", "which browsers run"},
      {"UpdateSocialNetwork",
       facebook_ + "session_binding_policy: SESSION_BINDING_POLICY_UNSPECIFIED",
       "session_binding_policy", "must be SESSION_BINDING_POLICY_OPTIONAL"},
      {"GetAuthUrl", get + "instance: 'mastodon.social'", "instance", "Facebook has no instances"},
      {"GetAuthUrl", get + "instance: ''", "instance", "must be left out"},
      {"ExplainAuthUrl", get + "instance: 'a.io'", "instance", "Facebook has no instances"},
      {"ExplainAuthUrl", get + "scopes: 'a,b'", "scopes[0]", "Facebook separates scopes by"},
      {"ExplainAuthUrl", get + "login_hint: ''", "login_hint", "must be 1 to 256"},
      {"ExplainAuthUrl", get + "session_binding: ''", "session_binding", "must be 16 to 256"},
      {"BatchGetAuthUrls", Times(65, "scopes: 'a'"), "scopes", "has 65 entries; at most 64"},
      {"BatchGetAuthUrls", "scopes: ['a', 'b', 'a']", "scopes[2]", "repeats \"a\""},
      {"BatchGetAuthUrls", "login_hint: 'a\\177'", "login_hint", "control"},
      {"BatchGetAuthUrls", "session_binding: '123456789012345'", "session_binding",
       "is 15 bytes long"},
  });
}

TEST_F(BadInputTest, BatchesNameEachNetworkOnceAndNotTooMany) {
  std::string many;
  for (int i = 0; i <= 100; ++i) absl::StrAppend(&many, "networks: 'n", i, "' ");
  ExpectAllRefused({
      {"BatchGetAuthUrls", many, "networks", "has 101 entries; at most 100"},
      {"BatchGetAuthUrls", Times(101, "networks: 'x'"), "networks", "has 101 entries"},
      {"BatchGetAuthUrls", "networks: ['x', 'tiktok', 'x']", "networks[2]", "repeats \"x\""},
      {"BatchGetAuthUrls", "networks: ['', '']", "networks[1]", "repeats"},
      {"BatchGetAuthUrls", "instance: 'mastodon.social'", "instance",
       "must be left out without networks"},
  });
}

TEST_F(BadInputTest, InstancesMustBeHostNamesThatEverybodyCanLookUp) {
  const std::string create = "network: 'mastodon' client_key: 'k' client_secret: 's' ";
  std::vector<BadRequest> table = {
      {"GetAuthUrl", "network: 'mastodon'", "instance", "Required"},
      {"ExplainAuthUrl", "network: 'mastodon'", "instance", "Required"},
      {"CreateSocialNetwork", create, "instance", "Required"}};
  for (const std::string& instance : {std::string("localhost"),
                                      std::string("mastodon"),
                                      std::string("127.0.0.1"),
                                      std::string("[::1]"),
                                      std::string("2130706433"),
                                      std::string("0x7f.1"),
                                      std::string("a.internal"),
                                      std::string("mastodon.social:443"),
                                      std::string("mastodon.social/x"),
                                      std::string("mastodon.social?x"),
                                      std::string("mastodon.social#x"),
                                      std::string("user@mastodon.social"),
                                      std::string("https://mastodon.social"),
                                      std::string("Mastodon.social"),
                                      std::string("mastodon.social."),
                                      std::string("mastodon..social"),
                                      std::string("a b.social"),
                                      std::string("a\\nb.social"),
                                      std::string("\\303\\251.social"),
                                      std::string(300, 'a')}) {
    const std::string field = absl::StrCat("instance: '", instance, "'");
    for (const char* rpc : {"GetAuthUrl", "ExplainAuthUrl"}) {
      table.push_back({rpc, "network: 'mastodon' " + field, "instance", ""});
    }
    table.push_back({"CreateSocialNetwork", create + field, "instance", ""});
  }
  ExpectAllRefused(table);
}

TEST_F(BadInputTest, VariantsMustBeTheNetworksOwn) {
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork reddit, Configure("reddit"));
  const std::string reddit_id = absl::StrCat("id: '", reddit.id(), "' ");
  const std::string create = "network: 'linkedin' client_key: 'k' client_secret: 's' ";
  std::vector<BadRequest> table = {
      {"CreateSocialNetwork", create + "variant: ''", "variant", "must not be empty"},
      {"UpdateSocialNetwork", tiktok_ + "variant: ''", "variant", "must not be empty"},
      {"UpdateSocialNetwork", reddit_id + "variant: 'page'", "variant", "it has none"},
      {"UpdateSocialNetwork", tiktok_ + "variant: 'page'", "variant", "\"desktop\""},
  };
  for (const std::string& variant :
       {std::string("PAGE"), std::string("page "), std::string("page\\0"), std::string("'"),
        std::string("\\303\\251"), std::string(60'000, 'v')}) {
    const std::string escaped = variant == "'" ? "\\'" : variant;
    table.push_back({"CreateSocialNetwork", absl::StrCat(create, "variant: '", escaped, "'"),
                     "variant", "is not a variant of LinkedIn: it has \"page\""});
  }
  ExpectAllRefused(table);
}

}  // namespace
}  // namespace authurl::testing
