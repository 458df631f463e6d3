#include "tests/support/hostile_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace authurl::testing {
namespace {

template <typename Thing, typename Read>
Thing* FromPem(const std::string& pem, Read read) {
  BIO* const memory = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  Thing* const thing = read(memory, nullptr, nullptr, nullptr);
  BIO_free(memory);
  return thing;
}

// Writing to a peer that has gone is no reason to die.
void IgnoreSigpipeHere() {
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
}

sockaddr_in LoopbackAt(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

size_t BodySize(absl::string_view head) {
  for (const absl::string_view line : absl::StrSplit(head, "\r\n")) {
    size_t size = 0;
    if (absl::StartsWithIgnoreCase(line, "Content-Length:") &&
        absl::SimpleAtoi(line.substr(line.find(':') + 1), &size)) {
      return size;
    }
  }
  return 0;
}

}  // namespace

HostileServer::HostileServer(const CertificateAuthority& authority, Handler handler,
                             Options options)
    : authority_(authority), handler_(std::move(handler)), options_(std::move(options)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = LoopbackAt(0);
  socklen_t size = sizeof(address);
  EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
  port_ = ntohs(address.sin_port);
  const bool is_never_connected = options_.kind == Kind::kNeverConnected;
  EXPECT_EQ(listen(listener_, is_never_connected ? 0 : 4096), 0);
  if (!is_never_connected) {
    acceptor_ = std::thread([this] { Accept(); });
    return;
  }
  // The system takes some connections by itself. Once it does no more, everybody waits.
  for (bool taken = true; taken && fillers_.size() < 64;) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    fillers_.push_back(fd);
    connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    pollfd ready = {fd, POLLOUT, 0};
    taken = poll(&ready, 1, 100) == 1;
  }
}

HostileServer::~HostileServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    shutdown(listener_, SHUT_RDWR);
    for (const int fd : open_) shutdown(fd, SHUT_RDWR);
  }
  if (acceptor_.joinable()) acceptor_.join();
  for (Connection& connection : served_) connection.thread.join();
  for (const auto& [host, context] : contexts_) SSL_CTX_free(context);
  for (const int fd : fillers_) close(fd);
  close(listener_);
}

std::string HostileServer::address() const { return absl::StrCat("127.0.0.1:", port_); }

std::string HostileServer::Url(absl::string_view path, absl::string_view host) const {
  return absl::StrCat(options_.kind == Kind::kPlain ? "http://" : "https://", host, ":", port_,
                      path);
}

void HostileServer::Accept() {
  while (true) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    // Or the threads of connections that ended long ago would add up.
    for (auto connection = served_.begin(); connection != served_.end();) {
      if (!connection->is_over) {
        ++connection;
        continue;
      }
      connection->thread.join();
      connection = served_.erase(connection);
    }
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      if (fd >= 0) close(fd);
      return;
    }
    if (fd < 0) continue;
    ++connections_;
    if (open_.size() >= options_.max_connections) {
      close(fd);
      continue;
    }
    open_.push_back(fd);
    Connection& connection = served_.emplace_back();
    connection.thread = std::thread([this, fd, &connection] {
      Serve(fd);
      connection.is_over = true;
    });
  }
}

void HostileServer::Serve(int fd) {
  IgnoreSigpipeHere();
  if (options_.kind == Kind::kPlain || options_.kind == Kind::kSilent) {
    Peer peer(fd, nullptr);
    if (options_.kind == Kind::kPlain) {
      ServeRequests(peer);
    } else {
      peer.WaitUntilGone();
    }
  } else {
    SSL* const ssl = SSL_new(ContextFor(options_.hosts.empty() ? "" : options_.hosts[0]));
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) {
      Peer peer(fd, ssl);
      ServeRequests(peer);
    }
    SSL_free(ssl);
  }
  const std::lock_guard lock(mutex_);
  open_.erase(std::find(open_.begin(), open_.end(), fd));
  close(fd);
}

void HostileServer::ServeRequests(Peer& peer) {
  while (peer.ReadRequest()) {
    ++requests_;
    if (!handler_(peer)) return;
  }
}

SSL_CTX* HostileServer::ContextFor(const std::string& host) {
  const std::lock_guard lock(mutex_);
  SSL_CTX*& context = contexts_[host];
  if (context != nullptr) return context;
  const Certificate certificate = !options_.hosts.empty() ? authority_.IssueServer(options_.hosts)
                                  : host.empty()
                                      ? authority_.IssueServer()
                                      : authority_.IssueServer(std::vector<std::string>{host});
  context = SSL_CTX_new(TLS_server_method());
  X509* const x509 = FromPem<X509>(certificate.certificate, PEM_read_bio_X509);
  EVP_PKEY* const key = FromPem<EVP_PKEY>(certificate.key, PEM_read_bio_PrivateKey);
  EXPECT_EQ(SSL_CTX_use_certificate(context, x509), 1);
  EXPECT_EQ(SSL_CTX_use_PrivateKey(context, key), 1);
  X509_free(x509);
  EVP_PKEY_free(key);
  if (options_.kind == Kind::kOldTls) {
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
    SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
  }
  if (host.empty()) {
    SSL_CTX_set_tlsext_servername_callback(context, &ChooseCertificate);
    SSL_CTX_set_tlsext_servername_arg(context, this);
  }
  return context;
}

int HostileServer::ChooseCertificate(SSL* ssl, int* /*alert*/, void* self) {
  const char* const host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (host == nullptr) return SSL_TLSEXT_ERR_OK;
  auto& server = *static_cast<HostileServer*>(self);
  if (server.options_.refuses && server.options_.refuses(host)) return SSL_TLSEXT_ERR_ALERT_FATAL;
  SSL_set_SSL_CTX(ssl, server.ContextFor(host));
  return SSL_TLSEXT_ERR_OK;
}

int HostileServer::Peer::Read(char* buffer, int size) {
  if (ssl_ != nullptr) return SSL_read(ssl_, buffer, size);
  return static_cast<int>(recv(fd_, buffer, static_cast<size_t>(size), 0));
}

bool HostileServer::Peer::Send(absl::string_view bytes) {
  while (!bytes.empty()) {
    const int piece = static_cast<int>(std::min<size_t>(bytes.size(), 16384));
    const int sent = ssl_ != nullptr
                         ? SSL_write(ssl_, bytes.data(), piece)
                         : static_cast<int>(send(fd_, bytes.data(), static_cast<size_t>(piece), 0));
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

void HostileServer::Peer::WaitUntilGone() {
  char buffer[1024];
  // Below TLS: what still comes is not of interest.
  while (recv(fd_, buffer, sizeof(buffer), 0) > 0) {
  }
}

bool HostileServer::Peer::ReadRequest() {
  request_.clear();
  ++number_;
  char buffer[16384];
  while (true) {
    const size_t end = request_.find("\r\n\r\n");
    if (end != std::string::npos &&
        request_.size() >= end + 4 + BodySize(absl::string_view(request_).substr(0, end))) {
      return true;
    }
    const int size = Read(buffer, sizeof(buffer));
    if (size <= 0) return false;
    request_.append(buffer, static_cast<size_t>(size));
  }
}

}  // namespace authurl::testing
