// no_limit.h: the context of a test that waits as long as it takes.
#pragma once

#include "core/call_context.h"

namespace authurl::testing {

inline const CallContext& kNoLimit = CallContext::Background();

}  // namespace authurl::testing
