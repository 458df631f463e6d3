// simulated_grants.h: what the people of a simulated network consented to, with the codes and
// tokens that were made for it, and which of them are still good.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tests/support/consent_page.h"
#include "tests/support/request_shape.h"

namespace authurl::testing {

struct SimulatedGrant {
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

struct SimulatedToken {
  size_t grant = 0;
  bool is_refresh_token = false;
  // To be exchanged for one that lives long.
  bool is_short_lived = false;
  bool is_dead = false;
};

// Grants are named by their indexes, from 0 in the order of the consents. Not safe to use from
// several threads at once.
class SimulatedGrants final {
 public:
  SimulatedGrants() = default;
  SimulatedGrants(const SimulatedGrants&) = delete;
  SimulatedGrants& operator=(const SimulatedGrants&) = delete;

  // A new grant; returns its code.
  std::string Add(const AuthUrlAsked& asked);
  // The grant of the code, used or not.
  std::optional<size_t> FindCode(absl::string_view code) const;

  // Good until the next Add().
  SimulatedGrant& at(size_t grant) { return grants_.at(grant); }
  const SimulatedGrant& at(size_t grant) const { return grants_.at(grant); }
  void EndAll();
  // Those whose code was used.
  void EndOthersThan(size_t grant);

  // Returns its text, which begins with `kind`.
  std::string AddToken(absl::string_view kind, const SimulatedToken& token);
  // Null where there is none. What they point at stays where it is.
  SimulatedToken* FindToken(absl::string_view text);
  const SimulatedToken* FindToken(absl::string_view text) const;
  bool IsGood(const SimulatedToken& token) const;
  // The access token that the request shows, if it is good; where requests of the step show none,
  // one of the newest grant.
  SimulatedToken* LiveToken(const RecognizedRequest& what);

 private:
  std::string Fresh(absl::string_view kind);

  int made_ = 0;  // Codes and tokens.
  std::vector<SimulatedGrant> grants_;
  std::map<std::string, size_t, std::less<>> codes_;
  std::map<std::string, SimulatedToken, std::less<>> tokens_;
};

}  // namespace authurl::testing
