#include "server/outbound/http_client.h"

#include <algorithm>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"

namespace authurl {
namespace {

// Never leaves the process: callers get google.rpc's details only.
constexpr absl::string_view kUnsentUrl = "authurl/unsent";

}  // namespace

bool IsUnsent(const absl::Status& status) { return status.GetPayload(kUnsentUrl).has_value(); }

absl::Status Unsent(absl::Status status) {
  status.SetPayload(kUnsentUrl, absl::Cord());
  return status;
}

absl::string_view HttpAnswer::Header(absl::string_view name) const {
  const auto found = std::find_if(headers.begin(), headers.end(), [name](const HttpHeader& header) {
    return absl::EqualsIgnoreCase(header.name, name);
  });
  return found == headers.end() ? absl::string_view() : found->value;
}

}  // namespace authurl
