// The parts, from below, a file each: curl_handles, libcurl's memory and handles; curl_destination,
// which reads URLs, and destination_rules, where they may lead; request_check, what of a request
// can be sent; curl_transfer, one call and what libcurl asks about it; curl_setup and curl_failure,
// its beginning and its end; curl_mailbox, by which others reach the thread of a pool; curl_pool,
// the thread.
#include "server/outbound/curl_client.h"

#include <curl/curl.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/observe/log.h"
#include "server/outbound/curl_destination.h"
#include "server/outbound/curl_handles.h"
#include "server/outbound/curl_pool.h"

namespace authurl {
namespace {

struct SslContextDeleter {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

// Whoever delivers sees to it that each organisation has its share and that one which fails is left
// alone. Many have theirs at the same host.
OutboundOptions OptionsForReceivers(OutboundOptions options) {
  options.max_calls_per_host = options.max_calls;
  options.max_calls_per_organization = options.max_calls;
  options.breaker.failures_to_open = std::numeric_limits<int>::max();
  return options;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CurlClient>> CurlClient::Start(const Options& options,
                                                              OutboundMetrics& metrics) {
  if (!InitCurl()) return absl::InternalError("libcurl does not work on this machine");
  if (!options.proxy.empty() && !ReadProxy(options.proxy).has_value()) {
    return absl::InvalidArgumentError("--outbound_proxy is not http://host:port");
  }
  if (!options.ca_file.empty()) {
    const std::unique_ptr<SSL_CTX, SslContextDeleter> tls(SSL_CTX_new(TLS_client_method()));
    if (tls == nullptr || SSL_CTX_load_verify_file(tls.get(), options.ca_file.c_str()) != 1) {
      return absl::InvalidArgumentError(absl::StrCat("--outbound_ca_file ", options.ca_file,
                                                     " is no PEM file with certificates that can "
                                                     "be read"));
    }
  }
  const char* const authorities = curl_version_info(CURLVERSION_NOW)->cainfo;
  if (options.ca_file.empty() && (authorities == nullptr || access(authorities, R_OK) != 0)) {
    Log(LogLevel::kWarning, "no_authorities",
        {{"file", authorities == nullptr ? "" : authorities},
         {"message",
          "no certificate of a network can be verified, so none can be asked: install "
          "ca-certificates, or name a file with --outbound_ca_file"}});
  }
  std::unique_ptr<CurlClient> client(new CurlClient(options, metrics));
  for (CurlPool* pool :
       {client->catalog_.get(), client->strangers_.get(), client->receivers_.get()}) {
    if (pool->Start()) continue;
    return absl::ResourceExhaustedError("libcurl has no memory, or no file descriptor");
  }
  return client;
}

CurlClient::CurlClient(const Options& options, OutboundMetrics& metrics)
    : catalog_(std::make_unique<CurlPool>(HostTrust::kCatalog, options, metrics)),
      strangers_(std::make_unique<CurlPool>(HostTrust::kStranger, options, metrics)),
      receivers_(std::make_unique<CurlPool>(HostTrust::kReceiver, OptionsForReceivers(options),
                                            metrics)) {}

CurlClient::~CurlClient() = default;

void CurlClient::Send(HttpRequest request, CallTarget target, const CallContext& context,
                      Callback callback) {
  CurlPool& pool = PoolFor(target.trust);
  pool.Send(std::move(request), std::move(target), context, std::move(callback));
}

CurlPool& CurlClient::PoolFor(HostTrust trust) const {
  switch (trust) {
    case HostTrust::kCatalog:
      return *catalog_;
    case HostTrust::kReceiver:
      return *receivers_;
    case HostTrust::kStranger:
      break;
  }
  return *strangers_;
}

void CurlClient::Stop(absl::Time deadline) {
  CurlPool* const pools[] = {catalog_.get(), strangers_.get(), receivers_.get()};
  for (CurlPool* pool : pools) pool->BeginStop(deadline);
  for (CurlPool* pool : pools) pool->WaitUntilStopped();
}

int CurlClient::under_way() const {
  return catalog_->under_way() + strangers_->under_way() + receivers_->under_way();
}

}  // namespace authurl
