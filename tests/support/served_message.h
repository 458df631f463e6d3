// served_message.h: a request as it came to a server of the tests', and what that answers, as
// values.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/form.h"
#include "core/http_message.h"

namespace authurl::testing {

// A request as it came.
struct ServedRequest {
  std::string method;
  std::string host;    // Lower case, without a port.
  std::string target;  // Path and query.
  std::vector<HttpHeader> headers;
  std::string body;
};

struct ServedAnswer {
  enum class Manner { kWhole, kByteByByte, kEndless, kNone };
  int status = 200;
  std::vector<HttpHeader> headers;
  std::string body;
  Manner manner = Manner::kWhole;
};

// Of a query, or of a body that is a form. Empty where there are more than anybody sends.
inline FormFields FieldsOfForm(absl::string_view text) {
  constexpr size_t kMostParameters = 128;
  return ParseForm(text, kMostParameters).value_or(FormFields());
}

}  // namespace authurl::testing
