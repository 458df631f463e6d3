// curl_destination.h: where a URL leads, as libcurl reads it, so that nothing else is connected to
// than was looked at. For the files curl_* and destination_rules alone.
//
// Safe to call from many threads at once.
#pragma once

#include <optional>
#include <string>

#include "server/outbound/curl_handles.h"

namespace authurl {

struct Destination {
  CurlUrl url;
  std::string host;  // Lower case; without brackets.
  int port = 0;
  bool is_https = true;
  bool is_address = false;       // The host is no name.
  bool is_this_machine = false;  // As the host says it.
};

// Nothing where the URL is none of http or https, or holds what has no place in it.
// REQUIRES: InitCurl().
std::optional<Destination> ReadUrl(const std::string& text);

// "host", "port" of "http://host:port".
struct ProxyAddress {
  std::string host;
  int port = 0;
  bool is_address = false;  // The host is no name.
};
// REQUIRES: InitCurl().
std::optional<ProxyAddress> ReadProxy(const std::string& text);

}  // namespace authurl
