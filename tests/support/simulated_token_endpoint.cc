#include "tests/support/simulated_token_endpoint.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "core/crypto/crypto.h"
#include "tests/support/simulated_id_token.h"
#include "tests/support/vector_text.h"

namespace authurl::testing {

SimulatedTokenEndpoint::SimulatedTokenEndpoint(const VectorFlow& flow,
                                               const record::v1::SocialNetworkSettings& settings,
                                               const VectorAnswers& answers,
                                               SimulatedGrants& grants, Clock clock)
    : flow_(flow),
      settings_(settings),
      answers_(answers),
      grants_(grants),
      clock_(std::move(clock)) {}

ServedAnswer SimulatedTokenEndpoint::Exchange(const RecognizedRequest& what) {
  const std::optional<size_t> index = grants_.FindCode(what.Value("code"));
  if (!index) return VectorError(flow_, NetworkStep::kExchange, "code_rejected");
  SimulatedGrant& grant = grants_.at(*index);
  const auto is = [&](const char* name, const std::string& expected) {
    const auto value = what.values.find(name);
    return value == what.values.end() || value->second == expected;
  };
  const auto hash = Sha256(what.Value("code_verifier"));
  const bool is_hex =
      network().pkce().challenge_encoding() == catalog::v1::Pkce::CHALLENGE_ENCODING_HEX;
  const std::string challenge = is_hex ? HexEncode(AsChars(hash)) : Base64UrlEncode(AsChars(hash));
  const bool is_good = !grant.code_was_used && !grant.has_ended &&
                       is("redirect_uri", grant.redirect_uri) && is("state", grant.state) &&
                       (grant.code_challenge.empty() || grant.code_challenge == challenge);
  grant.code_was_used = true;
  if (!is_good) return VectorError(flow_, NetworkStep::kExchange, "code_rejected");
  if (network().one_grant_per_person()) grants_.EndOthersThan(*index);
  return HandOut(NetworkStep::kExchange, *index, nullptr);
}

ServedAnswer SimulatedTokenEndpoint::LongLived(const RecognizedRequest& what) {
  const SimulatedToken* const token = grants_.LiveToken(what);
  if (token == nullptr) return VectorError(flow_, NetworkStep::kLongLived, "refresh_dead");
  return HandOut(NetworkStep::kLongLived, token->grant, nullptr);
}

ServedAnswer SimulatedTokenEndpoint::Refresh(const RecognizedRequest& what) {
  const bool by_access_token = what.values.count("refresh_token") == 0;
  SimulatedToken* const token =
      grants_.FindToken(what.Value(by_access_token ? "access_token" : "refresh_token"));
  if (token == nullptr || token->is_refresh_token == by_access_token) {
    return VectorError(flow_, NetworkStep::kRefresh, "refresh_dead");
  }
  if (!grants_.IsGood(*token)) {
    if (network().refresh().reuse_ends_grant()) grants_.at(token->grant).has_ended = true;
    return VectorError(flow_, NetworkStep::kRefresh, "refresh_dead");
  }
  return HandOut(NetworkStep::kRefresh, token->grant, token);
}

ServedAnswer SimulatedTokenEndpoint::Revocation(const RecognizedRequest& what) {
  const bool shows_refresh_token = what.values.count("refresh_token") > 0;
  // In its place, where there is none, an access token may be shown.
  SimulatedToken* const token = shows_refresh_token ? grants_.FindToken(what.Value("refresh_token"))
                                                    : grants_.LiveToken(what);
  if (token == nullptr || !grants_.IsGood(*token)) {
    const Json& successes = JsonOfStep(flow_, NetworkStep::kRevocation)->at("success");
    const Json& answer = successes.at(successes.size() > 1 ? 1 : 0);
    return ServedOf(answer.value("status", 200), ParsedBody(answer));
  }
  const bool ends_all =
      network().revocation().ends() == catalog::v1::Revocation::ENDS_ALL_OF_PERSON;
  grants_.at(token->grant).has_ended = true;
  if (ends_all) grants_.EndAll();
  const Json& answer = answers_.SuccessOf(NetworkStep::kRevocation);
  return ServedOf(answer.value("status", 200), ParsedBody(answer));
}

ServedAnswer SimulatedTokenEndpoint::HandOut(NetworkStep step, size_t grant_index,
                                             SimulatedToken* shown) {
  SimulatedGrant& grant = grants_.at(grant_index);
  const Json& success = answers_.SuccessOf(step);
  const Json& told = success.at("tokens");
  Json body = ParsedBody(success);
  SimulatedToken access = {.grant = grant_index};
  access.is_short_lived = step == NetworkStep::kExchange && network().has_long_lived();
  const std::string access_token = grants_.AddToken("at", access);
  FoundValues made = {{"{id_token}", SimulatedIdToken(flow_, settings_, grant.nonce, clock_())},
                      {told.at("access_token").get<std::string>(), access_token}};
  const std::string refresh_token = told.value("refresh_token", "");
  if (!refresh_token.empty() && HasText(body, refresh_token)) {
    const catalog::v1::Refresh& rules = network().refresh();
    const std::string before =
        answers_.SuccessOf(NetworkStep::kExchange).at("tokens").value("refresh_token", "");
    const bool is_new_one = rules.rotation() == catalog::v1::Refresh::ROTATION_ALWAYS ||
                            (rules.rotation() != catalog::v1::Refresh::ROTATION_NEVER &&
                             refresh_token != before && refresh_token != kRefreshToken);
    if (shown == nullptr || is_new_one) {
      if (shown != nullptr && rules.single_use()) shown->is_dead = true;
      grant.refresh_token =
          grants_.AddToken("rt", {.grant = grant_index, .is_refresh_token = true});
    }
    made[refresh_token] = grant.refresh_token;
  }
  const bool asked_for_id_token =
      network().open_id().always() ||
      std::find(grant.scopes.begin(), grant.scopes.end(), "openid") != grant.scopes.end();
  if (step == NetworkStep::kExchange && network().has_open_id() && asked_for_id_token &&
      body.is_object() && !body.contains("id_token")) {
    body["id_token"] = "{id_token}";
  }
  ReplaceTexts(made, /*is_root=*/true, body);
  return ServedOf(success.value("status", 200), body);
}

}  // namespace authurl::testing
