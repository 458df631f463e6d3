#include "server/system/address_block.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstddef>

namespace authurl {
namespace {

constexpr size_t kBlockBytes = 8;

std::string BytesOf(const void* address, size_t size) {
  return std::string(static_cast<const char*>(address), size);
}

}  // namespace

std::string AddressBlock(absl::string_view address) {
  const std::string text(address);
  in_addr v4 = {};
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return BytesOf(&v4, sizeof(v4));
  in6_addr v6 = {};
  if (inet_pton(AF_INET6, text.c_str(), &v6) != 1) return text;
  if (IN6_IS_ADDR_V4MAPPED(&v6)) return BytesOf(&v6.s6_addr[12], sizeof(v4));
  return BytesOf(&v6, kBlockBytes);
}

}  // namespace authurl
