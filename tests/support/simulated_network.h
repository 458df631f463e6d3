// simulated_network.h: a social network as its vectors (tests/core/flow/vectors) have it: the
// person at its consent page, its token endpoint, its API. Knows no sockets; network_simulator.h
// serves it.
//
// A request must be the vector's, with the flow's own values in place of the vector's: method,
// host, path, every parameter and header that the vector has and none that it has not. Whatever is
// otherwise is a complaint, for the test to look at, and an error of the network's. Answers are the
// vector's, with tokens that are made afresh for each code. What it keeps:
//
//   codes     work once; with the redirect URI, the code verifier and the state of the URL that the
//             person was shown, or not at all. An attempt of the right client uses one up.
//   tokens    refresh tokens rotate as the entry says, and where it says so the old one is dead
//             then, or the whole grant ends with its second use.
//   grants    end when they are revoked, as far as the entry says, or by EndGrants().
//
// Where two steps are the same request, such as Tumblr's profile and list of blogs, the answer is
// both of the vector's in one, and a grant's first request counts as the former step.
//
// request_shape.h tells what a request is; consent_page.h, simulated_token_endpoint.h and
// simulated_api.h answer it, by simulated_grants.h and vector_answers.h; network_fault.h is what
// goes wrong.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"
#include "server/system/clock.h"
#include "tests/core/flow/vectors.h"
#include "tests/support/consent_page.h"
#include "tests/support/network_fault.h"
#include "tests/support/network_step.h"
#include "tests/support/request_shape.h"
#include "tests/support/served_message.h"
#include "tests/support/simulated_api.h"
#include "tests/support/simulated_grants.h"
#include "tests/support/simulated_token_endpoint.h"
#include "tests/support/vector_answers.h"
#include "tests/support/vector_text.h"

namespace authurl::testing {

// Safe to use from many threads at once.
class SimulatedNetwork final {
 public:
  struct Options {
    // The configuration's, where they are not the vector's.
    std::string client_key = "";
    std::string client_secret = "";
    std::string instance = "";
    // What ID tokens are dated by.
    Clock clock = absl::Now;
    // Of kByteByByte.
    absl::Duration pause = absl::Milliseconds(10);
  };
  struct ConsentOptions {
    // All parameters in one, as JSON, where the entry has such (json_param).
    bool packed = false;
  };
  static constexpr int kAlways = -1;

  // `vector` outlives it.
  SimulatedNetwork(const Vector& vector, Options options);
  SimulatedNetwork(const SimulatedNetwork&) = delete;
  SimulatedNetwork& operator=(const SimulatedNetwork&) = delete;

  const VectorFlow& flow() const { return flow_; }
  const catalog::v1::Network& network() const { return flow_.network(); }
  // The configuration that it knows: network, variant, client key, and what the vector sets.
  const record::v1::SocialNetworkSettings& settings() const { return settings_; }
  // Empty for a public client.
  const std::string& client_secret() const { return client_secret_; }

  // The person follows the URL, and consents or does not. InvalidArgumentError where the network
  // would show an error page and send nobody back: the message says what is wrong with the URL.
  absl::StatusOr<PersonReturned> Consent(absl::string_view auth_url) {
    return Consent(auth_url, {});
  }
  absl::StatusOr<PersonReturned> Consent(absl::string_view auth_url, ConsentOptions how);
  // `error`: the code; empty: what the network calls a person's refusal.
  absl::StatusOr<PersonReturned> Deny(absl::string_view auth_url, absl::string_view error = "");
  // The tokens of a person who consented to another product of the same client; the refresh token
  // is one also where the network gives none.
  struct GivenTokens {
    std::string access_token;
    std::string refresh_token;
  };
  GivenTokens GiveTokens();
  // The person takes everything back at the network.
  void EndGrants();

  // The next `times` requests of the step, or all.
  void SetFault(NetworkStep step, NetworkFault fault, int times = kAlways);
  // Whether the vector has such an answer.
  bool Has(NetworkStep step, NetworkFault fault) const;
  // What hangs is answered.
  void Release();
  // Which of the vector's successes answers the step. 0 unless set.
  void UseAnswer(NetworkStep step, size_t index);
  // Lists of accounts have so many pages with so many accounts each, for every parent, in place of
  // the vector's one page. REQUIRES: the entry's accounts have a list and paging.
  void SetPages(int pages, int accounts_per_page);

  // How many requests of the step came; all of them, in order; what was wrong with some.
  int requests(NetworkStep step) const;
  struct Received {
    NetworkStep step;
    ServedRequest request;
  };
  std::vector<Received> received() const;
  std::vector<std::string> complaints() const;
  // Waits until so many came. False when that takes longer than kPatience.
  bool WaitForRequests(NetworkStep step, int count) const;
  // Whether it is a token that is good for something.
  bool Takes(absl::string_view token) const;

  // For the server.

  // How sure it is that the request is for this network: 0, not at all; 3, it shows a code or token
  // of this network's.
  int Claims(const ServedRequest& request) const;
  bool RefusesConnection(absl::string_view host) const;
  // May wait as long as a fault says.
  ServedAnswer Answer(const ServedRequest& request);
  // Between two bytes. False when the server stops.
  bool Pause();
  // Ends all waiting, for good.
  void Stop();

 private:
  struct Planned {
    NetworkFault fault = NetworkFault::kNone;
    int times = kAlways;
  };

  // What follows is called with mutex_ held.
  RecognizedRequest Recognize(const ServedRequest& request) const;
  NetworkFault TakeFault(NetworkStep step);
  ServedAnswer Process(const RecognizedRequest& what, const ServedRequest& request);
  bool ClientIsRight(const FoundValues& values) const;
  ServedAnswer Complain(NetworkStep step, absl::string_view fault);

  const VectorFlow flow_;
  const Options options_;
  const std::string title_;
  record::v1::SocialNetworkSettings settings_;
  std::string client_secret_;
  std::vector<RequestShape> shapes_;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  // All that follows is guarded by mutex_.
  bool is_stopping_ = false;
  int releases_ = 0;
  std::map<NetworkStep, Planned> faults_;
  std::map<NetworkStep, int> requests_;
  SimulatedGrants grants_;
  VectorAnswers answers_;
  SimulatedTokenEndpoint token_endpoint_;
  SimulatedApi api_;
  std::vector<Received> received_;
  std::vector<std::string> complaints_;
};

}  // namespace authurl::testing
