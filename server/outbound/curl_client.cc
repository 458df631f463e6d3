// The parts, from below: libcurl's memory and handles; what of a request and of a URL can be sent;
// Pool::Transfer, one call and what libcurl asks about it; Pool::Mailbox, by which others reach the
// thread of a pool; Pool, the thread. They are in one file because libcurl is to be in one file.
#include "server/outbound/curl_client.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "server/observe/log.h"
#include "server/outbound/call_failure.h"
#include "server/outbound/call_limits.h"

namespace authurl {
namespace {

constexpr size_t kMaxUrlBytes = size_t{64} << 10;
constexpr size_t kMaxBodyBytes = size_t{1} << 20;
// Of all answers that are under way to one pool: strangers may send large ones on purpose.
constexpr size_t kMaxHeldBytes = size_t{64} << 20;
// Of an answer, with those of interim answers and trailers.
constexpr size_t kMaxHeaderBytes = size_t{64} << 10;
constexpr int kMaxHeaderLines = 256;
// How long a context may have ended before it is noticed.
constexpr absl::Duration kLookInterval = absl::Milliseconds(50);
// While nothing is under way.
constexpr absl::Duration kIdleInterval = absl::Minutes(1);
constexpr long kMaxIdleConnections = 256;
// Servers close what is idle for longer, and may do it while a request is on its way.
constexpr long kMaxIdleSeconds = 50;
// A host that moves is followed after that.
constexpr long kMaxConnectionSeconds = 600;
// Look-ups hang for as long as the system lets them, half a minute mostly. Strangers have name
// servers that do so on purpose.
constexpr int kResolverThreads = 8;
constexpr int kResolverThreadsForStrangers = 32;
// Hosts that are known to fail.
constexpr size_t kMaxBreakers = 4096;

// libcurl has copies of URLs, headers and bodies in its memory.
void FreeWiped(void* memory) {
  if (memory == nullptr) return;
  OPENSSL_cleanse(memory, malloc_usable_size(memory));
  free(memory);
}
void* ReallocWiped(void* memory, size_t size) {
  void* const moved = malloc(size);
  if (moved == nullptr) return nullptr;
  if (memory != nullptr) std::memcpy(moved, memory, std::min(size, malloc_usable_size(memory)));
  FreeWiped(memory);
  return moved;
}

bool InitCurl() {
  static const bool good = curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, FreeWiped,
                                                ReallocWiped, strdup, calloc) == CURLE_OK;
  return good;
}

struct CurlDeleter {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
// CURL and CURLM are the same type to the compiler.
struct EasyDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
using CurlMulti = std::unique_ptr<CURLM, CurlDeleter>;
using CurlEasy = std::unique_ptr<CURL, EasyDeleter>;
using CurlUrl = std::unique_ptr<CURLU, CurlDeleter>;
using CurlList = std::unique_ptr<curl_slist, CurlDeleter>;

bool AppendTo(CurlList& list, const std::string& text) {
  curl_slist* const longer = curl_slist_append(list.get(), text.c_str());
  if (longer == nullptr) return false;
  (void)list.release();
  list.reset(longer);
  return true;
}

// As std::string does, but wipes what it outgrows.
void AppendWiping(std::string& text, absl::string_view more) {
  if (text.size() + more.size() > text.capacity()) {
    std::string larger;
    larger.reserve(std::max(2 * text.capacity(), text.size() + more.size()));
    larger = text;
    larger.swap(text);
    Wipe(larger);
  }
  text.append(more.data(), more.size());
}

// RFC 9110 section 5.6.2.
bool IsToken(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || absl::StrContains("!#$%&'*+-.^_`|~", static_cast<char>(c));
  });
}

bool IsPrintableAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

bool IsAnyOf(absl::string_view text, std::initializer_list<absl::string_view> others) {
  return std::any_of(others.begin(), others.end(), [text](absl::string_view other) {
    return absl::EqualsIgnoreCase(text, other);
  });
}

// InternalError where somebody could make another request of it than was meant.
absl::Status CheckRequest(const HttpRequest& request) {
  if (!IsToken(request.method)) return absl::InternalError("the method of a request is no token");
  if (!request.body.empty() && IsAnyOf(request.method, {"GET", "HEAD"})) {
    return absl::InternalError("a request to read something has a body");
  }
  for (const HttpHeader& header : request.headers) {
    if (!IsToken(header.name)) return absl::InternalError("a header's name is no token");
    // libcurl makes these.
    if (IsAnyOf(header.name, {"Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "TE",
                              "Trailer", "Transfer-Encoding", "Upgrade"}) ||
        absl::StartsWithIgnoreCase(header.name, "Proxy-")) {
      return absl::InternalError(absl::StrCat("a request has the header ", header.name));
    }
    const bool is_one_line =
        std::none_of(header.value.begin(), header.value.end(),
                     [](unsigned char c) { return absl::ascii_iscntrl(c) && c != '\t'; });
    if (!is_one_line) {
      return absl::InternalError(absl::StrCat("the header ", header.name, " is not one line"));
    }
  }
  return absl::OkStatus();
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

// Where a URL leads, as libcurl reads it.
struct Destination {
  CurlUrl url;
  std::string host;  // Lower case; without brackets.
  int port = 0;
  bool is_https = true;
  bool is_address = false;       // The host is no name.
  bool is_this_machine = false;  // As the host says it.
};

std::string PartOf(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return "";
  std::string copy(text);
  curl_free(text);
  return copy;
}

// Nothing where the URL is none of http or https, or holds what has no place in it.
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

// "host", "port" of "http://host:port".
struct ProxyAddress {
  std::string host;
  int port = 0;
};
std::optional<ProxyAddress> ReadProxy(const std::string& text) {
  const std::optional<Destination> to = ReadUrl(text);
  if (!to.has_value() || to->is_https) return std::nullopt;
  return ProxyAddress{to->host, to->port};
}

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

long ToMilliseconds(absl::Duration duration) {
  return static_cast<long>(std::max<int64_t>(absl::ToInt64Milliseconds(duration), 1));
}

// What libcurl calls it when a line of the head is longer than it takes.
bool IsForALongLine(CURLcode code) {
#if LIBCURL_VERSION_NUM >= 0x080600
  if (code == CURLE_TOO_LARGE) return true;
#endif
  return code == CURLE_OUT_OF_MEMORY;
}

CallFailure FailureOf(CURLcode code, bool was_sent) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return CallFailure::kNameUnknown;
    case CURLE_COULDNT_CONNECT:
      return CallFailure::kConnect;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
      return CallFailure::kTls;
    case CURLE_FILESIZE_EXCEEDED:
      return CallFailure::kTooLarge;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
      return CallFailure::kTooManyCalls;
    case CURLE_OPERATION_TIMEDOUT:
      return was_sent ? CallFailure::kTimeout : CallFailure::kConnect;
    default:
      // Before anything was sent: refused by a proxy, or closed within the handshake.
      return was_sent ? CallFailure::kBroken : CallFailure::kConnect;
  }
}

}  // namespace

class CurlClient::Pool final {
 public:
  Pool(HostTrust trust, const Options& options, OutboundMetrics& metrics)
      : trust_(trust),
        options_(options),
        proxy_(ReadProxy(options.proxy).value_or(ProxyAddress{})),
        user_agent_(absl::StrCat("authurl/", options.version)),
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
        resolver_({.threads = trust == HostTrust::kStranger ? kResolverThreadsForStrangers
                                                            : kResolverThreads,
                   .max_waiting = static_cast<size_t>(options.max_calls)},
                  options.lookup) {}
  ~Pool() {
    BeginStop(absl::InfinitePast());
    WaitUntilStopped();
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Whether there is memory for it. Called once, before all else.
  bool Start();
  void Send(HttpRequest request, CallTarget target, const CallContext& context, Callback callback);
  // See CurlClient::Stop(), in two steps.
  void BeginStop(absl::Time deadline);
  void WaitUntilStopped();
  int under_way() const { return limits_.under_way(); }

 private:
  struct Transfer;
  class Mailbox;
  using Transfers = absl::flat_hash_map<uint64_t, std::unique_ptr<Transfer>>;

  // Why the URL is not for this pool, for developers; empty where it is.
  absl::string_view WhyNotAllowed(const Destination& to) const;
  bool MayConnect(const Transfer& transfer, const sockaddr& address) const;
  // Ends a call that was never begun, on the thread that asked for it.
  void Refuse(const CallTarget& target, CallFailure failure, FailureDetails details,
              Callback callback);

  // All that follows is for the thread of the pool.
  void Run();
  void Wait(absl::Duration duration);
  void Accept(std::unique_ptr<Transfer> owned);
  void Begin(Transfer& transfer, const HostAddresses& addresses);
  bool SetUp(Transfer& transfer, const HostAddresses& addresses);
  void ReadResults();
  void Finish(Transfer& transfer, CURLcode code);
  void EndThoseWithoutCaller(absl::Time now);
  void EndAll(CallFailure failure);
  void Fail(Transfer& transfer, CallFailure failure, absl::string_view cause);
  void End(Transfer& transfer, absl::StatusOr<HttpAnswer> result, HostResult host);
  absl::Duration TimeToWait(absl::Time now, absl::Time stop_at) const;

  const HostTrust trust_;
  const Options options_;
  const ProxyAddress proxy_;
  const std::string user_agent_;
  OutboundMetrics& metrics_;
  CallLimits limits_;
  CircuitBreakers breakers_;
  Resolver resolver_;
  std::shared_ptr<Mailbox> mailbox_;
  CurlMulti multi_;      // Its handles go before.
  Transfers transfers_;  // By id.
  size_t held_bytes_ = 0;
  uint64_t last_id_ = 0;
  std::mutex stop_mutex_;  // For joining once.
  std::thread thread_;
};

// One call, from Send() to its end. Before it is posted it belongs to the thread that sends, then
// to the pool's. What libcurl calls is static, with the transfer as its `self`.
struct CurlClient::Pool::Transfer {
  Pool* pool = nullptr;
  uint64_t id = 0;
  HttpRequest request;
  CallTarget target;
  const CallContext* context = nullptr;
  Callback callback;
  Destination to;
  CircuitBreaker::Entry entry = CircuitBreaker::Entry::kOrdinary;
  absl::Time started;
  absl::Time ends_at;
  bool via_proxy = false;

  // From Begin() on. The lists outlive the handle, which is declared behind them.
  CurlList headers;
  CurlList addresses;
  CurlList connect_to;
  CurlEasy easy;
  HttpAnswer answer;
  int header_lines = 0;
  size_t header_bytes = 0;
  size_t held_bytes = 0;  // Of the body.
  int encodings = 0;
  int sendings = 0;
  bool is_head_whole = false;
  bool is_too_large = false;
  bool is_refused_address = false;
  bool has_no_room = false;  // Of ours.

  bool is_begun() const { return easy != nullptr; }
  bool may_have_been_sent() const { return sendings > 0; }
  // RFC 9110 section 9.2.1: as often as one likes.
  bool may_be_sent_twice() const { return IsAnyOf(request.method, {"GET", "HEAD"}); }
  absl::Time resolve_by() const {
    return std::min(started + pool->options_.connect_timeout, ends_at);
  }

  static curl_socket_t OpenSocket(void* self, curlsocktype purpose, curl_sockaddr* address);
  static int StartResolver(void* resolver_state, void* reserved, void* self);
  static CURLcode ConfigureTls(CURL* easy, void* tls_context, void* self);
  static int BeforeSending(void* self, char* peer, char* local, int peer_port, int local_port);
  static size_t TakeHeader(const char* data, size_t size, size_t count, void* self);
  static size_t TakeBody(const char* data, size_t size, size_t count, void* self);

  // False where the answer is not to be read on.
  bool ReadHeader(absl::string_view line);
};

curl_socket_t CurlClient::Pool::Transfer::OpenSocket(void* self, curlsocktype /*purpose*/,
                                                     curl_sockaddr* address) {
  auto& transfer = *static_cast<Transfer*>(self);
  if (!transfer.pool->MayConnect(transfer, address->addr)) {
    transfer.is_refused_address = true;
    return CURL_SOCKET_BAD;
  }
  const int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  // Not the host's fault. A family that this machine does not have is none of ours either.
  if (fd < 0) transfer.has_no_room = errno != EAFNOSUPPORT;
  return fd;
}

// libcurl is about to look a name up, which may take it as long as it likes: names have their
// addresses already. Addresses need no looking up, but this is asked for them as well.
int CurlClient::Pool::Transfer::StartResolver(void* /*resolver_state*/, void* /*reserved*/,
                                              void* self) {
  const auto& transfer = *static_cast<const Transfer*>(self);
  return transfer.addresses == nullptr ? 0 : 1;
}

CURLcode CurlClient::Pool::Transfer::ConfigureTls(CURL* /*easy*/, void* tls_context,
                                                  void* /*self*/) {
  // OpenSSL would keep what came last until more comes.
  SSL_CTX_set_options(static_cast<SSL_CTX*>(tls_context), SSL_OP_CLEANSE_PLAINTEXT);
  return CURLE_OK;
}

int CurlClient::Pool::Transfer::BeforeSending(void* self, char* /*peer*/, char* /*local*/,
                                              int /*peer_port*/, int /*local_port*/) {
  auto& transfer = *static_cast<Transfer*>(self);
  // Again: an open connection ended before an answer came. The request may have been read.
  if (++transfer.sendings > 1 && !transfer.may_be_sent_twice()) return CURL_PREREQFUNC_ABORT;
  return CURL_PREREQFUNC_OK;
}

size_t CurlClient::Pool::Transfer::TakeHeader(const char* data, size_t size, size_t count,
                                              void* self) {
  const absl::string_view line(data, size * count);
  return static_cast<Transfer*>(self)->ReadHeader(line) ? line.size() : 0;
}

size_t CurlClient::Pool::Transfer::TakeBody(const char* data, size_t size, size_t count,
                                            void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  const absl::string_view more(data, size * count);
  if (transfer.answer.body.size() + more.size() > kMaxBodyBytes) {
    transfer.is_too_large = true;
    return 0;
  }
  if (transfer.pool->held_bytes_ + more.size() > kMaxHeldBytes) {
    transfer.has_no_room = true;
    return 0;
  }
  transfer.held_bytes += more.size();
  transfer.pool->held_bytes_ += more.size();
  AppendWiping(transfer.answer.body, more);
  return more.size();
}

bool CurlClient::Pool::Transfer::ReadHeader(absl::string_view line) {
  header_bytes += line.size();
  if (++header_lines > kMaxHeaderLines || header_bytes > kMaxHeaderBytes) {
    is_too_large = true;
    return false;
  }
  // The first line of an answer; what came before was an interim one.
  if (absl::StartsWith(line, "HTTP/")) {
    answer.headers.clear();
    encodings = 0;
    is_head_whole = false;
    return true;
  }
  if (absl::StripAsciiWhitespace(line).empty()) is_head_whole = true;
  const size_t colon = line.find(':');
  if (colon == absl::string_view::npos) return true;
  const absl::string_view name = line.substr(0, colon);
  const absl::string_view value = absl::StripAsciiWhitespace(line.substr(colon + 1));
  const bool is_encoding = absl::EqualsIgnoreCase(name, "Content-Encoding");
  if (is_encoding || absl::EqualsIgnoreCase(name, "Transfer-Encoding")) {
    if (IsAnyOf(value, {"", "identity", "chunked"})) return true;
    // One inside of another, a kilobyte would become a gigabyte before the body's size is seen.
    return is_encoding && ++encodings == 1 && IsAnyOf(value, {"gzip", "x-gzip", "deflate"});
  }
  const bool is_wanted = std::any_of(
      target.headers.begin(), target.headers.end(),
      [name](const std::string& wanted) { return absl::EqualsIgnoreCase(name, wanted); });
  if (is_wanted) answer.headers.push_back({std::string(name), std::string(value)});
  return true;
}

// What other threads tell a pool's. It outlives the pool where somebody still looks up a name.
// Safe to use from many threads at once.
class CurlClient::Pool::Mailbox final {
 public:
  struct Resolved {
    uint64_t id;
    absl::StatusOr<HostAddresses> addresses;
  };
  struct Mail {
    std::vector<std::unique_ptr<Transfer>> transfers;
    std::vector<Resolved> resolved;
    std::optional<absl::Time> stop_at = std::nullopt;
  };

  explicit Mailbox(CURLM* multi) : multi_(multi) {}

  // False after Stop(): then the transfer stays with the caller.
  bool Post(std::unique_ptr<Transfer>& transfer) {
    const std::lock_guard lock(mutex_);
    if (mail_.stop_at.has_value()) return false;
    mail_.transfers.push_back(std::move(transfer));
    WakeUpLoop();
    return true;
  }
  void Post(Resolved resolved) {
    const std::lock_guard lock(mutex_);
    if (multi_ == nullptr) return;
    mail_.resolved.push_back(std::move(resolved));
    WakeUpLoop();
  }
  void Stop(absl::Time at) {
    const std::lock_guard lock(mutex_);
    mail_.stop_at = std::min(mail_.stop_at.value_or(at), at);
    WakeUpLoop();
  }
  Mail Take() {
    const std::lock_guard lock(mutex_);
    Mail taken;
    taken.stop_at = mail_.stop_at;
    std::swap(taken, mail_);
    return taken;
  }
  // Nobody reads any more.
  void Close() {
    const std::lock_guard lock(mutex_);
    multi_ = nullptr;
  }

 private:
  void WakeUpLoop() {
    if (multi_ != nullptr) curl_multi_wakeup(multi_);
  }

  std::mutex mutex_;
  CURLM* multi_;  // Null once the loop has ended. Guarded by mutex_, as is the mail.
  Mail mail_;
};

bool CurlClient::Pool::Start() {
  multi_.reset(curl_multi_init());
  if (multi_ == nullptr ||
      curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, kMaxIdleConnections) != CURLM_OK) {
    return false;
  }
  mailbox_ = std::make_shared<Mailbox>(multi_.get());
  thread_ = std::thread([this] { Run(); });
  return true;
}

absl::string_view CurlClient::Pool::WhyNotAllowed(const Destination& to) const {
  if (!to.is_https && !(options_.allow_local && to.is_this_machine)) return "its URL is not https";
  if (trust_ == HostTrust::kCatalog) return "";
  if (to.port != 443 && !options_.allow_local) return "its URL has another port than 443";
  if (!options_.proxy.empty() && !options_.proxy_is_guarded) {
    return "the proxy is not known to keep it from addresses that are not public "
           "(--outbound_proxy_is_guarded)";
  }
  return "";
}

bool CurlClient::Pool::MayConnect(const Transfer& transfer, const sockaddr& address) const {
  if (transfer.via_proxy) return true;
  const AddressKind kind = JudgeAddress(address, options_.nat64);
  // Plain http goes no further than this machine, whatever its name was said to be.
  if (!transfer.to.is_https && kind != AddressKind::kLoopback) return false;
  if (trust_ == HostTrust::kCatalog) return true;
  switch (kind) {
    case AddressKind::kPublic:
      return PortOf(address) == 443;
    case AddressKind::kLoopback:
    case AddressKind::kPrivate:
      return options_.allow_local;
    case AddressKind::kReserved:
      return false;
  }
  return false;
}

void CurlClient::Pool::Refuse(const CallTarget& target, CallFailure failure, FailureDetails details,
                              Callback callback) {
  metrics_.CallStarted(target.network);
  metrics_.CallFailed(target.network, failure, absl::ZeroDuration());
  details.network = target.network;
  callback(NetworkUnavailable(failure, details));
}

void CurlClient::Pool::Send(HttpRequest request, CallTarget target, const CallContext& context,
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
  if (const absl::string_view why = WhyNotAllowed(*to); !why.empty()) {
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

  auto transfer = std::make_unique<Transfer>();
  transfer->pool = this;
  transfer->request = std::move(request);
  transfer->target = std::move(target);
  transfer->context = &context;
  transfer->callback = std::move(callback);
  transfer->to = *std::move(to);
  transfer->entry = beginning.entry;
  transfer->started = now;
  transfer->ends_at = std::min(now + options_.timeout, context.deadline());
  transfer->via_proxy = !options_.proxy.empty() && transfer->to.is_https;
  const std::string network = transfer->target.network;
  metrics_.CallStarted(network);
  if (mailbox_->Post(transfer)) return;
  breakers_.End(network, host, transfer->entry, HostResult::kNothing, now);
  limits_.Leave(network, host, transfer->target.org_id);
  metrics_.CallFailed(network, CallFailure::kStopping, absl::ZeroDuration());
  transfer->callback(
      NetworkUnavailable(CallFailure::kStopping, {.network = network, .host = host}));
}

void CurlClient::Pool::BeginStop(absl::Time deadline) {
  if (mailbox_ != nullptr) mailbox_->Stop(deadline);
}

void CurlClient::Pool::WaitUntilStopped() {
  const std::lock_guard lock(stop_mutex_);
  if (thread_.joinable()) thread_.join();
}

void CurlClient::Pool::Run() {
  // OpenSSL writes to connections that were closed; with CURLOPT_NOSIGNAL libcurl leaves it to us.
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);

  while (true) {
    Mailbox::Mail mail = mailbox_->Take();
    for (std::unique_ptr<Transfer>& transfer : mail.transfers) Accept(std::move(transfer));
    for (const Mailbox::Resolved& resolved : mail.resolved) {
      const auto found = transfers_.find(resolved.id);
      if (found == transfers_.end()) continue;  // Ended meanwhile.
      if (resolved.addresses.ok()) {
        Begin(*found->second, *resolved.addresses);
      } else {
        Fail(*found->second,
             absl::IsNotFound(resolved.addresses.status()) ? CallFailure::kNameNotFound
                                                           : CallFailure::kNameUnknown,
             resolved.addresses.status().message());
      }
    }
    int running = 0;
    curl_multi_perform(multi_.get(), &running);
    ReadResults();
    const absl::Time now = absl::Now();
    EndThoseWithoutCaller(now);
    const absl::Time stop_at = mail.stop_at.value_or(absl::InfiniteFuture());
    if (stop_at <= now) EndAll(CallFailure::kStopping);
    // Once it stops, nothing is posted that would have to be ended.
    if (mail.stop_at.has_value() && transfers_.empty()) break;
    Wait(TimeToWait(now, stop_at));
  }
  mailbox_->Close();
  multi_.reset();
}

void CurlClient::Pool::Wait(absl::Duration duration) {
  const auto milliseconds = static_cast<int>(ToMilliseconds(duration));
  if (curl_multi_poll(multi_.get(), nullptr, 0, milliseconds, nullptr) == CURLM_OK) return;
  // Out of memory, for one. Looking again at once would take a whole core.
  absl::SleepFor(std::min(duration, kLookInterval));
}

absl::Duration CurlClient::Pool::TimeToWait(absl::Time now, absl::Time stop_at) const {
  const absl::Duration interval = transfers_.empty() ? kIdleInterval : kLookInterval;
  return std::clamp(stop_at - now, absl::ZeroDuration(), interval);
}

void CurlClient::Pool::Accept(std::unique_ptr<Transfer> owned) {
  Transfer& transfer = *owned;
  transfer.id = ++last_id_;
  transfers_.emplace(transfer.id, std::move(owned));
  const std::string& host = transfer.via_proxy ? proxy_.host : transfer.to.host;
  const bool is_address =
      transfer.via_proxy ? AddressIn(host).ss_family != 0 : transfer.to.is_address;
  if (is_address || !options_.connect_to.empty()) return Begin(transfer, {});
  resolver_.Resolve(host, transfer.resolve_by(),
                    [mailbox = mailbox_, id = transfer.id](const auto& addresses) {
                      mailbox->Post(Mailbox::Resolved{id, addresses});
                    });
}

void CurlClient::Pool::Begin(Transfer& transfer, const HostAddresses& addresses) {
  if (SetUp(transfer, addresses) &&
      curl_multi_add_handle(multi_.get(), transfer.easy.get()) == CURLM_OK) {
    return;
  }
  Fail(transfer, CallFailure::kTooManyCalls, "libcurl takes no more transfers");
}

bool CurlClient::Pool::SetUp(Transfer& transfer, const HostAddresses& addresses) {
  const Destination& to = transfer.to;
  bool good = true;
  if (!addresses.empty()) {
    // "+": forgotten after a minute, or strangers' names would be kept for ever.
    std::string entry = transfer.via_proxy ? absl::StrCat("+", proxy_.host, ":", proxy_.port)
                                           : absl::StrCat("+", to.host, ":", to.port);
    for (size_t i = 0; i < addresses.size(); ++i) {
      const bool is_ipv6 = absl::StrContains(addresses[i], ':');
      absl::StrAppend(&entry, i == 0 ? ":" : ",", is_ipv6 ? "[" : "", addresses[i],
                      is_ipv6 ? "]" : "");
    }
    good = AppendTo(transfer.addresses, entry);
  }
  if (!options_.connect_to.empty()) {
    good = AppendTo(transfer.connect_to, absl::StrCat("::", options_.connect_to)) && good;
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
  EasyOptions options(transfer.easy.get());
  options.Set(CURLOPT_PRIVATE, &transfer)
      .Set(CURLOPT_NOSIGNAL, 1L)
      // What is asked.
      .Set(CURLOPT_CURLU, to.url.get())
      .Set(CURLOPT_PROTOCOLS_STR, to.is_https ? "https" : "http")
      .Set(CURLOPT_FOLLOWLOCATION, 0L)
      .Set(CURLOPT_HTTPHEADER, transfer.headers.get())
      .Set(CURLOPT_USERAGENT, user_agent_.c_str())
      .Set(CURLOPT_ACCEPT_ENCODING, "gzip, deflate")
      .Set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS))
      // Whom. The empty texts keep libcurl from reading the environment.
      .Set(CURLOPT_PROXY, transfer.via_proxy ? options_.proxy.c_str() : "")
      .Set(CURLOPT_NOPROXY, "")
      .Set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L)
      .Set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED))
      .Set(CURLOPT_RESOLVE, transfer.addresses.get())
      .Set(CURLOPT_CONNECT_TO, transfer.connect_to.get())
      .Set(CURLOPT_RESOLVER_START_FUNCTION, &Transfer::StartResolver)
      .Set(CURLOPT_RESOLVER_START_DATA, &transfer)
      .Set(CURLOPT_OPENSOCKETFUNCTION, &Transfer::OpenSocket)
      .Set(CURLOPT_OPENSOCKETDATA, &transfer)
      .Set(CURLOPT_MAXAGE_CONN, kMaxIdleSeconds)
      .Set(CURLOPT_MAXLIFETIME_CONN, kMaxConnectionSeconds)
      // Whether it is them. One file, which libcurl keeps in memory as long as there is no folder.
      .Set(CURLOPT_SSL_VERIFYPEER, 1L)
      .Set(CURLOPT_SSL_VERIFYHOST, 2L)
      .Set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2))
      .Set(CURLOPT_CAPATH, static_cast<const char*>(nullptr))
      .Set(CURLOPT_SSL_CTX_FUNCTION, &Transfer::ConfigureTls)
      // For how long, and how much.
      .Set(CURLOPT_CONNECTTIMEOUT_MS, ToMilliseconds(options_.connect_timeout))
      .Set(CURLOPT_TIMEOUT_MS, ToMilliseconds(transfer.ends_at - absl::Now()))
      .Set(CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(kMaxBodyBytes))
      .Set(CURLOPT_PREREQFUNCTION, &Transfer::BeforeSending)
      .Set(CURLOPT_PREREQDATA, &transfer)
      .Set(CURLOPT_HEADERFUNCTION, &Transfer::TakeHeader)
      .Set(CURLOPT_HEADERDATA, &transfer)
      .Set(CURLOPT_WRITEFUNCTION, &Transfer::TakeBody)
      .Set(CURLOPT_WRITEDATA, &transfer);
  if (!options_.ca_file.empty()) options.Set(CURLOPT_CAINFO, options_.ca_file.c_str());
  if (!request.body.empty() || request.method == "POST") {
    // Not copied.
    options.Set(CURLOPT_POSTFIELDS, request.body.data())
        .Set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  }
  if (request.method == "HEAD") options.Set(CURLOPT_NOBODY, 1L);
  if (!IsAnyOf(request.method, {"GET", "HEAD", "POST"})) {
    options.Set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  return options.good();
}

void CurlClient::Pool::ReadResults() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    Transfer* transfer = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    Finish(*transfer, code);  // The message is gone with it.
  }
}

void CurlClient::Pool::Finish(Transfer& transfer, CURLcode code) {
  long status = 0;
  curl_easy_getinfo(transfer.easy.get(), CURLINFO_RESPONSE_CODE, &status);
  // A connection that ends within the head is an answer to libcurl.
  if (code == CURLE_OK && status >= 200 && transfer.is_head_whole) {
    transfer.answer.status = static_cast<int>(status);
    metrics_.CallAnswered(transfer.target.network, transfer.answer.status,
                          absl::Now() - transfer.started);
    return End(transfer, std::move(transfer.answer),
               status >= 500 ? HostResult::kFails : HostResult::kWorks);
  }
  const bool was_sent = transfer.may_have_been_sent();
  // libcurl's clock may be a little ahead of the context's.
  const bool is_over_for_caller = code == CURLE_OPERATION_TIMEDOUT &&
                                  transfer.context->deadline() <= absl::Now() + kLookInterval;
  CallFailure failure = FailureOf(code, was_sent);
  if (is_over_for_caller) {
    failure = CallFailure::kCallerGone;
  } else if (transfer.is_too_large || (was_sent && IsForALongLine(code))) {
    failure = CallFailure::kTooLarge;
  } else if (code == CURLE_COULDNT_CONNECT && transfer.is_refused_address) {
    failure = CallFailure::kNotAllowed;
  } else if (transfer.has_no_room && (was_sent || code == CURLE_COULDNT_CONNECT)) {
    failure = CallFailure::kTooManyCalls;
  }
  Fail(transfer, failure, curl_easy_strerror(code));
}

void CurlClient::Pool::EndThoseWithoutCaller(absl::Time now) {
  std::vector<std::pair<Transfer*, CallFailure>> over;
  for (const auto& [id, transfer] : transfers_) {
    if (transfer->context->cancelled() || now > transfer->context->deadline()) {
      over.emplace_back(transfer.get(), CallFailure::kCallerGone);
    } else if (!transfer->is_begun() && now >= transfer->resolve_by()) {
      over.emplace_back(transfer.get(), CallFailure::kNameUnknown);
    }
  }
  for (const auto& [transfer, failure] : over) Fail(*transfer, failure, "");
}

void CurlClient::Pool::EndAll(CallFailure failure) {
  while (!transfers_.empty()) Fail(*transfers_.begin()->second, failure, "");
}

// `cause` is for the log: a fixed text of libcurl's or the system's.
void CurlClient::Pool::Fail(Transfer& transfer, CallFailure failure, absl::string_view cause) {
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
                                   .why = "it has no public address",
                                   .may_have_been_sent = transfer.may_have_been_sent()}),
      HostResultOf(failure));
}

void CurlClient::Pool::End(Transfer& transfer, absl::StatusOr<HttpAnswer> result, HostResult host) {
  const auto found = transfers_.find(transfer.id);
  const std::unique_ptr<Transfer> owned = std::move(found->second);
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

absl::StatusOr<std::unique_ptr<CurlClient>> CurlClient::Start(const Options& options,
                                                              OutboundMetrics& metrics) {
  if (!InitCurl()) return absl::InternalError("libcurl does not work on this machine");
  if (!options.proxy.empty() && !ReadProxy(options.proxy).has_value()) {
    return absl::InvalidArgumentError("--outbound_proxy is not http://host:port");
  }
  if (!options.ca_file.empty()) {
    const std::unique_ptr<SSL_CTX, CurlDeleter> tls(SSL_CTX_new(TLS_client_method()));
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
  if (!client->catalog_->Start() || !client->strangers_->Start()) {
    return absl::ResourceExhaustedError("libcurl has no memory, or no file descriptor");
  }
  return client;
}

CurlClient::CurlClient(const Options& options, OutboundMetrics& metrics)
    : catalog_(std::make_unique<Pool>(HostTrust::kCatalog, options, metrics)),
      strangers_(std::make_unique<Pool>(HostTrust::kStranger, options, metrics)) {}

CurlClient::~CurlClient() = default;

void CurlClient::Send(HttpRequest request, CallTarget target, const CallContext& context,
                      Callback callback) {
  Pool& pool = target.trust == HostTrust::kCatalog ? *catalog_ : *strangers_;
  pool.Send(std::move(request), std::move(target), context, std::move(callback));
}

void CurlClient::Stop(absl::Time deadline) {
  for (Pool* pool : {catalog_.get(), strangers_.get()}) pool->BeginStop(deadline);
  for (Pool* pool : {catalog_.get(), strangers_.get()}) pool->WaitUntilStopped();
}

int CurlClient::under_way() const { return catalog_->under_way() + strangers_->under_way(); }

}  // namespace authurl
