#include "server/flow/return_location.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "core/errors.h"
#include "core/form.h"

namespace authurl {

std::string ReturnLocation(const CompletedAuth& completed) {
  if (completed.return_uri.empty()) return "";
  std::string told;
  const auto tell = [&](absl::string_view name, absl::string_view value) {
    if (!value.empty()) AppendFormField(name, value, told);
  };
  if (!completed.status.ok()) {
    const std::string reason = ReasonOf(completed.status);
    tell("error", reason.empty() ? "internal" : absl::AsciiStrToLower(reason));
  } else if (completed.pending) {
    tell("session", completed.session_token);
  } else {
    tell("success", "true");
    for (const record::v1::SocialAccount& account : completed.accounts) {
      tell("account_id", account.id());
    }
    if (completed.return_profile && completed.accounts.size() == 1) {
      tell("username", completed.accounts[0].username());
      tell("network_unique_id", completed.accounts[0].network_unique_id());
    }
  }
  tell("flow_id", completed.flow_id);
  tell("return_state", completed.return_state);
  std::string location = completed.return_uri;
  location += absl::StrContains(location, '?') ? '&' : '?';
  return location + told;
}

}  // namespace authurl
