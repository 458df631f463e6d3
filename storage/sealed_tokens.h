// sealed_tokens.h: tokens as the secret parts of rows hold them, and what their grant tells of
// them. Whatever held a token in between is wiped.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "authurl/record/v1/record.pb.h"
#include "core/flow/token_response.h"

namespace authurl {

// What is to be sealed: the caller wipes it, here and below.
std::string SerializeTokens(const TokenSet& tokens);
// With the texts alone; nothing if the bytes are not what SerializeTokens() makes.
std::optional<TokenSet> ParseTokens(absl::string_view bytes);
// What a grant tells of its tokens: when they end, the scopes, what there is.
void DescribeTokens(const TokenSet& tokens, record::v1::Grant& grant);
// Puts back what is told.
void CompleteTokens(const record::v1::Grant& grant, TokenSet& tokens);

// An access token in the bytes that were opened for it, which are wiped at its end. Their memory is
// then kept for the next one of the thread.
class OpenedAccessToken final {
 public:
  // `open` puts into a text what SerializeTokens() or SerializeOwnToken() has made. Its error is
  // passed on; INTERNAL where the text is something else. Takes nothing else out of it, so that no
  // other secret is copied.
  static absl::StatusOr<OpenedAccessToken> From(absl::FunctionRef<absl::Status(std::string&)> open);
  ~OpenedAccessToken();
  OpenedAccessToken(OpenedAccessToken&&) = default;
  OpenedAccessToken& operator=(OpenedAccessToken&&) = delete;

  // Empty where an account has none of its own.
  absl::string_view token() const { return absl::string_view(bytes_).substr(begin_, size_); }

 private:
  OpenedAccessToken();
  bool FindToken();

  std::string bytes_;
  // Not a view: short texts are moved with their object.
  size_t begin_ = 0;
  size_t size_ = 0;
};

// Of an account; empty where it has none.
std::string SerializeOwnToken(absl::string_view access_token);
// The caller wipes the token.
std::optional<std::string> ParseOwnToken(absl::string_view bytes);

// Of choices, one for each.
std::string SerializeChoiceTokens(absl::Span<const absl::string_view> access_tokens);
// The caller wipes them.
std::optional<std::vector<std::string>> ParseChoiceTokens(absl::string_view bytes);

}  // namespace authurl
