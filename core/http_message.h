// http_message.h: requests to networks and their answers, as values. What sends them is not here.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/crypto/crypto.h"

namespace authurl {

struct HttpHeader {
  std::string name;
  std::string value;
};

// Holds secrets: wiped at its end.
struct HttpRequest {
  std::string method;  // "GET", "POST", "DELETE"
  std::string url;     // May have secrets in its query: never log it.
  std::vector<HttpHeader> headers;
  std::string body;

  HttpRequest() = default;
  HttpRequest(HttpRequest&&) = default;
  // What it held is wiped when `other` ends.
  HttpRequest& operator=(HttpRequest&& other) noexcept {
    method.swap(other.method);
    url.swap(other.url);
    headers.swap(other.headers);
    body.swap(other.body);
    return *this;
  }
  HttpRequest(const HttpRequest&) = delete;
  HttpRequest& operator=(const HttpRequest&) = delete;
  ~HttpRequest() {
    Wipe(url);
    Wipe(body);
    for (HttpHeader& header : headers) Wipe(header.value);
  }
};

// What came back. Views: the body may hold secrets and belongs to whoever wipes it.
struct HttpResponse {
  int status = 0;
  absl::string_view body;
};

}  // namespace authurl
