// clock.h: the time, passed in so that tests can choose it.
#pragma once

#include <functional>

#include "absl/time/time.h"

namespace authurl {

using Clock = std::function<absl::Time()>;

}  // namespace authurl
