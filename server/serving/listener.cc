#include "server/serving/listener.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/observe/log.h"

namespace authurl {
namespace {

constexpr std::chrono::seconds kRefusalLogInterval(1);
constexpr std::chrono::minutes kDescriptorLogInterval(1);

// What an event of epoll is about: the wake-up, a listening socket (counted from the second on), or
// a handshake.
constexpr uint64_t kWakeUpId = 0;
constexpr uint64_t kFirstHandshakeId = 1000;

bool Watch(int epoll, int fd, uint64_t id) {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = id;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Bind(const std::string& listen,
                                                         const ListenerLimits& limits) {
  constexpr absl::string_view kFlag = "listen";
  absl::StatusOr<BoundSockets> sockets = absl::StartsWith(listen, "unix:")
                                             ? BoundSockets::BindUnix(listen, kFlag)
                                             : BoundSockets::BindTcp(listen, kFlag);
  if (!sockets.ok()) return sockets.status();
  const auto fail = [&](absl::string_view why) {
    return absl::UnavailableError(absl::StrCat("cannot accept connections on ", listen, ": ", why));
  };
  absl::StatusOr<WakeUp> wake_up = WakeUp::Make();
  if (!wake_up.ok()) return fail(wake_up.status().message());
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return fail(strerror(errno));
  std::unique_ptr<Listener> listener(
      new Listener(*std::move(sockets), *std::move(wake_up), epoll, limits));
  bool watched = Watch(epoll, listener->wake_up_.fd(), kWakeUpId);
  const std::vector<int>& fds = listener->sockets_->fds();
  for (size_t i = 0; i < fds.size(); ++i) watched = watched && Watch(epoll, fds[i], i + 1);
  if (!watched) return fail(strerror(errno));
  return listener;
}

Listener::Listener(BoundSockets sockets, WakeUp wake_up, int epoll, const ListenerLimits& limits)
    : address_(sockets.address()),
      limits_(limits),
      max_connections_(static_cast<size_t>(limits.max_connections)),
      wake_up_(std::move(wake_up)),
      epoll_(epoll),
      sockets_(std::move(sockets)),
      refusal_log_(kRefusalLogInterval),
      descriptor_log_(kDescriptorLogInterval),
      prune_at_(std::min<size_t>(64, max_connections_)) {}

Listener::~Listener() {
  StopAccepting();
  close(epoll_);
}

void Listener::Start(std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor) {
  acceptor_ = std::move(acceptor);
  const auto hand_over = [this](int fd, int listening_fd) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
    parameters.listener_fd = listening_fd;
    parameters.fd = fd;
    acceptor_->HandleNewConnection(&parameters);
  };
  handshakes_.emplace(epoll_, kFirstHandshakeId,
                      Handshakes::Limits{
                          .max_handshakes = static_cast<size_t>(limits_.max_handshakes),
                          .timeout = limits_.handshake_timeout,
                          .tls = limits_.tls,
                      },
                      Handshakes::Handlers{
                          .hand_over = hand_over,
                          .finish = [this](ServedSocket socket) { return Keep(socket); },
                          .drop = [this] { ++dropped_handshakes_; },
                      });
  thread_ = std::thread([this] { AcceptLoop(); });
}

void Listener::StopAccepting() {
  if (!sockets_.has_value()) return;
  wake_up_.Call();
  if (thread_.joinable()) thread_.join();
  if (handshakes_.has_value()) {
    // gRPC goes on with these; they are disconnected with all others.
    const std::vector<ServedSocket> served = handshakes_->Release();
    handshakes_.reset();
    const std::lock_guard<std::mutex> lock(mutex_);
    connections_.insert(connections_.end(), served.begin(), served.end());
  }
  sockets_.reset();
}

void Listener::SeverConnections() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const ServedSocket& connection : connections_) {
    if (connection.IsOpen()) shutdown(connection.fd, SHUT_RDWR);
  }
  connections_.clear();
}

void Listener::AcceptLoop() {
  constexpr std::chrono::milliseconds kTick = Handshakes::kTick;
  std::array<epoll_event, 64> events;
  auto sweep_at = std::chrono::steady_clock::now();
  while (true) {
    const int timeout = handshakes_->IsSweepNeeded() ? static_cast<int>(kTick.count()) : -1;
    const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout);
    for (int i = 0; i < count; ++i) {
      const uint64_t id = events[static_cast<size_t>(i)].data.u64;
      if (id == kWakeUpId) return;
      if (id >= kFirstHandshakeId) {
        handshakes_->Look(id);
      } else {
        AcceptSome(sockets_->fds()[id - 1]);
      }
    }
    if (std::chrono::steady_clock::now() < sweep_at) continue;
    handshakes_->Sweep();
    sweep_at = std::chrono::steady_clock::now() + kTick;
  }
}

void Listener::AcceptSome(int socket) {
  constexpr int kSome = 16;
  for (int i = 0; i < kSome && Accept(socket); ++i) {
  }
}

bool Listener::Accept(int socket) {
  const int fd = accept4(socket, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) {
    // Out of descriptors or memory: others will give some back. Everything else concerns one
    // connection only.
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      if (descriptor_log_.IsDue()) {
        Log(LogLevel::kError, "out_of_descriptors",
            {{"cannot", "accept connections"}, {"cause", strerror(errno)}});
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }
  if (HasRoom()) {
    handshakes_->Add(fd, socket);
    return true;
  }
  close(fd);
  LogRefusal();
  return true;
}

bool Listener::Keep(ServedSocket connection) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (HasRoomLocked()) {
      connections_.push_back(connection);
      return true;
    }
  }
  LogRefusal();
  return false;
}

bool Listener::HasRoom() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return HasRoomLocked();
}

bool Listener::HasRoomLocked() {
  if (connections_.size() < prune_at_) return true;
  ForgetThoseGone();
  // Looking at all of them costs little when it is done each time their number has doubled.
  prune_at_ = std::min(max_connections_, std::max<size_t>(64, connections_.size() * 2));
  if (connections_.size() < max_connections_) return true;
  ++refused_;
  return false;
}

void Listener::LogRefusal() {
  if (!refusal_log_.IsDue()) return;
  Log(LogLevel::kWarning, "too_many_connections",
      {{"limit", static_cast<int64_t>(max_connections_)},
       {"refused_since_start", static_cast<int64_t>(stats().refused)}});
}

void Listener::ForgetThoseGone() {
  std::erase_if(connections_, [](const ServedSocket& connection) { return !connection.IsOpen(); });
}

Listener::Stats Listener::stats() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ForgetThoseGone();
  return {.open = connections_.size(),
          .limit = max_connections_,
          .refused = refused_,
          .dropped_handshakes = dropped_handshakes_};
}

}  // namespace authurl
