#include "tests/support/raw_connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <random>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"

namespace authurl::testing {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

int NewSocket() { return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); }

}  // namespace

RawConnection::RawConnection() : fd_(NewSocket()) {}

RawConnection::RawConnection(const std::string& address) : RawConnection() {
  if (!Connect(address)) close(std::exchange(fd_, -1));
}

bool RawConnection::Connect(const std::string& address) const {
  int port = 0;
  const size_t colon = address.rfind(':');
  const sockaddr_in server =
      absl::SimpleAtoi(address.substr(colon + 1), &port) ? Loopback(port) : Loopback(0);
  return connect(fd_, reinterpret_cast<const sockaddr*>(&server), sizeof(server)) == 0;
}

RawConnection::~RawConnection() {
  if (fd_ >= 0) close(fd_);
}

RawConnection::RawConnection(RawConnection&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

bool RawConnection::Send(absl::string_view bytes) const {
  return send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

bool RawConnection::WaitUntilClosed(absl::Duration timeout) const {
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    const auto left = absl::ToInt64Milliseconds(deadline - absl::Now());
    pollfd event = {fd_, POLLIN, 0};
    if (left <= 0 || poll(&event, 1, static_cast<int>(left)) == 0) return false;
    char buffer[4096];
    const ssize_t size = recv(fd_, buffer, sizeof(buffer), 0);
    if (size == 0 || (size < 0 && errno != EINTR)) return true;
  }
}

int FindFixedPort() {
  // Below the ephemeral ports of Linux (32768 and above).
  std::random_device random;
  std::uniform_int_distribution<int> ports(20000, 32000);
  while (true) {
    const int port = ports(random);
    const sockaddr_in address = Loopback(port);
    const int fd = NewSocket();
    const bool free = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
    close(fd);
    if (free) return port;
  }
}

}  // namespace authurl::testing
