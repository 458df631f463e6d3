// auth_flows.h: flows for X, from the URL that they begin with to their completion.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/bench/load_client.h"

namespace authurl::bench {

// Has the server at `target` make so many URLs, as SameAuthUrl() asks for them, and returns what a
// browser would bring back from each: the query. REQUIRES: what ChildProcess::Fork() does.
absl::StatusOr<std::vector<std::string>> BeginFlows(const std::string& target, size_t count);

// CompleteAuth with the key of SameAuthUrl(): call number n hands over responses[n]. Calls beyond
// the last one fail, and no response is ever handed over twice.
CallSource Completions(std::vector<std::string> responses);

}  // namespace authurl::bench
