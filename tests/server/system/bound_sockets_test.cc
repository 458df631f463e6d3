#include "server/system/bound_sockets.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "tests/support/eventually.h"
#include "tests/support/file_limit.h"
#include "tests/support/raw_connection.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kFlag[] = "some_listen";

TEST(BoundSocketsTest, PortZeroBecomesARealPort) {
  ASSERT_OK_AND_ASSIGN(const BoundSockets sockets, BoundSockets::BindTcp("127.0.0.1:0", kFlag));
  EXPECT_THAT(sockets.address(), StartsWith("127.0.0.1:"));
  int port = 0;
  ASSERT_TRUE(absl::SimpleAtoi(sockets.address().substr(10), &port));
  EXPECT_GT(port, 0);
  EXPECT_TRUE(RawConnection(sockets.address()).connected());
}

TEST(BoundSocketsTest, NamesAndIpv6AddressesAreTaken) {
  EXPECT_OK(BoundSockets::BindTcp("localhost:0", kFlag));
  const auto ipv6 = BoundSockets::BindTcp("[::1]:0", kFlag);
  if (!ipv6.ok()) GTEST_SKIP() << "this machine has no IPv6";
  EXPECT_THAT(ipv6->address(), StartsWith("[::1]:"));
}

TEST(BoundSocketsTest, PortInUseIsNamedTogetherWithAWayOut) {
  ASSERT_OK_AND_ASSIGN(const BoundSockets first, BoundSockets::BindTcp("127.0.0.1:0", kFlag));
  EXPECT_THAT(BoundSockets::BindTcp(first.address(), kFlag),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr(first.address()), HasSubstr("is in use"),
                             HasSubstr("--some_listen"))));
}

TEST(BoundSocketsTest, AddressOfAnotherMachineIsRefused) {
  for (const char* address : {"192.0.2.1:0", "no-such-host.invalid:0", "127.0.0.1:0,0.0.0.0:0"}) {
    EXPECT_THAT(BoundSockets::BindTcp(address, kFlag),
                StatusIs(absl::StatusCode::kUnavailable,
                         AllOf(HasSubstr(address), HasSubstr("--some_listen"))));
  }
}

TEST(BoundSocketsTest, WhatIsNoAddressIsRefused) {
  for (const char* address : {"", "9464", ":9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x",
                              "127.0.0.1:65536", "127.0.0.1:-1", "unix:/path"}) {
    EXPECT_THAT(BoundSockets::BindTcp(address, kFlag),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(address), HasSubstr("--some_listen"))));
  }
}

TEST(BoundSocketsTest, PortIsFreeAgainOnceTheSocketsAreGoneAndNotBefore) {
  std::string address;
  {
    std::optional<BoundSockets> kept;
    {
      ASSERT_OK_AND_ASSIGN(BoundSockets sockets, BoundSockets::BindTcp("127.0.0.1:0", kFlag));
      address = sockets.address();
      kept.emplace(std::move(sockets));
    }
    EXPECT_FALSE(BoundSockets::BindTcp(address, kFlag).ok());
  }
  EXPECT_OK(BoundSockets::BindTcp(address, kFlag));
}

TEST(BoundSocketsTest, ProgramsThatAreStartedInheritNoSocket) {
  ASSERT_OK_AND_ASSIGN(const BoundSockets sockets, BoundSockets::BindTcp("127.0.0.1:0", kFlag));
  for (const int fd : sockets.fds()) EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
}

// Connects to a Unix socket without waiting. The errno, or 0.
int ConnectAtOnce(const std::string& path, std::vector<int>& fds) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, path.size());
  fds.push_back(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return connect(fds.back(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0
             ? 0
             : errno;
}

TEST(BoundSocketsTest, UnixSocketOfABusyServerIsNotReplaced) {
  const TempDir dir;
  const std::string path = dir.File("a.sock");
  ASSERT_OK_AND_ASSIGN(const BoundSockets busy, BoundSockets::BindUnix("unix:" + path, kFlag));
  // Nobody accepts: as many as may wait do.
  ASSERT_EQ(listen(busy.fds()[0], 1), 0);
  std::vector<int> fds;
  ASSERT_TRUE(Eventually([&] { return ConnectAtOnce(path, fds) == EAGAIN; }));
  EXPECT_THAT(BoundSockets::BindUnix("unix:" + path, kFlag),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("is in use")));
  EXPECT_TRUE(std::filesystem::is_socket(path));
  for (const int fd : fds) close(fd);
}

TEST(BoundSocketsTest, UnixSocketIsNotReplacedWhenNobodyCanAskWhoseItIs) {
  const TempDir dir;
  const std::string path = dir.File("a.sock");
  ASSERT_OK_AND_ASSIGN(const BoundSockets first, BoundSockets::BindUnix("unix:" + path, kFlag));
  absl::Status status;
  {
    const FileLimit limit(NextDescriptor());
    status = BoundSockets::BindUnix("unix:" + path, kFlag).status();
  }
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("Too many open files")));
  EXPECT_TRUE(std::filesystem::is_socket(path));
}

}  // namespace
}  // namespace authurl::testing
