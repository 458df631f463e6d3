// must.h: what a fuzz target holds true of every input.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/errors.h"
#include "google/protobuf/stubs/common.h"

namespace authurl::fuzz {

// Ends the process with a message, which counts as a crash, unless it holds.
template <typename... Parts>
void Must(bool holds, const Parts&... parts) {
  if (holds) return;
  std::fprintf(stderr, "DOES NOT HOLD: %s\n", absl::StrCat(parts...).c_str());
  std::abort();
}

// A message that goes into a protobuf, or into the log.
inline void MustBeText(absl::string_view message) {
  Must(!message.empty(), "an error says something");
  Must(google::protobuf::internal::IsStructurallyValidUTF8(message.data(),
                                                           static_cast<int>(message.size())),
       "an error is valid UTF-8");
}

// A request is refused under a reason; INVALID_PAYLOAD names a field, too.
inline void MustBeForTheCaller(const absl::Status& status) {
  const std::string reason = ReasonOf(status);
  Must(!reason.empty() && reason != "STORAGE_UNAVAILABLE", "a refusal: ", status.ToString());
  MustBeText(status.message());
  const std::vector<FieldViolation> violations = ViolationsOf(status);
  Must((status.code() == absl::StatusCode::kInvalidArgument) == !violations.empty(),
       "a bad request, and no other, names fields: ", status.ToString());
  for (const FieldViolation& violation : violations) MustBeText(violation.description);
}

}  // namespace authurl::fuzz
