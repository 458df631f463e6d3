// address_guard.h: which addresses a URL that strangers wrote may lead to.
//
// Public ones are IPv4 unicast and 2000::/3 without IANA's special-purpose registries (as of
// November 2026). An IPv6 address that stands for an IPv4 address (mapped, or made by NAT64) is
// judged by that one. Addresses at which clouds give machines their credentials are never public,
// nor private.
//
// Pure; safe to call from many threads at once.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace authurl {

enum class AddressKind : uint8_t {
  kPublic,
  kLoopback,  // 127.0.0.0/8, ::1
  kPrivate,   // 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7
  kReserved,  // Everything else, what is no IP address among it.
};

// How a network writes IPv4 addresses as IPv6 ones (RFC 6052). The default is none.
struct Nat64Prefix {
  std::array<uint8_t, 16> bytes = {};
  int bits = 0;  // 32, 40, 48, 56, 64 or 96; 0: there is no such prefix.
};

// "2001:db8:64::/96". InvalidArgumentError that continues a sentence beginning with the flag's
// name.
absl::StatusOr<Nat64Prefix> ParseNat64Prefix(absl::string_view text);

// 64:ff9b::/96 is NAT64's always; `nat64` comes on top of it.
AddressKind JudgeAddress(const sockaddr& address, const Nat64Prefix& nat64 = {});

// The same of an IP address that is written as in a URL, without brackets. Nothing where it is
// none.
std::optional<AddressKind> JudgeAddressText(absl::string_view text);

// The port of an IP address; 0 where it is none.
uint16_t PortOf(const sockaddr& address);

}  // namespace authurl
