#include "server/observe/http_server.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace authurl {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t kMaxConnections = 32;
constexpr size_t kMaxRequestBytes = 8 * 1024;
// From the first byte of the request to the last one of the reply.
constexpr milliseconds kExchangeTimeout{10'000};
// How long a client may take to hang up.
constexpr milliseconds kCloseTimeout{1'000};
constexpr milliseconds kAcceptPause{100};

absl::string_view ReasonPhrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 431:
      return "Request Header Fields Too Large";
    default:
      return "Internal Server Error";
  }
}

std::string Format(const HttpReply& reply, bool with_body) {
  return absl::StrCat("HTTP/1.1 ", reply.status, " ", ReasonPhrase(reply.status),
                      "\r\nContent-Type: ", reply.content_type,
                      "\r\nContent-Length: ", reply.body.size(),
                      "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff",
                      reply.status == 405 ? "\r\nAllow: GET, HEAD" : "",
                      "\r\nConnection: close\r\n\r\n", with_body ? reply.body : "");
}

std::string FormatError(int status, absl::string_view text) {
  return Format({.status = status, .body = absl::StrCat(text, "\n")}, /*with_body=*/true);
}

HttpReply Ask(const HttpServer::Handler& handler, absl::string_view path) {
  try {
    return handler(path);
  } catch (...) {
    return {.status = 500, .body = "The reply could not be made\n"};
  }
}

std::string ReplyTo(absl::string_view request, const HttpServer::Handler& handler) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(request.substr(0, request.find_first_of("\r\n")), ' ');
  if (words.size() != 3 || !absl::StartsWith(words[2], "HTTP/1.") || words[1].empty()) {
    return FormatError(400, "This is not an HTTP/1.1 request");
  }
  if (words[0] != "GET" && words[0] != "HEAD") return FormatError(405, "Only GET is served here");
  const absl::string_view path = words[1].substr(0, words[1].find('?'));
  return Format(Ask(handler, path), /*with_body=*/words[0] == "GET");
}

bool MayTryAgain() { return errno == EAGAIN || errno == EINTR; }

}  // namespace

// Reads a request, writes the reply, then waits until the client has hung up: closing earlier, with
// bytes of the client unread, would tear the reply down on its way.
class HttpServer::Connection final {
 public:
  explicit Connection(int fd) : fd_(fd), deadline_(steady_clock::now() + kExchangeTimeout) {}
  ~Connection() { close(fd_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int fd() const { return fd_; }
  short events() const { return state_ == State::kWriting ? POLLOUT : POLLIN; }
  Time deadline() const { return deadline_; }

  // Does what the socket is ready for. Whether the connection goes on.
  bool Advance(const Handler& handler) {
    if (state_ == State::kReading && !Read(handler)) return false;
    if (state_ == State::kWriting && !Write()) return false;
    return state_ != State::kClosing || Drain();
  }

 private:
  enum class State { kReading, kWriting, kClosing };

  bool Read(const Handler& handler) {
    std::array<char, 2048> buffer;
    const ssize_t size = recv(fd_, buffer.data(), buffer.size(), 0);
    if (size < 0) return MayTryAgain();
    if (size == 0) return false;
    request_.append(buffer.data(), static_cast<size_t>(size));
    if (!absl::ascii_isupper(static_cast<unsigned char>(request_[0]))) {
      Reply(FormatError(400, "This is not an HTTP/1.1 request"));
    } else if (absl::StrContains(request_, "\r\n\r\n")) {
      Reply(ReplyTo(request_, handler));
    } else if (request_.size() > kMaxRequestBytes) {
      Reply(FormatError(431, "The request is too long"));
    }
    return true;
  }

  void Reply(std::string reply) {
    reply_ = std::move(reply);
    state_ = State::kWriting;
  }

  bool Write() {
    const ssize_t size = send(fd_, reply_.data() + sent_, reply_.size() - sent_, MSG_NOSIGNAL);
    if (size < 0) return MayTryAgain();
    sent_ += static_cast<size_t>(size);
    if (sent_ < reply_.size()) return true;
    shutdown(fd_, SHUT_WR);
    state_ = State::kClosing;
    deadline_ = std::min(deadline_, steady_clock::now() + kCloseTimeout);
    return true;
  }

  bool Drain() const {
    std::array<char, 2048> buffer;
    const ssize_t size = recv(fd_, buffer.data(), buffer.size(), 0);
    return size > 0 || (size < 0 && MayTryAgain());
  }

  const int fd_;
  Time deadline_;
  State state_ = State::kReading;
  std::string request_;
  std::string reply_;
  size_t sent_ = 0;
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(BoundSockets sockets,
                                                              Handler handler) {
  absl::StatusOr<WakeUp> wake_up = WakeUp::Make();
  if (!wake_up.ok()) {
    return absl::UnavailableError(
        absl::StrCat("cannot serve HTTP on ", sockets.address(), ": ", wake_up.status().message()));
  }
  return absl::WrapUnique(
      new HttpServer(std::move(sockets), std::move(handler), *std::move(wake_up)));
}

HttpServer::HttpServer(BoundSockets sockets, Handler handler, WakeUp wake_up)
    : sockets_(std::move(sockets)),
      handler_(std::move(handler)),
      wake_up_(std::move(wake_up)),
      thread_([this] { Serve(); }) {}

HttpServer::~HttpServer() {
  wake_up_.Call();
  thread_.join();
}

void HttpServer::Serve() {
  std::vector<pollfd> fds;
  PatientPoll poll("serve HTTP");
  while (!wake_up_.WasCalled()) {
    fds.clear();
    for (const auto& connection : connections_) {
      fds.push_back({connection->fd(), connection->events(), 0});
    }
    fds.push_back({wake_up_.fd(), POLLIN, 0});
    if (steady_clock::now() >= accept_after_) {
      for (const int socket : sockets_.fds()) fds.push_back({socket, POLLIN, 0});
    }
    poll.Wait(fds, MillisecondsToWait());

    const size_t wake = connections_.size();
    if (fds[wake].revents != 0) return;
    for (size_t i = 0; i < wake; ++i) {
      Connection& connection = *connections_[i];
      const bool over = steady_clock::now() > connection.deadline() ||
                        (fds[i].revents != 0 && !connection.Advance(handler_));
      if (over) connections_[i].reset();
    }
    std::erase(connections_, nullptr);
    for (size_t i = wake + 1; i < fds.size(); ++i) {
      if (fds[i].revents != 0) Accept(fds[i].fd);
    }
  }
}

void HttpServer::Accept(int socket) {
  const int fd = accept4(socket, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    // A client that is gone again does not concern us; a lack of file descriptors is, and the
    // socket would call again at once.
    if (!MayTryAgain() && errno != ECONNABORTED) accept_after_ = steady_clock::now() + kAcceptPause;
    return;
  }
  if (connections_.size() == kMaxConnections) connections_.erase(connections_.begin());
  connections_.push_back(std::make_unique<Connection>(fd));
}

int HttpServer::MillisecondsToWait() const {
  const Time now = steady_clock::now();
  Time next = Time::max();
  for (const auto& connection : connections_) next = std::min(next, connection->deadline());
  if (accept_after_ > now) next = std::min(next, accept_after_);
  if (next == Time::max()) return -1;
  const auto wait = std::chrono::duration_cast<milliseconds>(next - now).count();
  return static_cast<int>(std::max<decltype(wait)>(wait, 0)) + 1;
}

}  // namespace authurl
