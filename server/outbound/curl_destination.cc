#include "server/outbound/curl_destination.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "server/outbound/address_guard.h"

namespace authurl {
namespace {

constexpr size_t kMaxUrlBytes = size_t{64} << 10;

bool IsPrintableAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

// The address that `host` is; without brackets. Its family is 0 where it is a name.
sockaddr_storage AddressIn(const std::string& host) {
  sockaddr_storage storage = {};
  auto& ipv4 = reinterpret_cast<sockaddr_in&>(storage);
  auto& ipv6 = reinterpret_cast<sockaddr_in6&>(storage);
  if (inet_pton(AF_INET, host.c_str(), &ipv4.sin_addr) == 1) {
    ipv4.sin_family = AF_INET;
  } else if (inet_pton(AF_INET6, host.c_str(), &ipv6.sin6_addr) == 1) {
    ipv6.sin6_family = AF_INET6;
  }
  return storage;
}

std::string PartOf(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return "";
  std::string copy(text);
  curl_free(text);
  return copy;
}

}  // namespace

std::optional<Destination> ReadUrl(const std::string& text) {
  // In other characters, libcurl and its libraries would see names that we don't.
  if (text.size() > kMaxUrlBytes || !IsPrintableAscii(text)) return std::nullopt;
  Destination to;
  to.url.reset(curl_url());
  if (to.url == nullptr || curl_url_set(to.url.get(), CURLUPART_URL, text.c_str(),
                                        CURLU_DISALLOW_USER | CURLU_PATH_AS_IS) != CURLUE_OK) {
    return std::nullopt;
  }
  const std::string scheme = PartOf(to.url.get(), CURLUPART_SCHEME);
  to.is_https = scheme == "https";
  if (!to.is_https && scheme != "http") return std::nullopt;
  if (!PartOf(to.url.get(), CURLUPART_ZONEID).empty()) return std::nullopt;
  to.host = absl::AsciiStrToLower(PartOf(to.url.get(), CURLUPART_HOST));
  if (absl::StartsWith(to.host, "[") && absl::EndsWith(to.host, "]")) {
    to.host = to.host.substr(1, to.host.size() - 2);
  }
  if (!absl::SimpleAtoi(PartOf(to.url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT), &to.port)) {
    return std::nullopt;
  }
  const sockaddr_storage address = AddressIn(to.host);
  to.is_address = address.ss_family != 0;
  if (to.is_address) {
    to.is_this_machine =
        JudgeAddress(reinterpret_cast<const sockaddr&>(address)) == AddressKind::kLoopback;
    return to;
  }
  to.is_this_machine = to.host == "localhost" || absl::EndsWith(to.host, ".localhost");
  const bool is_name = !to.host.empty() && to.host.size() <= 253 && to.host.front() != '.' &&
                       to.host.back() != '.' &&
                       std::all_of(to.host.begin(), to.host.end(), [](unsigned char c) {
                         return absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_';
                       });
  if (!is_name) return std::nullopt;
  return to;
}

std::optional<ProxyAddress> ReadProxy(const std::string& text) {
  const std::optional<Destination> to = ReadUrl(text);
  if (!to.has_value() || to->is_https) return std::nullopt;
  return ProxyAddress{to->host, to->port, to->is_address};
}

}  // namespace authurl
