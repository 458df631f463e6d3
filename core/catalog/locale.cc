#include "core/catalog/locale.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace authurl {
namespace {

using catalog::v1::Locale;

absl::string_view LanguageOf(absl::string_view tag) {
  return tag.substr(0, tag.find_first_of("-_"));
}

// Empty where it names none.
absl::string_view RegionOf(absl::string_view tag) {
  for (const absl::string_view part : absl::StrSplit(tag, absl::ByAnyChar("-_"))) {
    if (part.size() == 2 && part.data() != tag.data()) return part;
  }
  return {};
}

// "pt-BR", however it was spelt (RFC 5646 section 2.1.1), as far as networks care: the language in
// lower case, a region of two letters in upper case, a script with a capital.
std::string Canonical(absl::string_view tag) {
  std::string canonical = absl::AsciiStrToLower(tag);
  size_t begin = canonical.find('-');
  while (begin != canonical.npos) {
    const size_t end = canonical.find('-', ++begin);
    const size_t size = (end == canonical.npos ? canonical.size() : end) - begin;
    for (size_t i = begin; i < begin + size; ++i) {
      if (size == 2 || (size == 4 && i == begin)) {
        canonical[i] = absl::ascii_toupper(static_cast<unsigned char>(canonical[i]));
      }
    }
    begin = end;
  }
  return canonical;
}

std::string Written(Locale::Style style, absl::string_view tag) {
  const std::string canonical = Canonical(tag);
  switch (style) {
    case Locale::STYLE_UNDERSCORE:
      return absl::StrReplaceAll(canonical, {{"-", "_"}});
    case Locale::STYLE_LANGUAGE:
      return std::string(LanguageOf(canonical));
    case Locale::STYLE_LOWER_CASE:
      return absl::AsciiStrToLower(canonical);
    default:
      return canonical;
  }
}

}  // namespace

std::string LocaleFor(const Locale& rules, absl::string_view tag) {
  const std::string written = Written(rules.style(), tag);
  if (rules.known().empty()) return written;
  for (const std::string& known : rules.known()) {
    if (absl::EqualsIgnoreCase(known, written)) return known;
  }
  // The nearest: of the region (RFC 5646 section 2.2.4), for "zh-Hant-TW" is nearer to zh_TW than
  // to zh_CN; else of the language.
  for (const bool in_region : {true, false}) {
    for (const std::string& known : rules.known()) {
      if (absl::EqualsIgnoreCase(LanguageOf(known), LanguageOf(written)) &&
          (!in_region ||
           (!RegionOf(tag).empty() && absl::EqualsIgnoreCase(RegionOf(known), RegionOf(tag))))) {
        return known;
      }
    }
  }
  return "";
}

}  // namespace authurl
