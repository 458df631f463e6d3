// access_log.h: one line for each call that is served, at level info, in the same form as log.h's.
//
// Off the hot path: a line is put together in a buffer of the calling thread, and a thread of the
// log's own collects the buffers many times a second. Lines of one thread keep their order; those
// of different threads may be some milliseconds out of order, each with its time. When the log
// can't keep up, lines are dropped and counted (log.h).
#pragma once

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace authurl {

// All texts are ours or were checked: letters, digits and nothing that JSON escapes. Empty ones are
// left out.
struct ServedCall {
  absl::string_view method;
  absl::string_view code;
  absl::string_view reason;
  absl::string_view request_id;
  absl::string_view key_id;
  absl::string_view org_id;
  absl::Duration duration;
};

void LogCall(const ServedCall& call);

}  // namespace authurl
