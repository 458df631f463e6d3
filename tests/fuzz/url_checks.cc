#include "tests/fuzz/url_checks.h"

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "core/catalog/endpoint.h"
#include "core/errors.h"
#include "core/flow/auth_state.h"
#include "core/flow/auth_url.h"
#include "core/flow/explanation.h"
#include "core/flow/flow_id.h"
#include "tests/fuzz/keys.h"
#include "tests/fuzz/must.h"
#include "tests/fuzz/percent_decode.h"
#include "tests/support/fixed_random.h"

namespace authurl::fuzz {
namespace {

using record::v1::SocialNetworkSettings;

const absl::Time kNow = absl::FromUnixSeconds(1'795'435'200);

Parameters Decoded(absl::string_view query) {
  Parameters parameters;
  for (const absl::string_view pair : absl::StrSplit(query, '&')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(pair, absl::MaxSplits('=', 1));
    parameters.emplace_back(PercentDecode(parts.first), PercentDecode(parts.second));
  }
  return parameters;
}

// What follows the endpoint, without the fragment.
absl::string_view QueryOf(const std::string& url, const AuthRequest& request,
                          const SocialNetworkSettings& settings) {
  for (const char c : url) Must(c > ' ' && c < '\x7f', "printable ASCII without space: ", url);
  Must(std::count(url.begin(), url.end(), '?') == 1, "one query: ", url);
  const std::string endpoint = AuthorizationEndpoint(*request.network, settings);
  Must(CheckHttpsUrl(endpoint).ok(), "a sound endpoint: ", endpoint);
  absl::string_view query = url;
  Must(absl::ConsumePrefix(&query, endpoint), "begins with the endpoint: ", url);
  Must(absl::ConsumePrefix(&query, absl::StrContains(endpoint, '?') ? "&" : "?"), "then a query");
  const std::string& fragment = request.network->fragment();
  Must(absl::ConsumeSuffix(&query, fragment.empty() ? "" : absl::StrCat("#", fragment)),
       "ends in the network's fragment: ", url);
  return query;
}

void CheckNames(const std::string& url, const Parameters& parameters) {
  std::set<std::string> seen;
  for (const auto& [name, value] : parameters) {
    Must(!value.empty(), name, " has a value: ", url);
    Must(seen.insert(absl::AsciiStrToLower(name)).second, name, " occurs once: ", url);
  }
  // The endpoint may have parameters of its own.
  const absl::string_view query = absl::string_view(url).substr(url.find('?') + 1);
  std::set<std::string> names;
  for (const absl::string_view pair : absl::StrSplit(query, '&')) {
    const absl::string_view name = pair.substr(0, pair.find('='));
    Must(names.insert(absl::AsciiStrToLower(name)).second, name, " occurs once: ", url);
  }
}

void CheckValues(const Parameters& parameters, const AuthRequest& request,
                 const SocialNetworkSettings& settings, const ChosenRedirectUri& redirect_uri) {
  const catalog::v1::Network& network = *request.network;
  Must(ValueOf(parameters, network.client_id_param()) == settings.client_key(), "the client id");
  Must(ValueOf(parameters, "redirect_uri") == redirect_uri.uri(), "the redirect URI");
  Must(ValueOf(parameters, "response_type") == "code", "the code flow");
  const bool pkce = network.pkce().mode() != catalog::v1::Pkce::MODE_NONE;
  Must(ValueOf(parameters, "code_challenge").empty() != pkce, "a challenge where PKCE is used");
  Must(ValueOf(parameters, "code_challenge_method") == (pkce ? "S256" : ""), "never plain");
  const auto& selection = network.account_selection_params();
  for (const auto& [name, value] : parameters) {
    // Account selection has a value of its own for it.
    if (request.request->force_account_selection() &&
        std::any_of(selection.begin(), selection.end(),
                    [&name = name](const auto& param) { return param.name() == name; })) {
      continue;
    }
    const auto configured = settings.extra_params().find(name);
    Must(configured == settings.extra_params().end() || configured->second == value, name,
         " is as configured");
  }
}

// The state opens, and says where it came from.
void CheckState(const std::string& text, const AuthUrl& minted, const AuthRequest& request,
                const SocialNetworkSettings& settings, const ChosenRedirectUri& redirect_uri) {
  const catalog::v1::Network& network = *request.network;
  const uint32_t limit = network.state().max_length();
  Must(text.size() <= (limit == 0 ? kMaxStateChars : limit), "the state fits the network");
  Must(IsStateReference(text) == minted.to_store.has_value(), "a reference where it is stored");
  const absl::StatusOr<OpenedState> opened =
      minted.to_store.has_value()
          ? OpenStoredAuthState(FixedSealer(), text, minted.to_store->sealed, kNow,
                                settings.org_id(), network.id())
          : OpenAuthState(FixedSealer(), text, kNow, settings.org_id(), network.id());
  Must(opened.ok(), "the state opens");
  const state::v1::AuthState& state = opened->state;
  Must(state.redirect_uri() == redirect_uri.uri() && state.variant() == settings.variant() &&
           state.instance() == settings.instance() &&
           state.tenant_id() == request.request->tenant_id() &&
           state.is_hosted() == redirect_uri.is_hosted &&
           state.return_uri() == redirect_uri.return_uri &&
           state.return_state() == request.request->return_state() &&
           state.reconnect_account_id() == request.request->reconnect_account_id(),
       "the state knows the flow: ", state.ShortDebugString());
  const absl::StatusOr<OpenedFlowId> flow =
      OpenFlowId(FixedSealer(), minted.flow_id, settings.org_id());
  Must(flow.ok() && flow->nonce_digest == NonceDigest(opened->nonce), "the flow has its id");
}

void CheckExplanation(const Parameters& parameters, const AuthRequest& request,
                      const SocialNetworkSettings& settings,
                      const ChosenRedirectUri& redirect_uri) {
  const v1::ExplainAuthUrlResponse explained = ExplainAuthUrl(request, settings, redirect_uri);
  Must(v1::ExplainAuthUrlResponse().ParseFromString(explained.SerializeAsString()), "UTF-8");
  Must(explained.parameters_size() == static_cast<int>(parameters.size()), "as many parameters");
  for (int i = 0; i < explained.parameters_size(); ++i) {
    const auto& [name, value] = parameters[static_cast<size_t>(i)];
    const v1::AuthUrlParameter& shown = explained.parameters(i);
    const bool generated = name == "state" || name == "code_challenge" || name == "nonce";
    Must(shown.name() == name && (generated || shown.value() == value), name, " is explained");
    Must(shown.source() != v1::PARAMETER_SOURCE_UNSPECIFIED && !shown.why().empty(), name);
  }
  Must(explained.fragment() == request.network->fragment(), "the fragment is explained");
}

}  // namespace

std::string ValueOf(const Parameters& parameters, absl::string_view name) {
  const auto found = std::find_if(parameters.begin(), parameters.end(),
                                  [&](const auto& parameter) { return parameter.first == name; });
  return found == parameters.end() ? "" : found->second;
}

Parameters MintAndCheck(const AuthRequest& request, const SocialNetworkSettings& settings,
                        const ChosenRedirectUri& redirect_uri) {
  const absl::StatusOr<AuthUrl> url =
      MintAuthUrl(FixedSealer(), request, settings, redirect_uri, testing::SeededRandom(1), kNow,
                  absl::Minutes(10));
  if (!url.ok()) {
    const std::string reason = ReasonOf(url.status());
    Must(reason == "AUTH_URL_TOO_LONG" || reason == "AUTH_STATE_TOO_LONG", url.status().ToString());
    return {};
  }
  const AuthUrl& minted = *url;
  Must(minted.url.size() <= kMaxAuthUrlBytes, "a URL is not longer than URLs may be");
  const Parameters parameters = Decoded(QueryOf(minted.url, request, settings));
  CheckNames(minted.url, parameters);
  CheckValues(parameters, request, settings, redirect_uri);
  CheckState(ValueOf(parameters, "state"), minted, request, settings, redirect_uri);
  CheckExplanation(parameters, request, settings, redirect_uri);
  return parameters;
}

}  // namespace authurl::fuzz
