#include "core/catalog/network_description.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/catalog/endpoint.h"
#include "core/uri.h"

namespace authurl {
namespace {

using catalog::v1::Network;

// The public enums have the catalog's numbers (proto/authurl/v1/auth_url_service.proto).
v1::Network::Status StatusOf(const Network& network) {
  return static_cast<v1::Network::Status>(network.status());
}
v1::Network::PkceMode PkceModeOf(const Network& network) {
  return static_cast<v1::Network::PkceMode>(network.pkce().mode());
}

std::string InOneSentence(const v1::RedirectUriRules& rules) {
  std::vector<std::string> parts = {"https"};
  if (!rules.https_localhost() && !rules.https_loopback_ip() && !rules.https_ip_literal()) {
    parts.back() += " with a public host name";
  } else if (!rules.https_localhost() && !rules.https_loopback_ip()) {
    parts.back() += " but not to the local machine";
  } else if (!rules.https_ip_literal()) {
    parts.back() += " with a host name";
  }
  if (rules.http_loopback_ip() && rules.http_localhost()) {
    parts.emplace_back("http to 127.0.0.1, [::1] and localhost");
  } else if (rules.http_loopback_ip()) {
    parts.emplace_back("http to 127.0.0.1 and [::1]");
  } else if (rules.http_localhost()) {
    parts.emplace_back("http to localhost");
  }
  if (rules.private_use_schemes()) parts.emplace_back("an app's own scheme");
  std::string sentence = absl::StrJoin(parts, "; ");
  if (!rules.https_localhost() && rules.https_loopback_ip()) {
    absl::StrAppend(&sentence, "; not the name localhost");
  }
  if (!rules.query()) absl::StrAppend(&sentence, "; no query");
  absl::StrAppend(&sentence, "; at most ", rules.max_length(), " bytes");
  return sentence;
}

// What a network and a variant of it are both shown with.
template <typename Shown>
void CopyRules(const Network& network, Shown& shown) {
  *shown.mutable_default_scopes() = network.scopes().defaults();
  *shown.mutable_redirect_uri_rules() = DescribeRedirectUriRules(network);
  shown.set_pkce_mode(PkceModeOf(network));
  for (const auto& variable : network.variables()) {
    v1::NetworkVariable& added = *shown.add_variables();
    added.set_name(variable.name());
    added.set_default_value(variable.default_value());
    added.set_pattern(variable.pattern());
    added.set_description(variable.description());
  }
  for (const auto& param : network.configuration_params()) {
    v1::NetworkParameter& added = *shown.add_configuration_params();
    added.set_name(param.name());
    added.set_pattern(param.pattern());
    added.set_description(param.description());
    added.set_required(param.required());
    added.set_default_value(param.default_value());
  }
}

}  // namespace

v1::RedirectUriRules DescribeRedirectUriRules(const Network& network) {
  const auto& rules = network.redirect_uri();
  v1::RedirectUriRules shown;
  shown.set_http_loopback_ip(rules.http_loopback_ip());
  shown.set_http_localhost(rules.http_localhost());
  shown.set_https_localhost(!rules.no_local_https() && !rules.no_localhost());
  shown.set_https_loopback_ip(!rules.no_local_https());
  shown.set_https_ip_literal(!rules.no_ip_literal());
  shown.set_private_use_schemes(rules.private_use_schemes());
  shown.set_query(!rules.no_query());
  shown.set_max_length(rules.max_length() == 0 ? uint32_t{kMaxRedirectUriBytes}
                                               : rules.max_length());
  shown.set_description(InOneSentence(shown));
  return shown;
}

v1::Network DescribeNetwork(const NetworkCatalog& catalog, const Network& network) {
  v1::Network shown;
  shown.set_id(network.id());
  shown.set_display_name(network.display_name());
  shown.set_status(StatusOf(network));
  shown.set_status_note(network.status_note());
  CopyRules(network, shown);
  shown.set_client_key_label(network.client_key_label());
  shown.set_client_secret_label(network.client_secret_label());
  if (!network.documentation().empty()) shown.set_documentation_url(network.documentation(0));
  shown.set_has_instances(HasInstances(network));
  for (const auto& variant : network.variants()) {
    v1::NetworkVariant& added = *shown.add_variants();
    added.set_id(variant.id());
    added.set_display_name(variant.display_name());
    added.set_description(variant.description());
    CopyRules(*catalog.FindVariant(network.id(), variant.id()), added);
  }
  return shown;
}

}  // namespace authurl
