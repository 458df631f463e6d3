#include "server/serving/handshakes.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <thread>
#include <utility>

#include "absl/strings/string_view.h"
#include "server/observe/log.h"
#include "server/serving/hello.h"

namespace authurl {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::minutes kDropLogInterval(1);
constexpr size_t kNetworkBytesOfIpv6 = 8;

PeerBytes PeerOf(int fd) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  const auto bytes = [](const auto& member) {
    return std::string(reinterpret_cast<const char*>(&member), sizeof(member));
  };
  if (address.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address);
    return bytes(v4->sin_addr) + bytes(v4->sin_port);
  }
  if (address.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address);
    return bytes(v6->sin6_addr) + bytes(v6->sin6_port);
  }
  return {};
}

std::string AddressOf(const PeerBytes& peer) {
  if (peer.size() > sizeof(in6_addr)) return peer.substr(0, kNetworkBytesOfIpv6);
  return peer.substr(0, sizeof(in_addr));
}

}  // namespace

bool ServedSocket::IsOpen() const {
  struct stat now = {};
  return fstat(fd, &now) == 0 && S_ISSOCK(now.st_mode) && now.st_ino == inode;
}

Handshakes::Handshakes(int epoll, uint64_t first_id, const Limits& limits, Handlers handlers)
    : epoll_(epoll),
      limits_(limits),
      handlers_(std::move(handlers)),
      next_id_(first_id),
      drop_log_(kDropLogInterval),
      descriptor_log_(kDropLogInterval) {
  if (limits_.tls) finished_.emplace();
}

Handshakes::~Handshakes() {
  Release();
  for (const Connection& connection : dropped_) close(connection.fd);
}

void Handshakes::Add(int fd, int listening_fd) {
  MakeRoom();
  const uint64_t id = next_id_++;
  Connection connection;
  connection.peer = PeerOf(fd);
  connection.address = AddressOf(connection.peer);
  connection.began = steady_clock::now();
  connection.listening_fd = listening_fd;
  connection.fd = fd;
  // What was looked at stays in the socket, so only what comes after it may wake us up.
  epoll_event event = {};
  event.events = EPOLLIN | EPOLLET;
  event.data.u64 = id;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) {
    close(fd);
    return;
  }
  ++held_[connection.address];
  connections_.emplace(id, std::move(connection));
}

void Handshakes::Look(uint64_t id) {
  const auto found = connections_.find(id);
  if (found == connections_.end() || found->second.served.has_value()) return;
  char buffer[kMaxHelloBytes];
  const ssize_t size = recv(found->second.fd, buffer, sizeof(buffer), MSG_PEEK | MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) {
    // The peer has gone.
    close(found->second.fd);
    Forget(found);
    return;
  }
  const absl::string_view bytes(buffer, static_cast<size_t>(size));
  const Hello hello = limits_.tls ? LookAtTlsHello(bytes) : LookAtHttp2Preface(bytes);
  if (hello == Hello::kWhole) return HandOver(id);
  if (hello == Hello::kUnfinished && bytes.size() < sizeof(buffer)) return;
  close(found->second.fd);
  Forget(found);
}

void Handshakes::HandOver(uint64_t id) {
  const auto found = connections_.find(id);
  Connection& connection = found->second;
  struct stat file = {};
  fstat(connection.fd, &file);
  const ServedSocket socket = {connection.fd, file.st_ino};
  const int listening_fd = connection.listening_fd;
  epoll_ctl(epoll_, EPOLL_CTL_DEL, connection.fd, nullptr);
  // Whoever can open the file of a Unix socket was let in by its owner; and gRPC knows no name for
  // such a connection.
  if (!limits_.tls || connection.peer.empty()) {
    Forget(found);
    if (handlers_.finish(socket)) return handlers_.hand_over(socket.fd, listening_fd);
    close(socket.fd);
    return;
  }
  const int own = fcntl(connection.fd, F_DUPFD_CLOEXEC, 0);
  if (own < 0) {
    if (descriptor_log_.IsDue()) {
      Log(LogLevel::kError, "out_of_descriptors",
          {{"cannot", "begin a TLS handshake"}, {"cause", strerror(errno)}});
    }
    close(connection.fd);
    Forget(found);
    return;
  }
  connection.fd = own;
  connection.served = socket;
  handlers_.hand_over(socket.fd, listening_fd);
}

void Handshakes::Sweep() {
  NoticeEnded();
  const auto now = steady_clock::now();
  auto oldest = connections_.begin();
  while (oldest != connections_.end() && now - oldest->second.began >= limits_.timeout) {
    oldest = Drop(oldest);
  }
}

void Handshakes::NoticeEnded() {
  std::erase_if(dropped_, [](const Connection& connection) {
    if (connection.served->IsOpen()) return false;
    close(connection.fd);
    return true;
  });
  std::optional<std::set<PeerBytes>> finished;
  for (auto each = connections_.begin(); each != connections_.end();) {
    const Connection& connection = each->second;
    if (!connection.served.has_value()) {
      ++each;
      continue;
    }
    if (!finished.has_value()) finished = finished_->Ask();
    const bool is_finished = finished->contains(connection.peer);
    const bool is_open = connection.served->IsOpen();
    if (is_open && !is_finished) {
      ++each;
      continue;
    }
    if (is_open && !handlers_.finish(*connection.served)) shutdown(connection.fd, SHUT_RDWR);
    close(connection.fd);
    each = Forget(each);
  }
}

void Handshakes::MakeRoom() {
  // gRPC still has to free what was taken from it: a stranger must not be faster than that.
  constexpr int kPatienceMs = 100;
  for (int i = 0; i < kPatienceMs && dropped_.size() >= limits_.max_handshakes; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    NoticeEnded();
  }
  if (connections_.size() < limits_.max_handshakes) return;
  auto victim = ChooseVictim();
  if (victim->second.served.has_value()) {
    // It may have finished by now, or another one.
    NoticeEnded();
    if (connections_.size() < limits_.max_handshakes) return;
    victim = ChooseVictim();
  }
  Drop(victim);
  ++dropped_since_start_;
  handlers_.drop();
  if (!drop_log_.IsDue()) return;
  Log(LogLevel::kWarning, "too_many_handshakes",
      {{"limit", static_cast<int64_t>(limits_.max_handshakes)},
       {"dropped_since_start", static_cast<int64_t>(dropped_since_start_)}});
}

Handshakes::Connections::iterator Handshakes::ChooseVictim() {
  auto victim = connections_.begin();
  auto rank = std::make_pair(size_t{0}, false);
  for (auto each = connections_.begin(); each != connections_.end(); ++each) {
    const Connection& connection = each->second;
    const auto its_rank =
        std::make_pair(held_.at(connection.address), !connection.served.has_value());
    if (its_rank <= rank) continue;
    rank = its_rank;
    victim = each;
  }
  return victim;
}

Handshakes::Connections::iterator Handshakes::Forget(Connections::iterator connection) {
  const auto held = held_.find(connection->second.address);
  if (--held->second == 0) held_.erase(held);
  return connections_.erase(connection);
}

Handshakes::Connections::iterator Handshakes::Drop(Connections::iterator connection) {
  if (connection->second.served.has_value()) {
    shutdown(connection->second.fd, SHUT_RDWR);
    dropped_.push_back(connection->second);
  } else {
    close(connection->second.fd);
  }
  return Forget(connection);
}

std::vector<ServedSocket> Handshakes::Release() {
  std::vector<ServedSocket> served;
  for (const auto& [id, connection] : connections_) {
    if (connection.served.has_value()) served.push_back(*connection.served);
    close(connection.fd);
  }
  connections_.clear();
  held_.clear();
  return served;
}

}  // namespace authurl
