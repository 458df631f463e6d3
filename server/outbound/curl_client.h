// curl_client.h: the HttpClient that asks, by libcurl. curl_client.cc is the only file that knows
// libcurl.
//
// There are two of everything, for the catalog's hosts and for those of strangers: a thread with
// its connections, a resolver, limits, breakers. So a stranger's host costs the others nothing, and
// no connection that was made for one is used for the other.
//
//   Addresses   come from our own resolver; libcurl never looks a name up. Strangers' are judged
//               when they are connected to (address_guard.h). The catalog's hosts may be anywhere:
//               whoever writes the catalog is trusted like the program, has a provider in a private
//               network perhaps, and TLS proves that it is the host that was meant.
//   Security    https only, TLS 1.2 or newer, certificates verified; plain http to loopback only,
//               and with allow_local only. No redirects, cookies, netrc, Alt-Svc, HSTS; no setting
//               of libcurl comes from the environment.
//   Time        connect_timeout for the name, as much for the connection, timeout for it all, and
//               never more than the context has.
//   Sent twice  nothing but GET: where a connection that was used before turns out to be dead,
//               libcurl would send a request again.
//   Secrets     what libcurl frees is wiped, and so are requests and answers.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/outbound/address_guard.h"
#include "server/outbound/circuit_breaker.h"
#include "server/outbound/http_client.h"
#include "server/outbound/outbound_metrics.h"
#include "server/outbound/resolver.h"

namespace authurl {

class CurlClient final : public HttpClient {
 public:
  struct Options {
    std::string version;  // For the User-Agent, which is "authurl/<version>".
    // PEM file of the authorities that are trusted in place of the system's. Empty: the system's.
    std::string ca_file;
    // "http://host:port"; everything goes through it, but for plain http. Empty: none.
    std::string proxy;
    // The proxy lets nobody reach addresses that are not public. Without it, hosts of strangers are
    // refused where there is a proxy: their addresses are not seen here then.
    bool proxy_is_guarded = false;
    Nat64Prefix nat64;
    // Hosts of strangers may be on this machine or in a private network, on any port, and on this
    // machine may be asked by plain http.
    bool allow_local = false;

    // Of each of the two kinds.
    int max_calls = 1024;
    int max_calls_per_host = 256;
    int max_calls_per_organization = 256;
    BreakerOptions breaker;
    absl::Duration connect_timeout = absl::Seconds(3);
    absl::Duration timeout = absl::Seconds(10);

    // For tests alone: no flag sets what follows.
    Resolver::Lookup lookup = LookUpHost;
    // "127.0.0.1:port": what is connected to whatever the URL says. No name is looked up then; TLS,
    // limits, breakers and what addresses are allowed stay as they are.
    std::string connect_to;
  };

  // An error is one sentence for the operator that continues the name of a flag. `metrics` outlives
  // the client.
  static absl::StatusOr<std::unique_ptr<CurlClient>> Start(const Options& options,
                                                           OutboundMetrics& metrics);
  // Stops at once, if Stop() was not called.
  ~CurlClient() override;

  void Send(HttpRequest request, CallTarget target, const CallContext& context,
            Callback callback) override;

  // From now on nothing is begun. What is under way may end by itself until `deadline`, then it is
  // ended. Returns once every callback has returned; not to be called by one. Waits for no network
  // and for no resolver. Idempotent.
  void Stop(absl::Time deadline);

  // Calls under way, of both kinds.
  int under_way() const;

 private:
  class Pool;

  CurlClient(const Options& options, OutboundMetrics& metrics);

  const std::unique_ptr<Pool> catalog_;
  const std::unique_ptr<Pool> strangers_;
};

}  // namespace authurl
