#include "server/outbound/curl_failure.h"

namespace authurl {
namespace {

// What libcurl calls it when a line of the head is longer than it takes.
bool IsForALongLine(CURLcode code) {
#if LIBCURL_VERSION_NUM >= 0x080600
  if (code == CURLE_TOO_LARGE) return true;
#endif
  return code == CURLE_OUT_OF_MEMORY;
}

CallFailure FailureOfCode(CURLcode code, bool was_sent) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return CallFailure::kNameUnknown;
    case CURLE_COULDNT_CONNECT:
      return CallFailure::kConnect;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
      return CallFailure::kTls;
    case CURLE_FILESIZE_EXCEEDED:
      return CallFailure::kTooLarge;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
      return CallFailure::kTooManyCalls;
    case CURLE_OPERATION_TIMEDOUT:
      return was_sent ? CallFailure::kTimeout : CallFailure::kConnect;
    default:
      // Before anything was sent: refused by a proxy, or closed within the handshake.
      return was_sent ? CallFailure::kBroken : CallFailure::kConnect;
  }
}

}  // namespace

CallFailure FailureOf(const CurlTransfer& transfer, CURLcode code) {
  const bool was_sent = transfer.may_have_been_sent();
  if (transfer.is_too_large || (was_sent && IsForALongLine(code))) return CallFailure::kTooLarge;
  if (transfer.has_no_room && was_sent) return CallFailure::kTooManyCalls;
  // What could be tried of a host's addresses says more than what could not.
  if (code == CURLE_COULDNT_CONNECT && !transfer.has_opened_socket) {
    if (transfer.is_refused_address) return CallFailure::kNotAllowed;
    if (transfer.has_no_room) return CallFailure::kTooManyCalls;
  }
  return FailureOfCode(code, was_sent);
}

}  // namespace authurl
