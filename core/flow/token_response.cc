#include "core/flow/token_response.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "core/crypto/crypto.h"
#include "core/flow/network_error.h"

namespace authurl {
namespace {

using catalog::v1::Network;
using catalog::v1::TokenAnswer;

// Beyond it a time is in milliseconds: the year 5138, or 1973.
constexpr int64_t kFirstMilliseconds = 100'000'000'000;
// Longer lives are no answer: they would be no time.
constexpr int64_t kMaxLifetimeSeconds = int64_t{100} * 366 * 24 * 3600;

// What a text says in whole seconds, also where it is "3600.0". A part of one is one: 0 would be
// for ever.
std::optional<int64_t> Seconds(const std::string& text) {
  double value = 0;
  if (!absl::SimpleAtod(text, &value) || !(value >= 0) || value > 1e15) return std::nullopt;
  return static_cast<int64_t>(std::ceil(value));
}

struct Lifetime {
  // Whether the answer says anything.
  bool is_told = false;
  std::optional<absl::Time> end;
};

Lifetime LifetimeIn(const SelectorList& in_seconds, const SelectorList& at, const Sources& sources,
                    absl::Time now) {
  if (const auto text = Select(in_seconds, sources)) {
    const std::optional<int64_t> seconds = Seconds(*text);
    if (seconds && *seconds == 0) return {.is_told = true, .end = std::nullopt};
    if (seconds && *seconds <= kMaxLifetimeSeconds) {
      return {.is_told = true, .end = now + absl::Seconds(*seconds)};
    }
  }
  if (const auto text = Select(at, sources)) {
    const std::optional<int64_t> time = Seconds(*text);
    if (time && *time > 0) {
      const absl::Time end =
          *time >= kFirstMilliseconds ? absl::FromUnixMillis(*time) : absl::FromUnixSeconds(*time);
      if (end - now <= absl::Seconds(kMaxLifetimeSeconds)) return {.is_told = true, .end = end};
    }
  }
  return {};
}

std::optional<absl::Time> EndOf(const Lifetime& told, uint32_t lifetime_s, absl::Time now) {
  if (told.is_told) return told.end;
  if (lifetime_s == 0) return std::nullopt;
  return now + absl::Seconds(lifetime_s);
}

// Whether the answer says what was granted: an empty list does, an empty text, as SoundCloud's,
// does not.
std::optional<std::vector<std::string>> ScopesIn(const TokenAnswer& reading,
                                                 const Sources& sources) {
  const std::vector<std::string> texts = SelectAll(reading.scopes(), sources);
  std::vector<std::string> scopes;
  if (texts.empty()) {
    const bool is_empty_list =
        std::any_of(reading.scopes().begin(), reading.scopes().end(), [&](const auto& pointer) {
          const auto elements = sources.answer->Elements(pointer);
          return elements && elements->empty();
        });
    if (!is_empty_list) return std::nullopt;
    return scopes;
  }
  for (const std::string& text : texts) {
    for (const absl::string_view scope :
         absl::StrSplit(text, absl::ByAnyChar(reading.scope_separators()), absl::SkipEmpty())) {
      const absl::string_view name = absl::StripAsciiWhitespace(scope);
      if (!name.empty()) scopes.emplace_back(name);
    }
  }
  return scopes;
}

// Nothing where it is `false`, as Tumblr says of its ID token.
std::optional<std::string> TokenIn(const SelectorList& selectors, const Sources& sources) {
  std::optional<std::string> token = Select(selectors, sources);
  if (token == "false") return std::nullopt;
  return token;
}

// The tokens of an answer; one without an access token is nothing.
std::optional<TokenSet> ReadTokens(const TokenAnswer& reading, const Answer& answer,
                                   uint32_t lifetime_s, absl::Time now) {
  const Sources sources = {.answer = &answer};
  std::optional<std::string> access_token = TokenIn(reading.access_token(), sources);
  if (!access_token) return std::nullopt;
  TokenSet tokens;
  tokens.access_token = *std::move(access_token);
  tokens.refresh_token = TokenIn(reading.refresh_token(), sources).value_or("");
  tokens.id_token = TokenIn(reading.id_token(), sources).value_or("");
  tokens.access_token_expires_at =
      EndOf(LifetimeIn(reading.expires_in(), reading.expires_at(), sources, now), lifetime_s, now);
  tokens.refresh_token_expires_at =
      LifetimeIn(reading.refresh_expires_in(), reading.refresh_expires_at(), sources, now).end;
  tokens.scopes = ScopesIn(reading, sources);
  tokens.subject = Select(reading.subject(), sources).value_or("");
  for (const auto& kept : reading.kept()) {
    std::optional<std::string> value = Select(kept.from(), sources);
    if (value) tokens.kept.insert_or_assign(kept.name(), *std::move(value));
  }
  return tokens;
}

// What `before` has and `after` has not. `is_prolonged`: a new refresh token has a life of its own.
void KeepFrom(const TokenSet& before, bool is_prolonged, TokenSet& after) {
  if (after.refresh_token.empty()) after.refresh_token = before.refresh_token;
  const bool is_same = after.refresh_token == before.refresh_token;
  if ((is_same || !is_prolonged) && !after.refresh_token_expires_at) {
    after.refresh_token_expires_at = before.refresh_token_expires_at;
  }
  if (after.id_token.empty()) after.id_token = before.id_token;
  if (!after.scopes) after.scopes = before.scopes;
  if (after.subject.empty()) after.subject = before.subject;
  for (const auto& [name, value] : before.kept) after.kept.emplace(name, value);
}

absl::StatusOr<TokenResponse> Parse(const Network& network, const TokenAnswer& reading,
                                    const catalog::v1::Errors& errors, uint32_t lifetime_s,
                                    const HttpResponse& response, FlowStep step, absl::Time now,
                                    absl::Span<const absl::string_view> secrets) {
  std::optional<Answer> answer = Answer::Parse(response.body);
  if (!answer) return NetworkError(network, errors, nullptr, response, step, secrets);
  std::optional<TokenSet> tokens = ReadTokens(reading, *answer, lifetime_s, now);
  if (!tokens) return NetworkError(network, errors, &*answer, response, step, secrets);
  for (const std::string* token :
       {&tokens->access_token, &tokens->refresh_token, &tokens->id_token}) {
    if (!IsTokenText(*token))
      return AnswerInvalid(network, "has a token of characters that no token has");
  }
  return TokenResponse{*std::move(tokens), *std::move(answer)};
}

}  // namespace

bool IsTokenText(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return absl::ascii_isprint(c); });
}

TokenSet& TokenSet::operator=(TokenSet&& other) noexcept {
  access_token.swap(other.access_token);
  refresh_token.swap(other.refresh_token);
  id_token.swap(other.id_token);
  std::swap(access_token_expires_at, other.access_token_expires_at);
  std::swap(refresh_token_expires_at, other.refresh_token_expires_at);
  scopes.swap(other.scopes);
  subject.swap(other.subject);
  kept.swap(other.kept);
  return *this;
}

TokenSet::~TokenSet() {
  Wipe(access_token);
  Wipe(refresh_token);
  Wipe(id_token);
  for (auto& [name, value] : kept) Wipe(value);
}

absl::StatusOr<TokenResponse> ParseExchange(const Network& network, const HttpResponse& response,
                                            absl::Time now,
                                            absl::Span<const absl::string_view> secrets) {
  const auto& step = network.exchange();
  return Parse(network, step.answer(), step.errors(), step.access_token_lifetime_s(), response,
               FlowStep::kExchange, now, secrets);
}

absl::StatusOr<TokenResponse> ParseLongLived(const Network& network, TokenResponse first,
                                             const HttpResponse& response, absl::Time now,
                                             absl::Span<const absl::string_view> secrets) {
  const auto& step = network.long_lived();
  absl::StatusOr<TokenResponse> second =
      Parse(network, step.answer(), step.errors(), step.access_token_lifetime_s(), response,
            FlowStep::kLongLived, now, secrets);
  if (!second.ok()) return second.status();
  KeepFrom(first.tokens, /*is_prolonged=*/true, second->tokens);
  first.tokens = std::move(second->tokens);
  return first;
}

absl::StatusOr<TokenSet> ParseRefresh(const Network& network, const TokenSet& before,
                                      const HttpResponse& response, absl::Time now,
                                      absl::Span<const absl::string_view> secrets) {
  const auto& step = network.refresh();
  absl::StatusOr<TokenResponse> refreshed =
      Parse(network, step.answer(), step.errors(), step.access_token_lifetime_s(), response,
            FlowStep::kRefresh, now, secrets);
  if (!refreshed.ok()) return refreshed.status();
  KeepFrom(before, !step.lifetime_from_consent(), refreshed->tokens);
  return std::move(refreshed->tokens);
}

absl::Status ParseRevocation(const Network& network, const HttpResponse& response,
                             absl::Span<const absl::string_view> secrets) {
  const auto& step = network.revocation();
  const std::optional<Answer> answer = Answer::Parse(response.body);
  const bool is_good_status = response.status >= 200 && response.status < 300;
  const Sources sources = {.answer = answer ? &*answer : nullptr};
  const bool says_so =
      step.success().empty() || Select(step.success(), sources) == step.success_equals();
  const catalog::v1::Errors& errors = step.errors();
  const bool says_error = answer && SaysError(errors, *answer);
  if (is_good_status && says_so && !says_error) return absl::OkStatus();
  // RFC 6750 section 3.1: the token that it shows, which is the one to be revoked, is dead.
  if (response.status == 401 &&
      step.request().token_auth() == catalog::v1::Request::TOKEN_AUTH_BEARER) {
    return absl::OkStatus();
  }
  const Answer nothing;
  const catalog::v1::Meaning meaning =
      MeaningOf(errors, answer ? *answer : nothing, response, FlowStep::kRevocation);
  // It was revoked before.
  if (meaning == catalog::v1::MEANING_TOKEN_REJECTED ||
      meaning == catalog::v1::MEANING_GRANT_REJECTED) {
    return absl::OkStatus();
  }
  return NetworkError(network, errors, answer ? &*answer : nullptr, response, FlowStep::kRevocation,
                      secrets);
}

}  // namespace authurl
