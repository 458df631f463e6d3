// token_response.h: what a token endpoint answered. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "authurl/catalog/v1/network.pb.h"
#include "core/flow/answer.h"
#include "core/http_message.h"

namespace authurl {

// What one consent gives. Wiped at its end.
struct TokenSet {
  std::string access_token;  // Never empty.
  std::string refresh_token;
  std::string id_token;
  // Nothing: it has no end that is known.
  std::optional<absl::Time> access_token_expires_at;
  std::optional<absl::Time> refresh_token_expires_at;
  // What was granted, where the network said so: an empty list is an answer, too.
  std::optional<std::vector<std::string>> scopes;
  // The person's id at the network, where the answer has it.
  std::string subject;
  // What the entry keeps, by its names.
  std::map<std::string, std::string> kept;

  TokenSet() = default;
  TokenSet(TokenSet&&) = default;
  // What it held is wiped when `other` ends.
  TokenSet& operator=(TokenSet&& other) noexcept;
  TokenSet(const TokenSet&) = delete;
  TokenSet& operator=(const TokenSet&) = delete;
  ~TokenSet();
};

// Whether it has only characters that tokens have (RFC 6749 appendices A.12 and A.17), so that any
// header can hold it.
bool IsTokenText(absl::string_view text);

// A token set with the answer that it was read from, in which profiles may be.
struct TokenResponse {
  TokenSet tokens;
  Answer answer;
};

// Each: the errors of core/flow/network_error.h where there is no access token. `secrets`: what was
// sent, to be cut out of the network's words. REQUIRES: the entry has the step, here and below.
absl::StatusOr<TokenResponse> ParseExchange(const catalog::v1::Network& network,
                                            const HttpResponse& response, absl::Time now,
                                            absl::Span<const absl::string_view> secrets);
// `first` with the tokens of the second exchange in place of its own.
absl::StatusOr<TokenResponse> ParseLongLived(const catalog::v1::Network& network,
                                             TokenResponse first, const HttpResponse& response,
                                             absl::Time now,
                                             absl::Span<const absl::string_view> secrets);
// `before` with what is new: where the answer has no refresh token, the old one is kept.
absl::StatusOr<TokenSet> ParseRefresh(const catalog::v1::Network& network, const TokenSet& before,
                                      const HttpResponse& response, absl::Time now,
                                      absl::Span<const absl::string_view> secrets);
// OK where the token is revoked, or was before.
absl::Status ParseRevocation(const catalog::v1::Network& network, const HttpResponse& response,
                             absl::Span<const absl::string_view> secrets);

}  // namespace authurl
