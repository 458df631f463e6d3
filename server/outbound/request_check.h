// request_check.h: what of a request can be sent.
#pragma once

#include "absl/status/status.h"
#include "core/http_message.h"

namespace authurl {

// InternalError where somebody could make another request of it than was meant. Of its URL it knows
// nothing (curl_destination.h). Safe to call from many threads at once.
absl::Status CheckRequest(const HttpRequest& request);

}  // namespace authurl
