#include "core/catalog/network_rules.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <set>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/catalog/endpoint.h"
#include "core/catalog/pattern.h"
#include "core/field_rules.h"
#include "core/uri.h"

namespace authurl {
namespace {

constexpr int kMaxScopes = 64;
constexpr size_t kMaxScopeBytes = 256;
constexpr size_t kMaxExtraParams = 32;
constexpr size_t kMaxExtraParamBytes = 1024;

template <typename Predicate>
bool AllOf(absl::string_view text, Predicate predicate) {
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return predicate(static_cast<unsigned char>(c)); });
}

bool IsParameterNameChar(unsigned char c) {
  return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
}
// RFC 6749 appendix A.4.
bool IsScopeChar(unsigned char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '\\'; }

constexpr absl::string_view kHttpIsLocal =
    "must begin with https://: http is for the local machine only";

bool IsLocal(const RedirectUri& uri) {
  return uri.host_kind == HostKind::kLocalhost || uri.host_kind == HostKind::kLoopbackIp;
}

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
  if (uri.scheme != "http") {
    if (!rules.private_use_schemes()) {
      violations.Add(field, absl::StrCat("must begin with https://: ", name,
                                         " does not take an app's own scheme here"));
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
    names.insert(FoldedParameterName(param.name()));
  }
  return names;
}

bool IsConfigurationParam(absl::string_view name, const catalog::v1::Network& network) {
  const auto& params = network.configuration_params();
  return std::any_of(params.begin(), params.end(),
                     [&](const auto& param) { return param.name() == name; });
}

// As readers of forms take it.
std::string FormDecoded(absl::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    const absl::string_view escaped = text.substr(std::min(i + 1, text.size()), 2);
    uint32_t byte = 0;
    if (text[i] == '%' && escaped.size() == 2 && AllOf(escaped, absl::ascii_isxdigit) &&
        absl::SimpleHexAtoi(escaped, &byte)) {
      decoded += static_cast<char>(byte);
      i += 2;
    } else {
      decoded += text[i] == '+' ? ' ' : text[i];
    }
  }
  return decoded;
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

void CheckRedirectUri(absl::string_view field, absl::string_view redirect_uri,
                      const catalog::v1::Network* network, FieldViolations& violations) {
  const absl::StatusOr<RedirectUri> uri = ParseRedirectUri(redirect_uri);
  if (!uri.ok()) {
    violations.Add(field, uri.status().message());
    return;
  }
  // The one rule about schemes that every network has.
  if (network == nullptr && uri->scheme == "http" && !IsLocal(*uri)) {
    violations.Add(field, kHttpIsLocal);
  }
  if (network == nullptr) return;
  CheckSchemeOfNetwork(field, *uri, *network, violations);
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
                   FieldViolations& violations) {
  const size_t query = redirect_uri.find('?');
  if (query == redirect_uri.npos) return;
  for (const absl::string_view pair : absl::StrSplit(redirect_uri.substr(query + 1), '&')) {
    const std::string name = FormDecoded(pair.substr(0, pair.find('=')));
    if (!IsResponseParameter(name)) continue;
    violations.Add(field, absl::StrCat("must not have ", Quoted(name),
                                       " in its query: the network adds a parameter of this name "
                                       "when the user comes back"));
    return;
  }
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
    if (scope.empty() || scope.size() > kMaxScopeBytes || !AllOf(scope, IsScopeChar)) {
      violations.Add(field, absl::StrCat("must be 1 to ", kMaxScopeBytes,
                                         " printable ASCII characters without space, \" and \\"));
    } else if (network != nullptr && absl::StrContains(scope, network->scopes().separator())) {
      violations.Add(field,
                     absl::StrCat("must be one scope: ", network->display_name(),
                                  " separates scopes by ", Quoted(network->scopes().separator())));
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
    if (name.empty() || name.size() > 64 || !AllOf(name, IsParameterNameChar)) {
      violations.Add("extra_params", absl::StrCat(Quoted(name),
                                                  " is not a valid parameter name: 1 to 64 "
                                                  "characters of A-Z, a-z, 0-9, _, . and -"));
      continue;
    }
    const std::string field = absl::StrCat("extra_params.", name);
    const bool is_declared = IsConfigurationParam(name, network);
    if (of_network.contains(folded) || (IsReservedParameter(name) && !is_declared)) {
      violations.Add(field, "must be left out: authurl sets this parameter itself");
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
