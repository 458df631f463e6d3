#include "core/field_rules.h"

#include <algorithm>
#include <array>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace authurl {
namespace {

constexpr size_t kMaxCredentialBytes = 4096;
constexpr size_t kMaxNameChars = 32;

constexpr std::array<absl::string_view, 16> kReservedParameters = {
    "client_id",      "client_secret",
    "redirect_uri",   "response_type",
    "response_mode",  "scope",
    "user_scope",     "state",
    "nonce",          "iss",
    "dpop_jkt",       "resource",
    "code_challenge", "code_challenge_method",
    "request",        "request_uri"};

constexpr std::array<absl::string_view, 6> kResponseParameters = {
    "code", "state", "error", "error_description", "error_uri", "iss"};

template <typename Predicate>
bool AllOf(absl::string_view text, Predicate predicate) {
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return predicate(static_cast<unsigned char>(c)); });
}

bool IsIdChar(unsigned char c) { return absl::ascii_isalnum(c) || c == '_' || c == '-'; }

// Valid UTF-8 is protobuf's business. C0 controls and DEL are single bytes; C1 controls are C2 80
// to C2 9F.
bool HasControlCharacter(absl::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(text[i]))) return true;
    if (text[i] == '\xc2' && i + 1 < text.size() &&
        static_cast<unsigned char>(text[i + 1]) < 0xa0) {
      return true;
    }
  }
  return false;
}

bool IsNameChar(unsigned char c) {
  return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_' || c == '-';
}

bool IsId(absl::string_view id, size_t max_chars) {
  return !id.empty() && id.size() <= max_chars && AllOf(id, IsIdChar);
}

}  // namespace

void CheckTenantId(absl::string_view tenant_id, FieldViolations& violations) {
  if (IsId(tenant_id, 128)) return;
  violations.Add("tenant_id", "must be 1 to 128 characters of A-Z, a-z, 0-9, _ and -");
}

void CheckOrgId(absl::string_view field, absl::string_view org_id, FieldViolations& violations) {
  if (IsId(org_id, 64)) return;
  violations.Add(field, "must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -");
}

void CheckConfigurationName(absl::string_view name, FieldViolations& violations) {
  if (name.size() > kMaxNameChars || !AllOf(name, IsNameChar)) {
    violations.Add("name",
                   absl::StrCat(Quoted(name), " is not a valid name: at most ", kMaxNameChars,
                                " characters of a-z (no capital letters), 0-9, _ and -"));
  } else if (IsSocialNetworkId(name)) {
    violations.Add("name", "must not begin with sn_, as ids do");
  }
}

void CheckConfiguration(absl::string_view name_or_id, FieldViolations& violations) {
  if (name_or_id.empty()) {
    violations.Add("configuration",
                   "must not be empty: leave it out for the default configuration, or give the id "
                   "of the one without a name");
  } else if (name_or_id.size() > kMaxNameChars || !AllOf(name_or_id, IsNameChar)) {
    violations.Add(
        "configuration",
        absl::StrCat(Quoted(name_or_id), " is not a valid name or id of a configuration: at most ",
                     kMaxNameChars, " characters of a-z (no capital letters), 0-9, _ and -"));
  }
}

bool IsSocialNetworkId(absl::string_view name_or_id) {
  return absl::StartsWith(name_or_id, kSocialNetworkIdPrefix);
}

void CheckCredential(absl::string_view field, absl::string_view value,
                     FieldViolations& violations) {
  if (value.empty()) {
    violations.Add(field, "Required");
  } else if (value.size() > kMaxCredentialBytes) {
    violations.Add(field, absl::StrCat("is ", value.size(), " bytes long; at most ",
                                       kMaxCredentialBytes, " are taken"));
  } else if (!AllOf(value, absl::ascii_isprint)) {
    violations.Add(field, "must hold printable ASCII characters only");
  } else if (value.front() == ' ' || value.back() == ' ') {
    violations.Add(field, "must not begin or end with a space");
  }
}

void CheckText(absl::string_view field, absl::string_view text, size_t min_bytes, size_t max_bytes,
               FieldViolations& violations) {
  if (text.size() < min_bytes || text.size() > max_bytes) {
    violations.Add(field, absl::StrCat("is ", text.size(), " bytes long; must be ", min_bytes,
                                       " to ", max_bytes));
  } else if (HasControlCharacter(text)) {
    violations.Add(field, "must not hold control characters");
  }
}

std::string FoldedParameterName(absl::string_view name) {
  name.remove_prefix(std::min(name.find_first_not_of(' '), name.size()));
  std::string folded = absl::AsciiStrToLower(name.substr(0, name.find('[')));
  std::replace_if(
      folded.begin(), folded.end(), [](char c) { return c == '.' || c == '-' || c == ' '; }, '_');
  return folded;
}

bool IsReservedParameter(absl::string_view name) {
  return std::find(kReservedParameters.begin(), kReservedParameters.end(),
                   FoldedParameterName(name)) != kReservedParameters.end();
}

bool IsResponseParameter(absl::string_view name) {
  return std::find(kResponseParameters.begin(), kResponseParameters.end(),
                   FoldedParameterName(name)) != kResponseParameters.end();
}

}  // namespace authurl
