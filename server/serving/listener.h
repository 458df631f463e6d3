// listener.h: the server's sockets.
//
// We accept connections ourselves and hand them to gRPC, for four reasons: gRPC 1.51's own accept
// loop dies for good when the process runs out of file descriptors (CVE-2023-4785); the number of
// connections can be limited; peers that have not shown who they are can be kept to a small part of
// it (handshakes.h); and a server that stops can close its connections before gRPC ends the calls
// on them with CANCELLED, a code that clients do not retry.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/server_builder.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/observe/poll_loop.h"
#include "server/serving/handshakes.h"
#include "server/system/bound_sockets.h"
#include "server/system/seldom.h"

namespace authurl {

struct ListenerLimits {
  // Of those that have finished their handshake, and of those that have not.
  int max_connections = 0;
  int max_handshakes = 256;
  std::chrono::milliseconds handshake_timeout = std::chrono::seconds(5);
  // What a handshake is: TLS, or the preface of plaintext HTTP/2.
  bool tls = false;
};

class Listener final {
 public:
  // Binds "host:port" or "unix:/path" and listens; connections wait until Start(). An error is one
  // sentence for the operator.
  static absl::StatusOr<std::unique_ptr<Listener>> Bind(const std::string& listen,
                                                        const ListenerLimits& limits);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // What it was bound to, with the port that the system chose where it was 0.
  const std::string& address() const { return address_; }

  // Hands connections to `acceptor` from now on. What the system can't do for a while, for want of
  // memory or of file descriptors, is tried again until StopAccepting().
  // REQUIRES: the acceptor's server runs, with channelz.
  void Start(std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor);
  // New connections are refused from now on; those that are open stay. Idempotent.
  void StopAccepting();
  struct Stats {
    size_t open = 0;  // Handshakes are not among them.
    size_t limit = 0;
    uint64_t refused = 0;  // Closed at once, because of the limit, since the start.
    // Closed before they had finished their handshake, to make room for others, since the start.
    uint64_t dropped_handshakes = 0;
  };
  // Safe to call on any thread. Asks the system about each connection.
  Stats stats();

  // Closes every connection that is still open, both ways. What was written before still arrives.
  void SeverConnections();

 private:
  Listener(BoundSockets sockets, WakeUp wake_up, int epoll, const ListenerLimits& limits);
  void AcceptLoop();
  // Some of those that wait, so that handshakes get their turn.
  void AcceptSome(int socket);
  // Whether there may be more.
  bool Accept(int socket);
  bool Keep(ServedSocket connection);
  // Whether there is room for one more. Forgets the connections that are gone.
  bool HasRoom();
  // REQUIRES: the lock.
  bool HasRoomLocked();
  // Not for each of them: a stranger decides how many there are.
  void LogRefusal();
  // REQUIRES: the lock.
  void ForgetThoseGone();

  const std::string address_;
  const ListenerLimits limits_;
  const size_t max_connections_;
  const WakeUp wake_up_;
  const int epoll_;
  std::optional<BoundSockets> sockets_;  // Until it stops accepting.
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor_;
  // For the thread.
  std::optional<Handshakes> handshakes_;
  Seldom refusal_log_;
  Seldom descriptor_log_;
  std::thread thread_;
  std::atomic<uint64_t> dropped_handshakes_ = 0;
  std::mutex mutex_;
  std::vector<ServedSocket> connections_;  // Guarded by mutex_.
  size_t prune_at_;                        // Guarded by mutex_.
  uint64_t refused_ = 0;                   // Guarded by mutex_.
};

}  // namespace authurl
