#include "tests/support/network_step.h"

#include <string>

namespace authurl::testing {

absl::string_view NameOfStep(NetworkStep step) {
  switch (step) {
    case NetworkStep::kExchange:
      return "exchange";
    case NetworkStep::kLongLived:
      return "long_lived";
    case NetworkStep::kProfile:
      return "profile";
    case NetworkStep::kParents:
      return "parents";
    case NetworkStep::kAccounts:
      return "accounts";
    case NetworkStep::kRefresh:
      return "refresh";
    case NetworkStep::kRevocation:
      return "revocation";
  }
  return "";
}

const Json* JsonOfStep(const VectorFlow& flow, NetworkStep step) {
  const bool is_parents = step == NetworkStep::kParents;
  const std::string name(NameOfStep(is_parents ? NetworkStep::kAccounts : step));
  if (!flow.json().contains(name)) return nullptr;
  const Json& json = flow.json()[name];
  if (!is_parents) return &json;
  return json.contains("parents") ? &json["parents"] : nullptr;
}

}  // namespace authurl::testing
