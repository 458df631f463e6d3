#include "tests/support/flood.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"

namespace authurl::testing {
namespace {

int PortOf(const std::string& address) {
  int port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port));
  return port;
}

sockaddr_in Ipv4(const std::string& host, int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  inet_pton(AF_INET, host.c_str(), &address.sin_addr);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

// A socket that is connecting, or -1.
int Open(const std::string& source, int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  const int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
  const sockaddr_in from = Ipv4(source, 0);
  const sockaddr_in to = Ipv4("127.0.0.1", port);
  bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof(from));
  connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
  return fd;
}

bool IsClosed(int fd) {
  std::array<char, 4096> buffer;
  ssize_t size = 0;
  do {
    size = recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
  } while (size > 0);
  return size == 0 || (errno != EAGAIN && errno != ENOTCONN);
}

}  // namespace

Flood::Flood(const std::string& address, int connections, std::string says,
             const std::string& source)
    : port_(PortOf(address)),
      connections_(connections),
      says_(std::move(says)),
      source_(source),
      thread_([this] { Run(); }) {}

Flood::~Flood() {
  stopping_ = true;
  thread_.join();
}

void Flood::Run() {
  struct Slot {
    int fd = -1;
    bool has_spoken = false;
  };
  // As many a round, and a round each 10 ms: some 4,000 a second, so that the test measures the
  // server and not the machine.
  constexpr int kNewPerRound = 60;
  std::vector<Slot> slots(static_cast<size_t>(connections_));
  while (!stopping_) {
    int opened = 0;
    for (Slot& slot : slots) {
      if (slot.fd >= 0 && IsClosed(slot.fd)) {
        close(slot.fd);
        slot = Slot();
      }
      if (slot.fd < 0 && opened < kNewPerRound) {
        slot.fd = Open(source_, port_);
        ++opened;
      }
      if (slot.fd < 0 || slot.has_spoken) continue;
      slot.has_spoken = says_.empty() || send(slot.fd, says_.data(), says_.size(), MSG_NOSIGNAL) ==
                                             static_cast<ssize_t>(says_.size());
    }
    opened_ += opened;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  for (const Slot& slot : slots) {
    if (slot.fd >= 0) close(slot.fd);
  }
}

std::string TlsClientHello() {
  SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  SSL* const tls = SSL_new(context);
  const absl::Cleanup free_all = [&] {
    SSL_free(tls);
    SSL_CTX_free(context);
  };
  BIO* const sent = BIO_new(BIO_s_mem());
  SSL_set_bio(tls, BIO_new(BIO_s_mem()), sent);
  const std::array<unsigned char, 3> h2 = {2, 'h', '2'};
  SSL_set_alpn_protos(tls, h2.data(), h2.size());
  EXPECT_LT(SSL_connect(tls), 0);
  std::string hello(4096, '\0');
  const int size = BIO_read(sent, hello.data(), static_cast<int>(hello.size()));
  EXPECT_GT(size, 0);
  hello.resize(static_cast<size_t>(size));
  return hello;
}

}  // namespace authurl::testing
