#include "core/form.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "core/uri.h"

namespace authurl {

std::string FormDecoded(absl::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    const absl::string_view escaped = text.substr(std::min(i + 1, text.size()), 2);
    const bool is_escaped = text[i] == '%' && escaped.size() == 2 &&
                            absl::ascii_isxdigit(static_cast<unsigned char>(escaped[0])) &&
                            absl::ascii_isxdigit(static_cast<unsigned char>(escaped[1]));
    uint32_t byte = 0;
    if (is_escaped && absl::SimpleHexAtoi(escaped, &byte)) {
      decoded += static_cast<char>(byte);
      i += 2;
    } else {
      decoded += text[i] == '+' ? ' ' : text[i];
    }
  }
  return decoded;
}

std::optional<FormFields> ParseForm(absl::string_view text, size_t max_fields) {
  FormFields fields;
  for (const absl::string_view pair : absl::StrSplit(text, '&', absl::SkipEmpty())) {
    if (fields.size() == max_fields) return std::nullopt;
    const size_t equals = pair.find('=');
    fields.emplace_back(FormDecoded(pair.substr(0, equals)),
                        equals == pair.npos ? std::string() : FormDecoded(pair.substr(equals + 1)));
  }
  return fields;
}

void AppendFormField(absl::string_view name, absl::string_view value, std::string& form) {
  if (!form.empty()) form += '&';
  AppendPercentEncoded(name, form);
  form += '=';
  AppendPercentEncoded(value, form);
}

}  // namespace authurl
