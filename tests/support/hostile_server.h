// hostile_server.h: an HTTPS server on this machine that does to its clients whatever a test wants,
// byte for byte.
#pragma once

#include <openssl/types.h>

#include <atomic>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/string_view.h"
#include "tests/support/test_certificates.h"

namespace authurl::testing {

// Each connection has a thread of its own, so a handler may wait as long as it likes.
class HostileServer final {
 public:
  // One connection, with the request that came last.
  class Peer {
   public:
    // Head and body as they came.
    const std::string& request() const { return request_; }
    // Which request of the connection it is; 1 for the first.
    int number() const { return number_; }
    // Whether the peer is still there to take it.
    bool Send(absl::string_view bytes);
    // Until the peer hangs up, or the server ends.
    void WaitUntilGone();

   private:
    friend class HostileServer;
    Peer(int fd, SSL* ssl) : fd_(fd), ssl_(ssl) {}
    bool ReadRequest();
    // 0 or less at the end.
    int Read(char* buffer, int size);

    const int fd_;
    SSL* const ssl_;  // Null: no TLS.
    std::string request_;
    int number_ = 0;
  };

  // Whether the connection stays open for another request.
  using Handler = std::function<bool(Peer&)>;

  enum class Kind {
    kTls,
    kOldTls,          // 1.1 at most.
    kPlain,           // No TLS at all.
    kSilent,          // Never says a word, not even a handshake's.
    kNeverConnected,  // The system takes no connection for it.
  };

  struct Options {
    Kind kind = Kind::kTls;
    // The names in its certificate. Empty: whichever one the client asks for.
    std::vector<std::string> hosts = {};
    // Whether the handshake of a client that asks for this host fails, before the client can send
    // anything. Where `hosts` is empty only.
    std::function<bool(const std::string& host)> refuses = nullptr;
    // Those beyond it are hung up on at once.
    size_t max_connections = 4096;
  };

  // `authority` outlives the server.
  HostileServer(const CertificateAuthority& authority, Handler handler)
      : HostileServer(authority, std::move(handler), Options()) {}
  HostileServer(const CertificateAuthority& authority, Handler handler, Options options);
  // Hangs up on all.
  ~HostileServer();
  HostileServer(const HostileServer&) = delete;
  HostileServer& operator=(const HostileServer&) = delete;

  int port() const { return port_; }
  // "127.0.0.1:port".
  std::string address() const;
  // "https://host:port" and the path.
  std::string Url(absl::string_view path, absl::string_view host = "network.example") const;

  int connections() const { return connections_; }
  int requests() const { return requests_; }

 private:
  struct Connection {
    std::thread thread;
    std::atomic<bool> is_over = false;
  };

  void Accept();
  void Serve(int fd);
  void ServeRequests(Peer& peer);
  SSL_CTX* ContextFor(const std::string& host);
  static int ChooseCertificate(SSL* ssl, int* alert, void* self);

  const CertificateAuthority& authority_;
  const Handler handler_;
  const Options options_;
  int listener_ = -1;
  int port_ = 0;
  std::vector<int> fillers_;  // Of kNeverConnected.
  std::atomic<int> connections_ = 0;
  std::atomic<int> requests_ = 0;
  std::mutex mutex_;
  // Guarded by mutex_, down to open_.
  bool stopping_ = false;
  std::map<std::string, SSL_CTX*> contexts_;
  std::vector<int> open_;
  std::list<Connection> served_;  // The acceptor's; once that has ended, the destructor's.
  std::thread acceptor_;
};

}  // namespace authurl::testing
