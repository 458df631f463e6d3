// outbound_fixture.h: a CurlClient for tests that reaches this machine only.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/call_context.h"
#include "core/crypto/crypto.h"
#include "server/outbound/curl_client.h"
#include "tests/support/eventually.h"
#include "tests/support/hostile_server.h"
#include "tests/support/notification.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace authurl::testing {

// NETWORK_UNAVAILABLE with such a message.
MATCHER_P(IsUnavailable, message, "is NETWORK_UNAVAILABLE, and says why") {
  return ::testing::ExplainMatchResult(
      ::testing::AllOf(StatusIs(absl::StatusCode::kUnavailable, ::testing::HasSubstr(message)),
                       HasReason("NETWORK_UNAVAILABLE")),
      arg, result_listener);
}
MATCHER(IsSafeToRepeat, "was surely not sent") { return IsUnsent(StatusOf(arg)); }

// A call that was sent. It must not be destroyed before it has ended.
class SentCall final {
 public:
  explicit SentCall(absl::Time deadline = absl::InfiniteFuture())
      : context_(deadline, "request-7") {}
  ~SentCall() { EXPECT_TRUE(ended_.WaitForNotificationWithTimeout(kPatience)); }
  SentCall(const SentCall&) = delete;
  SentCall& operator=(const SentCall&) = delete;

  void Send(HttpClient& client, HttpRequest request, CallTarget target) {
    client.Send(std::move(request), std::move(target), context_,
                [this](absl::StatusOr<HttpAnswer> answer) {
                  answer_ = std::move(answer);
                  ended_.Notify();  // Aborts the test where it comes twice.
                });
  }

  CallContext& context() { return context_; }
  bool has_ended() const { return ended_.HasBeenNotified(); }
  // Waits for it.
  absl::StatusOr<HttpAnswer>& answer() {
    EXPECT_TRUE(ended_.WaitForNotificationWithTimeout(kPatience));
    return answer_;
  }

 private:
  CallContext context_;
  Notification ended_;
  absl::StatusOr<HttpAnswer> answer_ = absl::UnknownError("it has not ended");
};

class OutboundTest : public ::testing::Test {
 protected:
  static constexpr char kOk[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

  OutboundTest() {
    EXPECT_OK(InitCrypto());
    for (const char* network : {"x", "mastodon"}) metrics_.AddNetwork(network);
    options_.version = "1.2.3";
    options_.ca_file = dir_.Write("ca.pem", authority_.certificate());
    // Every name under "example" is this machine, and there are no others.
    options_.lookup = [](const std::string& host) -> absl::StatusOr<HostAddresses> {
      if (!absl::EndsWith(host, ".example")) return absl::NotFoundError("there is no such name");
      return HostAddresses{"127.0.0.1"};
    };
  }

  CurlClient& Client() {
    if (client_ == nullptr) {
      absl::StatusOr<std::unique_ptr<CurlClient>> client = CurlClient::Start(options_, metrics_);
      EXPECT_OK(client);
      client_ = *std::move(client);
    }
    return *client_;
  }

  static HttpRequest Get(std::string url) {
    HttpRequest request;
    request.method = "GET";
    request.url = std::move(url);
    return request;
  }
  static HttpRequest Post(std::string url, std::string body) {
    HttpRequest request = Get(std::move(url));
    request.method = "POST";
    request.body = std::move(body);
    request.headers.push_back({"Content-Type", "application/x-www-form-urlencoded"});
    return request;
  }
  static CallTarget Catalog() {
    return {.network = "x", .org_id = "acme", .trust = HostTrust::kCatalog};
  }
  static CallTarget Stranger() {
    return {.network = "mastodon", .org_id = "acme", .trust = HostTrust::kStranger};
  }

  // Sends and waits.
  absl::StatusOr<HttpAnswer> Ask(HttpRequest request, CallTarget target = Catalog(),
                                 absl::Time deadline = absl::InfiniteFuture()) {
    SentCall call(deadline);
    call.Send(Client(), std::move(request), std::move(target));
    return std::move(call.answer());
  }

  static HostileServer::Handler Answer(std::string bytes) {
    return [bytes = std::move(bytes)](HostileServer::Peer& peer) { return peer.Send(bytes); };
  }

  TempDir dir_;
  const CertificateAuthority authority_{"the test's authority"};
  OutboundMetrics metrics_;
  CurlClient::Options options_;
  // Made by the first call, of the options as they are then.
  std::unique_ptr<CurlClient> client_;
};

}  // namespace authurl::testing
