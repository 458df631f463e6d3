// Every network's flow over real connections: from the URL that the person is shown, over what the
// browser brings back, to tokens, person and accounts; and what becomes of the network's faults.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "core/catalog/endpoint.h"
#include "core/crypto/key_ring.h"
#include "core/crypto/pkce.h"
#include "core/crypto/sealer.h"
#include "core/errors.h"
#include "core/flow/auth_url.h"
#include "core/flow/id_token.h"
#include "core/flow/token_request.h"
#include "server/flow/list_accounts.h"
#include "server/flow/read_consent.h"
#include "tests/core/flow/vectors.h"
#include "tests/support/fixed_random.h"
#include "tests/support/network_simulator.h"
#include "tests/support/notification.h"
#include "tests/support/outbound_fixture.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::_;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

using Step = NetworkStep;
using Fault = NetworkFault;

class SimulatedFlow : public OutboundTest {
 protected:
  explicit SimulatedFlow(const Vector& vector)
      : simulator_(authority_),
        network_(simulator_.Add(vector, {.clock = clock_, .pause = absl::Milliseconds(1)})),
        settings_(network_.settings()) {
    options_.connect_to = simulator_.address();
    options_.allow_local = true;  // Instances are hosts of strangers.
    options_.lookup = [](const std::string& host) -> absl::StatusOr<HostAddresses> {
      ADD_FAILURE() << host << " is looked up";
      return absl::NotFoundError("there is no such name");
    };
    settings_.set_org_id("acme");
    settings_.set_id("sn_0123456789abcdefghjk");
    settings_.set_version(1);
  }
  ~SimulatedFlow() override { EXPECT_THAT(simulator_.complaints(), IsEmpty()); }

  const Json& json() const { return network_.flow().json(); }
  const catalog::v1::Network& entry() const { return network_.network(); }
  OAuthClient client() const { return {.settings = settings_, .secret = network_.client_secret()}; }
  CallTarget Target() const {
    CallTarget target;
    target.network = entry().id();
    target.org_id = "acme";
    target.trust = HasInstances(entry()) ? HostTrust::kStranger : HostTrust::kCatalog;
    return target;
  }
  static Json FirstSuccess(const Json& step) { return step.at("success")[0]; }

  // A URL as a caller gets it.
  AuthUrl NewAuthUrl() {
    v1::GetAuthUrlRequest asked;
    asked.set_network(entry().id());
    // With a query of its own where the network takes one.
    asked.set_redirect_uri(entry().redirect_uri().no_query() ? "https://app.example.com/cb"
                                                             : "https://app.example.com/cb?x=1");
    const AuthRequest request = {&entry(), &asked};
    ChosenRedirectUri chosen;
    chosen.source = v1::PARAMETER_SOURCE_REQUEST;
    chosen.given = asked.redirect_uri();
    auto url = MintAuthUrl(sealer_, request, settings_, chosen, FillRandom, kNow, absl::Hours(1));
    EXPECT_OK(url);
    return *std::move(url);
  }

  // What came back, as far as it is an answer of this network's to that URL.
  absl::StatusOr<AuthorizationResponse> ReadResponse(const PersonReturned& returned) const {
    absl::StatusOr<AuthorizationResponse> response =
        ParseAuthorizationResponse(returned.response());
    if (!response.ok()) return response.status();
    for (const absl::Status& status :
         {ReadAsNetworkSends(entry(), *response), CheckIssuer(entry(), settings_, *response),
          CheckNetworkError(entry(), *response)}) {
      if (!status.ok()) return status;
    }
    return response;
  }
  absl::StatusOr<OpenedState> OpenStateOf(const AuthUrl& url,
                                          const AuthorizationResponse& response) const {
    if (!url.to_store) {
      return OpenAuthState(sealer_, response.Get("state"), kNow, "acme", entry().id());
    }
    return OpenStoredAuthState(sealer_, response.Get("state"), url.to_store->sealed, kNow, "acme",
                               entry().id());
  }
  CodeToExchange CodeOf(const AuthUrl& url, const PersonReturned& returned) const {
    CodeToExchange code;
    absl::StatusOr<AuthorizationResponse> response = ReadResponse(returned);
    EXPECT_OK(response);
    const absl::StatusOr<OpenedState> state = OpenStateOf(url, *response);
    EXPECT_OK(state);
    code.network = &entry();
    code.settings = settings_;
    code.client_secret = network_.client_secret();
    code.response = *std::move(response);
    code.redirect_uri = state->state.redirect_uri();
    const auto& scopes = entry().scopes().defaults();
    code.scopes.assign(scopes.begin(), scopes.end());
    if (entry().pkce().mode() != catalog::v1::Pkce::MODE_NONE) {
      code.code_verifier =
          DeriveCodeVerifier(*keys_.Find(state->key_id, Purpose::kCodeVerifier), state->nonce);
    }
    if (TakesNonce(entry(), scopes)) {
      code.id_token_nonce =
          DeriveIdTokenNonce(*keys_.Find(state->key_id, Purpose::kIdTokenNonce), state->nonce);
    }
    return code;
  }
  // Of a person who has just consented.
  CodeToExchange NewCode() {
    const AuthUrl url = NewAuthUrl();
    const absl::StatusOr<PersonReturned> returned = network_.Consent(url.url);
    EXPECT_OK(returned);
    return CodeOf(url, *returned);
  }

  ConsentResult Finish(CodeToExchange code,
                       const CallContext& context = CallContext::Background()) {
    Notification done;
    std::optional<ConsentResult> result;
    ReadConsent(Client(), std::move(code), context, clock_, [&](ConsentResult got) {
      result.emplace(std::move(got));
      done.Notify();
    });
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(kPatience));
    return *std::move(result);
  }
  ConsentResult FinishNew() { return Finish(NewCode()); }

  // The tokens are the vector's, but for the texts of those that were made afresh.
  void ExpectTokens(const Json& exchanged, const TokenSet& tokens) const {
    Json expected = exchanged;
    if (entry().has_long_lived()) {
      const Json second = FirstSuccess(json().at("long_lived")).at("tokens");
      expected.erase("expires_in");
      for (const auto& [name, value] : second.items()) expected[name] = value;
    }
    EXPECT_TRUE(network_.Takes(tokens.access_token));
    EXPECT_EQ(!tokens.refresh_token.empty(), expected.contains("refresh_token"));
    EXPECT_EQ(network_.Takes(tokens.refresh_token), expected.contains("refresh_token"));
    EXPECT_EQ(SecondsLeft(tokens.access_token_expires_at), expected.value("expires_in", -1));
    EXPECT_EQ(SecondsLeft(tokens.refresh_token_expires_at),
              expected.value("refresh_expires_in", -1));
    EXPECT_EQ(tokens.scopes.has_value(), expected.contains("scopes"));
    EXPECT_EQ(tokens.scopes.value_or(std::vector<std::string>()),
              expected.value("scopes", std::vector<std::string>()));
    EXPECT_EQ(tokens.subject, expected.value("subject", ""));
    std::map<std::string, std::string> kept;
    for (const auto& [name, value] : ObjectOf(expected, "kept").items()) {
      kept[name] = value.get<std::string>();
    }
    for (const std::string& name : entry().callback().kept()) {
      const Json& callback = ObjectOf(json(), "callback");
      if (callback.contains(name)) kept[name] = callback[name].get<std::string>();
    }
    EXPECT_EQ(tokens.kept, kept);
  }
  static void ExpectPerson(const Json& expected, const ProfileData& person) {
    EXPECT_EQ(person.id, expected.at("id").get<std::string>());
    EXPECT_EQ(person.username, expected.value("username", ""));
    EXPECT_EQ(person.display_name, expected.value("display_name", ""));
    EXPECT_EQ(person.avatar_url, expected.value("avatar_url", ""));
  }
  static int64_t SecondsLeft(std::optional<absl::Time> time) {
    return time ? absl::ToInt64Seconds(*time - kNow) : -1;
  }
  // The fault is the one that the entry knows by this answer; where the vector has none, any.
  void ExpectReason(Step step, Fault fault, const char* reason, const absl::Status& status) const {
    EXPECT_FALSE(status.ok());
    if (network_.Has(step, fault)) {
      EXPECT_THAT(status, HasReason(reason));
    } else {
      EXPECT_FALSE(ReasonOf(status).empty()) << status;
    }
  }

  FlowValues LaterValues(const Consent& consent) const {
    FlowValues values;
    values.Set("access_token", consent.tokens.access_token);
    values.Set("refresh_token", consent.tokens.refresh_token);
    values.Set("redirect_uri", kRedirectUri);
    values.Set("subject",
               consent.tokens.subject.empty() ? consent.person.id : consent.tokens.subject);
    for (const auto& [name, value] : consent.tokens.kept) {
      values.Set(absl::StrCat("kept.", name), value);
    }
    return values;
  }
  absl::StatusOr<TokenSet> RefreshTokens(const Consent& consent) {
    absl::StatusOr<HttpRequest> request = BuildRefresh(entry(), client(), LaterValues(consent));
    if (!request.ok()) return request.status();
    const absl::StatusOr<HttpAnswer> answer = Ask(*std::move(request), Target());
    if (!answer.ok()) return answer.status();
    return ParseRefresh(entry(), consent.tokens, answer->response(), kNow, {});
  }
  absl::Status RevokeTokens(const Consent& consent) {
    absl::StatusOr<HttpRequest> request = BuildRevocation(entry(), client(), LaterValues(consent));
    if (!request.ok()) return request.status();
    const absl::StatusOr<HttpAnswer> answer = Ask(*std::move(request), Target());
    if (!answer.ok()) return answer.status();
    return ParseRevocation(entry(), answer->response(), {});
  }

  const Clock clock_ = [] { return kNow; };
  const KeyRing keys_ = KeyRing::Parse(kZeroKeyRing).value();
  const Sealer sealer_{keys_};
  NetworkSimulator simulator_;
  SimulatedNetwork& network_;
  record::v1::SocialNetworkSettings settings_;
};

class NetworkSimulatorFlowTest : public SimulatedFlow,
                                 public ::testing::WithParamInterface<Vector> {
 protected:
  NetworkSimulatorFlowTest() : SimulatedFlow(GetParam()) {}
};

TEST_P(NetworkSimulatorFlowTest, GivesTokensPersonAndAccountsOfTheVectors) {
  const ConsentResult result = FinishNew();
  ASSERT_OK(result.consent);
  EXPECT_FALSE(result.unused.has_value());
  const Consent& consent = *result.consent;
  ExpectTokens(FirstSuccess(json().at("exchange")).at("tokens"), consent.tokens);
  const Json& profile = ObjectOf(json(), "profile");
  if (!profile.empty()) ExpectPerson(FirstSuccess(profile).at("profile"), consent.person);
  EXPECT_EQ(network_.requests(Step::kExchange), 1);
  EXPECT_EQ(network_.requests(Step::kLongLived), entry().has_long_lived() ? 1 : 0);
  EXPECT_EQ(network_.requests(Step::kProfile), profile.contains("request") ? 1 : 0);
  if (entry().accounts().when() != catalog::v1::Accounts::WHEN_CONNECTING) {
    EXPECT_THAT(consent.accounts, IsEmpty());
    EXPECT_EQ(network_.requests(Step::kAccounts), 0);
    return;
  }
  const Json expected = FirstSuccess(json().at("accounts")).at("accounts");
  ASSERT_THAT(consent.accounts, SizeIs(expected.size()));
  for (size_t i = 0; i < expected.size(); ++i) {
    ExpectPerson(expected[i], consent.accounts[i].profile);
    EXPECT_EQ(consent.accounts[i].access_token, expected[i].value("access_token", ""));
  }
  EXPECT_FALSE(consent.has_more_accounts);
}

TEST_P(NetworkSimulatorFlowTest, ReadsEveryAnswerOfTheVectors) {
  const Json& exchanged = json().at("exchange").at("success");
  for (size_t i = 1; i < exchanged.size(); ++i) {
    SCOPED_TRACE(absl::StrCat("exchange ", i));
    network_.UseAnswer(Step::kExchange, i);
    const ConsentResult result = FinishNew();
    // Of one that is there to show it.
    if (ReasonOf(result.consent.status()) == "NOT_AN_ACCOUNT") {
      EXPECT_THAT(entry().profile().not_an_account(), Not(IsEmpty()));
      continue;
    }
    ASSERT_OK(result.consent);
    ExpectTokens(exchanged[i].at("tokens"), result.consent->tokens);
  }
  network_.UseAnswer(Step::kExchange, 0);
  const Json& profile = ObjectOf(json(), "profile");
  if (!profile.contains("request")) return;
  for (size_t i = 1; i < profile.at("success").size(); ++i) {
    SCOPED_TRACE(absl::StrCat("profile ", i));
    network_.UseAnswer(Step::kProfile, i);
    const ConsentResult result = FinishNew();
    ASSERT_OK(result.consent);
    ExpectPerson(profile.at("success")[i].at("profile"), result.consent->person);
  }
}

TEST_P(NetworkSimulatorFlowTest, PersonMayDeny) {
  const AuthUrl url = NewAuthUrl();
  const absl::StatusOr<PersonReturned> denied = network_.Deny(url.url);
  ASSERT_OK(denied);
  EXPECT_THAT(ReadResponse(*denied), HasReason("USER_DENIED"));
  const auto busy = network_.Deny(url.url, "temporarily_unavailable");
  ASSERT_OK(busy);
  EXPECT_THAT(ReadResponse(*busy), HasReason("NETWORK_UNAVAILABLE"));
  EXPECT_EQ(simulator_.requests(), 0);
}

TEST_P(NetworkSimulatorFlowTest, TakesACodeOnceAndWithWhatBelongsToIt) {
  const AuthUrl url = NewAuthUrl();
  const absl::StatusOr<PersonReturned> returned = network_.Consent(url.url);
  ASSERT_OK(returned);
  const auto expect_rejected = [&](CodeToExchange code) {
    const ConsentResult result = Finish(std::move(code));
    ExpectReason(Step::kExchange, Fault::kGrantRejected, "CODE_REJECTED", result.consent.status());
    EXPECT_FALSE(result.unused.has_value());
  };
  // A client that is none uses nothing up.
  CodeToExchange of_another = CodeOf(url, *returned);
  of_another.settings.set_client_key("other/1");
  ExpectReason(Step::kExchange, Fault::kClientRejected, "CLIENT_REJECTED",
               Finish(std::move(of_another)).consent.status());
  const Json& exchange = json().at("exchange").at("request");
  const bool shows_secret = ObjectOf(exchange, "headers").contains("Authorization") ||
                            absl::StrContains(exchange.dump(), "s3cret");
  if (shows_secret) {
    CodeToExchange wrong = CodeOf(url, *returned);
    wrong.client_secret = "wrong";
    ExpectReason(Step::kExchange, Fault::kClientRejected, "CLIENT_REJECTED",
                 Finish(std::move(wrong)).consent.status());
  }
  EXPECT_OK(Finish(CodeOf(url, *returned)).consent);
  expect_rejected(CodeOf(url, *returned));

  CodeToExchange unknown = NewCode();
  unknown.response.parameters["code"] = "nobodys/+code";
  expect_rejected(std::move(unknown));
  if (absl::StrContains(exchange.dump(), "redirect_uri")) {
    CodeToExchange elsewhere = NewCode();
    elsewhere.redirect_uri = "https://app.example.com/other";
    expect_rejected(std::move(elsewhere));
  }
  if (entry().pkce().mode() != catalog::v1::Pkce::MODE_NONE) {
    CodeToExchange stolen = NewCode();
    stolen.code_verifier = "another-verifier-0123456789-0123456789-0123";
    expect_rejected(std::move(stolen));
  }
}

TEST_P(NetworkSimulatorFlowTest, FaultsAreErrorsAndUseNothingUp) {
  const AuthUrl url = NewAuthUrl();
  const absl::StatusOr<PersonReturned> returned = network_.Consent(url.url);
  ASSERT_OK(returned);
  const auto status_with = [&](Fault fault) {
    network_.SetFault(Step::kExchange, fault);
    const ConsentResult result = Finish(CodeOf(url, *returned));
    EXPECT_FALSE(result.consent.ok());
    EXPECT_FALSE(result.unused.has_value());
    return result.consent.status();
  };
  // First, while no connection is there that could be used again.
  const absl::Status refused = status_with(Fault::kRefuseConnection);
  EXPECT_THAT(refused, HasReason("NETWORK_UNAVAILABLE"));
  EXPECT_THAT(refused, IsSafeToRepeat());
  EXPECT_EQ(simulator_.requests(), 0);

  EXPECT_THAT(status_with(Fault::kStatus500), HasReason("NETWORK_UNAVAILABLE"));
  EXPECT_EQ(simulator_.requests(), 1);
  // Whoever followed it would come where nothing is.
  EXPECT_FALSE(ReasonOf(status_with(Fault::kRedirect)).empty());
  EXPECT_EQ(simulator_.requests(), 2);
  EXPECT_FALSE(ReasonOf(status_with(Fault::kErrorWithStatus200)).empty());
  ExpectReason(Step::kExchange, Fault::kTryAgain, "NETWORK_UNAVAILABLE",
               status_with(Fault::kTryAgain));
  ExpectReason(Step::kExchange, Fault::kRefused, "NETWORK_REFUSED", status_with(Fault::kRefused));
  ExpectReason(Step::kExchange, Fault::kGrantRejected, "CODE_REJECTED",
               status_with(Fault::kGrantRejected));

  network_.SetFault(Step::kExchange, Fault::kWrongContentType);
  EXPECT_OK(Finish(CodeOf(url, *returned)).consent);
}

TEST_P(NetworkSimulatorFlowTest, LostAnswersAreErrors) {
  const auto status_with = [&](Fault fault) {
    network_.SetFault(Step::kExchange, fault);
    return FinishNew().consent.status();
  };
  const absl::Status huge = status_with(Fault::kHuge);
  EXPECT_THAT(huge, IsUnavailable("too large"));
  EXPECT_THAT(huge, Not(IsSafeToRepeat()));
  const absl::Status hung_up = status_with(Fault::kHangUp);
  EXPECT_THAT(hung_up, HasReason("NETWORK_UNAVAILABLE"));
  EXPECT_THAT(hung_up, Not(IsSafeToRepeat()));
  const absl::Status broken = status_with(Fault::kBrokenJson);
  EXPECT_FALSE(broken.ok());
  EXPECT_FALSE(ReasonOf(broken).empty()) << broken;
  EXPECT_EQ(network_.requests(Step::kExchange), 3);
}

TEST_P(NetworkSimulatorFlowTest, WaitsNoLongerThanTheCaller) {
  network_.SetFault(Step::kExchange, Fault::kHang);
  CodeToExchange code = NewCode();
  const CallContext context(absl::Now() + absl::Milliseconds(50));
  EXPECT_THAT(Finish(std::move(code), context).consent,
              StatusIs(absl::StatusCode::kDeadlineExceeded, _));
}

// What was granted before a later step failed is handed back, and still good.
TEST_P(NetworkSimulatorFlowTest, FaultsOfLaterStepsLeaveAGrant) {
  std::vector<std::pair<Step, const char*>> steps;
  if (entry().has_long_lived()) steps.emplace_back(Step::kLongLived, "REFRESH_DEAD");
  if (ObjectOf(json(), "profile").contains("request")) {
    steps.emplace_back(Step::kProfile, "ACCESS_TOKEN_DEAD");
  }
  if (entry().accounts().when() == catalog::v1::Accounts::WHEN_CONNECTING) {
    if (entry().accounts().has_parents()) {
      steps.emplace_back(Step::kParents, "ACCESS_TOKEN_DEAD");
    }
    steps.emplace_back(Step::kAccounts, "ACCESS_TOKEN_DEAD");
  }
  for (const auto& [step, reason] : steps) {
    SCOPED_TRACE(std::string(NameOfStep(step)));
    network_.SetFault(step, Fault::kGrantRejected, 1);
    const ConsentResult result = FinishNew();
    ExpectReason(step, Fault::kGrantRejected, reason, result.consent.status());
    ASSERT_TRUE(result.unused.has_value());
    EXPECT_TRUE(network_.Takes(result.unused->access_token));
    network_.SetFault(step, Fault::kStatus500, 1);
    EXPECT_THAT(FinishNew().consent, HasReason("NETWORK_UNAVAILABLE"));
  }
  EXPECT_OK(FinishNew().consent);
}

TEST_P(NetworkSimulatorFlowTest, RefreshesAsTheEntrySays) {
  if (!entry().has_refresh()) GTEST_SKIP() << "it has no refresh";
  using catalog::v1::Refresh;
  const Refresh& rules = entry().refresh();
  const bool has_none = rules.rotation() == Refresh::ROTATION_NO_REFRESH_TOKEN;
  const Json& exchanged = json().at("exchange").at("success");
  size_t with_refresh_token = 0;
  while (!has_none && with_refresh_token < exchanged.size() &&
         !exchanged[with_refresh_token].at("tokens").contains("refresh_token")) {
    ++with_refresh_token;
  }
  if (with_refresh_token == exchanged.size()) GTEST_SKIP() << "no vector has a refresh token";
  network_.UseAnswer(Step::kExchange, with_refresh_token);
  ConsentResult result = FinishNew();
  ASSERT_OK(result.consent);
  Consent& consent = *result.consent;
  const std::string old_token = consent.tokens.refresh_token;
  const std::string old_access_token = consent.tokens.access_token;

  network_.SetFault(Step::kRefresh, Fault::kGrantRejected, 1);
  ExpectReason(Step::kRefresh, Fault::kGrantRejected, "REFRESH_DEAD",
               RefreshTokens(consent).status());
  const absl::StatusOr<TokenSet> fresh = RefreshTokens(consent);
  ASSERT_OK(fresh);
  EXPECT_TRUE(network_.Takes(fresh->access_token));
  EXPECT_NE(fresh->access_token, old_access_token);
  EXPECT_EQ(fresh->refresh_token.empty(), has_none);
  const bool is_new_one = fresh->refresh_token != old_token;
  if (rules.rotation() == Refresh::ROTATION_ALWAYS) {
    EXPECT_TRUE(is_new_one);
  }
  if (rules.rotation() == Refresh::ROTATION_NEVER) {
    EXPECT_FALSE(is_new_one);
  }
  if (has_none) return;
  EXPECT_TRUE(network_.Takes(fresh->refresh_token));
  // The old one again, as after an answer that was lost.
  const absl::Status again = RefreshTokens(consent).status();
  if (!rules.single_use() || !is_new_one) {
    EXPECT_OK(again);
    return;
  }
  ExpectReason(Step::kRefresh, Fault::kGrantRejected, "REFRESH_DEAD", again);
  EXPECT_EQ(network_.Takes(fresh->refresh_token), !rules.reuse_ends_grant());
}

TEST_P(NetworkSimulatorFlowTest, RevokesAsTheEntrySays) {
  if (!entry().has_revocation()) GTEST_SKIP() << "it has no revocation";
  const ConsentResult other = FinishNew();
  ASSERT_OK(other.consent);
  const ConsentResult result = FinishNew();
  ASSERT_OK(result.consent);
  EXPECT_OK(RevokeTokens(*result.consent));
  EXPECT_FALSE(network_.Takes(result.consent->tokens.access_token));
  const bool ends_all = entry().revocation().ends() == catalog::v1::Revocation::ENDS_ALL_OF_PERSON;
  EXPECT_EQ(network_.Takes(other.consent->tokens.access_token),
            !ends_all && !entry().one_grant_per_person());
  // It was revoked before.
  EXPECT_OK(RevokeTokens(*result.consent));
}

INSTANTIATE_TEST_SUITE_P(Networks, NetworkSimulatorFlowTest, ::testing::ValuesIn(PlayedVectors()),
                         [](const ::testing::TestParamInfo<Vector>& vector) {
                           return absl::StrReplaceAll(vector.param.title, {{"/", "_"}});
                         });

// Of one network, by its title.
template <const char* title>
class OneSimulatedFlow : public SimulatedFlow {
 protected:
  OneSimulatedFlow() : SimulatedFlow(TheVector()) {}

  static const Vector& TheVector() {
    for (const Vector& vector : AllVectors()) {
      if (vector.title == title) return vector;
    }
    ADD_FAILURE() << "no vector of " << title;
    return AllVectors().front();
  }
  void ExpectAccounts(size_t count) {
    const ConsentResult result = FinishNew();
    ASSERT_OK(result.consent);
    std::set<std::string> ids;
    for (const AccountChoice& account : result.consent->accounts) ids.insert(account.profile.id);
    EXPECT_THAT(ids, SizeIs(count));
    EXPECT_THAT(result.consent->accounts, SizeIs(count));
  }
};

constexpr char kFacebookTitle[] = "facebook";
using SimulatedFacebookTest = OneSimulatedFlow<kFacebookTitle>;

TEST_F(SimulatedFacebookTest, PagesGoOnByUrl) {
  network_.SetPages(3, 2);
  ExpectAccounts(6);
  EXPECT_EQ(network_.requests(Step::kAccounts), 3);
}

TEST_F(SimulatedFacebookTest, ListEndsWithTheFlowsBudget) {
  network_.SetPages(kMaxListRequests + 5, 2);
  const ConsentResult result = FinishNew();
  ASSERT_OK(result.consent);
  EXPECT_THAT(result.consent->accounts, SizeIs(kMaxListRequests * 2));
  EXPECT_TRUE(result.consent->has_more_accounts);
}

TEST_F(SimulatedFacebookTest, AnAnswerThatDripsEndsWithTheCaller) {
  network_.SetFault(Step::kExchange, Fault::kByteByByte);
  CodeToExchange code = NewCode();
  const CallContext context(absl::Now() + absl::Milliseconds(30));
  EXPECT_THAT(Finish(std::move(code), context).consent,
              StatusIs(absl::StatusCode::kDeadlineExceeded, _));
}

TEST_F(SimulatedFacebookTest, WhatHungMayStillBeAnswered) {
  network_.SetFault(Step::kExchange, Fault::kHang, 1);
  Notification done;
  absl::Status status;
  ReadConsent(Client(), NewCode(), CallContext::Background(), clock_, [&](ConsentResult got) {
    status = got.consent.status();
    done.Notify();
  });
  EXPECT_TRUE(network_.WaitForRequests(Step::kExchange, 1));
  EXPECT_FALSE(done.HasBeenNotified());
  network_.Release();
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(kPatience));
  EXPECT_OK(status);
}

TEST_F(SimulatedFacebookTest, ThePersonMayTakeEverythingBack) {
  const ConsentResult result = FinishNew();
  ASSERT_OK(result.consent);
  network_.EndGrants();
  EXPECT_FALSE(network_.Takes(result.consent->tokens.access_token));
  EXPECT_THAT(RefreshTokens(*result.consent), HasReason("REFRESH_DEAD"));
}

// They share hosts, and the exchange's URL.
TEST_F(SimulatedFacebookTest, SeveralNetworksAreServedAtOnce) {
  std::vector<SimulatedNetwork*> others;
  for (const Vector& vector : AllVectors()) {
    if (vector.name == "instagram/facebook_login") others.push_back(&simulator_.Add(vector));
  }
  ASSERT_THAT(others, SizeIs(1));
  EXPECT_OK(FinishNew().consent);
  EXPECT_EQ(network_.requests(Step::kExchange), 1);
  EXPECT_EQ(others[0]->requests(Step::kExchange), 0);
  EXPECT_EQ(others[0]->requests(Step::kAccounts), 0);
}

TEST_F(SimulatedFacebookTest, AnotherNetworksUrlIsNoPageOfIt) {
  const std::string url = NewAuthUrl().url;
  EXPECT_OK(network_.Consent(url));
  EXPECT_THAT(network_.Consent(absl::StrReplaceAll(url, {{"www.facebook.com", "facebook.test"}})),
              StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_THAT(network_.Consent(absl::StrReplaceAll(url, {{"state=", "estate="}})),
              StatusIs(absl::StatusCode::kInvalidArgument, _));
}

constexpr char kGoogleBusinessTitle[] = "google_business";
using SimulatedGoogleBusinessTest = OneSimulatedFlow<kGoogleBusinessTitle>;

TEST_F(SimulatedGoogleBusinessTest, PagesOfEachParentGoOnByCursor) {
  network_.SetPages(3, 2);
  ExpectAccounts(12);
  EXPECT_EQ(network_.requests(Step::kParents), 1);
  EXPECT_EQ(network_.requests(Step::kAccounts), 6);
}

constexpr char kLinkedInPageTitle[] = "linkedin/page";
using SimulatedLinkedInPageTest = OneSimulatedFlow<kLinkedInPageTitle>;

TEST_F(SimulatedLinkedInPageTest, PagesGoOnByNumber) {
  network_.SetPages(3, 2);
  ExpectAccounts(6);
  // The last one has nothing.
  EXPECT_EQ(network_.requests(Step::kAccounts), 4);
}

constexpr char kVkTitle[] = "vk";
using SimulatedVkTest = OneSimulatedFlow<kVkTitle>;

TEST_F(SimulatedVkTest, AllMayComeBackInOneParameter) {
  const AuthUrl url = NewAuthUrl();
  const auto returned = network_.Consent(url.url, {.packed = true});
  ASSERT_OK(returned);
  EXPECT_FALSE(absl::StrContains(returned->parameters, "state="));
  EXPECT_OK(Finish(CodeOf(url, *returned)).consent);
}

constexpr char kAppleTitle[] = "apple";
using SimulatedAppleTest = OneSimulatedFlow<kAppleTitle>;

TEST_F(SimulatedAppleTest, TheBrowserPostsAForm) {
  const AuthUrl url = NewAuthUrl();
  const auto returned = network_.Consent(url.url);
  ASSERT_OK(returned);
  EXPECT_TRUE(returned->is_form_post);
  EXPECT_EQ(returned->url(), returned->redirect_uri);
  EXPECT_OK(Finish(CodeOf(url, *returned)).consent);
}

constexpr char kMastodonTitle[] = "mastodon";
using SimulatedMastodonTest = OneSimulatedFlow<kMastodonTitle>;

// The same without TLS, and under the name of another instance.
TEST_F(SimulatedMastodonTest, IsServedByPlainHttpToo) {
  NetworkSimulator plain(authority_, HostileServer::Kind::kPlain);
  SimulatedNetwork& network = plain.Add(TheVector(), {.instance = "localhost"});
  options_.connect_to = plain.address();
  FlowValues values;
  for (const char* name : {"code", "redirect_uri", "code_verifier"}) values.Set(name, "nobodys");
  const OAuthClient own = {.settings = network.settings(), .secret = network.client_secret()};
  absl::StatusOr<HttpRequest> request = BuildExchange(entry(), own, values);
  ASSERT_OK(request);
  request->url = absl::StrReplaceAll(request->url, {{"https://", "http://"}});
  const absl::StatusOr<HttpAnswer> answer = Ask(*std::move(request), Target());
  ASSERT_OK(answer);
  EXPECT_EQ(answer->status, 400);
  EXPECT_TRUE(absl::StrContains(answer->body, "invalid_grant"));
  EXPECT_THAT(plain.complaints(), IsEmpty());
}

// What is not the vector's request, byte for byte but for the flow's values, is told.
TEST_F(SimulatedMastodonTest, ComplainsOfWhatIsNotTheVectors) {
  NetworkSimulator simulator(authority_);
  SimulatedNetwork& network = simulator.Add(TheVector());
  options_.connect_to = simulator.address();
  FlowValues values;
  for (const char* name : {"code", "redirect_uri", "code_verifier"}) values.Set(name, "nobodys");
  const auto make = [&] { return BuildExchange(entry(), client(), values).value(); };
  HttpRequest with_more = make();
  with_more.body += "&more=1";
  EXPECT_OK(Ask(std::move(with_more), Target()));
  HttpRequest by_get = make();
  by_get.method = "PUT";
  EXPECT_OK(Ask(std::move(by_get), Target()));
  HttpRequest with_header = make();
  with_header.headers.push_back({"Authorization", "Bearer x"});
  EXPECT_OK(Ask(std::move(with_header), Target()));
  EXPECT_THAT(simulator.complaints(), SizeIs(3));
  EXPECT_EQ(network.requests(Step::kExchange), 2);
}

}  // namespace
}  // namespace authurl::testing
