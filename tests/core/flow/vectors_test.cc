// What is sent to every network, byte for byte, and what its answers mean: vectors/README.md.

#include "tests/core/flow/vectors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <list>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/catalog/network_entry.h"
#include "core/catalog/network_rules.h"
#include "core/errors.h"
#include "core/flow/account_choices.h"
#include "core/flow/id_token.h"
#include "core/flow/profile.h"
#include "core/flow/token_request.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;

class VectorsTest : public ::testing::TestWithParam<Vector> {
 protected:
  VectorsTest() : flow_(GetParam()) {}

  // The step of that name in the vector; null where it has none.
  const Json* Step(const std::string& name) const {
    return flow_.json().contains(name) ? &flow_.json()[name] : nullptr;
  }

  static void ExpectRequest(const Json& expected, const absl::StatusOr<HttpRequest>& made) {
    ASSERT_OK(made);
    EXPECT_EQ(made->method, expected.value("method", "GET"));
    EXPECT_EQ(made->url, expected.at("url").get<std::string>());
    EXPECT_EQ(made->body, expected.value("body", ""));
    std::map<std::string, std::string> headers;
    for (const HttpHeader& header : made->headers) {
      EXPECT_TRUE(headers.emplace(header.name, header.value).second) << header.name;
    }
    std::map<std::string, std::string> expected_headers = {{"Accept", "application/json"}};
    for (const auto& [name, value] : ObjectOf(expected, "headers").items()) {
      expected_headers[name] = value.get<std::string>();
    }
    EXPECT_EQ(headers, expected_headers);
  }

  HttpResponse ResponseOf(const Json& answer) {
    bodies_.push_back(flow_.BodyOf(answer));
    return {.status = answer.value("status", 200), .body = bodies_.back()};
  }

  using Read = std::function<absl::Status(const HttpResponse&)>;
  // Each answer of that list yields this reason.
  void ExpectErrors(const Json& step, const std::string& list, const std::string& reason,
                    const Read& read) {
    for (const Json& answer : ListOf(step, list)) {
      const absl::Status status = read(ResponseOf(answer));
      EXPECT_EQ(ReasonOf(status), reason) << list << " " << answer.dump() << ": " << status;
      for (const absl::string_view secret : {kCode, kClientSecret, kAccessToken, kRefreshToken}) {
        EXPECT_FALSE(absl::StrContains(status.message(), secret)) << status;
      }
    }
  }

  static std::map<std::string, std::string> Texts(const Json& object) {
    std::map<std::string, std::string> texts;
    for (const auto& [name, value] : object.items()) texts[name] = value.get<std::string>();
    return texts;
  }

  void ExpectTokens(const Json& expected, const TokenSet& tokens) const {
    EXPECT_EQ(tokens.access_token, expected.at("access_token").get<std::string>());
    EXPECT_EQ(tokens.refresh_token, expected.value("refresh_token", ""));
    EXPECT_EQ(SecondsUntil(tokens.access_token_expires_at), expected.value("expires_in", -1));
    EXPECT_EQ(SecondsUntil(tokens.refresh_token_expires_at),
              expected.value("refresh_expires_in", -1));
    EXPECT_EQ(tokens.scopes.has_value(), expected.contains("scopes"));
    EXPECT_EQ(tokens.scopes.value_or(std::vector<std::string>()),
              expected.value("scopes", std::vector<std::string>()));
    EXPECT_EQ(tokens.subject, expected.value("subject", ""));
    EXPECT_EQ(tokens.kept, Texts(ObjectOf(expected, "kept")));
  }
  // What the exchange's first answer gave.
  TokenResponse First() {
    const Json& answer = flow_.json().at("exchange").at("success")[0];
    return ParseExchange(flow_.network(), ResponseOf(answer), kNow, secrets_).value();
  }
  // With what was known before in place of what the vector leaves out.
  static Json WithBefore(Json expected, const TokenSet& before) {
    if (!expected.contains("refresh_token")) expected["refresh_token"] = before.refresh_token;
    if (!expected.contains("scopes") && before.scopes) expected["scopes"] = *before.scopes;
    if (!expected.contains("subject")) expected["subject"] = before.subject;
    for (const auto& [name, value] : before.kept) {
      if (!ObjectOf(expected, "kept").contains(name)) expected["kept"][name] = value;
    }
    return expected;
  }
  static int64_t SecondsUntil(std::optional<absl::Time> time) {
    return time ? absl::ToInt64Seconds(*time - kNow) : -1;
  }

  static void ExpectProfile(const Json& expected, const ProfileData& profile) {
    EXPECT_EQ(profile.id, expected.at("id").get<std::string>());
    EXPECT_EQ(profile.username, expected.value("username", ""));
    EXPECT_EQ(profile.display_name, expected.value("display_name", ""));
    EXPECT_EQ(profile.avatar_url, expected.value("avatar_url", ""));
  }

  const std::vector<absl::string_view> secrets_ = {kCode, kClientSecret, kAccessToken,
                                                   kRefreshToken};
  const VectorFlow flow_;
  std::list<std::string> bodies_;
};

TEST_P(VectorsTest, TheCodeIsExchanged) {
  const Json* const step = Step("exchange");
  ASSERT_NE(step, nullptr);
  ExpectRequest(step->at("request"),
                BuildExchange(flow_.network(), flow_.client(), flow_.ExchangeValues()));
  EXPECT_THAT(step->at("success"), Not(IsEmpty()));
  for (const Json& answer : step->at("success")) {
    const auto response = ParseExchange(flow_.network(), ResponseOf(answer), kNow, secrets_);
    ASSERT_OK(response) << answer.dump();
    ExpectTokens(answer.at("tokens"), response->tokens);
  }
  const auto read = [&](const HttpResponse& response) {
    return ParseExchange(flow_.network(), response, kNow, secrets_).status();
  };
  ExpectErrors(*step, "code_rejected", "CODE_REJECTED", read);
  ExpectErrors(*step, "client_rejected", "CLIENT_REJECTED", read);
  ExpectErrors(*step, "try_again", "NETWORK_UNAVAILABLE", read);
  ExpectErrors(*step, "refused", "NETWORK_REFUSED", read);
}

TEST_P(VectorsTest, ATokenIsMadeToLiveLong) {
  const Json* const step = Step("long_lived");
  ASSERT_EQ(step != nullptr, flow_.network().has_long_lived());
  if (step == nullptr) return;
  ExpectRequest(step->at("request"),
                BuildLongLived(flow_.network(), flow_.client(), flow_.LaterValues(*step)));
  const auto parse = [&](const HttpResponse& response) {
    return ParseLongLived(flow_.network(), First(), response, kNow, secrets_);
  };
  const TokenSet before = First().tokens;
  EXPECT_THAT(step->at("success"), Not(IsEmpty()));
  for (const Json& answer : step->at("success")) {
    const auto response = parse(ResponseOf(answer));
    ASSERT_OK(response) << answer.dump();
    ExpectTokens(WithBefore(answer.at("tokens"), before), response->tokens);
  }
  const auto read = [&](const HttpResponse& response) { return parse(response).status(); };
  ExpectErrors(*step, "refresh_dead", "REFRESH_DEAD", read);
  ExpectErrors(*step, "client_rejected", "CLIENT_REJECTED", read);
  ExpectErrors(*step, "try_again", "NETWORK_UNAVAILABLE", read);
  ExpectErrors(*step, "refused", "NETWORK_REFUSED", read);
}

TEST_P(VectorsTest, TokensAreRefreshed) {
  const Json* const step = Step("refresh");
  ASSERT_EQ(step != nullptr, flow_.network().has_refresh());
  if (step == nullptr) return;
  ExpectRequest(step->at("request"),
                BuildRefresh(flow_.network(), flow_.client(), flow_.LaterValues(*step)));
  TokenSet before = First().tokens;
  const bool has_none =
      flow_.network().refresh().rotation() == catalog::v1::Refresh::ROTATION_NO_REFRESH_TOKEN;
  before.refresh_token = has_none ? "" : std::string(kRefreshToken);
  before.refresh_token_expires_at = std::nullopt;
  const auto parse = [&](const HttpResponse& response) {
    return ParseRefresh(flow_.network(), before, response, kNow, secrets_);
  };
  EXPECT_THAT(step->at("success"), Not(IsEmpty()));
  for (const Json& answer : step->at("success")) {
    const auto tokens = parse(ResponseOf(answer));
    ASSERT_OK(tokens) << answer.dump();
    ExpectTokens(WithBefore(answer.at("tokens"), before), *tokens);
  }
  const auto read = [&](const HttpResponse& response) { return parse(response).status(); };
  ExpectErrors(*step, "refresh_dead", "REFRESH_DEAD", read);
  ExpectErrors(*step, "client_rejected", "CLIENT_REJECTED", read);
  ExpectErrors(*step, "try_again", "NETWORK_UNAVAILABLE", read);
  ExpectErrors(*step, "refused", "NETWORK_REFUSED", read);
}

TEST_P(VectorsTest, TheProfileIsRead) {
  const Json* const step = Step("profile");
  ASSERT_EQ(step != nullptr, flow_.network().has_profile());
  if (step == nullptr) return;
  const FlowValues values = flow_.LaterValues(*step);
  const std::string subject = values.Find("subject").value_or("");
  const Answer callback = flow_.Callback();
  const Json& exchange = flow_.json().at("exchange");
  const auto response =
      ParseExchange(flow_.network(), ResponseOf(exchange.at("success")[0]), kNow, secrets_);
  ASSERT_OK(response);
  absl::StatusOr<Answer> claims = Answer();
  if (flow_.json().contains("id_token")) {
    ASSERT_TRUE(flow_.network().has_open_id());
    claims = CheckIdToken(flow_.network(), flow_.settings(), flow_.IdToken(),
                          flow_.network().open_id().nonce() ? "nonce-1" : "", kNow);
    ASSERT_OK(claims);
  }
  const Answer kept = Answer::OfParameters(response->tokens.kept);
  const Sources sources = {
      .token = &response->answer, .id_token = &*claims, .callback = &callback, .kept = &kept};
  if (!AsksForProfile(flow_.network())) {
    ASSERT_FALSE(step->contains("request"));
    const auto profile = ReadProfile(flow_.network(), sources, subject);
    ASSERT_OK(profile);
    return ExpectProfile(step->at("success")[0].at("profile"), *profile);
  }
  ExpectRequest(step->at("request"), BuildProfileRequest(flow_.network(), flow_.client(), values));
  const auto parse = [&](const HttpResponse& answer) {
    return ParseProfile(flow_.network(), answer, sources, subject, secrets_);
  };
  EXPECT_THAT(step->at("success"), Not(IsEmpty()));
  for (const Json& answer : step->at("success")) {
    const auto profile = parse(ResponseOf(answer));
    ASSERT_OK(profile) << answer.dump();
    ExpectProfile(answer.at("profile"), *profile);
  }
  const auto read = [&](const HttpResponse& answer) { return parse(answer).status(); };
  ExpectErrors(*step, "token_rejected", "ACCESS_TOKEN_DEAD", read);
  ExpectErrors(*step, "scope_missing", "SCOPE_MISSING", read);
  ExpectErrors(*step, "try_again", "NETWORK_UNAVAILABLE", read);
  ExpectErrors(*step, "not_an_account", "NOT_AN_ACCOUNT", read);
  ExpectErrors(*step, "refused", "NETWORK_REFUSED", read);
}

TEST_P(VectorsTest, AccountsAreListed) {
  const Json* const step = Step("accounts");
  ASSERT_EQ(step != nullptr, flow_.network().has_accounts());
  if (step == nullptr) return;
  FlowValues values = flow_.LaterValues(*step);
  Answer parent;
  if (flow_.network().accounts().has_parents()) {
    const Json& parents = step->at("parents");
    const auto request =
        BuildParentsRequest(flow_.network(), flow_.client(), values, /*next=*/nullptr);
    ExpectRequest(parents.at("request"), request);
    ASSERT_OK(request);
    for (const Json& answer : parents.at("success")) {
      auto page = ParseParents(flow_.network(), *request, ResponseOf(answer), 0, secrets_);
      ASSERT_OK(page);
      std::vector<std::string> found;
      for (const ParentAccount& one : page->parents) {
        found.insert(found.end(), one.values.begin(), one.values.end());
      }
      EXPECT_EQ(found, answer.at("values").get<std::vector<std::string>>());
      ASSERT_FALSE(page->parents.empty());
      values.Set("parent", page->parents[0].values[0]);
      parent = std::move(page->parents[0].element);
    }
  }
  const auto request =
      BuildAccountsRequest(flow_.network(), flow_.client(), values, /*next=*/nullptr);
  ExpectRequest(step->at("request"), request);
  ASSERT_OK(request);
  const Answer kept = Answer::OfParameters(flow_.Kept());
  const auto parse = [&](const HttpResponse& response) {
    return ParseAccounts(flow_.network(), *request, response, 0, {.parent = &parent, .kept = &kept},
                         secrets_);
  };
  EXPECT_THAT(step->at("success"), Not(IsEmpty()));
  for (const Json& answer : step->at("success")) {
    const auto page = parse(ResponseOf(answer));
    ASSERT_OK(page) << answer.dump();
    const Json& expected = answer.at("accounts");
    ASSERT_EQ(page->accounts.size(), expected.size()) << answer.dump();
    for (size_t i = 0; i < expected.size(); ++i) {
      ExpectProfile(expected[i], page->accounts[i].profile);
      EXPECT_EQ(page->accounts[i].access_token, expected[i].value("access_token", ""));
    }
    std::string next_url;
    if (page->next) {
      const auto next = BuildAccountsRequest(flow_.network(), flow_.client(), values, &*page->next);
      ASSERT_OK(next);
      next_url = next->url;
    }
    EXPECT_EQ(next_url, answer.value("next", ""));
  }
  const auto read = [&](const HttpResponse& response) { return parse(response).status(); };
  ExpectErrors(*step, "token_rejected", "ACCESS_TOKEN_DEAD", read);
  ExpectErrors(*step, "scope_missing", "SCOPE_MISSING", read);
  ExpectErrors(*step, "try_again", "NETWORK_UNAVAILABLE", read);
  ExpectErrors(*step, "refused", "NETWORK_REFUSED", read);
}

TEST_P(VectorsTest, TheTokenIsRevoked) {
  const Json* const step = Step("revocation");
  ASSERT_EQ(step != nullptr, flow_.network().has_revocation());
  if (step == nullptr) return;
  ExpectRequest(step->at("request"),
                BuildRevocation(flow_.network(), flow_.client(), flow_.LaterValues(*step)));
  const auto read = [&](const HttpResponse& response) {
    return ParseRevocation(flow_.network(), response, secrets_);
  };
  EXPECT_THAT(step->at("success"), Not(IsEmpty()));
  for (const Json& answer : step->at("success")) {
    EXPECT_OK(read(ResponseOf(answer))) << answer.dump();
  }
  ExpectErrors(*step, "client_rejected", "CLIENT_REJECTED", read);
  ExpectErrors(*step, "try_again", "NETWORK_UNAVAILABLE", read);
  ExpectErrors(*step, "refused", "NETWORK_REFUSED", read);
}

// Whatever is missing, of another type, or not even JSON: an error with the network's name.
TEST_P(VectorsTest, WhatIsNoAnswerIsAnErrorWithTheNetworksName) {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  const std::vector<std::string> bodies = {"",
                                           "{}",
                                           "[]",
                                           "null",
                                           "1",
                                           "\"text\"",
                                           "<html><body>Sorry</body></html>",
                                           "{\"access",
                                           deep,
                                           R"({"access_token":null})",
                                           R"({"access_token":""})",
                                           R"({"access_token":{}})",
                                           R"({"access_token":[1]})",
                                           R"({"data":{}})",
                                           R"({"data":[]})",
                                           "\xff\xfe",
                                           "a=b&c=d",
                                           std::string(size_t{1} << 20, ' ') + "{}",
                                           R"({"error":{}})",
                                           R"({"error":[[]]})"};
  for (const std::string& body : bodies) {
    for (const int status : {200, 400, 500}) {
      const HttpResponse response = {.status = status, .body = body};
      const auto parsed = ParseExchange(flow_.network(), response, kNow, secrets_);
      ASSERT_FALSE(parsed.ok()) << body.substr(0, 100);
      EXPECT_FALSE(ReasonOf(parsed.status()).empty()) << parsed.status();
      EXPECT_TRUE(absl::StrContains(parsed.status().message(), flow_.network().display_name()))
          << parsed.status();
      if (AsksForProfile(flow_.network())) {
        const auto profile = ParseProfile(flow_.network(), response, Sources(), "", secrets_);
        ASSERT_FALSE(profile.ok()) << body.substr(0, 100);
        EXPECT_FALSE(ReasonOf(profile.status()).empty()) << profile.status();
      }
    }
  }
}

// Takes each member out of `tree` in turn.
void ForEachDrop(Json& root, Json& tree, const std::function<void(const Json&)>& visit) {
  if (!tree.is_structured()) return;
  if (tree.is_object()) {
    std::vector<std::string> names;
    for (const auto& [name, value] : tree.items()) names.push_back(name);
    for (const std::string& name : names) {
      const Json kept = tree;
      tree.erase(name);
      visit(root);
      tree = kept;
      tree[name] = Json::array({Json::object()});
      visit(root);
      tree = kept;
      ForEachDrop(root, tree[name], visit);
    }
  } else {
    for (Json& element : tree) ForEachDrop(root, element, visit);
  }
}

// Without a field, or with one of another type, an answer yields the same, less, or an error with a
// reason; it is never taken for more.
TEST_P(VectorsTest, AnAnswerWithoutAFieldIsReadOrRefused) {
  const Json& exchange = flow_.json().at("exchange");
  for (const Json& answer : exchange.at("success")) {
    if (answer.at("body").is_string()) continue;
    Json body = Json::parse(flow_.BodyOf(answer));
    ForEachDrop(body, body, [&](const Json& dropped) {
      const std::string text = dropped.dump();
      const auto parsed =
          ParseExchange(flow_.network(), {.status = 200, .body = text}, kNow, secrets_);
      if (parsed.ok()) {
        EXPECT_EQ(parsed->tokens.access_token, answer.at("tokens").at("access_token"));
      } else {
        EXPECT_FALSE(ReasonOf(parsed.status()).empty()) << text << parsed.status();
      }
    });
  }
  if (!AsksForProfile(flow_.network())) return;
  for (const Json& answer : flow_.json().at("profile").at("success")) {
    if (answer.at("body").is_string()) continue;
    Json body = answer.at("body");
    ForEachDrop(body, body, [&](const Json& dropped) {
      const std::string text = dropped.dump();
      const auto parsed =
          ParseProfile(flow_.network(), {.status = 200, .body = text}, Sources(), "", secrets_);
      if (parsed.ok()) {
        EXPECT_FALSE(parsed->id.empty());
      } else {
        EXPECT_FALSE(ReasonOf(parsed.status()).empty()) << text << parsed.status();
      }
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, VectorsTest, ::testing::ValuesIn(AllVectors()),
                         [](const auto& vector) {
                           return absl::StrReplaceAll(vector.param.title, {{"/", "_"}});
                         });

TEST(VectorFilesTest, HaveEveryNetworkThatCanBeCompleted) {
  std::set<std::string> written;
  for (const Vector& vector : AllVectors()) {
    written.insert(vector.name);
  }
  std::set<std::string> needed;
  const auto catalog = NetworkCatalog::Parse(BuiltInNetworksText());
  ASSERT_OK(catalog);
  for (const catalog::v1::Network* network : catalog->networks()) {
    if (network->has_exchange()) needed.insert(network->id());
    for (const auto& variant : network->variants()) {
      if (!catalog->FindVariant(network->id(), variant.id())->has_exchange()) continue;
      needed.insert(absl::StrCat(network->id(), "/", variant.id()));
    }
  }
  EXPECT_EQ(written, needed);
}

// An app without a secret proves itself otherwise, or not at all.
TEST(VectorFilesTest, HaveAnAppWithoutASecretWhereverTheNetworkTakesOne) {
  std::set<std::string> written;
  for (const Vector& vector : AllVectors()) {
    const auto settings = vector.json.find("settings");
    if (settings == vector.json.end()) continue;
    const auto secret = settings->find("client_secret");
    if (secret != settings->end() && secret->is_null()) written.insert(vector.name);
  }
  std::set<std::string> needed;
  const auto catalog = NetworkCatalog::Parse(BuiltInNetworksText());
  ASSERT_OK(catalog);
  const auto need = [&](const catalog::v1::Network& network, const std::string& name) {
    if (network.has_exchange() && TakesPublicClients(network)) needed.insert(name);
  };
  for (const catalog::v1::Network* network : catalog->networks()) {
    need(*network, network->id());
    for (const auto& variant : network->variants()) {
      need(*catalog->FindVariant(network->id(), variant.id()),
           absl::StrCat(network->id(), "/", variant.id()));
    }
  }
  EXPECT_EQ(written, needed);
}

}  // namespace
}  // namespace authurl::testing
