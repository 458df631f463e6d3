// errors.h: the one error vocabulary of authurl.
//
// Every function that can fail returns absl::Status or absl::StatusOr. What a caller of the service
// is meant to see (reason, faulty fields, when to retry) rides along as payloads in the encoding of
// google.rpc's error details (AIP-193); server/serving/grpc_status.h passes it on. A status without
// a reason is an internal fault: its message goes to the log and never to a caller.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace authurl {

// A fault in one field of a request. `field` is its path in the proto ("redirect_uri",
// "scopes[3]").
struct FieldViolation {
  std::string field;
  std::string description;
};

// Collects all faults of one request, so that they can be reported at once.
class FieldViolations final {
 public:
  // `description` is a sentence without a final stop, meant for the caller. It may quote the faulty
  // value unless that value is a secret.
  void Add(absl::string_view field, absl::string_view description);
  bool empty() const { return violations_.empty(); }
  const std::vector<FieldViolation>& list() const { return violations_; }
  // OK when empty; otherwise INVALID_ARGUMENT INVALID_PAYLOAD with every fault, or with the first
  // ones and the number of the others where they are too many for the metadata that a client takes.
  absl::Status ToStatus() const;

 private:
  std::vector<FieldViolation> violations_;
};

// An error meant for the caller: `reason` in UPPER_SNAKE (ErrorInfo.reason), `message` says what is
// wrong, with which value (never a secret), and what to do.
absl::Status MakeError(absl::StatusCode code, absl::string_view reason, absl::string_view message);

// The same, with the time after which a retry makes sense (RetryInfo).
absl::Status MakeRetryableError(absl::StatusCode code, absl::string_view reason,
                                absl::string_view message, absl::Duration retry_after);

// Says more about `status`, which must come from the functions above, to programs
// (ErrorInfo.metadata).
void AddErrorMetadata(absl::Status& status, absl::string_view key, absl::string_view value);

// UNAVAILABLE STORAGE_UNAVAILABLE. `cause` is for the log; the caller sees a fixed text.
absl::Status StorageUnavailable(absl::string_view cause);

// What the functions above put in; empty where the status carries none.
std::string ReasonOf(const absl::Status& status);
std::vector<FieldViolation> ViolationsOf(const absl::Status& status);
std::optional<absl::Duration> RetryAfterOf(const absl::Status& status);
// For the log: the cause given to StorageUnavailable, or the message of a status without a reason.
std::string CauseOf(const absl::Status& status);

// A value as it may be quoted in a message: control and non-ASCII bytes escaped, cut after 64
// bytes.
std::string Quoted(absl::string_view value);

}  // namespace authurl
