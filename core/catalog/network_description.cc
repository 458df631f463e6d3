#include "core/catalog/network_description.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/catalog/endpoint.h"
#include "core/catalog/network_rules.h"
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

using Evidence = v1::NetworkConnection::Evidence;

// "2 hours", "180 days".
std::string Life(uint32_t seconds) {
  const auto in = [&](uint32_t unit, absl::string_view name) {
    return absl::StrCat(seconds / unit, " ", name, seconds / unit == 1 ? "" : "s");
  };
  if (seconds >= 86400) return in(86400, "day");
  if (seconds >= 3600) return in(3600, "hour");
  if (seconds >= 60) return in(60, "minute");
  return in(1, "second");
}

std::string LifetimeOf(const Network& network) {
  if (!network.has_refresh()) {
    const uint32_t life = network.has_long_lived() ? network.long_lived().access_token_lifetime_s()
                                                   : network.exchange().access_token_lifetime_s();
    if (life == 0) return "There is no refresh token: the access token lives until it is revoked";
    return absl::StrCat("There is no refresh token: the person must connect again after ",
                        Life(life));
  }
  const auto& refresh = network.refresh();
  std::string sentence;
  switch (refresh.rotation()) {
    case catalog::v1::Refresh::ROTATION_NO_REFRESH_TOKEN:
      sentence = "The access token itself is prolonged while it lives";
      break;
    case catalog::v1::Refresh::ROTATION_ALWAYS:
      sentence = "A new refresh token comes with each refresh";
      break;
    case catalog::v1::Refresh::ROTATION_SOMETIMES:
      sentence = "A new refresh token may come with a refresh";
      break;
    default:
      sentence = "The refresh token stays the same";
  }
  if (refresh.access_token_lifetime_s() != 0) {
    absl::StrAppend(&sentence, "; access tokens live ", Life(refresh.access_token_lifetime_s()));
  }
  if (refresh.refresh_token_lifetime_s() != 0) {
    absl::StrAppend(&sentence, "; refresh tokens live ", Life(refresh.refresh_token_lifetime_s()),
                    refresh.lifetime_from_consent() ? " from the consent, and the person must "
                                                      "connect again then"
                                                    : "");
  }
  if (refresh.idle_lifetime_s() != 0) {
    absl::StrAppend(&sentence, "; a connection that is not used for ",
                    Life(refresh.idle_lifetime_s()), " ends");
  }
  if (!refresh.condition().empty()) absl::StrAppend(&sentence, ". ", refresh.condition());
  return sentence;
}

std::string RevocationOf(const Network& network) {
  if (!network.has_revocation()) {
    return absl::StrCat(
        network.display_name(),
        " has no way to take a connection back: the person does it in the settings");
  }
  switch (network.revocation().ends()) {
    case catalog::v1::Revocation::ENDS_ALL_OF_PERSON:
      return "Taking a connection back ends all of the person's with the app";
    case catalog::v1::Revocation::ENDS_SHARED_TOKEN:
      return "Taking a connection back ends all that have the same token: the network may hand out "
             "one twice";
    default:
      return "Taking a connection back ends this one";
  }
}

std::string AccountSelectionOf(const Network& network) {
  return absl::StrJoin(
      network.account_selection_params(), "; ",
      [](std::string* out, const auto& param) { absl::StrAppend(out, param.why()); });
}

v1::NetworkConnection DescribeConnection(const Network& network) {
  v1::NetworkConnection shown;
  const auto add = [&](absl::string_view name, bool is_there, catalog::v1::Evidence evidence) {
    if (!is_there) return;
    v1::NetworkConnection::Step& step = *shown.add_steps();
    step.set_name(std::string(name));
    step.set_evidence(static_cast<Evidence>(evidence));
  };
  const bool can_end = network.has_exchange();
  add("callback", can_end, network.callback().evidence());
  add("exchange", can_end, network.exchange().evidence());
  add("long_lived", network.has_long_lived(), network.long_lived().evidence());
  add("refresh", network.has_refresh(), network.refresh().evidence());
  add("profile", network.has_profile(), network.profile().evidence());
  add("accounts", network.has_accounts(), network.accounts().evidence());
  add("revocation", network.has_revocation(), network.revocation().evidence());
  shown.set_force_account_selection(AccountSelectionOf(network));
  shown.set_login_hint(!network.login_hint_param().empty());
  shown.set_locale(network.has_locale());
  if (!can_end) return shown;
  shown.set_code_lifetime_s(network.callback().code_lifetime_s());
  shown.set_public_clients(TakesPublicClients(network));
  shown.set_lifetime(LifetimeOf(network));
  shown.set_access_token_lifetime_s(network.refresh().access_token_lifetime_s());
  shown.set_refresh_token_lifetime_s(network.refresh().refresh_token_lifetime_s());
  if (network.accounts().when() == catalog::v1::Accounts::WHEN_CONNECTING) {
    shown.set_accounts(network.accounts().what());
  }
  shown.set_revocation(RevocationOf(network));
  shown.set_revocation_ends_others(network.has_revocation() &&
                                   network.revocation().ends() !=
                                       catalog::v1::Revocation::ENDS_GRANT);
  shown.set_one_grant_per_person(network.one_grant_per_person());
  return shown;
}

// What a network and a variant of it are both shown with.
template <typename Shown>
void CopyRules(const Network& network, Shown& shown) {
  *shown.mutable_default_scopes() = network.scopes().defaults();
  *shown.mutable_redirect_uri_rules() = DescribeRedirectUriRules(network);
  shown.set_pkce_mode(PkceModeOf(network));
  *shown.mutable_connection() = DescribeConnection(network);
  for (const auto& variable : network.variables()) {
    v1::NetworkVariable& added = *shown.add_variables();
    added.set_name(variable.name());
    added.set_default_value(variable.default_value());
    added.set_pattern(variable.pattern());
    added.set_description(variable.description());
    added.set_per_request(variable.per_request());
  }
  for (const auto& param : network.configuration_params()) {
    v1::NetworkParameter& added = *shown.add_configuration_params();
    added.set_name(param.name());
    added.set_pattern(param.pattern());
    added.set_description(param.description());
    added.set_required(param.required());
    added.set_default_value(param.default_value());
    added.set_per_request(param.per_request());
    added.set_completing_only(param.completing_only());
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
