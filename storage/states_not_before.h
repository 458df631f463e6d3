// states_not_before.h: a time, kept in the database, before which no state is good: for whoever
// restores an older copy, as that has forgotten which states were spent since. Nothing sets it yet.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "storage/backend.h"

namespace authurl {

// InfinitePast where it was never set. INTERNAL where it is damaged.
absl::StatusOr<absl::Time> GetStatesNotBefore(Backend& backend);
// In whole milliseconds, up. Never goes back: an earlier time than the one that is set changes
// nothing; one that is damaged is replaced.
absl::Status SetStatesNotBefore(Backend& backend, absl::Time time);

}  // namespace authurl
