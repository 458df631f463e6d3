// access_token_calls.h: who asks for access tokens in the benchmarks, and who for URLs beside that.
// Every organisation calls with its own key that may read tokens.
#pragma once

#include "tests/bench/deployment.h"
#include "tests/bench/load_client.h"

namespace authurl::bench {

// GetAccessToken, each call for any account of the deployment, as likely as another.
CallSource RandomAccessTokens(const Deployment& deployment);
// The same, one account after the other: as many calls as there are accounts ask for each once.
CallSource EachAccessToken(const Deployment& deployment);
// GetAuthUrl for any configuration of the same organisations, with the same keys.
CallSource RandomAuthUrls(const Deployment& deployment);

}  // namespace authurl::bench
