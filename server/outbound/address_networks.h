// address_networks.h: blocks of IP addresses that an operator names.
//
// Pure; safe to call from many threads at once.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace authurl {

// An IPv4 block is kept as one of the IPv6 addresses that stand for them (::ffff:0:0/96).
struct AddressNetwork {
  std::array<uint8_t, 16> start = {};
  int bits = 0;  // Of the 128.
};

// "10.0.0.0/8,fd00:1::/32". InvalidArgumentError that continues a sentence beginning with the
// flag's name.
absl::StatusOr<std::vector<AddressNetwork>> ParseAddressNetworks(absl::string_view list);

// Whether the IP address lies in one of them, however it is written.
bool IsInNetworks(const sockaddr& address, absl::Span<const AddressNetwork> networks);

}  // namespace authurl
