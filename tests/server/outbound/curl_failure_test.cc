#include "server/outbound/curl_failure.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "server/outbound/destination_rules.h"

namespace authurl::testing {
namespace {

class CurlFailureTest : public ::testing::Test {
 protected:
  CurlFailureTest() {
    transfer_.rules = &rules_;
    transfer_.to.is_https = true;
    transfer_.to.port = 443;
  }

  // As libcurl does with each of a host's addresses.
  void Try(int family, uint32_t address = 0) {
    curl_sockaddr to = {};
    to.family = family;
    to.socktype = SOCK_STREAM;
    sockaddr_in v4 = {};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(443);
    v4.sin_addr.s_addr = htonl(address);
    static_assert(sizeof(v4) <= sizeof(to.addr));
    to.addrlen = sizeof(v4);
    memcpy(&to.addr, &v4, sizeof(v4));
    const curl_socket_t fd = CurlTransfer::OpenSocket(&transfer_, CURLSOCKTYPE_IPCXN, &to);
    if (fd != CURL_SOCKET_BAD) close(fd);
  }
  CallFailure Failure() const { return FailureOf(transfer_, CURLE_COULDNT_CONNECT); }

  static constexpr uint32_t kPublic = 0x08080808;
  static constexpr uint32_t kPrivate = 0x0a000001;

  const OutboundOptions options_;
  const DestinationRules rules_{HostTrust::kStranger, options_};
  CurlTransfer transfer_;
};

TEST_F(CurlFailureTest, AHostWithoutAnAddressThatMayBeConnectedToIsNotAllowed) {
  Try(AF_INET, kPrivate);
  EXPECT_EQ(Failure(), CallFailure::kNotAllowed);
}

// Else nothing would count against a host that is down and names a private address, too.
TEST_F(CurlFailureTest, WhereOneAddressWasTriedItsFailureCounts) {
  Try(AF_INET, kPrivate);
  Try(AF_INET, kPublic);
  EXPECT_EQ(Failure(), CallFailure::kConnect);
  Try(AF_INET, kPrivate);
  EXPECT_EQ(Failure(), CallFailure::kConnect);
}

TEST_F(CurlFailureTest, AFamilyThatThisMachineDoesNotHaveIsNobodysFault) {
  Try(AF_MAX, kPublic);
  EXPECT_FALSE(transfer_.has_no_room);
  EXPECT_EQ(Failure(), CallFailure::kConnect);
}

TEST_F(CurlFailureTest, WithoutADescriptorForAnyOfThemItIsOurs) {
  transfer_.has_no_room = true;
  EXPECT_EQ(Failure(), CallFailure::kTooManyCalls);
  Try(AF_MAX, kPublic);
  EXPECT_EQ(Failure(), CallFailure::kTooManyCalls);
  Try(AF_INET, kPublic);
  EXPECT_EQ(Failure(), CallFailure::kConnect);
}

}  // namespace
}  // namespace authurl::testing
