#include "server/outbound/address_guard.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <string>

#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::HasSubstr;

AddressKind Judge(const std::string& text, const Nat64Prefix& nat64 = {}) {
  sockaddr_storage storage = {};
  auto& ipv4 = reinterpret_cast<sockaddr_in&>(storage);
  auto& ipv6 = reinterpret_cast<sockaddr_in6&>(storage);
  if (inet_pton(AF_INET, text.c_str(), &ipv4.sin_addr) == 1) {
    ipv4.sin_family = AF_INET;
  } else {
    EXPECT_EQ(inet_pton(AF_INET6, text.c_str(), &ipv6.sin6_addr), 1) << text;
    ipv6.sin6_family = AF_INET6;
  }
  const AddressKind kind = JudgeAddress(reinterpret_cast<const sockaddr&>(storage), nat64);
  if (nat64.bits == 0) {
    EXPECT_EQ(JudgeAddressText(text), kind) << text;
  }
  return kind;
}

void ExpectAll(AddressKind kind, std::initializer_list<const char*> texts) {
  for (const char* text : texts) EXPECT_EQ(Judge(text), kind) << text;
}

TEST(AddressGuardTest, OrdinaryAddressesArePublic) {
  ExpectAll(AddressKind::kPublic, {"1.1.1.1",
                                   "8.8.8.8",
                                   "9.255.255.255",
                                   "11.0.0.0",
                                   "93.184.216.34",
                                   "100.63.255.255",
                                   "100.128.0.0",
                                   "126.255.255.255",
                                   "128.0.0.0",
                                   "168.63.129.15",
                                   "168.63.129.17",
                                   "169.253.255.255",
                                   "169.255.0.0",
                                   "172.15.255.255",
                                   "172.32.0.0",
                                   "191.255.255.255",
                                   "192.0.1.0",
                                   "192.0.3.0",
                                   "192.88.98.255",
                                   "192.88.100.0",
                                   "192.167.255.255",
                                   "192.169.0.0",
                                   "198.17.255.255",
                                   "198.20.0.0",
                                   "198.51.99.255",
                                   "198.51.101.0",
                                   "203.0.112.255",
                                   "203.0.114.0",
                                   "223.255.255.255",
                                   "2000::1",
                                   "2001:200::1",
                                   "2001:db7:ffff::1",
                                   "2001:db9::1",
                                   "2003::1",
                                   "2606:4700:4700::1111",
                                   "2620:4f:7fff::1",
                                   "2a00:1450:4001:81b::200e",
                                   "3ffe:ffff::1",
                                   "3fff:1000::1"});
}

TEST(AddressGuardTest, LoopbackAndPrivateUseAreToldApart) {
  ExpectAll(AddressKind::kLoopback, {"127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"});
  ExpectAll(AddressKind::kPrivate,
            {"10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0",
             "192.168.255.255", "fc00::1", "fd00::1", "fdff:ffff::1", "::ffff:10.0.0.1"});
}

TEST(AddressGuardTest, SpecialPurposeRegistriesAreReserved) {
  ExpectAll(
      AddressKind::kReserved,
      {"0.0.0.0",        "0.255.255.255",  "100.64.0.0",  "100.127.255.255", "169.254.0.1",
       "192.0.0.0",      "192.0.0.9",      "192.0.0.170", "192.0.2.1",       "192.31.196.1",
       "192.52.193.1",   "192.88.99.1",    "192.88.99.2", "192.175.48.1",    "198.18.0.0",
       "198.19.255.255", "198.51.100.1",   "203.0.113.1", "224.0.0.1",       "239.255.255.255",
       "240.0.0.1",      "255.255.255.255"});
  ExpectAll(AddressKind::kReserved,
            {"::",          "::2",          "::7f00:1",        "1::1",
             "100::1",      "100:0:0:1::1", "1fff::1",         "2001::1",
             "2001:1::1",   "2001:2::1",    "2001:3::1",       "2001:4:112::1",
             "2001:10::1",  "2001:20::1",   "2001:30::1",      "2001:1ff:ffff::1",
             "2001:db8::1", "2002::1",      "2002:808:808::1", "2620:4f:8000::1",
             "3fff::1",     "3fff:fff::1",  "4000::1",         "5f00::1",
             "fe80::1",     "febf::1",      "fec0::1",         "ff02::1",
             "fbff::1"});
}

TEST(AddressGuardTest, MetadataOfCloudsIsReservedWhereverItLies) {
  ExpectAll(AddressKind::kReserved,
            {"169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254",
             "fd20:ce::254", "::ffff:169.254.169.254", "::ffff:168.63.129.16", "64:ff9b::a9fe:a9fe",
             "64:ff9b::a83f:8110"});
}

TEST(AddressGuardTest, TranslatedAddressesAreJudgedByTheEmbeddedOne) {
  ExpectAll(AddressKind::kPublic, {"64:ff9b::8.8.8.8", "::ffff:8.8.8.8"});
  ExpectAll(AddressKind::kPrivate, {"64:ff9b::10.0.0.1"});
  // The loopback of the translator.
  ExpectAll(AddressKind::kReserved, {"64:ff9b::127.0.0.1", "64:ff9b:1::8.8.8.8",
                                     "64:ff9b:0:1::8.8.8.8", "::8.8.8.8", "::fffe:8.8.8.8"});
}

TEST(AddressGuardTest, PrefixesOfEveryLengthAreRead) {
  // RFC 6052 section 2.4, with an address that is not public in place of its 192.0.2.33.
  const struct {
    const char* prefix;
    const char* reserved;  // 192.0.2.33
    const char* open;      // 8.8.4.4
  } table[] = {
      {"2a00:db8::/32", "2a00:db8:c000:221::", "2a00:db8:808:404::"},
      {"2a00:db8:100::/40", "2a00:db8:1c0:2:21::", "2a00:db8:108:804:4::"},
      {"2a00:db8:122::/48", "2a00:db8:122:c000:2:2100::", "2a00:db8:122:808:4:400::"},
      {"2a00:db8:122:300::/56", "2a00:db8:122:3c0:0:221::", "2a00:db8:122:308:8:404::"},
      {"2a00:db8:122:344::/64", "2a00:db8:122:344:c0:2:2100::", "2a00:db8:122:344:8:804:400::"},
      {"2a00:db8:122:344::/96", "2a00:db8:122:344::192.0.2.33", "2a00:db8:122:344::8.8.4.4"},
  };
  for (const auto& [text, reserved, open] : table) {
    ASSERT_OK_AND_ASSIGN(const Nat64Prefix prefix, ParseNat64Prefix(text));
    EXPECT_EQ(Judge(reserved, prefix), AddressKind::kReserved) << text;
    EXPECT_EQ(Judge(open, prefix), AddressKind::kPublic) << text;
    EXPECT_EQ(Judge(reserved), AddressKind::kPublic) << "without the prefix it is one like others";
    EXPECT_EQ(Judge("2a01::1", prefix), AddressKind::kPublic);
    EXPECT_EQ(Judge("64:ff9b::10.0.0.1", prefix), AddressKind::kPrivate);
  }
  // Also where the whole prefix is of private use.
  ASSERT_OK_AND_ASSIGN(const Nat64Prefix prefix, ParseNat64Prefix("fd00:64::/96"));
  EXPECT_EQ(Judge("fd00:64::8.8.8.8", prefix), AddressKind::kPublic);
  EXPECT_EQ(Judge("fd00:64::169.254.169.254", prefix), AddressKind::kReserved);
}

TEST(AddressGuardTest, WhatIsNoPrefixSaysWhy) {
  for (const char* text : {"", "2001:db8::", "/96", "1.2.3.4/32", "2001:db8::/x", "2001:db8::/96 ",
                           "2001:db8::/-32"}) {
    EXPECT_THAT(ParseNat64Prefix(text).status(),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is not an IPv6 prefix")))
        << text;
  }
  for (const char* text : {"2001:db8::/0", "2001:db8::/33", "2001:db8::/128"}) {
    EXPECT_THAT(ParseNat64Prefix(text).status(),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("RFC 6052")))
        << text;
  }
  EXPECT_THAT(ParseNat64Prefix("2001:db8::1/96").status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("zeros")));
}

TEST(AddressGuardTest, WhatIsNoIpAddressIsReserved) {
  sockaddr address = {};
  address.sa_family = AF_UNIX;
  EXPECT_EQ(JudgeAddress(address), AddressKind::kReserved);
  EXPECT_EQ(PortOf(address), 0);
}

}  // namespace
}  // namespace authurl::testing
