#include "server/outbound/address_guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace authurl {
namespace {

using Ipv4 = std::array<uint8_t, 4>;
using Ipv6 = std::array<uint8_t, 16>;

struct Ipv4Block {
  Ipv4 start;
  int bits;
};

// The first bytes suffice for all of them.
struct Ipv6Block {
  std::array<uint8_t, 8> start;
  int bits;
};

constexpr Ipv4Block kLoopback4 = {{127, 0, 0, 0}, 8};
constexpr Ipv4Block kPrivate4[] = {
    {{10, 0, 0, 0}, 8}, {{172, 16, 0, 0}, 12}, {{192, 168, 0, 0}, 16}};
// https://www.iana.org/assignments/iana-ipv4-special-registry, but for the above.
constexpr Ipv4Block kReserved4[] = {
    {{0, 0, 0, 0}, 8},         // "this network"; Linux takes 0.0.0.0 for itself
    {{100, 64, 0, 0}, 10},     // carrier-grade NAT; 100.100.100.200 is Alibaba's metadata
    {{169, 254, 0, 0}, 16},    // link-local; 169.254.169.254 is the metadata of most clouds
    {{192, 0, 0, 0}, 24},      // IETF; 192.0.0.192 is Oracle's metadata
    {{192, 0, 2, 0}, 24},      // documentation
    {{192, 31, 196, 0}, 24},   // AS112
    {{192, 52, 193, 0}, 24},   // AMT
    {{192, 88, 99, 0}, 24},    // 6to4 relays
    {{192, 175, 48, 0}, 24},   // AS112
    {{198, 18, 0, 0}, 15},     // benchmarks
    {{198, 51, 100, 0}, 24},   // documentation
    {{203, 0, 113, 0}, 24},    // documentation
    {{224, 0, 0, 0}, 4},       // multicast
    {{240, 0, 0, 0}, 4},       // for later, and broadcast
    {{168, 63, 129, 16}, 32},  // in no registry: Azure's metadata
};

constexpr Ipv6Block kUnicast6 = {{0x20}, 3};
constexpr Ipv6Block kPrivate6 = {{0xfc}, 7};
// https://www.iana.org/assignments/iana-ipv6-special-registry, as far as it is in the two above.
constexpr Ipv6Block kReserved6[] = {
    {{0x20, 0x01, 0x00, 0x00}, 23},              // IETF, with Teredo, ORCHID and benchmarks
    {{0x20, 0x01, 0x0d, 0xb8}, 32},              // documentation
    {{0x20, 0x02}, 16},                          // 6to4
    {{0x26, 0x20, 0x00, 0x4f, 0x80, 0x00}, 48},  // AS112
    {{0x3f, 0xff, 0x00}, 20},                    // documentation
    {{0xfd, 0x00, 0x0e, 0xc2}, 32},              // in no registry: Amazon's metadata
    {{0xfd, 0x20, 0x00, 0xce}, 32},              // in no registry: Google's metadata
};

constexpr Ipv6 kLoopback6 = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
constexpr Ipv6 kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr Nat64Prefix kWellKnownNat64 = {{0x00, 0x64, 0xff, 0x9b}, 96};

bool StartsWithBits(std::span<const uint8_t> bytes, std::span<const uint8_t> start, int bits) {
  const auto whole = static_cast<size_t>(bits / 8);
  const std::span<const uint8_t> whole_bytes = start.first(whole);
  if (!std::equal(whole_bytes.begin(), whole_bytes.end(), bytes.begin())) return false;
  const int rest = bits % 8;
  return rest == 0 || ((bytes[whole] ^ start[whole]) >> (8 - rest)) == 0;
}

template <typename Bytes, typename Block>
bool IsIn(const Bytes& bytes, const Block& block) {
  return StartsWithBits(bytes, block.start, block.bits);
}

template <typename Bytes, typename Block, size_t kSize>
bool IsInAny(const Bytes& bytes, const Block (&blocks)[kSize]) {
  return std::any_of(std::begin(blocks), std::end(blocks),
                     [&](const Block& block) { return IsIn(bytes, block); });
}

AddressKind JudgeIpv4(const Ipv4& address) {
  if (IsIn(address, kLoopback4)) return AddressKind::kLoopback;
  if (IsInAny(address, kPrivate4)) return AddressKind::kPrivate;
  return IsInAny(address, kReserved4) ? AddressKind::kReserved : AddressKind::kPublic;
}

// The IPv4 address that a network with this prefix means (RFC 6052 section 2.2).
std::optional<Ipv4> TranslatedBy(const Nat64Prefix& prefix, const Ipv6& address) {
  if (prefix.bits == 0 || !StartsWithBits(address, prefix.bytes, prefix.bits)) return std::nullopt;
  Ipv4 ipv4 = {};
  auto from = static_cast<size_t>(prefix.bits / 8);
  for (uint8_t& byte : ipv4) {
    if (from == 8) ++from;  // Always zero.
    byte = address[from++];
  }
  return ipv4;
}

AddressKind JudgeTranslated(const Ipv4& address) {
  const AddressKind kind = JudgeIpv4(address);
  // Not this machine's loopback but the translator's.
  return kind == AddressKind::kLoopback ? AddressKind::kReserved : kind;
}

AddressKind JudgeIpv6(const Ipv6& address, const Nat64Prefix& nat64) {
  if (address == kLoopback6) return AddressKind::kLoopback;
  if (StartsWithBits(address, kMapped, 96)) {
    return JudgeIpv4({address[12], address[13], address[14], address[15]});
  }
  for (const Nat64Prefix& prefix : {kWellKnownNat64, nat64}) {
    if (const auto ipv4 = TranslatedBy(prefix, address)) return JudgeTranslated(*ipv4);
  }
  if (IsInAny(address, kReserved6)) return AddressKind::kReserved;
  if (IsIn(address, kPrivate6)) return AddressKind::kPrivate;
  return IsIn(address, kUnicast6) ? AddressKind::kPublic : AddressKind::kReserved;
}

// The address may lie anywhere.
template <typename Address>
Address CopyOf(const sockaddr& address) {
  Address copy;
  std::memcpy(&copy, &address, sizeof(copy));
  return copy;
}

}  // namespace

absl::StatusOr<Nat64Prefix> ParseNat64Prefix(absl::string_view text) {
  const size_t slash = text.find('/');
  Nat64Prefix prefix;
  const std::string start(text.substr(0, slash));
  if (slash == absl::string_view::npos ||
      inet_pton(AF_INET6, start.c_str(), prefix.bytes.data()) != 1 ||
      !std::all_of(text.begin() + slash + 1, text.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(text.substr(slash + 1), &prefix.bits)) {
    return absl::InvalidArgumentError("is not an IPv6 prefix such as 2001:db8:64::/96");
  }
  constexpr int kLengths[] = {32, 40, 48, 56, 64, 96};
  if (std::find(std::begin(kLengths), std::end(kLengths), prefix.bits) == std::end(kLengths)) {
    return absl::InvalidArgumentError(absl::StrCat("is a prefix of ", prefix.bits,
                                                   " bits; RFC 6052 has 32, 40, 48, 56, 64 and "
                                                   "96"));
  }
  if (std::any_of(prefix.bytes.begin() + prefix.bits / 8, prefix.bytes.end(),
                  [](uint8_t byte) { return byte != 0; })) {
    return absl::InvalidArgumentError("must have zeros only behind the prefix");
  }
  return prefix;
}

AddressKind JudgeAddress(const sockaddr& address, const Nat64Prefix& nat64) {
  if (address.sa_family == AF_INET) {
    Ipv4 bytes;
    const auto ipv4 = CopyOf<sockaddr_in>(address);
    std::memcpy(bytes.data(), &ipv4.sin_addr, bytes.size());
    return JudgeIpv4(bytes);
  }
  if (address.sa_family == AF_INET6) {
    Ipv6 bytes;
    const auto ipv6 = CopyOf<sockaddr_in6>(address);
    std::memcpy(bytes.data(), &ipv6.sin6_addr, bytes.size());
    return JudgeIpv6(bytes, nat64);
  }
  return AddressKind::kReserved;
}

std::optional<AddressKind> JudgeAddressText(absl::string_view text) {
  const std::string address(text);
  Ipv4 ipv4;
  if (inet_pton(AF_INET, address.c_str(), ipv4.data()) == 1) return JudgeIpv4(ipv4);
  Ipv6 ipv6;
  if (inet_pton(AF_INET6, address.c_str(), ipv6.data()) == 1) return JudgeIpv6(ipv6, {});
  return std::nullopt;
}

uint16_t PortOf(const sockaddr& address) {
  if (address.sa_family == AF_INET) return ntohs(CopyOf<sockaddr_in>(address).sin_port);
  if (address.sa_family == AF_INET6) return ntohs(CopyOf<sockaddr_in6>(address).sin6_port);
  return 0;
}

}  // namespace authurl
