#include "core/network_catalog.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/civil_time.h"
#include "core/errors.h"
#include "core/field_rules.h"
#include "core/uri.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"
#include "re2/re2.h"

namespace authurl {
namespace {

using catalog::v1::EndpointVariable;
using catalog::v1::Network;

constexpr absl::string_view kInstance = "instance";
// A lower limit is a slip: 128 is the lowest of any network known.
constexpr uint32_t kMinStateLength = 64;
constexpr size_t kMaxTextBytes = 512;
constexpr char kIdPattern[] = "[a-z0-9_]{1,32}";
constexpr char kVariableNamePattern[] = "[a-z_]{1,32}";
constexpr char kParameterNamePattern[] = "[A-Za-z0-9_.-]{1,64}";

// Keeps the first error; those after it are often its consequences.
struct FirstError final : google::protobuf::io::ErrorCollector {
  void AddError(int line, int column, const std::string& message) override {
    if (!text.empty()) return;
    text = absl::StrCat("line ", line + 1, ", column ", column + 1, ": ", message);
  }
  std::string text;
};

void FillInDefaults(Network& network) {
  if (network.client_id_param().empty()) network.set_client_id_param("client_id");
  if (network.response_type().empty()) network.set_response_type("code");
  if (network.scopes().param().empty()) network.mutable_scopes()->set_param("scope");
  if (network.scopes().separator().empty()) network.mutable_scopes()->set_separator(" ");
  if (network.pkce().challenge_encoding() == catalog::v1::Pkce::CHALLENGE_ENCODING_UNSPECIFIED) {
    network.mutable_pkce()->set_challenge_encoding(catalog::v1::Pkce::CHALLENGE_ENCODING_BASE64URL);
  }
}

struct Endpoint {
  absl::string_view field;
  const std::string& url;
};

std::vector<Endpoint> EndpointsOf(const Network& network) {
  std::vector<Endpoint> endpoints;
  for (const Endpoint& endpoint :
       {Endpoint{"authorization_endpoint", network.authorization_endpoint()},
        Endpoint{"token_endpoint.url", network.token_endpoint().url()},
        Endpoint{"userinfo_endpoint", network.userinfo_endpoint()},
        Endpoint{"revocation_endpoint", network.revocation_endpoint()}}) {
    if (!endpoint.url.empty()) endpoints.push_back(endpoint);
  }
  return endpoints;
}

std::string Placeholder(absl::string_view variable) { return absl::StrCat("{", variable, "}"); }

// The endpoint with `name` set to `value`, and every other variable to its default.
std::string Filled(const Network& network, std::string url, absl::string_view name,
                   absl::string_view value) {
  for (const EndpointVariable& variable : network.variables()) {
    absl::StrReplaceAll(
        {{Placeholder(variable.name()),
          PercentEncode(variable.name() == name ? value : variable.default_value())}},
        &url);
  }
  absl::StrReplaceAll({{Placeholder(kInstance), "instance.example"}}, &url);
  return url;
}

// OK for an https URL of core/uri.h's grammar. The message continues a sentence that begins with
// the name of the field.
absl::Status CheckHttpsUrl(absl::string_view url) {
  const absl::StatusOr<RedirectUri> uri = ParseRedirectUri(url);
  if (!uri.ok()) return uri.status();
  if (uri->scheme != "https") return absl::InvalidArgumentError("must begin with https://");
  return absl::OkStatus();
}

bool Matches(absl::string_view text, const RE2& pattern) {
  return RE2::FullMatch(re2::StringPiece(text.data(), text.size()), pattern);
}

void CheckIdentity(const Network& network, FieldViolations& faults) {
  if (!Matches(network.id(), kIdPattern)) {
    faults.Add("id", "must be 1 to 32 characters of a-z, 0-9 and _");
  }
  CheckText("display_name", network.display_name(), 1, kMaxTextBytes, faults);
  CheckText("client_key_label", network.client_key_label(), 0, kMaxTextBytes, faults);
  CheckText("client_secret_label", network.client_secret_label(), 0, kMaxTextBytes, faults);
  const bool live = network.status() == catalog::v1::STATUS_LIVE;
  if (!catalog::v1::Status_IsValid(network.status()) ||
      network.status() == catalog::v1::STATUS_UNSPECIFIED) {
    faults.Add("status", "must be set to one of the schema's values");
  } else if (!live) {
    CheckText("status_note", network.status_note(), 1, kMaxTextBytes, faults);
  }
  if (live && network.authorization_endpoint().empty()) {
    faults.Add("authorization_endpoint", "must be set where the status is STATUS_LIVE");
  }
  if (network.status() == catalog::v1::STATUS_NO_OAUTH &&
      !network.authorization_endpoint().empty()) {
    faults.Add("authorization_endpoint", "must be left out where the status is STATUS_NO_OAUTH");
  }
}

void CheckEndpoints(const Network& network, FieldViolations& faults) {
  for (const Endpoint& endpoint : EndpointsOf(network)) {
    const std::string url = Filled(network, endpoint.url, "", "");
    if (const size_t open = url.find('{'); open != url.npos) {
      faults.Add(endpoint.field, absl::StrCat("has ", url.substr(open, url.find('}', open) - open),
                                              "}, which variables does not declare"));
      continue;
    }
    if (absl::Status status = CheckHttpsUrl(url); !status.ok()) {
      faults.Add(endpoint.field, status.message());
    }
    if (absl::StrContains(endpoint.url, Placeholder(kInstance)) && !HasInstances(network)) {
      faults.Add(endpoint.field,
                 "must not have {instance} unless the host of authorization_endpoint has it");
    }
  }
  const auto& token_endpoint = network.token_endpoint();
  const bool has_method =
      token_endpoint.auth_method() != catalog::v1::TokenEndpoint::AUTH_METHOD_UNSPECIFIED;
  if (!catalog::v1::TokenEndpoint::AuthMethod_IsValid(token_endpoint.auth_method()) ||
      has_method == token_endpoint.url().empty()) {
    faults.Add("token_endpoint.auth_method",
               "must be set to one of the schema's values with the url, and not without it");
  }
}

void CheckVariable(const Network& network, const EndpointVariable& variable,
                   FieldViolations& faults) {
  const std::string field = absl::StrCat("variables ", Quoted(variable.name()));
  if (!Matches(variable.name(), kVariableNamePattern) || variable.name() == kInstance) {
    faults.Add(field, "name must be 1 to 32 characters of a-z and _, and not \"instance\"");
  }
  CheckText(field + " description", variable.description(), 1, kMaxTextBytes, faults);
  const RE2 pattern(variable.pattern(), RE2::Quiet);
  if (!pattern.ok()) {
    faults.Add(field, absl::StrCat("pattern is no RE2 expression: ", pattern.error()));
  } else if (variable.default_value().empty() || !Matches(variable.default_value(), pattern)) {
    faults.Add(field, absl::StrCat("default_value ", Quoted(variable.default_value()),
                                   " must not be empty and must match the pattern in full"));
  }
  std::string endpoints;
  for (const Endpoint& endpoint : EndpointsOf(network)) endpoints += endpoint.url;
  if (!absl::StrContains(endpoints, Placeholder(variable.name()))) {
    faults.Add(field, "is in no endpoint: use it or remove it");
  }
}

void CheckVariableList(const Network& network, FieldViolations& faults) {
  std::set<std::string> names;
  for (const EndpointVariable& variable : network.variables()) {
    CheckVariable(network, variable, faults);
    if (!names.insert(variable.name()).second) {
      faults.Add("variables", absl::StrCat("has ", Quoted(variable.name()), " twice"));
    }
  }
}

// The parameters of one request, so that none occurs twice. Names that differ in case only count as
// one.
class ParameterNames final {
 public:
  explicit ParameterNames(FieldViolations& faults) : faults_(faults) {}

  void Claim(absl::string_view field, absl::string_view name) {
    if (!Matches(name, kParameterNamePattern)) {
      faults_.Add(field, absl::StrCat(Quoted(name), " is no parameter name: 1 to 64 characters of ",
                                      "A-Z, a-z, 0-9, _, . and -"));
    } else if (!taken_.insert(absl::AsciiStrToLower(name)).second) {
      faults_.Add(field, absl::StrCat(Quoted(name), " would be sent twice"));
    }
  }
  // For parameters that are not the protocol's.
  void ClaimUnreserved(absl::string_view field, absl::string_view name) {
    if (!IsReservedParameter(name)) return Claim(field, name);
    faults_.Add(field, absl::StrCat(Quoted(name), " is reserved for the protocol"));
  }

 private:
  FieldViolations& faults_;
  std::set<std::string> taken_ = {"redirect_uri", "response_type", "state", "code_challenge",
                                  "code_challenge_method"};
};

void CheckParameters(const Network& network, FieldViolations& faults) {
  ParameterNames names(faults);
  const absl::string_view endpoint = network.authorization_endpoint();
  if (const size_t query = endpoint.find('?'); query != endpoint.npos) {
    for (const absl::string_view pair : absl::StrSplit(endpoint.substr(query + 1), '&')) {
      names.Claim("authorization_endpoint", pair.substr(0, pair.find('=')));
    }
  }
  names.Claim("client_id_param", network.client_id_param());
  names.Claim("scopes.param", network.scopes().param());
  if (!network.login_hint_param().empty()) {
    names.ClaimUnreserved("login_hint_param", network.login_hint_param());
  }
  const auto check_value = [&](absl::string_view field, const catalog::v1::Parameter& param) {
    CheckText(absl::StrCat(field, " ", Quoted(param.name()), " value"), param.value(), 1,
              kMaxTextBytes, faults);
  };
  std::set<std::string> fixed;
  for (const auto& param : network.fixed_params()) {
    names.ClaimUnreserved("fixed_params", param.name());
    check_value("fixed_params", param);
    fixed.insert(param.name());
  }
  for (const auto& param : network.account_selection_params()) {
    check_value("account_selection_params", param);
    // The first one of that name takes the place of the fixed one.
    if (fixed.erase(param.name()) > 0) continue;
    names.ClaimUnreserved("account_selection_params", param.name());
  }
}

void CheckProtocol(const Network& network, FieldViolations& faults) {
  if (network.response_type() != "code") {
    faults.Add("response_type", "must be \"code\", the one flow that authurl supports");
  }
  const std::string& separator = network.scopes().separator();
  if (separator.size() != 1 || !absl::ascii_isprint(static_cast<unsigned char>(separator[0])) ||
      absl::ascii_isalnum(static_cast<unsigned char>(separator[0]))) {
    faults.Add("scopes.separator", "must be a single space or punctuation character");
  }
  CheckScopes(network.scopes().defaults(), &network, faults);
  const auto mode = network.pkce().mode();
  if (!catalog::v1::Pkce::Mode_IsValid(mode) || (mode == catalog::v1::Pkce::MODE_UNSPECIFIED &&
                                                 network.status() == catalog::v1::STATUS_LIVE)) {
    faults.Add("pkce.mode", "must be set to one of the schema's values");
  }
  if (!catalog::v1::Pkce::ChallengeEncoding_IsValid(network.pkce().challenge_encoding())) {
    faults.Add("pkce.challenge_encoding", "must be one of the schema's values");
  }
  const uint32_t max_state = network.state().max_length();
  if (max_state != 0 && max_state < kMinStateLength) {
    faults.Add("state.max_length", absl::StrCat("must be 0 or at least ", kMinStateLength));
  }
  if (!network.fragment().empty() && !Matches(network.fragment(), kParameterNamePattern)) {
    faults.Add("fragment", "must be 1 to 64 characters of A-Z, a-z, 0-9, _, . and -");
  }
}

void CheckRedirectUriRules(const Network& network, FieldViolations& faults) {
  const auto& rules = network.redirect_uri();
  if (rules.max_length() > kMaxRedirectUriBytes) {
    faults.Add("redirect_uri.max_length", absl::StrCat("must be at most ", kMaxRedirectUriBytes));
  }
  if (rules.no_local_https() && (rules.http_loopback_ip() || rules.http_localhost())) {
    faults.Add("redirect_uri.no_local_https",
               "must not be set where http is taken for the local machine");
  }
}

void CheckSources(const Network& network, FieldViolations& faults) {
  if (network.documentation().empty()) {
    faults.Add("documentation", "must name at least one page of the network's own");
  }
  for (const std::string& page : network.documentation()) {
    const absl::Status status = CheckHttpsUrl(page);
    if (status.ok()) continue;
    faults.Add("documentation", absl::StrCat(Quoted(page), " ", status.message()));
  }
  absl::CivilDay day;
  if (!absl::ParseCivilTime(network.checked_on(), &day) ||
      absl::FormatCivilTime(day) != network.checked_on()) {
    faults.Add("checked_on", "must be a day that exists, as YYYY-MM-DD");
  }
}

// OK or every fault of the entry.
absl::Status CheckEntry(const Network& network) {
  FieldViolations faults;
  // The text format takes any bytes in a string; parsing the binary format does not.
  if (!Network().ParseFromString(network.SerializeAsString())) {
    faults.Add("text", "must be UTF-8");
  }
  for (const auto check : {CheckIdentity, CheckEndpoints, CheckVariableList, CheckParameters,
                           CheckProtocol, CheckRedirectUriRules, CheckSources}) {
    check(network, faults);
  }
  if (faults.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrJoin(faults.list(), "; ", [](std::string* out, const FieldViolation& fault) {
        absl::StrAppend(out, fault.field, ": ", fault.description);
      }));
}

// Levenshtein's.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

absl::StatusOr<NetworkCatalog> NetworkCatalog::Parse(absl::string_view text) {
  NetworkCatalog catalog;
  catalog.catalog_ = std::make_unique<catalog::v1::Catalog>();
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  if (!parser.ParseFromString(std::string(text), catalog.catalog_.get())) {
    return absl::InvalidArgumentError(absl::StrCat("the network catalog: ", error.text));
  }
  for (Network& network : *catalog.catalog_->mutable_networks()) {
    const std::string entry = absl::StrCat("network ", Quoted(network.id()), ": ");
    FillInDefaults(network);
    if (const absl::Status status = CheckEntry(network); !status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(entry, status.message()));
    }
    if (!catalog.by_id_.emplace(network.id(), &network).second) {
      return absl::InvalidArgumentError(absl::StrCat(entry, "id: must not occur twice"));
    }
    catalog.in_order_.push_back(&network);
  }
  return catalog;
}

const Network* NetworkCatalog::Find(absl::string_view id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

std::string NetworkCatalog::Nearest(absl::string_view id) const {
  const std::string lower = absl::AsciiStrToLower(id.substr(0, kMaxTextBytes));
  std::string nearest;
  // More than a third of it changed is another word.
  size_t nearest_distance = lower.size() / 3 + 1;
  for (const Network* network : in_order_) {
    const size_t distance = EditDistance(lower, network->id());
    if (distance >= nearest_distance) continue;
    nearest_distance = distance;
    nearest = network->id();
  }
  return nearest;
}

bool HasInstances(const Network& network) {
  absl::string_view rest = network.authorization_endpoint();
  if (!absl::ConsumePrefix(&rest, "https://")) return false;
  return absl::StrContains(rest.substr(0, rest.find_first_of("/?")), Placeholder(kInstance));
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
  if (!Matches(value, RE2(variable->pattern(), RE2::Quiet))) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(name), " must match ", variable->pattern(), " (",
                     variable->description(), "), not ", Quoted(value)));
  }
  // A pattern may be lax, and what it lets through must still not move the endpoint elsewhere.
  for (const Endpoint& endpoint : EndpointsOf(network)) {
    const absl::Status status = CheckHttpsUrl(Filled(network, endpoint.url, name, value));
    if (status.ok()) continue;
    return absl::InvalidArgumentError(absl::StrCat(Quoted(name), " can't be ", Quoted(value), ": ",
                                                   endpoint.field, " then ", status.message()));
  }
  return absl::OkStatus();
}

}  // namespace authurl
