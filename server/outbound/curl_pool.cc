#include "server/outbound/curl_pool.h"

#include <curl/curl.h>
#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "server/observe/log.h"
#include "server/outbound/curl_failure.h"
#include "server/outbound/curl_setup.h"
#include "server/outbound/request_check.h"

namespace authurl {
namespace {

// How long a context may have ended before it is noticed.
constexpr absl::Duration kLookInterval = absl::Milliseconds(50);
// While nothing is under way.
constexpr absl::Duration kIdleInterval = absl::Minutes(1);
constexpr long kMaxIdleConnections = 256;
// Look-ups hang for as long as the system lets them, half a minute mostly. Strangers have name
// servers that do so on purpose.
constexpr int kResolverThreads = 8;
constexpr int kResolverThreadsForStrangers = 32;
constexpr int kResolverThreadsOfOneOrganization = 4;  // Of those.
// Of a receiver nothing but the head of its answer matters; where the body is not over soon, the
// connection is not worth keeping.
constexpr absl::Duration kPatienceWithBodies = absl::Seconds(1);
// Hosts that are known to fail.
constexpr size_t kMaxBreakers = 4096;

CallFailure FailureOfLookup(const absl::Status& status) {
  if (absl::IsNotFound(status)) return CallFailure::kNameNotFound;
  // Too many names are being looked up.
  if (absl::IsResourceExhausted(status)) return CallFailure::kTooManyCalls;
  return CallFailure::kNameUnknown;
}

}  // namespace

CurlPool::CurlPool(HostTrust trust, const OutboundOptions& options, OutboundMetrics& metrics)
    : options_(options),
      rules_(trust, options_),
      proxy_(ReadProxy(options.proxy).value_or(ProxyAddress{})),
      metrics_(metrics),
      limits_(
          {.all = options.max_calls,
           .per_host = options.max_calls_per_host,
           .per_organization = options.max_calls_per_organization,
           .per_host_and_organization = std::max(
               1, std::min(options.max_calls_per_host, options.max_calls_per_organization) / 2)}),
      breakers_(options.breaker, kMaxBreakers,
                [&metrics](absl::string_view network, int change) {
                  metrics.BreakerChanged(network, change);
                }),
      resolver_(
          {.threads =
               trust == HostTrust::kCatalog ? kResolverThreads : kResolverThreadsForStrangers,
           .threads_per_organization =
               trust == HostTrust::kCatalog ? kResolverThreads : kResolverThreadsOfOneOrganization,
           .max_waiting = static_cast<size_t>(options.max_calls)},
          options.lookup) {}

CurlPool::~CurlPool() {
  BeginStop(absl::InfinitePast());
  WaitUntilStopped();
}

bool CurlPool::Start() {
  multi_.reset(curl_multi_init());
  if (multi_ == nullptr ||
      curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, kMaxIdleConnections) != CURLM_OK ||
      !loop_.Start(multi_.get())) {
    return false;
  }
  mailbox_ = std::make_shared<CurlMailbox>(loop_);
  thread_ = std::thread([this] { Run(); });
  return true;
}

void CurlPool::Refuse(const CallTarget& target, CallFailure failure, FailureDetails details,
                      Callback callback) {
  metrics_.CallStarted(target.network);
  metrics_.CallFailed(target.network, failure, absl::ZeroDuration());
  details.network = target.network;
  callback(NetworkUnavailable(failure, details));
}

void CurlPool::Send(HttpRequest request, CallTarget target, const CallContext& context,
                    Callback callback) {
  const absl::Time now = absl::Now();
  if (absl::Status ended = context.Check(); !ended.ok()) return callback(Unsent(std::move(ended)));
  if (absl::Status bad = CheckRequest(request); !bad.ok()) return callback(Unsent(std::move(bad)));
  std::optional<Destination> to = ReadUrl(request.url);
  if (!to.has_value()) {
    return Refuse(target, CallFailure::kNotAllowed,
                  {.host = "a host", .why = "its URL is not one of https"}, std::move(callback));
  }
  const std::string host = to->host;
  if (const absl::string_view why = rules_.WhyNotAllowed(*to); !why.empty()) {
    return Refuse(target, CallFailure::kNotAllowed, {.host = host, .why = why},
                  std::move(callback));
  }
  if (limits_.TryEnter(target.network, host, target.org_id) != CallLimit::kNone) {
    return Refuse(target, CallFailure::kTooManyCalls,
                  {.host = host, .retry_after = absl::Seconds(1)}, std::move(callback));
  }
  const CircuitBreakers::Beginning beginning = breakers_.Begin(target.network, host, now);
  if (beginning.entry == CircuitBreaker::Entry::kRefused) {
    limits_.Leave(target.network, host, target.org_id);
    return Refuse(target, CallFailure::kBreakerOpen,
                  {.host = host, .retry_after = beginning.retry_after}, std::move(callback));
  }

  auto transfer = std::make_unique<CurlTransfer>();
  transfer->rules = &rules_;
  transfer->held_bytes_of_pool = &held_bytes_;
  transfer->request = std::move(request);
  transfer->target = std::move(target);
  transfer->context = &context;
  transfer->callback = std::move(callback);
  transfer->to = *std::move(to);
  transfer->entry = beginning.entry;
  transfer->started = now;
  transfer->ends_at = std::min(now + options_.timeout, context.deadline());
  transfer->resolve_by = std::min(now + options_.connect_timeout, transfer->ends_at);
  if (!options_.proxy.empty() && transfer->to.is_https) transfer->proxy = &proxy_;
  const std::string network = transfer->target.network;
  metrics_.CallStarted(network);
  if (mailbox_->Post(transfer)) return;
  breakers_.End(network, host, transfer->entry, HostResult::kNothing, now);
  limits_.Leave(network, host, transfer->target.org_id);
  metrics_.CallFailed(network, CallFailure::kStopping, absl::ZeroDuration());
  transfer->callback(
      NetworkUnavailable(CallFailure::kStopping, {.network = network, .host = host}));
}

void CurlPool::BeginStop(absl::Time deadline) {
  if (mailbox_ != nullptr) mailbox_->Stop(deadline);
}

void CurlPool::WaitUntilStopped() {
  const std::lock_guard lock(stop_mutex_);
  if (thread_.joinable()) thread_.join();
}

void CurlPool::Run() {
  // OpenSSL writes to connections that were closed; with CURLOPT_NOSIGNAL libcurl leaves it to us.
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);

  while (true) {
    CurlMailbox::Mail mail = mailbox_->Take();
    for (std::unique_ptr<CurlTransfer>& transfer : mail.transfers) Accept(std::move(transfer));
    for (const CurlMailbox::Resolved& resolved : mail.resolved) {
      const auto found = transfers_.find(resolved.id);
      if (found == transfers_.end()) continue;  // Ended meanwhile.
      if (resolved.addresses.ok()) {
        Begin(*found->second, *resolved.addresses);
      } else {
        Fail(*found->second, FailureOfLookup(resolved.addresses.status()),
             resolved.addresses.status().message());
      }
    }
    const absl::Time now = absl::Now();
    EndThoseWithHead(now);
    EndThoseWithoutCaller(now);
    const absl::Time stop_at = mail.stop_at.value_or(absl::InfiniteFuture());
    if (stop_at <= now) EndAll(CallFailure::kStopping);
    // Once it stops, nothing is posted that would have to be ended.
    if (mail.stop_at.has_value() && transfers_.empty()) break;
    loop_.Run(TimeToWait(now, stop_at));
    ReadResults();
  }
  mailbox_->Close();
  multi_.reset();
}

absl::Duration CurlPool::TimeToWait(absl::Time now, absl::Time stop_at) const {
  const absl::Duration interval = transfers_.empty() ? kIdleInterval : kLookInterval;
  return std::clamp(stop_at - now, absl::ZeroDuration(), interval);
}

void CurlPool::Accept(std::unique_ptr<CurlTransfer> owned) {
  CurlTransfer& transfer = *owned;
  transfer.id = ++last_id_;
  transfers_.emplace(transfer.id, std::move(owned));
  const std::string& host = transfer.proxy != nullptr ? transfer.proxy->host : transfer.to.host;
  const bool is_address =
      transfer.proxy != nullptr ? transfer.proxy->is_address : transfer.to.is_address;
  if (is_address || !options_.connect_to.empty()) return Begin(transfer, {});
  // The proxy's name is everybody's.
  const std::string org_id = transfer.proxy != nullptr ? "" : transfer.target.org_id;
  resolver_.Resolve(host, org_id, transfer.resolve_by,
                    [mailbox = mailbox_, id = transfer.id](const auto& addresses) {
                      mailbox->Post(CurlMailbox::Resolved{id, addresses});
                    });
}

void CurlPool::Begin(CurlTransfer& transfer, const HostAddresses& addresses) {
  if (SetUpHandle(transfer, addresses, options_) &&
      curl_multi_add_handle(multi_.get(), transfer.easy.get()) == CURLM_OK) {
    return;
  }
  Fail(transfer, CallFailure::kTooManyCalls, "libcurl takes no more transfers");
}

void CurlPool::ReadResults() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    CurlTransfer* transfer = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    Finish(*transfer, code);  // The message is gone with it.
  }
}

void CurlPool::Finish(CurlTransfer& transfer, CURLcode code) {
  long status = 0;
  curl_easy_getinfo(transfer.easy.get(), CURLINFO_RESPONSE_CODE, &status);
  // A connection that ends within the head is an answer to libcurl.
  const bool is_over = code == CURLE_OK || !transfer.is_body_wanted();
  if (is_over && status >= 200 && transfer.is_head_whole) {
    return Answered(transfer, static_cast<int>(status));
  }
  // libcurl's clock may be a little ahead of the context's.
  const bool is_over_for_caller = code == CURLE_OPERATION_TIMEDOUT &&
                                  transfer.context->deadline() <= absl::Now() + kLookInterval;
  const CallFailure failure =
      is_over_for_caller ? CallFailure::kCallerGone : FailureOf(transfer, code);
  Fail(transfer, failure, curl_easy_strerror(code));
}

void CurlPool::Answered(CurlTransfer& transfer, int status) {
  transfer.answer.status = status;
  metrics_.CallAnswered(transfer.target.network, status, absl::Now() - transfer.started);
  End(transfer, std::move(transfer.answer),
      status >= 500 ? HostResult::kFails : HostResult::kWorks);
}

void CurlPool::EndThoseWithHead(absl::Time now) {
  std::vector<CurlTransfer*> over;
  for (const auto& [id, transfer] : transfers_) {
    const bool is_known = !transfer->is_body_wanted() && transfer->is_head_whole;
    if (is_known && now > transfer->head_came + kPatienceWithBodies) over.push_back(transfer.get());
  }
  // Not an interim one's: it ends otherwise, or in time.
  for (CurlTransfer* const transfer : over) {
    long status = 0;
    curl_easy_getinfo(transfer->easy.get(), CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200) Answered(*transfer, static_cast<int>(status));
  }
}

void CurlPool::EndThoseWithoutCaller(absl::Time now) {
  std::vector<std::pair<CurlTransfer*, CallFailure>> over;
  for (const auto& [id, transfer] : transfers_) {
    if (transfer->context->cancelled() || now > transfer->context->deadline()) {
      over.emplace_back(transfer.get(), CallFailure::kCallerGone);
    } else if (!transfer->is_begun() && now >= transfer->resolve_by) {
      over.emplace_back(transfer.get(), CallFailure::kNameUnknown);
    }
  }
  for (const auto& [transfer, failure] : over) Fail(*transfer, failure, "");
}

void CurlPool::EndAll(CallFailure failure) {
  while (!transfers_.empty()) Fail(*transfers_.begin()->second, failure, "");
}

// `cause` is for the log: a fixed text of libcurl's or the system's.
void CurlPool::Fail(CurlTransfer& transfer, CallFailure failure, absl::string_view cause) {
  const CallTarget& target = transfer.target;
  const absl::Duration duration = absl::Now() - transfer.started;
  metrics_.CallFailed(target.network, failure, duration);
  if (failure == CallFailure::kCallerGone) {
    absl::Status ended = transfer.context->WhyEnded();
    return End(transfer, transfer.may_have_been_sent() ? ended : Unsent(std::move(ended)),
               HostResult::kNothing);
  }
  Log(LogLevel::kInfo, "outbound_call_failed",
      {{"network", target.network},
       {"host", transfer.to.host},
       {"failure", FailureName(failure)},
       {"cause", cause},
       {"request_id", transfer.context->request_id()},
       {"milliseconds", absl::ToInt64Milliseconds(duration)}});
  End(transfer,
      NetworkUnavailable(failure, {.network = target.network,
                                   .host = transfer.to.host,
                                   .why = transfer.to.is_https
                                              ? "it has no public address"
                                              : "its URL is not https, and it is not this machine",
                                   .may_have_been_sent = transfer.may_have_been_sent()}),
      HostResultOf(failure));
}

void CurlPool::End(CurlTransfer& transfer, absl::StatusOr<HttpAnswer> result, HostResult host) {
  const auto found = transfers_.find(transfer.id);
  const std::unique_ptr<CurlTransfer> owned = std::move(found->second);
  transfers_.erase(found);
  // Also where it was never added, which libcurl tells apart.
  if (owned->is_begun()) curl_multi_remove_handle(multi_.get(), owned->easy.get());
  const std::string& network = owned->target.network;
  if (breakers_.End(network, owned->to.host, owned->entry, host, absl::Now())) {
    Log(LogLevel::kWarning, "breaker_opened",
        {{"network", network},
         {"host", owned->to.host},
         {"message", "calls to this host failed again and again; they are refused for a while"}});
  }
  limits_.Leave(network, owned->to.host, owned->target.org_id);
  held_bytes_ -= owned->held_bytes;
  Callback callback = std::move(owned->callback);
  // Wiped before the caller goes on.
  owned->easy.reset();
  owned->headers.reset();
  owned->to.url.reset();
  owned->request = HttpRequest();
  callback(std::move(result));
}

}  // namespace authurl
