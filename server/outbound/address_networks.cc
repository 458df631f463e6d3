#include "server/outbound/address_networks.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/errors.h"

namespace authurl {
namespace {

using AddressBytes = std::array<uint8_t, 16>;

constexpr int kMappedBits = 96;
constexpr size_t kMappedBytes = kMappedBits / 8;

AddressBytes MappedIpv4(const void* ipv4) {
  AddressBytes bytes = {};
  bytes[kMappedBytes - 2] = 0xff;
  bytes[kMappedBytes - 1] = 0xff;
  std::memcpy(&bytes[kMappedBytes], ipv4, 4);
  return bytes;
}

std::optional<AddressBytes> BytesOfAddress(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in ipv4;
    std::memcpy(&ipv4, &address, sizeof(ipv4));
    return MappedIpv4(&ipv4.sin_addr);
  }
  if (address.sa_family != AF_INET6) return std::nullopt;
  sockaddr_in6 ipv6;
  std::memcpy(&ipv6, &address, sizeof(ipv6));
  AddressBytes bytes;
  std::memcpy(bytes.data(), &ipv6.sin6_addr, bytes.size());
  return bytes;
}

bool SharesBits(const AddressBytes& a, const AddressBytes& b, int bits) {
  const auto whole = static_cast<size_t>(bits / 8);
  if (!std::equal(a.begin(), a.begin() + whole, b.begin())) return false;
  const int rest = bits % 8;
  return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

bool HasZerosBehind(const AddressBytes& bytes, int bits) {
  for (int bit = bits; bit < 128; ++bit) {
    if ((bytes[static_cast<size_t>(bit / 8)] & (0x80 >> (bit % 8))) != 0) return false;
  }
  return true;
}

absl::StatusOr<AddressNetwork> ParseAddressNetwork(absl::string_view text) {
  const size_t slash = text.find('/');
  const std::string start(text.substr(0, slash));
  AddressNetwork network;
  in_addr ipv4;
  int shift = 0;
  bool is_address = slash != absl::string_view::npos;
  if (is_address && inet_pton(AF_INET, start.c_str(), &ipv4) == 1) {
    network.start = MappedIpv4(&ipv4);
    shift = kMappedBits;
  } else {
    is_address = is_address && inet_pton(AF_INET6, start.c_str(), network.start.data()) == 1;
  }
  const absl::string_view length = is_address ? text.substr(slash + 1) : "";
  if (!is_address || !std::all_of(length.begin(), length.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(length, &network.bits) || network.bits + shift > 128) {
    return absl::InvalidArgumentError(absl::StrCat(
        "names ", Quoted(text), ", which is not a block of addresses such as 10.0.0.0/8"));
  }
  network.bits += shift;
  if (!HasZerosBehind(network.start, network.bits)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "names ", Quoted(text), ", which does not begin with the first address of its block"));
  }
  return network;
}

}  // namespace

absl::StatusOr<std::vector<AddressNetwork>> ParseAddressNetworks(absl::string_view list) {
  std::vector<AddressNetwork> networks;
  if (list.empty()) return networks;
  for (const absl::string_view text : absl::StrSplit(list, ',')) {
    const absl::StatusOr<AddressNetwork> network = ParseAddressNetwork(text);
    if (!network.ok()) return network.status();
    networks.push_back(*network);
  }
  return networks;
}

bool IsInNetworks(const sockaddr& address, absl::Span<const AddressNetwork> networks) {
  const std::optional<AddressBytes> bytes = BytesOfAddress(address);
  return bytes.has_value() &&
         std::any_of(networks.begin(), networks.end(), [&](const AddressNetwork& network) {
           return SharesBits(*bytes, network.start, network.bits);
         });
}

}  // namespace authurl
