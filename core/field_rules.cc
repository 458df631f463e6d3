#include "core/field_rules.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/utf8.h"

namespace authurl {
namespace {

constexpr size_t kMaxNetworkIdChars = 32;
constexpr size_t kMaxNameChars = 32;
constexpr size_t kMaxLocaleChars = 35;

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

// Besides those, what authurl tells the page to which it sends a browser on.
constexpr std::array<absl::string_view, 7> kReturnParameters = {
    "success", "account_id", "session", "return_state", "flow_id", "username", "network_unique_id"};

constexpr size_t kMaxReturnStateBytes = 256;
constexpr size_t kAccountIdChars = 20;

bool IsIdChar(unsigned char c) { return absl::ascii_isalnum(c) || c == '_' || c == '-'; }

// The code point that `text` begins with; what is no UTF-8, as its byte.
uint32_t CodePointOf(absl::string_view text) {
  const size_t bytes = Utf8CharacterBytes(text);
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(text[i])); };
  if (bytes < 2) return byte(0);
  uint32_t point = byte(0) & (0xff >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) point = point << 6 | (byte(i) & 0x3f);
  return point;
}

// Those that nobody sees, or that word processors put in place of others.
absl::string_view NameOfCodePoint(uint32_t point) {
  switch (point) {
    case 0x09:
      return "tab";
    case 0x0a:
    case 0x0d:
      return "line break";
    case 0xa0:
      return "no-break space";
    case 0xad:
      return "soft hyphen";
    case 0x200b:
      return "zero width space";
    case 0x2013:
    case 0x2014:
      return "dash";
    case 0x2018:
    case 0x2019:
    case 0x201c:
    case 0x201d:
      return "quotation mark";
    case 0x2022:
      return "bullet";
    case 0xfeff:
      return "byte order mark";
    default:
      return "";
  }
}

// "has U+200B (zero width space) at position 9"
std::string FaultOfCharacter(absl::string_view value, size_t position) {
  const uint32_t point = CodePointOf(value.substr(position));
  const absl::string_view name = NameOfCodePoint(point);
  return absl::StrCat("has U+", absl::StrFormat("%04X", point),
                      name.empty() ? "" : absl::StrCat(" (", name, ")"), " at position ",
                      position + 1, ": only printable ASCII characters are taken");
}

// What programs and portals show in place of a value.
bool IsPlaceholder(absl::string_view value) {
  constexpr std::array<absl::string_view, 6> kUnset = {"undefined", "null", "none",
                                                       "nil",       "nan",  "changeme"};
  const std::string lower = absl::AsciiStrToLower(value);
  return std::find(kUnset.begin(), kUnset.end(), lower) != kUnset.end() ||
         (absl::StartsWith(value, "${") && absl::EndsWith(value, "}")) ||
         (absl::StartsWith(value, "{{") && absl::EndsWith(value, "}}")) ||
         (absl::StartsWith(value, "<") && absl::EndsWith(value, ">"));
}

// Empty where there is none. Never quotes the value.
std::string FaultOfCredential(absl::string_view value) {
  if (value.back() == '\n' || value.back() == '\r') return "ends in a line break: remove it";
  if (value.front() == '\n' || value.front() == '\r') return "begins with a line break: remove it";
  const auto odd = std::find_if_not(value.begin(), value.end(), [](char c) {
    return absl::ascii_isprint(static_cast<unsigned char>(c));
  });
  if (odd != value.end()) {
    return FaultOfCharacter(value, static_cast<size_t>(odd - value.begin()));
  }
  if (value.front() == ' ' || value.back() == ' ') return "must not begin or end with a space";
  const char first = value.front();
  if (value.size() > 1 && first == value.back() && (first == '"' || first == '\'')) {
    return "is in quotation marks: remove them";
  }
  if (IsPlaceholder(value)) {
    return "is what stands in place of a value: the variable that it is made of was not set";
  }
  if (value.find_first_not_of('*') == value.npos) {
    return "is masked: copy the value itself from the network's portal";
  }
  return "";
}

bool IsNetworkIdChar(unsigned char c) {
  return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_';
}

bool IsNameChar(unsigned char c) { return IsNetworkIdChar(c) || c == '-'; }

bool IsId(absl::string_view id, size_t max_chars) {
  return !id.empty() && id.size() <= max_chars && absl::c_all_of(id, IsIdChar);
}

}  // namespace

void CheckTenantId(absl::string_view tenant_id, FieldViolations& violations) {
  if (IsId(tenant_id, 128)) return;
  violations.Add("tenant_id", "must be 1 to 128 characters of A-Z, a-z, 0-9, _ and -");
}

void CheckOwnTenantId(absl::string_view tenant_id, absl::string_view own,
                      FieldViolations& violations) {
  if (tenant_id == own) return;
  violations.Add("tenant_id", "must be the tenant of the tenant token; leave it out");
}

void CheckOrgId(absl::string_view field, absl::string_view org_id, FieldViolations& violations) {
  if (IsId(org_id, 64)) return;
  violations.Add(field, "must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -");
}

bool IsNetworkId(absl::string_view id) {
  return !id.empty() && id.size() <= kMaxNetworkIdChars && absl::c_all_of(id, IsNetworkIdChar);
}

void CheckConfigurationName(absl::string_view name, FieldViolations& violations) {
  if (name.size() > kMaxNameChars || !absl::c_all_of(name, IsNameChar)) {
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
  } else if (name_or_id.size() > kMaxNameChars || !absl::c_all_of(name_or_id, IsNameChar)) {
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
  } else if (const std::string fault = FaultOfCredential(value); !fault.empty()) {
    violations.Add(field, fault);
  }
}

void CheckText(absl::string_view field, absl::string_view text, size_t min_bytes, size_t max_bytes,
               FieldViolations& violations) {
  if (text.size() < min_bytes || text.size() > max_bytes) {
    violations.Add(field, absl::StrCat("is ", text.size(), " bytes long; must be ", min_bytes,
                                       " to ", max_bytes));
  } else if (HasControlCharacters(text)) {
    violations.Add(field, "must not hold control characters");
  }
}

void CheckReturnState(absl::string_view return_state, FieldViolations& violations) {
  if (IsUtf8(return_state)) {
    CheckText("return_state", return_state, 1, kMaxReturnStateBytes, violations);
  } else {
    violations.Add("return_state", "must be UTF-8");
  }
}

void CheckReconnectAccountId(absl::string_view id, FieldViolations& violations) {
  absl::string_view rest = id;
  if (absl::ConsumePrefix(&rest, kSocialAccountIdPrefix) && rest.size() == kAccountIdChars &&
      absl::c_all_of(
          rest, [](unsigned char c) { return absl::ascii_islower(c) || absl::ascii_isdigit(c); })) {
    return;
  }
  violations.Add("reconnect_account_id",
                 absl::StrCat(Quoted(id), " is not the id of an account: sa_ and ", kAccountIdChars,
                              " characters of a-z and 0-9"));
}

void CheckLocale(absl::string_view locale, FieldViolations& violations) {
  bool is_first = true;
  bool is_tag = !locale.empty() && locale.size() <= kMaxLocaleChars;
  for (const absl::string_view subtag : absl::StrSplit(locale, '-')) {
    is_tag = is_tag && !subtag.empty() && subtag.size() <= 8 &&
             absl::c_all_of(subtag, is_first ? absl::ascii_isalpha : absl::ascii_isalnum) &&
             (!is_first || subtag.size() >= 2);
    is_first = false;
  }
  if (is_tag) return;
  violations.Add("locale",
                 absl::StrCat(Quoted(locale), " is not a BCP 47 language tag such as en or pt-BR"));
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

bool IsReturnParameter(absl::string_view name) {
  return IsResponseParameter(name) ||
         std::find(kReturnParameters.begin(), kReturnParameters.end(), FoldedParameterName(name)) !=
             kReturnParameters.end();
}

}  // namespace authurl
