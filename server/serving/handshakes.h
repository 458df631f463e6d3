// handshakes.h: connections of peers that have not shown yet who they are.
//
// They have a small budget of their own, so that whoever connects and says nothing takes no room
// from those who have a certificate. When it is full, the address that holds most of it loses a
// connection: its oldest that has not said hello, or else its oldest. (An address is an IPv4
// address or an IPv6 network of 64 bits; one customer has as many addresses as he likes in that.)
//
// A connection begins with us and costs a descriptor. Only once the whole hello is there gRPC gets
// it, which spends some 120 KB on a TLS handshake. It counts until gRPC has finished that, the
// check of the client's certificate included.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "server/serving/finished_handshakes.h"
#include "server/system/seldom.h"

namespace authurl {

// A connection that gRPC owns. The inode tells whether the descriptor still is that connection.
struct ServedSocket {
  bool IsOpen() const;

  int fd = -1;
  ino_t inode = 0;
};

// For one thread.
class Handshakes final {
 public:
  struct Limits {
    size_t max_handshakes = 0;
    std::chrono::steady_clock::duration timeout{};
    bool tls = false;  // Without it, a connection is done once the preface of HTTP/2 is there.
  };
  struct Handlers {
    // Gives gRPC a connection.
    std::function<void(int fd, int listening_fd)> hand_over;
    // Told of one that has finished; false if there is no room for it, and then it is closed.
    // Without TLS it is asked before gRPC gets it.
    std::function<bool(ServedSocket)> finish;
    // Told of one that was closed to make room for another.
    std::function<void()> drop;
  };

  // Watches its connections in `epoll`: an event's data is then what Look() takes. The numbers
  // begin at `first_id`.
  Handshakes(int epoll, uint64_t first_id, const Limits& limits, Handlers handlers);
  // Closes those that gRPC does not have.
  ~Handshakes();
  Handshakes(const Handshakes&) = delete;
  Handshakes& operator=(const Handshakes&) = delete;

  // A connection that was just accepted. Owns it.
  void Add(int fd, int listening_fd);
  // Something came on that connection, if it still is here.
  void Look(uint64_t id);
  // Notices those that have finished, are gone, or are too slow. To be called every kTick while
  // there is something to notice.
  void Sweep();
  bool IsSweepNeeded() const { return !connections_.empty() || !dropped_.empty(); }
  static constexpr std::chrono::milliseconds kTick{100};

  // Those that gRPC has and has not finished with; they are no longer ours then.
  std::vector<ServedSocket> Release();

 private:
  struct Connection {
    // Whose share it takes.
    std::string address;
    PeerBytes peer;
    std::chrono::steady_clock::time_point began;
    int listening_fd = -1;
    // Ours until gRPC has it; then one of our own for the same connection, so that it can be shut
    // down whatever gRPC does with its number meanwhile.
    int fd = -1;
    std::optional<ServedSocket> served;  // Once gRPC has it.
  };
  // In the order of their arrival.
  using Connections = std::map<uint64_t, Connection>;

  void HandOver(uint64_t id);
  void MakeRoom();
  Connections::iterator ChooseVictim();
  // Forgets those that gRPC has finished or given up.
  void NoticeEnded();
  // What becomes of it is no longer our business.
  Connections::iterator Forget(Connections::iterator connection);
  Connections::iterator Drop(Connections::iterator connection);

  const int epoll_;
  const Limits limits_;
  const Handlers handlers_;
  uint64_t next_id_;
  Connections connections_;
  std::map<std::string, size_t> held_;  // Connections of each address.
  // Connections that were shut down, and that gRPC has not noticed yet.
  std::list<Connection> dropped_;
  std::optional<FinishedHandshakes> finished_;  // With TLS.
  uint64_t dropped_since_start_ = 0;
  Seldom drop_log_;
  Seldom descriptor_log_;
};

}  // namespace authurl
