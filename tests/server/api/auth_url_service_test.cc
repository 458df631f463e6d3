#include "server/api/auth_url_service.h"

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <map>
#include <set>

#include "core/catalog/network_catalog.h"
#include "core/crypto/pkce.h"
#include "core/flow/auth_state.h"
#include "core/flow/flow_id.h"
#include "storage/sqlite/sqlite_backend.h"
#include "tests/server/api/service_fixture.h"
#include "tests/support/network_configurations.h"
#include "tests/support/no_limit.h"

namespace authurl::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

using Parameters = std::map<std::string, std::string>;

Parameters ParametersOf(const std::string& url) {
  Parameters parameters;
  const auto parsed = boost::urls::parse_uri({url.data(), url.size()});
  EXPECT_TRUE(parsed.has_value()) << url;
  if (!parsed.has_value()) return parameters;
  boost::urls::encoding_opts plus_is_plus(false);
  for (const auto each : parsed->params(plus_is_plus)) {
    EXPECT_TRUE(parameters.emplace(each.key, each.value).second) << "twice: " << each.key;
  }
  return parameters;
}

class AuthUrlServiceTest : public ServiceTest {
 protected:
  explicit AuthUrlServiceTest(std::function<void(Config&)> change = [](Config&) {})
      : ServiceTest(std::move(change)) {}

  absl::StatusOr<OpenedState> Open(const Parameters& parameters, const std::string& network,
                                   absl::Time now) const {
    const Sealer sealer(Keys());
    return OpenAuthState(sealer, parameters.at("state"), now, "acme", network);
  }
  absl::StatusOr<OpenedFlowId> OpenFlow(const v1::GetAuthUrlResponse& reply,
                                        absl::string_view org_id) const {
    return OpenFlowId(Sealer(Keys()), reply.flow_id(), org_id);
  }
  void ExpectChallenge(const Parameters& parameters, const catalog::v1::Network& network,
                       const OpenedState& opened) const {
    const SecretKey* key = Keys().Find(opened.key_id, Purpose::kCodeVerifier);
    ASSERT_NE(key, nullptr);
    EXPECT_EQ(parameters.at("code_challenge"), CodeChallenge(DeriveCodeVerifier(*key, opened.nonce),
                                                             network.pkce().challenge_encoding()));
    EXPECT_EQ(parameters.at("code_challenge_method"), "S256");
  }
  const KeyRing& Keys() const {
    if (ring_ == nullptr) ring_ = std::make_unique<KeyRing>(server_->folder().key_ring());
    return *ring_;
  }
  // Ends the server, which lets go of its file, and opens what it stored.
  absl::StatusOr<std::unique_ptr<CredentialStore>> TakeStore() {
    if (sealer_ == nullptr) sealer_ = std::make_unique<Sealer>(Keys());
    server_->Close();
    auto backend = OpenSqliteBackend(server_->folder().database());
    if (!backend.ok()) return backend.status();
    return CredentialStore::Open(*std::move(backend), *sealer_, FillRandom);
  }

  const NetworkCatalog catalog_ = NetworkCatalog::Parse(BuiltInNetworksText()).value();

 private:
  mutable std::unique_ptr<KeyRing> ring_;
  std::unique_ptr<Sealer> sealer_;
};

TEST_F(AuthUrlServiceTest, EveryNetworkGivesAUrlWhoseStateTheServerCanOpen) {
  ASSERT_OK_AND_ASSIGN(const auto networks, Org().ListNetworks());
  const std::vector<NetworkUse> uses = UsesWithAuthUrls(networks);
  EXPECT_GT(uses.size(), 40u);
  for (const NetworkUse& use : uses) {
    SCOPED_TRACE(use.name());
    const auto& network = *catalog_.FindVariant(use.network.id(), use.variant);
    ASSERT_OK_AND_ASSIGN(const auto created, Org().CreateSocialNetwork(ConfigurationFor(use)));
    const v1::SocialNetwork& configured = created.social_network();
    v1::GetAuthUrlRequest request = AuthUrlRequestFor(use);
    request.set_tenant_id("customer_42");
    request.set_session_binding("a cookie of some length");
    ASSERT_OK_AND_ASSIGN(const v1::GetAuthUrlResponse reply, Org().GetAuthUrl(request));
    ASSERT_OK(Org().DeleteSocialNetwork(configured.id()));
    EXPECT_THAT(reply.auth_url(), StartsWith("https://"));
    const Parameters parameters = ParametersOf(reply.auth_url());
    EXPECT_EQ(parameters.at(network.client_id_param()), use.name() + "-client-key");
    EXPECT_EQ(parameters.at("redirect_uri"), "https://app.example.com/cb");
    EXPECT_EQ(parameters.at("response_type"), "code");
    const bool has_challenge = network.pkce().mode() != catalog::v1::Pkce::MODE_NONE;
    EXPECT_EQ(parameters.count("code_challenge"), has_challenge ? 1u : 0u);
    // Those are opened below.
    if (IsStateReference(parameters.at("state"))) continue;

    ASSERT_OK_AND_ASSIGN(const OpenedState opened, Open(parameters, network.id(), server_->now()));
    EXPECT_EQ(opened.state.org_id(), "acme");
    EXPECT_EQ(opened.state.network(), network.id());
    EXPECT_EQ(opened.state.social_network_id(), configured.id());
    EXPECT_EQ(opened.state.social_network_version(), 1u);
    EXPECT_EQ(opened.state.tenant_id(), "customer_42");
    EXPECT_EQ(opened.state.redirect_uri(), "https://app.example.com/cb");
    EXPECT_EQ(opened.state.session_binding_hash(),
              std::string(AsChars(Sha256("a cookie of some length"))));
    EXPECT_EQ(opened.state.issued_at(), absl::ToUnixSeconds(server_->now()));
    EXPECT_EQ(opened.state.expires_at(), reply.expires_at().seconds());
    EXPECT_FALSE(opened.state.is_hosted());
    ASSERT_OK_AND_ASSIGN(const OpenedFlowId flow, OpenFlow(reply, "acme"));
    EXPECT_EQ(flow.nonce_digest, NonceDigest(opened.nonce));
    EXPECT_FALSE(OpenFlow(reply, "other").ok());
    if (has_challenge) ExpectChallenge(parameters, network, opened);
  }
}

TEST_F(AuthUrlServiceTest, StateThatTheNetworkCannotCarryIsStoredUnderTheReferenceInTheUrl) {
  ASSERT_OK(Configure("wechat"));
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork x, Configure("x"));
  const std::string long_uri = "https://app.example.com/" + std::string(400, 'p');
  std::map<std::string, Parameters> minted;
  for (const std::string network : {"wechat", "x"}) {
    ASSERT_OK_AND_ASSIGN(const auto reply,
                         GetAuthUrl(absl::StrCat("network: '", network, "' redirect_uri: '",
                                                 long_uri, "' tenant_id: 'customer_42'")));
    minted[network] = ParametersOf(reply.auth_url());
    EXPECT_THAT(minted[network].at("state"), MatchesRegex("[0-9a-f]{40}"));
  }
  ASSERT_OK_AND_ASSIGN(const auto store, TakeStore());
  const Sealer sealer(Keys());
  for (const auto& [network, parameters] : minted) {
    const std::string& reference = parameters.at("state");
    ASSERT_OK_AND_ASSIGN(const std::string sealed, store->GetAuthState(kNoLimit, reference));
    ASSERT_OK_AND_ASSIGN(
        const OpenedState opened,
        OpenStoredAuthState(sealer, reference, sealed, server_->now(), "acme", network));
    EXPECT_EQ(opened.state.tenant_id(), "customer_42");
    EXPECT_EQ(opened.state.redirect_uri(), long_uri);
    if (network == "wechat") continue;
    EXPECT_EQ(opened.state.social_network_id(), x.id());
    ExpectChallenge(parameters, *catalog_.Find("x"), opened);
  }
}

TEST_F(AuthUrlServiceTest, StateThatTheNetworkCanCarryIsNotStored) {
  ASSERT_OK(Configure("x"));
  ASSERT_OK_AND_ASSIGN(const auto reply, GetAuthUrl("network: 'x' redirect_uri: 'https://a.io/'"));
  const std::string state = ParametersOf(reply.auth_url()).at("state");
  ASSERT_OK_AND_ASSIGN(const auto store, TakeStore());
  EXPECT_THAT(store->GetAuthState(kNoLimit, state), HasReason("AUTH_STATE_NOT_FOUND"));
  // Not one row is older than the end of time.
  EXPECT_EQ(*store->PurgeAuthStates(server_->now() + absl::Hours(24 * 365), 10), 0);
}

TEST_F(AuthUrlServiceTest, ExampleOfTheReadmeGoesToInstagramWithTheParametersOfTheCatalog) {
  ASSERT_OK(Configure("instagram"));
  ASSERT_OK_AND_ASSIGN(const auto reply, Org().GetAuthUrl(ExampleAuthUrlRequest()));
  EXPECT_THAT(reply.auth_url(), StartsWith("https://www.instagram.com/oauth/authorize?client_id="));
  const Parameters parameters = ParametersOf(reply.auth_url());
  EXPECT_EQ(parameters.size(), 5u);
  EXPECT_EQ(parameters.at("scope"),
            "instagram_business_basic,instagram_business_content_publish,"
            "instagram_business_manage_comments,instagram_business_manage_insights");
  EXPECT_LT(parameters.at("state").size(), 256u) << parameters.at("state").size();
}

TEST_F(AuthUrlServiceTest, UrlExpiresWhenTheClockSaysSoAndTheStateWithIt) {
  ASSERT_OK(Configure("instagram"));
  ASSERT_OK_AND_ASSIGN(const auto reply, Org().GetAuthUrl(ExampleAuthUrlRequest()));
  const absl::Time expires_at = absl::FromUnixSeconds(reply.expires_at().seconds());
  EXPECT_EQ(reply.expires_at().nanos(), 0);
  EXPECT_EQ(expires_at,
            absl::FromUnixSeconds(absl::ToUnixSeconds(server_->now() + absl::Minutes(30))));
  const Parameters parameters = ParametersOf(reply.auth_url());
  EXPECT_OK(Open(parameters, "instagram", expires_at - absl::Seconds(1)));
  EXPECT_FALSE(Open(parameters, "instagram", expires_at).ok());
  EXPECT_FALSE(Open(parameters, "threads", server_->now()).ok());

  server_->SetTime(server_->now() + absl::Hours(1));
  ASSERT_OK_AND_ASSIGN(const auto later, Org().GetAuthUrl(ExampleAuthUrlRequest()));
  EXPECT_EQ(later.expires_at().seconds(), reply.expires_at().seconds() + 3600);
}

TEST_F(AuthUrlServiceTest, NoTwoCallsGiveTheSameStateOrChallenge) {
  ASSERT_OK(Configure("x"));
  ASSERT_OK_AND_ASSIGN(const auto first, GetAuthUrl("network: 'x' redirect_uri: 'https://a.io/'"));
  ASSERT_OK_AND_ASSIGN(const auto second, GetAuthUrl("network: 'x' redirect_uri: 'https://a.io/'"));
  const Parameters a = ParametersOf(first.auth_url());
  const Parameters b = ParametersOf(second.auth_url());
  EXPECT_NE(a.at("state"), b.at("state"));
  EXPECT_NE(a.at("code_challenge"), b.at("code_challenge"));
}

TEST_F(AuthUrlServiceTest, DefaultRedirectUriIsUsedWhereTheRequestNamesNone) {
  ASSERT_OK(Configure("instagram", "default_redirect_uri: 'https://app.example.com/default'"));
  ASSERT_OK_AND_ASSIGN(const auto reply, GetAuthUrl("network: 'instagram'"));
  EXPECT_EQ(ParametersOf(reply.auth_url()).at("redirect_uri"), "https://app.example.com/default");
}

TEST_F(AuthUrlServiceTest, WithoutAnyRedirectUriTheCallFailsAndSaysWhatToDo) {
  ASSERT_OK(Configure("instagram"));
  const auto reply = GetAuthUrl("network: 'instagram'");
  EXPECT_THAT(reply, HasReason("NO_REDIRECT_URI"));
  EXPECT_THAT(reply, StatusIs(absl::StatusCode::kFailedPrecondition,
                              HasSubstr("set the configuration's default_redirect_uri")));
}

TEST_F(AuthUrlServiceTest, AllowedRedirectUrisAreComparedByteForByte) {
  ASSERT_OK(Configure("instagram", "allowed_redirect_uris: 'https://app.example.com/cb'"));
  EXPECT_OK(GetAuthUrl("network: 'instagram' redirect_uri: 'https://app.example.com/cb'"));
  for (const char* other : {"https://app.example.com/cb/", "https://app.example.com/CB",
                            "https://app.example.com/cb?", "https://app.example.com/c",
                            "https://evil.example.com/cb", "https://app.example.com/cb?a=b"}) {
    const auto reply = GetAuthUrl(absl::StrCat("network: 'instagram' redirect_uri: '", other, "'"));
    EXPECT_THAT(reply, HasReason("INVALID_PAYLOAD")) << other;
    EXPECT_THAT(reply, HasViolation("redirect_uri", HasSubstr("allowed_redirect_uris"))) << other;
  }
}

TEST_F(AuthUrlServiceTest, NetworkThatNeedsACallFirstSaysWhatToDoInstead) {
  const auto reply = GetAuthUrl("network: 'bluesky' redirect_uri: 'https://app.example.com/cb'");
  EXPECT_THAT(reply, HasReason("NETWORK_HAS_NO_AUTH_URL"));
  EXPECT_THAT(reply, StatusIs(absl::StatusCode::kFailedPrecondition,
                              HasSubstr("pushed authorization request")));
  EXPECT_THAT(Configure("bluesky"), HasReason("NETWORK_HAS_NO_AUTH_URL"));
}

TEST_F(AuthUrlServiceTest, NetworkThatIsNotConfiguredIsNotFound) {
  const auto reply = GetAuthUrl("network: 'tiktok' redirect_uri: 'https://app.example.com/cb'");
  EXPECT_THAT(reply, HasReason("NETWORK_NOT_CONFIGURED"));
  EXPECT_THAT(reply, StatusIs(absl::StatusCode::kNotFound, HasSubstr("tiktok")));
}

TEST_F(AuthUrlServiceTest, ScopesSelectionAndHintOfTheRequestReachTheUrl) {
  ASSERT_OK(
      Configure("youtube", "scopes: 'configured' extra_params { key: 'hl' value: 'de at' } "));
  const std::string request = "network: 'youtube' redirect_uri: 'https://app.example.com/cb' ";
  ASSERT_OK_AND_ASSIGN(const auto usual, GetAuthUrl(request));
  const Parameters plain = ParametersOf(usual.auth_url());
  EXPECT_EQ(plain.at("scope"), "configured");
  EXPECT_EQ(plain.at("hl"), "de at");
  EXPECT_EQ(plain.at("prompt"), "consent");
  EXPECT_THAT(usual.auth_url(), HasSubstr("hl=de%20at"));
  // The request's language takes the place of the configuration's; RFC 6749 section 3.1 takes one.
  ASSERT_OK_AND_ASSIGN(const auto french, GetAuthUrl(absl::StrCat(request, "locale: 'fr'")));
  EXPECT_THAT(french.auth_url(), HasSubstr("hl=fr"));
  EXPECT_THAT(french.auth_url(), Not(HasSubstr("hl=de")));

  ASSERT_OK_AND_ASSIGN(
      const auto special,
      GetAuthUrl(absl::StrCat(request,
                              "scopes: ['one', 'two'] force_account_selection: true "
                              "login_hint: 'jo+1@example.com'")));
  const Parameters all = ParametersOf(special.auth_url());
  EXPECT_EQ(all.at("scope"), "one two");
  EXPECT_EQ(all.at("prompt"), "select_account consent");
  EXPECT_EQ(all.at("login_hint"), "jo+1@example.com");
  ASSERT_OK_AND_ASSIGN(const OpenedState opened, Open(all, "youtube", server_->now()));
  EXPECT_THAT(opened.state.scopes(), ElementsAre("one", "two"));
}

TEST_F(AuthUrlServiceTest, ChoicesOfTheRequestReachTheUrl) {
  ASSERT_OK(Configure("google", "extra_params { key: 'hd' value: 'configured.example' }"));
  for (const char* network : {"slack", "wordpress", "discord", "microsoft"}) {
    ASSERT_OK(Configure(network));
  }
  const struct {
    const char* network;
    const char* name;
    const char* value;
  } choices[] = {
      {"slack", "team", "T02ABCDEF"},
      {"wordpress", "blog", "blog.example.com"},
      {"discord", "guild_id", "123456789012345678"},
      // In place of the configuration's.
      {"google", "hd", "example.com"},
      {"microsoft", "domain_hint", "example.com"},
  };
  const std::string redirect = "redirect_uri: 'https://app.example.com/cb' ";
  for (const auto& [network, name, value] : choices) {
    SCOPED_TRACE(network);
    ASSERT_OK_AND_ASSIGN(const auto reply, GetAuthUrl(absl::StrCat(redirect, "network: '", network,
                                                                   "' extra_params { key: '", name,
                                                                   "' value: '", value, "' }")));
    const Parameters parameters = ParametersOf(reply.auth_url());
    ASSERT_TRUE(parameters.contains(name));
    EXPECT_EQ(parameters.at(name), value);
  }
  ASSERT_OK_AND_ASSIGN(
      const auto reply,
      GetAuthUrl(redirect + "network: 'microsoft' "
                            "variables { key: 'tenant' value: 'contoso.example' }"));
  EXPECT_THAT(
      reply.auth_url(),
      StartsWith("https://login.microsoftonline.com/contoso.example/oauth2/v2.0/authorize?"));
}

TEST_F(AuthUrlServiceTest, ChangedConfigurationCountsFromTheNextCallOn) {
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork facebook, Configure("facebook"));
  const std::string request = "network: 'facebook' redirect_uri: 'https://app.example.com/cb'";
  ASSERT_OK_AND_ASSIGN(const auto before, GetAuthUrl(request));
  EXPECT_THAT(before.auth_url(), StartsWith("https://www.facebook.com/v24.0/dialog/oauth?"));
  ASSERT_OK(Call<v1::UpdateSocialNetworkResponse>(
      "UpdateSocialNetwork",
      absl::StrCat("id: '", facebook.id(), "' variables { key: 'version' value: 'v19.0' }")));
  ASSERT_OK_AND_ASSIGN(const auto after, GetAuthUrl(request));
  EXPECT_THAT(after.auth_url(), StartsWith("https://www.facebook.com/v19.0/dialog/oauth?"));
  ASSERT_OK_AND_ASSIGN(const OpenedState opened,
                       Open(ParametersOf(after.auth_url()), "facebook", server_->now()));
  EXPECT_EQ(opened.state.social_network_version(), 2u);
  ASSERT_OK(Org().DeleteSocialNetwork(facebook.id()));
  EXPECT_THAT(GetAuthUrl(request), HasReason("NETWORK_NOT_CONFIGURED"));
}

TEST_F(AuthUrlServiceTest, SessionBindingIsRequiredWhereTheConfigurationSaysSo) {
  ASSERT_OK(Configure("reddit", "session_binding_policy: SESSION_BINDING_POLICY_REQUIRED"));
  const std::string request = "network: 'reddit' redirect_uri: 'https://app.example.com/cb' ";
  EXPECT_THAT(GetAuthUrl(request), HasViolation("session_binding", HasSubstr("Required")));
  EXPECT_THAT(Call<v1::ExplainAuthUrlResponse>("ExplainAuthUrl", request),
              HasViolation("session_binding", HasSubstr("Required")));
  EXPECT_OK(GetAuthUrl(request + "session_binding: '0123456789abcdef'"));
}

TEST_F(AuthUrlServiceTest, WithoutACallbackOfTheServerThereIsNoReturnUri) {
  ASSERT_OK(Configure("reddit",
                      "allowed_return_uris: 'https://app.example.com/connected' "
                      "default_redirect_uri: 'https://app.example.com/cb'"));
  EXPECT_OK(GetAuthUrl("network: 'reddit'"));
  for (const char* field : {"return_uri", "redirect_uri"}) {
    const auto reply = GetAuthUrl(
        absl::StrCat("network: 'reddit' ", field, ": 'https://app.example.com/connected'"));
    EXPECT_THAT(reply, HasReason("NO_REDIRECT_URI"));
    EXPECT_THAT(reply,
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("--public_base_url")));
  }
}

class PublicBaseUrlTest : public AuthUrlServiceTest {
 protected:
  PublicBaseUrlTest()
      : AuthUrlServiceTest([](Config& config) {
          config.public_base_url = "https://connect.example.com/authurl";
          config.state_ttl = absl::Seconds(90);
        }) {}
};

TEST_F(PublicBaseUrlTest, CallbackOfTheServerIsTheLastResort) {
  ASSERT_OK(Configure("reddit"));
  ASSERT_OK_AND_ASSIGN(const auto reply, GetAuthUrl("network: 'reddit'"));
  EXPECT_EQ(ParametersOf(reply.auth_url()).at("redirect_uri"),
            "https://connect.example.com/authurl/v1/social-networks/reddit/callback");
  EXPECT_EQ(reply.expires_at().seconds(), absl::ToUnixSeconds(server_->now()) + 90);
}

TEST_F(PublicBaseUrlTest, ExplanationSaysWhetherItIsWhereTheEndUserComesBackTo) {
  ASSERT_OK(Configure("reddit"));
  ASSERT_OK_AND_ASSIGN(const auto made,
                       Call<v1::ExplainAuthUrlResponse>("ExplainAuthUrl", "network: 'reddit'"));
  EXPECT_TRUE(made.hosted_callback());
  ASSERT_OK_AND_ASSIGN(
      const auto named,
      Call<v1::ExplainAuthUrlResponse>(
          "ExplainAuthUrl", "network: 'reddit' redirect_uri: 'https://app.example.com/cb'"));
  EXPECT_FALSE(named.hosted_callback());
}

TEST_F(PublicBaseUrlTest, ReturnUriIsSealedAndTheNetworkSeesTheCallback) {
  ASSERT_OK(Configure("reddit",
                      "allowed_return_uris: 'https://app.example.com/connected' "
                      "allowed_redirect_uris: 'https://app.example.com/cb'"));
  for (const char* field : {"return_uri", "redirect_uri"}) {
    SCOPED_TRACE(field);
    const std::string request = absl::StrCat(
        "network: 'reddit' return_state: 'tab=2' reconnect_account_id: 'sa_4zjq0v1r8k2m6c3t9xwp' ",
        field, ": 'https://app.example.com/connected' ");
    ASSERT_OK_AND_ASSIGN(const auto reply, GetAuthUrl(request));
    const Parameters parameters = ParametersOf(reply.auth_url());
    EXPECT_EQ(parameters.at("redirect_uri"),
              "https://connect.example.com/authurl/v1/social-networks/reddit/callback");
    ASSERT_OK_AND_ASSIGN(const OpenedState opened, Open(parameters, "reddit", server_->now()));
    EXPECT_TRUE(opened.state.is_hosted());
    EXPECT_EQ(opened.state.redirect_uri(), parameters.at("redirect_uri"));
    EXPECT_EQ(opened.state.return_uri(), "https://app.example.com/connected");
    EXPECT_EQ(opened.state.return_state(), "tab=2");
    EXPECT_EQ(opened.state.reconnect_account_id(), "sa_4zjq0v1r8k2m6c3t9xwp");
    ASSERT_OK_AND_ASSIGN(const auto explained,
                         Call<v1::ExplainAuthUrlResponse>("ExplainAuthUrl", request));
    EXPECT_TRUE(explained.hosted_callback());
    EXPECT_EQ(explained.return_uri(), "https://app.example.com/connected");
    EXPECT_EQ(explained.return_uri_source(), v1::PARAMETER_SOURCE_REQUEST);
    EXPECT_THAT(explained.warnings(), Contains(HasSubstr("login CSRF")));
  }
  EXPECT_THAT(GetAuthUrl("network: 'reddit' return_uri: 'https://app.example.com/other'"),
              HasViolation("return_uri", HasSubstr("allowed_return_uris")));
  ASSERT_OK_AND_ASSIGN(
      const auto batch,
      Call<v1::BatchGetAuthUrlsResponse>(
          "BatchGetAuthUrls",
          "networks: 'reddit' return_uri: 'https://app.example.com/connected' return_state: 's'"));
  const v1::GetAuthUrlResponse& result = batch.results(0).auth_url();
  ASSERT_OK_AND_ASSIGN(const OpenedState opened,
                       Open(ParametersOf(result.auth_url()), "reddit", server_->now()));
  EXPECT_EQ(opened.state.return_uri(), "https://app.example.com/connected");
  EXPECT_EQ(opened.state.return_state(), "s");
  EXPECT_OK(OpenFlow(result, "acme"));
}

// As long as its configuration lives, because the instance has it by heart.
TEST_F(PublicBaseUrlTest, EachConfigurationOfAnInstanceHasACallbackOfItsOwn) {
  std::set<std::string> callbacks;
  for (const char* name : {"", "brand_b"}) {
    ASSERT_OK(
        Configure("mastodon", absl::StrCat("instance: 'social.example.org' name: '", name, "'")));
    std::string request = "network: 'mastodon' instance: 'social.example.org' ";
    if (*name != '\0') absl::StrAppend(&request, "configuration: '", name, "'");
    ASSERT_OK_AND_ASSIGN(const auto reply, GetAuthUrl(request));
    ASSERT_OK_AND_ASSIGN(const auto again, GetAuthUrl(request));
    const std::string callback = ParametersOf(reply.auth_url()).at("redirect_uri");
    EXPECT_THAT(callback, MatchesRegex("https://connect.example.com/authurl/v1/social-networks/"
                                       "mastodon/callback/[A-Za-z0-9_-]{22}"));
    EXPECT_EQ(ParametersOf(again.auth_url()).at("redirect_uri"), callback);
    callbacks.insert(callback);
  }
  EXPECT_EQ(callbacks.size(), 2u);
}

TEST_F(PublicBaseUrlTest, LastResortMustBeAllowedToo) {
  ASSERT_OK(Configure("reddit", "allowed_redirect_uris: 'https://app.example.com/cb'"));
  EXPECT_THAT(GetAuthUrl("network: 'reddit'"), HasReason("NO_REDIRECT_URI"));
}

}  // namespace
}  // namespace authurl::testing
