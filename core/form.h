// form.h: application/x-www-form-urlencoded (WHATWG URL Standard section 5), as queries and bodies
// have it.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace authurl {

using FormFields = std::vector<std::pair<std::string, std::string>>;

// "+" and "%XX" decoded; a "%" that leads no two digits stays as it is.
std::string FormDecoded(absl::string_view text);

// The fields in their order, decoded. Nothing where there are more than `max_fields` of them.
std::optional<FormFields> ParseForm(absl::string_view text, size_t max_fields);

// name=value&…, everything but RFC 3986's unreserved characters encoded, a space as %20: what
// decoders of queries and of forms read alike.
void AppendFormField(absl::string_view name, absl::string_view value, std::string& form);

}  // namespace authurl
