// http_client.h: how the server asks others by HTTP. Knows nothing of what is asked for.
//
//   client.Send(std::move(request), {.network = "x", .org_id = org, .trust = HostTrust::kCatalog},
//               work->context(), [work](absl::StatusOr<HttpAnswer> answer) { … });
//
// Redirects are not followed: a 3xx is an answer like others, and so are 4xx and 5xx.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/call_context.h"
#include "core/crypto/crypto.h"
#include "core/http_message.h"

namespace authurl {

// Who wrote the host of a URL.
enum class HostTrust : uint8_t {
  // We, or the operator: it stands in the catalog. It may be anywhere.
  kCatalog,
  // Somebody else: an instance, a handle's server, what a document named. It must have a public
  // address, and port 443.
  kStranger,
  // An organisation, for its webhooks. As a stranger's, but it may be in a network that the
  // operator has named for them, on any port there. Its answers have no body: they are what their
  // heads say, however large or slow the rest is.
  kReceiver,
};

struct CallTarget {
  // An id of the catalog, or another of a fixed set: for metrics, limits, log and errors.
  std::string network;
  // Whose share of the calls it takes. Empty: nobody's.
  std::string org_id;
  HostTrust trust = HostTrust::kStranger;
  // The headers of the answer to keep.
  std::vector<std::string> headers = {"Content-Type", "Date", "DPoP-Nonce", "Retry-After"};
};

// Holds secrets: wiped at its end.
struct HttpAnswer {
  int status = 0;
  // In the order in which they came; the first value is the one that counts mostly.
  std::vector<HttpHeader> headers;
  std::string body;  // Decoded.

  HttpAnswer() = default;
  HttpAnswer(HttpAnswer&&) = default;
  HttpAnswer& operator=(HttpAnswer&& other) noexcept {
    std::swap(status, other.status);
    headers.swap(other.headers);
    body.swap(other.body);
    return *this;
  }
  HttpAnswer(const HttpAnswer&) = delete;
  HttpAnswer& operator=(const HttpAnswer&) = delete;
  ~HttpAnswer() {
    Wipe(body);
    for (HttpHeader& header : headers) Wipe(header.value);
  }

  // As core/flow reads answers. A view.
  HttpResponse response() const { return {.status = status, .body = body}; }
  // The first header of that name, in whatever case; empty where there is none.
  absl::string_view Header(absl::string_view name) const;
};

// Whether what failed with this status surely never reached its host, so that a code or a refresh
// token in it is still good, and the same may be sent again.
bool IsUnsent(const absl::Status& status);
// Marks a status as such. For clients.
absl::Status Unsent(absl::Status status);

// Safe to use from many threads at once.
class HttpClient {
 public:
  // Gets what came, whatever its status, or:
  //   UNAVAILABLE NETWORK_UNAVAILABLE  which network, and what failed; never a URL or a body
  //   CANCELLED, DEADLINE_EXCEEDED     the context ended
  //   INTERNAL                         what our own code made is no request that can be sent
  using Callback = absl::AnyInvocable<void(absl::StatusOr<HttpAnswer>)>;

  HttpClient() = default;
  virtual ~HttpClient() = default;
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Waits for nothing. `callback` is called once: on a thread of the client's, which it must not
  // hold up, or, where the call is refused at once, on this one before Send() returns. Until then
  // `context` must stay; when it ends, the call does. The request is wiped by then or,
  // where it was not sent, right after.
  virtual void Send(HttpRequest request, CallTarget target, const CallContext& context,
                    Callback callback) = 0;
};

}  // namespace authurl
