// curl_transfer.h: one call, with what libcurl asks about it and where its answer goes. For the
// files curl_* alone.
#pragma once

#include <curl/curl.h>

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/call_context.h"
#include "core/http_message.h"
#include "server/outbound/circuit_breaker.h"
#include "server/outbound/curl_destination.h"
#include "server/outbound/curl_handles.h"
#include "server/outbound/destination_rules.h"
#include "server/outbound/http_client.h"
#include "server/outbound/http_words.h"

namespace authurl {

// One call, from Send() to its end. Before it is posted it belongs to the thread that sends, then
// to the pool's. What libcurl calls is static, with the transfer as its `self`.
struct CurlTransfer {
  // Of an answer, decoded.
  static constexpr size_t kMaxBodyBytes = size_t{1} << 20;
  // Of one that is not wanted: what is read so that the connection can be used again.
  static constexpr size_t kMaxDroppedBytes = size_t{64} << 10;

  // What the transfers of a pool share; it outlives them.
  const DestinationRules* rules = nullptr;
  const ProxyAddress* proxy = nullptr;  // Null: it goes to its host itself.
  // Of all answers that are under way. For the pool's thread alone.
  size_t* held_bytes_of_pool = nullptr;

  uint64_t id = 0;  // The pool's thread gives it.
  HttpRequest request;
  CallTarget target;
  const CallContext* context = nullptr;
  HttpClient::Callback callback;
  Destination to;
  CircuitBreaker::Entry entry = CircuitBreaker::Entry::kOrdinary;
  absl::Time started;
  absl::Time resolve_by;
  absl::Time ends_at;

  // From SetUpHandle() on (curl_setup.h). The lists outlive the handle, which is declared behind
  // them.
  CurlList headers;
  CurlList addresses;
  CurlList connect_to;
  CurlEasy easy;
  HttpAnswer answer;
  int header_lines = 0;
  size_t header_bytes = 0;
  size_t held_bytes = 0;     // Of the body.
  size_t dropped_bytes = 0;  // Of one that is not wanted.
  int encodings = 0;
  int sendings = 0;
  bool is_head_whole = false;
  absl::Time head_came;  // Where the body is not wanted.
  bool is_too_large = false;
  // Of the addresses that were tried, with has_no_room: one was refused, and one was gone on with.
  bool is_refused_address = false;
  bool has_opened_socket = false;
  bool has_no_room = false;  // Of ours.

  bool is_begun() const { return easy != nullptr; }
  // Of receivers: an answer is what its head says, whatever comes behind it.
  bool is_body_wanted() const { return target.trust != HostTrust::kReceiver; }
  bool may_have_been_sent() const { return sendings > 0; }
  // RFC 9110 section 9.2.1: as often as one likes.
  bool may_be_sent_twice() const { return IsAnyOf(request.method, {"GET", "HEAD"}); }

  // What libcurl calls.
  static curl_socket_t OpenSocket(void* self, curlsocktype purpose, curl_sockaddr* address);
  static int StartResolver(void* resolver_state, void* reserved, void* self);
  static CURLcode ConfigureTls(CURL* easy, void* tls_context, void* self);
  static int BeforeSending(void* self, char* peer, char* local, int peer_port, int local_port);
  static size_t TakeHeader(const char* data, size_t size, size_t count, void* self);
  static size_t TakeBody(const char* data, size_t size, size_t count, void* self);

  // False where the answer is not to be read on.
  bool ReadHeader(absl::string_view line);
};

}  // namespace authurl
