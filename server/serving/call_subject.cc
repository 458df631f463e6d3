#include "server/serving/call_subject.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/field_mask.pb.h>

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

std::string ChangedFields(const google::protobuf::Message& update) {
  constexpr size_t kMaxChanged = 16;
  const google::protobuf::Descriptor& fields = *update.GetDescriptor();
  std::vector<const google::protobuf::FieldDescriptor*> given;
  update.GetReflection()->ListFields(update, &given);
  std::vector<absl::string_view> names;
  const auto add = [&names](absl::string_view name) {
    const bool says_which = name == "id" || name == "org_id" || name == "update_mask";
    if (says_which || names.size() == kMaxChanged) return;
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  for (const auto* field : given) add(field->name());
  const auto* mask_field = fields.FindFieldByName("update_mask");
  const auto& mask = static_cast<const google::protobuf::FieldMask&>(
      update.GetReflection()->GetMessage(update, mask_field));
  // What is no field of ours may be anything.
  for (const std::string& path : mask.paths()) {
    if (const auto* field = fields.FindFieldByName(path); field != nullptr) add(field->name());
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
