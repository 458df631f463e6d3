#include "server/outbound/address_networks.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <string>

#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

bool Contains(const std::string& networks, const std::string& text) {
  sockaddr_storage storage = {};
  auto& ipv4 = reinterpret_cast<sockaddr_in&>(storage);
  auto& ipv6 = reinterpret_cast<sockaddr_in6&>(storage);
  if (inet_pton(AF_INET, text.c_str(), &ipv4.sin_addr) == 1) {
    ipv4.sin_family = AF_INET;
  } else {
    EXPECT_EQ(inet_pton(AF_INET6, text.c_str(), &ipv6.sin6_addr), 1) << text;
    ipv6.sin6_family = AF_INET6;
  }
  const auto parsed = ParseAddressNetworks(networks);
  EXPECT_OK(parsed);
  return parsed.ok() && IsInNetworks(reinterpret_cast<const sockaddr&>(storage), *parsed);
}

TEST(AddressNetworksTest, HoldsWhatIsInThemUpToTheLastBit) {
  const std::string networks = "10.64.0.0/10,192.168.7.7/32,fd00:1::/33";
  for (const char* address : {"10.64.0.0", "10.127.255.255", "192.168.7.7",
                              "fd00:1::", "fd00:1:7fff:ffff::1", "::ffff:10.64.0.1"}) {
    EXPECT_TRUE(Contains(networks, address)) << address;
  }
  for (const char* address : {"10.63.255.255", "10.128.0.0", "192.168.7.6", "192.168.7.8",
                              "fd00:1:8000::", "fd00:2::", "::10.64.0.1", "64:ff9b::a40:1"}) {
    EXPECT_FALSE(Contains(networks, address)) << address;
  }
  EXPECT_TRUE(Contains("0.0.0.0/0", "203.0.113.9"));
  EXPECT_FALSE(Contains("0.0.0.0/0", "2001:db8::1"));
  EXPECT_TRUE(Contains("::/0", "203.0.113.9"));
  EXPECT_FALSE(Contains("", "203.0.113.9"));
}

TEST(AddressNetworksTest, AnotherKindOfAddressIsInNone) {
  sockaddr unix_socket = {};
  unix_socket.sa_family = AF_UNIX;
  EXPECT_FALSE(IsInNetworks(unix_socket, ParseAddressNetworks("::/0").value()));
}

TEST(AddressNetworksTest, WhatIsNoBlockIsRefused) {
  ASSERT_OK_AND_ASSIGN(const auto none, ParseAddressNetworks(""));
  EXPECT_THAT(none, IsEmpty());
  for (const char* text :
       {"10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8,",
        ",10.0.0.0/8", "10.0.0.0/8, fd00::/8", "fd00::/129", "10.0.0/8", "x/8", "/8", "*"}) {
    EXPECT_THAT(ParseAddressNetworks(text).status().message(),
                HasSubstr("is not a block of addresses"))
        << text;
  }
  for (const char* text : {"10.0.0.1/8", "10.64.0.0/9", "fd00::1/64"}) {
    EXPECT_THAT(ParseAddressNetworks(text).status().message(),
                HasSubstr("does not begin with the first address"))
        << text;
  }
}

}  // namespace
}  // namespace authurl::testing
