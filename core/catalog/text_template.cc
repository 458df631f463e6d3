#include "core/catalog/text_template.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/errors.h"
#include "core/uri.h"

namespace authurl {
namespace {

// RFC 3986's pchar and "/", without "%": nothing that ends a path.
bool IsPath(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || absl::StrContains("-._~!$&'()*+,;=:@/", static_cast<char>(c));
  });
}

// Calls `take` with each piece, literal or in braces.
template <typename Take>
absl::Status SplitAtBraces(absl::string_view text, const Take& take) {
  while (!text.empty()) {
    const size_t open = text.find('{');
    const absl::string_view literal = text.substr(0, open);
    if (absl::StrContains(literal, '}')) {
      return absl::InvalidArgumentError("has \"}\" without \"{\"");
    }
    if (!literal.empty()) {
      if (absl::Status status = take(literal, false); !status.ok()) return status;
    }
    if (open == text.npos) break;
    const size_t close = text.find('}', open);
    if (close == text.npos) return absl::InvalidArgumentError("has \"{\" without \"}\"");
    const absl::string_view inner = text.substr(open + 1, close - open - 1);
    if (inner.empty() || absl::StrContains(inner, '{')) {
      return absl::InvalidArgumentError("has braces with no name in them");
    }
    if (absl::Status status = take(inner, true); !status.ok()) return status;
    text.remove_prefix(close + 1);
  }
  return absl::OkStatus();
}

std::optional<std::string> Expand(absl::string_view text, TemplateValues values, bool in_url) {
  const auto parts = ParseTemplate(text);
  if (!parts.ok()) return std::nullopt;
  std::string expanded;
  for (const TemplatePart& part : *parts) {
    if (!part.is_name) {
      absl::StrAppend(&expanded, part.text);
      continue;
    }
    const std::optional<std::string> value = values(part.text);
    if (!value) return std::nullopt;
    if (in_url && part.is_path && !IsPath(*value)) return std::nullopt;
    if (in_url && !part.is_path) {
      AppendPercentEncoded(*value, expanded);
    } else {
      absl::StrAppend(&expanded, *value);
    }
  }
  return expanded;
}

absl::StatusOr<SelectorPart> ParsePointer(absl::string_view text) {
  constexpr std::pair<absl::string_view, SelectorRoot> kRoots[] = {
      {"token:", SelectorRoot::kToken},       {"id_token:", SelectorRoot::kIdToken},
      {"callback:", SelectorRoot::kCallback}, {"parent:", SelectorRoot::kParent},
      {"kept:", SelectorRoot::kKept},
  };
  constexpr std::pair<absl::string_view, SelectorFilter> kFilters[] = {
      {"|last_segment", SelectorFilter::kLastSegment},
      {"|html", SelectorFilter::kHtml},
  };
  SelectorPart part = {.is_pointer = true, .text = text};
  for (const auto& [name, root] : kRoots) {
    if (absl::ConsumePrefix(&part.text, name)) {
      part.root = root;
      break;
    }
  }
  for (const auto& [name, filter] : kFilters) {
    if (absl::ConsumeSuffix(&part.text, name)) part.filter = filter;
  }
  // RFC 6901 section 3: tokens begin with "/", and "~" leads 0 or 1.
  bool is_pointer = part.text.empty() || part.text.front() == '/';
  for (size_t i = part.text.find('~'); i != part.text.npos; i = part.text.find('~', i + 1)) {
    const char next = i + 1 < part.text.size() ? part.text[i + 1] : '\0';
    if (next != '0' && next != '1') is_pointer = false;
  }
  if (!is_pointer || absl::StrContains(part.text, '|')) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(text), " is not a JSON pointer (RFC 6901)"));
  }
  return part;
}

}  // namespace

absl::StatusOr<std::vector<TemplatePart>> ParseTemplate(absl::string_view text) {
  std::vector<TemplatePart> parts;
  const absl::Status status = SplitAtBraces(text, [&](absl::string_view piece, bool is_name) {
    TemplatePart part = {.is_name = is_name, .text = piece};
    if (is_name) part.is_path = absl::ConsumePrefix(&part.text, "+");
    parts.push_back(part);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return parts;
}

std::optional<std::string> ExpandTemplate(absl::string_view text, TemplateValues values) {
  return Expand(text, values, false);
}

std::optional<std::string> ExpandUrlTemplate(absl::string_view text, TemplateValues values) {
  return Expand(text, values, true);
}

absl::StatusOr<std::vector<SelectorPart>> ParseSelector(absl::string_view text) {
  if (text.empty()) return absl::InvalidArgumentError("must not be empty");
  std::vector<SelectorPart> parts;
  if (!absl::StrContains(text, '{')) {
    absl::StatusOr<SelectorPart> pointer = ParsePointer(text);
    if (!pointer.ok()) return pointer.status();
    parts.push_back(*pointer);
    return parts;
  }
  const absl::Status status =
      SplitAtBraces(text, [&](absl::string_view piece, bool in_braces) -> absl::Status {
        if (!in_braces) {
          parts.push_back({.text = piece});
          return absl::OkStatus();
        }
        absl::StatusOr<SelectorPart> pointer = ParsePointer(piece);
        if (!pointer.ok()) return pointer.status();
        parts.push_back(*pointer);
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  return parts;
}

}  // namespace authurl
