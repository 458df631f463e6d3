// refusal_doubts.h: whether to believe a network that says that a refresh token is dead, and a
// clock that says that it has ended.
//
// Where a network has said so of living grants, as some do while they have an outage, it is
// believed once it says so again, so much later at the soonest, and has refreshed another grant
// meanwhile; or after what would be a very long outage. Until then it is asked ever more seldom.
//
// A clock may be ahead for a while: it is believed where no refresh came through for long enough
// after the end that it tells.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/system/clock.h"

namespace authurl {

// Safe to use from many threads at once.
class RefusalDoubts final {
 public:
  using GrantKey = std::pair<std::string, std::string>;  // Organisation and id.

  static constexpr absl::Duration kDoubt = absl::Hours(1);
  static constexpr absl::Duration kLongestDoubtPause = absl::Hours(6);
  static constexpr absl::Duration kLongestDoubt = absl::Hours(4 * 24);
  // Of the clock's.
  static constexpr absl::Duration kDoubtOfEnd = absl::Hours(6);

  // `steady` is never put back nor forward: a clock that jumps must not make a doubt old.
  explicit RefusalDoubts(Clock steady) : steady_(std::move(steady)) {}

  // A network that may err says that a grant is dead whose tokens are of this generation. Returns
  // how long to wait until it is asked again; zero where it is to be believed.
  absl::Duration Refused(const std::string& network, const GrantKey& key, uint64_t generation);
  // A refresh has failed of a grant that has ended, by the clock. Returns whether that is to be
  // believed.
  bool IsOver(const GrantKey& key, uint64_t generation);
  // It has refreshed a grant.
  void NetworkWorks(const std::string& network);
  // The grant lives.
  void Forget(const GrantKey& key);

 private:
  struct Doubted {
    uint64_t generation;
    absl::Time since;
  };

  // Since when. REQUIRES: mutex_ is held.
  static std::map<GrantKey, Doubted>::iterator Remember(const GrantKey& key, uint64_t generation,
                                                        absl::Time now,
                                                        std::map<GrantKey, Doubted>& all);

  const Clock steady_;
  std::mutex mutex_;
  std::map<GrantKey, Doubted> doubts_;           // Guarded by mutex_.
  std::map<GrantKey, Doubted> ended_;            // Likewise.
  std::map<std::string, absl::Time> worked_at_;  // By network. Guarded by mutex_.
};

// Marks the error that tells of a refusal which is not believed: it is about one grant, and the
// network did answer. Callers do not see it.
absl::Status AsDoubted(absl::Status status);
bool IsDoubted(const absl::Status& status);

}  // namespace authurl
