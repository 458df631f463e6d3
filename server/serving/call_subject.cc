#include "server/serving/call_subject.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_join.h"

namespace authurl {
namespace {

// An API key is longer, without its beginning too.
constexpr size_t kMaxIdBytes = 32;
constexpr size_t kMaxOrgIdBytes = 64;
constexpr size_t kMaxFields = 8;

// API keys, tenant tokens and session tokens, or the beginning of one.
bool MayBeSecret(absl::string_view text) {
  return absl::StartsWith(text, "auk_") || absl::StartsWith(text, "aut_") ||
         absl::StartsWith(text, "aus_");
}

bool IsFitForLog(absl::string_view text, size_t max_bytes) {
  return !text.empty() && text.size() <= max_bytes && !MayBeSecret(text) &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '[' || c == ']';
         });
}

}  // namespace

void SetIfId(absl::string_view id, std::string& logged) {
  if (IsFitForLog(id, kMaxIdBytes)) logged.assign(id.data(), id.size());
}

void SetIfOrgId(absl::string_view org_id, std::string& logged) {
  if (IsFitForLog(org_id, kMaxOrgIdBytes)) logged.assign(org_id.data(), org_id.size());
}

std::string FaultyFields(const std::vector<FieldViolation>& violations) {
  std::vector<absl::string_view> names;
  for (const FieldViolation& violation : violations) {
    const absl::string_view field = violation.field;
    const absl::string_view name = field.substr(0, field.find('.'));
    if (!IsFitForLog(name, kMaxIdBytes) ||
        std::find(names.begin(), names.end(), name) != names.end())
      continue;
    names.push_back(name);
    if (names.size() == kMaxFields) break;
  }
  return absl::StrJoin(names, ",");
}

void ForgetFaulty(const std::vector<FieldViolation>& violations, CallSubject& subject) {
  for (const FieldViolation& violation : violations) {
    if (violation.field == "network") subject.network.clear();
    if (violation.field == "id" || violation.field == "key_id") subject.target.clear();
    if (violation.field == "org_id") subject.target_org_id.clear();
  }
}

}  // namespace authurl
