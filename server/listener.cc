#include "server/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/log.h"

namespace authurl {
namespace {

constexpr int kBacklog = 1024;

absl::Status CannotListen(absl::string_view listen, int error) {
  if (error == EADDRINUSE) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", listen,
                     ": the address is in use; stop the other program or choose "
                     "another address with --listen"));
  }
  return absl::UnavailableError(absl::StrCat("cannot listen on ", listen, ": ", strerror(error)));
}

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

int PortOf(int fd) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  if (address.ss_family == AF_INET6) {
    return ntohs(reinterpret_cast<sockaddr_in6*>(&address)->sin6_port);
  }
  return ntohs(reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

struct Bound {
  std::vector<int> sockets;
  std::string address;
  std::string unix_path;
};

absl::StatusOr<Bound> BindUnix(const std::string& listen) {
  const std::string path = listen.substr(5);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return CannotListen(listen, ENAMETOOLONG);
  path.copy(address.sun_path, path.size());
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  // A socket file outlives a killed server; one that nobody answers on can go.
  struct stat file = {};
  if (lstat(path.c_str(), &file) == 0) {
    if (!S_ISSOCK(file.st_mode)) return CannotListen(listen, EEXIST);
    const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool answered = connect(probe, generic, sizeof(address)) == 0;
    close(probe);
    if (answered) return CannotListen(listen, EADDRINUSE);
    unlink(path.c_str());
  }
  const auto [fd, error] = BindSocket(generic, sizeof(address));
  if (fd < 0) return CannotListen(listen, error);
  return Bound{{fd}, listen, path};
}

absl::StatusOr<Bound> BindTcp(const std::string& listen) {
  const size_t colon = listen.rfind(':');
  absl::string_view host = absl::string_view(listen).substr(0, colon);
  const std::string port = listen.substr(colon + 1);
  absl::string_view bare = host;
  if (absl::ConsumePrefix(&bare, "[")) absl::ConsumeSuffix(&bare, "]");
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(std::string(bare).c_str(), port.c_str(), &hints, &found);
  if (failed != 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", listen, ": ", gai_strerror(failed)));
  }
  const absl::Cleanup free_found = [found] { freeaddrinfo(found); };
  Bound bound;
  int last_error = EADDRNOTAVAIL;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    // Two addresses of one name would get different free ports.
    if (port == "0" && !bound.sockets.empty()) break;
    const auto [fd, error] = BindSocket(each->ai_addr, each->ai_addrlen);
    if (fd >= 0) bound.sockets.push_back(fd);
    if (fd < 0) last_error = error;
    // "localhost" may resolve to an IPv6 address on a machine without IPv6; but an address in use
    // is a mistake.
    if (fd < 0 && error == EADDRINUSE) break;
  }
  if (bound.sockets.empty() || last_error == EADDRINUSE) {
    for (const int fd : bound.sockets) close(fd);
    return CannotListen(listen, last_error);
  }
  bound.address = absl::StrCat(host, ":", PortOf(bound.sockets.front()));
  return bound;
}

bool IsStill(int fd, ino_t inode) {
  struct stat now = {};
  return fstat(fd, &now) == 0 && S_ISSOCK(now.st_mode) && now.st_ino == inode;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Bind(const std::string& listen,
                                                         int max_connections) {
  absl::StatusOr<Bound> bound =
      absl::StartsWith(listen, "unix:") ? BindUnix(listen) : BindTcp(listen);
  if (!bound.ok()) return bound.status();
  return std::unique_ptr<Listener>(
      new Listener(std::move(bound->sockets), bound->address, bound->unix_path, max_connections));
}

Listener::Listener(std::vector<int> sockets, std::string address, std::string unix_path,
                   int max_connections)
    : sockets_(std::move(sockets)),
      address_(std::move(address)),
      unix_path_(std::move(unix_path)),
      max_connections_(static_cast<size_t>(max_connections)),
      wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      prune_at_(std::min<size_t>(64, max_connections_)) {}

Listener::~Listener() {
  StopAccepting();
  close(wake_fd_);
}

void Listener::Start(std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor) {
  acceptor_ = std::move(acceptor);
  thread_ = std::thread([this] { AcceptLoop(); });
}

void Listener::StopAccepting() {
  if (std::exchange(accepting_stopped_, true)) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof(one));
  if (thread_.joinable()) thread_.join();
  for (const int fd : sockets_) close(fd);
  if (!unix_path_.empty()) unlink(unix_path_.c_str());
}

void Listener::SeverConnections() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const Connection& connection : connections_) {
    if (IsStill(connection.fd, connection.inode)) shutdown(connection.fd, SHUT_RDWR);
  }
  connections_.clear();
}

void Listener::AcceptLoop() {
  std::vector<pollfd> events;
  for (const int fd : sockets_) events.push_back({fd, POLLIN, 0});
  events.push_back({wake_fd_, POLLIN, 0});
  while (true) {
    if (poll(events.data(), events.size(), -1) < 0 && errno != EINTR) return;
    if (events.back().revents != 0) return;
    for (const pollfd& event : events) {
      if (event.revents != 0) Accept(event.fd);
    }
  }
}

void Listener::Accept(int socket) {
  const int fd = accept4(socket, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) {
    // Out of descriptors or memory: others will give some back. Everything else concerns one
    // connection only.
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return;
  }
  if (!HasRoom()) {
    close(fd);
    Log(LogLevel::kWarning, "too_many_connections",
        {{"limit", static_cast<int64_t>(max_connections_)}});
    return;
  }
  struct stat file = {};
  fstat(fd, &file);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    connections_.push_back({fd, file.st_ino});
  }
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
  parameters.listener_fd = socket;
  parameters.fd = fd;
  acceptor_->HandleNewConnection(&parameters);
}

bool Listener::HasRoom() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (connections_.size() < prune_at_) return true;
  std::erase_if(connections_, [](const Connection& c) { return !IsStill(c.fd, c.inode); });
  // Looking at all of them costs little when it is done each time their number has doubled.
  prune_at_ = std::min(max_connections_, std::max<size_t>(64, connections_.size() * 2));
  return connections_.size() < max_connections_;
}

}  // namespace authurl
