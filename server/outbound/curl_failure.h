// curl_failure.h: which failure it is that libcurl ended a transfer with. For the files curl_*
// alone.
#pragma once

#include <curl/curl.h>

#include "server/outbound/call_failure.h"
#include "server/outbound/curl_transfer.h"

namespace authurl {

// Never kCallerGone: whether its caller still waits is not looked at.
CallFailure FailureOf(const CurlTransfer& transfer, CURLcode code);

}  // namespace authurl
