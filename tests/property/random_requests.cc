#include "tests/property/random_requests.h"

#include <cstdlib>
#include <iostream>
#include <set>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "core/catalog/pattern.h"
#include "core/field_rules.h"

namespace authurl::testing {
namespace {

using catalog::v1::Network;

constexpr absl::string_view kUnreserved =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

// ----------------------------------------------------------

// Text of all kinds: ASCII, and characters of two, three and four bytes.
std::string Unicode(Dice& dice, size_t max_characters) {
  std::string text;
  for (size_t left = 1 + dice.Below(max_characters); left > 0; --left) {
    absl::StrAppend(
        &text, dice.OneIn(2)
                   ? dice.Text(1, 1, kPrintableAscii)
                   : dice.Of({"\u00e9", "\u00df", "\u0130", "\u20ac", "\u4f8b", "\u200d", "\u2028",
                              "\ufeff", "\ufffd", "\U0001f600", "\U0010fffd", "e\u0301"}));
  }
  return text;
}

std::string EveryPrintable(Dice& dice) {
  std::string text(kPrintableAscii);
  dice.Shuffle(text);
  return text;
}

// Each character as it is where `raw` has it, and percent-encoded otherwise; now and then those
// that may be raw are encoded as well, but for the unreserved ones.
std::string ForUri(Dice& dice, absl::string_view text, absl::string_view raw) {
  std::string written;
  for (const char c : text) {
    const bool may_be_raw = absl::StrContains(raw, c);
    if (absl::StrContains(kUnreserved, c) || (may_be_raw && !dice.OneIn(8))) {
      written.push_back(c);
    } else {
      absl::StrAppend(&written, absl::StrFormat("%%%02X", static_cast<unsigned char>(c)));
    }
  }
  return written;
}

std::string RedirectUri(Dice& dice, const Network& network) {
  const auto& rules = network.redirect_uri();
  std::string base = dice.Of({"https://app.example.com", "https://app.example.com:8443",
                              "https://xn--bcher-kva.example", "https://a.b.c.d.example"});
  if (rules.http_loopback_ip() && dice.OneIn(3))
    base = dice.Of({"http://127.0.0.1:3000", "http://[::1]"});
  if (rules.http_localhost() && dice.OneIn(3)) base = "http://localhost:8080";
  const std::string text = dice.OneIn(3) ? dice.Text(0, 40, kPrintableAscii) : EveryPrintable(dice);
  // "z": so that no dot makes a segment of its own.
  if (rules.no_query()) return absl::StrCat(base, "/z", ForUri(dice, text, "!$&'()*+,;=:@"), "z");
  return absl::StrCat(base, "/callback?", ForUri(dice, text, "!$&()*+,;=:@/?"));
}

std::string ScopeToken(Dice& dice, const std::string& separator) {
  std::string token;
  while (token.empty()) {
    token = dice.OneIn(3) ? dice.Text(1, 30, kPrintableAscii) : dice.Text(1, 30, kAlphanumeric);
    // "," "+" and "%" join scopes somewhere.
    for (const absl::string_view refused :
         {absl::string_view(" "), absl::string_view("\""), absl::string_view("\\"),
          absl::string_view(","), absl::string_view("+"), absl::string_view("%"),
          absl::string_view(separator)}) {
      absl::StrReplaceAll({{refused, ""}}, &token);
    }
  }
  return token;
}

// Some that the network asks for by default or binds a parameter to, and some that nobody knows.
std::vector<std::string> Scopes(Dice& dice, const Network& network) {
  std::set<std::string> known(network.scopes().defaults().begin(),
                              network.scopes().defaults().end());
  for (const auto& param : network.fixed_params()) {
    known.insert(param.only_with_scopes().begin(), param.only_with_scopes().end());
  }
  for (const auto& param : network.configuration_params()) {
    known.insert(param.only_with_scopes().begin(), param.only_with_scopes().end());
  }
  std::set<std::string> scopes;
  for (const std::string& scope : known) {
    if (dice.OneIn(2)) scopes.insert(scope);
  }
  for (size_t more = dice.Below(4); more > 0; --more) {
    scopes.insert(ScopeToken(dice, network.scopes().separator()));
  }
  return {scopes.begin(), scopes.end()};
}

// Something of the pattern's format: one of its alternatives, or of the values that most take.
std::string MatchFor(Dice& dice, const std::string& pattern) {
  std::vector<std::string> values = absl::StrSplit(pattern, '|');
  for (const char* value : {"1", "123456789012345678", "a", "en", "_a1", "T0123456", "example.com",
                            "id.vk.com", "vk.ru", "a,1", "ABCDE12345", "CABCDEFGHIJKLMNO", "a@b.c",
                            "nextdoor.com", "v23.0", "{\"a b\": \"\u00e9&\"}"}) {
    values.emplace_back(value);
  }
  const size_t first = dice.Below(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const std::string& value = values[(first + i) % values.size()];
    if (MatchesInFull(value, pattern)) return value;
  }
  std::cerr << "FAILED: add a value of the format " << pattern << " to random_requests.cc\n";
  std::exit(1);
}

std::string ParameterName(Dice& dice) {
  // What comes first is no network's.
  return absl::StrCat("z", dice.OneIn(2) ? "_" : "-",
                      dice.Text(1, 20, absl::StrCat(kAlphanumeric, "_.-")));
}

void AddExtraParams(Dice& dice, const Network& network, v1::CreateSocialNetworkRequest& request) {
  auto& params = *request.mutable_extra_params();
  for (const auto& param : network.configuration_params()) {
    if (!param.required() && dice.OneIn(2)) continue;
    params[param.name()] = MatchFor(dice, param.pattern());
  }
  std::set<std::string> folded_names;
  for (size_t more = dice.Below(4); more > 0; --more) {
    const std::string name = ParameterName(dice);
    if (!folded_names.insert(FoldedParameterName(name)).second) continue;
    params[name] = dice.OneIn(3) ? EveryPrintable(dice) : Unicode(dice, 40);
  }
}

// Now and then a value for what a request may choose.
void AddChoices(Dice& dice, const Network& network, v1::GetAuthUrlRequest& request) {
  for (const auto& param : network.configuration_params()) {
    if (!param.per_request() || dice.OneIn(2)) continue;
    (*request.mutable_extra_params())[param.name()] = MatchFor(dice, param.pattern());
  }
  for (const auto& variable : network.variables()) {
    if (!variable.per_request() || dice.OneIn(2)) continue;
    (*request.mutable_variables())[variable.name()] = MatchFor(dice, variable.pattern());
  }
}

}  // namespace

v1::CreateSocialNetworkRequest RandomConfiguration(Dice& dice, const Network& network,
                                                   const std::string& variant) {
  v1::CreateSocialNetworkRequest request;
  request.set_network(network.id());
  if (!variant.empty()) request.set_variant(variant);
  if (absl::StrContains(network.authorization_endpoint(), "{instance}")) {
    request.set_instance(dice.Of({"mastodon.social", "a-b.c.de", "xn--bcher-kva.org"}));
  }
  request.set_client_key(absl::StrCat("k", dice.Text(0, 60, kPrintableAscii), "y"));
  // A JWT where the network wants one.
  request.set_client_secret(network.has_signed_secret() ? "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"
                                                        : "client-secret");
  if (dice.OneIn(2)) request.set_default_redirect_uri(RedirectUri(dice, network));
  if (dice.OneIn(2)) {
    for (const std::string& scope : Scopes(dice, network)) request.add_scopes(scope);
  }
  for (const auto& variable : network.variables()) {
    if (dice.OneIn(2)) continue;
    (*request.mutable_variables())[variable.name()] = MatchFor(dice, variable.pattern());
  }
  AddExtraParams(dice, network, request);
  return request;
}

v1::GetAuthUrlRequest RandomRequest(Dice& dice, const Network& network,
                                    const v1::CreateSocialNetworkRequest& configuration) {
  v1::GetAuthUrlRequest request;
  request.set_network(network.id());
  if (configuration.has_instance()) request.set_instance(configuration.instance());
  if (!configuration.has_default_redirect_uri() || dice.OneIn(2)) {
    request.set_redirect_uri(RedirectUri(dice, network));
  }
  if (dice.OneIn(2)) request.set_tenant_id(dice.Text(1, 128, absl::StrCat(kAlphanumeric, "_-")));
  if (dice.OneIn(2)) {
    for (const std::string& scope : Scopes(dice, network)) request.add_scopes(scope);
  }
  if (dice.OneIn(2)) request.set_force_account_selection(true);
  if (dice.OneIn(2)) {
    request.set_login_hint(dice.OneIn(3) ? EveryPrintable(dice) : Unicode(dice, 40));
  }
  if (dice.OneIn(4)) request.set_session_binding(dice.Text(16, 64, kPrintableAscii));
  AddChoices(dice, network, request);
  return request;
}

}  // namespace authurl::testing
