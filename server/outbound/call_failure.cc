#include "server/outbound/call_failure.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/errors.h"
#include "server/outbound/http_client.h"

namespace authurl {
namespace {

// Continues "NETWORK can't be reached: ".
std::string WhatFailed(CallFailure failure, const FailureDetails& details) {
  const absl::string_view host = details.host;
  switch (failure) {
    case CallFailure::kNotAllowed:
      return absl::StrCat("authurl does not connect to ", host, ": ", details.why);
    case CallFailure::kTooManyCalls:
      return absl::StrCat("too many calls are under way, to ", host,
                          " or of this organisation; try again");
    case CallFailure::kBreakerOpen:
      return absl::StrCat(host, " failed again and again, and is left alone for a while");
    case CallFailure::kNameNotFound:
      return absl::StrCat("there is no host ", host);
    case CallFailure::kNameUnknown:
      return absl::StrCat("the address of ", host, " could not be found out");
    case CallFailure::kConnect:
      return absl::StrCat("no connection to ", host, " came about");
    case CallFailure::kTls:
      return absl::StrCat("no secure connection to ", host,
                          " came about: its certificate is not one for this name of an authority "
                          "that the server trusts, or it speaks no TLS 1.2 or newer");
    case CallFailure::kTimeout:
      return absl::StrCat(host, " did not answer in time");
    case CallFailure::kTooLarge:
      return absl::StrCat("the answer of ", host, " is too large");
    case CallFailure::kBroken:
      return absl::StrCat(host, " ended the connection without a whole answer, or sent no HTTP");
    case CallFailure::kStopping:
      return "this server is being stopped; try again";
    case CallFailure::kCallerGone:
    case CallFailure::kNumberOfValues:
      break;
  }
  return "the call was given up";
}

}  // namespace

absl::string_view FailureName(CallFailure failure) {
  switch (failure) {
    case CallFailure::kNotAllowed:
      return "not_allowed";
    case CallFailure::kTooManyCalls:
      return "too_many_calls";
    case CallFailure::kBreakerOpen:
      return "breaker_open";
    case CallFailure::kNameNotFound:
      return "name_not_found";
    case CallFailure::kNameUnknown:
      return "name_unknown";
    case CallFailure::kConnect:
      return "connect";
    case CallFailure::kTls:
      return "tls";
    case CallFailure::kTimeout:
      return "timeout";
    case CallFailure::kTooLarge:
      return "too_large";
    case CallFailure::kBroken:
      return "broken";
    case CallFailure::kStopping:
      return "stopping";
    case CallFailure::kCallerGone:
    case CallFailure::kNumberOfValues:
      break;
  }
  return "caller_gone";
}

HostResult HostResultOf(CallFailure failure) {
  switch (failure) {
    case CallFailure::kConnect:
    case CallFailure::kTls:
    case CallFailure::kTimeout:
      return HostResult::kFails;
    default:
      return HostResult::kNothing;
  }
}

absl::Status NetworkUnavailable(CallFailure failure, const FailureDetails& details) {
  const std::string message =
      absl::StrCat(details.network, " can't be reached: ", WhatFailed(failure, details));
  absl::Status status =
      details.retry_after > absl::ZeroDuration()
          ? MakeRetryableError(absl::StatusCode::kUnavailable, "NETWORK_UNAVAILABLE", message,
                               details.retry_after)
          : MakeError(absl::StatusCode::kUnavailable, "NETWORK_UNAVAILABLE", message);
  return details.may_have_been_sent ? status : Unsent(std::move(status));
}

}  // namespace authurl
