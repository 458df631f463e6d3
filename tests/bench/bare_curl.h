// bare_curl.h: libcurl alone, which asks a network the two things that the server asks it to
// complete a flow for X: the floor below which no completion can go.
#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/bench/load_client.h"

namespace authurl::bench {

// How libcurl is driven.
enum class CurlFrame {
  kMulti,    // One thread with a multi handle, as the server's own client.
  kThreads,  // A thread with an easy handle for each flow.
};

struct BareCurlOptions {
  CurlFrame frame = CurlFrame::kMulti;
  std::string address;  // Connected to in place of api.x.com.
  std::string ca_file;
  // Flows at a time, each with a handle, and so with a connection at most.
  int flows = 1;
  absl::Duration warmup = absl::Milliseconds(300);
  absl::Duration duration = absl::Seconds(2);
  pid_t network = 0;  // LoadOptions'.
};

// Exchanges a code and asks for the profile, again and again. A call of the result is both. Fails
// when a single request does. REQUIRES: nothing else in this process uses libcurl.
absl::StatusOr<LoadResult> RunBareCurl(const BareCurlOptions& options);

}  // namespace authurl::bench
