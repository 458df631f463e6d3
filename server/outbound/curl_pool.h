// curl_pool.h: all calls of one kind (HostTrust): whether they may begin, and the thread with its
// connections that makes them. For the files curl_* alone.
#pragma once

#include <curl/curl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/call_context.h"
#include "core/http_message.h"
#include "server/outbound/call_failure.h"
#include "server/outbound/call_limits.h"
#include "server/outbound/circuit_breaker.h"
#include "server/outbound/curl_destination.h"
#include "server/outbound/curl_handles.h"
#include "server/outbound/curl_loop.h"
#include "server/outbound/curl_mailbox.h"
#include "server/outbound/curl_transfer.h"
#include "server/outbound/destination_rules.h"
#include "server/outbound/http_client.h"
#include "server/outbound/outbound_metrics.h"
#include "server/outbound/outbound_options.h"
#include "server/outbound/resolver.h"

namespace authurl {

// Once it has started, its public functions are safe to use from many threads at once.
class CurlPool final {
 public:
  using Callback = HttpClient::Callback;

  // `metrics` outlives the pool. REQUIRES: InitCurl().
  CurlPool(HostTrust trust, const OutboundOptions& options, OutboundMetrics& metrics);
  // Stops at once, if BeginStop() was not called.
  ~CurlPool();
  CurlPool(const CurlPool&) = delete;
  CurlPool& operator=(const CurlPool&) = delete;

  // Whether there is memory for it, and a file descriptor. Called once, before all else.
  bool Start();
  // As HttpClient::Send().
  void Send(HttpRequest request, CallTarget target, const CallContext& context, Callback callback);
  // See CurlClient::Stop(), in two steps. Once the second has returned, all callbacks have.
  void BeginStop(absl::Time deadline);
  void WaitUntilStopped();
  int under_way() const { return limits_.under_way(); }

 private:
  using Transfers = absl::flat_hash_map<uint64_t, std::unique_ptr<CurlTransfer>>;

  // Ends a call that was never begun, on the thread that asked for it.
  void Refuse(const CallTarget& target, CallFailure failure, FailureDetails details,
              Callback callback);

  // All that follows is for the thread of the pool.
  void Run();
  void Accept(std::unique_ptr<CurlTransfer> owned);
  void Begin(CurlTransfer& transfer, const HostAddresses& addresses);
  void ReadResults();
  void Finish(CurlTransfer& transfer, CURLcode code);
  // Whose body is not wanted, and takes its time.
  void EndThoseWithHead(absl::Time now);
  void EndThoseWithoutCaller(absl::Time now);
  void EndAll(CallFailure failure);
  void Answered(CurlTransfer& transfer, int status);
  void Fail(CurlTransfer& transfer, CallFailure failure, absl::string_view cause);
  void End(CurlTransfer& transfer, absl::StatusOr<HttpAnswer> result, HostResult host);
  absl::Duration TimeToWait(absl::Time now, absl::Time stop_at) const;

  const OutboundOptions options_;
  const DestinationRules rules_;
  const ProxyAddress proxy_;
  OutboundMetrics& metrics_;
  CallLimits limits_;
  CircuitBreakers breakers_;
  Resolver resolver_;
  std::shared_ptr<CurlMailbox> mailbox_;
  CurlLoop loop_;
  CurlMulti multi_;      // Its handles go before.
  Transfers transfers_;  // By id.
  size_t held_bytes_ = 0;
  uint64_t last_id_ = 0;
  std::mutex stop_mutex_;  // For joining once.
  std::thread thread_;
};

}  // namespace authurl
