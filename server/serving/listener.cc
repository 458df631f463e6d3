#include "server/serving/listener.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/observe/log.h"

namespace authurl {
namespace {

constexpr std::chrono::seconds kRefusalLogInterval(1);

bool IsStill(int fd, ino_t inode) {
  struct stat now = {};
  return fstat(fd, &now) == 0 && S_ISSOCK(now.st_mode) && now.st_ino == inode;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Bind(const std::string& listen,
                                                         int max_connections) {
  constexpr absl::string_view kFlag = "listen";
  absl::StatusOr<BoundSockets> sockets = absl::StartsWith(listen, "unix:")
                                             ? BoundSockets::BindUnix(listen, kFlag)
                                             : BoundSockets::BindTcp(listen, kFlag);
  if (!sockets.ok()) return sockets.status();
  absl::StatusOr<WakeUp> wake_up = WakeUp::Make();
  if (!wake_up.ok()) {
    return absl::UnavailableError(
        absl::StrCat("cannot accept connections on ", listen, ": ", wake_up.status().message()));
  }
  return std::unique_ptr<Listener>(
      new Listener(*std::move(sockets), *std::move(wake_up), max_connections));
}

Listener::Listener(BoundSockets sockets, WakeUp wake_up, int max_connections)
    : address_(sockets.address()),
      max_connections_(static_cast<size_t>(max_connections)),
      wake_up_(std::move(wake_up)),
      sockets_(std::move(sockets)),
      prune_at_(std::min<size_t>(64, max_connections_)) {}

Listener::~Listener() { StopAccepting(); }

void Listener::Start(std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor) {
  acceptor_ = std::move(acceptor);
  thread_ = std::thread([this] { AcceptLoop(); });
}

void Listener::StopAccepting() {
  if (!sockets_.has_value()) return;
  wake_up_.Call();
  if (thread_.joinable()) thread_.join();
  sockets_.reset();
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
  for (const int fd : sockets_->fds()) events.push_back({fd, POLLIN, 0});
  events.push_back({wake_up_.fd(), POLLIN, 0});
  PatientPoll poll("accept connections");
  while (!wake_up_.WasCalled()) {
    poll.Wait(events, -1);
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
    LogRefusal();
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
  ForgetThoseGone();
  // Looking at all of them costs little when it is done each time their number has doubled.
  prune_at_ = std::min(max_connections_, std::max<size_t>(64, connections_.size() * 2));
  if (connections_.size() < max_connections_) return true;
  ++refused_;
  return false;
}

void Listener::LogRefusal() {
  const auto now = std::chrono::steady_clock::now();
  if (refusal_logged_at_.has_value() && now - *refusal_logged_at_ < kRefusalLogInterval) return;
  refusal_logged_at_ = now;
  Log(LogLevel::kWarning, "too_many_connections",
      {{"limit", static_cast<int64_t>(max_connections_)},
       {"refused_since_start", static_cast<int64_t>(stats().refused)}});
}

void Listener::ForgetThoseGone() {
  std::erase_if(connections_, [](const Connection& c) { return !IsStill(c.fd, c.inode); });
}

Listener::Stats Listener::stats() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ForgetThoseGone();
  return {.open = connections_.size(), .limit = max_connections_, .refused = refused_};
}

}  // namespace authurl
