// token_state.h: whether the access token of a grant is good for as long as it is wanted, and what
// is to be done where it is not. Pure: of the grant's record alone, no token needs to be opened.
#pragma once

#include <cstdint>

#include "absl/time/time.h"
#include "authurl/catalog/v1/network.pb.h"
#include "authurl/record/v1/record.pb.h"

namespace authurl {

struct WantedToken {
  // How long it shall be good at least. Half of the time that the network gives its tokens is
  // enough, however long this is: else each call would refresh.
  absl::Duration min_validity = absl::Seconds(60);
  // The network has refused the grant's token of this generation; 0: none that is known.
  uint64_t refused_generation = 0;
};

enum class TokenState {
  kGood,  // Or as good as it can be made.
  kToRefresh,
  kToWait,  // It has ended, and the network takes no refresh yet.
  kEnded,   // For ever.
};

// `network`: the grant's; null where it has left the catalog.
TokenState StateOf(const catalog::v1::Network* network, const record::v1::Grant& grant,
                   const WantedToken& wanted, absl::Time now);
bool TokenHasEnded(const record::v1::Grant& grant, const WantedToken& wanted, absl::Time now);
// The network takes no refresh before.
absl::Time FirstRefresh(const catalog::v1::Refresh& refresh, const record::v1::Grant& grant);

}  // namespace authurl
