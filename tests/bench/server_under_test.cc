#include "tests/bench/server_under_test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace authurl::bench {
namespace {

constexpr char kServerBinary[] = AUTHURL_SERVER_BINARY;
constexpr absl::Duration kPatience = absl::Seconds(60);

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

// One that nobody listens on now. Asked for beforehand, so that the address is known whatever the
// server is told to log.
absl::StatusOr<uint16_t> FreePort() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  const bool found =
      listener >= 0 &&
      bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
      getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  const int error = errno;
  if (listener >= 0) close(listener);
  if (!found) return absl::ErrnoToStatus(error, "no free port");
  return ntohs(address.sin_port);
}

// Whether a server answers the first bytes of HTTP/2 with its own. Plain sockets, because this
// process must not use gRPC.
bool Serves(uint16_t port) {
  constexpr char kHello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";  // and SETTINGS
  constexpr size_t kFrameHeaderBytes = 9;
  const int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connection < 0) return false;
  const timeval patience{.tv_sec = 10, .tv_usec = 0};
  setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  const sockaddr_in address = Loopback(port);
  std::array<char, kFrameHeaderBytes> answer;
  const bool serves =
      connect(connection, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
      // With the final zero of the literal.
      send(connection, kHello, sizeof(kHello), MSG_NOSIGNAL) == sizeof(kHello) &&
      recv(connection, answer.data(), answer.size(), MSG_WAITALL) == kFrameHeaderBytes;
  close(connection);
  return serves;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ServerUnderTest>> ServerUnderTest::Start(
    const Deployment& deployment, const std::vector<std::string>& flags) {
  const absl::StatusOr<uint16_t> port = FreePort();
  if (!port.ok()) return port.status();
  std::unique_ptr<ServerUnderTest> server(new ServerUnderTest);
  server->address_ = absl::StrCat("127.0.0.1:", *port);
  std::vector<std::string> command = {
      kServerBinary,
      absl::StrCat("--listen=", server->address_),
      "--drain_delay=0",
      // There, so that they cost what they cost, and never reached.
      "--rate_limit_key=10000000",
      "--rate_limit_organization=10000000",
      "--max_stored_states=100000000",
      absl::StrCat("--database=", deployment.database()),
      absl::StrCat("--key_ring_file=", deployment.key_ring_file()),
  };
  command.insert(command.end(), flags.begin(), flags.end());
  const std::string log = server->folder_.File("log");
  const absl::Time begin = absl::Now();
  auto process = ChildProcess::Run(std::move(command), log);
  if (!process.ok()) return process.status();
  server->process_ = *std::move(process);
  while (!Serves(*port)) {
    if (server->process_->HasEnded() || absl::Now() - begin > kPatience) {
      return absl::UnavailableError(
          absl::StrCat("the server does not serve: ", testing::ReadFile(log)));
    }
    absl::SleepFor(absl::Milliseconds(1));
  }
  server->start_time_ = absl::Now() - begin;
  return server;
}

absl::Status ServerUnderTest::Stop() {
  const int exit_code = process_->Stop();
  if (exit_code == 0) return absl::OkStatus();
  return absl::UnknownError(absl::StrCat("the server ended with ", exit_code));
}

}  // namespace authurl::bench
