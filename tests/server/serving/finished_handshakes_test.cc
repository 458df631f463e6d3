#include "server/serving/finished_handshakes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace authurl::testing {
namespace {

TEST(FinishedHandshakesTest, PeerIsReadFromTheNameOfASocket) {
  const std::string port("\x12\x67", 2);  // 4711
  EXPECT_EQ(PeerOfSocketName("http2 ipv4:127.0.0.1:4711"), std::string("\x7f\0\0\1", 4) + port);
  const std::string loopback = std::string(15, '\0') + '\1' + port;
  EXPECT_EQ(PeerOfSocketName("http2 ipv6:%5B::1%5D:4711"), loopback);
  EXPECT_EQ(PeerOfSocketName("ipv6:[::1]:4711"), loopback);
  EXPECT_EQ(PeerOfSocketName("http2 ipv6:%5Bfe80::1%25eth0%5D:4711"),
            std::string("\xfe\x80", 2) + std::string(13, '\0') + '\1' + port);
}

TEST(FinishedHandshakesTest, OtherNamesAreNoPeers) {
  for (const char* name :
       {"", "http2", "http2 unix:", "http2 unix:/run/a.sock", "http2 ipv4:", "http2 ipv4:127.0.0.1",
        "http2 ipv4:here:4711", "http2 ipv4:1.2.3.4:x"}) {
    EXPECT_EQ(PeerOfSocketName(name), "") << name;
  }
}

}  // namespace
}  // namespace authurl::testing
