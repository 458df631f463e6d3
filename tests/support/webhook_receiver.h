// webhook_receiver.h: somebody's server that events are delivered to, in the test's own process, by
// plain http: it keeps what came and answers what the test says.
#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tests/support/hostile_server.h"
#include "tests/support/test_certificates.h"

namespace authurl::testing {

// Safe to use from many threads at once.
class WebhookReceiver final {
 public:
  // One attempt.
  struct Delivery {
    std::string request;  // Head and body, as they came.
    std::string id;
    std::string timestamp;
    std::string signature;
    std::string body;

    // The text of a member of the body's data; empty where it has none.
    std::string Data(absl::string_view name) const;
    std::string type() const;
  };
  // The whole answer; empty: the connection is closed without one. May wait.
  using Answer = std::function<std::string(const Delivery&)>;

  // Takes all.
  WebhookReceiver();
  // Hangs up on all; what waits in an answer must have ended.
  ~WebhookReceiver();
  WebhookReceiver(const WebhookReceiver&) = delete;
  WebhookReceiver& operator=(const WebhookReceiver&) = delete;

  std::string Url() const;

  // From now on.
  void AnswerBy(Answer answer);
  void AnswerWith(int status, absl::string_view more_headers = "");
  // No answer comes, for as long as the peer waits.
  void Hang();
  void TakeAll() { AnswerWith(204); }

  // Every attempt, in the order in which they came; and of them those that were answered with 2xx.
  std::vector<Delivery> received() const;
  std::vector<Delivery> taken() const;
  // Waits for it. False when that takes longer than kPatience.
  bool WaitForReceived(size_t count) const;
  bool WaitForTaken(size_t count) const;

 private:
  bool Serve(HostileServer::Peer& peer);

  const CertificateAuthority nobody_{"nobody"};
  mutable std::mutex mutex_;
  // All that follows, but for the server, is guarded by mutex_.
  Answer answer_;
  bool is_hanging_ = false;
  std::vector<Delivery> received_;
  std::vector<Delivery> taken_;
  HostileServer server_;  // Ends before what it serves.
};

}  // namespace authurl::testing
