// Peers without a certificate that open connections without end: those with a certificate must not
// notice it, nor the machine's memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/build_kind.h"
#include "tests/support/flood.h"
#include "tests/support/raw_connection.h"
#include "tests/support/server_process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_certificates.h"
#include "tests/support/test_client.h"

namespace authurl::testing {
namespace {

constexpr int kHeld = kSanitized ? 600 : 6000;
constexpr int kFreshCalls = 76;

bool HasIpv6() {
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool bound =
      fd >= 0 && bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return bound;
}

class HandshakeFloodTest : public ::testing::Test {
 protected:
  void Start(ServerProcess::Flags flags = {}, int max_open_files = 0) {
    flags.push_back(
        absl::StrCat("--tls_cert_file=", folder_.dir().Write("cert.pem", server_.certificate)));
    flags.push_back(absl::StrCat("--tls_key_file=", folder_.dir().Write("key.pem", server_.key)));
    flags.push_back(absl::StrCat("--tls_client_ca_file=",
                                 folder_.dir().Write("ca.pem", authority_.certificate())));
    ASSERT_OK_AND_ASSIGN(process_, ServerProcess::Start(folder_, flags, max_open_files));
  }

  TestClient Client() const {
    return TestClient(NewTlsChannel(process_->address(), authority_.certificate(), &client_),
                      folder_.admin_key())
        .WithTimeout(kSanitized ? kPatience : absl::Seconds(2));
  }

  // While that flood goes on, calls over new connections succeed, one that was open before stays
  // open, and the server stays small.
  void ExpectNoHarmBy(const std::string& says, const std::string& source) {
    const TestClient open_before = Client();
    ASSERT_OK(open_before.ListOrganizations());
    int succeeded = 0;
    int64_t largest = 0;
    {
      const Flood flood(process_->address(), kHeld, says, source);
      // As many as can be held, and so many again.
      ASSERT_TRUE(Eventually([&] { return flood.opened() > kHeld; }));
      for (int i = 0; i < kFreshCalls; ++i) {
        if (Client().ListOrganizations().ok()) ++succeeded;
        largest = std::max(largest, process_->ResidentBytes());
      }
      EXPECT_OK(open_before.ListOrganizations());
    }
    EXPECT_GE(succeeded, kFreshCalls - 2);
    std::cout << "fresh calls: " << succeeded << " of " << kFreshCalls
              << ", largest: " << largest / kMiB << " MiB\n";
    if (kSanitized) return;
    EXPECT_LE(largest, 150 * kMiB);
    const absl::Time end = absl::Now();
    EXPECT_TRUE(
        Eventually([&] { return process_->ResidentBytes() <= 80 * kMiB; }, absl::Minutes(1)));
    std::cout << "afterwards: " << process_->ResidentBytes() / kMiB << " MiB after "
              << absl::FormatDuration(absl::Now() - end) << "\n";
  }

  const ServerFolder folder_;
  const CertificateAuthority authority_{"CA"};
  const Certificate server_ = authority_.IssueServer();
  const Certificate client_ = authority_.IssueClient();
  std::unique_ptr<ServerProcess> process_;
};

TEST_F(HandshakeFloodTest, SilentConnectionsKeepNobodyOut) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ExpectNoHarmBy("", "127.0.0.1");
  EXPECT_EQ(*process_->Stop(), 0);
}

TEST_F(HandshakeFloodTest, HalfHellosKeepNobodyOut) {
  ASSERT_NO_FATAL_FAILURE(Start());
  // The first says how long it is; of the second, half is there.
  ExpectNoHarmBy(std::string("\x16\x03\x01\x00\x04\x01\x02\x01\x44", 9), "127.0.0.1");
  const std::string hello = TlsClientHello();
  ExpectNoHarmBy(hello.substr(0, hello.size() / 2), "127.0.0.1");
  EXPECT_EQ(*process_->Stop(), 0);
}

TEST_F(HandshakeFloodTest, WholeHellosOfAnotherAddressKeepNobodyOut) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ExpectNoHarmBy(TlsClientHello(), "127.0.0.2");
  EXPECT_EQ(*process_->Stop(), 0);
}

TEST_F(HandshakeFloodTest, FinishedConnectionsOutliveTheHandshakeTimeoutAndAFullBudget) {
  ASSERT_NO_FATAL_FAILURE(Start({"--handshake_timeout=500ms", "--max_handshakes=1"}));
  const auto channel = NewTlsChannel(process_->address(), authority_.certificate(), &client_);
  // Connected, and no call was made.
  ASSERT_TRUE(channel->WaitForConnected(absl::ToChronoTime(absl::Now() + kPatience)));
  absl::SleepFor(absl::Seconds(1));
  const std::string hello = TlsClientHello();
  std::vector<RawConnection> strangers;
  for (int i = 0; i < 10; ++i) {
    strangers.emplace_back(process_->address());
    EXPECT_TRUE(strangers.back().Send(hello));
  }
  // The budget is one: whoever comes later takes the place of the one before.
  for (const RawConnection& stranger : strangers) {
    EXPECT_TRUE(stranger.WaitUntilClosed(kPatience));
  }
  EXPECT_EQ(channel->GetState(false), GRPC_CHANNEL_READY);
  EXPECT_OK(TestClient(channel, folder_.admin_key()).ListOrganizations());
  EXPECT_EQ(*process_->Stop(), 0);
}

TEST_F(HandshakeFloodTest, FinishedConnectionsOverIpv6OutliveTheHandshakeTimeout) {
  if (!HasIpv6()) GTEST_SKIP() << "this machine has no IPv6";
  ASSERT_NO_FATAL_FAILURE(Start({"--handshake_timeout=500ms", "--listen=[::1]:0"}));
  const auto channel = NewTlsChannel(process_->address(), authority_.certificate(), &client_);
  ASSERT_TRUE(channel->WaitForConnected(absl::ToChronoTime(absl::Now() + kPatience)));
  absl::SleepFor(absl::Seconds(1));
  EXPECT_EQ(channel->GetState(false), GRPC_CHANNEL_READY);
  EXPECT_OK(TestClient(channel, folder_.admin_key()).ListOrganizations());
  EXPECT_EQ(*process_->Stop(), 0);
}

TEST_F(HandshakeFloodTest, WhoSaysHelloAndNoMoreIsClosedInTime) {
  ASSERT_NO_FATAL_FAILURE(Start({"--handshake_timeout=500ms"}));
  const std::string hello = TlsClientHello();
  for (const std::string& says : {std::string(), hello.substr(0, 100), hello}) {
    const RawConnection stranger(process_->address());
    EXPECT_TRUE(stranger.Send(says));
    const absl::Time begin = absl::Now();
    EXPECT_TRUE(stranger.WaitUntilClosed(kPatience));
    EXPECT_GE(absl::Now() - begin, absl::Milliseconds(400)) << says.size();
  }
  EXPECT_EQ(*process_->Stop(), 0);
}

TEST_F(HandshakeFloodTest, OldestIsDroppedAndTheLogSaysSo) {
  ASSERT_NO_FATAL_FAILURE(Start({"--handshake_timeout=1m", "--max_handshakes=4"}));
  std::vector<RawConnection> strangers;
  for (int i = 0; i < 5; ++i) strangers.emplace_back(process_->address());
  EXPECT_TRUE(strangers.front().WaitUntilClosed(kPatience));
  EXPECT_FALSE(strangers[1].WaitUntilClosed(absl::Milliseconds(200)));
  EXPECT_TRUE(Eventually(
      [&] { return absl::StrContains(process_->Log(), "\"event\":\"too_many_handshakes\""); }));
  EXPECT_EQ(*process_->Stop(), 0);
}

TEST_F(HandshakeFloodTest, AddressThatHoldsMostLosesItsOwn) {
  ASSERT_NO_FATAL_FAILURE(Start({"--handshake_timeout=1m", "--max_handshakes=4"}));
  const RawConnection slow(process_->address());
  const Flood flood(process_->address(), 20, "", "127.0.0.2");
  ASSERT_TRUE(Eventually([&] { return flood.opened() > 100; }));
  EXPECT_FALSE(slow.WaitUntilClosed(absl::Milliseconds(200)));
  EXPECT_EQ(*process_->Stop(), 0);
}

}  // namespace
}  // namespace authurl::testing
