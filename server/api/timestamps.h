// timestamps.h: absl::Time and stored milliseconds as google.protobuf.Timestamp.
#pragma once

#include <cstdint>

#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"

namespace authurl {

inline void SetTimestamp(absl::Time time, google::protobuf::Timestamp& timestamp) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  timestamp.set_seconds(seconds);
  timestamp.set_nanos(
      static_cast<int32_t>((time - absl::FromUnixSeconds(seconds)) / absl::Nanoseconds(1)));
}

inline void SetTimestamp(int64_t unix_ms, google::protobuf::Timestamp& timestamp) {
  SetTimestamp(absl::FromUnixMillis(unix_ms), timestamp);
}

}  // namespace authurl
