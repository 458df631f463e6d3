#include "tests/support/consent_page.h"

#include <cstddef>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/catalog/endpoint.h"
#include "core/catalog/text_template.h"
#include "core/form.h"
#include "tests/support/served_message.h"

namespace authurl::testing {
namespace {

using catalog::v1::Network;
using record::v1::SocialNetworkSettings;

absl::Status ErrorPage(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("the network shows an error page: ", why));
}

void AppendParams(const FormFields& parameters, std::string& form) {
  for (const auto& [name, value] : parameters) AppendFormField(name, value, form);
}

// With what comes back whether the person consented or not.
PersonReturned ReturnOf(const VectorFlow& flow, const SocialNetworkSettings& settings,
                        const AuthUrlAsked& asked, FormFields parameters, bool packed) {
  const Network& network = flow.network();
  const catalog::v1::Callback& callback = network.callback();
  parameters.emplace_back("state", asked.state);
  if (!callback.issuer().empty()) {
    const auto issuer = ExpandTemplate(callback.issuer(), [&](absl::string_view name) {
      return EndpointValue(network, settings, name);
    });
    parameters.emplace_back("iss", issuer.value_or(""));
  }
  if (packed && !callback.json_param().empty()) {
    Json all = Json::object();
    for (const auto& [name, value] : parameters) all[name] = value;
    parameters = {{callback.json_param(), all.dump()}};
  }
  PersonReturned returned = {.redirect_uri = asked.redirect_uri, .parameters = ""};
  returned.is_form_post = callback.form_post() && asked.response_mode == "form_post";
  AppendParams(parameters, returned.parameters);
  return returned;
}

}  // namespace

std::string PersonReturned::url() const {
  if (is_form_post) return redirect_uri;
  const char separator = absl::StrContains(redirect_uri, '?') ? '&' : '?';
  return absl::StrCat(redirect_uri, std::string(1, separator), parameters);
}

absl::StatusOr<AuthUrlAsked> ReadAuthUrl(const VectorFlow& flow,
                                         const SocialNetworkSettings& settings,
                                         absl::string_view auth_url) {
  const Network& network = flow.network();
  auth_url = auth_url.substr(0, auth_url.find('#'));
  const std::string endpoint = AuthorizationEndpoint(network, settings);
  const absl::string_view page =
      absl::string_view(endpoint).substr(0, endpoint.find_first_of("?#"));
  const size_t question = auth_url.find('?');
  if (question == auth_url.npos || auth_url.substr(0, question) != page) {
    return ErrorPage(absl::StrCat("this is not ", page));
  }
  std::map<std::string, std::string> asked;
  for (auto& [name, value] : FieldsOfForm(auth_url.substr(question + 1))) {
    if (!asked.emplace(name, std::move(value)).second) {
      return ErrorPage(absl::StrCat(name, " is there twice"));
    }
  }
  if (asked[network.client_id_param()] != settings.client_key()) {
    return ErrorPage("no such client");
  }
  if (asked["response_type"] != network.response_type()) return ErrorPage("no response_type");
  if (asked["redirect_uri"].empty()) return ErrorPage("no redirect_uri");
  if (asked["state"].empty()) return ErrorPage("no state");
  AuthUrlAsked read = {.redirect_uri = asked["redirect_uri"],
                       .state = asked["state"],
                       .code_challenge = "",
                       .nonce = asked["nonce"],
                       .scopes = absl::StrSplit(asked[network.scopes().param()],
                                                network.scopes().separator(), absl::SkipEmpty()),
                       .response_mode = asked["response_mode"]};
  if (network.pkce().mode() != catalog::v1::Pkce::MODE_NONE) {
    read.code_challenge = asked["code_challenge"];
    if (read.code_challenge.empty() || asked["code_challenge_method"] != "S256") {
      return ErrorPage("no code_challenge by S256");
    }
  }
  return read;
}

PersonReturned ReturnWithCode(const VectorFlow& flow, const SocialNetworkSettings& settings,
                              const AuthUrlAsked& asked, absl::string_view code, bool packed) {
  FormFields parameters;
  parameters.emplace_back("code", code);
  for (const auto& [name, value] : ObjectOf(flow.json(), "callback").items()) {
    parameters.emplace_back(name, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return ReturnOf(flow, settings, asked, std::move(parameters), packed);
}

PersonReturned ReturnWithError(const VectorFlow& flow, const SocialNetworkSettings& settings,
                               const AuthUrlAsked& asked, absl::string_view error) {
  const catalog::v1::Callback& callback = flow.network().callback();
  FormFields parameters;
  if (!error.empty()) {
    parameters.emplace_back("error", error);
  } else if (!callback.missing_code_is_denied()) {
    parameters.emplace_back("error",
                            callback.denied().empty() ? "access_denied" : callback.denied(0));
    parameters.emplace_back("error_description", "The person said no");
  }
  return ReturnOf(flow, settings, asked, std::move(parameters), /*packed=*/false);
}

}  // namespace authurl::testing
