// address_block.h: whose an IP address is, as far as limits by address go.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace authurl {

// Of an IPv6 address its first 64 bits, because whoever has one has all of those (RFC 6177 section
// 2); an IPv4 address, and one that is written as IPv6 (RFC 4291 section 2.5.5.2), as it is. What
// is no IP address stands for itself. Bytes, not to be shown. Safe to call from many threads at
// once.
std::string AddressBlock(absl::string_view address);

}  // namespace authurl
