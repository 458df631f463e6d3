// sealed_tokens.h: tokens as the secret parts of rows hold them, and what their grant tells of
// them. Whatever held a token in between is wiped.
#pragma once

#include <optional>
#include <string>
#include <vector>

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

// Of an account; empty where it has none.
std::string SerializeOwnToken(absl::string_view access_token);
// The caller wipes the token.
std::optional<std::string> ParseOwnToken(absl::string_view bytes);

// Of choices, one for each.
std::string SerializeChoiceTokens(absl::Span<const absl::string_view> access_tokens);
// The caller wipes them.
std::optional<std::vector<std::string>> ParseChoiceTokens(absl::string_view bytes);

}  // namespace authurl
