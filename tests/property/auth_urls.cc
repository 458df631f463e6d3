// auth_urls.cc: prints authorization URLs of every network and variant, for random configurations
// and requests, and what must be found in them.
//
//   auth_urls <count of each network and variant> <seed>
//
// One JSON object for each URL. What is expected is worked out here from the catalog's entry, the
// configuration and the request, apart from the code that builds the URL.
#include <algorithm>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "authurl/v1/auth_url_service.pb.h"
#include "authurl/v1/social_network_service.pb.h"
#include "core/catalog/network_catalog.h"
#include "core/catalog/social_network.h"
#include "core/crypto/crypto.h"
#include "core/crypto/key_ring.h"
#include "core/crypto/pkce.h"
#include "core/crypto/sealer.h"
#include "core/field_rules.h"
#include "core/flow/auth_request.h"
#include "core/flow/auth_state.h"
#include "core/flow/auth_url.h"
#include "core/flow/id_token.h"
#include "tests/property/dice.h"
#include "tests/property/random_requests.h"
#include "tests/support/fixed_random.h"

namespace authurl::testing {
namespace {

using catalog::v1::Network;
using Parameters = std::vector<std::pair<std::string, std::string>>;

const absl::Time kNow = absl::FromUnixSeconds(1'795'435'200);
constexpr absl::Duration kLifetime = absl::Minutes(10);

// ---- What must be in the URL
// ---------------------------------------------------------------------

// One random configuration and request.
struct Case {
  // The variant's entry where there is one.
  const Network& network;
  const v1::CreateSocialNetworkRequest& configuration;
  const v1::GetAuthUrlRequest& request;
};

std::vector<std::string> ScopesOf(const Case& of) {
  const auto& defaults = of.network.scopes().defaults();
  const auto& chosen = !of.request.scopes().empty()         ? of.request.scopes()
                       : !of.configuration.scopes().empty() ? of.configuration.scopes()
                                                            : defaults;
  return {chosen.begin(), chosen.end()};
}

std::string RedirectUriOf(const Case& of) {
  return of.request.has_redirect_uri() ? of.request.redirect_uri()
                                       : of.configuration.default_redirect_uri();
}

bool GoesWith(const ScopeList& only_with, const std::vector<std::string>& scopes) {
  if (only_with.empty()) return true;
  for (const std::string& scope : only_with) {
    if (std::count(scopes.begin(), scopes.end(), scope) > 0) return true;
  }
  return false;
}

void AppendOfNetwork(const Case& of, Parameters& parameters) {
  const std::vector<std::string> scopes = ScopesOf(of);
  const auto& selection = of.network.account_selection_params();
  const bool selects = of.request.force_account_selection();
  std::set<std::string> placed;
  for (const auto& fixed : of.network.fixed_params()) {
    const catalog::v1::Parameter* sent = &fixed;
    for (const auto& other : selection) {
      if (selects && other.name() == fixed.name()) sent = &other;
    }
    placed.insert(fixed.name());
    if (GoesWith(sent->only_with_scopes(), scopes))
      parameters.emplace_back(sent->name(), sent->value());
  }
  for (const auto& other : selection) {
    if (!selects || placed.contains(other.name())) continue;
    if (GoesWith(other.only_with_scopes(), scopes))
      parameters.emplace_back(other.name(), other.value());
  }
  if (!of.network.login_hint_param().empty() && of.request.has_login_hint()) {
    parameters.emplace_back(of.network.login_hint_param(), of.request.login_hint());
  }
}

void AppendOfConfiguration(const Case& of, Parameters& parameters) {
  std::map<std::string, std::string> by_name(of.configuration.extra_params().begin(),
                                             of.configuration.extra_params().end());
  for (const auto& [name, value] : of.request.extra_params()) by_name[name] = value;
  const auto& selection = of.network.account_selection_params();
  const auto is_selected = [&](const std::string& name) {
    return of.request.force_account_selection() &&
           std::any_of(selection.begin(), selection.end(),
                       [&](const auto& param) { return param.name() == name; });
  };
  for (const auto& param : of.network.configuration_params()) {
    if (param.completing_only() || is_selected(param.name()) ||
        !GoesWith(param.only_with_scopes(), ScopesOf(of))) {
      by_name.erase(param.name());
    } else if (!param.default_value().empty()) {
      by_name.emplace(param.name(), param.default_value());
    }
  }
  parameters.insert(parameters.end(), by_name.begin(), by_name.end());
}

bool ScopesAreReplaced(const Case& of) {
  for (const auto& param : of.network.configuration_params()) {
    if (param.replaces_scopes() && (of.configuration.extra_params().contains(param.name()) ||
                                    of.request.extra_params().contains(param.name()))) {
      return true;
    }
  }
  return false;
}

Parameters Expected(const Case& of, const std::string& state, const std::string& code_challenge,
                    const std::string& nonce) {
  Parameters parameters;
  parameters.emplace_back(of.network.client_id_param(), of.configuration.client_key());
  parameters.emplace_back("redirect_uri", RedirectUriOf(of));
  parameters.emplace_back("response_type", "code");
  const std::string scopes = absl::StrJoin(ScopesOf(of), of.network.scopes().separator());
  if (!scopes.empty() && !ScopesAreReplaced(of)) {
    parameters.emplace_back(of.network.scopes().param(), scopes);
  }
  parameters.emplace_back("state", state);
  if (!code_challenge.empty()) {
    parameters.emplace_back("code_challenge", code_challenge);
    parameters.emplace_back("code_challenge_method", "S256");
  }
  if (!nonce.empty()) parameters.emplace_back("nonce", nonce);
  AppendOfNetwork(of, parameters);
  AppendOfConfiguration(of, parameters);
  return parameters;
}

// What is filled in needs no encoding.
std::string ExpectedEndpoint(const Case& of) {
  std::string endpoint = of.network.authorization_endpoint();
  for (const auto& variable : of.network.variables()) {
    std::string value = variable.default_value();
    for (const auto* variables : {&of.configuration.variables(), &of.request.variables()}) {
      if (const auto set = variables->find(variable.name()); set != variables->end()) {
        value = set->second;
      }
    }
    absl::StrReplaceAll({{absl::StrCat("{", variable.name(), "}"), value}}, &endpoint);
  }
  absl::StrReplaceAll({{"{instance}", of.configuration.instance()}}, &endpoint);
  return endpoint;
}

state::v1::AuthState ExpectedState(const Case& of) {
  state::v1::AuthState state;
  state.set_org_id("acme");
  state.set_network(of.network.id());
  state.set_social_network_id("sn_0123456789abcdefghjk");
  state.set_social_network_version(7);
  state.set_tenant_id(of.request.tenant_id());
  state.set_redirect_uri(RedirectUriOf(of));
  state.set_issued_at(absl::ToUnixSeconds(kNow));
  state.set_expires_at(absl::ToUnixSeconds(kNow + kLifetime));
  *state.mutable_scopes() = of.request.scopes();
  if (of.request.has_session_binding()) {
    state.set_session_binding_hash(std::string(AsChars(Sha256(of.request.session_binding()))));
  }
  state.set_instance(of.configuration.instance());
  state.set_variant(of.configuration.variant());
  *state.mutable_variables() = of.request.variables();
  return state;
}

bool MustBeStored(const Network& network, const std::string& sealed) {
  const size_t limit = network.state().max_length();
  return network.state().alphabet() == catalog::v1::StateRules::ALPHABET_ALPHANUMERIC ||
         sealed.size() > kMaxStateChars || (limit != 0 && sealed.size() > limit);
}

struct Minted {
  AuthUrl auth_url;
  // The one that the state was sealed with.
  Nonce nonce;
};

absl::StatusOr<Minted> Mint(const NetworkCatalog& catalog, const Sealer& sealer, const Case& of,
                            uint32_t seed) {
  auto settings = NewSocialNetwork(catalog, of.configuration);
  if (!settings.ok()) return settings.status();
  settings->set_id("sn_0123456789abcdefghjk");
  settings->set_org_id("acme");
  settings->set_version(7);
  *settings = WithChoices(of.request, *settings);
  const auto valid = ValidateAuthRequest(catalog, of.request);
  if (!valid.ok()) return valid.status();
  const auto fitting = ForConfiguration(catalog, *valid, *settings);
  if (!fitting.ok()) return fitting.status();
  const auto redirect_uri = ChooseRedirectUri(*fitting, *settings, "", sealer.keys());
  if (!redirect_uri.ok()) return redirect_uri.status();
  Minted minted;
  const RandomSource seeded = SeededRandom(seed);
  const RandomSource observed = [&](std::span<uint8_t> out) {
    seeded(out);
    if (out.size() == kNonceBytes) std::copy(out.begin(), out.end(), minted.nonce.begin());
  };
  absl::StatusOr<AuthUrl> auth_url =
      MintAuthUrl(sealer, *fitting, *settings, *redirect_uri, observed, kNow, kLifetime);
  if (!auth_url.ok()) return auth_url.status();
  minted.auth_url = *std::move(auth_url);
  return minted;
}

absl::StatusOr<nlohmann::json> Line(const NetworkCatalog& catalog, const Sealer& sealer,
                                    const Case& of, uint32_t seed) {
  const absl::StatusOr<Minted> minted = Mint(catalog, sealer, of, seed);
  if (!minted.ok()) return minted.status();
  const std::vector<std::string> asked = ScopesOf(of);
  const bool takes_nonce = TakesNonce(of.network, {asked.begin(), asked.end()});
  state::v1::AuthState expected = ExpectedState(of);
  expected.set_has_nonce(takes_nonce);
  std::string state = SealAuthState(sealer, minted->nonce, expected);
  const auto& stored = minted->auth_url.to_store;
  if (stored.has_value() != MustBeStored(of.network, state)) {
    return absl::InternalError("the state is stored and need not be, or the other way round");
  }
  if (stored.has_value()) state = stored->reference;
  std::string code_challenge;
  if (of.network.pkce().mode() != catalog::v1::Pkce::MODE_NONE) {
    const SecretKey& key = *sealer.keys().Find(1, Purpose::kCodeVerifier);
    code_challenge = CodeChallenge(DeriveCodeVerifier(key, minted->nonce),
                                   of.network.pkce().challenge_encoding());
  }
  std::string nonce;
  if (takes_nonce) {
    nonce = DeriveIdTokenNonce(*sealer.keys().Find(1, Purpose::kIdTokenNonce), minted->nonce);
  }
  return nlohmann::json{{"network", of.network.id()},
                        {"variant", of.configuration.variant()},
                        {"url", minted->auth_url.url},
                        {"endpoint", ExpectedEndpoint(of)},
                        {"parameters", Expected(of, state, code_challenge, nonce)},
                        {"fragment", of.network.fragment()}};
}

absl::Status PrintUrls(const NetworkCatalog& catalog, const Sealer& sealer, const Network& network,
                       const std::string& variant, size_t count, Dice& dice) {
  for (size_t i = 0; i < count; ++i) {
    const v1::CreateSocialNetworkRequest configuration =
        RandomConfiguration(dice, network, variant);
    const v1::GetAuthUrlRequest request = RandomRequest(dice, network, configuration);
    const Case of = {network, configuration, request};
    const auto line = Line(catalog, sealer, of, static_cast<uint32_t>(dice.Below(1U << 31)));
    if (!line.ok()) {
      return absl::InternalError(absl::StrCat(network.id(), " ", variant, ": ",
                                              line.status().ToString(), "\n",
                                              configuration.DebugString(), request.DebugString()));
    }
    std::cout << line->dump() << '\n';
  }
  return absl::OkStatus();
}

absl::Status PrintAll(size_t count, uint64_t seed) {
  if (absl::Status status = InitCrypto(); !status.ok()) return status;
  const NetworkCatalog catalog = NetworkCatalog::Parse(BuiltInNetworksText()).value();
  const KeyRing keys = KeyRing::Parse(kZeroKeyRing).value();
  const Sealer sealer(keys);
  Dice dice(seed);
  for (const Network* network : catalog.networks()) {
    if (network->status() != catalog::v1::STATUS_LIVE &&
        network->status() != catalog::v1::STATUS_LEGACY) {
      continue;
    }
    std::vector<std::string> variants = {""};
    for (const auto& variant : network->variants()) variants.push_back(variant.id());
    for (const std::string& variant : variants) {
      const Network& entry = *catalog.FindVariant(network->id(), variant);
      if (absl::Status status = PrintUrls(catalog, sealer, entry, variant, count, dice);
          !status.ok()) {
        return status;
      }
    }
  }
  std::cout.flush();
  return std::cout.good() ? absl::OkStatus() : absl::InternalError("the output can't be written");
}

int Main(int argc, char** argv) {
  size_t count = 0;
  uint64_t seed = 0;
  if (argc != 3 || !absl::SimpleAtoi(argv[1], &count) || !absl::SimpleAtoi(argv[2], &seed)) {
    std::cerr << "usage: auth_urls <count of each network and variant> <seed>\n";
    return 2;
  }
  const absl::Status status = PrintAll(count, seed);
  if (status.ok()) return 0;
  std::cerr << "FAILED: " << status.message() << "\n";
  return 1;
}

}  // namespace
}  // namespace authurl::testing

int main(int argc, char** argv) { return authurl::testing::Main(argc, argv); }
