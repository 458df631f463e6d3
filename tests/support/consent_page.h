// consent_page.h: a simulated network's consent page: what a URL asks of the person there, and what
// the person's browser brings back. Functions of values only.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "authurl/record/v1/record.pb.h"
#include "tests/core/flow/vectors.h"

namespace authurl::testing {

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

struct AuthUrlAsked {
  std::string redirect_uri;
  std::string state;
  std::string code_challenge;
  std::string nonce;
  std::vector<std::string> scopes;
  std::string response_mode;
};

// `settings`: the configuration that the network knows. InvalidArgumentError where it would show an
// error page and send nobody back: the message says what is wrong with the URL.
absl::StatusOr<AuthUrlAsked> ReadAuthUrl(const VectorFlow& flow,
                                         const record::v1::SocialNetworkSettings& settings,
                                         absl::string_view auth_url);

// Whoever consented, with the code and what else the vector's callback has. `packed`: all
// parameters in one, as JSON, where the entry has such (json_param).
PersonReturned ReturnWithCode(const VectorFlow& flow,
                              const record::v1::SocialNetworkSettings& settings,
                              const AuthUrlAsked& asked, absl::string_view code, bool packed);

// Whoever did not. `error`: the code; empty: what the network calls a person's refusal.
PersonReturned ReturnWithError(const VectorFlow& flow,
                               const record::v1::SocialNetworkSettings& settings,
                               const AuthUrlAsked& asked, absl::string_view error);

}  // namespace authurl::testing
