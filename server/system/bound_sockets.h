// bound_sockets.h: sockets that listen on an address an operator wrote.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace authurl {

// Closes what it holds, and removes the file of a Unix socket.
class BoundSockets final {
 public:
  // Binds "host:port" and listens: all addresses that the host's name has, or the first one where
  // the port is 0. An error is one sentence for the operator; `flag` is what it tells to change.
  static absl::StatusOr<BoundSockets> BindTcp(const std::string& listen, absl::string_view flag);
  // Binds "unix:/path" likewise. A socket file that nobody answers on is replaced.
  static absl::StatusOr<BoundSockets> BindUnix(const std::string& listen, absl::string_view flag);

  ~BoundSockets();
  BoundSockets(BoundSockets&& other) noexcept
      : fds_(std::exchange(other.fds_, {})),
        address_(std::move(other.address_)),
        unix_path_(std::exchange(other.unix_path_, {})) {}
  BoundSockets& operator=(BoundSockets&&) = delete;
  BoundSockets(const BoundSockets&) = delete;
  BoundSockets& operator=(const BoundSockets&) = delete;

  // Non-blocking; at least one.
  const std::vector<int>& fds() const { return fds_; }
  // What it was bound to, with the port that the system chose where it was 0.
  const std::string& address() const { return address_; }

 private:
  BoundSockets() = default;

  std::vector<int> fds_;
  std::string address_;
  std::string unix_path_;  // Empty for TCP.
};

}  // namespace authurl
