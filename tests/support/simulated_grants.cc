#include "tests/support/simulated_grants.h"

#include <array>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "core/crypto/crypto.h"

namespace authurl::testing {

std::string SimulatedGrants::Add(const AuthUrlAsked& asked) {
  std::string code = Fresh("code");
  codes_[code] = grants_.size();
  SimulatedGrant& grant = grants_.emplace_back();
  grant.redirect_uri = asked.redirect_uri;
  grant.state = asked.state;
  grant.code_challenge = asked.code_challenge;
  grant.nonce = asked.nonce;
  grant.scopes = asked.scopes;
  return code;
}

std::optional<size_t> SimulatedGrants::FindCode(absl::string_view code) const {
  const auto found = codes_.find(code);
  if (found == codes_.end()) return std::nullopt;
  return found->second;
}

void SimulatedGrants::EndAll() {
  for (SimulatedGrant& grant : grants_) grant.has_ended = true;
}

void SimulatedGrants::EndOthersThan(size_t grant) {
  for (size_t other = 0; other < grants_.size(); ++other) {
    if (other != grant && grants_[other].code_was_used) grants_[other].has_ended = true;
  }
}

std::string SimulatedGrants::AddToken(absl::string_view kind, const SimulatedToken& token) {
  std::string text = Fresh(kind);
  tokens_[text] = token;
  return text;
}

SimulatedToken* SimulatedGrants::FindToken(absl::string_view text) {
  const auto found = tokens_.find(text);
  return found == tokens_.end() ? nullptr : &found->second;
}

const SimulatedToken* SimulatedGrants::FindToken(absl::string_view text) const {
  const auto found = tokens_.find(text);
  return found == tokens_.end() ? nullptr : &found->second;
}

bool SimulatedGrants::IsGood(const SimulatedToken& token) const {
  return !token.is_dead && !grants_[token.grant].has_ended;
}

SimulatedToken* SimulatedGrants::LiveToken(const RecognizedRequest& what) {
  if (what.values.count("access_token") > 0) {
    SimulatedToken* const token = FindToken(what.Value("access_token"));
    return token != nullptr && !token->is_refresh_token && IsGood(*token) ? token : nullptr;
  }
  SimulatedToken* newest = nullptr;
  for (auto& [text, token] : tokens_) {
    const bool is_newer = newest == nullptr || token.grant >= newest->grant;
    if (is_newer && !token.is_refresh_token && IsGood(token)) newest = &token;
  }
  return newest;
}

// With characters that must be encoded, as vectors have them.
std::string SimulatedGrants::Fresh(absl::string_view kind) {
  std::array<uint8_t, 12> bytes = {};
  FillRandom(bytes);
  return absl::StrCat(kind, "/+", ++made_, "-", Base64UrlEncode(AsChars(bytes)));
}

}  // namespace authurl::testing
