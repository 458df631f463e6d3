// network_pace.h: how fast the background asks each network, and when it leaves one alone.
//
// Calls to one network begin at a steady rate, and not more than so many are under way. After some
// failures in a row it is left alone for a while, then tried with one call; its success ends the
// pause, its failure makes the next one twice as long. So an outage costs few calls, however many
// grants are due, and its end no rush.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/system/clock.h"
#include "server/system/token_buckets.h"

namespace authurl {

// Safe to use from many threads at once.
class NetworkPace final {
 public:
  struct Options {
    // Of one network, or of one instance where it has many.
    double per_second = 5;
    int max_under_way = 32;
  };
  // kNothing: the network was not asked, or what it said is about one grant only.
  enum class Result { kWorks, kFails, kNothing };

  static constexpr int kFailuresToPause = 3;
  static constexpr absl::Duration kFirstPause = absl::Seconds(30);
  static constexpr absl::Duration kLongestPause = absl::Minutes(15);

  // `clock` is never put back nor forward.
  NetworkPace(const Options& options, Clock clock);
  NetworkPace(const NetworkPace&) = delete;
  NetworkPace& operator=(const NetworkPace&) = delete;

  // What they are known by here. `instance` is empty where it has none.
  static std::string NameOf(absl::string_view network, absl::string_view instance);

  // Zero: a call may begin, and is answered by one End(). Else how long until it makes sense to ask
  // again, unless one that is under way ends before.
  absl::Duration TryBegin(const std::string& name);
  // `requests`: how many were sent for it.
  void End(const std::string& name, Result result, int requests);

  bool IsPaused(const std::string& name) const;
  double per_second() const { return options_.per_second; }

 private:
  struct Network {
    int under_way = 0;
    int failures = 0;  // In a row.
    absl::Duration pause;
    absl::Time paused_until = absl::InfinitePast();
  };

  const Options options_;
  const Clock clock_;
  TokenBuckets rate_;
  mutable std::mutex mutex_;
  // Those with calls under way or failures. Guarded by mutex_.
  std::map<std::string, Network> networks_;
};

}  // namespace authurl
