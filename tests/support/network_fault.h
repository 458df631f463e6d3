// network_fault.h: what may go wrong at a simulated network, and what that makes of its answers.
// Functions of values only; when a fault takes place is simulated_network.h's.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "tests/core/flow/vectors.h"
#include "tests/support/network_step.h"
#include "tests/support/served_message.h"

namespace authurl::testing {

enum class NetworkFault {
  kNone,

  // In place of an answer: nothing is done, so codes and tokens stay as good as they are. The first
  // of the vector's list, or what the RFCs say where that is empty.
  kGrantRejected,  // code_rejected, refresh_dead, token_rejected
  kClientRejected,
  kScopeMissing,
  kTryAgain,
  kRefused,
  kNotAnAccount,
  // As kGrantRejected, with status 200.
  kErrorWithStatus200,
  kStatus500,
  // To another path of the same host.
  kRedirect,

  // What is asked for is done, and this becomes of the answer.
  kHang,  // None comes before Release(). It counts when it comes.
  kByteByByte,
  kHuge,  // 64 MiB, unless the client hangs up.
  kBrokenJson,
  kWrongContentType,
  kHangUp,

  // The TLS handshake fails, for new connections to the step's host, whatever they are for: nothing
  // was sent. What comes by an older connection is hung up on, and nothing done.
  kRefuseConnection,
};

// What the vector calls such an answer at the step; empty for faults that have none.
std::string ListOfFault(NetworkStep step, NetworkFault fault);

// Whether it comes in place of an answer, so that nothing is done.
bool ReplacesAnswer(NetworkStep step, NetworkFault fault);
// What comes then; `host` is the one that was asked.
ServedAnswer AnswerInPlace(const VectorFlow& flow, NetworkStep step, absl::string_view host,
                           NetworkFault fault);

// What becomes of the answer where it does not. Other faults leave it as it is.
void BreakAnswer(NetworkFault fault, ServedAnswer& answer);

}  // namespace authurl::testing
