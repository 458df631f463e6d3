#include "server/system/address_block.h"

#include <gtest/gtest.h>

namespace authurl::testing {
namespace {

TEST(AddressBlockTest, Ipv6AddressesOfOneNetworkAreOneAndIpv4AddressesAreNot) {
  EXPECT_EQ(AddressBlock("2001:db8:1:2::1"), AddressBlock("2001:db8:1:2:ffff::9"));
  EXPECT_NE(AddressBlock("2001:db8:1:2::1"), AddressBlock("2001:db8:1:3::1"));
  EXPECT_NE(AddressBlock("192.0.2.1"), AddressBlock("192.0.2.2"));
  // As a socket for both kinds has it.
  EXPECT_EQ(AddressBlock("::ffff:192.0.2.1"), AddressBlock("192.0.2.1"));
  EXPECT_NE(AddressBlock("::ffff:192.0.2.1"), AddressBlock("::ffff:192.0.2.2"));
}

TEST(AddressBlockTest, WhatIsNoAddressStandsForItself) {
  for (const char* text : {"", "unix", "192.0.2.1:80", "[::1]", "fe80::1%eth0"}) {
    EXPECT_EQ(AddressBlock(text), text);
  }
}

}  // namespace
}  // namespace authurl::testing
