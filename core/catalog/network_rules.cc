#include "core/catalog/network_rules.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <set>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/catalog/endpoint.h"
#include "core/catalog/pattern.h"
#include "core/crypto/jwt.h"
#include "core/field_rules.h"
#include "core/form.h"
#include "core/uri.h"

namespace authurl {
namespace {

constexpr int kMaxScopes = 64;
constexpr absl::string_view kPem = "-----BEGIN ";
constexpr size_t kMaxScopeBytes = 256;
// What joins scopes somewhere, as it is or in a query. No scope of a built-in network has one.
constexpr absl::string_view kJoinsScopes = ",+%";
constexpr size_t kMaxExtraParams = 32;
constexpr size_t kMaxExtraParamBytes = 1024;

bool IsParameterNameChar(unsigned char c) {
  return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
}

bool IsDefaultScope(absl::string_view scope, const catalog::v1::Network& network) {
  const auto& defaults = network.scopes().defaults();
  return std::find(defaults.begin(), defaults.end(), scope) != defaults.end();
}

bool IsSeveralScopes(absl::string_view scope, const catalog::v1::Network& network) {
  return absl::StrContains(scope, network.scopes().separator()) ||
         (scope.find_first_of(kJoinsScopes) != scope.npos && !IsDefaultScope(scope, network));
}

std::string NameOfSeparator(const catalog::v1::Network& network) {
  const std::string& separator = network.scopes().separator();
  return separator == " " ? "blanks" : Quoted(separator);
}

// RFC 6749 appendix A.4.
bool IsScopeChar(unsigned char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '\\'; }

constexpr absl::string_view kHttpIsLocal =
    "must begin with https://: http is for the local machine only";

bool IsLocal(const RedirectUri& uri) {
  return uri.host_kind == HostKind::kLocalhost || uri.host_kind == HostKind::kLoopbackIp;
}

// What programs write where a variable was not set.
bool IsUnset(absl::string_view host) {
  return host == "undefined" || host == "null" || host == "none" || host == "nan";
}

void CheckHostOfNetwork(absl::string_view field, const RedirectUri& uri,
                        const catalog::v1::Network* network, FieldViolations& violations) {
  if (uri.host_kind != HostKind::kName || absl::StrContains(uri.host, '.')) return;
  if (IsUnset(uri.host)) {
    violations.Add(field, absl::StrCat("has the host ", Quoted(uri.host),
                                       ": the variable that it is made of was not set"));
  } else if (network != nullptr && network->redirect_uri().no_local_https()) {
    violations.Add(field, absl::StrCat("has the host ", Quoted(uri.host), ", which is not public: ",
                                       network->display_name(), " takes public host names only"));
  }
}

bool IsOwnScheme(absl::string_view scheme) { return scheme != "https" && scheme != "http"; }

// Of a redirect URI that the configuration does not list. What is not known of a network is not
// said: most write nothing of such schemes.
void CheckUnlistedOwnScheme(absl::string_view field, absl::string_view redirect_uri,
                            absl::string_view scheme, const catalog::v1::Network& network,
                            FieldViolations& violations) {
  if (!network.redirect_uri().private_use_schemes()) {
    violations.Add(field, absl::StrCat("must begin with https://: for ", network.display_name(),
                                       ", authurl takes an app's own scheme only from the "
                                       "configuration's allowed_redirect_uris"));
  } else if (!absl::StrContains(scheme, '.')) {
    violations.Add(field, absl::StrCat("has the scheme ", Quoted(scheme),
                                       ": write it as com.example.app:/, or name this redirect "
                                       "URI in the configuration's allowed_redirect_uris"));
  } else if (const absl::Status status = ParseRedirectUri(redirect_uri).status(); !status.ok()) {
    violations.Add(field, status.message());
  }
}

// https and http.
void CheckSchemeOfNetwork(absl::string_view field, const RedirectUri& uri,
                          const catalog::v1::Network& network, FieldViolations& violations) {
  const auto& rules = network.redirect_uri();
  const bool local = IsLocal(uri);
  const std::string& name = network.display_name();
  if (uri.scheme == "https") {
    if (local && rules.no_local_https()) {
      violations.Add(field, absl::StrCat(name, " does not take local addresses"));
    } else if (uri.host_kind == HostKind::kLocalhost && rules.no_localhost()) {
      violations.Add(field, absl::StrCat(name,
                                         " does not take the name localhost: write 127.0.0.1 "
                                         "or [::1]"));
    } else if (uri.host_kind == HostKind::kIp && rules.no_ip_literal()) {
      violations.Add(field, absl::StrCat(name, " does not take an IP address as host: use a name"));
    }
    return;
  }
  if (uri.host_kind == HostKind::kLoopbackIp && rules.http_loopback_ip()) return;
  if (uri.host_kind == HostKind::kLocalhost && rules.http_localhost()) return;
  if (!local) {
    violations.Add(field, kHttpIsLocal);
  } else if (rules.http_loopback_ip() || rules.http_localhost()) {
    violations.Add(field,
                   absl::StrCat("must begin with https://: with http, ", name, " takes only ",
                                rules.http_localhost() ? "localhost" : "127.0.0.1 and [::1]"));
  } else {
    violations.Add(field, absl::StrCat("must begin with https://: ", name,
                                       " does not take http, not even for the local machine"));
  }
}

// Whether the network comes back with a parameter of that name besides those of OAuth.
bool IsAnswer(absl::string_view name, const catalog::v1::Network& network) {
  const std::string folded = FoldedParameterName(name);
  const catalog::v1::Callback& callback = network.callback();
  if (!callback.json_param().empty() && FoldedParameterName(callback.json_param()) == folded) {
    return true;
  }
  return std::any_of(callback.kept().begin(), callback.kept().end(),
                     [&](const std::string& kept) { return FoldedParameterName(kept) == folded; });
}

// The name of the first parameter in the query of which `is_taken` holds; empty where none is.
template <typename Taken>
std::string FirstInQuery(absl::string_view uri, const Taken& is_taken) {
  const size_t query = uri.find('?');
  if (query == uri.npos) return "";
  for (const absl::string_view pair : absl::StrSplit(uri.substr(query + 1), '&')) {
    std::string name = FormDecoded(pair.substr(0, pair.find('=')));
    if (is_taken(name)) return name;
  }
  return "";
}

bool IsConfigurationParam(absl::string_view name, const catalog::v1::Network& network) {
  const auto& params = network.configuration_params();
  return std::any_of(params.begin(), params.end(),
                     [&](const auto& param) { return param.name() == name; });
}

// What the catalog entry sends itself, folded.
std::set<std::string> ParametersOfNetwork(const catalog::v1::Network& network) {
  std::set<std::string> names = {FoldedParameterName(network.client_id_param()),
                                 FoldedParameterName(network.scopes().param()),
                                 FoldedParameterName(network.login_hint_param())};
  for (const absl::string_view name : ParametersOfEndpoint(network)) {
    names.insert(FoldedParameterName(name));
  }
  for (const auto& param : network.fixed_params()) {
    names.insert(FoldedParameterName(param.name()));
  }
  for (const auto& param : network.account_selection_params()) {
    if (IsConfigurationParam(param.name(), network)) continue;
    names.insert(FoldedParameterName(param.name()));
  }
  return names;
}

void CheckExtraParam(const std::string& field, absl::string_view name, absl::string_view value,
                     const catalog::v1::Network& network, FieldViolations& violations) {
  CheckText(field, value, 1, kMaxExtraParamBytes, violations);
  for (const auto& param : network.configuration_params()) {
    if (param.name() == name) {
      if (MatchesInFull(value, param.pattern())) return;
      violations.Add(field, absl::StrCat("must match ", param.pattern(), " (", param.description(),
                                         "), not ", Quoted(value)));
    } else if (FoldedParameterName(param.name()) == FoldedParameterName(name)) {
      violations.Add(field, absl::StrCat("must be spelt ", param.name()));
    }
  }
}

}  // namespace

void CheckRedirectUri(absl::string_view field, absl::string_view redirect_uri, bool is_listed,
                      const catalog::v1::Network* network, FieldViolations& violations) {
  const absl::StatusOr<RedirectUri> uri = ParseRedirectUri(redirect_uri, OwnSchemes::kAny);
  if (!uri.ok()) {
    violations.Add(field, uri.status().message());
    return;
  }
  CheckHostOfNetwork(field, *uri, network, violations);
  // The one rule about schemes that every network has.
  if (network == nullptr && uri->scheme == "http" && !IsLocal(*uri)) {
    violations.Add(field, kHttpIsLocal);
  }
  if (network == nullptr) return;
  if (!IsOwnScheme(uri->scheme)) {
    CheckSchemeOfNetwork(field, *uri, *network, violations);
  } else if (!is_listed) {
    CheckUnlistedOwnScheme(field, redirect_uri, uri->scheme, *network, violations);
  }
  const auto& rules = network->redirect_uri();
  if (rules.no_query() && uri->query.has_value()) {
    violations.Add(field, absl::StrCat(network->display_name(),
                                       " does not take a query: remove \"?\" and all after it"));
  }
  if (rules.max_length() != 0 && redirect_uri.size() > rules.max_length()) {
    violations.Add(
        field, absl::StrCat("is ", redirect_uri.size(), " bytes long; ", network->display_name(),
                            " takes at most ", rules.max_length()));
  }
}

void CheckOwnQuery(absl::string_view field, absl::string_view redirect_uri,
                   const catalog::v1::Network* network, FieldViolations& violations) {
  const std::string taken = FirstInQuery(redirect_uri, [&](absl::string_view name) {
    return IsResponseParameter(name) || (network != nullptr && IsAnswer(name, *network));
  });
  if (taken.empty()) return;
  violations.Add(field, absl::StrCat("must not have ", Quoted(taken),
                                     " in its query: the network adds a parameter of this name "
                                     "when the user comes back"));
}

void CheckReturnUri(absl::string_view field, absl::string_view return_uri,
                    FieldViolations& violations) {
  CheckRedirectUri(field, return_uri, /*is_listed=*/true, nullptr, violations);
  const std::string taken = FirstInQuery(return_uri, IsReturnParameter);
  if (taken.empty()) return;
  violations.Add(field, absl::StrCat("must not have ", Quoted(taken),
                                     " in its query: authurl adds a parameter of this name when "
                                     "the flow is over, or a network does"));
}

void CheckScopes(const ScopeList& scopes, const catalog::v1::Network* network,
                 FieldViolations& violations) {
  if (scopes.size() > kMaxScopes) {
    violations.Add("scopes", absl::StrCat("has ", scopes.size(), " entries; at most ", kMaxScopes,
                                          " are taken"));
    return;
  }
  std::set<absl::string_view> seen;
  for (int i = 0; i < scopes.size(); ++i) {
    const std::string& scope = scopes[i];
    const std::string field = absl::StrCat("scopes[", i, "]");
    if (scope.find_first_of(" \t\r\n") != scope.npos) {
      violations.Add(field,
                     "must be one scope without spaces: give each scope as an entry of its own");
    } else if (scope.empty() || scope.size() > kMaxScopeBytes ||
               !absl::c_all_of(scope, IsScopeChar)) {
      violations.Add(field, absl::StrCat("must be 1 to ", kMaxScopeBytes,
                                         " printable ASCII characters without space, \" and \\"));
    } else if (network != nullptr && IsSeveralScopes(scope, *network)) {
      violations.Add(field, absl::StrCat("must be one scope: ", network->display_name(),
                                         " separates scopes by ", NameOfSeparator(*network),
                                         "; give each scope as an entry of its own"));
    } else if (!seen.insert(scope).second) {
      violations.Add(field, absl::StrCat("repeats ", Quoted(scope)));
    }
  }
}

void CheckExtraParams(const StringMap& extra_params, const catalog::v1::Network& network,
                      FieldViolations& violations) {
  if (extra_params.size() > kMaxExtraParams) {
    violations.Add("extra_params", absl::StrCat("has ", extra_params.size(), " entries; at most ",
                                                kMaxExtraParams, " are taken"));
    return;
  }
  const std::set<std::string> of_network = ParametersOfNetwork(network);
  // By name, so that violations come in the same order each time.
  const std::map<absl::string_view, absl::string_view> sorted(extra_params.begin(),
                                                              extra_params.end());
  std::set<std::string> seen;
  for (const auto& [name, value] : sorted) {
    const std::string folded = FoldedParameterName(name);
    if (name.empty() || name.size() > 64 || !absl::c_all_of(name, IsParameterNameChar)) {
      violations.Add("extra_params", absl::StrCat(Quoted(name),
                                                  " is not a valid parameter name: 1 to 64 "
                                                  "characters of A-Z, a-z, 0-9, _, . and -"));
      continue;
    }
    const std::string field = absl::StrCat("extra_params.", name);
    const bool is_declared = IsConfigurationParam(name, network);
    if (of_network.contains(folded)) {
      violations.Add(field, "must be left out: authurl sets this parameter itself");
    } else if (IsReservedParameter(name) && !is_declared) {
      violations.Add(field, absl::StrCat("must be left out: it belongs to the protocol, and for ",
                                         network.display_name(), " it can't be chosen"));
    } else if (!seen.insert(folded).second) {
      violations.Add(field, "differs from another parameter in case, \".\", \"-\" and \"_\" only");
    } else {
      CheckExtraParam(field, name, value, network, violations);
    }
  }
  for (const auto& param : network.configuration_params()) {
    if (!param.required() || sorted.contains(param.name())) continue;
    violations.Add(absl::StrCat("extra_params.", param.name()),
                   absl::StrCat("Required by ", network.display_name(), ": ", param.description()));
  }
}

void CheckChoices(const StringMap& extra_params, const StringMap& variables,
                  const catalog::v1::Network& network, FieldViolations& violations) {
  const auto names_for_requests = [](const auto& declared) {
    std::vector<std::string> names;
    for (const auto& one : declared) {
      if (one.per_request()) names.push_back(one.name());
    }
    return names;
  };
  const auto check = [&](absl::string_view list, const StringMap& given,
                         const std::vector<std::string>& taken, const auto& check_value) {
    const std::map<absl::string_view, absl::string_view> sorted(given.begin(), given.end());
    for (const auto& [name, value] : sorted) {
      if (std::find(taken.begin(), taken.end(), name) != taken.end()) {
        check_value(name, value);
        continue;
      }
      violations.Add(list, absl::StrCat(Quoted(name), " can't be chosen by a request for ",
                                        network.display_name(), "; it takes ",
                                        taken.empty() ? "none" : absl::StrJoin(taken, ", ")));
    }
  };
  check("extra_params", extra_params, names_for_requests(network.configuration_params()),
        [&](absl::string_view name, absl::string_view value) {
          CheckExtraParam(absl::StrCat("extra_params.", name), name, value, network, violations);
        });
  check("variables", variables, names_for_requests(network.variables()),
        [&](absl::string_view name, absl::string_view value) {
          const absl::Status status = CheckEndpointVariable(network, name, value);
          if (!status.ok()) violations.Add("variables", status.message());
        });
}

bool TakesPublicClients(const catalog::v1::Network& network) {
  return network.public_clients() ||
         network.exchange().request().client_auth() == catalog::v1::Request::CLIENT_AUTH_NONE;
}

void CheckClientSecret(absl::string_view client_secret, const StringMap& extra_params,
                       const catalog::v1::Network& network, FieldViolations& violations) {
  constexpr absl::string_view kField = "client_secret";
  if (client_secret.empty() && TakesPublicClients(network)) return;
  const std::string& name = network.display_name();
  if (!network.has_signed_secret()) {
    if (absl::StartsWith(client_secret, kPem)) {
      violations.Add(kField, absl::StrCat("is a key or a certificate; ", name,
                                          "'s client secret is a short text"));
    } else {
      CheckCredential(kField, client_secret, violations);
    }
    return;
  }
  if (!absl::StartsWith(client_secret, kPem)) {
    CheckCredential(kField, client_secret, violations);
    if (client_secret.empty() || LooksLikeJwt(client_secret)) return;
    violations.Add(kField, absl::StrCat("must be the private key that ", name,
                                        "'s portal gave, the whole text of the .p8 file, or a JWT "
                                        "that it signed"));
    return;
  }
  const bool is_plain =
      client_secret.size() <= kMaxCredentialBytes &&
      std::all_of(client_secret.begin(), client_secret.end(),
                  [](unsigned char c) { return absl::ascii_isprint(c) || c == '\n' || c == '\r'; });
  const absl::Status status = SigningKey::ParsePem(client_secret).status();
  if (!is_plain) {
    violations.Add(kField, absl::StrCat("must be at most ", kMaxCredentialBytes,
                                        " printable ASCII characters and line ends"));
  } else if (!status.ok()) {
    violations.Add(kField, status.message());
  }
  const catalog::v1::SignedSecret& rules = network.signed_secret();
  for (const std::string& param : {rules.issuer_param(), rules.key_id_param()}) {
    if (extra_params.contains(param)) continue;
    violations.Add(absl::StrCat("extra_params.", param),
                   absl::StrCat("Required with a private key as client_secret: ", name,
                                " wants it in the JWT that the key signs"));
  }
}

void CheckVariables(const StringMap& variables, const catalog::v1::Network& network,
                    FieldViolations& violations) {
  std::map<absl::string_view, absl::string_view> sorted;
  for (const auto& [name, value] : variables) sorted.emplace(name, value);
  for (const auto& [name, value] : sorted) {
    const absl::Status status = CheckEndpointVariable(network, name, value);
    if (!status.ok()) {
      // A name that no network has may be anything, so it is shown escaped and not as a path.
      violations.Add("variables", status.message());
    }
  }
}

}  // namespace authurl
