// http_server.h: a small HTTP/1.1 server for what a machine asks now and then: one short request
// and one reply on each connection, all on one thread.
//
// It is made to be left alone with clients that mean harm: what a request may take in bytes and in
// time is bounded, and when too many connections are open, the oldest makes room for the next one.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/observe/poll_loop.h"
#include "server/system/bound_sockets.h"

namespace authurl {

struct HttpReply {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

class HttpServer final {
 public:
  // Answers a GET for a path (without its query). Called on the server's thread; a HEAD is asked
  // as a GET, and everything else is refused without asking.
  using Handler = std::function<HttpReply(absl::string_view path)>;

  // An error is one sentence for the operator.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(BoundSockets sockets, Handler handler);
  // Closes all connections, also one that is being answered.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  const std::string& address() const { return sockets_.address(); }

 private:
  class Connection;
  using Time = std::chrono::steady_clock::time_point;

  HttpServer(BoundSockets sockets, Handler handler, WakeUp wake_up);
  void Serve();
  void Accept(int socket);
  // When the next thing is due that no socket will tell.
  int MillisecondsToWait() const;

  const BoundSockets sockets_;
  const Handler handler_;
  const WakeUp wake_up_;
  // The oldest first.
  std::vector<std::unique_ptr<Connection>> connections_;
  // Not before then, when the process has run out of file descriptors.
  Time accept_after_;
  std::thread thread_;
};

}  // namespace authurl
