// ExplainAuthUrl tells what GetAuthUrl does, for every network and variant, and mints nothing.
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/flow/auth_state.h"
#include "core/flow/explanation.h"
#include "storage/sqlite/sqlite_backend.h"
#include "tests/server/api/service_fixture.h"
#include "tests/support/network_configurations.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// What a URL or an explanation of one says, so that the two can be compared.
struct Reading {
  std::string endpoint;
  std::vector<std::pair<std::string, std::string>> parameters;
  std::string fragment;

  bool operator==(const Reading&) const = default;
};

void PrintTo(const Reading& reading, std::ostream* out) {
  *out << reading.endpoint;
  for (const auto& [name, value] : reading.parameters) *out << "\n  " << name << " = " << value;
  *out << "\n#" << reading.fragment;
}

// Values that differ from URL to URL read as their placeholders.
Reading Read(const std::string& url, const std::string& explained_endpoint) {
  Reading reading;
  const auto parsed = boost::urls::parse_uri({url.data(), url.size()});
  EXPECT_TRUE(parsed.has_value()) << url;
  if (!parsed.has_value()) return reading;
  // Parameters that the endpoint comes with are part of the endpoint.
  const size_t query = explained_endpoint.find('?');
  const auto own = query == std::string::npos
                       ? 0
                       : 1 + std::count(explained_endpoint.begin() + static_cast<ptrdiff_t>(query),
                                        explained_endpoint.end(), '&');
  const size_t end = own == 0 ? url.find('?') : explained_endpoint.size();
  reading.endpoint = url.substr(0, end);
  const boost::urls::encoding_opts plus_is_plus(false);
  ptrdiff_t skip = own;
  for (const auto each : parsed->params(plus_is_plus)) {
    if (skip-- > 0) continue;
    std::string value = each.value;
    if (each.key == "state") value = std::string(kStatePlaceholder);
    if (each.key == "code_challenge") value = std::string(kCodeChallengePlaceholder);
    if (each.key == "nonce") value = std::string(kNoncePlaceholder);
    reading.parameters.emplace_back(each.key, value);
  }
  reading.fragment = parsed->fragment();
  return reading;
}

Reading Read(const v1::ExplainAuthUrlResponse& explanation) {
  Reading reading = {explanation.authorization_endpoint(), {}, explanation.fragment()};
  for (const v1::AuthUrlParameter& parameter : explanation.parameters()) {
    reading.parameters.emplace_back(parameter.name(), parameter.value());
  }
  return reading;
}

v1::ExplainAuthUrlRequest Explained(const v1::GetAuthUrlRequest& request) {
  // The same fields under the same numbers.
  v1::ExplainAuthUrlRequest explained;
  EXPECT_TRUE(explained.ParseFromString(request.SerializeAsString()));
  EXPECT_TRUE(explained.GetReflection()->GetUnknownFields(explained).empty());
  return explained;
}

std::optional<v1::AuthUrlParameter> Find(const v1::ExplainAuthUrlResponse& explanation,
                                         const std::string& name) {
  for (const v1::AuthUrlParameter& parameter : explanation.parameters()) {
    if (parameter.name() == name) return parameter;
  }
  return std::nullopt;
}

class ExplainAuthUrlTest : public ServiceTest {
 protected:
  absl::StatusOr<v1::ExplainAuthUrlResponse> Explain(const std::string& request) const {
    return Call<v1::ExplainAuthUrlResponse>("ExplainAuthUrl", request);
  }

  void ExpectAgreement(const v1::GetAuthUrlRequest& request) const {
    const auto explanation = Org().ExplainAuthUrl(Explained(request));
    const auto url = Org().GetAuthUrl(request);
    ASSERT_EQ(explanation.status(), url.status());
    if (!url.ok()) return;
    EXPECT_EQ(Read(*explanation), Read(url->auth_url(), explanation->authorization_endpoint()));
    for (const v1::AuthUrlParameter& parameter : explanation->parameters()) {
      EXPECT_NE(parameter.source(), v1::PARAMETER_SOURCE_UNSPECIFIED) << parameter.name();
      EXPECT_FALSE(parameter.why().empty()) << parameter.name();
    }
  }
};

TEST_F(ExplainAuthUrlTest, ForEveryNetworkAndVariantItAgreesWithTheUrl) {
  ASSERT_OK_AND_ASSIGN(const auto networks, Org().ListNetworks());
  const std::vector<NetworkUse> uses = UsesWithAuthUrls(networks);
  EXPECT_GT(uses.size(), 40u);
  for (const NetworkUse& use : uses) {
    SCOPED_TRACE(use.name());
    v1::CreateSocialNetworkRequest configuration = ConfigurationFor(use);
    (*configuration.mutable_extra_params())["x_extra"] = "a b&c=d+e%20\"<é>";
    ASSERT_OK_AND_ASSIGN(const auto created, Org().CreateSocialNetwork(configuration));

    const v1::GetAuthUrlRequest plain = AuthUrlRequestFor(use);
    ExpectAgreement(plain);
    v1::GetAuthUrlRequest full = plain;
    full.set_redirect_uri("https://app.example.com/c%20b;a=1/~x");
    full.set_tenant_id("customer_42");
    full.add_scopes("one");
    full.add_scopes("two:three/four");
    full.set_force_account_selection(true);
    full.set_login_hint("jo+1@example.com & co");
    full.set_session_binding("0123456789abcdef");
    full.set_return_state("tab=2");
    full.set_reconnect_account_id("sa_4zjq0v1r8k2m6c3t9xwp");
    ExpectAgreement(full);
    v1::GetAuthUrlRequest refused = plain;
    refused.set_redirect_uri("http://app.example.com/cb");
    ExpectAgreement(refused);
    ASSERT_OK(Org().DeleteSocialNetwork(created.social_network().id()));
    ExpectAgreement(plain);
  }
}

TEST_F(ExplainAuthUrlTest, EachValueSaysWhoDecidedIt) {
  ASSERT_OK(Configure("youtube",
                      "default_redirect_uri: 'https://app.example.com/cb' "
                      "extra_params { key: 'hl' value: 'de' }"));
  ASSERT_OK_AND_ASSIGN(const auto explanation,
                       Explain("network: 'youtube' scopes: 'one' login_hint: 'jo@example.com' "
                               "extra_params { key: 'hd' value: 'example.com' }"));
  const struct {
    const char* name;
    const char* value;
    v1::ParameterSource source;
  } expected[] = {
      {"client_id", "youtube-client-key", v1::PARAMETER_SOURCE_CONFIG},
      {"redirect_uri", "https://app.example.com/cb", v1::PARAMETER_SOURCE_CONFIG},
      {"response_type", "code", v1::PARAMETER_SOURCE_CATALOG},
      {"scope", "one", v1::PARAMETER_SOURCE_REQUEST},
      {"state", "<state>", v1::PARAMETER_SOURCE_GENERATED},
      {"code_challenge", "<code_challenge>", v1::PARAMETER_SOURCE_GENERATED},
      {"access_type", "offline", v1::PARAMETER_SOURCE_CATALOG},
      {"login_hint", "jo@example.com", v1::PARAMETER_SOURCE_REQUEST},
      {"hl", "de", v1::PARAMETER_SOURCE_CONFIG},
      {"hd", "example.com", v1::PARAMETER_SOURCE_REQUEST},
  };
  for (const auto& [name, value, source] : expected) {
    const auto parameter = Find(explanation, name);
    ASSERT_TRUE(parameter.has_value()) << name;
    EXPECT_EQ(parameter->value(), value) << name;
    EXPECT_EQ(parameter->source(), source) << name;
  }
}

TEST_F(ExplainAuthUrlTest, WarningsOfTheCatalogAreTold) {
  ASSERT_OK(Configure("x", "default_redirect_uri: 'https://app.example.com/cb'"));
  ASSERT_OK_AND_ASSIGN(const auto usual, Explain("network: 'x'"));
  EXPECT_THAT(usual.warnings(), ElementsAre(HasSubstr("one connection for each person")));
  ASSERT_OK_AND_ASSIGN(const auto doubtful,
                       Explain("network: 'x' scopes: ['tweet.read', 'users.read']"));
  EXPECT_THAT(doubtful.warnings(), ElementsAre(HasSubstr("no refresh token"),
                                               HasSubstr("one connection for each person")));
}

TEST_F(ExplainAuthUrlTest, NothingUsableIsMintedOrStored) {
  ASSERT_OK(Configure("wechat"));
  ASSERT_OK_AND_ASSIGN(const auto explanation,
                       Explain("network: 'wechat' redirect_uri: 'https://app.example.com/cb'"));
  EXPECT_EQ(Find(explanation, "state")->value(), "<state>");
  EXPECT_EQ(explanation.fragment(), "wechat_redirect");
  const KeyRing keys = server_->folder().key_ring();
  const Sealer sealer(keys);
  server_->Close();
  auto backend = OpenSqliteBackend(server_->folder().database());
  ASSERT_OK(backend);
  ASSERT_OK_AND_ASSIGN(const auto store,
                       CredentialStore::Open(*std::move(backend), sealer, FillRandom));
  EXPECT_EQ(*store->PurgeAuthStates(server_->now() + absl::Hours(24 * 365), 10), 0);
}

TEST_F(ExplainAuthUrlTest, NoSecretIsPartOfAnExplanation) {
  ASSERT_OK(Configure("x"));
  ASSERT_OK_AND_ASSIGN(const auto explanation,
                       Explain("network: 'x' redirect_uri: 'https://app.example.com/cb' "
                               "session_binding: 'a cookie that nobody else may know'"));
  EXPECT_THAT(explanation.SerializeAsString(),
              AllOf(Not(HasSubstr("the-client-secret")), Not(HasSubstr("a cookie that"))));
}

}  // namespace
}  // namespace authurl::testing
