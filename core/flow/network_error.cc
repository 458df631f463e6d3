#include "core/flow/network_error.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/catalog/pattern.h"
#include "core/errors.h"
#include "core/form.h"
#include "core/utf8.h"

namespace authurl {
namespace {

using catalog::v1::Meaning;
using catalog::v1::Network;

// Some begin with a sentence of the RFC, and say last what is wrong.
constexpr size_t kMaxWordsBytes = 400;
// Shorter ones are words of the language rather than secrets.
constexpr size_t kMinSecretBytes = 4;

bool IsTransient(int status) {
  return status == 408 || status == 425 || status == 429 || status >= 500;
}

// What RFC 6749 section 5.2 and RFC 6750 section 3.1 say.
Meaning MeaningByRfc(absl::string_view code, const HttpResponse& response, FlowStep step) {
  if (code == "invalid_grant") return catalog::v1::MEANING_GRANT_REJECTED;
  if (code == "invalid_client" || code == "unauthorized_client") {
    return catalog::v1::MEANING_CLIENT_REJECTED;
  }
  if (code == "invalid_token") return catalog::v1::MEANING_TOKEN_REJECTED;
  if (code == "insufficient_scope") return catalog::v1::MEANING_SCOPE_MISSING;
  if (code == "temporarily_unavailable" || code == "slow_down" || IsTransient(response.status)) {
    return catalog::v1::MEANING_TRY_AGAIN;
  }
  const bool shows_token = step == FlowStep::kProfile || step == FlowStep::kAccounts;
  if (shows_token && response.status == 401) return catalog::v1::MEANING_TOKEN_REJECTED;
  return catalog::v1::MEANING_REFUSED;
}

bool Applies(const catalog::v1::ErrorRule& rule, absl::string_view code, absl::string_view text,
             int status) {
  const auto same = [&](const std::string& one) { return absl::EqualsIgnoreCase(one, code); };
  if (!rule.codes().empty() && std::none_of(rule.codes().begin(), rule.codes().end(), same)) {
    return false;
  }
  if (!rule.text().empty() && !MatchesSomewhere(text, absl::StrCat("(?i)", rule.text())))
    return false;
  return rule.statuses().empty() ||
         std::find(rule.statuses().begin(), rule.statuses().end(), static_cast<uint32_t>(status)) !=
             rule.statuses().end();
}

absl::string_view NameOf(FlowStep step) {
  switch (step) {
    case FlowStep::kExchange:
      return "the exchange of the code";
    case FlowStep::kLongLived:
      return "the exchange for a long-lived token";
    case FlowStep::kRefresh:
      return "the refresh";
    case FlowStep::kProfile:
      return "the question who connected";
    case FlowStep::kAccounts:
      return "the question for the accounts";
    case FlowStep::kRevocation:
      return "the revocation";
  }
  return "the request";
}

// `"invalid_grant: The code has expired"`, as far as the network said so.
std::string InItsWords(absl::string_view code, absl::string_view text) {
  if (code.empty() && text.empty()) return "";
  return absl::StrCat(" (it says \"", code, code.empty() || text.empty() ? "" : ": ", text, "\")");
}

// Which of the tokens is meant follows from what was shown.
Meaning AtStep(Meaning meaning, FlowStep step) {
  const bool shows_refresh_token = step == FlowStep::kRefresh || step == FlowStep::kLongLived;
  const bool shows_access_token = step == FlowStep::kProfile || step == FlowStep::kAccounts;
  if (meaning == catalog::v1::MEANING_TOKEN_REJECTED && shows_refresh_token) {
    return catalog::v1::MEANING_GRANT_REJECTED;
  }
  if (meaning == catalog::v1::MEANING_GRANT_REJECTED && shows_access_token) {
    return catalog::v1::MEANING_TOKEN_REJECTED;
  }
  return meaning;
}

absl::Status ToStatus(Meaning meaning, const Network& network, FlowStep step,
                      const std::string& words, int status) {
  const std::string& name = network.display_name();
  switch (AtStep(meaning, step)) {
    case catalog::v1::MEANING_GRANT_REJECTED:
      if (step == FlowStep::kRefresh || step == FlowStep::kLongLived) {
        return MakeError(absl::StatusCode::kFailedPrecondition, "REFRESH_DEAD",
                         absl::StrCat(name, " no longer takes the refresh token", words,
                                      ": the person must connect again"));
      }
      return MakeError(
          absl::StatusCode::kFailedPrecondition, "CODE_REJECTED",
          absl::StrCat(name, " does not take the code", words,
                       ": it was used before, it expired, or the redirect URI is another one. "
                       "Begin again with a new URL"));
    case catalog::v1::MEANING_CLIENT_REJECTED:
      return MakeError(absl::StatusCode::kFailedPrecondition, "CLIENT_REJECTED",
                       absl::StrCat(name, " refuses the client key or the client secret that are ",
                                    "configured", words, ": compare them with ", name,
                                    "'s portal and update the configuration"));
    case catalog::v1::MEANING_TRY_AGAIN:
      return MakeRetryableError(absl::StatusCode::kUnavailable, "NETWORK_UNAVAILABLE",
                                absl::StrCat(name, " can't answer ", NameOf(step), " now", words,
                                             ", HTTP status ", status),
                                absl::Seconds(5));
    case catalog::v1::MEANING_TOKEN_REJECTED:
      return MakeError(absl::StatusCode::kFailedPrecondition, "ACCESS_TOKEN_DEAD",
                       absl::StrCat(name, " no longer takes the access token", words));
    case catalog::v1::MEANING_SCOPE_MISSING:
      return MakeError(absl::StatusCode::kFailedPrecondition, "SCOPE_MISSING",
                       absl::StrCat(name, " says that the person has not granted what ",
                                    NameOf(step), " needs", words));
    default:
      return MakeError(
          absl::StatusCode::kFailedPrecondition, "NETWORK_REFUSED",
          absl::StrCat(name, " refused ", NameOf(step), words, ", HTTP status ", status));
  }
}

// Whether there were any.
bool CutSecrets(absl::Span<const absl::string_view> secrets, std::string& text) {
  bool found = false;
  for (const absl::string_view secret : secrets) {
    if (secret.size() < kMinSecretBytes || !absl::StrContains(text, secret)) continue;
    absl::StrReplaceAll({{secret, "…"}}, &text);
    found = true;
  }
  return found;
}

// Whatever is base64 of a text with a secret in it (RFC 7617).
void CutBasicCredentials(absl::Span<const absl::string_view> secrets, std::string& text) {
  const auto is_base64 = [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '+' || c == '/' || c == '=';
  };
  for (size_t begin = 0; begin < text.size();) {
    const auto end_of_run =
        std::find_if_not(text.begin() + static_cast<ptrdiff_t>(begin), text.end(), is_base64);
    const size_t length = static_cast<size_t>(end_of_run - text.begin()) - begin;
    std::string decoded;
    if (length >= kMinSecretBytes &&
        absl::Base64Unescape(absl::string_view(text).substr(begin, length), &decoded)) {
      std::string decoded_twice = FormDecoded(decoded);
      if (CutSecrets(secrets, decoded) || CutSecrets(secrets, decoded_twice)) {
        text.replace(begin, length, "…");
        begin += absl::string_view("…").size();
        continue;
      }
    }
    begin += length + 1;
  }
}

}  // namespace

catalog::v1::Meaning MeaningOf(const catalog::v1::Errors& errors, const Answer& answer,
                               const HttpResponse& response, FlowStep step) {
  const Sources sources = {.answer = &answer};
  const std::string code = Select(errors.code(), sources).value_or("");
  const std::string text = Select(errors.text(), sources).value_or("");
  for (const catalog::v1::ErrorRule& rule : errors.rules()) {
    if (Applies(rule, code, text, response.status)) return rule.meaning();
  }
  return MeaningByRfc(code, response, step);
}

bool SaysError(const catalog::v1::Errors& errors, const Answer& answer) {
  const std::optional<std::string> code = Select(errors.code(), {.answer = &answer});
  return code && std::none_of(errors.no_error_codes().begin(), errors.no_error_codes().end(),
                              [&](const std::string& one) { return one == *code; });
}

absl::Status NetworkError(const Network& network, const catalog::v1::Errors& errors,
                          const Answer* answer, const HttpResponse& response, FlowStep step,
                          absl::Span<const absl::string_view> secrets) {
  if (answer == nullptr) {
    const Answer nothing;
    const Meaning meaning = MeaningOf(errors, nothing, response, step);
    // A page in place of an answer says nothing but its status.
    if (meaning != catalog::v1::MEANING_REFUSED) {
      return ToStatus(meaning, network, step, "", response.status);
    }
    return AnswerInvalid(
        network, absl::StrCat("to ", NameOf(step), " is neither JSON nor a form, HTTP status ",
                              response.status));
  }
  const Sources sources = {.answer = answer};
  const std::string code = CleanWords(Select(errors.code(), sources).value_or(""), secrets);
  const std::string text = CleanWords(Select(errors.text(), sources).value_or(""), secrets);
  const Meaning meaning = MeaningOf(errors, *answer, response, step);
  absl::Status status = ToStatus(meaning, network, step, InItsWords(code, text), response.status);
  if (!code.empty()) AddErrorMetadata(status, "network_error", code);
  return status;
}

absl::StatusOr<Answer> ParseAnswer(const Network& network, const catalog::v1::Errors& errors,
                                   const HttpResponse& response, FlowStep step,
                                   absl::Span<const absl::string_view> secrets) {
  std::optional<Answer> answer = Answer::Parse(response.body);
  if (!answer) return NetworkError(network, errors, nullptr, response, step, secrets);
  const bool is_good_status = response.status >= 200 && response.status < 300;
  if (!is_good_status || SaysError(errors, *answer)) {
    return NetworkError(network, errors, &*answer, response, step, secrets);
  }
  return *std::move(answer);
}

absl::Status AnswerInvalid(const Network& network, absl::string_view what) {
  return MakeError(absl::StatusCode::kUnavailable, "NETWORK_ANSWER_INVALID",
                   absl::StrCat(network.display_name(), "'s answer ", what));
}

std::string CleanWords(absl::string_view words, absl::Span<const absl::string_view> secrets) {
  std::string text(words);
  CutSecrets(secrets, text);
  // Who quotes a request quotes its body or its Authorization header as they were sent.
  std::string decoded = FormDecoded(text);
  if (CutSecrets(secrets, decoded)) text = std::move(decoded);
  CutBasicCredentials(secrets, text);
  return CleanText(text, kMaxWordsBytes);
}

}  // namespace authurl
