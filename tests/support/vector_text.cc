#include "tests/support/vector_text.h"

#include <cstddef>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "core/form.h"
#include "core/uri.h"

namespace authurl::testing {

KnownValues EncodedToo(const KnownValues& known) {
  KnownValues both = known;
  for (const KnownValue& one : known) both.push_back({one.name, PercentEncode(one.text)});
  return both;
}

CutText CutAtValues(absl::string_view text, const KnownValues& known) {
  CutText cut;
  while (!text.empty()) {
    const KnownValue* longest = nullptr;
    for (const KnownValue& one : known) {
      const bool is_longer = longest == nullptr || one.text.size() > longest->text.size();
      if (!one.text.empty() && is_longer && absl::StartsWith(text, one.text)) longest = &one;
    }
    if (longest != nullptr) {
      cut.push_back({true, longest->name});
      text.remove_prefix(longest->text.size());
      continue;
    }
    if (cut.empty() || cut.back().is_value) cut.push_back({false, ""});
    cut.back().text += text.front();
    text.remove_prefix(1);
  }
  return cut;
}

bool FindValues(const CutText& cut, absl::string_view text, bool is_encoded, FoundValues& values) {
  for (size_t i = 0; i < cut.size(); ++i) {
    if (!cut[i].is_value) {
      if (!absl::ConsumePrefix(&text, cut[i].text)) return false;
      continue;
    }
    const size_t end = i + 1 < cut.size() ? text.find(cut[i + 1].text) : text.size();
    if (end == text.npos) return false;
    std::string value(text.substr(0, end));
    if (is_encoded) value = FormDecoded(value);
    const auto [place, is_new] = values.emplace(cut[i].text, value);
    if (!is_new && place->second != value) return false;
    text.remove_prefix(end);
  }
  return text.empty();
}

}  // namespace authurl::testing
