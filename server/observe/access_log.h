// access_log.h: one line for each call that is served, at level info, in the same form as log.h's.
//
// Off the hot path: a line is put together in a buffer of the calling thread, and a thread of the
// log's own collects the buffers many times a second. Lines of one thread keep their order; those
// of different threads may be some milliseconds out of order, each with its time. When the log
// can't keep up, lines are dropped and counted (log.h).
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace authurl {

// What a call was about: never more than names and ids, and these only in their own format.
struct CallSubject {
  std::string network;
  // The configuration, the API key or the organisation that is managed, by its id; and the
  // organisation that it belongs to, where that is not the caller's own.
  std::string target;
  std::string target_org_id;
  // Of an update: the names of the fields that it gave or named, with commas between them.
  std::string changed_fields;
  // Of a batch.
  int results = 0;
  int failed_results = 0;
};

// All texts but the cause are ours or were checked: letters, digits and nothing that JSON escapes.
// Empty ones are left out.
struct ServedCall {
  absl::string_view method;
  absl::string_view code;
  absl::string_view reason;
  // The names of the faulty fields, with commas between them.
  absl::string_view faulty_fields;
  absl::string_view request_id;
  absl::string_view key_id;
  absl::string_view org_id;
  absl::string_view peer;
  // Null where nothing is known.
  const CallSubject* subject = nullptr;
  absl::Duration duration;
  // Of a fault of our own, which makes it an error and may be any text.
  absl::string_view cause;
};

void LogCall(const ServedCall& call);

}  // namespace authurl
