// resolver.h: looks up host names on threads of its own, so that nobody who waits for a name waits
// for the system's resolver, which can't be interrupted and may hang for half a minute.
//
// Threads, waiting callers and remembered names are bounded, and so is how many threads look names
// up for one organisation: it may have chosen names whose servers hang on purpose. Answers are
// remembered for a short while.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/system/clock.h"

namespace authurl {

// IP addresses as text, IPv6 without brackets; at least one.
using HostAddresses = std::vector<std::string>;

// Asks the system; waits as long as it takes. NotFoundError where there is no such name,
// UnavailableError where nobody knows now.
absl::StatusOr<HostAddresses> LookUpHost(const std::string& host);

// Safe to use from many threads at once.
class Resolver final {
 public:
  using Lookup = std::function<absl::StatusOr<HostAddresses>(const std::string& host)>;
  using Callback = absl::AnyInvocable<void(const absl::StatusOr<HostAddresses>&)>;

  struct Options {
    int threads = 8;
    int threads_per_organization = 8;
    size_t max_waiting = 1024;  // Callers.
    size_t max_remembered = 1024;
    absl::Duration remember_for = absl::Seconds(30);
    // What is not there: a new name comes to be when somebody corrects a mistake.
    absl::Duration remember_absence_for = absl::Seconds(5);
    Clock clock = absl::Now;
  };

  explicit Resolver(const Options& options, Lookup lookup = LookUpHost);
  // Waits for no look-up: threads that hang in one are left to end by themselves, and `lookup`
  // lives until then. Callbacks that were not called by then may be called while this runs, or
  // never.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Calls back once: at once on this thread where the answer is remembered or too many wait
  // (ResourceExhaustedError), else on a thread of the resolver's. Callers of one name share one
  // look-up. Nobody may be waiting any more after `deadline`, so then it may never call back.
  // `org_id`: whose share of the threads it takes; empty: nobody's.
  void Resolve(const std::string& host, absl::string_view org_id, absl::Time deadline,
               Callback callback);

  // How many callers wait.
  size_t waiting() const;

 private:
  class State;

  const std::shared_ptr<State> state_;
};

}  // namespace authurl
