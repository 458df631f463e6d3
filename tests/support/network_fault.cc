#include "tests/support/network_fault.h"

#include "absl/strings/str_cat.h"
#include "tests/support/vector_answers.h"

namespace authurl::testing {

std::string ListOfFault(NetworkStep step, NetworkFault fault) {
  switch (fault) {
    case NetworkFault::kGrantRejected:
    case NetworkFault::kErrorWithStatus200:
      if (step == NetworkStep::kExchange) return "code_rejected";
      if (step == NetworkStep::kLongLived || step == NetworkStep::kRefresh) return "refresh_dead";
      return step == NetworkStep::kRevocation ? "refused" : "token_rejected";
    case NetworkFault::kClientRejected:
      return "client_rejected";
    case NetworkFault::kScopeMissing:
      return "scope_missing";
    case NetworkFault::kTryAgain:
      return "try_again";
    case NetworkFault::kRefused:
      return "refused";
    case NetworkFault::kNotAnAccount:
      return "not_an_account";
    default:
      return "";
  }
}

bool ReplacesAnswer(NetworkStep step, NetworkFault fault) {
  return !ListOfFault(step, fault).empty() || fault == NetworkFault::kStatus500 ||
         fault == NetworkFault::kRedirect || fault == NetworkFault::kRefuseConnection;
}

ServedAnswer AnswerInPlace(const VectorFlow& flow, NetworkStep step, absl::string_view host,
                           NetworkFault fault) {
  ServedAnswer answer;
  switch (fault) {
    case NetworkFault::kStatus500:
      answer = ServedOf(500, Json("<html><body>Sorry</body></html>"));
      break;
    case NetworkFault::kRedirect:
      answer.status = 302;
      answer.headers.push_back(
          {"Location", absl::StrCat("https://", host, "/nobody-may-come-here")});
      break;
    case NetworkFault::kRefuseConnection:
      answer.manner = ServedAnswer::Manner::kNone;
      break;
    default:
      answer = VectorError(flow, step, ListOfFault(step, fault));
      if (fault == NetworkFault::kErrorWithStatus200) answer.status = 200;
  }
  return answer;
}

void BreakAnswer(NetworkFault fault, ServedAnswer& answer) {
  switch (fault) {
    case NetworkFault::kByteByByte:
      answer.manner = ServedAnswer::Manner::kByteByByte;
      break;
    case NetworkFault::kHuge:
      answer.manner = ServedAnswer::Manner::kEndless;
      break;
    case NetworkFault::kHangUp:
      answer.manner = ServedAnswer::Manner::kNone;
      break;
    case NetworkFault::kBrokenJson:
      answer.body.resize(answer.body.size() / 2);
      break;
    case NetworkFault::kWrongContentType:
      answer.headers = {{"Content-Type", "text/html; charset=iso-8859-1"}};
      break;
    default:
      break;
  }
}

}  // namespace authurl::testing
