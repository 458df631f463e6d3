#include "core/catalog/endpoint.h"

#include <algorithm>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/catalog/completion_rules.h"
#include "core/catalog/pattern.h"
#include "core/catalog/text_template.h"
#include "core/uri.h"

namespace authurl {
namespace {

using catalog::v1::EndpointVariable;
using catalog::v1::Network;

struct Endpoint {
  absl::string_view field;
  absl::string_view url;
  // Of a request: with names of a flow in it, too, which completion_rules.h checks.
  bool is_template;
};

std::vector<Endpoint> EndpointsOf(const Network& network) {
  std::vector<Endpoint> endpoints;
  if (!network.authorization_endpoint().empty()) {
    endpoints.push_back({"authorization_endpoint", network.authorization_endpoint(), false});
  }
  ForEachRequest(network, [&](absl::string_view field, const catalog::v1::Request& request) {
    endpoints.push_back({field, request.url(), true});
  });
  return endpoints;
}

bool IsHttp(absl::string_view url) { return absl::StartsWith(url, "http://"); }

// OK for what an endpoint that is written as `written` may be once it is filled in: https or, where
// it is written as http, http to this machine.
absl::Status CheckFilled(absl::string_view written, absl::string_view url) {
  if (!IsHttp(written)) return CheckHttpsUrl(url);
  const absl::StatusOr<RedirectUri> uri = ParseRedirectUri(url);
  if (!uri.ok()) return uri.status();
  if (uri->host_kind == HostKind::kLoopbackIp || uri->host_kind == HostKind::kLocalhost) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError("must begin with https://");
}

std::string Placeholder(absl::string_view variable) { return absl::StrCat("{", variable, "}"); }

// The endpoint with `name` set to `value`, and every other variable to its default.
std::string Filled(const Network& network, const Endpoint& endpoint, absl::string_view name,
                   absl::string_view value) {
  const auto parts = ParseTemplate(endpoint.url);
  if (!parts.ok()) return std::string(endpoint.url);
  std::string url;
  for (const TemplatePart& part : *parts) {
    const auto variable =
        std::find_if(network.variables().begin(), network.variables().end(),
                     [&](const EndpointVariable& one) { return one.name() == part.text; });
    if (!part.is_name) {
      absl::StrAppend(&url, part.text);
    } else if (part.text == kInstance) {
      absl::StrAppend(&url, "instance.example");
    } else if (variable != network.variables().end()) {
      AppendPercentEncoded(part.text == name ? value : variable->default_value(), url);
    } else {
      absl::StrAppend(&url, endpoint.is_template ? "x" : Placeholder(part.text));
    }
  }
  return url;
}

void AppendVariable(const Network& network, const record::v1::SocialNetworkSettings& settings,
                    absl::string_view name, std::string& url) {
  // Checked as a host when it was configured, so it needs no encoding.
  if (name == kInstance) return absl::StrAppend(&url, settings.instance());
  for (const EndpointVariable& variable : network.variables()) {
    if (variable.name() != name) continue;
    const auto configured = settings.variables().find(variable.name());
    return AppendPercentEncoded(configured == settings.variables().end()
                                    ? absl::string_view(variable.default_value())
                                    : absl::string_view(configured->second),
                                url);
  }
}

}  // namespace

void AppendAuthorizationEndpoint(const Network& network,
                                 const record::v1::SocialNetworkSettings& settings,
                                 std::string& url) {
  absl::string_view rest = network.authorization_endpoint();
  // Every "{" leads a variable and its "}": the catalog was checked for it.
  for (size_t open = rest.find('{'); open != rest.npos; open = rest.find('{')) {
    const size_t close = rest.find('}', open);
    absl::StrAppend(&url, rest.substr(0, open));
    AppendVariable(network, settings, rest.substr(open + 1, close - open - 1), url);
    rest.remove_prefix(close + 1);
  }
  absl::StrAppend(&url, rest);
}

std::string AuthorizationEndpoint(const Network& network,
                                  const record::v1::SocialNetworkSettings& settings) {
  std::string url;
  AppendAuthorizationEndpoint(network, settings, url);
  return url;
}

std::optional<std::string> EndpointValue(const Network& network,
                                         const record::v1::SocialNetworkSettings& settings,
                                         absl::string_view name) {
  if (name == kInstance) return settings.instance();
  for (const EndpointVariable& variable : network.variables()) {
    if (variable.name() != name) continue;
    const auto configured = settings.variables().find(variable.name());
    return configured == settings.variables().end() ? variable.default_value() : configured->second;
  }
  return std::nullopt;
}

bool HasInstances(const Network& network) {
  absl::string_view rest = network.authorization_endpoint();
  if (!absl::ConsumePrefix(&rest, "https://")) return false;
  return absl::StrContains(rest.substr(0, rest.find_first_of("/?")), Placeholder(kInstance));
}

std::vector<absl::string_view> ParametersOfEndpoint(const Network& network) {
  std::vector<absl::string_view> names;
  const absl::string_view endpoint = network.authorization_endpoint();
  const size_t query = endpoint.find('?');
  if (query == endpoint.npos) return names;
  for (const absl::string_view pair : absl::StrSplit(endpoint.substr(query + 1), '&')) {
    names.push_back(pair.substr(0, pair.find('=')));
  }
  return names;
}

absl::Status CheckEndpointVariable(const Network& network, absl::string_view name,
                                   absl::string_view value) {
  const auto variable =
      std::find_if(network.variables().begin(), network.variables().end(),
                   [&](const EndpointVariable& candidate) { return candidate.name() == name; });
  if (variable == network.variables().end()) {
    return absl::InvalidArgumentError(
        absl::StrCat(network.display_name(), " has no variable ", Quoted(name)));
  }
  if (!MatchesInFull(value, variable->pattern())) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(name), " must match ", variable->pattern(), " (",
                     variable->description(), "), not ", Quoted(value)));
  }
  // A pattern may be lax, and what it lets through must still not move the endpoint elsewhere.
  for (const Endpoint& endpoint : EndpointsOf(network)) {
    const absl::Status status = CheckFilled(endpoint.url, Filled(network, endpoint, name, value));
    if (status.ok()) continue;
    return absl::InvalidArgumentError(absl::StrCat(Quoted(name), " can't be ", Quoted(value), ": ",
                                                   endpoint.field, " then ", status.message()));
  }
  return absl::OkStatus();
}

bool UsesVariable(const Network& network, absl::string_view variable) {
  const std::vector<Endpoint> endpoints = EndpointsOf(network);
  return std::any_of(endpoints.begin(), endpoints.end(), [&](const Endpoint& endpoint) {
    return absl::StrContains(endpoint.url, Placeholder(variable));
  });
}

void CheckEndpoints(const Network& network, FieldViolations& faults) {
  for (const Endpoint& endpoint : EndpointsOf(network)) {
    const std::string url = Filled(network, endpoint, "", "");
    if (const size_t open = url.find('{'); open != url.npos) {
      faults.Add(endpoint.field, absl::StrCat("has ", url.substr(open, url.find('}', open) - open),
                                              "}, which variables does not declare"));
      continue;
    }
    if (absl::Status status = CheckFilled(endpoint.url, url); !status.ok()) {
      faults.Add(endpoint.field, status.message());
    }
    if (absl::StrContains(endpoint.url, Placeholder(kInstance)) && !HasInstances(network)) {
      faults.Add(endpoint.field,
                 "must not have {instance} unless the host of authorization_endpoint has it");
    }
  }
}

std::string HttpEndpoint(const Network& network) {
  for (const Endpoint& endpoint : EndpointsOf(network)) {
    if (IsHttp(endpoint.url)) return std::string(endpoint.field);
  }
  return "";
}

absl::Status CheckHttpsUrl(absl::string_view url) {
  const absl::StatusOr<RedirectUri> uri = ParseRedirectUri(url);
  if (!uri.ok()) return uri.status();
  if (uri->scheme != "https") return absl::InvalidArgumentError("must begin with https://");
  return absl::OkStatus();
}

}  // namespace authurl
