// call_failure.h: why a call to somebody else got no answer, for callers, metrics and breakers.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/outbound/circuit_breaker.h"

namespace authurl {

enum class CallFailure : uint8_t {
  kNotAllowed,      // A URL or an address that we don't connect to.
  kTooManyCalls,    // A limit of ours.
  kBreakerOpen,     // It failed too often lately.
  kNameNotFound,    // There is no such host.
  kNameUnknown,     // Nobody could say in time whether there is.
  kConnect,         // No connection came about.
  kTls,             // No secure one.
  kTimeout,         // Connected, and no whole answer in time.
  kTooLarge,        // The answer, or its headers.
  kBroken,          // The connection ended in the middle, or carried what is no HTTP.
  kStopping,        // We are.
  kCallerGone,      // The context ended.
  kNumberOfValues,  // None of them.
};

// As metrics and the log show it: "not_allowed".
absl::string_view FailureName(CallFailure failure);

// What the failure says about the host: connect, TLS and time-out count against it.
HostResult HostResultOf(CallFailure failure);

// What the error tells besides the failure.
struct FailureDetails {
  absl::string_view network = {};
  absl::string_view host = {};
  absl::string_view why = {};  // Of kNotAllowed: "its URL is not https". Continues a sentence.
  bool may_have_been_sent = false;
  // When it makes sense to try again; zero: nothing is said.
  absl::Duration retry_after = absl::ZeroDuration();
};

// UNAVAILABLE NETWORK_UNAVAILABLE. REQUIRES: not kCallerGone.
absl::Status NetworkUnavailable(CallFailure failure, const FailureDetails& details);

}  // namespace authurl
