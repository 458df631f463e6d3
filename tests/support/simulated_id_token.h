// simulated_id_token.h: the ID tokens of a simulated network.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"
#include "tests/core/flow/vectors.h"

namespace authurl::testing {

// The vector's, or where it has none, one of its first profile; made `now` for the client of
// `settings`, with the nonce that was asked for, which may be empty. Empty where the entry has no
// OpenID Connect. Safe to call from many threads at once.
std::string SimulatedIdToken(const VectorFlow& flow,
                             const record::v1::SocialNetworkSettings& settings,
                             const std::string& nonce, absl::Time now);

}  // namespace authurl::testing
