#include "server/serving/listener.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "server/observe/log.h"
#include "tests/support/build_kind.h"
#include "tests/support/file_limit.h"
#include "tests/support/in_process_server.h"
#include "tests/support/raw_connection.h"
#include "tests/support/status_matchers.h"
#include "tests/support/stderr_pipe.h"
#include "tests/support/temp_dir.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr ListenerLimits kTen = {.max_connections = 10};

// What a server that was killed leaves behind.
void LeaveSocketFile(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  close(fd);
}

TEST(ListenerTest, PortZeroBecomesARealPort) {
  ASSERT_OK_AND_ASSIGN(const auto listener, Listener::Bind("127.0.0.1:0", kTen));
  EXPECT_THAT(listener->address(), StartsWith("127.0.0.1:"));
  int port = 0;
  ASSERT_TRUE(absl::SimpleAtoi(listener->address().substr(10), &port));
  EXPECT_GT(port, 0);
  EXPECT_TRUE(RawConnection(listener->address()).connected());
}

TEST(ListenerTest, NamesAndIpv6AddressesAreTaken) {
  EXPECT_OK(Listener::Bind("localhost:0", kTen));
  const auto ipv6 = Listener::Bind("[::1]:0", kTen);
  if (!ipv6.ok()) GTEST_SKIP() << "this machine has no IPv6";
  EXPECT_THAT((*ipv6)->address(), StartsWith("[::1]:"));
}

TEST(ListenerTest, PortInUseIsNamedTogetherWithAWayOut) {
  ASSERT_OK_AND_ASSIGN(const auto first, Listener::Bind("127.0.0.1:0", kTen));
  const auto second = Listener::Bind(first->address(), kTen);
  EXPECT_THAT(second, StatusIs(absl::StatusCode::kUnavailable,
                               AllOf(HasSubstr(first->address()), HasSubstr("is in use"),
                                     HasSubstr("--listen"))));
}

TEST(ListenerTest, AddressOfAnotherMachineIsRefused) {
  for (const char* address : {"192.0.2.1:0", "no-such-host.invalid:0"}) {
    EXPECT_THAT(Listener::Bind(address, kTen),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr(address)));
  }
}

TEST(ListenerTest, PortIsFreeAgainOnceTheListenerIsGone) {
  ASSERT_OK_AND_ASSIGN(auto first, Listener::Bind("127.0.0.1:0", kTen));
  const std::string address = first->address();
  first.reset();
  EXPECT_OK(Listener::Bind(address, kTen));
}

TEST(ListenerTest, StoppingTwiceClosesNothingOfOthers) {
  ASSERT_OK_AND_ASSIGN(const auto listener, Listener::Bind("127.0.0.1:0", kTen));
  listener->StopAccepting();
  // Gets the number of the socket that was just closed.
  const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  listener->StopAccepting();
  EXPECT_NE(fcntl(fd, F_GETFD), -1);
  close(fd);
}

TEST(ListenerTest, UnixSocketIsMadeAndRemoved) {
  const TempDir dir;
  const std::string path = dir.File("a.sock");
  {
    ASSERT_OK_AND_ASSIGN(const auto listener, Listener::Bind("unix:" + path, kTen));
    EXPECT_EQ(listener->address(), "unix:" + path);
    EXPECT_TRUE(std::filesystem::is_socket(path));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(ListenerTest, StaleSocketFileIsReplacedAndALiveOneIsNot) {
  const TempDir dir;
  const std::string path = dir.File("a.sock");
  LeaveSocketFile(path);
  ASSERT_OK_AND_ASSIGN(const auto listener, Listener::Bind("unix:" + path, kTen));
  EXPECT_THAT(Listener::Bind("unix:" + path, kTen),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("is in use")));
  EXPECT_TRUE(std::filesystem::is_socket(path));
}

TEST(ListenerTest, WhatIsNoSocketIsLeftAlone) {
  const TempDir dir;
  const std::string path = dir.Write("precious", "data");
  EXPECT_THAT(Listener::Bind("unix:" + path, kTen),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(path)));
  EXPECT_EQ(ReadFile(path), "data");
  EXPECT_FALSE(Listener::Bind("unix:" + dir.File("absent/a.sock"), kTen).ok());
  EXPECT_THAT(Listener::Bind("unix:" + dir.File(std::string(200, 'a')), kTen),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("too long")));
}

TEST(ListenerTest, ServerOnAUnixSocketIsReached) {
  ASSERT_OK_AND_ASSIGN(const auto server, InProcessServer::Start([](Config& config) {
                         config.listen = "unix:" + config.database + ".sock";
                       }));
  EXPECT_THAT(server->address(), StartsWith("unix:/"));
  EXPECT_OK(server->Admin().ListOrganizations());
}

// A client with a connection of its own, which is open from then on.
absl::StatusOr<TestClient> Connect(const InProcessServer& server) {
  const TestClient client(server.address(), server.folder().admin_key());
  const absl::Status status = client.ListOrganizations().status();
  if (!status.ok()) return status;
  return client;
}

TEST(ListenerTest, ConnectionsBeyondTheLimitAreClosedAndOthersDoNotNotice) {
  ASSERT_OK_AND_ASSIGN(const auto server,
                       InProcessServer::Start([](Config& config) { config.max_connections = 2; }));
  ASSERT_OK_AND_ASSIGN(const TestClient first, Connect(*server));
  {
    ASSERT_OK_AND_ASSIGN(const TestClient second, Connect(*server));
    EXPECT_THAT(Connect(*server), StatusIs(absl::StatusCode::kUnavailable, ::testing::_));
    EXPECT_TRUE(RawConnection(server->address()).WaitUntilClosed(kPatience));
    EXPECT_OK(first.ListOrganizations());
    EXPECT_OK(second.ListOrganizations());
  }
  EXPECT_TRUE(Eventually([&] { return Connect(*server).ok(); }));
  EXPECT_OK(first.ListOrganizations());
}

TEST(ListenerTest, ConnectionsThatAreGoneMakeRoom) {
  ASSERT_OK_AND_ASSIGN(const auto server,
                       InProcessServer::Start([](Config& config) { config.max_connections = 70; }));
  // More than the limit, one after the other and then many at once, with a reader that stays.
  ASSERT_OK_AND_ASSIGN(const TestClient stays, Connect(*server));
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(Eventually([&] { return Connect(*server).ok(); })) << i;
  }
  for (int round = 0; round < 3; ++round) {
    std::vector<RawConnection> connections;
    for (int i = 0; i < 60; ++i) connections.emplace_back(server->address());
    EXPECT_OK(stays.ListOrganizations());
  }
  EXPECT_TRUE(Eventually([&] { return Connect(*server).ok(); }));
}

TEST(ListenerTest, LackOfFileDescriptorsIsAnErrorOfTheStart) {
  const TempDir dir;
  absl::Status status;
  {
    // One for the socket, and none for what wakes the thread up.
    const FileLimit limit(NextDescriptor() + 1);
    status = Listener::Bind("unix:" + dir.File("a.sock"), kTen).status();
  }
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable,
                               AllOf(HasSubstr("a.sock"), HasSubstr("Too many open files"))));
}

TEST(ListenerTest, ItGoesOnAcceptingAfterDescriptorsRanOutAndSaysSoOnce) {
  if (kNeedsFileDescriptors) GTEST_SKIP() << "the sanitizer needs file descriptors";
  ASSERT_OK_AND_ASSIGN(const auto server, InProcessServer::Start());
  StderrPipe output;
  StartLog("info");
  const RawConnection caller;
  {
    const FileLimit limit(1);
    ASSERT_TRUE(caller.Connect(server->address()));
    EXPECT_TRUE(
        Eventually([&] { return absl::StrContains(output.Text(), "\"out_of_descriptors\""); }));
    absl::SleepFor(absl::Milliseconds(200));
  }
  EXPECT_OK(Connect(*server));
  EXPECT_TRUE(StopLog());
  const std::vector<std::string> lines = absl::StrSplit(output.Text(), "\"out_of_descriptors\"");
  EXPECT_EQ(lines.size(), 2u);
}

TEST(ListenerTest, RefusedConnectionsDoNotFillTheLog) {
  ASSERT_OK_AND_ASSIGN(const auto server,
                       InProcessServer::Start([](Config& config) { config.max_connections = 1; }));
  ASSERT_OK_AND_ASSIGN(const TestClient only, Connect(*server));
  StderrPipe output;
  StartLog("info");
  constexpr int kRefused = 500;
  const absl::Time begin = absl::Now();
  for (int i = 0; i < kRefused; ++i) {
    EXPECT_TRUE(RawConnection(server->address()).WaitUntilClosed(kPatience));
  }
  const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  EXPECT_TRUE(StopLog());
  const std::vector<std::string> lines = absl::StrSplit(output.Text(), "too_many_connections");
  EXPECT_GT(lines.size(), 1u);
  EXPECT_LE(static_cast<double>(lines.size() - 1), seconds + 1);
}

}  // namespace
}  // namespace authurl::testing
