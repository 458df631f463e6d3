// network_step.h: what a simulated network is asked for after the consent, and where its vector has
// that. Functions of values only.
#pragma once

#include "absl/strings/string_view.h"
#include "tests/core/flow/vectors.h"

namespace authurl::testing {

enum class NetworkStep {
  kExchange,
  kLongLived,
  kProfile,
  kParents,
  kAccounts,
  kRefresh,
  kRevocation,
};
// "exchange", "long_lived", as vectors have it.
absl::string_view NameOfStep(NetworkStep step);

// The vector's member with the step's request and successes; null where it has none.
const Json* JsonOfStep(const VectorFlow& flow, NetworkStep step);

}  // namespace authurl::testing
