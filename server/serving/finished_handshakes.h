// finished_handshakes.h: which peers have finished their TLS handshake with this process's servers.
#pragma once

#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace authurl {

// An address and a port as bytes: 4 or 16 of the one and 2 of the other, as a socket has them.
// Empty where there are none, as for a Unix socket.
using PeerBytes = std::string;

// gRPC keeps its handshakes to itself. But a connection becomes one of channelz's sockets once its
// handshake is done, a client's certificate checked, and not before. Channelz hands those out in
// the order of their numbers, so that asking costs as much as there are new ones.
//
// For one thread.
class FinishedHandshakes final {
 public:
  // REQUIRES: the server of interest runs, with channelz (GRPC_ARG_ENABLE_CHANNELZ).
  FinishedHandshakes();

  // Those that have finished since it was asked last, at least; some are told more than once.
  std::set<PeerBytes> Ask();

 private:
  std::vector<int64_t> servers_;
  // A socket's number is given before it can be seen, so that one with a lower number may come
  // later: what is asked for begins at what was the newest a while ago.
  int64_t ask_from_ = 0;
  int64_t newest_ = 0;
  int64_t newest_before_ = 0;
  std::chrono::steady_clock::time_point moved_at_;
};

// The peer that the name of a channelz socket holds ("http2 ipv4:127.0.0.1:4711",
// "http2 ipv6:%5B::1%5D:4711"), or none.
PeerBytes PeerOfSocketName(absl::string_view name);

}  // namespace authurl
