#include "server/outbound/request_check.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/outbound/http_words.h"

namespace authurl {

absl::Status CheckRequest(const HttpRequest& request) {
  if (!IsToken(request.method)) return absl::InternalError("the method of a request is no token");
  if (!request.body.empty() && IsAnyOf(request.method, {"GET", "HEAD"})) {
    return absl::InternalError("a request to read something has a body");
  }
  for (const HttpHeader& header : request.headers) {
    if (!IsToken(header.name)) return absl::InternalError("a header's name is no token");
    // libcurl makes these.
    if (IsAnyOf(header.name, {"Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "TE",
                              "Trailer", "Transfer-Encoding", "Upgrade"}) ||
        absl::StartsWithIgnoreCase(header.name, "Proxy-")) {
      return absl::InternalError(absl::StrCat("a request has the header ", header.name));
    }
    const bool is_one_line =
        std::none_of(header.value.begin(), header.value.end(),
                     [](unsigned char c) { return absl::ascii_iscntrl(c) && c != '\t'; });
    if (!is_one_line) {
      return absl::InternalError(absl::StrCat("the header ", header.name, " is not one line"));
    }
  }
  return absl::OkStatus();
}

}  // namespace authurl
