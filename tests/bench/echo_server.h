#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace authurl::bench {

// How the server is driven. Written "callback", "cq[:threads]" or "cq-shared[:threads]".
struct Frame {
  enum class Kind {
    kCallback,  // callback API; the library chooses its own threads
    kQueuePerThread,
    kSharedQueue,  // one completion queue polled by every thread
  };

  Kind kind = Kind::kCallback;
  int threads = 0;  // of the queue frames; without a number, one for each core
};

absl::StatusOr<Frame> ParseFrame(std::string_view text);

// An EchoService on a free loopback port.
class EchoServer {
 public:
  virtual ~EchoServer() = default;

  virtual int port() const = 0;
  virtual uint64_t calls_answered() const = 0;

  // Finishes the calls in progress, joins every thread it started. To be called once.
  virtual void Shutdown() = 0;
};

// `requests_posted` is the number of calls that a queue frame keeps ready to accept per thread.
absl::StatusOr<std::unique_ptr<EchoServer>> StartEchoServer(const Frame& frame,
                                                            int requests_posted);

}  // namespace authurl::bench
