#include "server/system/descriptors.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace authurl {
namespace {

constexpr int64_t kAllElse = 128;
constexpr int64_t kLeastForConnections = 16;

}  // namespace

absl::StatusOr<ConnectionBudget> FitToDescriptors(const ConnectionBudget& wanted, int outbound) {
  const int64_t needed = kAllElse + wanted.connections + int64_t{2} * wanted.handshakes;
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  const auto fits = [&] { return limit.rlim_cur >= static_cast<rlim_t>(needed); };
  const auto welcome = static_cast<rlim_t>(needed + outbound);
  if (limit.rlim_cur < welcome && limit.rlim_cur < limit.rlim_max) {
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = std::min(welcome, limit.rlim_max);
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
  }
  if (fits()) return wanted;
  const int64_t room = static_cast<int64_t>(limit.rlim_cur) - kAllElse;
  if (room < kLeastForConnections) {
    return absl::UnavailableError(absl::StrCat(
        "the system lets this process open ", limit.rlim_cur, " files, and it needs ", needed,
        " for --max_connections and --max_handshakes, or ", kAllElse + kLeastForConnections,
        " at least: raise the limit (ulimit -n, LimitNOFILE= of a unit)"));
  }
  // A quarter for the handshakes at most.
  const int64_t handshakes = std::min<int64_t>(wanted.handshakes, room / 8);
  const int64_t connections = std::min<int64_t>(wanted.connections, room - 2 * handshakes);
  return ConnectionBudget{.connections = static_cast<int>(connections),
                          .handshakes = static_cast<int>(handshakes)};
}

}  // namespace authurl
