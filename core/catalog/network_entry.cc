#include "core/catalog/network_entry.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/civil_time.h"
#include "core/catalog/completion_rules.h"
#include "core/catalog/endpoint.h"
#include "core/catalog/network_rules.h"
#include "core/catalog/pattern.h"
#include "core/errors.h"
#include "core/field_rules.h"
#include "core/uri.h"

namespace authurl {
namespace {

using catalog::v1::EndpointVariable;
using catalog::v1::Network;

// Decides how the answer comes back and not what is asked for, so an entry may fix it.
constexpr absl::string_view kResponseMode = "response_mode";
// Beside a `scope` for bots, what is asked for in the name of the user: only the organisation
// knows.
constexpr absl::string_view kUserScope = "user_scope";
// What makes a network that network; a variant can't change it.
constexpr std::array<absl::string_view, 8> kNotInVariants = {
    "id",         "display_name", "status", "status_note", "response_type",
    "checked_on", "variants",     "aliases"};

bool IsMadeOf(absl::string_view text, size_t max_chars, bool (*is_allowed)(unsigned char)) {
  return !text.empty() && text.size() <= max_chars &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return is_allowed(static_cast<unsigned char>(c)); });
}
bool IsVariableName(absl::string_view text) {
  return IsMadeOf(text, 32, [](unsigned char c) { return absl::ascii_islower(c) || c == '_'; });
}
bool IsParameterName(absl::string_view text) {
  return IsMadeOf(text, 64, [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '.' || c == '-';
  });
}

void FillInDefaults(Network& network) {
  if (network.client_id_param().empty()) network.set_client_id_param("client_id");
  if (network.response_type().empty()) network.set_response_type("code");
  if (network.scopes().param().empty()) network.mutable_scopes()->set_param("scope");
  if (network.scopes().separator().empty()) network.mutable_scopes()->set_separator(" ");
  if (!HasAuthUrl(network) && network.pkce().mode() == catalog::v1::Pkce::MODE_UNSPECIFIED) {
    network.mutable_pkce()->set_mode(catalog::v1::Pkce::MODE_NONE);
  }
  if (network.pkce().challenge_encoding() == catalog::v1::Pkce::CHALLENGE_ENCODING_UNSPECIFIED) {
    network.mutable_pkce()->set_challenge_encoding(catalog::v1::Pkce::CHALLENGE_ENCODING_BASE64URL);
  }
  FillInCompletion(network);
}

// OK when there are none; `prefix` goes before the name of each field.
absl::Status ToStatus(const FieldViolations& faults, absl::string_view prefix) {
  if (faults.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrJoin(faults.list(), "; ", [&](std::string* out, const FieldViolation& fault) {
        absl::StrAppend(out, prefix, fault.field, ": ", fault.description);
      }));
}

void CheckIdentity(const Network& network, FieldViolations& faults) {
  if (!IsNetworkId(network.id())) {
    faults.Add("id", "must be 1 to 32 characters of a-z, 0-9 and _");
  }
  for (const std::string& alias : network.aliases()) {
    if (IsNetworkId(alias) && alias != network.id()) continue;
    faults.Add("aliases", absl::StrCat(Quoted(alias),
                                       " must be 1 to 32 characters of a-z, 0-9 and "
                                       "_, and not the id"));
  }
  CheckText("display_name", network.display_name(), 1, kMaxTextBytes, faults);
  CheckText("client_key_label", network.client_key_label(), 0, kMaxTextBytes, faults);
  CheckText("client_secret_label", network.client_secret_label(), 0, kMaxTextBytes, faults);
  if (!catalog::v1::Status_IsValid(network.status()) ||
      network.status() == catalog::v1::STATUS_UNSPECIFIED) {
    faults.Add("status", "must be set to one of the schema's values");
  } else if (network.status() != catalog::v1::STATUS_LIVE) {
    CheckText("status_note", network.status_note(), 1, kMaxTextBytes, faults);
  }
  if (HasAuthUrl(network) && network.authorization_endpoint().empty()) {
    faults.Add("authorization_endpoint", absl::StrCat("must be set where the status is ",
                                                      catalog::v1::Status_Name(network.status())));
  }
  if (network.status() == catalog::v1::STATUS_NO_OAUTH &&
      !network.authorization_endpoint().empty()) {
    faults.Add("authorization_endpoint", "must be left out where the status is STATUS_NO_OAUTH");
  }
}

void CheckVariable(const Network& network, const EndpointVariable& variable,
                   FieldViolations& faults) {
  const std::string field = absl::StrCat("variables ", Quoted(variable.name()));
  if (!IsVariableName(variable.name()) || variable.name() == kInstance) {
    faults.Add(field, "name must be 1 to 32 characters of a-z and _, and not \"instance\"");
  }
  CheckText(field + " description", variable.description(), 1, kMaxTextBytes, faults);
  if (const absl::Status status = CheckPattern(variable.pattern()); !status.ok()) {
    faults.Add(field, absl::StrCat("pattern ", status.message()));
  } else if (variable.default_value().empty() ||
             !MatchesInFull(variable.default_value(), variable.pattern())) {
    faults.Add(field, absl::StrCat("default_value ", Quoted(variable.default_value()),
                                   " must not be empty and must match the pattern in full"));
  }
  if (!UsesVariable(network, variable.name())) {
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
    if (!IsParameterName(name)) {
      faults_.Add(field, absl::StrCat(Quoted(name),
                                      " is not a valid parameter name: 1 to 64 characters of ",
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

void CheckParameter(absl::string_view list, const catalog::v1::Parameter& param,
                    FieldViolations& faults) {
  const std::string field = absl::StrCat(list, " ", Quoted(param.name()));
  CheckText(field + " value", param.value(), 1, kMaxTextBytes, faults);
  CheckText(field + " why", param.why(), 1, kMaxTextBytes, faults);
}

void CheckConfigurationParam(const catalog::v1::ConfigurationParam& param,
                             FieldViolations& faults) {
  const std::string field = absl::StrCat("configuration_params ", Quoted(param.name()));
  CheckText(field + " description", param.description(), 1, kMaxTextBytes, faults);
  if (const absl::Status status = CheckPattern(param.pattern()); !status.ok()) {
    faults.Add(field, absl::StrCat("pattern ", status.message()));
  } else if (!param.default_value().empty() &&
             !MatchesInFull(param.default_value(), param.pattern())) {
    faults.Add(field, absl::StrCat("default_value ", Quoted(param.default_value()),
                                   " must match the pattern in full"));
  }
  if (param.required() && !param.default_value().empty()) {
    faults.Add(field, "must not both be required and have a default_value");
  }
}

void CheckParameters(const Network& network, FieldViolations& faults) {
  ParameterNames names(faults);
  for (const absl::string_view name : ParametersOfEndpoint(network)) {
    names.Claim("authorization_endpoint", name);
  }
  names.Claim("client_id_param", network.client_id_param());
  names.Claim("scopes.param", network.scopes().param());
  if (!network.login_hint_param().empty()) {
    names.ClaimUnreserved("login_hint_param", network.login_hint_param());
  }
  if (network.has_locale()) names.ClaimUnreserved("locale.param", network.locale().param());
  // Of these, account selection may have another value.
  std::set<std::string> replaceable;
  for (const auto& param : network.fixed_params()) {
    if (param.name() == kResponseMode) {
      names.Claim("fixed_params", param.name());
    } else {
      names.ClaimUnreserved("fixed_params", param.name());
    }
    CheckParameter("fixed_params", param, faults);
    replaceable.insert(param.name());
  }
  for (const auto& param : network.configuration_params()) {
    if (param.name() == kUserScope || param.name() == kResponseMode) {
      names.Claim("configuration_params", param.name());
    } else {
      names.ClaimUnreserved("configuration_params", param.name());
    }
    CheckConfigurationParam(param, faults);
    replaceable.insert(param.name());
  }
  for (const auto& param : network.account_selection_params()) {
    CheckParameter("account_selection_params", param, faults);
    // The first one of that name takes the place of the other one.
    if (replaceable.erase(param.name()) > 0) continue;
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
  if (!catalog::v1::Pkce::Mode_IsValid(mode) ||
      (mode == catalog::v1::Pkce::MODE_UNSPECIFIED && HasAuthUrl(network))) {
    faults.Add("pkce.mode", "must be set to one of the schema's values");
  }
  if (!catalog::v1::Pkce::ChallengeEncoding_IsValid(network.pkce().challenge_encoding())) {
    faults.Add("pkce.challenge_encoding", "must be one of the schema's values");
  }
  const uint32_t max_state = network.state().max_length();
  if (max_state != 0 && max_state < kStateReferenceChars) {
    faults.Add("state.max_length", absl::StrCat("must be 0 or at least ", kStateReferenceChars));
  }
  if (!catalog::v1::StateRules::Alphabet_IsValid(network.state().alphabet())) {
    faults.Add("state.alphabet", "must be one of the schema's values");
  }
  if (!network.fragment().empty() && !IsParameterName(network.fragment())) {
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
  if (rules.no_localhost() && rules.http_localhost()) {
    faults.Add("redirect_uri.no_localhost", "must not be set where http is taken for localhost");
  }
}

void CheckCredentialFormats(const Network& network, FieldViolations& faults) {
  const auto check = [&](const std::string& field, const catalog::v1::CredentialFormat& format) {
    if (const absl::Status status = CheckPattern(format.pattern()); !status.ok()) {
      faults.Add(field + ".pattern", status.message());
    }
    CheckText(field + ".description", format.description(), 1, kMaxTextBytes, faults);
  };
  if (network.has_client_key_format()) check("client_key_format", network.client_key_format());
  if (network.has_client_secret_format()) {
    check("client_secret_format", network.client_secret_format());
  }
}

void CheckSources(const Network& network, FieldViolations& faults) {
  for (const std::string& page : network.documentation()) {
    const absl::Status status = CheckHttpsUrl(page);
    if (status.ok()) continue;
    faults.Add("documentation", absl::StrCat(Quoted(page), " ", status.message()));
  }
  if (network.checked_on().empty()) return;
  absl::CivilDay day;
  if (!absl::ParseCivilTime(network.checked_on(), &day) ||
      absl::FormatCivilTime(day) != network.checked_on()) {
    faults.Add("checked_on", "must be a day that exists, as YYYY-MM-DD");
  }
}

void CheckWarnings(const Network& network, FieldViolations& faults) {
  for (int i = 0; i < network.warnings_size(); ++i) {
    const catalog::v1::Warning& warning = network.warnings(i);
    const std::string field = absl::StrCat("warnings[", i, "]");
    CheckText(field + ".text", warning.text(), 1, kMaxTextBytes, faults);
    if (warning.all_scopes().empty() && warning.any_scope().empty() && warning.no_scope().empty() &&
        warning.scope().empty() && warning.redirect_uri().empty()) {
      faults.Add(field,
                 "must have a condition: all_scopes, any_scope, no_scope, scope or redirect_uri");
    }
    const auto check_pattern = [&](absl::string_view name, const std::string& pattern) {
      if (pattern.empty()) return;
      const absl::Status status = CheckPattern(pattern);
      if (!status.ok()) faults.Add(absl::StrCat(field, ".", name), status.message());
    };
    check_pattern("scope", warning.scope());
    check_pattern("redirect_uri", warning.redirect_uri());
  }
}

// OK or every fault of the entry.
absl::Status CheckEntry(const Network& network) {
  FieldViolations faults;
  // The text format takes any bytes in a string; parsing the binary format does not. What the other
  // checks find could not be told then: they quote.
  if (!Network().ParseFromString(network.SerializeAsString())) {
    faults.Add("text", "must be UTF-8");
    return ToStatus(faults, "");
  }
  for (const auto check : {CheckIdentity, CheckEndpoints, CheckVariableList, CheckParameters,
                           CheckProtocol, CheckRedirectUriRules, CheckSources, CheckWarnings,
                           CheckCompletion, CheckCredentialFormats}) {
    check(network, faults);
  }
  return ToStatus(faults, "");
}

void ReplaceFields(const Network& changes, Network& network) {
  const auto* reflection = changes.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> changed;
  reflection->ListFields(changes, &changed);
  for (const auto* field : changed) reflection->ClearField(&network, field);
  network.MergeFrom(changes);
}

// Clears the fields that a variant is without.
void DropFields(const catalog::v1::Variant& variant, Network& network, FieldViolations& faults) {
  for (const std::string& name : variant.without()) {
    const auto* field = Network::descriptor()->FindFieldByName(name);
    const auto is_there = [&] {
      const auto* reflection = network.GetReflection();
      return field->is_repeated() ? reflection->FieldSize(network, field) > 0
                                  : reflection->HasField(network, field);
    };
    if (field == nullptr || !is_there()) {
      faults.Add("without", absl::StrCat(Quoted(name), " is not a field that the entry has"));
      continue;
    }
    network.GetReflection()->ClearField(&network, field);
  }
}

void DropUnusedVariables(Network& network) {
  auto& variables = *network.mutable_variables();
  variables.erase(std::remove_if(variables.begin(), variables.end(),
                                 [&](const EndpointVariable& variable) {
                                   return !UsesVariable(network, variable.name());
                                 }),
                  variables.end());
}

void CheckIdentityOf(const catalog::v1::Variant& variant, FieldViolations& faults) {
  if (!IsNetworkId(variant.id())) {
    faults.Add("id", "must be 1 to 32 characters of a-z, 0-9 and _");
  }
  CheckText("display_name", variant.display_name(), 1, kMaxTextBytes, faults);
  CheckText("description", variant.description(), 1, kMaxTextBytes, faults);
  std::vector<const google::protobuf::FieldDescriptor*> changed;
  variant.changes().GetReflection()->ListFields(variant.changes(), &changed);
  for (const auto* field : changed) {
    if (std::find(kNotInVariants.begin(), kNotInVariants.end(), absl::string_view(field->name())) !=
        kNotInVariants.end()) {
      faults.Add(absl::StrCat("changes.", field->name()),
                 "must be left out: it belongs to the network");
    }
  }
}

}  // namespace

absl::StatusOr<Network> CompleteEntry(Network written) {
  FillInDefaults(written);
  std::sort(written.mutable_configuration_params()->begin(),
            written.mutable_configuration_params()->end(),
            [](const auto& a, const auto& b) { return a.name() < b.name(); });
  if (absl::Status status = CheckEntry(written); !status.ok()) return status;
  return written;
}

absl::StatusOr<Network> CompleteVariant(const Network& written,
                                        const catalog::v1::Variant& variant) {
  const std::string name = absl::StrCat("variants ", Quoted(variant.id()));
  FieldViolations faults;
  CheckIdentityOf(variant, faults);
  Network network = written;
  network.clear_variants();
  DropFields(variant, network, faults);
  if (absl::Status status = ToStatus(faults, name + " "); !status.ok()) return status;
  ReplaceFields(variant.changes(), network);
  network.set_display_name(variant.display_name());
  DropUnusedVariables(network);
  if (HasInstances(network) != HasInstances(written)) {
    return absl::InvalidArgumentError(absl::StrCat(
        name,
        " changes.authorization_endpoint: must have {instance} in its host if and only if "
        "the network's has it"));
  }
  absl::StatusOr<Network> completed = CompleteEntry(std::move(network));
  if (completed.ok()) return completed;
  return absl::InvalidArgumentError(absl::StrCat(name, ": ", completed.status().message()));
}

bool HasAuthUrl(const Network& network) {
  return network.status() == catalog::v1::STATUS_LIVE ||
         network.status() == catalog::v1::STATUS_LEGACY;
}

}  // namespace authurl
