// curl_client.h: the HttpClient that asks, by libcurl. The files curl_* are the only ones that know
// libcurl; but for this one, their headers are for them alone.
//
// There are three of everything, for the catalog's hosts, for those of strangers and for receivers
// of webhooks: a thread with its connections, a resolver, limits, breakers. So a stranger's host
// costs the others nothing, and no connection that was made for one kind is used for another.
// Receivers have no breakers: whoever delivers to them waits by itself, longer for each failure.
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
//   Sent twice  nothing but GET and HEAD: where a connection that was used before turns out to be
//   dead,
//               libcurl would send a request again.
//   Secrets     what libcurl frees is wiped, and so are requests and answers.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/call_context.h"
#include "core/http_message.h"
#include "server/outbound/http_client.h"
#include "server/outbound/outbound_metrics.h"
#include "server/outbound/outbound_options.h"

namespace authurl {

class CurlPool;

class CurlClient final : public HttpClient {
 public:
  using Options = OutboundOptions;

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

  // Calls under way, of all kinds.
  int under_way() const;

 private:
  CurlClient(const Options& options, OutboundMetrics& metrics);
  CurlPool& PoolFor(HostTrust trust) const;

  const std::unique_ptr<CurlPool> catalog_;
  const std::unique_ptr<CurlPool> strangers_;
  const std::unique_ptr<CurlPool> receivers_;
};

}  // namespace authurl
