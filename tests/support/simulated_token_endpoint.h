// simulated_token_endpoint.h: where a simulated network hands out tokens for codes and other
// tokens, rotates them as the entry says, and revokes them.
#pragma once

#include <cstddef>

#include "authurl/record/v1/record.pb.h"
#include "server/system/clock.h"
#include "tests/core/flow/vectors.h"
#include "tests/support/network_step.h"
#include "tests/support/request_shape.h"
#include "tests/support/served_message.h"
#include "tests/support/simulated_grants.h"
#include "tests/support/vector_answers.h"

namespace authurl::testing {

// Its requests are the vector's, and the client's values in them right. Not safe to use from
// several threads at once.
class SimulatedTokenEndpoint final {
 public:
  // `clock`: what ID tokens are dated by. All else outlives it.
  SimulatedTokenEndpoint(const VectorFlow& flow, const record::v1::SocialNetworkSettings& settings,
                         const VectorAnswers& answers, SimulatedGrants& grants, Clock clock);
  SimulatedTokenEndpoint(const SimulatedTokenEndpoint&) = delete;
  SimulatedTokenEndpoint& operator=(const SimulatedTokenEndpoint&) = delete;

  ServedAnswer Exchange(const RecognizedRequest& what);
  ServedAnswer LongLived(const RecognizedRequest& what);
  ServedAnswer Refresh(const RecognizedRequest& what);
  ServedAnswer Revocation(const RecognizedRequest& what);

 private:
  const catalog::v1::Network& network() const { return flow_.network(); }
  // A success with fresh tokens of the grant. `shown`: the refresh token that was refreshed.
  ServedAnswer HandOut(NetworkStep step, size_t grant_index, SimulatedToken* shown);

  const VectorFlow& flow_;
  const record::v1::SocialNetworkSettings& settings_;
  const VectorAnswers& answers_;
  SimulatedGrants& grants_;
  const Clock clock_;
};

}  // namespace authurl::testing
