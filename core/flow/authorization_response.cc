#include "core/flow/authorization_response.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/catalog/endpoint.h"
#include "core/catalog/text_template.h"
#include "core/crypto/crypto.h"
#include "core/errors.h"
#include "core/flow/answer.h"
#include "core/flow/auth_state.h"
#include "core/flow/network_error.h"
#include "core/form.h"
#include "core/utf8.h"

namespace authurl {
namespace {

using catalog::v1::Network;

constexpr size_t kMaxParameters = 64;
constexpr std::array<absl::string_view, 6> kOAuthNames = {
    "code", "state", "iss", "error", "error_description", "error_uri"};
// Where networks put the code of an error; Meta has no `error` where it refuses before it asks.
constexpr std::array<absl::string_view, 3> kErrors = {"error", "error_code", "errorCode"};
// Where networks put the words for people, besides RFC 6749's error_description.
constexpr std::array<absl::string_view, 5> kWords = {
    "error_description", "error_message", "errorMessage", "error_reason", "error_subcode"};

absl::Status ResponseInvalid(absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "RESPONSE_INVALID",
                   absl::StrCat("The response ", what));
}

absl::string_view ErrorOf(const AuthorizationResponse& response) {
  for (const absl::string_view name : kErrors) {
    if (!response.Get(name).empty()) return response.Get(name);
  }
  return {};
}

bool IsOAuthName(absl::string_view name) {
  return std::find(kOAuthNames.begin(), kOAuthNames.end(), name) != kOAuthNames.end();
}

// Cuts off where it came, if it is a whole URL.
std::string CutRedirectUri(absl::string_view& text) {
  const size_t colon = text.find(':');
  const size_t first = text.find_first_of("?=&:");
  if (colon == text.npos || first != colon) {
    absl::ConsumePrefix(&text, "?");
    return "";
  }
  const size_t query = text.find('?');
  std::string redirect_uri(text.substr(0, query));
  text = query == text.npos ? absl::string_view() : text.substr(query + 1);
  return redirect_uri;
}

absl::Status CheckHasOutcome(const AuthorizationResponse& response) {
  if (response.Get("state").empty()) {
    return ResponseInvalid(
        "has no `state`: hand over the whole URL that the browser was sent to, as it was received");
  }
  return absl::OkStatus();
}

}  // namespace

AuthorizationResponse::~AuthorizationResponse() {
  for (auto& [name, value] : parameters) Wipe(value);
}

absl::string_view AuthorizationResponse::Get(absl::string_view name) const {
  const auto found = parameters.find(std::string(name));
  return found == parameters.end() ? absl::string_view() : absl::string_view(found->second);
}

absl::StatusOr<AuthorizationResponse> ParseAuthorizationResponse(absl::string_view text) {
  if (text.size() > kMaxAuthorizationResponseBytes) {
    return ResponseInvalid(
        absl::StrCat("is longer than ", kMaxAuthorizationResponseBytes, " bytes"));
  }
  text = text.substr(0, text.find('#'));
  AuthorizationResponse response;
  response.redirect_uri = CutRedirectUri(text);
  std::optional<FormFields> fields = ParseForm(text, kMaxParameters);
  if (!fields) {
    return ResponseInvalid(absl::StrCat("has more than ", kMaxParameters, " parameters"));
  }
  for (auto& [name, value] : *fields) {
    if (!IsUtf8(name) || !IsUtf8(value)) return ResponseInvalid("is not UTF-8");
    const bool is_new = response.parameters.emplace(name, std::move(value)).second;
    if (!is_new && IsOAuthName(name)) {
      return ResponseInvalid(absl::StrCat("has `", name, "` more than once"));
    }
  }
  return response;
}

std::string StateOf(const AuthorizationResponse& response) {
  if (!response.Get("state").empty()) return std::string(response.Get("state"));
  for (const auto& [name, value] : response.parameters) {
    if (!absl::StartsWith(value, "{")) continue;
    const std::optional<Answer> packed = Answer::ParseJson(value);
    std::optional<std::string> state = packed ? packed->Find("/state") : std::nullopt;
    if (state) return *std::move(state);
  }
  return "";
}

absl::Status CheckCameTo(absl::string_view redirect_uri, const AuthorizationResponse& response) {
  if (response.redirect_uri.empty()) return absl::OkStatus();
  const size_t mark = redirect_uri.find('?');
  const absl::string_view address = redirect_uri.substr(0, mark);
  // Browsers put a "/" where there is no path (core/uri.h).
  const bool has_path = absl::StrContains(address.substr(address.find("://") + 3), '/');
  if (response.redirect_uri != address &&
      (has_path || response.redirect_uri != absl::StrCat(address, "/"))) {
    return InvalidState();
  }
  if (mark == redirect_uri.npos) return absl::OkStatus();
  const std::optional<FormFields> own = ParseForm(redirect_uri.substr(mark + 1), kMaxParameters);
  if (!own) return InvalidState();
  // Of one that is there more than once the first counts, as in the response.
  for (const auto& [name, value] : std::map<std::string, std::string>(own->begin(), own->end())) {
    if (response.Get(name) != value) return InvalidState();
  }
  return absl::OkStatus();
}

absl::Status ReadAsNetworkSends(const Network& network, AuthorizationResponse& response) {
  const catalog::v1::Callback& callback = network.callback();
  const absl::string_view packed = response.Get(callback.json_param());
  if (!callback.json_param().empty() && !packed.empty()) {
    const std::optional<Answer> inner = Answer::ParseJson(packed);
    if (!inner) {
      return ResponseInvalid(absl::StrCat("has a `", callback.json_param(), "` that is not JSON"));
    }
    std::vector<std::string> names(callback.kept().begin(), callback.kept().end());
    for (const absl::string_view name : kOAuthNames) names.emplace_back(name);
    for (const std::string& name : names) {
      std::optional<std::string> value = inner->Find(absl::StrCat("/", name));
      if (!value) continue;
      if (!response.parameters.emplace(name, *value).second && response.Get(name) != *value) {
        return ResponseInvalid(absl::StrCat("has `", name, "` more than once"));
      }
    }
  }
  if (absl::Status status = CheckHasOutcome(response); !status.ok()) return status;
  const bool has_outcome = !response.Get("code").empty() || !ErrorOf(response).empty();
  if (!has_outcome && !callback.missing_code_is_denied()) {
    return ResponseInvalid("has neither `code` nor `error`");
  }
  return absl::OkStatus();
}

absl::Status CheckIssuer(const Network& network, const record::v1::SocialNetworkSettings& settings,
                         const AuthorizationResponse& response) {
  const catalog::v1::Callback& callback = network.callback();
  if (callback.issuer().empty()) return absl::OkStatus();
  const absl::string_view issuer = response.Get("iss");
  if (issuer.empty() && !callback.issuer_required()) return absl::OkStatus();
  const std::optional<std::string> expected = ExpandTemplate(
      callback.issuer(),
      [&](absl::string_view name) { return EndpointValue(network, settings, name); });
  if (expected && issuer == *expected) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "ISSUER_MISMATCH",
      absl::StrCat("The response was not sent by ", network.display_name(), ": its `iss` is ",
                   issuer.empty() ? "missing" : "another one", ". Begin again with a new URL"));
}

absl::Status CheckNetworkError(const Network& network, const AuthorizationResponse& response) {
  const std::string& name = network.display_name();
  const absl::string_view error = ErrorOf(response);
  if (response.Get("error").empty() && !response.Get("code").empty()) return absl::OkStatus();
  const auto means_denied = [&](absl::string_view code) {
    return absl::EqualsIgnoreCase(error, code);
  };
  const auto& denied = network.callback().denied();
  if (error.empty() || means_denied("access_denied") ||
      std::any_of(denied.begin(), denied.end(), means_denied)) {
    return MakeError(absl::StatusCode::kPermissionDenied, "USER_DENIED",
                     absl::StrCat("The person did not allow the connection at ", name));
  }
  const std::array<absl::string_view, 2> secrets = {response.Get("code"), response.Get("state")};
  std::string words = CleanWords(error, secrets);
  const std::string code = words;
  for (const absl::string_view parameter : kWords) {
    const absl::string_view text = response.Get(parameter);
    if (text.empty()) continue;
    absl::StrAppend(&words, ": ", CleanWords(text, secrets));
    break;
  }
  absl::Status status;
  if (error == "temporarily_unavailable" || error == "server_error") {
    status = MakeRetryableError(
        absl::StatusCode::kUnavailable, "NETWORK_UNAVAILABLE",
        absl::StrCat(name, " could not ask the person (it says \"", words, "\")"),
        absl::Seconds(5));
  } else if (error == "unauthorized_client" || error == "invalid_client") {
    status = MakeError(absl::StatusCode::kFailedPrecondition, "CLIENT_REJECTED",
                       absl::StrCat(name, " refuses the app (it says \"", words,
                                    "\"): compare the configuration with ", name, "'s portal"));
  } else {
    status = MakeError(
        absl::StatusCode::kFailedPrecondition, "NETWORK_REFUSED",
        absl::StrCat(name, " sent the person back with an error (it says \"", words, "\")"));
  }
  AddErrorMetadata(status, "network_error", code);
  return status;
}

}  // namespace authurl
