// simulated_api.h: what a simulated network tells whoever shows a token: the profile, and the lists
// of accounts and of their parents.
#pragma once

#include "absl/status/statusor.h"
#include "tests/core/flow/vectors.h"
#include "tests/support/request_shape.h"
#include "tests/support/served_message.h"
#include "tests/support/simulated_grants.h"
#include "tests/support/vector_answers.h"

namespace authurl::testing {

// Its requests are the vector's, and the client's values in them right. Not safe to use from
// several threads at once.
class SimulatedApi final {
 public:
  // All of them outlive it.
  SimulatedApi(const VectorFlow& flow, const VectorAnswers& answers, SimulatedGrants& grants)
      : flow_(flow), answers_(answers), grants_(grants) {}
  SimulatedApi(const SimulatedApi&) = delete;
  SimulatedApi& operator=(const SimulatedApi&) = delete;

  // As SimulatedNetwork's (simulated_network.h).
  void SetPages(int pages, int accounts_per_page);

  ServedAnswer Profile(const RecognizedRequest& what);
  // InvalidArgumentError where it is for a page or parent that nobody was told of: the message is
  // what is wrong with the request, as the end of a sentence.
  absl::StatusOr<ServedAnswer> List(const RecognizedRequest& what, const ServedRequest& request);

 private:
  const VectorFlow& flow_;
  const VectorAnswers& answers_;
  SimulatedGrants& grants_;
  int pages_ = 0;  // The vector's one.
  int accounts_per_page_ = 0;
};

}  // namespace authurl::testing
