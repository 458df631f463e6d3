#include "server/outbound/curl_setup.h"

#include <curl/curl.h>

#include <cstddef>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/crypto/crypto.h"
#include "core/http_message.h"
#include "server/outbound/curl_destination.h"
#include "server/outbound/curl_handles.h"
#include "server/outbound/http_words.h"

namespace authurl {
namespace {

// Servers close what is idle for longer, and may do it while a request is on its way.
constexpr long kMaxIdleSeconds = 50;
// A host that moves is followed after that.
constexpr long kMaxConnectionSeconds = 600;

// Sets options one after the other, and remembers whether libcurl took them all.
class EasyOptions final {
 public:
  explicit EasyOptions(CURL* easy) : easy_(easy) {}

  template <typename Value>
  EasyOptions& Set(CURLoption option, Value value) {
    good_ = curl_easy_setopt(easy_, option, value) == CURLE_OK && good_;
    return *this;
  }
  bool good() const { return good_; }

 private:
  CURL* const easy_;
  bool good_ = true;
};

}  // namespace

bool SetUpHandle(CurlTransfer& transfer, const HostAddresses& addresses,
                 const OutboundOptions& options) {
  const Destination& to = transfer.to;
  bool good = true;
  if (!addresses.empty()) {
    // "+": forgotten after a minute, or strangers' names would be kept for ever.
    std::string entry = transfer.proxy != nullptr
                            ? absl::StrCat("+", transfer.proxy->host, ":", transfer.proxy->port)
                            : absl::StrCat("+", to.host, ":", to.port);
    for (size_t i = 0; i < addresses.size(); ++i) {
      const bool is_ipv6 = absl::StrContains(addresses[i], ':');
      absl::StrAppend(&entry, i == 0 ? ":" : ",", is_ipv6 ? "[" : "", addresses[i],
                      is_ipv6 ? "]" : "");
    }
    good = AppendTo(transfer.addresses, entry);
  }
  if (!options.connect_to.empty()) {
    good = AppendTo(transfer.connect_to, absl::StrCat("::", options.connect_to)) && good;
  }
  // Neither "Expect: 100-continue" nor a form's type for what is none.
  good = AppendTo(transfer.headers, "Expect:") && good;
  bool has_type = false;
  for (const HttpHeader& header : transfer.request.headers) {
    if (absl::EqualsIgnoreCase(header.name, "Accept-Encoding")) continue;
    has_type = has_type || absl::EqualsIgnoreCase(header.name, "Content-Type");
    // libcurl's way to write a header without a value.
    std::string line = header.value.empty() ? absl::StrCat(header.name, ";")
                                            : absl::StrCat(header.name, ": ", header.value);
    good = AppendTo(transfer.headers, line) && good;
    Wipe(line);
  }
  if (!has_type) good = AppendTo(transfer.headers, "Content-Type:") && good;

  transfer.easy.reset(curl_easy_init());
  if (transfer.easy == nullptr || !good) return false;
  const HttpRequest& request = transfer.request;
  const std::string user_agent = absl::StrCat("authurl/", options.version);
  EasyOptions easy(transfer.easy.get());
  easy.Set(CURLOPT_PRIVATE, &transfer)
      .Set(CURLOPT_NOSIGNAL, 1L)
      // What is asked.
      .Set(CURLOPT_CURLU, to.url.get())
      .Set(CURLOPT_PROTOCOLS_STR, to.is_https ? "https" : "http")
      .Set(CURLOPT_FOLLOWLOCATION, 0L)
      .Set(CURLOPT_HTTPHEADER, transfer.headers.get())
      .Set(CURLOPT_USERAGENT, user_agent.c_str())
      .Set(CURLOPT_ACCEPT_ENCODING, transfer.is_body_wanted() ? "gzip, deflate" : nullptr)
      .Set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS))
      // Whom. The empty texts keep libcurl from reading the environment.
      .Set(CURLOPT_PROXY, transfer.proxy != nullptr ? options.proxy.c_str() : "")
      .Set(CURLOPT_NOPROXY, "")
      .Set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L)
      .Set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED))
      .Set(CURLOPT_RESOLVE, transfer.addresses.get())
      .Set(CURLOPT_CONNECT_TO, transfer.connect_to.get())
      .Set(CURLOPT_RESOLVER_START_FUNCTION, &CurlTransfer::StartResolver)
      .Set(CURLOPT_RESOLVER_START_DATA, &transfer)
      .Set(CURLOPT_OPENSOCKETFUNCTION, &CurlTransfer::OpenSocket)
      .Set(CURLOPT_OPENSOCKETDATA, &transfer)
      .Set(CURLOPT_MAXAGE_CONN, kMaxIdleSeconds)
      .Set(CURLOPT_MAXLIFETIME_CONN, kMaxConnectionSeconds)
      // Whether it is them. One file, which libcurl keeps in memory as long as there is no folder.
      .Set(CURLOPT_SSL_VERIFYPEER, 1L)
      .Set(CURLOPT_SSL_VERIFYHOST, 2L)
      .Set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2))
      .Set(CURLOPT_CAPATH, static_cast<const char*>(nullptr))
      .Set(CURLOPT_SSL_CTX_FUNCTION, &CurlTransfer::ConfigureTls)
      // For how long, and how much.
      .Set(CURLOPT_CONNECTTIMEOUT_MS, ToMilliseconds(options.connect_timeout))
      .Set(CURLOPT_TIMEOUT_MS, ToMilliseconds(transfer.ends_at - absl::Now()))
      .Set(CURLOPT_MAXFILESIZE_LARGE,
           static_cast<curl_off_t>(transfer.is_body_wanted() ? CurlTransfer::kMaxBodyBytes : 0))
      .Set(CURLOPT_PREREQFUNCTION, &CurlTransfer::BeforeSending)
      .Set(CURLOPT_PREREQDATA, &transfer)
      .Set(CURLOPT_HEADERFUNCTION, &CurlTransfer::TakeHeader)
      .Set(CURLOPT_HEADERDATA, &transfer)
      .Set(CURLOPT_WRITEFUNCTION, &CurlTransfer::TakeBody)
      .Set(CURLOPT_WRITEDATA, &transfer);
  if (!options.ca_file.empty()) easy.Set(CURLOPT_CAINFO, options.ca_file.c_str());
  if (!request.body.empty() || request.method == "POST") {
    // Not copied.
    easy.Set(CURLOPT_POSTFIELDS, request.body.data())
        .Set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  }
  if (request.method == "HEAD") easy.Set(CURLOPT_NOBODY, 1L);
  if (!IsAnyOf(request.method, {"GET", "HEAD", "POST"})) {
    easy.Set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  return easy.good();
}

}  // namespace authurl
