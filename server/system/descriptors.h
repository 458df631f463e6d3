// descriptors.h: how many connections the system's limit of open files has room for.
#pragma once

#include "absl/status/statusor.h"

namespace authurl {

struct ConnectionBudget {
  bool operator==(const ConnectionBudget&) const = default;

  int connections = 0;
  int handshakes = 0;  // One takes two descriptors (server/serving/handshakes.h).
};

// Raises the soft limit of open files (RLIMIT_NOFILE) as far as `wanted` needs and the hard limit
// lets it, and returns what fits. 128 descriptors are left for all else: the database, the log, TLS
// files, a scrape of the metrics. UnavailableError for the operator where hardly anything fits.
//
// `outbound` connections to others are made room for where the hard limit lets that, too. Where it
// does not, they get by with what is left: not all are ever used at once.
absl::StatusOr<ConnectionBudget> FitToDescriptors(const ConnectionBudget& wanted, int outbound = 0);

}  // namespace authurl
