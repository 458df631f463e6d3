#include "server/system/bound_sockets.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace authurl {
namespace {

constexpr int kBacklog = 1024;

// A listening socket, or the errno.
std::pair<int, int> BindSocket(const sockaddr* address, socklen_t size) {
  const int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return {-1, errno};
  const int on = 1;
  if (address->sa_family != AF_UNIX) {
    // A restart need not wait for old connections to fade; a second server still cannot bind (no
    // SO_REUSEPORT). Connections inherit TCP_NODELAY.
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  if (address->sa_family == AF_INET6) {
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  }
  if (bind(fd, address, size) != 0 || listen(fd, kBacklog) != 0) {
    const int error = errno;
    close(fd);
    return {-1, error};
  }
  return {fd, 0};
}

// Why the socket file at an address may not be replaced: EADDRINUSE, or what made it impossible to
// find out. 0 when nobody listens there any more.
int ErrorOfUse(const sockaddr* address, socklen_t size) {
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return errno;
  const int error = connect(probe, address, size) == 0 ? 0 : errno;
  close(probe);
  if (error == ECONNREFUSED || error == ENOENT) return 0;
  // EAGAIN: more wait to be accepted than may.
  return error == 0 || error == EAGAIN ? EADDRINUSE : error;
}

int PortOf(int fd) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  if (address.ss_family == AF_INET6) {
    return ntohs(reinterpret_cast<sockaddr_in6*>(&address)->sin6_port);
  }
  return ntohs(reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

absl::Status CannotListen(absl::string_view listen, int error, absl::string_view flag) {
  if (error == EADDRINUSE) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", listen,
                                               ": the address is in use; stop the other program "
                                               "or choose another address with --",
                                               flag));
  }
  return absl::UnavailableError(
      absl::StrCat("cannot listen on ", listen, ": ", strerror(error), "; change --", flag));
}

}  // namespace

absl::StatusOr<BoundSockets> BoundSockets::BindTcp(const std::string& listen,
                                                   absl::string_view flag) {
  const size_t colon = listen.rfind(':');
  int port = -1;
  if (colon == std::string::npos || colon == 0 ||
      !absl::SimpleAtoi(listen.substr(colon + 1), &port) || port < 0 || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot listen on ", listen, ": write host:port in --", flag));
  }
  const absl::string_view host = absl::string_view(listen).substr(0, colon);
  absl::string_view bare = host;
  if (absl::ConsumePrefix(&bare, "[")) absl::ConsumeSuffix(&bare, "]");
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failed =
      getaddrinfo(std::string(bare).c_str(), absl::StrCat(port).c_str(), &hints, &found);
  if (failed != 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", listen, ": ", gai_strerror(failed), "; change --", flag));
  }
  const absl::Cleanup free_found = [found] { freeaddrinfo(found); };
  BoundSockets bound;
  int last_error = EADDRNOTAVAIL;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    // Two addresses of one name would get different free ports.
    if (port == 0 && !bound.fds_.empty()) break;
    const auto [fd, error] = BindSocket(each->ai_addr, each->ai_addrlen);
    if (fd >= 0) bound.fds_.push_back(fd);
    if (fd < 0) last_error = error;
    // "localhost" may resolve to an IPv6 address on a machine without IPv6; but an address in use
    // is a mistake.
    if (error == EADDRINUSE) break;
  }
  if (bound.fds_.empty() || last_error == EADDRINUSE) {
    return CannotListen(listen, last_error, flag);
  }
  bound.address_ = absl::StrCat(host, ":", PortOf(bound.fds_.front()));
  return bound;
}

absl::StatusOr<BoundSockets> BoundSockets::BindUnix(const std::string& listen,
                                                    absl::string_view flag) {
  const std::string path(absl::StripPrefix(listen, "unix:"));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return CannotListen(listen, ENAMETOOLONG, flag);
  path.copy(address.sun_path, path.size());
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  // A socket file outlives a killed server.
  struct stat file = {};
  if (lstat(path.c_str(), &file) == 0) {
    if (!S_ISSOCK(file.st_mode)) return CannotListen(listen, EEXIST, flag);
    if (const int error = ErrorOfUse(generic, sizeof(address)); error != 0) {
      return CannotListen(listen, error, flag);
    }
    unlink(path.c_str());
  }
  const auto [fd, error] = BindSocket(generic, sizeof(address));
  if (fd < 0) return CannotListen(listen, error, flag);
  BoundSockets bound;
  bound.fds_ = {fd};
  bound.address_ = listen;
  bound.unix_path_ = path;
  return bound;
}

BoundSockets::~BoundSockets() {
  for (const int fd : fds_) close(fd);
  if (!unix_path_.empty()) unlink(unix_path_.c_str());
}

}  // namespace authurl
