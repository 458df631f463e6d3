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
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"
#include "core/http_message.h"
#include "server/system/clock.h"
#include "tests/core/flow/vectors.h"

namespace authurl::testing {

enum class NetworkStep {
  kExchange,
  kLongLived,
  kProfile,
  kParents,
  kAccounts,
  kRefresh,
  kRevocation,
};
// "exchange", "long_lived", as vectors have it.
absl::string_view NameOfStep(NetworkStep step);

enum class NetworkFault {
  kNone,

  // In place of an answer: nothing is done, so codes and tokens stay as good as they are. The first
  // of the vector's list, or what the RFCs say where that is empty.
  kGrantRejected,  // code_rejected, refresh_dead, token_rejected
  kClientRejected,
  kScopeMissing,
  kTryAgain,
  kRefused,
  kNotAnAccount,
  // As kGrantRejected, with status 200.
  kErrorWithStatus200,
  kStatus500,
  // To another path of the same host.
  kRedirect,

  // What is asked for is done, and this becomes of the answer.
  kHang,  // None comes before Release(). It counts when it comes.
  kByteByByte,
  kHuge,  // 64 MiB, unless the client hangs up.
  kBrokenJson,
  kWrongContentType,
  kHangUp,

  // The TLS handshake fails, for new connections to the step's host, whatever they are for: nothing
  // was sent. What comes by an older connection is hung up on, and nothing done.
  kRefuseConnection,
};

// What the person's browser does when it leaves the network.
struct PersonReturned {
  std::string redirect_uri;
  // name=value&…
  std::string parameters;
  // They are the body of a POST to the redirect URI.
  bool is_form_post = false;

  // Where it goes; with the parameters, unless they are a form's.
  std::string url() const;
  // What ParseAuthorizationResponse() takes.
  std::string response() const { return is_form_post ? parameters : url(); }
};

// A request as it came.
struct ServedRequest {
  std::string method;
  std::string host;    // Lower case, without a port.
  std::string target;  // Path and query.
  std::vector<HttpHeader> headers;
  std::string body;
};

struct ServedAnswer {
  enum class Manner { kWhole, kByteByByte, kEndless, kNone };
  int status = 200;
  std::vector<HttpHeader> headers;
  std::string body;
  Manner manner = Manner::kWhole;
};

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
  ~SimulatedNetwork();
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
  struct Shape;
  struct AuthUrlAsked;
  struct Recognized;

  struct Grant {
    std::string redirect_uri;
    std::string state;
    std::string code_challenge;
    std::string nonce;
    std::vector<std::string> scopes;
    bool code_was_used = false;
    bool profile_was_asked = false;
    bool has_ended = false;
    std::string refresh_token;  // The one that was handed out last.
  };
  struct Token {
    size_t grant = 0;
    bool is_refresh_token = false;
    // To be exchanged for one that lives long.
    bool is_short_lived = false;
    bool is_dead = false;
  };
  struct Planned {
    NetworkFault fault = NetworkFault::kNone;
    int times = kAlways;
  };
  using Values = std::map<std::string, std::string>;

  const Json* JsonOf(NetworkStep step) const;
  const Json& SuccessOf(NetworkStep step) const;
  Json BodyOf(NetworkStep step) const;
  void AddShape(NetworkStep step);

  absl::StatusOr<AuthUrlAsked> ReadAuthUrl(absl::string_view auth_url) const;
  PersonReturned Return(const AuthUrlAsked& asked,
                        std::vector<std::pair<std::string, std::string>> parameters,
                        bool packed) const;

  // What follows is called with mutex_ held.
  Recognized Recognize(const ServedRequest& request) const;
  NetworkFault TakeFault(NetworkStep step);
  ServedAnswer InPlaceOfAnswer(const Recognized& what, NetworkFault fault) const;
  ServedAnswer Process(const Recognized& what, const ServedRequest& request);
  ServedAnswer Exchange(const Recognized& what);
  ServedAnswer LongLived(const Recognized& what);
  ServedAnswer Refresh(const Recognized& what);
  ServedAnswer Profile(const Recognized& what);
  ServedAnswer List(const Recognized& what, const ServedRequest& request);
  ServedAnswer Revocation(const Recognized& what);
  // The step's error of that list of the vector's.
  ServedAnswer ErrorOf(NetworkStep step, const std::string& list) const;
  ServedAnswer Complain(NetworkStep step, absl::string_view fault);
  // A success with fresh tokens of the grant. `shown`: the refresh token that was refreshed.
  ServedAnswer HandOut(NetworkStep step, size_t grant, Token* shown);
  bool ClientIsRight(const Values& values) const;
  // The token that the request shows, if it is good; where requests of the step show none, one of
  // the newest grant.
  Token* LiveToken(const Recognized& what);
  Token* FindToken(absl::string_view text);
  bool IsGood(const Token& token) const;
  std::string IdTokenFor(const Grant& grant) const;
  std::string Fresh(absl::string_view kind);

  const VectorFlow flow_;
  const Options options_;
  const std::string title_;
  record::v1::SocialNetworkSettings settings_;
  std::string client_secret_;
  std::vector<std::unique_ptr<Shape>> shapes_;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  // All that follows is guarded by mutex_.
  bool is_stopping_ = false;
  int releases_ = 0;
  int made_ = 0;  // Codes and tokens.
  std::map<NetworkStep, Planned> faults_;
  std::map<NetworkStep, size_t> answers_;
  std::map<NetworkStep, int> requests_;
  int pages_ = 0;
  int accounts_per_page_ = 0;
  std::vector<Grant> grants_;
  std::map<std::string, size_t, std::less<>> codes_;
  std::map<std::string, Token, std::less<>> tokens_;
  std::vector<Received> received_;
  std::vector<std::string> complaints_;
};

}  // namespace authurl::testing
