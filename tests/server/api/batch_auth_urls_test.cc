// BatchGetAuthUrls: every network has a result of its own, and none of them spoils another's.
#include <filesystem>
#include <map>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "core/catalog/endpoint.h"
#include "core/errors.h"
#include "core/flow/auth_url.h"
#include "core/flow/flow_id.h"
#include "server/api/auth_url_service.h"
#include "server/observe/log.h"
#include "server/serving/grpc_status.h"
#include "storage/sqlite/sqlite_backend.h"
#include "tests/server/api/service_fixture.h"
#include "tests/support/no_limit.h"

namespace authurl::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kRedirect[] = "redirect_uri: 'https://app.example.com/cb' ";

// A result's error as if a call had ended with it.
absl::Status ErrorOf(const v1::BatchGetAuthUrlsResponse::Result& result) {
  if (!result.has_error()) return absl::OkStatus();
  return ToAbslStatus(grpc::Status(static_cast<grpc::StatusCode>(result.error().code()),
                                   result.error().message(), result.error().SerializeAsString()));
}

std::vector<std::string> NamesOf(const v1::BatchGetAuthUrlsResponse& response) {
  std::vector<std::string> names;
  for (const auto& result : response.results()) {
    names.push_back(
        absl::StrCat(result.network(), result.instance().empty() ? "" : "@", result.instance()));
  }
  return names;
}

class BatchAuthUrlsTest : public ServiceTest {
 protected:
  absl::StatusOr<v1::BatchGetAuthUrlsResponse> Batch(const std::string& request) const {
    return Call<v1::BatchGetAuthUrlsResponse>("BatchGetAuthUrls", request);
  }
};

TEST_F(BatchAuthUrlsTest, ResultsComeInTheOrderOfTheRequestAndAreWhatGetAuthUrlGives) {
  ASSERT_OK(Configure("x"));
  ASSERT_OK(Configure("instagram"));
  ASSERT_OK(Configure("wechat"));
  ASSERT_OK_AND_ASSIGN(const auto batch,
                       Batch(absl::StrCat(kRedirect,
                                          "networks: ['x', 'wechat', 'instagram'] scopes: 'one' "
                                          "tenant_id: 'customer_42'")));
  ASSERT_THAT(NamesOf(batch), ElementsAre("x", "wechat", "instagram"));
  const char* starts[] = {"https://x.com/i/oauth2/authorize?client_id=x-client-key&",
                          "https://open.weixin.qq.com/connect/qrconnect?appid=wechat-client-key&",
                          "https://www.instagram.com/oauth/authorize?client_id=instagram-client-"};
  for (int i = 0; i < batch.results_size(); ++i) {
    ASSERT_OK(ErrorOf(batch.results(i)));
    const v1::GetAuthUrlResponse& result = batch.results(i).auth_url();
    EXPECT_THAT(result.auth_url(), StartsWith(starts[i]));
    EXPECT_THAT(result.auth_url(), HasSubstr("&scope=one&"));
    EXPECT_EQ(result.expires_at().seconds(),
              absl::ToUnixSeconds(server_->now() + absl::Minutes(30)));
    EXPECT_NE(result.flow_id(), "");
  }
}

TEST_F(BatchAuthUrlsTest, OneNetworksErrorIsTheOneOfGetAuthUrlAndHarmsNoOther) {
  ASSERT_OK(Configure("instagram"));
  ASSERT_OK(Configure("tiktok"));
  ASSERT_OK(Configure("reddit", "allowed_redirect_uris: 'https://app.example.com/other'"));
  const std::string shared = "redirect_uri: 'https://app.example.com/cb?a=b' scopes: 'one;two' ";
  const std::vector<std::string> networks = {
      "instagrm", "odnoklassniki", "tiktok", "vimeo", "bluesky",
      "reddit",   "mastodon",      "No Id",  "",      std::string(50'000, 'a')};
  ASSERT_OK_AND_ASSIGN(const auto batch,
                       Batch(absl::StrCat(shared, "networks: ['", absl::StrJoin(networks, "', '"),
                                          "', 'instagram']")));
  ASSERT_EQ(batch.results_size(), 11);
  for (size_t i = 0; i < networks.size(); ++i) {
    SCOPED_TRACE(networks[i].substr(0, 40));
    const auto& result = batch.results(static_cast<int>(i));
    EXPECT_EQ(result.network(), networks[i]);
    const RawReply alone =
        server_->Call("GetAuthUrl", absl::StrCat(shared, "network: '", networks[i], "'"), AsOrg());
    EXPECT_NE(alone.status.error_code(), grpc::OK);
    EXPECT_EQ(ErrorOf(result), ToAbslStatus(alone.status));
  }
  EXPECT_THAT(ErrorOf(batch.results(0)), HasViolation("network", HasSubstr("instagram")));
  EXPECT_THAT(ErrorOf(batch.results(1)),
              HasViolation("scopes[0]", HasSubstr("separates scopes by \";\"")));
  EXPECT_THAT(ErrorOf(batch.results(2)),
              HasViolation("redirect_uri", HasSubstr("not take a query")));
  EXPECT_THAT(ErrorOf(batch.results(3)), HasReason("NETWORK_NOT_CONFIGURED"));
  EXPECT_THAT(ErrorOf(batch.results(4)), HasReason("NETWORK_HAS_NO_AUTH_URL"));
}

TEST_F(BatchAuthUrlsTest, OneGoodNetworkAmongBadOnesHasItsUrl) {
  ASSERT_OK(Configure("x"));
  ASSERT_OK_AND_ASSIGN(const auto batch,
                       Batch(absl::StrCat(kRedirect, "networks: ['bad', 'x', 'vimeo']")));
  ASSERT_EQ(batch.results_size(), 3);
  EXPECT_TRUE(batch.results(0).has_error());
  EXPECT_THAT(batch.results(1).auth_url().auth_url(), StartsWith("https://x.com/"));
  EXPECT_TRUE(batch.results(2).has_error());
}

TEST_F(BatchAuthUrlsTest, WithoutNetworksEveryConfigurationHasAResultInTheOrderOfIds) {
  ASSERT_OK_AND_ASSIGN(const auto none, Batch(kRedirect));
  EXPECT_EQ(none.results_size(), 0);

  std::map<std::string, std::string> name_by_id;
  for (const std::string network : {"x", "instagram", "wechat"}) {
    ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork created, Configure(network));
    name_by_id[created.id()] = network;
  }
  for (const std::string instance : {"one.example.org", "two.example.org"}) {
    ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork created,
                         Configure("mastodon", absl::StrCat("instance: '", instance, "'")));
    name_by_id[created.id()] = "mastodon@" + instance;
  }
  std::vector<std::string> names;
  for (const auto& [id, name] : name_by_id) names.push_back(name);
  ASSERT_OK_AND_ASSIGN(const auto batch, Batch(kRedirect));
  EXPECT_EQ(NamesOf(batch), names);
  for (const auto& result : batch.results()) {
    EXPECT_OK(ErrorOf(result)) << result.network();
    if (result.instance().empty()) continue;
    EXPECT_THAT(result.auth_url().auth_url(),
                StartsWith(absl::StrCat("https://", result.instance(), "/oauth/authorize?")));
  }
}

TEST_F(BatchAuthUrlsTest, InstanceIsForThoseNetworksThatHaveInstances) {
  ASSERT_OK(Configure("x"));
  ASSERT_OK(Configure("mastodon", "instance: 'one.example.org'"));
  ASSERT_OK_AND_ASSIGN(const auto batch,
                       Batch(absl::StrCat(kRedirect,
                                          "networks: ['x', 'mastodon', 'nonsense'] "
                                          "instance: 'one.example.org'")));
  EXPECT_THAT(NamesOf(batch), ElementsAre("x", "mastodon@one.example.org", "nonsense"));
  EXPECT_OK(ErrorOf(batch.results(0)));
  EXPECT_OK(ErrorOf(batch.results(1)));
  ASSERT_OK_AND_ASSIGN(const auto missing,
                       Batch(absl::StrCat(kRedirect, "networks: ['x', 'mastodon']")));
  EXPECT_OK(ErrorOf(missing.results(0)));
  EXPECT_THAT(ErrorOf(missing.results(1)), HasViolation("instance", HasSubstr("Required")));
  // Well formed, and yet none that Mastodon can have.
  ASSERT_OK_AND_ASSIGN(
      const auto local,
      Batch(absl::StrCat(kRedirect, "networks: ['x', 'mastodon'] instance: 'localhost'")));
  EXPECT_OK(ErrorOf(local.results(0)));
  EXPECT_THAT(ErrorOf(local.results(1)), HasViolation("instance", HasSubstr("public host")));
}

TEST_F(BatchAuthUrlsTest, ChoicesGoToTheNetworksThatTakeThem) {
  for (const char* network : {"slack", "discord", "microsoft"}) ASSERT_OK(Configure(network));
  const std::string choices =
      "extra_params { key: 'team' value: 'T02ABCDEF' } "
      "variables { key: 'tenant' value: 'contoso.example' } ";
  ASSERT_OK_AND_ASSIGN(
      const auto batch,
      Batch(absl::StrCat(kRedirect, choices, "networks: ['slack', 'discord', 'microsoft']")));
  ASSERT_EQ(batch.results_size(), 3);
  for (const auto& result : batch.results()) ASSERT_OK(ErrorOf(result)) << result.network();
  EXPECT_THAT(batch.results(0).auth_url().auth_url(), HasSubstr("&team=T02ABCDEF"));
  EXPECT_THAT(batch.results(1).auth_url().auth_url(), Not(HasSubstr("team=")));
  EXPECT_THAT(batch.results(2).auth_url().auth_url(),
              StartsWith("https://login.microsoftonline.com/contoso.example/"));
}

TEST_F(BatchAuthUrlsTest, AChoiceThatOneNetworkDoesNotTakeIsThatNetworksError) {
  for (const char* network : {"discord", "github", "linkedin"}) ASSERT_OK(Configure(network));
  ASSERT_OK_AND_ASSIGN(const auto batch,
                       Batch(absl::StrCat(kRedirect,
                                          "extra_params { key: 'prompt' value: 'none' } "
                                          "networks: ['discord', 'github', 'linkedin']")));
  ASSERT_EQ(batch.results_size(), 3);
  ASSERT_OK(ErrorOf(batch.results(0)));
  EXPECT_THAT(batch.results(0).auth_url().auth_url(), HasSubstr("&prompt=none"));
  EXPECT_THAT(ErrorOf(batch.results(1)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("extra_params.prompt")));
  EXPECT_THAT(ErrorOf(batch.results(1)),
              HasViolation("extra_params.prompt", HasSubstr("must match select_account")));
  // It takes none of that name.
  ASSERT_OK(ErrorOf(batch.results(2)));
  EXPECT_THAT(batch.results(2).auth_url().auth_url(), Not(HasSubstr("prompt=")));
}

TEST_F(BatchAuthUrlsTest, AHundredConfigurationsAreAnsweredAndOneMoreIsTooMany) {
  const auto add = [this](int i) {
    return Configure("mastodon", absl::StrCat("instance: 'm", i, ".example.org'"));
  };
  for (int i = 0; i < 100; ++i) ASSERT_OK(add(i));
  ASSERT_OK_AND_ASSIGN(const auto batch, Batch(kRedirect));
  ASSERT_EQ(batch.results_size(), 100);
  std::set<std::string> states;
  for (const auto& result : batch.results()) {
    ASSERT_OK(ErrorOf(result));
    const std::string& url = result.auth_url().auth_url();
    states.insert(url.substr(url.find("&state=")));
  }
  EXPECT_THAT(states, SizeIs(100));

  ASSERT_OK(add(100));
  const auto too_many = Batch(kRedirect);
  EXPECT_THAT(too_many, HasReason("TOO_MANY_CONFIGURATIONS"));
  EXPECT_THAT(too_many, StatusIs(absl::StatusCode::kFailedPrecondition,
                                 HasSubstr("by networks and configuration")));
  EXPECT_OK(Batch(absl::StrCat(kRedirect, "networks: 'mastodon' instance: 'm7.example.org'")));
}

TEST_F(BatchAuthUrlsTest, AHundredNetworksFitIntoOneRequest) {
  std::string request = kRedirect;
  for (int i = 0; i < 100; ++i) absl::StrAppend(&request, "networks: 'n", i, "' ");
  ASSERT_OK_AND_ASSIGN(const auto batch, Batch(request));
  ASSERT_EQ(batch.results_size(), 100);
  for (const auto& result : batch.results()) {
    EXPECT_THAT(ErrorOf(result), HasViolation("network", HasSubstr("is not a known network")));
  }
}

// The store and the handler alone.
class BatchHandlerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto backend = OpenSqliteBackend(folder_.database());
    ASSERT_OK(backend);
    backend_ = backend->get();
    ASSERT_OK_AND_ASSIGN(store_, CredentialStore::Open(*std::move(backend), sealer_, FillRandom));
    record::v1::Organization organization;
    organization.set_org_id("acme");
    ASSERT_OK(store_->CreateOrganization(kNoLimit, organization));
    for (const char* network : {"x", "reddit", "wechat"}) {
      record::v1::SocialNetworkSettings settings;
      settings.set_id(absl::StrCat("sn_", network));
      settings.set_org_id("acme");
      settings.set_network(network);
      settings.set_version(1);
      settings.set_client_key("key");
      settings.set_default_redirect_uri("https://app.example.com/cb");
      ASSERT_OK(store_->social_networks().Create(kNoLimit, settings, "secret"));
    }
    caller_.org_id = "acme";
    caller_.context = &context_;
  }

  // As a fault of the disk would.
  void Damage(const std::string& id) {
    const size_t all_parts = kSocialNetworks.parts.size();
    ASSERT_OK_AND_ASSIGN(Row row, backend_->Get(kNoLimit, kSocialNetworks, "acme", id, all_parts));
    row.parts[0].back() = static_cast<char>(row.parts[0].back() ^ 1);
    ASSERT_OK(backend_->Commit(kNoLimit, {Update{&kSocialNetworks, row, row.version}}).status);
  }

  const ServerFolder folder_;
  const KeyRing keys_ = folder_.key_ring();
  const Sealer sealer_{keys_};
  const NetworkCatalog catalog_ = NetworkCatalog::Parse(BuiltInNetworksText()).value();
  Backend* backend_ = nullptr;
  std::unique_ptr<CredentialStore> store_;
  Metrics metrics_;
  const CallContext context_{absl::InfiniteFuture(), "request-7"};
  Caller caller_;
  v1::BatchGetAuthUrlsRequest request_;
  v1::BatchGetAuthUrlsResponse response_;

  AuthUrlService Service(RandomSource random = FillRandom) {
    for (const auto* network : catalog_.networks()) metrics_.AddNetwork(network->id());
    return AuthUrlService(catalog_, sealer_, *store_, metrics_, [this] { return now_; },
                          std::move(random),
                          {.public_base_url = "",
                           .state_ttl = absl::Minutes(10),
                           .max_stored_states = max_stored_states_});
  }
  absl::Time now_ = absl::Now();
  int max_stored_states_ = 0;
  double UrlsCounted() const {
    double urls = 0;
    for (const prometheus::MetricFamily& family : metrics_.Collect()) {
      if (family.name != "authurl_auth_urls_total") continue;
      for (const prometheus::ClientMetric& metric : family.metric) urls += metric.counter.value;
    }
    return urls;
  }
  // Both of its steps.
  Ending Batch() {
    const AuthUrlService service = Service();
    HandledAs<v1::BatchGetAuthUrlsResponse> answer =
        service.BatchGetAuthUrls(caller_, request_, response_);
    if (auto* ending = std::get_if<Ending>(&answer)) return std::move(*ending);
    return std::get<1>(answer)(response_);
  }
};

TEST_F(BatchHandlerTest, StoredStatesOfAnOrganisationAreBounded) {
  max_stored_states_ = 400;
  const AuthUrlService service = Service();
  v1::GetAuthUrlRequest request;
  request.set_network("wechat");
  const auto mint = [&](const std::string& org_id) {
    caller_.org_id = org_id;
    const auto prepared = service.LookUp(caller_, request);
    if (!prepared.ok()) return prepared.status();
    v1::GetAuthUrlResponse response;
    HandledAs<v1::GetAuthUrlResponse> answer = service.Mint(caller_, *prepared, response);
    if (auto* ending = std::get_if<Ending>(&answer)) return ending->status;
    return std::get<1>(answer)(response).status;
  };
  // Half of them at once, the rest in the time that they are good for.
  for (int i = 0; i < 200; ++i) ASSERT_OK(mint("acme")) << i;
  const absl::Status refused = mint("acme");
  EXPECT_THAT(refused, HasReason("TOO_MANY_STORED_STATES"));
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("(400 in 10m)")));
  EXPECT_EQ(RetryAfterOf(refused), absl::Seconds(3));

  // A batch's other networks have their URLs.
  for (const char* network : {"wechat", "reddit"}) request_.add_networks(network);
  HandledAs<v1::BatchGetAuthUrlsResponse> answer =
      service.BatchGetAuthUrls(caller_, request_, response_);
  const Ending ending = std::get<1>(answer)(response_);
  ASSERT_OK(ending.status);
  EXPECT_EQ(ending.further_calls, 1);
  EXPECT_THAT(ErrorOf(response_.results(0)), HasReason("TOO_MANY_STORED_STATES"));
  EXPECT_TRUE(response_.results(1).has_auth_url());

  now_ += absl::Seconds(3);
  EXPECT_OK(mint("acme"));
  EXPECT_THAT(mint("acme"), HasReason("TOO_MANY_STORED_STATES"));
}

TEST_F(BatchHandlerTest, ABatchIsWorthACallForEachOfItsNetworks) {
  for (const char* network : {"x", "reddit", "nothing"}) request_.add_networks(network);
  EXPECT_EQ(Batch().further_calls, 2);
  request_.clear_networks();
  response_.Clear();
  EXPECT_EQ(Batch().further_calls, 2);
}

TEST_F(BatchHandlerTest, InternalErrorShowsTheFixedTextAndItsCauseIsInTheLogOnce) {
  ASSERT_NO_FATAL_FAILURE(Damage("sn_x"));
  for (const char* network : {"x", "reddit"}) request_.add_networks(network);
  ::testing::internal::CaptureStderr();
  StartLog("info");
  const absl::Status status = Batch().status;
  StopLog();
  const std::string log = ::testing::internal::GetCapturedStderr();
  ASSERT_OK(status);
  ASSERT_EQ(response_.results_size(), 2);
  const absl::Status error = ErrorOf(response_.results(0));
  EXPECT_THAT(error, HasReason("INTERNAL"));
  EXPECT_THAT(error, StatusIs(absl::StatusCode::kInternal, HasSubstr("x-request-id")));
  EXPECT_THAT(response_.results(0).SerializeAsString(), Not(HasSubstr("sn_x")));
  EXPECT_TRUE(response_.results(1).has_auth_url());
  const std::vector<std::string> lines = absl::StrSplit(log, '\n', absl::SkipEmpty());
  ASSERT_THAT(lines, SizeIs(1)) << log;
  for (const char* part :
       {"\"level\":\"error\"", "\"event\":\"batch_results_failed\"", "\"request_id\":\"request-7\"",
        "\"org_id\":\"acme\"", "\"results\":1", "\"network\":\"x\"", "sn_x"}) {
    EXPECT_THAT(lines[0], HasSubstr(part));
  }
}

TEST_F(BatchHandlerTest, DamagedConfigurationIsTheProblemOfItsOwnResultWhereAllAreAskedFor) {
  ASSERT_NO_FATAL_FAILURE(Damage("sn_x"));
  ASSERT_OK(Batch().status);
  ASSERT_EQ(response_.results_size(), 3);
  for (const auto& result : response_.results()) {
    EXPECT_EQ(result.has_auth_url(), result.social_network_id() != "sn_x");
    if (result.has_error()) {
      EXPECT_THAT(ErrorOf(result), HasReason("INTERNAL"));
    }
  }
}

// As of an own network that was taken out of --networks_file.
TEST_F(BatchHandlerTest, ConfigurationOfANetworkThatIsGoneIsNotAmongAll) {
  record::v1::SocialNetworkSettings settings;
  settings.set_id("sn_gone");
  settings.set_org_id("acme");
  settings.set_network("gone");
  settings.set_version(1);
  settings.set_client_key("key");
  ASSERT_OK(store_->social_networks().Create(kNoLimit, settings, "secret", false));
  ASSERT_OK(Batch().status);
  EXPECT_EQ(response_.results_size(), 3);
  for (const auto& result : response_.results()) EXPECT_TRUE(result.has_auth_url());
  response_.Clear();
  request_.add_networks("gone");
  ASSERT_OK(Batch().status);
  ASSERT_EQ(response_.results_size(), 1);
  EXPECT_THAT(ErrorOf(response_.results(0)), HasReason("CONFIGURATION_OUTDATED"));
}

TEST_F(BatchHandlerTest, StoreThatIsOutOfReachFillsOneLineOfTheLog) {
  std::filesystem::rename(folder_.database(), folder_.database() + ".away");
  // Reads trust for a moment what the last look found.
  EXPECT_FALSE(store_->ProbeReads().ok());
  for (const auto* network : catalog_.networks()) {
    if (network->status() != catalog::v1::STATUS_LIVE || HasInstances(*network)) continue;
    request_.add_networks(network->id());
  }
  ::testing::internal::CaptureStderr();
  StartLog("info");
  const absl::Status status = Batch().status;
  StopLog();
  const std::string log = ::testing::internal::GetCapturedStderr();
  ASSERT_OK(status);
  for (const auto& result : response_.results()) {
    EXPECT_THAT(ErrorOf(result), HasReason("STORAGE_UNAVAILABLE"));
    EXPECT_TRUE(RetryAfterOf(ErrorOf(result)).has_value());
  }
  EXPECT_THAT(std::vector<std::string>(absl::StrSplit(log, '\n', absl::SkipEmpty())), SizeIs(1));
  EXPECT_THAT(log, HasSubstr(absl::StrCat("\"results\":", request_.networks_size())));
}

TEST_F(BatchHandlerTest, DeadlineThatHasPassedStopsIt) {
  request_.add_networks("x");
  const CallContext expired(absl::Now() - absl::Seconds(1));
  caller_.context = &expired;
  const absl::Status status = Batch().status;
  EXPECT_THAT(status, HasReason("DEADLINE_EXCEEDED"));
  EXPECT_THAT(status,
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("after 0 of 1 networks")));
  EXPECT_EQ(response_.results_size(), 0);
}

TEST_F(BatchHandlerTest, UrlsAreCountedWhenTheyAreSentAndNotBefore) {
  for (const char* network : {"x", "wechat"}) request_.add_networks(network);
  Ending ending = Batch();
  ASSERT_OK(ending.status);
  EXPECT_EQ(UrlsCounted(), 0);
  ASSERT_TRUE(ending.when_sent);
  ending.when_sent();
  EXPECT_EQ(UrlsCounted(), 2);
}

TEST_F(BatchHandlerTest, WhatNobodyWaitsForAnyMoreIsNeitherMintedNorCounted) {
  for (const char* network : {"x", "reddit"}) request_.add_networks(network);
  CallContext context(absl::InfiniteFuture());
  caller_.context = &context;
  int drawn = 0;
  // The caller goes away while the first URL is made.
  const AuthUrlService service = Service([&](std::span<uint8_t> out) {
    FillRandom(out);
    ++drawn;
    context.Cancel();
  });
  const auto answer = service.BatchGetAuthUrls(caller_, request_, response_);
  const Ending* ending = std::get_if<Ending>(&answer);
  ASSERT_NE(ending, nullptr);
  EXPECT_THAT(ending->status, HasReason("CALL_CANCELLED"));
  EXPECT_FALSE(ending->when_sent);
  EXPECT_EQ(response_.results_size(), 1);
}

TEST_F(BatchHandlerTest, StatesThatCanNotBeStoredFailTheirOwnResultsOnly) {
  for (const char* network : {"x", "wechat", "reddit"}) request_.add_networks(network);
  const AuthUrlService service = Service();
  auto answer = service.BatchGetAuthUrls(caller_, request_, response_);
  // All is minted, nothing is stored.
  for (const auto& result : response_.results()) EXPECT_TRUE(result.has_auth_url());
  ASSERT_EQ(answer.index(), 1u);
  std::filesystem::rename(folder_.database(), folder_.database() + ".away");
  Ending ending = std::get<1>(answer)(response_);
  ASSERT_OK(ending.status);
  EXPECT_TRUE(response_.results(0).has_auth_url());
  EXPECT_THAT(ErrorOf(response_.results(1)), HasReason("STORAGE_UNAVAILABLE"));
  EXPECT_TRUE(response_.results(2).has_auth_url());
  ending.when_sent();
  EXPECT_EQ(UrlsCounted(), 2);
}

TEST_F(BatchHandlerTest, StoredStateOfGetAuthUrlIsMintedOnceAndOnlyStoredWhereItMayWait) {
  int drawn = 0;
  const AuthUrlService service = Service([&](std::span<uint8_t> out) {
    FillRandom(out);
    ++drawn;
  });
  v1::GetAuthUrlRequest request;
  request.set_network("wechat");
  EXPECT_FALSE(service.LookUpInMemory(caller_, request).has_value());
  ASSERT_OK(service.LookUp(caller_, request));
  EXPECT_EQ(drawn, 0);
  const auto found = service.LookUpInMemory(caller_, request);
  ASSERT_TRUE(found.has_value());
  ASSERT_OK(*found);
  v1::GetAuthUrlResponse response;
  auto answer = service.Mint(caller_, **found, response);
  const int drawn_by_minting = drawn;
  EXPECT_GT(drawn_by_minting, 0);
  const std::string minted = response.auth_url();
  const std::string state = minted.substr(minted.find("state=") + 6);
  const std::string reference = state.substr(0, state.find_first_of("&#"));
  EXPECT_THAT(store_->GetAuthState(kNoLimit, reference), HasReason("AUTH_STATE_NOT_FOUND"));
  ASSERT_EQ(answer.index(), 1u);
  const Ending ending = std::get<1>(answer)(response);
  EXPECT_OK(ending.status);
  EXPECT_EQ(drawn, drawn_by_minting);
  EXPECT_EQ(response.auth_url(), minted);
  EXPECT_OK(store_->GetAuthState(kNoLimit, reference));
}

TEST_F(BatchHandlerTest, StateOfACallerWhoHasGoneIsNotStored) {
  request_.add_networks("wechat");
  CallContext context(absl::InfiniteFuture());
  caller_.context = &context;
  const AuthUrlService service = Service();
  auto answer = service.BatchGetAuthUrls(caller_, request_, response_);
  ASSERT_EQ(answer.index(), 1u);
  context.Cancel();
  (void)std::get<1>(answer)(response_);
  EXPECT_THAT(ErrorOf(response_.results(0)), HasReason("CALL_CANCELLED"));
}

// As many of the longest results as a batch can have.
TEST(BatchReplyTest, IsNeverTooLargeToSend) {
  v1::BatchGetAuthUrlsResponse response;
  for (int i = 0; i < kMaxBatchNetworks; ++i) {
    auto& result = *response.add_results();
    result.set_network(std::string(32, 'n'));
    result.set_instance(std::string(253, 'i'));
    result.set_social_network_id(std::string(64, 's'));
    result.set_configuration_name(std::string(256, 'c'));
    result.mutable_auth_url()->set_auth_url(std::string(kMaxAuthUrlBytes, 'u'));
    result.mutable_auth_url()->mutable_expires_at()->set_seconds(int64_t{1} << 40);
    result.mutable_auth_url()->set_flow_id(std::string(kMaxFlowIdChars, 'f'));
  }
  EXPECT_LT(response.ByteSizeLong(), kMaxReplyBytes / 2);

  FieldViolations violations;
  for (int i = 0; i < 1000; ++i) {
    violations.Add(absl::StrCat("scopes[", i, "]"), std::string(200, 'w'));
  }
  for (auto& result : *response.mutable_results()) {
    *result.mutable_error() = ToRpcStatus(violations.ToStatus());
  }
  EXPECT_LT(response.ByteSizeLong(), kMaxReplyBytes / 2);
}

}  // namespace
}  // namespace authurl::testing
